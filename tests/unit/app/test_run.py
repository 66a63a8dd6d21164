"""The steps of a run, in their order, with nothing real around them."""

from collections.abc import Iterable
from textwrap import dedent
from typing import Any

import pytest
from builds import OTHER_SHA, PIPELINE, SHA, environ, fork_environ, oidc, tag_environ
from fakes import NO_RUNS, Event, FakeRemote, FakeServices, ScriptedTransport, answer
from triggers import WHOLE, nodes

from deploystep.app.options import Options
from deploystep.app.report import GateOutcome, Report
from deploystep.app.run import gate, run
from deploystep.core.deploy import Outcome
from deploystep.core.errors import ExitCode, Interrupted, ToolError
from deploystep.core.facts import Known, Unavailable
from deploystep.core.source import SourceFile
from deploystep.rulefile.given import read_given

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
FORK_REQUIRES = ANY_BRANCH.replace("true}", "true}\n        requires: test")
REQUIRES = RULES.replace("when: {branch: main}", "when: {branch: main}\n        requires: test")
ASKS = RULES.replace("branch: main", "branch: main, message_contains: ship")
WINDOW = RULES.replace("when: {branch: main}", "when: {branch: main}\n        during: Tue 10:00-10:03")
HEAD = "version: 1\nrules:\n"
TO = "version: 1\ntargets: {deployer: {project: gh/acme/deployer, branch: main}}\nrules:\n"
TO += "  - {name: production, when: {branch: main}, deploy: {to: deployer, workflow: deploy}}\n"
JOB = HEAD + "  - {name: production, when: {branch: '**'}, deploy: {job: deploy}}\n"
WRONG_PARAMETER = HEAD + "  - {name: good, when: {branch: '**'}, deploy: {workflow: a}}\n"
WRONG_PARAMETER += "  - {name: bad, when: {branch: '**'}, deploy: {workflow: b, parameters: {x: '${CIRCLE_BRANCH}'}}}\n"
TWICE = HEAD + "".join(f"  - {{name: {name}, when: {{branch: main}}, deploy: {{workflow: x}}}}\n" for name in "ab")
ALONE = "  - {name: inline, when: {branch: main, message_contains: ship}, during: Mon 00:00-00:01}\n"
DESCRIBED = answer(200, {"id": PIPELINE, "state": "created", "project_slug": "circleci/9Yy/44n"})
NO_SLUG = {"CIRCLE_BUILD_URL": None, "CIRCLE_REPOSITORY_URL": None}
TWO_NODES, PARALLEL = environ(CIRCLE_NODE_TOTAL="2"), environ(CIRCLE_NODE_TOTAL="2", **NO_SLUG)
NO_NUMBER = environ(CIRCLE_NODE_TOTAL="2", CIRCLE_BUILD_NUM=None)
TRIGGERED, PLANNED, NOT_SENT = [Outcome.TRIGGERED], [Outcome.PLANNED], [Outcome.NOT_SENT]
NO_TOKEN, ANOTHER = {"has_token": False}, {"other_node": "node 2 of 4"}
FORK_SENDS_NOTHING = "a fork's build is not given the token, so nothing is sent"


def jobs(status: str) -> Event:
    return answer(200, {"items": [{"name": "test", "status": status}]})


WAITING, DONE = nodes("running", "running"), nodes("running", "success")
SHIP, UNKNOWN = Known("ship it"), Unavailable("U103", "cannot read the commit", "look elsewhere")


