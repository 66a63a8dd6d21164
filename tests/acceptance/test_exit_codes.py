"""Every exit code and every outcome that a run can have, by the process that a build would run."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from acceptance.process import JUMPING, RULES, TOKEN, Project, ahead, triggers
from acceptance.server import Answer, ScriptedServer
from acceptance.wire import JOB, LIST, LOST, NEW, NO, POST, Routes, created_run, nodes, page, pipeline, read, workflows
from builds import OTHER_SHA, SHA

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from acceptance.process import Ended

    from deploystep.sandbox import Sandbox

DOCUMENT = {"schema", "command", "mode", "build", "now", "rules", "triggers", "exit", "error"}
CODES = {
    0: "ok", 1: "bug", 2: "usage", 3: "rules", 4: "environment", 5: "undecided", 6: "refused", 7: "unreachable",
    8: "uncertain", 9: "stopped", 10: "nothing-runs", 11: "deploy-failed", 12: "timed-out", 13: "held",
    130: "interrupted", 143: "terminated",
}  # fmt: skip
OUTCOMES = "planned triggered refused unreachable uncertain stopped nothing-runs not-sent"
NOTHING, UNKNOWN, DONE = "nothing was triggered", "whether it was accepted is not known", "was triggered: http"
BROKEN = "import time\n\ntime.monotonic = None\n"
GOOD = created_run(deploy="running")
FREEZE = "freezes:\n      - {name: f, from: 2000-01-01 00:00, until: 2999-01-01 00:00}"
FROZEN = RULES.replace("version: 1", f"version: 1\n    {FREEZE}")


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


STATES, CANCEL = f"{NEW}/workflow", "POST /api/v2/workflow/w-deploy/cancel"
RUNNING, SUCCESS, FAILED = (workflows(deploy=status) for status in ("running", "success", "failed"))
OTHER, CANCELED = pipeline(vcs={"revision": OTHER_SHA, "branch": "main"}), workflows(deploy="canceled")
ERRORED = pipeline(state="errored", errors=[{"message": f"the token {TOKEN} is wrong"}])
SEVERAL = {"CIRCLE_NODE_TOTAL": "2"}
WAIT = ("--wait", "3m")

ROWS = [
    sent(0, "triggered", "triggered"),
    sent(0, "waited for", "triggered", arguments=WAIT, routes={STATES: [RUNNING, RUNNING, SUCCESS]}),
    Row("a dry run", 0, "planned", arguments=("--dry-run",)),
    Row("held", 0, None, rules=FROZEN),
    unsent(1, "a bug", "bug", "this is a bug in deploystep: TypeError",
        python=BROKEN, hint="look whether anything was"),
    told(2, "no such option", "usage", "--bogus", arguments=("--bogus",)),
    told(3, "no rules", "rules-unreadable", "nowhere.yml", arguments=("--rules", "nowhere.yml")),
    told(4, "no build", "not-in-a-build", "CIRCLECI is not `true`", variables={"CIRCLECI": None}),
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
    sent(8, "lost", "uncertain", "uncertain", "no run of it was found in 10 s",
        routes={POST: LOST}, hint="if it is still not there after some minutes"),
    unsent(9, "a node failed", "node-failed", "node 1 failed", "stopped",
        routes={JOB: nodes("running", "failed")}, variables=SEVERAL),
    sent(9, "another commit", "stopped", "wrong-commit", "it was cancelled",
        routes={NEW: read(OTHER), CANCEL: Answer(202, {}), STATES: [RUNNING, CANCELED]}),
    sent(10, "skipped", "nothing-runs", "skipped", "Ignoring",
        routes={POST: Answer(200, {"message": "Ignoring pipeline due to CI skip in the commit"})}),
    sent(10, "errored", "nothing-runs", "errored", "the token *** is wrong", routes={NEW: read(ERRORED)}),
    sent(10, "no workflow", "nothing-runs", "no-workflow", "no workflow was seen", routes={STATES: page()}),
    sent(11, "it failed", "triggered", "deploy-failed", "workflow deploy: failed",
        arguments=WAIT, routes={STATES: [RUNNING, RUNNING, FAILED]}),
    sent(12, "a run that cannot be read", "triggered", "not-confirmed", "could not be read",
        routes={NEW: Answer(404), STATES: Answer(404)}),
    sent(12, "it does not end", "triggered", "wait-timeout", "has not ended within 180 s: workflow deploy: running",
        arguments=WAIT),
    told(13, "held, which is to be a failure, in a dry run too", "held", "rule production is held: line 3: freeze f",
        rules=FROZEN, arguments=("--dry-run",), variables={"DEPLOYSTEP_HELD": "fail"}, hint="rerun this job"),
    # a signal at each moment
    Row("before it", 130, "not-sent", "interrupted",
        last=NOTHING, signal=signal.SIGINT, when=LIST, routes={LIST: Answer(delay=5)}),
    sent(143, "at it", "uncertain", "terminated", signal=signal.SIGTERM, when=POST, routes={POST: Answer(delay=5)}),
    sent(143, "after it", "triggered", "terminated", signal=signal.SIGHUP, when=NEW, routes={NEW: Answer(delay=5)}),
    sent(143, "while it is followed", "triggered", "terminated", python="",
        signal=signal.SIGTERM, when="production: workflow deploy: running", arguments=WAIT),
    sent(143, "before it is sent again", "not-sent", "terminated", last=NOTHING, python="",
        signal=signal.SIGTERM, when="again in 30 s", routes={POST: Answer(429, headers={"Retry-After": "30"})}),
    Row("while nodes run", 143, "not-sent", "terminated", last=NOTHING, python="",
        signal=signal.SIGTERM, when="nodes: 1 running", routes={JOB: nodes("", "running")}, variables=SEVERAL),
]  # fmt: skip


def play(row: Row, folder: Path) -> tuple[Ended, ScriptedServer]:
    project = Project(folder)
    project.write(row.rules)
    with ScriptedServer({**GOOD, **row.routes}) as server:
        variables = {**project.without_waits(row.python), "DEPLOYSTEP_HOST": server.url, **row.variables}
        if row.signal is None:
            return project.step(None, *row.arguments, **variables), server

        def is_time(said: str) -> bool:
            return row.when in said or bool(server.asked(row.when))

        return project.interrupted(row.signal, None, is_time, *row.arguments, **variables), server


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
    """`already-triggered` and `superseded` are in `test_earlier`, codes of `gate` alone in `test_gate`."""
    assert {row.code for row in ROWS} == set(CODES)
    assert {row.outcome for row in ROWS} - {None} == set(OUTCOMES.split())


# What the table does not show


def test_the_document_shows_what_was_sent_and_what_runs(project: Project, circleci: Sandbox) -> None:
    ended = project.step(circleci)
    assert set(ended.json) == DOCUMENT
    (trigger,), (run,), (received,) = ended.json["triggers"], circleci.runs, triggers(circleci)
    assert trigger["request"] == {"method": "POST", "url": circleci.url + received.path, "body": received.body}
    assert received.body["parameters"] == {"deploy": True, "sha": SHA, "retries": 3}
    assert (trigger["id"], trigger["number"], trigger["revision"]) == (run.id, run.number, SHA)
    assert trigger["workflows"] == [{"name": "deploy", "status": "running"}]


def test_what_people_read(project: Project, circleci: Sandbox) -> None:
    ended = project.call("run", "--confirm", "1s", "--cancel-on-interrupt", server=circleci)
    assert ended.code == 0
    assert ended.out.startswith(".circleci/deploy.yml · branch main @ 4f2c1aa · ")
    assert "= triggered: " in ended.out
    assert "\ntriggered production: " in ended.err
    assert "warning: --cancel-on-interrupt cancels nothing without --wait" in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--token-env", "DEPLOY_KEY", "--confirm", "1s"),
        ("run", "--token-env", "DEPLOY_KEY", "--sandbox", "--outside-ci"),
        ("check", "--rules-ref", "main"),
    ],
    ids=" ".join,
)
def test_the_token_is_none_of_gits_business(project: Project, circleci: Sandbox, arguments: tuple[str, ...]) -> None:
    """By whatever name it goes, and under whatever second name; also where the command itself does not need it."""
    project.write('#!/bin/sh\n(env; echo "$@") >> "$HOME/seen"\nexit 128\n', "bin/git")
    (project.folder / "bin/git").chmod(0o755)
    variables: dict[str, str | None] = {"CIRCLE_TOKEN": None, "DEPLOY_KEY": TOKEN, "COPY": TOKEN}
    variables["PATH"] = f"{project.folder}/bin:{os.environ['PATH']}"
    variables["DEPLOYSTEP_TOKEN_ENV"] = None if "--token-env" in arguments else "DEPLOY_KEY"
    ended = project.call(*arguments, server=circleci, **variables)
    assert ended.code == (3 if "--rules-ref" in arguments else 0), ended.err
    assert ("warning: --sandbox: this build deploys nothing" in ended.err) is ("--sandbox" in arguments)
    seen = (project.folder / "seen").read_text(encoding="utf-8")
    assert ("HOME=" in seen, TOKEN in seen) == (True, False)
