"""Reports of a run, as they are just before somebody is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from builds import SHOP, build, rules

from deploystep.app.report import Report
from deploystep.app.trigger import planned
from deploystep.core.decide import decide
from deploystep.core.deploy import Outcome, trigger_specs
from deploystep.core.facts import Facts
from deploystep.core.times import zone

if TYPE_CHECKING:
    from deploystep.core.build import BuildContext
    from deploystep.core.runs import Created, WorkflowState

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


def report(of: BuildContext | None = None, text: str = RULES, **changes: Any) -> Report:
    read, of = rules(text), of or build()
    decision = decide(read, Facts(of, NOW))
    specs = trigger_specs(read, decision.firing, of).specs
    triggers = tuple(planned(s, SHOP, "https://circleci.com", Outcome.PLANNED) for s in specs)
    usual = Report("run", is_dry=True, build=of, now=NOW, source=read.source, decision=decision, triggers=triggers)
    return replace(usual, **changes)


def outcome(kind: Outcome, created: Created | None = None, *workflows: WorkflowState) -> Report:
    (trigger,) = report().triggers
    return report(triggers=(replace(trigger, outcome=kind, created=created, workflows=workflows),))
