"""What a decision can depend on besides the build itself, as questions and answers.

A question is a value; its answer is known, or unavailable with the reason and the cure, or has not been asked.
The decision says which questions it still needs, so that git and the API are asked only what matters.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from enum import IntEnum, unique
from typing import Generic, TypeAlias, TypeVar

from deploystep.core.build import BuildContext
from deploystep.core.frozen import dataclass, field

T_co = TypeVar("T_co", covariant=True)


@unique
class Cost(IntEnum):
    """How expensive an answer is; within an alternative the cheapest is asked first."""

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
    """Which files changed since the base; `ref` where the rule names one.

    The last deploy is known by `workflow`, and by the deploy key of `rule` where the rule sends one. Once it has been
    looked up, `ref` is its commit, or empty where there is none.
    """

    base: Base | None = None
    ref: str | None = None
    workflow: str | None = None
    rule: str | None = None


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
    """The answer, and why, if it is not the usual one."""

    value: T_co
    note: str = ""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """There is no certain answer: why, and what would give one. `code` as in the list of messages (U101 …)."""

    code: str
    reason: str
    cure: str


Answered: TypeAlias = Known[object] | Unavailable


def branch_named(ref: str) -> str:
    """The branch of the remote that a ref means in one of its spellings; any other ref as it is written.

    >>> branch_named("origin/main")
    'main'
    """
    return re.sub(r"\A(?:refs/heads|refs/remotes/origin|origin)/(?=.)", "", ref)


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is known when a decision is made. `now` is None where the time is not stated."""

    build: BuildContext
    now: datetime | None = None
    answers: Mapping[Question, Answered] = field(default_factory=dict)
