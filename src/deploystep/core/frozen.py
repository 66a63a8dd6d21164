"""Frozen values: as `@dataclass(frozen=True, slots=True)`, with closures where that compiles six methods a class.

For a hundred classes that takes longer than a step that finds nothing to do. No field is inherited.
"""

from operator import attrgetter
from typing import TYPE_CHECKING, Any

__all__ = ["Frozen", "replace"]


def _made(written: Any) -> Any:
    names = tuple(written.__annotations__)
    usual = {name: written.__dict__[name] for name in names if name in written.__dict__}
    key: Any = attrgetter(*names) if names else lambda _value: ()

    def init(self: object, *values: object, **named: object) -> None:
        if named or len(values) != len(names):
            given = {**usual, **dict(zip(names, values)), **named}  # noqa: B905 - there may be fewer of either
            if len(given) != len(names) or len(values) > len(names) or not named.keys() <= set(names[len(values) :]):
                raise TypeError(f"{made.__name__} takes {', '.join(names)}, each given once")
            values = tuple(map(given.get, names))
        for put, value in zip(puts, values):  # noqa: B905 - both are as long as the names
            put(self, value)

    def is_equal(self: object, other: object) -> object:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return self is other or key(self) == key(other)

    def shown(self: object) -> str:
        return f"{made.__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    def refuse(_self: object, name: str, _value: object = None) -> None:
        raise AttributeError(f"{made.__name__}.{name} is frozen")

    methods = {"__init__": init, "__eq__": is_equal, "__hash__": lambda self: hash(key(self)), "__repr__": shown}
    methods |= {"__setattr__": refuse, "__delattr__": refuse}
    body = {name: value for name, value in written.__dict__.items() if name not in {*usual, "__dict__", "__weakref__"}}
    form = {"__slots__": names, "__match_args__": names, "__qualname__": written.__qualname__}
    made: Any = type.__new__(type(written), written.__name__, written.__bases__, {**methods, **form, **body})
    puts = tuple(made.__dict__[name].__set__ for name in names)
    return made


class _Values(type):
    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Any:
        written = super().__new__(cls, name, bases, body)
        return _made(written) if bases else written


def _replace(value: Any, **changes: object) -> Any:
    return type(value)(**{**{name: getattr(value, name) for name in value.__slots__}, **changes})


if TYPE_CHECKING:
    from dataclasses import replace

    from typing_extensions import dataclass_transform

    @dataclass_transform(frozen_default=True)
    class Frozen:
        """A frozen value: its fields are the names that its class annotates."""
else:

    class Frozen(metaclass=_Values):
        """A frozen value: its fields are the names that its class annotates."""

        __slots__ = ()

    replace = _replace
