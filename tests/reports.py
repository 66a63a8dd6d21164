"""Reports of a run, as they are just before somebody is told."""

from datetime import datetime

from builds import SHOP, build, rules

from deploystep.app.report import Report
from deploystep.app.run import planned
from deploystep.core.build import BuildContext
from deploystep.core.decide import decide
from deploystep.core.deploy import Outcome, trigger_specs
from deploystep.core.facts import Facts
from deploystep.core.runs import Created, WorkflowState
from deploystep.core.times import zone

RULES = """
    version: 1
    rules:
      - name: staging
        when: {branch: main}
        deploy: {workflow: deploy, parameters: {sha: "${sha.short}", dry: false, n: 3}}
      - name: production
        when: {tag: v*}
        deploy: {workflow: deploy}
    """
NOW = datetime(2026, 6, 16, 10, 2, 11, tzinfo=zone("Europe/Berlin"))
URL = "https://app.circleci.com/pipelines/gh/acme/shop/25"


def report(of: BuildContext | None = None, text: str = RULES, *, is_dry: bool = True) -> Report:
    """What a run of some build has decided and planned."""
    made = Report("run", is_dry=is_dry)
    read, made.build, made.now = rules(text), of or build(), NOW
    made.source, made.decision = read.source, decide(read, Facts(made.build, NOW))
    specs = trigger_specs(read, made.decision.deploys.firing, made.build).specs
    made.triggers = [planned(spec, SHOP, "https://circleci.com", Outcome.PLANNED) for spec in specs]
    return made


def outcome(kind: Outcome, created: Created | None = None, *workflows: WorkflowState) -> Report:
    """The same after its one trigger came to this."""
    made = report(is_dry=False)
    (trigger,) = made.triggers
    trigger.outcome, trigger.created, trigger.workflows = kind, created, workflows
    return made
