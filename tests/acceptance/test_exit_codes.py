"""Every exit code and every outcome that a run can have, by the process that a build would run."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from acceptance.process import JUMPING, RULES, TOKEN, Clone, Project, ahead, triggers
from acceptance.server import Answer, ScriptedServer
from acceptance.wire import (
    JOB,
    LIST,
    LOST,
    NEW,
    NO,
    OLD,
    OLD_ID,
    OWN,
    POST,
    Routes,
    created_run,
    nodes,
    page,
    pipeline,
    read,
    workflows,
)
from builds import OTHER_SHA, SHA, oidc

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from acceptance.process import Ended

    from deploystep.sandbox import Sandbox

DOCUMENT = {"schema", "command", "mode", "build", "now", "rules", "triggers", "exit", "error"}
CODES = {
    0: "ok",
    1: "bug",
    2: "usage",
    3: "rules",
    4: "environment",
    5: "undecided",
    6: "refused",
    7: "unreachable",
    8: "uncertain",
    9: "stopped",
    10: "nothing-runs",
    11: "deploy-failed",
    12: "timed-out",
    13: "held",
    130: "interrupted",
    143: "terminated",
}
OUTCOMES = {
    *("planned", "triggered", "already-triggered", "superseded", "refused", "unreachable", "uncertain", "stopped"),
    *("nothing-runs", "not-sent"),
}
NOTHING, UNKNOWN, DONE = "nothing was triggered", "whether it was accepted is not known", "was triggered: http"
BROKEN = "import time\n\ntime.monotonic = None\n"
GOOD = created_run(deploy="running")
FREEZE = "freezes:\n      - {name: f, from: 2000-01-01 00:00, until: 2999-01-01 00:00}"
FROZEN = RULES.replace("version: 1", f"version: 1\n    {FREEZE}")
FORK_RULES = RULES.replace("{branch: main}", '{branch: "**", fork: true}')


@dataclass(frozen=True)
class Row:
    """One run. `routes` change those of a trigger that goes well; without `is_sent` there must be no trigger at all.

    `words` are in the message, `hint` in the hints, `last` in the last line of stderr. A signal comes as soon as `when`
    is asked for or said.
    """

    name: str
    code: int
    outcome: str | None
    error: str | None = None
    words: str = ""
    last: str = ""
    hint: str = ""
    routes: Routes = field(default_factory=dict)
    is_sent: bool = False
    arguments: tuple[str, ...] = ()
    variables: Mapping[str, str | None] = field(default_factory=dict)
    rules: str = RULES
    python: str = JUMPING
    is_overtaken: bool = False
    signal: signal.Signals | None = None
    when: str = ""


def told(code: int, name: str, error: str, words: str, **more: Any) -> Row:
    """A run that says what is wrong before there is anything to send."""
    return Row(name, code, None, error, words, NOTHING, **more)


def unsent(code: int, name: str, error: str, words: str, outcome: str = "not-sent", **more: Any) -> Row:
    """A run that had something to send, and sent it not."""
    return Row(name, code, outcome, error, words, NOTHING, **more)


def sent(code: int, name: str, outcome: str, error: str | None = None, words: str = "", **more: Any) -> Row:
    """A run that sent its trigger."""
    last = {"triggered": DONE, "uncertain": UNKNOWN}.get(outcome, "") if code else ""
    return Row(name, code, outcome, error, words, **{"last": last, "is_sent": True, **more})


OTHER = pipeline(vcs={"revision": OTHER_SHA, "branch": "main"})
CANCEL = "POST /api/v2/workflow/w-deploy/cancel"
STATES = f"{NEW}/workflow"
RUNNING, SUCCESS, FAILED = workflows(deploy="running"), workflows(deploy="success"), workflows(deploy="failed")
RERUN = {"id": "w", "name": "deploy", "status": "failed", "created_at": "2026-06-16T08:00:00Z", "max_auto_reruns": 1}
RERAN = {"id": "x", "name": "deploy", "status": "success", "created_at": "2026-06-16T08:01:00Z", "auto_rerun_number": 1}
SEVERAL = {"CIRCLE_NODE_TOTAL": "2"}
NO_PROJECT = {"CIRCLE_BUILD_URL": None, "CIRCLE_REPOSITORY_URL": None}
WAIT = ("--wait", "3m")
EARLIER = {LIST: page(pipeline(OLD_ID, 3600.0), OWN)}

ROWS = [
    sent(0, "triggered", "triggered"),
    sent(0, "confirmed by nobody", "triggered", arguments=("--confirm", "0")),
    sent(0, "lost and found", "triggered", routes={LIST: [page(OWN)] * 3 + [page(pipeline(), OWN)], POST: LOST}),
    sent(0, "waited for", "triggered", arguments=WAIT, routes={STATES: [RUNNING, RUNNING, SUCCESS]}),
    sent(0, "CircleCI reran it", "triggered",
        arguments=WAIT, routes={STATES: [page(RERUN), page(RERUN), page(RERUN, RERAN)]}),
    Row("a dry run", 0, "planned", arguments=("--dry-run",)),
    Row("another node", 0, None, variables={"CIRCLE_NODE_INDEX": "1", "CIRCLE_NODE_TOTAL": "2"}, rules="nonsense: ["),
    Row("a rerun with SSH", 0, None, variables={"CIRCLE_OIDC_TOKEN": oidc(ssh_rerun=True)}),
    sent(0, "a rerun with SSH that may", "triggered",
        arguments=("--allow-ssh",), variables={"CIRCLE_OIDC_TOKEN": oidc(ssh_rerun=True)}),
    Row("an earlier run", 0, "already-triggered", routes={**EARLIER, f"{OLD}/workflow": SUCCESS, OLD: read(OWN)}),
    Row("overtaken", 0, "superseded", is_overtaken=True),
    unsent(1, "a bug", "bug", "this is a bug in deploystep: TypeError",
        python=BROKEN, hint="look whether anything was"),
    told(2, "no such option", "usage", "--bogus", arguments=("--bogus",)),
    told(3, "no rules", "rules-unreadable", "nowhere.yml", arguments=("--rules", "nowhere.yml")),
    told(4, "no build", "not-in-a-build", "CIRCLECI is not `true`", variables={"CIRCLECI": None}),
    told(4, "a server without https", "host", "circleci.acme.example",
        variables={"DEPLOYSTEP_HOST": None, "CIRCLE_BUILD_URL": "http://circleci.acme.example/gh/acme/shop/12"}),
    told(4, "no token", "no-token", "CIRCLE_TOKEN is not set", variables={"CIRCLE_TOKEN": None}),
    told(5, "a fact that nobody knows", "undecided", "",
        rules=RULES.replace("when: {branch: main}", "when: {branch: main, author: x}")),
    unsent(5, "a list that cannot be read", "undecided", "could not be read", routes={LIST: Answer(500)}),
    unsent(6, "may not look", "refused-401", "answered 401", "refused",
        routes={LIST: Answer(401)}, hint="CIRCLE_TOKEN"),
    sent(6, "may not trigger", "refused", "refused-403", "answered 403: no", routes={POST: NO}, last=NOTHING),
    unsent(7, "nobody is there", "unreachable", "connection refused", "unreachable",
        variables={"DEPLOYSTEP_HOST": "http://127.0.0.1:1"}),
    sent(7, "asked to come back much later", "unreachable", "rate-limited", "429",
        routes={POST: Answer(429, headers={"Retry-After": "600"})}, last=NOTHING),
    sent(8, "lost", "uncertain", "uncertain", "no run of it was found in 10 s", routes={POST: LOST}),
    sent(8, "a proxy's page", "uncertain", "uncertain", "not with what it created",
        routes={POST: Answer(200, "<html>")}),
    unsent(9, "a node failed", "node-failed", "node 1 failed", "stopped",
        routes={JOB: nodes("running", "failed")}, variables=SEVERAL),
    sent(9, "another commit", "stopped", "wrong-commit", "it was cancelled",
        routes={NEW: read(OTHER), CANCEL: Answer(202, {}), STATES: [RUNNING, workflows(deploy="canceled")]}),
    sent(9, "another commit that goes on", "stopped", "wrong-commit", "could NOT be cancelled",
        routes={NEW: read(OTHER), CANCEL: NO}, hint="cancel it by hand"),
    sent(10, "skipped", "nothing-runs", "skipped", "Ignoring",
        routes={POST: Answer(200, {"message": "Ignoring pipeline due to CI skip in the commit"})}),
    sent(10, "errored", "nothing-runs", "errored", "the token *** is wrong",
        routes={NEW: read(pipeline(state="errored", errors=[{"message": f"the token {TOKEN} is wrong"}]))}),
    sent(10, "another workflow", "nothing-runs", "no-workflow", "workflow 'deploy' did not start within 1 s: workflow",
        routes={STATES: workflows(lint="running")}),
    sent(10, "no workflow", "nothing-runs", "no-workflow", "no workflow was seen", routes={STATES: page()}),
    sent(11, "it failed", "triggered", "deploy-failed", "workflow deploy: failed",
        arguments=WAIT, routes={STATES: [RUNNING, RUNNING, FAILED]}),
    sent(12, "a run that cannot be read", "triggered", "not-confirmed", "could not be read",
        routes={NEW: Answer(404), STATES: Answer(404)}),
    sent(12, "a commit that is not told", "triggered", "not-confirmed", "its commit could not be read",
        routes={NEW: read(pipeline(vcs={}))}),
    sent(12, "a setup that is not done", "triggered", "not-confirmed", "not finished",
        routes={NEW: read(pipeline(state="setup")), STATES: workflows(setup="running")}),
    sent(12, "it does not end", "triggered", "wait-timeout", "has not ended within 180 s: workflow deploy: running",
        arguments=WAIT),
    told(13, "held, which is to be a failure", "held", "rule production is held: line 3: freeze f",
        rules=FROZEN, arguments=("--held", "fail"), hint="rerun this job"),
    told(13, "held, by its variable and in a dry run", "held", "freeze f",
        rules=FROZEN, arguments=("--dry-run",), variables={"DEPLOYSTEP_HELD": "fail"}),
    Row("held", 0, None, rules=FROZEN),
    *(
        row
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143))
        for row in (
            Row(f"{number.name} before it", code, "not-sent", CODES[code],
                last=NOTHING, signal=number, when=LIST, routes={LIST: Answer(delay=5)}),
            sent(code, f"{number.name} at it", "uncertain", CODES[code],
                signal=number, when=POST, routes={POST: Answer(delay=5)}),
            sent(code, f"{number.name} after it", "triggered", CODES[code],
                signal=number, when=NEW, routes={NEW: Answer(delay=5)}),
            sent(code, f"{number.name} before it is sent again", "not-sent", CODES[code], last=NOTHING, python="",
                signal=number, when="again in 30 s", routes={POST: Answer(429, headers={"Retry-After": "30"})}),
            Row(f"{number.name} while nodes run", code, "not-sent", CODES[code], last=NOTHING, python="",
                signal=number, when="nodes: 1 running", routes={JOB: nodes("", "running")}, variables=SEVERAL),
        )
    ),
]  # fmt: skip


def play(row: Row, folder: Path) -> tuple[Ended, ScriptedServer]:
    project = Clone(folder) if row.is_overtaken else Project(folder)
    project.write(row.rules)
    variables: dict[str, str | None] = {**project.without_waits(row.python)}
    if isinstance(project, Clone):
        variables["CIRCLE_SHA1"], _ = project.commit(), project.commit()
        project.push()
    with ScriptedServer({**GOOD, **row.routes}) as server:
        variables |= {"DEPLOYSTEP_HOST": server.url, **row.variables}
        if row.signal is None:
            return project.step(None, *row.arguments, **variables), server

        def is_time(said: str) -> bool:
            return row.when in said or bool(server.asked(row.when))

        return project.interrupted(row.signal, None, is_time, **variables), server


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from ahead(request, lambda row: play(row, tmp_path_factory.mktemp("row")))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.code} {row.name}")
def test_how_it_ends(row: Row, played: Any) -> None:
    ended, server = played(row)
    document = ended.json
    assert (ended.code, document["exit"]) == (row.code, {"code": row.code, "name": CODES[row.code]}), ended.err
    assert ended.outcomes[:1] == ([] if row.outcome is None else [row.outcome]), ended.err
    assert set(document) >= DOCUMENT
    error = document["error"] or {"code": None, "message": "", "hints": []}
    assert error["code"] == row.error
    assert row.words in error["message"]
    assert row.hint in " ".join(error["hints"])
    assert row.error is None or row.signal or error["hints"] or error["diagnostics"]
    assert not row.last or row.last in ended.last_line
    posts = server.asked(POST)
    assert len(posts) == row.is_sent
    assert all(r.headers["authorization"] == f"Bearer {TOKEN}" for r in posts)


def test_every_code_and_every_outcome_is_shown() -> None:
    """Those of `gate` alone are in `test_gate`."""
    assert {row.code for row in ROWS} == set(CODES)
    assert {row.outcome for row in ROWS} - {None} == OUTCOMES


# What the table does not show


def test_the_document_of_a_trigger(project: Project, circleci: Sandbox) -> None:
    ended = project.step(circleci)
    assert set(ended.json) == DOCUMENT
    (trigger,) = ended.json["triggers"]
    assert trigger["outcome"] == "triggered"
    assert trigger["request"] == {
        "method": "POST",
        "url": f"{circleci.url}/api/v2/project/gh/acme/shop/pipeline/run",
        "body": {
            "config": {"branch": "main"},
            "checkout": {"branch": "main"},
            "parameters": {"deploy": True, "sha": SHA, "retries": 3},
        },
    }
    (run,) = circleci.runs
    assert (trigger["id"], trigger["number"], trigger["revision"]) == (run.id, run.number, SHA)
    assert trigger["workflows"] == [{"name": "deploy", "status": "running"}]
    assert ended.json["build"] == {
        "project": "gh/acme/shop",
        "branch": "main",
        "tag": None,
        "revision": SHA,
        "node": {"index": 0, "total": 1},
        "pull_request": None,
        "fork": False,
        "user": "anna",
    }
    (received,) = triggers(circleci)
    assert received.body == trigger["request"]["body"]
    assert received.headers["content-type"] == "application/json"


def test_what_people_read(project: Project, circleci: Sandbox) -> None:
    ended = project.call("run", "--confirm", "1s", server=circleci)
    assert ended.code == 0
    head, fire, *rest = ended.out.splitlines()
    assert head.startswith(".circleci/deploy.yml · branch main @ 4f2c1aa · ")
    assert fire.split() == ["fire", "production", "branch", "main", "(line", "5)"]
    assert any("= triggered: " in line for line in rest)
    assert any(line.endswith("workflow deploy: running") for line in rest)
    assert "\ntriggered production: " in ended.err


def test_usage_without_a_command(project: Project) -> None:
    ended = project.call("--json")
    assert (ended.code, ended.json["command"], ended.json["exit"]["name"]) == (2, "", "usage")
