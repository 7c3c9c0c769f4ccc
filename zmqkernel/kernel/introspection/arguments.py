"""Arguments of the call around the cursor: keywords, columns of the table that it is about, paths."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from . import adapters
from .expressions import Found
from .keys import Answer, Key, written
from .lookup import UNKNOWN, items_of
from .matches import Match
from .paths import looks_like_path, paths_at
from .places import Place
from .scope import Scope
from .signatures import VAR_KEYWORD, VAR_POSITIONAL, Parameter, signature_of
from .tokens import Bracket, Token

COLUMN_PARAMETERS = frozenset(
  (
        "by", "on", "left_on", "right_on", "subset", "keys", "columns", "column", "labels", "values", "index",
        "id_vars", "value_vars", "exprs", "predicates", "constraints", "more_by", "more_columns", "key", "x", "y",
        "z", "c", "hue", "size", "style", "color", "facet_row", "facet_col", "row", "col", "decimals", "dtype",
        "func", "aggs", "mapper", "column_or_columns", "items", "names", "weights",
  )
)  # fmt: skip
"""Parameters of a table's methods that take names of columns."""
DRAWN = frozenset(
  (
        "x", "y", "z", "hue", "size", "style", "color", "symbol", "facet_row", "facet_col", "row", "col", "weights",
        "names", "values", "on", "by",
  )
)  # fmt: skip
"""Keywords for columns of a function that takes the table as an argument (seaborn, plotly, pandas.merge)."""
NO_COLUMNS = frozenset({"to_csv", "to_parquet", "to_excel", "to_json", "query", "eval", "write_csv", "write_parquet"})
_PATH_PARAMETER = re.compile(
    r"(?:^|_)(?:path|paths|file|filename|filepath|fname|fp|dir|directory|folder|src|dst|root|f)(?:_|$)|path|file"
)
_PATH_CALLEE = re.compile(
    r"(?:^|\.)(?:open|Path|PurePath|read_\w+|load\w*|save\w*|to_(?:csv|json|parquet|excel|pickle|feather)|scan_\w+|imread|imsave"
    r"|listdir|scandir|chdir|exists|isfile|isdir|glob|iglob|mkdir|makedirs|remove|copy\w*|move|savefig|write_\w+|from_file\w*)$"
)


def keywords(place: Place, scope: Scope) -> list[Match]:
    """``name=`` for the parameters of the call around the cursor that are not given yet, when an argument begins here."""
    if not (place.brackets and place.tokens and place.tokens[-1].text in ("(", ",")):
        return []
    call = place.brackets[0]
    callee = scope.find(call.source) if call.text == "(" and call.source else None
    found = signature_of(callee.value, callee.is_bound) if callee is not None and callee.value is not UNKNOWN else None
    if found is None:
        return []
    given = set(given_names(place.tokens, call))
    names = [parameter for parameter in found.parameters if parameter.is_keyword and parameter.name not in given]
    return [Match(f"{parameter.name}=", "parameter", label=parameter.text) for parameter in names]


def given_names(tokens: Sequence[Token], call: Bracket) -> Iterator[str]:
    """Names that are given with ``name=`` between the call's bracket and the end of ``tokens``."""
    depth = 0
    for at in range(call.at + 1, len(tokens)):
        token = tokens[at]
        if token.kind != "op":
            continue
        depth += (token.text in "([{") - (token.text in ")]}")
        if token.text == "=" and not depth and tokens[at - 1].kind == "name":
            yield tokens[at - 1].text


def in_string(place: Place, code: str, cursor: int, scope: Scope) -> Answer:
    """What a string in a call may name: a column where the parameter takes one, a path where it takes a file."""
    nested = ""
    for bracket in place.brackets:
        if bracket.text != "(" or not bracket.source:
            nested = nested or bracket.text
            continue
        callee = scope.find(bracket.source)
        parameter = _parameter(bracket, callee)
        table = _table(bracket, callee, parameter, place, scope)
        if not nested and (keys := _keys_taken(bracket, callee)):
            return written(place, code, cursor, keys, "", scope.budget)
        if table is not None:
            keys = (Key(key, "column") for key in adapters.columns_of(table) or () if type(key) is str)
            return written(place, code, cursor, keys, "", scope.budget)
        if _takes_path(bracket, callee, parameter) or looks_like_path(place.prefix):
            return Answer(paths_at(place.prefix, scope.budget, place.quote))
        if bracket.source.rpartition(".")[2] not in ("col", "cols"):  # pl.col("a") is about the call around it
            return Answer([])
    return Answer(paths_at(place.prefix, scope.budget, place.quote) if looks_like_path(place.prefix) else [])


def _keys_taken(call: Bracket, callee: Found | None) -> list[Key]:
    """The keys of a dictionary whose ``get`` or the like this is."""
    holder = callee.holder if callee is not None else None
    name = call.source.rpartition(".")[2]
    if holder is None or call.position or name not in ("get", "pop", "setdefault", "__getitem__"):
        return []
    return [Key(key, "key", value=value) for key, value in items_of(holder.value) if type(key) is str]


def _parameter(call: Bracket, callee: Found | None) -> Parameter | None:
    """The parameter that the argument at the cursor is for."""
    found = signature_of(callee.value, callee.is_bound) if callee is not None and callee.value is not UNKNOWN else None
    return None if found is None else parameter_at(found.parameters, call)


def parameter_at(parameters: Sequence[Parameter], call: Bracket) -> Parameter | None:
    """The parameter for a place in a call's brackets."""
    if call.keyword:
        named = [own for own in parameters if own.name == call.keyword and own.is_keyword]
        return named[0] if named else next((own for own in parameters if own.kind == VAR_KEYWORD), None)
    for at, own in enumerate(parameters):
        if own.kind == VAR_POSITIONAL or (at == call.position and own.kind < VAR_POSITIONAL):
            return own
    return None


def _table(
    call: Bracket, callee: Found | None, parameter: Parameter | None, place: Place, scope: Scope
) -> object | None:
    """The table whose columns may be named here."""
    name = call.source.rpartition(".")[2]
    if name in ("col", "cols"):
        return None
    if callee is not None and callee.holder is not None and adapters.columns_of(callee.holder.like) is not None:
        wanted = call.keyword or (parameter.name if parameter else "")
        takes = wanted in COLUMN_PARAMETERS or name in (
            "agg",
            "aggregate",
            "transform",
            "assign",
            "rename",
            "get_column",
        )
        return callee.holder.like if takes and name not in NO_COLUMNS else None
    if call.keyword not in DRAWN:
        return None
    for at in range(call.at + 1, len(place.tokens)):
        token = place.tokens[at]
        found = scope.find(token.text) if token.kind == "name" else None
        if found is not None and adapters.is_frame(found.type):
            return found.value
    return None


def _takes_path(call: Bracket, callee: Found | None, parameter: Parameter | None) -> bool:
    if parameter is not None and callee is not None and parameter.kind not in (VAR_POSITIONAL, VAR_KEYWORD):
        if _PATH_PARAMETER.search(parameter.name):
            return True
        if parameter.name in (
            "mode",
            "encoding",
            "sep",
            "format",
            "engine",
            "compression",
            "errors",
            "newline",
            "dtype",
        ):
            return False
    if call.keyword:
        return bool(_PATH_PARAMETER.search(call.keyword))
    return bool(_PATH_CALLEE.search(call.source)) and call.position == 0