class Stage:
    """One call of `run` or `gate`, and how it ended; the option `clone` is what git says, one after the other."""

    def __init__(
        self, events: Iterable[Event] = (), of: dict[str, str] | None = None, rules: str = RULES, *,
        command: str = "run", outside: dict[str, Any] | None = None, **options: Any,
    ) -> None:  # fmt: skip
        of, left = environ() if of is None else of, list(options.pop("clone", ()))
        said: dict[str, Any] = {"answers": lambda _: left.pop(0)} if left else {}
        self.transport = ScriptedTransport(events, NO_RUNS, asks_project="CIRCLE_BUILD_URL" not in of)
        asked = Options(command, **options)
        self.services = FakeServices(self.transport, of, dedent(rules), asked, **said, **(outside or {}))
        self.console, self.report = self.services.console, Report(command, is_dry=asked.is_dry)
        try:
            (gate if command == "gate" else run)(asked, self.services, self.report)
        except ToolError as error:
            self.report.fail(error)
        except Interrupted as signalled:
            self.report.exit = signalled.exit

    @property
    def outcomes(self) -> list[Outcome]:
        return [t.outcome for t in self.report.triggers]

    @property
    def verdicts(self) -> str:
        return " ".join(j.verdict.value for j in self.report.decision.judgements) if self.report.decision else ""

    @property
    def told(self) -> str:
        error = self.report.error
        return f"{error.code} {error.message}" if error else self.report.skipped


def test_triggered() -> None:
    stage = Stage(WHOLE)
    assert (stage.report.exit, stage.outcomes, stage.verdicts) == (ExitCode.OK, TRIGGERED, "fire no")
    assert stage.transport.is_used_up
    assert f"{stage.report.now}" == "2026-06-16 10:02:11+02:00"
    assert (stage.console.infos[-1].split(":")[0], stage.console.warnings) == ("triggered production", [])


@pytest.mark.parametrize(("how", "exit_code", "outcomes", "verdicts", "told"), [
    # what is skipped
    ({"of": {}, "rules": "nonsense: [", "outside": ANOTHER}, ExitCode.OK, [], "", "node 2 of 4"),
    # nor can a fork's build learn of jobs
    *(({"of": fork_environ(), "rules": rules, "outside": NO_TOKEN}, ExitCode.OK, [], verdicts, FORK_SENDS_NOTHING)
      for rules, verdicts in ((ANY_BRANCH, "fire no"), (FORK_REQUIRES, "unknown no"))),
    ({"of": environ(CIRCLE_BRANCH="x"), "outside": NO_TOKEN}, ExitCode.OK, [], "no no", ""),
    ({"of": fork_environ(), "outside": NO_TOKEN}, ExitCode.OK, [], "no no", ""),
    # what is wrong is told before anything is sent
    ({"of": environ(CIRCLE_SHA1=None, CIRCLE_BRANCH=None)}, ExitCode.ENVIRONMENT, [], "", "environment-invalid"),
    ({"rules": "version: 2\nrules: []\n"}, ExitCode.RULES, [], "", "rules-invalid"),
    ({"outside": NO_TOKEN}, ExitCode.ENVIRONMENT, [], "fire no", "no-token"),
    ({"rules": ASKS, "clone": [UNKNOWN]}, ExitCode.UNDECIDED, [], "unknown no", "undecided"),
    *(({"of": environ(CIRCLE_BRANCH="a;b"), "rules": WRONG_PARAMETER, "dry_run": dry}, ExitCode.RULES, [],
       "fire fire", "parameters-invalid") for dry in (True, False)),
    ({"rules": TWICE}, ExitCode.RULES, [], "fire fire", "parameters-invalid"),
    # the nodes are not waited for where nothing is sent
    ({"of": {**TWO_NODES, "CIRCLE_BRANCH": "x"}}, ExitCode.OK, [], "no no", ""),
    ({"of": TWO_NODES, "dry_run": True}, ExitCode.OK, PLANNED, "fire no", ""),
    ({"of": NO_NUMBER}, ExitCode.ENVIRONMENT, NOT_SENT, "fire no", "job-unknown"),
    # a project that cannot be learned
    ({"of": environ(CIRCLE_PIPELINE_ID=None, **NO_SLUG)}, ExitCode.ENVIRONMENT, [], "fire no", "project-unknown"),
])  # fmt: skip
def test_what_ends_before_anything_is_sent(how: Any, exit_code: Any, outcomes: Any, verdicts: str, told: str) -> None:
    stage = Stage(**how)
    assert (stage.report.exit, stage.outcomes, stage.verdicts) == (exit_code, outcomes, verdicts)
    assert stage.told.startswith(told)
    assert bool(stage.told) is bool(told)
    assert stage.transport.sent == []
    assert (stage.services.reads == 0) is (stage.report.decision is None and not stage.report.diagnostics)


