"""Rules beside the project that they stand in: what the configs make of each trigger.

Only what certainly follows from the text is said: where the model of the config does not know, nothing is.
"""

from collections.abc import Iterator, Mapping

from deploystep.core.frozen import dataclass
from deploystep.core.rules import RuleSet
from deploystep.core.source import Diagnostic
from deploystep.project import parameters
from deploystep.project.config import Config
from deploystep.project.refs import refs_of
from deploystep.project.starts import Starts, a_job
from deploystep.project.step_jobs import StepJobs
from deploystep.project.steps import Read


@dataclass(frozen=True, slots=True)
class Project:
    """What is known of the project: its config, those of targets by name, and its files (None where unknown)."""

    config: Config | None
    targets: Mapping[str, Config]
    files: tuple[str, ...] | None
    read: Read


def compare(rules: RuleSet, project: Project) -> Iterator[Diagnostic]:
    """Everything in which rules and configs do not fit together."""
    own = StepJobs(project.config, project.read) if project.config and not project.config.setup else None
    yield from own.unknown_rules(rules) if own else ()
    for rule in rules.rules:
        to = rule.sends.to if rule.sends else None
        config = project.targets.get(to.name) if to else project.config
        refs = [group for _, group in refs_of(rule, rules, own.config)] if own else []
        if own is not None:
            yield from own.required(rule, refs)
            yield from own.never(rule, refs)
            yield from own.lacking(rule, refs)
            yield from own.twice(rule)
        if config is None or rule.sends is None:
            continue
        if config.setup:
            yield from parameters.twice(rule.sends, config, project.files or (), project.read)
        elif to is None and own is not None and own.is_gated(rule):
            continue
        elif rule.sends.job is not None:
            yield from a_job(rule.sends.job, config)
        elif to is not None:
            yield from Starts(StepJobs(config, project.read), rule.sends, [(to.ref,)]).problems()
        elif own is not None:
            starts = Starts(own, rule.sends, refs)
            yield from starts.problems()
            yield from starts.loops()
