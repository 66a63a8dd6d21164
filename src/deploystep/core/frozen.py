"""Frozen values: `@dataclass(frozen=True, slots=True)` for a program that starts often and lives for a moment.

The standard library writes and compiles the source of six methods for each class, and loads `inspect` to do so. With a
hundred classes that takes longer than all that a step which finds nothing to do has to do. Here the methods are
closures. A type checker sees the standard library's decorator, and its `replace` and `fields` take these values too.
"""

from collections.abc import Callable, Mapping
from operator import attrgetter, ge, gt, le, lt
from typing import TYPE_CHECKING, Any, Final, TypeVar

__all__ = ["dataclass", "field", "replace"]

T = TypeVar("T")
Key = Callable[[Any], Any]


class _Field:
    """What is said of a field besides its type."""

    __slots__ = ("compare", "make", "repr")

    def __init__(
        self,
        *,
        default_factory: Callable[[], object] | None = None,
        repr: bool = True,  # noqa: A002 - the standard library's name
        compare: bool = True,
    ) -> None:
        self.make = default_factory
        self.repr = repr
        self.compare = compare


_PLAIN: Final = _Field()


class _StandardFields:
    """What `dataclasses` keeps about a class; made when it is asked for, which only `dataclasses` does."""

    def __get__(self, _instance: object, owner: type) -> Mapping[str, Any]:
        import dataclasses  # noqa: PLC0415 - not to load it is the purpose of this module

        twin = type(owner.__name__, (), {"__annotations__": owner.__annotations__, "__module__": owner.__module__})
        made: Any = dataclasses.dataclass(twin)
        found: Mapping[str, Any] = made.__dataclass_fields__
        return found


_STANDARD_FIELDS: Final = _StandardFields()


def _dataclass(*, frozen: bool, slots: bool, order: bool = False) -> Callable[[type[T]], type[T]]:
    """Make a class one of frozen values. Nothing else can be asked for, and nothing is inherited."""
    if not (frozen and slots):
        raise TypeError("only frozen values with slots")
    return lambda written: _made(written, order=order)


def _made(written: Any, *, order: bool) -> Any:
    names = tuple(written.__annotations__)
    given = {name: written.__dict__[name] for name in names if name in written.__dict__}
    known = {name: value if isinstance(value, _Field) else _PLAIN for name, value in given.items()}
    key = _key([name for name in names if known.get(name, _PLAIN).compare])
    body = {name: value for name, value in written.__dict__.items() if name not in {*given, "__dict__", "__weakref__"}}
    usual: dict[str, object] = {
        "__slots__": names,
        "__match_args__": names,
        "__qualname__": written.__qualname__,
        "__dataclass_fields__": _STANDARD_FIELDS,
        "__repr__": _repr([name for name in names if known.get(name, _PLAIN).repr]),
        "__eq__": _eq(key),
        "__hash__": lambda self: hash(key(self)),
        "__reduce__": lambda self: (type(self), tuple(getattr(self, name) for name in names)),
        "__setattr__": _refuse,
        "__delattr__": _refuse,
    }
    made: Any = type(written)(
        written.__name__, written.__bases__, {**usual, **(_ordering(key) if order else {}), **body}
    )
    made.__init__ = _init(made, names, given)
    return made


def _key(names: list[str]) -> Key:
    """What two values are compared by."""
    return attrgetter(*names) if names else lambda _value: ()


def _init(made: type, names: tuple[str, ...], given: Mapping[str, Any]) -> Callable[..., None]:
    puts = tuple(made.__dict__[name].__set__ for name in names)
    count = len(names)
    least = next((at for at, name in enumerate(names) if name in given), count)
    usual = tuple(given.get(name) for name in names[least:])
    is_plain = not any(isinstance(value, _Field) for value in usual)

    def init(self: object, *values: object, **named: object) -> None:
        if named or len(values) != count:
            if named or not is_plain or not least <= len(values) < count:
                values = _completed(made.__name__, names, given, values, named)
            else:
                values += usual[len(values) - least :]
        for put, value in zip(puts, values):  # noqa: B905 - both are as long as the names
            put(self, value)

    return init


def _completed(
    what: str, names: tuple[str, ...], given: Mapping[str, Any], values: tuple[object, ...], named: dict[str, object]
) -> tuple[object, ...]:
    """The values of all fields in their order; raises TypeError where one is missing or strange."""
    if len(values) > len(names):
        raise TypeError(f"{what} takes {len(names)} values but {len(values)} were given")
    rest = names[len(values) :]
    found = (*values, *[named.pop(name) if name in named else _default(what, name, given) for name in rest])
    if named:
        raise TypeError(f"{what} got values for {', '.join(sorted(named))} as well")
    return found


def _default(what: str, name: str, given: Mapping[str, Any]) -> object:
    if name not in given:
        raise TypeError(f"{what} got no value for {name}")
    value = given[name]
    return value.make() if isinstance(value, _Field) and value.make else value


def _repr(names: list[str]) -> Callable[[object], str]:
    def shown(self: object) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return shown


def _eq(key: Key) -> Callable[[object, object], object]:
    def is_equal(self: object, other: object) -> object:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return self is other or key(self) == key(other)

    return is_equal


def _ordering(key: Key) -> dict[str, Callable[[object, object], object]]:
    def ordered_by(compare: Callable[[Any, Any], Any]) -> Callable[[object, object], object]:
        def is_so(self: object, other: object) -> object:
            if other.__class__ is not self.__class__:
                return NotImplemented
            return compare(key(self), key(other))

        return is_so

    return {f"__{compare.__name__}__": ordered_by(compare) for compare in (lt, le, gt, ge)}


def _refuse(self: object, name: str, _value: object = None) -> None:
    raise AttributeError(f"{type(self).__name__}.{name} is frozen")


def _replace(value: T, **changes: object) -> T:
    """The value with other contents in some of its fields."""
    kept = {name: getattr(value, name) for name in type(value).__annotations__ if name not in changes}
    return type(value)(**kept, **changes)


if TYPE_CHECKING:
    from dataclasses import dataclass, field, replace
else:
    dataclass, field, replace = _dataclass, _Field, _replace