@pytest.mark.parametrize(
    ("how", "exit_code", "outcomes", "verdicts"),
    [
        ({"events": [WAITING, DONE, DONE, *WHOLE]}, ExitCode.OK, TRIGGERED, "fire no"),
        ({"events": [nodes("running", "failed")]}, ExitCode.STOPPED, [Outcome.STOPPED], "fire no"),
        ({"events": [WAITING] * 9, "nodes_timeout": 20.0}, ExitCode.TIMED_OUT, NOT_SENT, "fire no"),
        # what is acted on is decided after the wait: windows may have closed, and facts are learned again
        ({"events": [*[WAITING] * 6, DONE, DONE], "rules": WINDOW}, ExitCode.OK, [], "held no"),
        ({"events": [jobs("success"), DONE, DONE, jobs("failed")], "rules": REQUIRES}, ExitCode.OK, [], "held no"),
        ({"events": [DONE, DONE], "rules": ASKS, "clone": [SHIP, UNKNOWN]}, ExitCode.UNDECIDED, [], "unknown no"),
    ],
)
def test_the_other_nodes_are_waited_for(how: Any, exit_code: ExitCode, outcomes: list[Outcome], verdicts: str) -> None:
    stage = Stage(of=TWO_NODES, **how)
    assert (stage.report.exit, stage.outcomes, stage.verdicts) == (exit_code, outcomes, verdicts)
    assert stage.transport.is_used_up or "nodes_timeout" in how
    assert "nodes_timeout" not in how or stage.services.clock.monotonic() == 20.0
    assert "GET /api/v2/project/gh/acme/shop/job/12" in stage.transport.paths


@pytest.mark.parametrize(("waits", "outcome"), [(1, GateOutcome.DUE), (6, GateOutcome.HELD)])
def test_what_gate_executes_is_decided_after_the_wait(waits: int, outcome: GateOutcome) -> None:
    events = [*[WAITING] * waits, DONE, DONE]
    stage = Stage(events, TWO_NODES, WINDOW, command="gate", rule="production", execute=("x",))
    assert stage.report.gated is not None
    assert stage.report.gated.outcome is outcome, stage.told
    assert (stage.report.to_execute is None) is (outcome is GateOutcome.HELD)


@pytest.mark.parametrize(("head", "exit_code"), [(SHA, ExitCode.HELD), (OTHER_SHA, ExitCode.OK)])
def test_what_is_held_is_no_failure_where_a_newer_commit_takes_its_place(head: str, exit_code: ExitCode) -> None:
    rules = RULES.replace("when: {tag: v*}", "when: {branch: main}\n        during: Mon 00:00-00:01")
    remote = FakeRemote([head], newer=frozenset([OTHER_SHA]))
    stage = Stage(WHOLE if head == SHA else (), rules=rules, outside={"remote": remote}, held="fail")
    assert (stage.report.exit, stage.verdicts) == (exit_code, "fire held"), stage.told


def test_nodes_that_are_not_waited_for_are_warned_of() -> None:
    stage = Stage(WHOLE, environ(CIRCLE_NODE_TOTAL="4"), nodes="first")
    assert stage.outcomes == TRIGGERED
    (warning,) = stage.console.warnings
    assert "the other 3 nodes may yet fail" in warning


