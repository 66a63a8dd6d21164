"""What holds a rule back that would otherwise fire: the clock, a freeze, a job that has not succeeded."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import cast

from deploystep.core.facts import Facts, JobsOf
from deploystep.core.frozen import replace
from deploystep.core.matchers import asked
from deploystep.core.rules import Freeze, Rule, RuleSet
from deploystep.core.source import Diagnostic, Severity, Spanned
from deploystep.core.text import did_you_mean, shown
from deploystep.core.times import DAYS, Window, next_opening, zone
from deploystep.core.trace import Answer, Reason, Trace, all_of, leaf, unanswered


def holds_of(rule: Rule, rules: RuleSet, facts: Facts) -> tuple[Trace, ...]:
    """Each thing that can hold this rule back: yes where it lets it pass, no where it holds it."""
    freezes = tuple(freeze for freeze in rules.freezes if concerns(freeze, rule))
    return (*_clock(rule, freezes, rules.timezone, facts), *_requires(rule, facts))


def concerns(freeze: Freeze, rule: Rule) -> bool:
    """Whether a freeze is about this rule."""
    environment = rule.environment.value if rule.environment else None
    return rule.name.value not in freeze.exempt and (not freeze.environments or environment in freeze.environments)


def _clock(rule: Rule, freezes: tuple[Freeze, ...], timezone: str, facts: Facts) -> Iterator[Trace]:
    windows = rule.during.value if rule.during else ()
    outside = " or ".join(window.text for window in windows)
    now = facts.now
    if now is None:
        claims = [(f"during {outside}", rule.during.span)] if rule.during else []
        for claim, span in (*claims, *((f"not frozen by {freeze.name}", freeze.span) for freeze in freezes)):
            problem = Diagnostic("U104", "the rule asks the time", span, "add now: to given", Severity.UNDECIDED)
            yield unanswered(claim, problem)
        return
    until = f"held until {_opening(windows, freezes, timezone, now)}"
    if rule.during is not None:
        is_open = any(window.is_open(now) for window in windows)
        because = f"during {outside}" if is_open else f"outside {outside}; {until}"
        yield leaf(f"during {outside}", because, rule.during.span, holds=is_open)
    for freeze in freezes:
        claim = f"not frozen by {freeze.name}"
        if freeze.interval.holds(now):
            reason = f" — {freeze.reason}" if freeze.reason else ""
            yield leaf(claim, f"freeze {freeze.name}{reason}; {until}", freeze.span, holds=False)
        else:
            # that there is no freeze is not worth a word among the reasons to deploy
            yield Trace(claim, Answer.YES, (), freeze.span)


def _opening(windows: tuple[Window, ...], freezes: tuple[Freeze, ...], timezone: str, now: datetime) -> str:
    """When every window and freeze together let the rule pass, for people."""
    found = next_opening(now, windows, tuple(freeze.interval for freeze in freezes))
    if found is None:
        return "further notice: no opening was found"
    local = found.astimezone(zone(timezone))
    return f"{DAYS[local.weekday()]} {local:%Y-%m-%d %H:%M} {timezone}"


def _requires(rule: Rule, facts: Facts) -> Iterator[Trace]:
    """Whether each of the jobs that the rule requires has succeeded in this workflow."""
    if not rule.requires:
        return
    span = rule.requires[0].span
    claim = "requires " + " and ".join(job.value for job in rule.requires)
    answer = asked(claim, JobsOf(), span, facts)
    if isinstance(answer, Trace):
        yield answer
        return
    jobs = cast("Mapping[str, str]", answer.value)
    parts = tuple(_job(job, jobs, facts.build.variables.get("CIRCLE_JOB")) for job in rule.requires)
    lacking = tuple(reason for part in parts if part.answer is not Answer.YES for reason in part.reasons)
    passed = Reason("requires " + " ".join(f"{job.value} ✓" for job in rule.requires), span.line)
    yield replace(all_of(claim, parts, span), reasons=lacking or (passed,))


def own_job(job: Spanned[str]) -> Diagnostic:
    """What to say of a rule that requires the job in which the step runs."""
    what = f"job {shown(job.value)} runs this step, so it has never succeeded when the step asks"
    return Diagnostic("E702", what, job.span, "leave it out: what the job did before the step has succeeded")


def _job(job: Spanned[str], jobs: Mapping[str, str], own: str | None) -> Trace:
    claim = f"job {job.value} succeeded"
    status = jobs.get(job.value)
    if job.value == own and status != "success":  # to hold the rule would be to hold it for ever
        return unanswered(claim, own_job(job))
    if status is None:
        hint = f"{did_you_mean(job.value, jobs)} (a job that was filtered out is missing too)".strip()
        return unanswered(claim, Diagnostic("E701", f"no job '{job.value}' in this workflow", job.span, hint))
    because = claim if status == "success" else f"job {job.value} has not succeeded (status: {status})"
    return leaf(claim, because, job.span, holds=status == "success")
