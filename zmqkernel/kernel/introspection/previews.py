"""The first rows of tables and arrays as text: for exactly the types of pandas, polars and numpy, no cell's ``__repr__`` runs."""

from __future__ import annotations

from typing import Any

from .adapters import is_frame, is_own_dtype
from .lookup import is_kind, is_plain_key
from .values import type_name, value_text

ROWS = 5
COLUMNS = 8
WIDTH = 24
CELLS = 10


def preview(value: Any) -> str:
    """A few rows, or the first numbers; "" for anything else."""
    kind = type(value)
    try:
        if is_kind(kind, "polars", "DataFrame"):
            return _polars(value)
        if is_frame(kind):
            return _pandas(value)
        if is_kind(kind, "pandas", "Series"):
            return _table(["", _cell(value.name)], [_index(value), _column(value)], len(value))
        if is_kind(kind, "numpy", "ndarray"):
            return _array(value)
        if is_kind(kind, "polars", "Series"):
            return _shown([_cell(item) for item in value.head(CELLS).to_list()], len(value))
    except Exception:  # noqa: BLE001  another thread changes the table while its library reads it: then it has no preview
        return ""
    return ""


def dtypes(value: Any) -> dict[str, str]:
    """Column to dtype of a table, at most fifty."""
    kind = type(value)
    try:
        if is_kind(kind, "polars", "DataFrame"):
            return {name: str(dtype) for name, dtype in list(zip(value.columns, value.dtypes, strict=False))[:50]}
        if is_kind(kind, "pandas", "DataFrame"):
            named = zip(value.columns[:50].tolist(), value.dtypes.iloc[:50].tolist(), strict=False)
            return {_cell(name, False): str(dtype) if is_own_dtype(dtype) else "?" for name, dtype in named}
    except Exception:  # noqa: BLE001  as above
        return {}
    return {}


def _pandas(frame: Any) -> str:
    top = frame.iloc[:ROWS, :COLUMNS]
    names = [_cell(name, False) for name in top.columns.tolist()]
    columns = [_index(top), *(_column(top.iloc[:, at]) for at in range(len(names)))]
    if frame.shape[1] > COLUMNS:
        names.append("...")
        columns.append(["..."] * len(columns[0]))
    return _table(["", *names], columns, frame.shape[0])


def _index(table: Any) -> list[str]:
    index = table.index[:ROWS]
    is_own = is_kind(type(index), "pandas", type(index).__name__) and is_own_dtype(index.dtype)
    return [_cell(label, False) for label in index.tolist()] if is_own else ["?"] * len(index)


def _column(series: Any) -> list[str]:
    series = series.iloc[:ROWS]
    return [_cell(item, False) for item in series.tolist()] if is_own_dtype(series.dtype) else ["?"] * len(series)


def _polars(frame: Any) -> str:
    top = frame.head(ROWS)
    names = top.columns[:COLUMNS]
    columns = [[_cell(item, False) for item in top[name].to_list()] for name in names]
    if len(top.columns) > COLUMNS:
        names = [*names, "..."]
        columns.append(["..."] * len(top))
    return _table(list(names), columns, len(frame))


def _array(array: Any) -> str:
    if not is_own_dtype(array.dtype):
        return ""
    return _shown([_cell(item) for item in array.flat[:CELLS].tolist()], array.size)


def _shown(cells: list[str], size: int) -> str:
    return f"[{', '.join(cells)}{', ...' if size > len(cells) else ''}]"


def _cell(value: Any, quoted: bool = True) -> str:
    text = value if type(value) is str and not quoted else value_text(value, 60, 1)
    if not text and is_plain_key(value) and type(value) is not str:
        text = repr(value)
    text = text or ("" if type(value) is str else f"<{type_name(type(value))}>")
    text = text.replace("\n", "\\n")
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}..."


def _table(names: list[str], columns: list[list[str]], rows: int) -> str:
    widths = [max(map(len, [name, *column])) for name, column in zip(names, columns, strict=True)]
    lines = [names, *zip(*columns, strict=True)]
    text = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*text, *(["..."] if rows > ROWS else [])])
