"""The steps of a run, in their order, with nothing real around them."""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from builds import PIPELINE, RUN, SHA, environ, fork_environ, oidc, tag_environ
from fakes import NO_RUNS, FakeClock, RecordingProgress, RulesText, ScriptedTransport, answer, lost

from deploystep.app.courier import Courier
from deploystep.app.report import Journal, Report
from deploystep.app.run import Order, World, run
from deploystep.app.trigger import Sender
from deploystep.app.vigil import Patience
from deploystep.core.build import BuildContext
from deploystep.core.decide import Verdict
from deploystep.core.deploy import Outcome, TriggerSpec
from deploystep.core.errors import EnvironmentInvalid, Interrupted
from deploystep.core.exits import ExitCode

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from fakes import Event

    from deploystep.core.facts import Answered, Question

RULES = """
    version: 1
    timezone: Europe/Berlin
    rules:
      - name: production
        when: {branch: main}
        deploy: {workflow: deploy, parameters: {sha: "${CIRCLE_SHA1}"}}
      - name: release
        when: {tag: v*}
        deploy: {workflow: deploy, parameters: {sha: "${CIRCLE_SHA1}"}}
    """
ANY_BRANCH = RULES.replace("branch: main", 'branch: "**", fork: true')
TO = """
    version: 1
    targets:
      deployer: {project: gh/acme/deployer, branch: main}
    rules:
      - {name: production, when: {branch: main}, deploy: {to: deployer, workflow: deploy}}
    """
WHOLE = [
    answer(201, {"id": RUN, "number": 25, "state": "pending"}),
    answer(200, {"state": "created", "vcs": {"revision": SHA}}),
    answer(200, {"items": [{"id": "w1", "name": "deploy", "status": "running"}]}),
]


def _unasked(question: Question) -> Answered:
    raise AssertionError(f"nobody should have asked {question}")


@dataclass
class Stage:
    """One call of `run`. `token` is whether there is one; `is_speaking` whether the command may speak to CircleCI."""

    environ: dict[str, str] = field(default_factory=environ)
    rules: str = RULES
    events: list[Event] = field(default_factory=list)
    command: str = "run"
    is_dry: bool = False
    allow_ssh: bool = False
    other_node: str | None = None
    token: bool = True
    is_speaking: bool = True
    nodes_limit: float | None = 1800.0

    def __post_init__(self) -> None:
        self.transport = ScriptedTransport(self.events, earlier=NO_RUNS)
        self.progress, self.clock = RecordingProgress(), FakeClock()
        self.file = RulesText(dedent(self.rules))
        self.built = 0
        world = World(
            other_node=self.other_node,
            build=self._build,
            rules=self.file,
            now=self._now,
            progress=self.progress,
            host=lambda _build: "https://circleci.com",
            sender=self._sender if self.is_speaking else None,
            can_ask=self.token and self.is_speaking,
            learn=lambda _build, _rules: _unasked,
        )
        self.report: Report = run(Order(self.command, self.is_dry, self.allow_ssh, self.nodes_limit), world, Journal())

    def _build(self) -> BuildContext:
        self.built += 1
        return BuildContext.from_environ(self.environ)

    def _now(self, zone: tzinfo) -> datetime | None:
        return self.clock.now().astimezone(zone)

    def _sender(self, _build: BuildContext, _specs: tuple[TriggerSpec, ...]) -> Sender:
        if not self.token:
            raise EnvironmentInvalid("no-token", "there is no API token", "make one")
        courier = Courier(self.transport, self.clock, self.progress)
        return Sender(courier, "CIRCLE_TOKEN", "https://app.circleci.com", Patience(limit=1.0))

    @property
    def outcomes(self) -> list[Outcome]:
        return [t.outcome for t in self.report.triggers]

    @property
    def verdicts(self) -> list[Verdict]:
        return [j.verdict for j in self.report.decision.judgements] if self.report.decision else []

    @property
    def skipped(self) -> str:
        return self.report.skipped.because if self.report.skipped else ""