@pytest.mark.parametrize(
    ("claim", "is_rerun"), [(True, True), ("true", True), *((claim, False) for claim in (False, "false", None, "yes"))]
)
def test_a_rerun_with_ssh_never_deploys(claim: object, is_rerun: bool) -> None:  # noqa: FBT001 - a column
    of = environ(CIRCLE_OIDC_TOKEN=oidc(ssh_rerun=claim))
    stage = Stage([] if is_rerun else WHOLE, of)
    assert stage.report.skipped.startswith("this is a rerun with SSH") is is_rerun
    assert (stage.outcomes, stage.services.reads) == (([], 0) if is_rerun else (TRIGGERED, 1))
    assert Stage(WHOLE, of, allow_ssh=True).outcomes == TRIGGERED


@pytest.mark.parametrize("of", [environ(), tag_environ("v1.4.0"), environ(CIRCLE_BRANCH="x"), fork_environ()])
@pytest.mark.parametrize("rules", [RULES, ANY_BRANCH])
def test_a_dry_run_judges_as_a_live_run_does(of: dict[str, str], rules: str) -> None:
    live = Stage(WHOLE, of, rules)
    for token in (True, False):
        dry = Stage(of=of, rules=rules, outside={"has_token": token}, dry_run=True)
        assert dry.report.decision == live.report.decision
        assert [t.request for t in dry.report.triggers] == [t.request for t in live.report.triggers]
        assert (dry.transport.sent, dry.told) == ([], "")
        assert set(dry.outcomes) <= {Outcome.PLANNED}


# The project

OWN, OTHER = "POST /api/v2/project/circleci/9Yy/44n/pipeline/run", "POST /api/v2/project/gh/acme/deployer/pipeline/run"
ASKED = f"GET /api/v2/pipeline/{PIPELINE}"


@pytest.mark.parametrize(("of", "rules", "how", "events", "asked"), [
    (environ(**NO_SLUG), RULES, {}, [DESCRIBED, *WHOLE], [ASKED, OWN]),
    # it is learned only where something depends on it: a request, or the nodes that are waited for
    (environ(CIRCLE_PIPELINE_ID=None, **NO_SLUG), TO, {}, WHOLE, [OTHER]),
    (PARALLEL, TO, {"nodes": "first"}, WHOLE, [OTHER]),
    (PARALLEL, TO, {}, [DESCRIBED, DONE, DONE, *WHOLE],
     [ASKED, *["GET /api/v2/project/circleci/9Yy/44n/job/12"] * 2, OTHER]),
])  # fmt: skip
def test_a_project_that_no_variable_tells_is_asked_for(of: Any, rules: str, how: Any, events: Any, asked: Any) -> None:
    stage = Stage(events, of, rules, **how)
    assert stage.transport.paths[: len(asked)] == asked
    assert stage.outcomes == TRIGGERED, stage.told


def test_a_project_that_cannot_be_learned() -> None:
    limited = answer(429, retry_after="900")
    for came, code in ((answer(404), ExitCode.UNDECIDED), (limited, ExitCode.UNREACHABLE)):
        stage = Stage([came], environ(**NO_SLUG))
        assert (stage.report.exit, stage.transport.paths) == (code, [ASKED])
        assert stage.told.startswith("rate-limited" if came == limited else "project-unknown")


def test_a_dry_run_names_a_project_that_it_may_not_ask_for_by_a_placeholder() -> None:
    plan, live = Stage(of=environ(**NO_SLUG), command="plan"), Stage([DESCRIBED], environ(**NO_SLUG), dry_run=True)
    for stage, project in ((plan, "VCS/ORGANIZATION/PROJECT"), (live, "circleci/9Yy/44n")):
        assert stage.outcomes == PLANNED
        assert stage.report.triggers[0].url.endswith(f"/project/{project}/pipeline/run")


# What is allowed and may surprise

NAMELESS = RULES.replace("workflow: deploy, ", "")


