"""Examples in the rule file: facts about a build, and what must become of the rules."""

from collections.abc import Mapping

from deploystep.core.build import BuildContext
from deploystep.core.frozen import dataclass
from deploystep.core.parameters import Scalar
from deploystep.core.source import Span, Spanned


@dataclass(frozen=True, slots=True)
class Given:
    """A build, and what git, the API and the clock would say; None where that is not stated."""

    build: BuildContext
    now: Spanned[str] | None
    changed: tuple[str, ...] | None
    merged_into: tuple[str, ...] | None
    author: str | None
    message: str | None
    jobs: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Expected:
    """What must come of it; None where the case says nothing about it.

    `fire` and `held` name exactly the rules that must fire or be held, `parameters` some of what a rule must send.
    """

    fire: tuple[Spanned[str], ...] | None
    held: tuple[Spanned[str], ...] | None
    parameters: tuple[tuple[Spanned[str], Mapping[str, Scalar]], ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One example."""

    name: str
    given: Given
    expect: Expected
    span: Span
