"""What only knowing a library tells: columns, fields, accessors, children of layers.

Objects of exactly the types of pandas, polars and numpy are asked by those libraries' own code, never a subclass of them;
nothing is imported. A layer of torch, or what is built like one, is read through its instance dictionary.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import FunctionType
from typing import Any

from .lookup import (
    DICTS,
    UNKNOWN,
    class_dict,
    instance_dict,
    is_class,
    is_kind,
    is_kind_of,
    is_plain_key,
    items_of,
    keys_in,
    module_name,
    mro_of,
    name_of,
    reads_as,
    value_in,
)

GROUPED = "pandas.core.groupby.generic"
MOST = 5000
"""Labels that are read of a table or an index."""
KEEPING = frozenset(
  (
        "loc", "at", "iloc", "groupby", "group_by", "head", "tail", "copy", "query", "sample", "dropna", "fillna",
        "ffill", "bfill", "interpolate", "sort_values", "sort_index", "drop_duplicates", "nlargest", "nsmallest",
        "round", "clip", "abs", "astype", "where", "mask", "rolling", "expanding", "resample", "ewm", "truncate",
        "convert_dtypes", "infer_objects", "filter", "sort", "limit", "slice", "unique", "drop_nulls", "drop_nans",
        "fill_null", "fill_nan", "lazy", "collect", "clone", "reverse", "shift", "replace", "cast", "apply_filter",
        "pipe", "transform", "diff", "cumsum", "cummax", "cummin", "reset_index", "set_axis",
  )
)  # fmt: skip
"""Properties and methods of a table whose result has the same columns, or most of them."""
CLASSES = {
    "DataFrameGroupBy": "pandas.core.groupby.generic",
    "SeriesGroupBy": "pandas.core.groupby.generic",
    "Rolling": "pandas.core.window.rolling",
    "Window": "pandas.core.window.rolling",
    "Expanding": "pandas.core.window.expanding",
    "ExponentialMovingWindow": "pandas.core.window.ewm",
    "Resampler": "pandas.core.resample",
    "Styler": "pandas.io.formats.style",
    "DataFrame": "pandas",
    "Series": "pandas",
    "Index": "pandas",
}
"""Where annotations of pandas name classes that their own module imports only for type checkers."""
INDEXERS = ("_LocIndexer", "_AtIndexer")
CHILDREN = ("_modules", "_parameters", "_buffers")

Seen = tuple[Any, "type | None", Any]
"""A value (or UNKNOWN), its type when the value is not known, and the table whose columns it has."""


def is_frame(kind: type) -> bool:
    """A DataFrame of pandas or polars."""
    return is_kind(kind, "pandas", "DataFrame") or is_kind(kind, "polars", "DataFrame")


def has_column_attributes(kind: type) -> bool:
    """Are columns attributes of it (``df.region``)?"""
    return is_kind(kind, "pandas", "DataFrame") or is_kind(kind, GROUPED, "DataFrameGroupBy")


def class_named(name: str, function: FunctionType) -> type | None:
    """The class that an annotation in pandas' own code means."""
    module = value_in(function.__globals__, "__name__")
    if name not in CLASSES or type(module) is not str or not module.startswith("pandas."):
        return None
    found = module_name(CLASSES[name], name)
    return found if is_class(found) else None


def keeps_columns(kind: type, name: str) -> bool:
    """Has the result of ``table.name`` or ``table.name()``, of type ``kind``, the table's columns?"""
    module = value_in(class_dict(kind), "__module__")
    return name in KEEPING and type(module) is str and module.startswith(("pandas", "polars"))


# --- columns, fields and labels ---------------------------------------------------------------------------------------


def labels_of(index: Any) -> list[Any]:
    """The plain labels of an index of pandas' own, at most MOST; [] for an index or a dtype of somebody else's."""
    if not is_kind(type(index), "pandas", name_of(type(index))):
        return []
    if not (is_kind(type(index), "pandas", "MultiIndex") or is_own_dtype(index.dtype)):
        return []
    return [label for label in index[:MOST].tolist() if is_plain_key(label)]


def is_own_dtype(dtype: Any) -> bool:
    """A dtype of numpy or pandas, whose arrays run no code of the user's."""
    return is_kind_of(dtype, "numpy", "dtype") or is_kind(type(dtype), "pandas", name_of(type(dtype)))


def columns_of(value: Any) -> list[Any] | None:
    """Columns of a table, also those of a grouped one, or the fields of a structured array; None for anything else."""
    kind = type(value)
    if is_kind(kind, "pandas", "DataFrame"):
        return labels_of(value.columns)
    if is_kind(kind, "polars", "DataFrame"):
        return list(value.columns)
    if is_kind(kind, GROUPED, "DataFrameGroupBy"):
        table = instance_dict(value).get("obj")
        return columns_of(table) if is_frame(type(table)) else None
    dtype = dtype_of(value)
    fields: Any = dtype.names if dtype is not None else None
    return list(fields) if type(fields) is tuple else None


