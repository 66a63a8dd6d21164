"""Frozen values behave as the standard library's do; only what they cost is different."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any, Generic, TypeVar

import pytest

from deploystep.core import frozen

T = TypeVar("T")


def both() -> list[Any]:
    """The same class, made by the standard library and by us."""
    made = []
    for decorate, field in ((dataclasses.dataclass, dataclasses.field), (frozen.dataclass, frozen.field)):

        @decorate(frozen=True, slots=True, order=True)
        class Point(Generic[T]):
            """A place."""

            x: int
            name: str = "here"
            more: dict[str, int] = field(default_factory=dict, repr=False, compare=False)

            @property
            def double(self) -> int:
                return 2 * self.x

        made.append(Point)
    return made


STANDARD, OURS = both()


@pytest.mark.parametrize("point", [STANDARD, OURS])
class TestBoth:
    def test_are_made_by_position_by_name_and_with_defaults(self, point: Any) -> None:
        for made in (point(1), point(1, "here"), point(x=1), point(1, name="here"), point(1, "here", {})):
            assert (made.x, made.name, made.more, made.double) == (1, "here", {}, 2)
        assert point(1).more is not point(1).more

    @pytest.mark.parametrize(
        ("given", "named"), [((), {}), ((1, "a", {}, 4), {}), ((1,), {"y": 2}), ((1,), {"x": 1}), ((), {"name": "a"})]
    )
    def test_refuse_what_does_not_fit(self, point: Any, given: tuple[object, ...], named: dict[str, object]) -> None:
        with pytest.raises(TypeError):
            point(*given, **named)

    def test_are_equal_by_what_is_compared(self, point: Any) -> None:
        assert point(1, "a", {"b": 1}) == point(1, "a")
        assert hash(point(1, "a", {"b": 1})) == hash(point(1, "a"))
        assert point(1) != point(2)
        assert point(1) != (1, "here")
        assert point(1) != STANDARD(1) or point is STANDARD
        assert len({point(1), point(1), point(2)}) == 2

    def test_are_ordered(self, point: Any) -> None:
        assert point(1, "b") < point(2, "a") <= point(2, "a")
        assert point(2) > point(1) >= point(1)
        with pytest.raises(TypeError):
            assert point(1) < 1

    def test_are_shown(self, point: Any) -> None:
        assert repr(point(1)).endswith("Point(x=1, name='here')")

    def test_are_frozen(self, point: Any) -> None:
        made = point(1)
        with pytest.raises(AttributeError):
            made.x = 2
        with pytest.raises(AttributeError):
            del made.x
        with pytest.raises((AttributeError, TypeError)):
            made.other = 2
        assert made.x == 1

    def test_are_replaced_by_either_library(self, point: Any) -> None:
        for replace in (dataclasses.replace, frozen.replace):
            assert replace(point(1), name="there") == point(1, "there")

    def test_are_taken_apart(self, point: Any) -> None:
        assert [field.name for field in dataclasses.fields(point)] == ["x", "name", "more"]
        assert dataclasses.asdict(point(1)) == {"x": 1, "name": "here", "more": {}}
        match point(1, "a"):
            case point(x, name):
                assert (x, name) == (1, "a")
            case _:
                pytest.fail("it has no parts")

    def test_have_no_room_for_more(self, point: Any) -> None:
        assert not hasattr(point(1), "__dict__")
        assert point.__slots__ == ("x", "name", "more")
        assert (point.__doc__, point.__name__) == ("A place.", "Point")


def test_copies_are_equal() -> None:
    from deploystep.core.source import Pos, Span  # noqa: PLC0415 - a class that can be found by its name

    span = Span(Pos(1, 2), 3)
    assert copy.copy(span) == copy.deepcopy(span) == pickle.loads(pickle.dumps(span)) == span  # noqa: S301 - our own


def test_a_value_without_fields_equals_every_other() -> None:
    @frozen.dataclass(frozen=True, slots=True)
    class Nothing:
        """Nothing."""

    assert Nothing() == Nothing()
    assert len({Nothing(), Nothing()}) == 1
    assert repr(Nothing()).endswith("Nothing()")


def test_nothing_else_can_be_asked_for() -> None:
    with pytest.raises(TypeError):
        frozen.dataclass(frozen=False, slots=True)
