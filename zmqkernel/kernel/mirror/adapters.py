"""What numpy, pandas, polars and torch know about their own objects: exactly their types, and only if they are imported.

``mark`` is compared after every execution and must be cheap: identities, shapes, version counters, and a sample of the data.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from ...protocol.mirror import Entry
from ..introspection.lookup import HEAP_TYPE, mro_of
from ..introspection.values import value_text
from .texts import library_of, type_text

COLUMNS = 200
"""Columns of a table that are told."""
SAMPLE = 2048
"""Bytes of an array's data that are looked at, at its beginning and at its end; of large ones some between as well."""
FEW = 20
"""Arrays of at most so many elements are shown."""


class Adapter(NamedTuple):
    """``mark``: changes when the object does. ``fill``: write what is known into an Entry."""

    mark: Callable[[Any], Any]
    fill: Callable[[Any, Entry], None]


def adapter_of(kind: type) -> Adapter | None:
    """The adapter of a type, None for what is no one's. Imports nothing."""
    for library, find in _LIBRARIES:
        module = sys.modules.get(library)
        if type(module) is ModuleType:
            found = find(module.__dict__, kind)
            if found is not None:
                return found
    return None


# --- numpy -----------------------------------------------------------------------------------------------------------


def _numpy(names: dict[str, Any], kind: type) -> Adapter | None:
    if kind is names.get("ndarray"):
        return Adapter(_array_mark, _array_fill)
    if names.get("generic") in mro_of(kind) and not kind.__flags__ & HEAP_TYPE:
        return Adapter(_nothing, _scalar_fill)  # numpy's own numbers never change
    return None


def _nothing(value: Any) -> Any:
    del value


