"""Which parameter an argument is for."""

from __future__ import annotations

import pytest

from lsp_bridge.features.signature import active_of
from lsp_bridge.mirrored import parts_of
from lsp_bridge.place import call_at


@pytest.mark.parametrize(
    ("signature", "typed", "active"),
    [
        ("(a, b=2)", "f(", 0),
        ("(a, b=2)", "f(1, ", 1),
        ("(a, b=2)", "f(b=", 1),
        ("(a, b=2)", "f(1, 2, ", None),
        ("(a, *args, key=1)", "f(1, 2, 3, ", 1),
        ("(a, *, key=1)", "f(1, ", None),
        ("(a, *, key=1)", "f(1, key=", 2),
        ("(a, /, b)", "f(1, ", 2),
        ("(a, **rest)", "f(x=", 1),
        ("()", "f(", None),
    ],
)
def test_the_active_parameter(signature: str, typed: str, active: int | None) -> None:
    call = call_at(typed, len(typed))
    assert call
    assert active_of(parts_of(signature), call) == active


def test_parameters_keep_their_commas() -> None:
    assert parts_of("(a: dict[str, int] = {}, b=(1, 2)) -> tuple[int, str]") == ["a: dict[str, int] = {}", "b=(1, 2)"]
    assert parts_of("()") == []
    assert parts_of("") == []