def test_triggered() -> None:
    stage = Stage(events=[*WHOLE])
    assert (stage.report.exit, stage.outcomes) == (ExitCode.OK, [Outcome.TRIGGERED])
    assert stage.verdicts == [Verdict.FIRE, Verdict.NO]
    assert stage.transport.is_used_up
    assert stage.report.now is not None
    assert stage.report.now.isoformat() == "2026-06-16T10:02:11+02:00"


def test_another_node_ends_before_anything() -> None:
    stage = Stage(other_node="node 2 of 4; node 0 decides", environ={}, rules="nonsense: [")
    assert stage.skipped == "node 2 of 4; node 0 decides"
    assert (stage.built, stage.file.reads, stage.transport.sent) == (0, 0, [])
    assert stage.report.exit is ExitCode.OK


@pytest.mark.parametrize("claim", [True, "true"])
@pytest.mark.parametrize("name", ["CIRCLE_OIDC_TOKEN", "CIRCLE_OIDC_TOKEN_V2"])
def test_a_rerun_with_ssh_never_deploys(claim: object, name: str) -> None:
    stage = Stage(environ=environ(**{name: oidc(ssh_rerun=claim)}))
    assert stage.skipped.startswith("this is a rerun with SSH")
    assert (stage.file.reads, stage.transport.sent) == (0, [])
    assert stage.report.exit is ExitCode.OK


@pytest.mark.parametrize("claim", [False, "false", None, "yes"])
def test_what_is_no_rerun_with_ssh(claim: object) -> None:
    stage = Stage(environ=environ(CIRCLE_OIDC_TOKEN=oidc(ssh_rerun=claim)), events=[*WHOLE])
    assert stage.outcomes == [Outcome.TRIGGERED]


def test_a_rerun_with_ssh_that_was_allowed_to() -> None:
    stage = Stage(environ=environ(CIRCLE_OIDC_TOKEN=oidc(ssh_rerun=True)), allow_ssh=True, events=[*WHOLE])
    assert stage.outcomes == [Outcome.TRIGGERED]


def test_an_environment_that_describes_no_build() -> None:
    stage = Stage(environ=environ(CIRCLE_SHA1=None, CIRCLE_BRANCH=None))
    assert stage.report.exit is ExitCode.ENVIRONMENT
    assert isinstance(stage.report.error, EnvironmentInvalid)
    assert len(stage.report.error.problems) == 2
    assert stage.file.reads == 0


def test_rules_that_are_wrong() -> None:
    stage = Stage(rules="version: 2\nrules: []\n")
    assert stage.report.exit is ExitCode.RULES
    assert stage.report.diagnostics
    assert stage.report.build is not None, "what was known is told"
    assert stage.transport.sent == []


def test_nothing_fires() -> None:
    stage = Stage(environ=environ(CIRCLE_BRANCH="feature/x"), token=False)
    assert (stage.report.exit, stage.outcomes, stage.verdicts) == (ExitCode.OK, [], [Verdict.NO, Verdict.NO])


def test_a_fork_without_a_token_is_normal() -> None:
    stage = Stage(environ=fork_environ(), rules=ANY_BRANCH, token=False)
    assert (stage.report.exit, stage.outcomes) == (ExitCode.OK, [])
    assert stage.skipped == "a fork's build is not given the token, so nothing is sent"
    assert stage.verdicts == [Verdict.FIRE, Verdict.NO], "which rule would have fired is told"


def test_a_fork_with_a_token() -> None:
    stage = Stage(environ=fork_environ(), rules=ANY_BRANCH, events=[*WHOLE])
    assert stage.outcomes == [Outcome.TRIGGERED]
    body = stage.transport.sent[0].body
    assert body is not None
    assert body["checkout"] == {"branch": "pull/7/head"}


def test_no_token() -> None:
    stage = Stage(token=False)
    assert stage.report.exit is ExitCode.ENVIRONMENT
    assert stage.report.error is not None
    assert stage.report.error.code == "no-token"
    assert stage.verdicts == [Verdict.FIRE, Verdict.NO]


