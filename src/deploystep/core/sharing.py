"""Which rules start the same workflow for the same ref: their runs look alike, and must be told apart.

Pure. Only rules for this project are compared: of another project's runs the commit is not known anyway.
"""

from collections.abc import Iterator
from typing import Final

from deploystep.core.build import BuildContext
from deploystep.core.facts import Base, Facts
from deploystep.core.frozen import dataclass
from deploystep.core.holds import concerns
from deploystep.core.matchers import match
from deploystep.core.rules import (
    AuthorIs,
    BranchIs,
    ForkIs,
    Matcher,
    MessageContains,
    PathsChanged,
    Rule,
    RuleSet,
    TagIs,
)
from deploystep.core.trace import Answer


@dataclass(frozen=True, slots=True)
class Share:
    """A rule among all that start the same workflow for the same ref: its place from 0, and how many there are.

    `is_steady`: whenever one of them is due for a commit all are, so that their runs come in the rules' order.
    """

    place: int = 0
    count: int = 1
    is_steady: bool = True


ALONE: Final = Share()


def share_of(rule: Rule, rules: RuleSet, firing: tuple[Rule, ...], build: BuildContext) -> Share:
    """The rule's share. A rule that is steady and does not fire now never fires for this commit."""
    alike = [
        other
        for other in rules.rules
        if other is rule
        or (
            _starts(other) == _starts(rule)
            and _is_for(other, build)
            and (other in firing or not _is_steady(other, rules))
        )
    ]
    return Share(alike.index(rule), len(alike), all(_is_steady(other, rules) for other in alike))


def _starts(rule: Rule) -> object:
    """What tells its runs from those of others; nothing does where a run's commit is not known."""
    job, workflow = rule.deploy.job, rule.deploy.workflow
    if rule.deploy.to is not None or (job is None and workflow is None):
        return rule.name.value, "alone"
    return job.value if job else None, workflow.value if workflow else None


def _is_for(rule: Rule, build: BuildContext) -> bool:
    """Whether the rule may be meant for this branch or tag."""
    facts = Facts(build)
    named = ([m for m in a.matchers if isinstance(m, (BranchIs, TagIs))] for a in rule.when.alternatives)
    return any(all(match(m, facts).answer is Answer.YES for m in matchers) for matchers in named)


def _is_steady(rule: Rule, rules: RuleSet) -> bool:
    """Whether the commit and its ref alone decide: another build of them judges the rule alike."""
    is_held = rule.during is not None or rule.requires or any(concerns(freeze, rule) for freeze in rules.freezes)
    return not is_held and all(map(_is_of_the_commit, _matchers(rule)))


def _matchers(rule: Rule) -> Iterator[Matcher]:
    for condition in (rule.when, rule.unless):
        for alternative in condition.alternatives if condition else ():
            yield from alternative.matchers


def _is_of_the_commit(matcher: Matcher) -> bool:
    if isinstance(matcher, PathsChanged):
        return matcher.since.base is Base.PREVIOUS_COMMIT
    return isinstance(matcher, (BranchIs, TagIs, ForkIs, AuthorIs, MessageContains))
