"""Rules whose runs look alike: they start one workflow of this project, on the same branch or tag."""

from collections.abc import Sequence
from typing import Final

from deploystep.core.pattern_proofs import overlap
from deploystep.core.patterns import Pattern
from deploystep.core.rules import BranchIs, Rule, RuleSet, TagIs
from deploystep.core.source import Spanned
from deploystep.rulefile.nodes import Report, shown

#: How many pairs of rules are compared. Beyond it nothing is claimed.
_MOST_SEARCHES: Final = 2_000


def check(rules: RuleSet, report: Report) -> None:
    """Warn of each rule whose runs a later run of the step can only tell from another rule's by their order."""
    earlier: dict[tuple[bool, str], list[Rule]] = {}
    searches = 0
    for rule in rules.rules:
        starts = _starts(rule)
        if starts is None:
            continue
        others = earlier.setdefault((rule.deploy.job is not None, starts.value), [])
        searches += len(others)
        other = next((o for o in others if _meet(o, rule)), None) if searches <= _MOST_SEARCHES else None
        others.append(rule)
        if other is not None:
            what = "job" if rule.deploy.job else "workflow"
            report.warning(
                "W310",
                f"rules {shown(other.name.value)} and {shown(rule.name.value)} start the same {what}, "
                "and a rerun tells their runs apart only by their order",
                starts.span,
                f"give each rule a {what} of its own",
            )


def _starts(rule: Rule) -> Spanned[str] | None:
    """What tells its runs from others; nothing does for another project, or where the rule does not name it."""
    return None if rule.deploy.to is not None else rule.deploy.job or rule.deploy.workflow


def _meet(first: Rule, second: Rule) -> bool:
    """Whether both can be for one branch or tag."""
    return any(
        overlap(mine, yours) is not None
        for kind in (BranchIs, TagIs)
        for mine in _refs(first, kind)
        for yours in _refs(second, kind)
    )


def _refs(rule: Rule, kind: type[BranchIs] | type[TagIs]) -> Sequence[tuple[Pattern, ...]]:
    named = (m for a in rule.when.alternatives for m in a.matchers if isinstance(m, kind))
    return [tuple(pattern.value for pattern in matcher.patterns) for matcher in named]