@pytest.mark.parametrize("variables", [environ(), tag_environ("v1.4.0"), environ(CIRCLE_BRANCH="x"), fork_environ()])
def test_a_dry_run_judges_as_a_live_run_does(variables: dict[str, str]) -> None:
    live = Stage(environ=variables, events=[*WHOLE])
    for dry in (Stage(environ=variables, is_dry=True), Stage(environ=variables, is_dry=True, token=False)):
        assert dry.report.decision == live.report.decision
        assert [t.request for t in dry.report.triggers] == [t.request for t in live.report.triggers]
        assert dry.transport.sent == []
        assert set(dry.outcomes) <= {Outcome.PLANNED}


def test_a_dry_run_tells_the_same_parameters_wrong() -> None:
    rules = RULES.replace("branch: main", 'branch: "**"').replace("CIRCLE_SHA1", "CIRCLE_BRANCH", 1)
    for is_dry in (True, False):
        stage = Stage(environ=environ(CIRCLE_BRANCH="a;b"), rules=rules, is_dry=is_dry)
        assert [d.code for d in stage.report.diagnostics] == ["E509"]
        assert stage.report.exit is ExitCode.RULES
        assert stage.transport.sent == []


def test_two_rules_with_the_same_request_are_not_sent() -> None:
    both = RULES.replace("tag: v*", "branch: main")
    stage = Stage(rules=both)
    assert [d.code for d in stage.report.diagnostics] == ["E608"]
    assert stage.transport.sent == []


NO_SLUG = {"CIRCLE_BUILD_URL": None, "CIRCLE_REPOSITORY_URL": None}


def test_the_project_is_asked_for_where_no_variable_tells_it() -> None:
    described = answer(200, {"project_slug": "circleci/9Yy/44n"})
    stage = Stage(environ=environ(**NO_SLUG), events=[described, *WHOLE])
    assert stage.transport.paths[:2] == [
        f"GET /api/v2/pipeline/{PIPELINE}",
        "POST /api/v2/project/circleci/9Yy/44n/pipeline/run",
    ]
    assert stage.outcomes == [Outcome.TRIGGERED]


@pytest.mark.parametrize(
    "events", [[answer(404, {"message": "x"})], [lost()] * 5, [answer(200, {"project_slug": "x"})]]
)
def test_undecided_where_the_project_cannot_be_learned(events: list[Event]) -> None:
    stage = Stage(environ=environ(**NO_SLUG), events=events)
    assert stage.report.exit is ExitCode.UNDECIDED
    assert not any(r.method == "POST" for r in stage.transport.sent)


def test_nothing_tells_the_project() -> None:
    stage = Stage(environ=environ(CIRCLE_PIPELINE_ID=None, **NO_SLUG))
    assert stage.report.exit is ExitCode.ENVIRONMENT
    assert stage.transport.sent == []


def test_a_target_needs_no_project_of_the_builds_own() -> None:
    """A fact is learned only where something depends on it."""
    stage = Stage(environ=environ(CIRCLE_PIPELINE_ID=None, **NO_SLUG), rules=TO, events=[*WHOLE])
    assert stage.outcomes == [Outcome.TRIGGERED], stage.report.error
    assert stage.transport.paths[0] == "POST /api/v2/project/gh/acme/deployer/pipeline/run"


def test_a_plan_without_a_project_names_a_placeholder() -> None:
    stage = Stage(environ=environ(**NO_SLUG), command="plan", is_dry=True, is_speaking=False, token=False)
    assert stage.outcomes == [Outcome.PLANNED]
    assert stage.report.triggers[0].url.endswith("/project/VCS/ORGANIZATION/PROJECT/pipeline/run")


def test_siblings_that_are_not_waited_for_are_warned_of() -> None:
    stage = Stage(environ=environ(CIRCLE_NODE_TOTAL="4"), events=[*WHOLE], nodes_limit=None)
    assert stage.progress.warned == [
        "the other 3 nodes are not waited for: one that fails now does not stop this deploy"
    ]


def test_one_sibling_that_is_not_waited_for() -> None:
    stage = Stage(environ=environ(CIRCLE_NODE_TOTAL="2"), events=[*WHOLE], nodes_limit=None)
    assert stage.progress.warned == ["the other node is not waited for: one that fails now does not stop this deploy"]


