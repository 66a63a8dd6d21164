"""Frozen values behave as `@dataclass(frozen=True, slots=True)` makes them; only what they cost is different."""

from typing import Any, Generic, TypeVar

import pytest

from deploystep.core import frozen

T = TypeVar("T")


def made() -> Any:
    class Point(frozen.Frozen, Generic[T]):
        """A place."""

        x: int
        name: str = "here"
        more: tuple[int, ...] = (1,)

        @property
        def double(self) -> int:
            return 2 * self.x

    return Point


def test_fields_equality_and_words() -> None:
    point, alike = made(), made()
    for value in (point(1), point(1, "here"), point(x=1), point(1, name="here"), point(x=1, name="here", more=(1,))):
        assert (value.x, value.name, value.more, value.double) == (1, "here", (1,), 2)
        assert (value, hash(value)) == (point(1), hash(point(1)))
        assert repr(value) == "made.<locals>.Point(x=1, name='here', more=(1,))"
    assert len({point(1), point(1), point(2), point(1, "there"), point(1, more=())}) == 4
    assert (point(1) == point(2), point(1) == alike(1), point(1) == (1, "here", (1,))) == (False, False, False)
    assert (point.__doc__, point.__name__, point.__module__) == ("A place.", "Point", __name__)
    assert not hasattr(point(1), "__dict__")
    assert point.__match_args__ == ("x", "name", "more")


def test_what_is_refused() -> None:
    point = made()
    change: Any
    for change in (lambda it: setattr(it, "x", 2), lambda it: delattr(it, "x"), lambda it: setattr(it, "other", 2)):
        with pytest.raises(AttributeError):
            change(point(1))
    misfits: list[tuple[tuple[object, ...], dict[str, object]]] = [((), {}), ((1, "a", (), 4), {}), ((1,), {"y": 2})]
    misfits += [((1,), {"x": 1}), ((), {"name": "a"}), ((1, ""), {"x": 1})]
    for given, named in misfits:
        with pytest.raises(TypeError):
            point(*given, **named)


def test_what_is_replaced_and_odd_classes() -> None:
    class Named(frozen.Frozen):
        name: str
        size: int

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Named) and self.name == other.name

        def __hash__(self) -> int:
            return hash(self.name)

    class Nothing(frozen.Frozen):
        """Nothing."""

    point = made()
    assert len({Named("a", 1), Named("a", 2), Named("b", 1)}) == 2
    assert len({Nothing(), Nothing()}) == 1
    assert frozen.replace(point(1, "a", ()), name="there") == point(1, "there", ())
    with pytest.raises(TypeError):
        frozen.replace(point(1), y=2)