def sample(array: Any) -> int:
    """A checksum of some of a numpy array's data; 0 when it holds objects."""
    if array.dtype.hasobject:
        return 0
    size = max(1, SAMPLE // max(1, array.itemsize))
    if array.flags.c_contiguous:
        flat = array.reshape(-1)
    elif array.flags.f_contiguous:
        flat = array.T.reshape(-1)
    else:
        flat = array.flat[: 2 * size]  # anything more would copy the whole array
    if flat.size <= 2 * size:
        return zlib.crc32(flat.tobytes())
    between = flat[size : flat.size - size : max(1, flat.size // 64)]
    return zlib.crc32(between.tobytes(), zlib.crc32(flat[-size:].tobytes(), zlib.crc32(flat[:size].tobytes())))


def _array_mark(array: Any) -> Any:
    return array.shape, array.dtype.char, array.dtype.itemsize, sample(array)


def _array_fill(array: Any, entry: Entry) -> None:
    dtype = array.dtype
    entry.shape, entry.dtype, entry.size = list(array.shape), str(dtype), array.nbytes
    entry.length = array.shape[0] if array.shape else None
    if dtype.kind in "biufcmMSU" and array.size <= FEW:
        entry.value = value_text(array.tolist())
    for name in (dtype.names or ())[:COLUMNS]:
        field = dtype.fields[name][0]
        entry.items[repr(name)] = Entry("variable", "numpy.ndarray", [*array.shape], dtype=str(field))


def _scalar_fill(value: Any, entry: Entry) -> None:
    entry.dtype, entry.value = str(value.dtype), value_text(value)


# --- pandas ----------------------------------------------------------------------------------------------------------


def _pandas(names: dict[str, Any], kind: type) -> Adapter | None:
    if kind is names.get("DataFrame"):
        return Adapter(_frame_mark, _frame_fill)
    if kind is names.get("Series"):
        return Adapter(_series_mark, _series_fill)
    if names.get("Index") in mro_of(kind) and _package(kind) == "pandas":
        return Adapter(lambda index: (len(index), id(index.dtype)), _index_fill)
    return None


def _blocks(value: Any) -> tuple[Any, ...]:
    """Identity and a sample of every block of memory: a column that is replaced has another one."""
    found: list[Any] = []
    for block in value._mgr.blocks[:COLUMNS]:
        held = block.values
        library = _package(type(held))
        inner = getattr(held, "_ndarray", None) if library == "pandas" else held if library == "numpy" else None
        found += (id(block), id(held), 0 if inner is None else sample(inner))
    return tuple(found)


def _package(kind: type) -> str:
    return library_of(kind).partition(".")[0]


def dtype_text(dtype: Any) -> str:
    """A dtype's name; of one that is not of these libraries only its class, for its text is made by somebody's code."""
    return str(dtype) if _package(type(dtype)) in ("numpy", "pandas", "polars") else type_text(type(dtype))


def _frame_mark(frame: Any) -> Any:
    return id(frame.columns), frame.shape, _labels(frame.columns), _blocks(frame)


def _labels(index: Any) -> Any:
    """An index never changes but for its names."""
    return len(index), list(map(id, index.names))


def _frame_fill(frame: Any, entry: Entry) -> None:
    rows, columns = frame.shape
    entry.shape, entry.length = [rows, columns], rows
    entry.size = _bytes(frame)
    labels = frame.columns[:COLUMNS].tolist()
    dtypes = frame.dtypes.iloc[:COLUMNS].tolist()
    series = f"{type(frame).__module__.partition('.')[0]}.Series"
    for label, dtype in zip(labels, dtypes, strict=False):
        text = label_text(label)
        if text:
            entry.items[text] = Entry("variable", series, [rows], dtype=dtype_text(dtype))
    entry.truncated = columns > COLUMNS


def _series_mark(series: Any) -> Any:
    return id(series.index), series.shape, series.name if type(series.name) is str else None, _blocks(series)


def _series_fill(series: Any, entry: Entry) -> None:
    entry.shape, entry.length, entry.dtype = list(series.shape), series.shape[0], dtype_text(series.dtype)
    entry.size = _bytes(series)
    if type(series.name) is str:
        entry.value = f"name={value_text(series.name, 60)}"
    index = series.index
    if len(index) <= COLUMNS and dtype_text(index.dtype) in ("object", "str"):
        for label in index.tolist():
            if text := label_text(label):
                entry.items[text] = Entry("variable", dtype=entry.dtype)


def _index_fill(index: Any, entry: Entry) -> None:
    entry.shape, entry.length, entry.dtype = [len(index)], len(index), dtype_text(index.dtype)


def _bytes(value: Any) -> int:
    """What the blocks hold, without the objects that they point to."""
    return sum(int(getattr(block.values, "nbytes", 0)) for block in value._mgr.blocks)


def label_text(label: Any) -> str:
    """A label as it is written between brackets; "" for what cannot be written there."""
    kind = type(label)
    if kind in (str, bytes, int, bool, float, type(None)):
        return repr(label) if kind not in (str, bytes) or len(label) <= 500 else ""
    if kind is tuple and len(label) <= 10:
        parts = [label_text(part) for part in label]
        return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})" if all(parts) and parts else ""
    return ""


# --- polars ----------------------------------------------------------------------------------------------------------


def _polars(names: dict[str, Any], kind: type) -> Adapter | None:
    if kind is names.get("DataFrame"):
        return Adapter(lambda frame: (id(frame._df), frame.shape, tuple(frame.columns)), _polars_fill)
    if kind is names.get("Series"):
        return Adapter(lambda series: (id(series._s), series.shape, series.name), _polars_series_fill)
    return None


def _polars_fill(frame: Any, entry: Entry) -> None:
    rows, columns = frame.shape
    entry.shape, entry.length, entry.size = [rows, columns], rows, int(frame.estimated_size())
    for label, dtype in zip(frame.columns[:COLUMNS], frame.dtypes[:COLUMNS], strict=False):
        entry.items[repr(label)] = Entry("variable", "polars.Series", [rows], dtype=str(dtype))
    entry.truncated = columns > COLUMNS


def _polars_series_fill(series: Any, entry: Entry) -> None:
    entry.shape, entry.length, entry.dtype = list(series.shape), series.shape[0], str(series.dtype)
    entry.value, entry.size = f"name={value_text(series.name, 60)}", int(series.estimated_size())


# --- torch -----------------------------------------------------------------------------------------------------------


def _torch(names: dict[str, Any], kind: type) -> Adapter | None:
    if kind is names.get("Tensor"):
        # torch counts every change in place itself.
        return Adapter(lambda tensor: (tuple(tensor.shape), str(tensor.dtype), tensor._version), _tensor_fill)
    return None


def _tensor_fill(tensor: Any, entry: Entry) -> None:
    entry.shape, entry.dtype = list(tensor.shape), str(tensor.dtype).removeprefix("torch.")
    entry.length = entry.shape[0] if entry.shape else None
    entry.size = int(tensor.numel() * tensor.element_size())
    entry.value = f"on {tensor.device}"


_LIBRARIES = (("numpy", _numpy), ("pandas", _pandas), ("polars", _polars), ("torch", _torch))
