"""Signature help: the call around the cursor, and which of its parameters is being given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...protocol.messages import CallParameter, CallSignature, SignatureReply
from .arguments import given_names
from .docstrings import documentation, markdown, parameter_docs
from .lookup import UNKNOWN
from .places import LONGEST
from .scope import Scope, answered
from .signatures import KEYWORD_ONLY, VAR_KEYWORD, VAR_POSITIONAL, Parameter, signature_of
from .tokens import Bracket, Token, brackets_around, joined, tokenize

LONGEST_DOC = 20_000


def sign(code: str, cursor_pos: int, namespace: Mapping[str, Any], shell: Any, policy: str = "safe") -> SignatureReply:
    """Answer a signature_request: the signature of the innermost call around the cursor whose function is known."""
    cursor = max(0, min(cursor_pos, len(code)))
    return answered(Scope(namespace, shell, policy), lambda scope: _reply(code, cursor, scope))


def _reply(code: str, cursor: int, scope: Scope) -> SignatureReply:
    begin = 0 if cursor <= LONGEST else code.rfind("\n", 0, cursor - LONGEST) + 1
    tokens = tokenize(code[begin:cursor], begin)
    if tokens and tokens[-1].kind == "comment":
        return SignatureReply()
    tokens = joined(tokens)
    for bracket in brackets_around(tokens, code):
        if bracket.text != "(" or not bracket.source:
            continue
        callee = scope.find(bracket.source)
        if callee is None or callee.value is UNKNOWN or callee.is_opaque:
            return SignatureReply()
        found = signature_of(callee.value, callee.is_bound)
        if found is None:
            return SignatureReply()
        name = bracket.source.rpartition(".")[2]
        doc = documentation(callee.value)
        said = parameter_docs(doc)
        shown = [CallParameter(own.text, said.get(own.name, "")) for own in found.parameters]
        active = _active(found.parameters, bracket, tokens)
        return SignatureReply(True, [CallSignature(f"{name}{found}", markdown(doc)[:LONGEST_DOC], shown)], 0, active)
    return SignatureReply()


def _active(parameters: list[Parameter], call: Bracket, tokens: list[Token]) -> int:
    """The index of the parameter that the cursor is in; the number of parameters when there is none for it."""
    keyword = call.keyword
    if keyword:
        named = (at for at, own in enumerate(parameters) if own.name == keyword and own.is_keyword)
        rest = (at for at, own in enumerate(parameters) if own.kind == VAR_KEYWORD)
        return next(named, next(rest, len(parameters)))
    given = set(given_names(tokens, call))
    if given:  # behind name=value only names may follow: the first that is left
        left = (at for at, own in enumerate(parameters) if own.is_keyword and own.name not in given)
        following = [at for at in left if at >= call.position]
        return following[0] if following else len(parameters)
    for at, own in enumerate(parameters):
        if own.kind == VAR_POSITIONAL or (at == call.position and own.kind < KEYWORD_ONLY):
            return at
    return len(parameters)