def dtype_of(value: Any) -> Any:
    """The dtype of an array, or of a record out of one, read by numpy itself also for a subclass; None for anything else."""
    for cls in mro_of(type(value)):
        if is_kind(cls, "numpy", "ndarray", "void"):
            return cls.dtype.__get__(value)
    return None


def rows_of(value: Any) -> list[Any]:
    """The row labels of a pandas DataFrame or Series."""
    return labels_of(value.index) if is_kind(type(value), "pandas", "DataFrame", "Series") else []


def children_of(value: Any) -> dict[str, Any]:
    """The layers, parameters and buffers of something built like torch's ``Module``."""
    own = instance_dict(value)
    if type(own.get("_modules")) not in DICTS:
        return {}
    found: dict[str, Any] = {}
    for part in CHILDREN:
        found.update({name: child for name, child in items_of(own.get(part)) if type(name) is str})
    return found


def keys_of(value: Any, like: Any, kind: type, position: int = 0) -> tuple[Sequence[Any], str]:
    """What may stand between the brackets behind it, and what that is called (``key`` or ``column``).

    ``like`` is the table whose columns it has, ``position`` counts the commas before the cursor (``df.loc[:, "``).
    """
    if reads_as(value, dict):
        return keys_in(value), "key"
    if is_kind(kind, "pandas.core.indexing", *INDEXERS):
        if position:
            return columns_of(like) or [], "column"
        return rows_of(like), "key"
    columns = columns_of(like)
    if columns is not None:
        return columns, "column"
    if is_kind(kind, "pandas", "Series"):
        return rows_of(value), "key"
    return list(children_of(value)), "key"


# --- attributes and items ---------------------------------------------------------------------------------------------


def attribute(value: Any, like: Any, kind: type, name: str, raw: Any) -> Seen | None:
    """``value.name`` where a library gives it; ``raw`` is what plain lookup found."""
    if raw is UNKNOWN:
        if has_column_attributes(kind) and like is not UNKNOWN and name in (columns_of(like) or ()):
            return UNKNOWN, column_type(kind), UNKNOWN
        child = children_of(value).get(name, UNKNOWN)
        return None if child is UNKNOWN else (child, None, UNKNOWN)
    if is_kind(type(raw), "pandas.core.accessor", "Accessor", "CachedAccessor"):
        accessor = instance_dict(raw).get("_accessor")
        return (UNKNOWN, accessor, like) if is_class(accessor) else None
    return None


def column_type(kind: type) -> type:
    """The type of one column of a table."""
    if is_kind(kind, GROUPED, "DataFrameGroupBy"):
        return module_name(GROUPED, "SeriesGroupBy")
    return module_name("pandas" if is_kind(kind, "pandas", "DataFrame") else "polars", "Series")


def item(value: Any, like: Any, kind: type, key: Any) -> Seen | None:
    """``value[key]`` where a library gives it."""
    if is_kind(kind, "pandas.core.indexing", *INDEXERS) and like is not UNKNOWN:
        return _located(like, key)
    if is_frame(kind):
        return _of_frame(like, kind, key)
    if is_kind(kind, GROUPED, "DataFrameGroupBy"):
        return UNKNOWN, kind if type(key) is list else column_type(kind), like
    if is_kind(kind, "numpy", "ndarray", "void") and value is not UNKNOWN and type(key) in (int, str):
        try:
            return value[key], None, UNKNOWN
        except (IndexError, ValueError, KeyError):
            return None  # no such field, or not that long
    if type(key) in (int, str):
        child = children_of(value).get(str(key), UNKNOWN)
        return None if child is UNKNOWN else (child, None, UNKNOWN)
    return None


def _of_frame(like: Any, kind: type, key: Any) -> Seen | None:
    if type(key) in (list, slice):
        return UNKNOWN, kind, like
    if key is UNKNOWN:
        return UNKNOWN, kind, like  # df[df.a > 1]: mostly a condition, and then the columns stay
    columns = columns_of(like) if like is not UNKNOWN else None
    if columns is None or any(type(own) is type(key) and own == key for own in columns):
        return UNKNOWN, column_type(kind), UNKNOWN
    return None


def _located(like: Any, key: Any) -> Seen:
    """``df.loc[rows, columns]``: one column or one row is a Series, else it is a table."""
    many = (list, slice, type(UNKNOWN))
    row, column = (key[0], key[-1]) if type(key) is tuple and len(key) == 2 else (key, slice(None))
    if type(row) in many and type(column) in many:
        return UNKNOWN, module_name("pandas", "DataFrame"), like
    return UNKNOWN, module_name("pandas", "Series"), UNKNOWN
