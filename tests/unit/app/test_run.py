"""The steps of a run, in their order, with nothing real around them."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
from builds import DEFINITION, PIPELINE, RUN, SHA, environ, fork_environ, oidc, tag_environ
from fakes import NO_RUNS, FakeServices, ScriptedTransport, answer, lost, nobody_asks

from deploystep.app.options import Options
from deploystep.app.report import Report
from deploystep.app.run import run
from deploystep.core.decide import Verdict
from deploystep.core.deploy import Outcome
from deploystep.core.errors import Interrupted, ToolError
from deploystep.core.exits import ExitCode
from deploystep.core.facts import Answered, Known, Question, Unavailable
from deploystep.core.source import SourceFile
from deploystep.rulefile.given import read_given

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from fakes import Event

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
JOB = """
    version: 1
    rules:
      - {name: production, when: {branch: "**"}, deploy: {job: deploy}}
    """
WHOLE = [
    answer(201, {"id": RUN, "number": 25, "state": "pending"}),
    answer(200, {"id": RUN, "state": "created", "vcs": {"revision": SHA}}),
    answer(200, {"items": [{"id": "w1", "name": "deploy", "status": "running"}]}),
]
ASKS = RULES.replace("branch: main", "branch: main, message_contains: ship")
DESCRIBED = answer(200, {"id": PIPELINE, "state": "created", "project_slug": "circleci/9Yy/44n"})
NO_SLUG = {"CIRCLE_BUILD_URL": None, "CIRCLE_REPOSITORY_URL": None}
TWO_NODES = environ(CIRCLE_NODE_TOTAL="2")


def nodes(*states: str) -> Event:
    return answer(200, {"number": 12, "parallel_runs": [{"index": i, "status": s} for i, s in enumerate(states)]})


def _unknown(_question: Question) -> Answered:
    return Unavailable("U103", "cannot read the commit", "look elsewhere")


class Stage:
    """One call of `run`, and how it ended."""

    def __init__(  # noqa: PLR0913 - what the outside may be like
        self,
        events: Iterable[Event] = (),
        of: Mapping[str, str] | None = None,
        rules: str = RULES,
        *,
        token: bool = True,
        other_node: str = "",
        answers: Callable[[Question], Answered] = nobody_asks,
        command: str = "run",
        default: str | None = "main",
        **options: Any,
    ) -> None:
        asks_project = of is not None and "CIRCLE_BUILD_URL" not in of
        self.transport = ScriptedTransport(events, earlier=NO_RUNS, asks_project=asks_project)
        asked = Options(command, **options)
        self.services = FakeServices(
            self.transport,
            environ=environ() if of is None else of,
            rules=dedent(rules),
            options=asked,
            has_token=token,
            answers=answers,
        )
        self.services.other_node = other_node
        self.services.default_branch = default
        self.report = Report(command, is_dry=asked.is_dry)
        try:
            run(asked, self.services, self.report)
        except ToolError as error:
            self.report.fail(error)
        except Interrupted as signalled:
            self.report.exit = signalled.exit

    @property
    def exit(self) -> ExitCode:
        return self.report.exit

    @property
    def outcomes(self) -> list[Outcome]:
        return [t.outcome for t in self.report.triggers]

    @property
    def verdicts(self) -> list[Verdict]:
        return [j.verdict for j in self.report.decision.judgements] if self.report.decision else []

    @property
    def message(self) -> str:
        return self.report.error.message if self.report.error else ""


def test_triggered() -> None:
    stage = Stage(WHOLE)
    assert (stage.exit, stage.outcomes) == (ExitCode.OK, [Outcome.TRIGGERED])
    assert stage.verdicts == [Verdict.FIRE, Verdict.NO]
    assert stage.transport.is_used_up
    assert stage.report.now is not None
    assert stage.report.now.isoformat() == "2026-06-16T10:02:11+02:00"
    assert (stage.services.console.infos[-1].split(":")[0], stage.services.console.warnings) == (
        "triggered production",
        [],
    )


# What is skipped


def test_another_node_ends_before_anything() -> None:
    stage = Stage(of={}, rules="nonsense: [", other_node="node 2 of 4; node 0 decides")
    assert stage.report.skipped == "node 2 of 4; node 0 decides"
    assert (stage.exit, stage.services.reads, stage.transport.sent) == (ExitCode.OK, 0, [])


@pytest.mark.parametrize("name", ["CIRCLE_OIDC_TOKEN", "CIRCLE_OIDC_TOKEN_V2"])
@pytest.mark.parametrize("claim", [True, "true"])
def test_a_rerun_with_ssh_never_deploys(claim: object, name: str) -> None:
    of = environ(**{name: oidc(ssh_rerun=claim)})
    stage = Stage(of=of)
    assert stage.report.skipped.startswith("this is a rerun with SSH")
    assert (stage.exit, stage.services.reads, stage.transport.sent) == (ExitCode.OK, 0, [])
    assert Stage(WHOLE, of, allow_ssh=True).outcomes == [Outcome.TRIGGERED]


@pytest.mark.parametrize("claim", [False, "false", None, "yes"])
def test_what_is_no_rerun_with_ssh(claim: object) -> None:
    assert Stage(WHOLE, environ(CIRCLE_OIDC_TOKEN=oidc(ssh_rerun=claim))).outcomes == [Outcome.TRIGGERED]


def test_a_fork_without_a_token_is_normal() -> None:
    stage = Stage(of=fork_environ(), rules=ANY_BRANCH, token=False)
    assert (stage.exit, stage.outcomes) == (ExitCode.OK, [])
    assert stage.report.skipped == "a fork's build is not given the token, so nothing is sent"
    assert stage.verdicts == [Verdict.FIRE, Verdict.NO], "which rule would have fired is told"
    dry = Stage(of=fork_environ(), rules=ANY_BRANCH, token=False, dry_run=True)
    assert (dry.report.skipped, dry.outcomes) == ("", [Outcome.PLANNED])


def test_a_fork_without_a_token_cannot_learn_of_jobs_and_that_is_normal_too() -> None:
    rules = ANY_BRANCH.replace("fork: true}", "fork: true}\n        requires: test")
    stage = Stage(of=fork_environ(), rules=rules, token=False, answers=_unknown)
    assert (stage.exit, stage.verdicts) == (ExitCode.OK, [Verdict.UNKNOWN, Verdict.NO])
    assert stage.report.skipped.startswith("a fork's build is not given the token")


def test_a_fork_with_a_token() -> None:
    stage = Stage(WHOLE, fork_environ(), ANY_BRANCH)
    assert stage.outcomes == [Outcome.TRIGGERED]
    body = stage.transport.sent[0].body
    assert body is not None
    assert body["checkout"] == {"branch": "pull/7/head"}


@pytest.mark.parametrize("of", [environ(CIRCLE_BRANCH="feature/x"), fork_environ()])
def test_nothing_fires(of: Mapping[str, str]) -> None:
    stage = Stage(of=of, token=False)
    assert (stage.exit, stage.outcomes, stage.verdicts) == (ExitCode.OK, [], [Verdict.NO, Verdict.NO])
    assert stage.report.skipped == "", "a fork is not said to lack a token where that makes no difference"


# What is wrong is told before anything is sent


@pytest.mark.parametrize(
    ("how", "code", "verdicts", "diagnostics"),
    [
        ({"of": environ(CIRCLE_SHA1=None, CIRCLE_BRANCH=None)}, "environment-invalid", [], []),
        ({"rules": "version: 2\nrules: []\n"}, "rules-invalid", [], ["E104"]),
        ({"token": False}, "no-token", [Verdict.FIRE, Verdict.NO], []),
        ({"rules": ASKS, "answers": _unknown}, "undecided", [Verdict.UNKNOWN, Verdict.NO], ["U103"]),
    ],
)
def test_what_is_wrong(how: dict[str, Any], code: str, verdicts: list[Verdict], diagnostics: list[str]) -> None:
    stage = Stage(**how)
    assert stage.report.error is not None
    assert (stage.report.error.code, stage.verdicts) == (code, verdicts), "what was known is told"
    assert [d.code for d in stage.report.diagnostics] == diagnostics
    assert (stage.outcomes, stage.transport.sent) == ([], [])
    assert (stage.report.build is None, stage.services.reads == 0) == (code == "environment-invalid",) * 2


@pytest.mark.parametrize("is_dry", [True, False])
def test_one_parameter_that_is_wrong_stops_every_rule(is_dry: bool) -> None:  # noqa: FBT001 - a column
    rules = """
        version: 1
        rules:
          - {name: good, when: {branch: "**"}, deploy: {workflow: a}}
          - {name: bad, when: {branch: "**"}, deploy: {workflow: b, parameters: {x: "${CIRCLE_BRANCH}"}}}
        """
    stage = Stage(of=environ(CIRCLE_BRANCH="a;b"), rules=rules, dry_run=is_dry)
    assert (stage.exit, [d.code for d in stage.report.diagnostics]) == (ExitCode.RULES, ["E509"])
    assert (stage.outcomes, stage.transport.sent) == ([], [])
    assert stage.report.error is not None
    assert stage.report.error.code == "parameters-invalid"


def pair(first: str, second: str, top: str = "") -> Stage:
    text = (
        f"version: 1\n{top}rules:\n"
        f"  - {{name: a, when: {{branch: '**'}}, deploy: {first}}}\n"
        f"  - {{name: b, when: {{branch: '**'}}, deploy: {second}}}\n"
    )
    return Stage(of=environ(CIRCLE_OIDC_TOKEN=oidc(pipeline_definition_id=DEFINITION)), rules=text, dry_run=True)


SELF = "targets:\n  self: {project: gh/Acme/Shop, branch: main}\n"


@pytest.mark.parametrize(
    ("first", "second", "top"),
    [
        ("{workflow: x, parameters: {p: 1, q: true}}", "{workflow: x, parameters: {q: true, p: 1}}", ""),
        ("{workflow: x}", "{workflow: y}", ""),
        ("{job: x}", "{job: x}", ""),
        ("{workflow: x, parameters: {p: main}}", '{workflow: x, parameters: {p: "${CIRCLE_BRANCH}"}}', ""),
        ("{to: self, workflow: x, parameters: {p: 1}}", "{workflow: x, parameters: {p: 1}}", SELF),
    ],
)
def test_the_same_request_twice_is_sent_by_nobody(first: str, second: str, top: str) -> None:
    """Only finished requests tell: the workflow is no part of one, and a target can be this project in other words."""
    stage = pair(first, second, top)
    assert (stage.exit, stage.outcomes) == (ExitCode.RULES, [])
    (found,) = stage.report.diagnostics
    lines = 2 + top.count("\n") + 1, 2 + top.count("\n") + 2
    assert (found.code, found.span.line, found.span.start.column) == ("E608", lines[1], 12)
    assert found.message == f"rule 'b' would send the same request as rule 'a' (line {lines[0]})"
    assert found.hint == "make their conditions exclude each other, or merge them"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{workflow: x, parameters: {p: 1}}", "{workflow: x, parameters: {p: true}}"),
        ("{workflow: x, parameters: {p: 1}}", '{workflow: x, parameters: {p: "1"}}'),
        ("{workflow: x}", "{job: x}"),
        ("{job: x}", "{job: y}"),
    ],
)
def test_two_requests_are_two(first: str, second: str) -> None:
    stage = pair(first, second)
    assert (stage.report.diagnostics, stage.outcomes) == ((), [Outcome.PLANNED] * 2)


# A dry run


@pytest.mark.parametrize("of", [environ(), tag_environ("v1.4.0"), environ(CIRCLE_BRANCH="x"), fork_environ()])
def test_a_dry_run_judges_as_a_live_run_does(of: Mapping[str, str]) -> None:
    live = Stage(WHOLE, of)
    for token in (True, False):
        dry = Stage(of=of, token=token, dry_run=True)
        assert dry.report.decision == live.report.decision
        assert [t.request for t in dry.report.triggers] == [t.request for t in live.report.triggers]
        assert dry.transport.sent == []
        assert set(dry.outcomes) <= {Outcome.PLANNED}


# The project


PARALLEL = environ(CIRCLE_NODE_TOTAL="2", **NO_SLUG)
OWN, OTHER = "POST /api/v2/project/circleci/9Yy/44n/pipeline/run", "POST /api/v2/project/gh/acme/deployer/pipeline/run"


@pytest.mark.parametrize(
    ("of", "rules", "options", "events", "asked"),
    [
        (environ(**NO_SLUG), RULES, {}, [DESCRIBED, *WHOLE], [f"GET /api/v2/pipeline/{PIPELINE}", OWN]),
        # it is learned only where something depends on it: a request, or the nodes that are waited for
        (environ(CIRCLE_PIPELINE_ID=None, **NO_SLUG), TO, {}, WHOLE, [OTHER]),
        (PARALLEL, TO, {"nodes": "first"}, WHOLE, [OTHER]),
        (
            PARALLEL,
            TO,
            {},
            [DESCRIBED, nodes("running", "success"), nodes("running", "success"), *WHOLE],
            [f"GET /api/v2/pipeline/{PIPELINE}", *["GET /api/v2/project/circleci/9Yy/44n/job/12"] * 2, OTHER],
        ),
    ],
)
def test_the_project_is_asked_for_where_no_variable_tells_it(
    of: dict[str, str], rules: str, options: dict[str, Any], events: list[Event], asked: list[str]
) -> None:
    stage = Stage(events, of, rules, **options)
    assert stage.transport.paths[: len(asked)] == asked
    assert stage.outcomes == [Outcome.TRIGGERED], stage.message


@pytest.mark.parametrize(
    ("events", "of", "exit_code"),
    [
        ([answer(404, {"message": "x"})], environ(**NO_SLUG), ExitCode.UNDECIDED),
        ([lost()] * 5, environ(**NO_SLUG), ExitCode.UNDECIDED),
        (
            [answer(200, {"id": PIPELINE, "state": "created", "project_slug": "x"})],
            environ(**NO_SLUG),
            ExitCode.UNDECIDED,
        ),
        ([], environ(CIRCLE_PIPELINE_ID=None, **NO_SLUG), ExitCode.ENVIRONMENT),
    ],
)
def test_a_project_that_cannot_be_learned(events: list[Event], of: dict[str, str], exit_code: ExitCode) -> None:
    stage = Stage(events, of)
    assert stage.report.error is not None
    assert (stage.exit, stage.report.error.code) == (exit_code, "project-unknown")
    assert not any(r.method == "POST" for r in stage.transport.sent)


@pytest.mark.parametrize(
    ("how", "project"),
    [
        ({"command": "plan"}, "VCS/ORGANIZATION/PROJECT"),
        ({"dry_run": True, "token": False}, "VCS/ORGANIZATION/PROJECT"),
        ({"dry_run": True, "events": [DESCRIBED]}, "circleci/9Yy/44n"),
    ],
)
def test_a_dry_run_names_a_project_that_it_may_not_ask_for_by_a_placeholder(how: dict[str, Any], project: str) -> None:
    stage = Stage(of=environ(**NO_SLUG), **how)
    assert stage.outcomes == [Outcome.PLANNED]
    assert stage.report.triggers[0].url.endswith(f"/project/{project}/pipeline/run")


# What is allowed and may surprise


NAMELESS = RULES.replace("workflow: deploy, ", "")


@pytest.mark.parametrize(
    ("rules", "again", "words"),
    [
        (RULES, None, None),
        (NAMELESS, None, "rule production: a rerun of this step is not recognised and deploys again: it names no work"),
        (TO, None, "deploys again: runs of another project carry other commits"),
        (RULES, "the database was restored", "not looked for: the database was restored"),
        (NAMELESS, "x", "--again"),
    ],
)
def test_what_a_rerun_does_is_told(rules: str, again: str | None, words: str | None) -> None:
    for is_dry in (True, False):
        stage = Stage(WHOLE, rules=rules, dry_run=is_dry, again=again)
        told = [text for text in stage.services.console.infos if "again" in text]
        assert (len(told), words is None or words in told[0]) == (words is not None, True)
        assert stage.report.again == again


@pytest.mark.parametrize(
    ("of", "rules", "is_warned"),
    [
        (environ(CIRCLE_BRANCH="dev"), RULES.replace("branch: main", "branch: dev"), True),
        (environ(CIRCLE_BRANCH="dev"), RULES.replace("branch: main", "branch: dev") + "default_branch: dev\n", False),
        (environ(), RULES, False),
        (tag_environ("v1"), RULES, False),
        (environ(CIRCLE_BRANCH="dev"), TO.replace("when: {branch: main}", "when: {branch: dev}"), False),
        (environ(CIRCLE_BRANCH="dev"), JOB, False),
    ],
)
def test_a_run_that_may_cancel_the_build_that_it_is_in(of: dict[str, str], rules: str, is_warned: bool) -> None:  # noqa: FBT001 - a column
    stage = Stage(of=of, rules=dedent(rules), dry_run=True)
    assert stage.outcomes == [Outcome.PLANNED], stage.message
    assert ["auto-cancel" in text for text in stage.services.console.warnings] == [True] * is_warned
    cure = "switch it off, or name this project as a target at main and send the commit"
    assert all(text.endswith(cure) for text in stage.services.console.warnings)


@pytest.mark.parametrize(
    ("branch", "default", "is_warned"),
    [
        ("master", "master", False),
        ("main", "master", True),
        ("main", None, False),
        ("master", None, False),
        ("dev", None, True),
    ],
)
def test_the_default_branch_is_that_of_the_clone(branch: str, default: str | None, is_warned: bool) -> None:  # noqa: FBT001 - a column
    rules = RULES.replace("branch: main", f"branch: {branch}")
    stage = Stage(of=environ(CIRCLE_BRANCH=branch), rules=rules, default=default, dry_run=True)
    assert ["auto-cancel" in text for text in stage.services.console.warnings] == [True] * is_warned


# The other nodes


@pytest.mark.parametrize(("total", "who"), [("2", "the other node is"), ("4", "the other 3 nodes are")])
def test_nodes_that_are_not_waited_for_are_warned_of(total: str, who: str) -> None:
    stage = Stage(WHOLE, environ(CIRCLE_NODE_TOTAL=total), nodes="first")
    assert stage.outcomes == [Outcome.TRIGGERED]
    assert stage.services.console.warnings == [f"{who} not waited for: one that fails now does not stop this deploy"]


def test_nodes_are_waited_for() -> None:
    waiting = [nodes("running", "running"), nodes("running", "success"), nodes("running", "success")]
    stage = Stage([*waiting, *WHOLE], TWO_NODES)
    assert (stage.exit, stage.outcomes) == (ExitCode.OK, [Outcome.TRIGGERED])
    assert stage.transport.paths[0] == "GET /api/v2/project/gh/acme/shop/job/12"


def test_a_node_that_failed_stops_the_deploy() -> None:
    stage = Stage([nodes("running", "failed")], TWO_NODES)
    assert (stage.exit, stage.outcomes) == (ExitCode.STOPPED, [Outcome.STOPPED])
    assert "node 1 failed" in stage.message


def test_nodes_are_waited_for_as_long_as_was_asked() -> None:
    stage = Stage([nodes("running", "running")] * 9, TWO_NODES, nodes_timeout=20.0)
    assert (stage.exit, stage.outcomes) == (ExitCode.TIMED_OUT, [Outcome.NOT_SENT])
    assert stage.services.clock.monotonic() == 20.0


@pytest.mark.parametrize(
    ("changes", "options", "outcomes"),
    [({"CIRCLE_BRANCH": "x"}, {}, []), ({}, {"dry_run": True}, [Outcome.PLANNED])],
)
def test_nodes_are_not_waited_for_where_nothing_is_sent(
    changes: dict[str, str], options: dict[str, Any], outcomes: list[Outcome]
) -> None:
    stage = Stage(of={**TWO_NODES, **changes}, **options)
    assert (stage.exit, stage.outcomes, stage.transport.sent) == (ExitCode.OK, outcomes, [])


def test_nodes_of_a_job_without_a_number() -> None:
    stage = Stage(of=environ(CIRCLE_NODE_TOTAL="2", CIRCLE_BUILD_NUM=None))
    assert (stage.exit, stage.outcomes) == (ExitCode.ENVIRONMENT, [Outcome.NOT_SENT])


def test_a_window_that_closes_while_nodes_are_waited_for() -> None:
    """The decision that is acted on is made after the wait."""
    rules = RULES.replace("when: {branch: main}", "when: {branch: main}\n        during: Tue 10:00-10:03")
    waiting = [nodes("running", "running")] * 6 + [nodes("running", "success")] * 2
    stage = Stage(waiting, TWO_NODES, rules)
    assert (stage.exit, stage.verdicts, stage.outcomes) == (ExitCode.OK, [Verdict.HELD, Verdict.NO], [])
    assert stage.transport.is_used_up


def test_a_job_that_fails_while_nodes_are_waited_for() -> None:
    """Facts are learned again after the wait, too."""
    rules = RULES.replace("when: {branch: main}", "when: {branch: main}\n        requires: test")
    jobs = [answer(200, {"items": [{"name": "test", "status": status}]}) for status in ("success", "failed")]
    done = nodes("running", "success")
    stage = Stage([jobs[0], done, done, jobs[1]], TWO_NODES, rules)
    assert (stage.exit, stage.verdicts, stage.outcomes) == (ExitCode.OK, [Verdict.HELD, Verdict.NO], [])


def test_a_fact_that_is_lost_while_nodes_are_waited_for() -> None:
    done = nodes("running", "success")
    said: list[Answered] = [Known("ship it"), Unavailable("U103", "cannot read the commit", "look elsewhere")]
    stage = Stage(
        [done, done],
        TWO_NODES,
        ASKS,
        answers=lambda _: said.pop(0),
    )
    assert (stage.exit, stage.outcomes) == (ExitCode.UNDECIDED, [])


# Interruptions


@pytest.mark.parametrize("code", [ExitCode.INTERRUPTED, ExitCode.TERMINATED])
@pytest.mark.parametrize(
    ("before", "changes", "outcomes"),
    [
        ([], {}, [Outcome.UNCERTAIN]),
        (WHOLE[:1], {}, [Outcome.TRIGGERED]),
        ([], NO_SLUG, []),
        ([], {"CIRCLE_NODE_TOTAL": "2"}, [Outcome.NOT_SENT]),
    ],
)
def test_an_interruption_keeps_what_is_known(
    before: list[Event], changes: dict[str, str | None], outcomes: list[Outcome], code: ExitCode
) -> None:
    stage = Stage([*before, Interrupted(code)], environ(**changes))
    assert (stage.exit, stage.outcomes) == (code, outcomes)
    assert stage.verdicts == [Verdict.FIRE, Verdict.NO]


# Stated facts


def test_stated_facts_replace_the_clone() -> None:
    given = read_given(SourceFile("given.yml", "branch: main\nmessage: ship it\njobs: {test: success}\n"))
    rules = dedent(RULES.replace("{branch: main}", "{branch: main, message_contains: ship}\n        requires: test"))
    options = Options("plan")
    services = FakeServices(ScriptedTransport(), environ={}, rules=rules, options=options, given=given)
    report = Report("plan")
    run(options, services, report)
    assert [t.outcome for t in report.triggers] == [Outcome.PLANNED]
