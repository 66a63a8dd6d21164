"""Frozen values behave as `@dataclass(frozen=True, slots=True)` makes them; only what they cost is different."""

from __future__ import annotations

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


Point, Alike = made(), made()


def test_fields_equality_and_words() -> None:
    for point in (Point(1), Point(1, "here"), Point(x=1), Point(1, name="here"), Point(1, "here", (1,))):
        assert (point.x, point.name, point.more, point.double) == (1, "here", (1,), 2)
        assert (point, hash(point)) == (Point(1), hash(Point(1)))
        assert repr(point) == "made.<locals>.Point(x=1, name='here', more=(1,))"
    assert len({Point(1), Point(1), Point(2), Point(1, "there"), Point(1, more=())}) == 4
    assert Point(1) not in ((1, "here", (1,)), Alike(1))
    assert (Point.__doc__, Point.__name__, Point.__module__) == ("A place.", "Point", __name__)
    assert not hasattr(Point(1), "__dict__")
    assert Point.__match_args__ == ("x", "name", "more")


def test_what_is_refused() -> None:
    change: Any
    for change in (lambda it: setattr(it, "x", 2), lambda it: delattr(it, "x"), lambda it: setattr(it, "other", 2)):
        with pytest.raises(AttributeError):
            change(Point(1))
    misfits: list[tuple[tuple[object, ...], dict[str, object]]] = [((), {}), ((1, "a", (), 4), {}), ((1,), {"y": 2})]
    misfits += [((1,), {"x": 1}), ((), {"name": "a"}), ((1, ""), {"x": 1})]
    for given, named in misfits:
        with pytest.raises(TypeError):
            Point(*given, **named)


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

    assert len({Named("a", 1), Named("a", 2), Named("b", 1)}) == 2
    assert len({Nothing(), Nothing()}) == 1
    assert frozen.replace(Point(1, "a", ()), name="there") == Point(1, "there", ())
    with pytest.raises(TypeError):
        frozen.replace(Point(1), y=2)
