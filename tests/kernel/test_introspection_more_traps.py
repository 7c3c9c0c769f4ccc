"""More traps: odd keys, subclasses of containers, bound and partial traps, metaclass hooks, and all four requests over them."""

from __future__ import annotations

import functools
import sys
import threading
import time
import types
from typing import Any

import pytest

from zmqkernel.kernel.introspection import complete, define, inspect, sign

CALLS: list[str] = []


def called(what: str) -> None:
    CALLS.append(what)


class Everything:
    """Records every special method that Python may call on its own, and hangs where it is asked for its name."""

    def __getattribute__(self, name: str) -> Any:
        called(f"__getattribute__ {name}")
        return object.__getattribute__(self, name)


def _recorder(name: str) -> Any:
    def method(self: object, *args: object) -> Any:
        called(name)
        return 1

    return method


SPECIAL = [
    "__call__", "__len__", "__bool__", "__iter__", "__contains__", "__getitem__", "__repr__", "__str__",
    "__format__", "__eq__", "__lt__", "__index__", "__int__", "__float__", "__dir__", "__length_hint__",
    "__fspath__", "__enter__", "__get__", "__missing__", "__reversed__", "__bytes__", "__sizeof__",
    "__array__", "__dataframe__", "_repr_html_", "_repr_mimebundle_", "_ipython_display_",
    "_ipython_key_completions_", "keys", "items", "columns",
]  # fmt: skip
for _name in SPECIAL:
    setattr(Everything, _name, _recorder(_name))


class Hooked(type):
    """A metaclass with every hook."""

    @classmethod
    def __prepare__(cls, name: str, bases: tuple[type, ...], **keys: object) -> dict[str, Any]:
        called("__prepare__")
        return OddNames()

    def __getattribute__(cls, name: str) -> Any:
        called(f"metaclass __getattribute__ {name}")
        return super().__getattribute__(name)

    def __getattr__(cls, name: str) -> Any:
        called("metaclass __getattr__")
        raise AttributeError(name)

    def __instancecheck__(cls, instance: object) -> bool:
        called("__instancecheck__")
        return True

    def __subclasscheck__(cls, subclass: type) -> bool:
        called("__subclasscheck__")
        return True

    def __call__(cls, *args: Any, **keys: Any) -> Any:
        called("metaclass __call__")
        return super().__call__(*args, **keys)

    def __hash__(cls) -> int:
        called("metaclass __hash__")
        return 1

    def __eq__(cls, other: object) -> bool:
        called("metaclass __eq__")
        return True

    def __repr__(cls) -> str:
        called("metaclass __repr__")
        return "?"

    def __dir__(cls) -> list[str]:
        called("metaclass __dir__")
        return []

    def __iter__(cls) -> Any:
        called("metaclass __iter__")
        return iter(())


class OddNames(dict[str, Any]):
    """What __prepare__ gives."""

    def __getitem__(self, key: str) -> Any:
        called("namespace __getitem__")
        return super().__getitem__(key)

    def __setitem__(self, key: str, value: Any) -> None:
        called("namespace __setitem__")
        super().__setitem__(key, value)


class OfHooked(metaclass=Hooked):
    member = 1

    def method(self, left: int) -> OfHooked:
        return self


