"""Frozen values behave as the standard library's do; only what they cost is different."""

from __future__ import annotations

import dataclasses
from typing import Any, Generic, TypeVar

import pytest

from deploystep.core import frozen

T = TypeVar("T")


def both() -> list[Any]:
    """The same class, made by the standard library and by us."""
    made = []
    for decorate, field in ((dataclasses.dataclass, dataclasses.field), (frozen.dataclass, frozen.field)):

        @decorate(frozen=True, slots=True)
        class Point(Generic[T]):
            """A place."""

            x: int
            name: str = "here"
            more: tuple[int, ...] = field(default_factory=lambda: (1,))

            @property
            def double(self) -> int:
                return 2 * self.x

        made.append(Point)
    return made


STANDARD, OURS = both()


@pytest.mark.parametrize("point", [STANDARD, OURS])
class TestBoth:
    def test_are_made_by_position_by_name_and_with_defaults(self, point: Any) -> None:
        for made in (point(1), point(1, "here"), point(x=1), point(1, name="here"), point(1, "here", (1,))):
            assert (made.x, made.name, made.more, made.double) == (1, "here", (1,), 2)
        assert (point(1, more=(2,)).name, point(1, more=(2,)).more) == ("here", (2,))

    @pytest.mark.parametrize(
        ("given", "named"),
        [((), {}), ((1, "a", (), 4), {}), ((1,), {"y": 2}), ((1,), {"x": 1}), ((), {"name": "a"}), ((1, ""), {"x": 1})],
    )
    def test_refuse_what_does_not_fit(self, point: Any, given: tuple[object, ...], named: dict[str, object]) -> None:
        with pytest.raises(TypeError):
            point(*given, **named)

    def test_are_equal_by_their_fields(self, point: Any) -> None:
        assert point(1) == point(1, "here", (1,))
        assert hash(point(1)) == hash(point(1, "here", (1,)))
        assert len({point(1), point(1), point(2), point(1, "there"), point(1, "here", ())}) == 4
        assert point(1) != (1, "here", (1,))
        assert point(1) != STANDARD(1) or point is STANDARD

    def test_are_shown_and_named_as_written(self, point: Any) -> None:
        assert repr(point(1)) == "both.<locals>.Point(x=1, name='here', more=(1,))"
        assert (point.__doc__, point.__name__, point.__module__) == ("A place.", "Point", __name__)

    def test_are_frozen(self, point: Any) -> None:
        made = point(1)
        with pytest.raises(AttributeError):
            made.x = 2
        with pytest.raises(AttributeError):
            del made.x
        with pytest.raises((AttributeError, TypeError)):
            made.other = 2
        assert made.x == 1
        assert not hasattr(made, "__dict__")

    def test_are_taken_apart(self, point: Any) -> None:
        match point(1, "a"):
            case point(x, name):
                assert (x, name) == (1, "a")
            case _:
                pytest.fail("it has no parts")


def test_a_value_is_replaced_in_some_of_its_fields() -> None:
    assert frozen.replace(OURS(1, "a", ()), name="there") == OURS(1, "there", ())
    with pytest.raises(TypeError):
        frozen.replace(OURS(1), y=2)


def test_a_class_may_say_itself_what_is_equal() -> None:
    @frozen.dataclass(frozen=True, slots=True)
    class Named:
        name: str
        size: int

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Named) and self.name == other.name

        def __hash__(self) -> int:
            return hash(self.name)

    assert len({Named("a", 1), Named("a", 2), Named("b", 1)}) == 2


def test_a_value_without_fields_equals_every_other() -> None:
    @frozen.dataclass(frozen=True, slots=True)
    class Nothing:
        """Nothing."""

    assert len({Nothing(), Nothing()}) == 1
    with pytest.raises(TypeError):
        frozen.dataclass(frozen=False, slots=True)
