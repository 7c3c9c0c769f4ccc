"""Introspection never runs user code: objects that count every call of theirs."""

from __future__ import annotations

import time
from typing import Any

import pytest

from zmqkernel.kernel.introspection import complete, inspect

CALLS: list[str] = []


def called(what: str) -> None:
    CALLS.append(what)


class Nested:
    leaf = 1

    @property
    def prop(self) -> int:
        called("nested property")
        return 1


class Trap:
    plain = Nested()

    def __init__(self) -> None:
        self.child = Nested()

    def __dir__(self) -> list[str]:
        called("__dir__")
        return ["invented"]

    def __getattr__(self, name: str) -> Any:
        called("__getattr__")
        return Nested()

    def __getitem__(self, key: object) -> Nested:
        called("__getitem__")
        return Nested()

    def __repr__(self) -> str:
        called("__repr__")
        return "trap"

    def __len__(self) -> int:
        called("__len__")
        return 1

    def __bool__(self) -> bool:
        called("__bool__")
        return True

    def __eq__(self, other: object) -> bool:
        called("__eq__")
        return False

    def __hash__(self) -> int:
        called("__hash__")
        return 1

    def __call__(self) -> Nested:
        called("__call__")
        return Nested()

    def _ipython_key_completions_(self) -> list[str]:
        called("_ipython_key_completions_")
        return ["key"]

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        called("__doc__ property")
        return "doc"

    @property
    def prop(self) -> Nested:
        called("property")
        return Nested()

    @property
    def typed(self) -> Nested:
        called("annotated property")
        return Nested()

    @property
    def slow(self) -> Nested:
        called("slow property")
        time.sleep(0.3)
        return Nested()

    @property
    def silent(self):
        called("property without a type")
        return Nested()

    def method(self) -> Nested:
        called("method")
        return Nested()


class Proxy:
    """As lazy loaders and local proxies do it."""

    def __getattribute__(self, name: str) -> Any:
        called("__getattribute__")
        return object.__getattribute__(Nested(), name)

    @property
    def __class__(self) -> type:  # type: ignore[override]
        called("__class__ property")
        return Nested

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        called("__dict__ property")
        return {}


class Meta(type):
    def __getattribute__(cls, name: str) -> Any:
        called("metaclass __getattribute__")
        return super().__getattribute__(name)

    def __dir__(cls) -> list[str]:
        called("metaclass __dir__")
        return []

    def __instancecheck__(cls, instance: object) -> bool:
        called("__instancecheck__")
        return True

    def __subclasscheck__(cls, subclass: type) -> bool:
        called("__subclasscheck__")
        return True

    @property
    def __mro__(cls) -> tuple[type, ...]:  # type: ignore[override]
        called("__mro__ property")
        return ()

    @property
    def __name__(cls) -> str:  # type: ignore[override]
        called("__name__ property")
        return "?"


class OfMeta(metaclass=Meta):
    member = 1


class Descriptor:
    def __get__(self, instance: object, kind: type) -> Nested:
        called("__get__")
        return Nested()

    def __set__(self, instance: object, value: object) -> None:
        called("__set__")


class WithDescriptor:
    watched = Descriptor()


class EvilKey(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        called("key __eq__")
        return True

    def __hash__(self) -> int:
        return hash("key")


class EvilDict(dict):
    def __getitem__(self, key: object) -> Any:
        called("dict __getitem__")

    def keys(self) -> Any:
        called("dict keys")
        return super().keys()

    def items(self) -> Any:
        called("dict items")
        return super().items()

    def __iter__(self) -> Any:
        called("dict __iter__")
        return super().__iter__()

    def __len__(self) -> int:
        called("dict __len__")
        return 0

    def __repr__(self) -> str:
        called("dict __repr__")
        return ""


class Default:
    def __repr__(self) -> str:
        called("default __repr__")
        return ""


def with_defaults(first: Any = Default(), *, second: Any = Default()) -> None:  # noqa: B008
    """Its defaults and its signature are traps."""


with_defaults.__signature__ = Trap()  # type: ignore[attr-defined]
with_defaults.__wrapped__ = Trap()  # type: ignore[attr-defined]
with_defaults.__annotations__ = {"first": Trap(), "second": OfMeta}

NAMESPACE: dict[str, Any] = {
    "trap": Trap(),
    "proxy": Proxy(),
    "meta": OfMeta(),
    "Meta": OfMeta,
    "watcher": WithDescriptor(),
    "evil": EvilDict(key=1),
    "keyed": {EvilKey("key"): Nested(), "real": Nested()},
    "holder": [Trap(), Proxy()],
    "with_defaults": with_defaults,
}
NOTHING: list[str] = []


@pytest.fixture(autouse=True)
def count() -> None:
    CALLS.clear()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("trap.", ["child", "method", "plain", "prop", "silent", "slow", "typed"]),
        ("trap.pro", ["prop"]),
        ("trap.prop.", ["leaf", "prop"]),  # its annotation says what it is
        ("trap.typed.", ["leaf", "prop"]),
        ("trap.slow.", ["leaf", "prop"]),
        ("trap.silent.", NOTHING),
        ("trap.plain.", ["leaf", "prop"]),
        ("trap.child.", ["leaf", "prop"]),
        ("trap.dynamic.", NOTHING),
        ('trap["', NOTHING),
        ("trap[0].", NOTHING),
        ("trap().", ["leaf", "prop"]),
        ("trap.method().", ["leaf", "prop"]),
        ("proxy.", NOTHING),
        ("meta.", ["member"]),
        ("Meta.", ["member"]),
        ("tr", ["trap", "try"]),
        ("trap + trap.", ["child", "method", "plain", "prop", "silent", "slow", "typed"]),
        ("watcher.", ["watched"]),
        ("watcher.watched.", NOTHING),
        ('evil["', NOTHING),
        ('evil["key"].', NOTHING),
        ('keyed["', ['real"]']),
        ('keyed["real"].', ["leaf", "prop"]),
        ('keyed["key"].', NOTHING),
        ("holder[0].child.", ["leaf", "prop"]),
        ("with_defaults(fi", ["first=", "filter", "finally"]),
        ("trap(", None),
        ("Meta(", None),
        ("", None),
    ],
)
def test_completion_runs_nothing(code: str, expected: list[str] | None) -> None:
    found = complete(code, len(code), NAMESPACE, None).matches
    assert CALLS == []
    if expected is not None:
        assert found == expected


@pytest.mark.parametrize("detail_level", [0, 1])
@pytest.mark.parametrize(
    "code",
    [
        "trap", "trap.prop", "trap.slow", "trap.method", "trap.dynamic", "trap[0]", "trap()", "trap(", "trap.plain.prop",
        "proxy", "proxy.anything", "meta", "Meta", "Meta.member", "watcher.watched", "evil", "keyed", "holder", "with_defaults",
        "with_defaults(",
    ],
)  # fmt: skip
def test_inspection_runs_nothing(code: str, detail_level: int) -> None:
    inspect(code, len(code), detail_level, NAMESPACE, None)
    assert CALLS == []


def test_the_traps_do_count() -> None:
    assert len([NAMESPACE["trap"].prop, dir(NAMESPACE["trap"]), NAMESPACE["proxy"].leaf, OfMeta.member]) == 4
    assert {"property", "__dir__", "__getattribute__", "metaclass __getattribute__"} <= set(CALLS)