def nodes(*states: str) -> Event:
    return answer(200, {"parallel_runs": [{"index": i, "status": s} for i, s in enumerate(states)]})


def test_siblings_are_waited_for() -> None:
    waiting = [nodes("running", "running"), nodes("running", "success"), nodes("running", "success")]
    stage = Stage(environ=environ(CIRCLE_NODE_TOTAL="2"), events=[*waiting, *WHOLE])
    assert (stage.report.exit, stage.outcomes) == (ExitCode.OK, [Outcome.TRIGGERED])
    assert stage.transport.paths[0] == "GET /api/v2/project/gh/acme/shop/job/12"


def test_a_sibling_that_failed_stops_the_deploy() -> None:
    stage = Stage(environ=environ(CIRCLE_NODE_TOTAL="2"), events=[nodes("running", "failed")])
    assert (stage.report.exit, stage.outcomes) == (ExitCode.STOPPED, [Outcome.STOPPED])
    assert stage.report.error is not None
    assert "node 1 is failed" in stage.report.error.message


def test_siblings_are_not_waited_for_where_nothing_fires() -> None:
    stage = Stage(environ=environ(CIRCLE_NODE_TOTAL="2", CIRCLE_BRANCH="x"))
    assert (stage.report.exit, stage.transport.sent) == (ExitCode.OK, [])


def test_siblings_are_not_waited_for_in_a_dry_run() -> None:
    stage = Stage(environ=environ(CIRCLE_NODE_TOTAL="2"), is_dry=True)
    assert (stage.outcomes, stage.transport.sent) == ([Outcome.PLANNED], [])


def test_siblings_of_a_job_without_a_number() -> None:
    stage = Stage(environ=environ(CIRCLE_NODE_TOTAL="2", CIRCLE_BUILD_NUM=None))
    assert (stage.report.exit, stage.outcomes) == (ExitCode.ENVIRONMENT, [Outcome.NOT_SENT])


def test_a_window_that_closes_while_siblings_are_waited_for() -> None:
    """The decision that is acted on is made after the wait."""
    rules = RULES.replace("when: {branch: main}", "when: {branch: main}\n        during: Tue 10:00-10:03")
    waiting = [nodes("running", "running")] * 6 + [nodes("running", "success")] * 2
    stage = Stage(rules=rules, environ=environ(CIRCLE_NODE_TOTAL="2"), events=waiting)
    assert (stage.report.exit, stage.verdicts, stage.outcomes) == (ExitCode.OK, [Verdict.HELD, Verdict.NO], [])
    assert stage.transport.is_used_up


@pytest.mark.parametrize("code", [ExitCode.INTERRUPTED, ExitCode.TERMINATED])
def test_an_interruption_keeps_what_is_known(code: ExitCode) -> None:
    stage = Stage(events=[Interrupted(code)])
    assert (stage.report.exit, stage.outcomes) == (code, [Outcome.UNCERTAIN])
    assert stage.report.decision is not None


def test_an_interruption_before_anything_was_sent() -> None:
    stage = Stage(environ=environ(**NO_SLUG), events=[Interrupted(ExitCode.INTERRUPTED)])
    assert (stage.report.exit, stage.outcomes) == (ExitCode.INTERRUPTED, [])


def test_one_request_under_two_names_is_refused_before_anything_is_sent() -> None:
    """A target can be this very project in other letters: only the finished requests tell."""
    rules = """
        version: 1
        targets:
          self: {project: gh/Acme/Shop, branch: main}
        rules:
          - {name: a, when: {branch: main}, deploy: {to: self, workflow: deploy, parameters: {x: 1}}}
          - {name: b, when: {branch: main}, deploy: {workflow: deploy, parameters: {x: 1}}}
        """
    stage = Stage(rules=rules)
    assert stage.report.exit is ExitCode.RULES
    assert stage.report.error is not None
    assert stage.report.error.code == "duplicate"
    assert stage.transport.sent == []
