"""Frozen values behave as the standard library's do; only what they cost is different."""

from __future__ import annotations

import dataclasses
from typing import Any, Generic, TypeVar

import pytest

from deploystep.core import frozen

T = TypeVar("T")


class Plain:
    __slots__ = ()


def both() -> list[Any]:
    """The same class, made by the standard library and by us."""
    made = []
    for base in (Plain, frozen.Frozen):

        class Point(base, Generic[T]):  # type: ignore[misc, valid-type]
            """A place."""

            x: int
            name: str = "here"
            more: tuple[int, ...] = (1,)

            @property
            def double(self) -> int:
                return 2 * self.x

        made.append(dataclasses.dataclass(frozen=True, slots=True)(Point) if base is Plain else Point)
    return made


STANDARD, OURS = both()


@pytest.mark.parametrize("point", [STANDARD, OURS])
def test_both_are_one(point: Any) -> None:
    for made in (point(1), point(1, "here"), point(x=1), point(1, name="here"), point(1, "here", (1,))):
        assert (made.x, made.name, made.more, made.double) == (1, "here", (1,), 2)
        assert (made, hash(made)) == (point(1), hash(point(1)))
        assert repr(made) == "both.<locals>.Point(x=1, name='here', more=(1,))"
    assert len({point(1), point(1), point(2), point(1, "there"), point(1, more=())}) == 4
    assert point(1) not in ((1, "here", (1,)), *([STANDARD(1)] if point is OURS else []))
    assert (point.__doc__, point.__name__, point.__module__) == ("A place.", "Point", __name__)
    assert not hasattr(point(1), "__dict__")
    assert point.__match_args__ == ("x", "name", "more")
    change: Any
    for change in (lambda it: setattr(it, "x", 2), lambda it: delattr(it, "x"), lambda it: setattr(it, "other", 2)):
        with pytest.raises((AttributeError, TypeError)):
            change(point(1))


@pytest.mark.parametrize("point", [STANDARD, OURS])
def test_both_refuse_what_does_not_fit(point: Any) -> None:
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

    assert len({Named("a", 1), Named("a", 2), Named("b", 1)}) == 2
    assert len({Nothing(), Nothing()}) == 1
    assert frozen.replace(OURS(1, "a", ()), name="there") == OURS(1, "there", ())
    with pytest.raises(TypeError):
        frozen.replace(OURS(1), y=2)
