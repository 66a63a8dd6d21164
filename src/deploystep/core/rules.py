"""What a rule file means once it has been read (`docs/rules.md`): values without YAML, each with its place."""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Literal, TypeAlias

from deploystep.core.build import Branch, BuildContext, ProjectSlug, Tag
from deploystep.core.facts import ChangedSince
from deploystep.core.frozen import Frozen
from deploystep.core.parameters import Scalar, Value
from deploystep.core.patterns import Pattern
from deploystep.core.source import SourceFile, Span, Spanned
from deploystep.core.times import Interval, Window

Patterns: TypeAlias = tuple[Spanned[Pattern], ...]


class ApiVersion(Enum):
    """Which of CircleCI's interfaces carries a trigger."""

    V2_RUN = "v2"
    V2_PIPELINE = "v2-pipeline"
    V3 = "v3"
    V1_1 = "v1.1"


class NameIs(Frozen):
    """Holds when a pattern matches the whole name of branch, tag or user, or the author's address; never a blank."""

    word: Literal["branch", "tag", "user", "author"]
    patterns: Patterns
    span: Span


class FlagIs(Frozen):
    """Holds when the build has a pull request or comes from a fork; where `wanted` is false, when it does not."""

    word: Literal["pull_request", "fork"]
    wanted: bool
    span: Span


class EnvIs(Frozen):
    """Holds when, for each variable, one of the patterns matches its value; never when one is blank."""

    variables: tuple[tuple[Spanned[str], Patterns], ...]
    span: Span


class MergedInto(Frozen):
    """Holds when the revision is on one of these branches of the remote."""

    branches: tuple[Spanned[str], ...]
    span: Span


class MessageContains(Frozen):
    """Holds when the commit message contains one of these texts."""

    texts: tuple[Spanned[str], ...]
    span: Span


class PathsChanged(Frozen):
    """Holds when a changed file is one of `only` (empty: any) and not one of `ignore`."""

    only: Patterns
    ignore: Patterns
    since: ChangedSince
    span: Span


Matcher: TypeAlias = NameIs | FlagIs | EnvIs | MergedInto | MessageContains | PathsChanged


def patterns_of(matcher: Matcher) -> tuple[Patterns, ...]:
    """The lists of patterns that a matcher holds."""
    if isinstance(matcher, PathsChanged):
        return (matcher.only, matcher.ignore)
    named = matcher.variables if isinstance(matcher, EnvIs) else ()
    return (matcher.patterns,) if isinstance(matcher, NameIs) else tuple(patterns for _, patterns in named)


class Alternative(Frozen):
    """Matchers that must all hold, in the order written; never empty."""

    matchers: tuple[Matcher, ...]
    span: Span


class Condition(Frozen):
    """Alternatives of which one must hold."""

    alternatives: tuple[Alternative, ...]
    span: Span


def matchers_of(*conditions: Condition | None) -> Iterator[Matcher]:
    """Yield every matcher of the conditions, in the order written."""
    return (m for c in conditions if c for a in c.alternatives for m in a.matchers)


class Target(Frozen):
    """Another project that a deploy can be sent to, at a branch or tag of its own."""

    name: str
    project: ProjectSlug
    ref: Branch | Tag
    definition: str | None
    api: ApiVersion | None
    span: Span


class Parameter(Frozen):
    """One pipeline parameter (or, with `job`, build parameter) of a deploy."""

    key: Spanned[str]
    value: Spanned[Value]


class Deploy(Frozen):
    """What a rule sends when it fires: to which project, which job or workflow, with which parameters."""

    to: Target | None
    job: Spanned[str] | None
    workflow: Spanned[str] | None
    parameters: tuple[Parameter, ...]
    span: Span

    @property
    def known_by(self) -> tuple[str, str] | None:
        """Kind and name of what its runs are known by without a key; None for another project, or where it has none."""
        kind, named = ("job", self.job) if self.job else ("workflow", self.workflow)
        return (kind, named.value) if named and not self.to else None


class Rule(Frozen):
    """One rule: judged on its own, never dependent on another. Where it `sends` nothing, it is for `gate` alone."""

    name: Spanned[str]
    environment: Spanned[str] | None
    when: Condition
    unless: Condition | None
    sends: Deploy | None
    span: Span
    during: Spanned[tuple[Window, ...]] | None = None
    requires: tuple[Spanned[str], ...] = ()
    ignore: frozenset[str] = frozenset()

    @property
    def deploy(self) -> Deploy:
        """What is sent. Raises LookupError where the rule is for `gate` alone: nothing may take it for a trigger."""
        if self.sends is None:
            raise LookupError(f"rule {self.name.value} is for gate alone")
        return self.sends


class Freeze(Frozen):
    """An interval of time in which rules are held: those of `environments` (empty: all), but not those in `exempt`."""

    name: str
    interval: Interval
    environments: frozenset[str]
    exempt: frozenset[str]
    reason: str | None
    span: Span


class Guard(Frozen):
    """An item of `never:`; when its condition holds, no rule fires."""

    name: str | None
    when: Condition
    reason: str | None
    span: Span


class Given(Frozen):
    """The facts of a case: a build, and what git, the API and the clock would say; None where that is not stated."""

    build: BuildContext
    now: Spanned[str] | None
    changed: tuple[str, ...] | None
    merged_into: tuple[str, ...] | None
    author: str | None
    message: str | None
    jobs: Mapping[str, str] | None


class Expected(Frozen):
    """Exactly the rules that must fire or be held, and some of what they must send; None where a case does not say."""

    fire: tuple[Spanned[str], ...] | None
    held: tuple[Spanned[str], ...] | None
    parameters: tuple[tuple[Spanned[str], Mapping[str, Scalar]], ...]


class Case(Frozen):
    """An example in the rule file: facts about a build, and what must become of the rules."""

    name: str
    given: Given
    expect: Expected
    span: Span


class RuleSet(Frozen):
    """A whole rule file; `unzoned` is a time without a zone; `ignore` holds codes to hide, as that of a rule does."""

    source: SourceFile
    timezone: str
    default_branch: str | None
    api: ApiVersion
    targets: Mapping[str, Target]
    never: tuple[Guard, ...]
    rules: tuple[Rule, ...]
    freezes: tuple[Freeze, ...] = ()
    cases: tuple[Case, ...] = ()
    unzoned: Span | None = None
    ignore: frozenset[str] = frozenset()

    @property
    def sending(self) -> tuple[Rule, ...]:
        """The rules that send a deploy, in file order: all but those for `gate` alone."""
        return tuple(rule for rule in self.rules if rule.sends)