class OddKey(str):
    """Equal to everything, with the hash of the name that is looked for."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        called("key __eq__")
        return False

    def __hash__(self) -> int:
        called("key __hash__")
        return str.__hash__(self)

    def startswith(self, *args: Any) -> bool:  # type: ignore[override]
        called("key startswith")
        return True


def overriding(kind: type) -> Any:
    """A subclass of a container with every reading method overridden."""
    names = [
        name
        for name in ("__getitem__", "__iter__", "__len__", "__repr__", "__contains__", "__eq__", "__str__")
        if hasattr(kind, name)
    ]
    names += [name for name in ("keys", "items", "values", "get", "copy", "index", "count") if hasattr(kind, name)]
    return type(f"Odd{kind.__name__}", (kind,), {name: _recorder(f"{kind.__name__} {name}") for name in names})


everything = object.__new__(Everything)
odd_class = type("OddClass", (), {OddKey("member"): 1, OddKey("__init__"): 2, OddKey("__dict__"): 3, "plain": 4})


def annotated(first: Any = everything, *, second: Any = everything) -> Any:
    """Everything about it is a trap."""


annotated.__annotations__ = {"first": everything, "return": everything}
annotated.__kwdefaults__ = {"second": everything}
annotated.__dict__.update({"__wrapped__": everything, "__signature__": everything, "__text_signature__": everything})
documented = types.FunctionType(annotated.__code__, {}, "documented")
documented.__doc__ = everything  # type: ignore[assignment]
named = types.FunctionType(annotated.__code__, {"__name__": everything, "__builtins__": {}}, "named")
named.__annotations__ = {"return": "Self"}
lazy = types.ModuleType("lazy")
lazy.__dict__.update({"__getattr__": everything, "__path__": everything, "__file__": everything, "__dir__": everything})
with_dict = object.__new__(type("WithDict", (), {"__dict__": property(_recorder("__dict__ property"))}))
with_slots = object.__new__(type("WithSlots", (), {"__slots__": ("slot",), "__getattr__": _recorder("__getattr__")}))
torch_like = types.SimpleNamespace(_modules={"layer": everything, OddKey("odd"): 1}, _parameters=everything)

NAMESPACE: dict[str, Any] = {
    "everything": everything,
    "hooked": object.__new__(OfHooked),
    "OfHooked": OfHooked,
    "odddict": overriding(dict)(),
    "oddlist": overriding(list)(),
    "oddtuple": overriding(tuple)(),
    "oddstr": overriding(str)("text"),
    "oddint": type("OddInt", (int,), {name: _recorder(name) for name in ("__repr__", "__index__", "__eq__")})(),
    "keys": {OddKey("member"): everything, "real": everything, (1, OddKey("x")): 1},
    "inner": [everything, {"key": everything}],
    "odd_class": odd_class,
    "odd_one": object.__new__(odd_class),
    "annotated": annotated,
    "documented": documented,
    "named": named,
    "bound": types.MethodType(everything, everything),
    "partial": functools.partial(everything, everything, key=everything),
    "cached": functools.lru_cache(annotated),
    "lazy": lazy,
    "with_dict": with_dict,
    "with_slots": with_slots,
    "torch_like": torch_like,
    "kept": property(everything),
    "held": staticmethod(everything),
    OddKey("member"): 1,
}
SUFFIXES = [
    "", ".", ".mem", ".member.", ".method(", ".method(1).", "[0].", '["', '["real"].', '["real', "[", "[1, ", "(",
    "(first=",
    "().", ".layer.", ".columns", '.loc[:, "', '.groupby("', ".__class__.", ".__dict__", ".__doc__",
    ".slot.", ".get('", ".__init__(",
]  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", [str(name) for name in NAMESPACE])
def test_nothing_runs(name: str, suffix: str) -> None:
    code = name + suffix
    CALLS.clear()
    complete(code, len(code), NAMESPACE, None)
    for level in (0, 1):
        inspect(code, len(code), level, NAMESPACE, None)
    sign(code, len(code), NAMESPACE, None)
    define(code, len(code), NAMESPACE, None)
    assert CALLS == []


@pytest.mark.parametrize(
    "code",
    [
        "from lazy import ",
        "import lazy.",
        "x = ",
        "print(",
        "sns.plot(everything, x='",
        "f'{hooked.",
        "%timeit everything.",
    ],
)
def test_nothing_runs_elsewhere(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lazy", lazy)
    CALLS.clear()
    complete(code, len(code), NAMESPACE, None)
    assert CALLS == []


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("hooked.", ["member", "method"]),
        ("OfHooked.", ["member", "method"]),
        ("hooked.method(1).mem", ["member"]),
        ("odd_one.", ["plain"]),
        ("keys['", ["real']"]),
        ("torch_like.lay", ["layer"]),
        ("annotated(fi", ["first=", "filter", "finally"]),
        ("cached(fi", ["first=", "filter", "finally"]),
        ("with_slots.", ["slot"]),
    ],
)
def test_what_can_be_found_is_found(code: str, expected: list[str]) -> None:
    assert complete(code, len(code), NAMESPACE, None).matches == expected


def test_the_traps_do_count() -> None:
    CALLS.clear()
    assert repr(OfHooked) == "?"
    assert everything["x"] == 1  # type: ignore[index]
    assert OfHooked.member == 1
    assert len(NAMESPACE["oddlist"]) == 1
    assert {"metaclass __repr__", "__getitem__", "metaclass __getattribute__ member", "list __len__"} <= set(CALLS)


def test_objects_that_change_while_they_are_read() -> None:
    class Thing:
        pass

    thing, table, names, stop = Thing(), dict[str, Any](), dict[str, Any](), threading.Event()
    names.update(thing=thing, table=table, Thing=Thing)

    def change() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            setattr(thing, f"name{n % 97}", n)
            setattr(Thing, f"shared{n % 89}", n)
            table[f"key{n % 101}"] = {"inner": n}
            names[f"variable{n % 103}"] = n
            thing.__dict__.pop(f"name{(n * 7) % 97}", None)
            if (shared := f"shared{(n * 5) % 89}") in Thing.__dict__:
                delattr(Thing, shared)
            table.pop(f"key{(n * 3) % 101}", None)
            names.pop(f"variable{(n * 11) % 103}", None)

    thread = threading.Thread(target=change)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread.start()
    try:
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            for code in ("thing.", "Thing.", 'table["', "vari", 'table["key5"]["', "thing.name5"):
                complete(code, len(code), names, None)
                inspect(code, len(code), 0, names, None)
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