@pytest.mark.parametrize(
    ("rules", "again", "words"),
    [
        (RULES, None, None),
        *((text, None, "rule production: a rerun of this step is not recognised and") for text in (NAMELESS, TO)),
        (RULES, "the database was restored", "not looked for: the database was restored"),
        (NAMELESS, "x", "--again"),
    ],
)
def test_what_a_rerun_does_is_told(rules: str, again: str | None, words: str | None) -> None:
    for is_dry in (True, False):
        stage = Stage(WHOLE, rules=rules, dry_run=is_dry, again=again)
        told = [text for text in stage.console.infos if "again" in text]
        assert (len(told), words is None or words in told[0]) == (words is not None, True)
        assert stage.report.again == again


def test_what_is_wanted_again_has_another_deploy_key_in_each_job() -> None:
    """A job is known by its id, and where it has none by its number."""
    rules = RULES.replace("${CIRCLE_SHA1}", "${deploy.key}")
    ids = [(None, "1"), (None, "2"), ("x", "1"), ("y", "1"), ("x", "2"), ("x", None)]
    of = [(again, environ(CIRCLE_WORKFLOW_JOB_ID=job)) for again, job in ids]
    of.append(("x", environ(CIRCLE_WORKFLOW_JOB_ID=None, CIRCLE_BUILD_NUM="99")))
    stages = [Stage(of=job, rules=rules, again=again, dry_run=True) for again, job in of]
    first, rerun, *others = [stage.report.triggers[0].spec.key for stage in stages]
    assert (first, len({first, *others})) == (rerun, 5)


DEV = RULES.replace("branch: main", "branch: dev")


@pytest.mark.parametrize(
    ("branch", "rules", "default", "is_warned"),
    [
        ("dev", DEV, "main", True),
        ("dev", DEV + "default_branch: dev\n", "main", False),
        ("main", RULES, "main", False),
        ("main", RULES, "master", True),
        ("master", RULES.replace("branch: main", "branch: master"), None, False),
        ("dev", TO.replace("when: {branch: main}", "when: {branch: dev}"), "main", False),
        ("dev", JOB, "main", False),
        (None, RULES, "main", False),
    ],
)
def test_a_run_that_may_cancel_its_own_build(branch: str | None, rules: str, default: Any, is_warned: object) -> None:
    of = environ(CIRCLE_BRANCH=branch) if branch else tag_environ("v1")
    stage = Stage(of=of, rules=dedent(rules), outside={"default_branch": default}, dry_run=True)
    assert stage.outcomes == PLANNED, stage.told
    assert ["auto-cancel" in text for text in stage.console.warnings] == [True] * bool(is_warned)
    at = default or "its default branch"
    cure = f"switch it off in the project's settings, or send the commit to this project as a target at {at}"
    assert all(text.endswith(cure) for text in stage.console.warnings)


@pytest.mark.parametrize(("changes", "outcomes"), [(NO_SLUG, []), ({"CIRCLE_NODE_TOTAL": "2"}, NOT_SENT)])
def test_an_interruption_before_a_trigger_keeps_what_is_known(changes: Any, outcomes: list[Outcome]) -> None:
    stage = Stage([Interrupted(ExitCode.TERMINATED)], environ(**changes))
    assert (stage.report.exit, stage.outcomes, stage.verdicts) == (ExitCode.TERMINATED, outcomes, "fire no")


def test_stated_facts_replace_the_clone() -> None:
    given = read_given(SourceFile("given.yml", "branch: main\nmessage: ship it\njobs: {test: success}\n"))
    rules = REQUIRES.replace("{branch: main}", "{branch: main, message_contains: ship}")
    assert Stage(of={}, rules=rules, command="plan", outside={"given": given}).outcomes == PLANNED


def test_a_rule_for_gate_alone_is_never_sent_or_held_and_what_is_not_known_of_it_stops_nothing() -> None:
    stage = Stage(WHOLE, rules=dedent(RULES) + ALONE, clone=[UNKNOWN])
    assert (stage.told, stage.outcomes) == ("", TRIGGERED)
    stage = Stage([], rules=HEAD + ALONE, clone=[SHIP], held="fail")
    assert (stage.told, stage.outcomes, stage.verdicts) == ("", [], "held")
