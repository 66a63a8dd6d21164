"""Rules beside the project that they stand in: what the configs make of each trigger.

Only what certainly follows from the text is said: where the model of the config does not know, nothing is.
"""

from collections.abc import Iterator, Mapping
from itertools import chain

from deploystep.core.frozen import dataclass
from deploystep.core.rules import RuleSet
from deploystep.core.source import Diagnostic
from deploystep.project.config import Config
from deploystep.project.refs import refs_of
from deploystep.project.starts import Starts, a_job, declared_twice
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
        deploy, to = rule.sends, rule.sends.to if rule.sends else None
        config = project.targets.get(to.name) if to else project.config
        refs = [group for _, group in refs_of(rule, rules, own.config)] if own else []
        if own is not None:
            yield from own.problems(rule, refs)
        if config is None or deploy is None or (to is None and own is not None and own.is_gated(rule)):
            continue
        if config.setup:
            yield from declared_twice(deploy, config, project.files or (), project.read)
        elif deploy.job is not None:
            yield from a_job(deploy.job, config)
        elif to is not None:
            yield from Starts(StepJobs(config, project.read), deploy, [(to.ref,)]).problems()
        elif own is not None:
            starts = Starts(own, deploy, refs)
            yield from chain(starts.problems(), starts.loops())
