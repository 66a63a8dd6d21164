"""What a decision can depend on besides the build itself, as questions and answers.

A question is a value; its answer is known, or unavailable with the reason and the cure, or has not been asked.
The decision says which questions it still needs, so that git and the API are asked only what matters.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import IntEnum, unique
from typing import Generic, TypeAlias, TypeVar

from deploystep.core.build import BuildContext
from deploystep.core.frozen import dataclass, field

T_co = TypeVar("T_co", covariant=True)


@unique
class Cost(IntEnum):
    """How dear an answer is; within an alternative the cheapest is asked first."""

    ENVIRONMENT = 0
    COMMIT = 1
    ANCESTRY = 2
    PATHS = 3


@unique
class Base(IntEnum):
    """Where a comparison of files starts, besides a ref that the rule names."""

    MERGE_BASE = 0
    PREVIOUS_COMMIT = 1
    LAST_DEPLOY = 2


@dataclass(frozen=True, slots=True)
class ChangedSince:
    """Which files changed since the base; `ref` where the rule names one, `workflow` for the last deploy by it.

    A last deploy that has been looked up has its commit as `ref`.
    """

    base: Base | None = None
    ref: str | None = None
    workflow: str | None = None


@dataclass(frozen=True, slots=True)
class IsMergedInto:
    """Whether the revision is an ancestor of a branch of the remote, or is its head."""

    branch: str


@dataclass(frozen=True, slots=True)
class AuthorOf:
    """The e-mail address of the commit's author."""


@dataclass(frozen=True, slots=True)
class MessageOf:
    """The whole commit message."""


@dataclass(frozen=True, slots=True)
class JobsOf:
    """The jobs of this workflow: name to CircleCI's word for the state, of the newest of that name."""


Question: TypeAlias = ChangedSince | IsMergedInto | AuthorOf | MessageOf | JobsOf


@dataclass(frozen=True, slots=True)
class Known(Generic[T_co]):
    """The answer."""

    value: T_co


@dataclass(frozen=True, slots=True)
class Unavailable:
    """There is no certain answer: why, and what would give one. `code` as in the list of messages (U101 …)."""

    code: str
    reason: str
    cure: str


Answered: TypeAlias = Known[object] | Unavailable


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is known when a decision is made. `now` is None where the time is not stated."""

    build: BuildContext
    now: datetime | None = None
    answers: Mapping[Question, Answered] = field(default_factory=dict)

    def with_answers(self, answers: Mapping[Question, Answered]) -> "Facts":
        """These facts with more answers."""
        return Facts(self.build, self.now, {**self.answers, **answers})
