"""Every exit code and every outcome that a run can have, by the process that a build would run."""

import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from acceptance.process import JUMPING, RULES, TOKEN, Ended, Project, ahead, triggers, until
from acceptance.server import Answer, ScriptedServer
from acceptance.wire import JOB, LIST, LOST, NEW, NO, POST, Routes, created_run, nodes, page, pipeline, read, workflows
from builds import OTHER_SHA, SHA

from deploystep.sandbox import Sandbox

DOCUMENT = {"schema", "command", "mode", "build", "now", "rules", "triggers", "exit", "error"}
CODES = {
    0: "ok", 1: "bug", 2: "usage", 3: "rules", 4: "environment", 5: "undecided", 6: "refused", 7: "unreachable",
    8: "uncertain", 9: "stopped", 10: "nothing-runs", 11: "deploy-failed", 12: "timed-out", 13: "held",
    130: "interrupted", 143: "terminated",
}  # fmt: skip
OUTCOMES = "planned triggered refused unreachable uncertain stopped nothing-runs not-sent"
UNKNOWN, DONE = "whether it was accepted is not known", "was triggered: http"
BROKEN = "import time\n\ntime.monotonic = None\n"
GOOD = created_run(deploy="running")
FREEZE = "freezes:\n      - {name: f, from: 2000-01-01 00:00, until: 2999-01-01 00:00}"
FROZEN = RULES.replace("version: 1", f"version: 1\n    {FREEZE}")


@dataclass(frozen=True)
class Row:
    """One run. `words` are in the message, `hint` in the hints; `routes` change those of a trigger that goes well.

    A signal comes as soon as `when` is asked for or said.
    """

    code: int
    outcome: str | None
    sent: int
    name: str
    error: str | None = None
    words: str = ""
    hint: str = ""
    routes: Routes = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    variables: Mapping[str, str | None] = field(default_factory=dict)
    rules: str = RULES
    python: str = JUMPING
    signal: "signal.Signals | None" = None
    when: str = ""

    @property
    def last(self) -> str:
        """What the last line of stderr says of the trigger; where a run is none that deploys, the message does."""
        if not self.code or self.code == 10 or (self.code == 9 and self.sent):
            return ""
        return {"triggered": DONE, "uncertain": UNKNOWN}.get(self.outcome or "", "nothing was triggered")


STATES, CANCEL = f"{NEW}/workflow", "POST /api/v2/workflow/w-deploy/cancel"
RUNNING, SUCCESS, FAILED = (workflows(deploy=status) for status in ("running", "success", "failed"))
OTHER, CANCELED = pipeline(vcs={"revision": OTHER_SHA, "branch": "main"}), workflows(deploy="canceled")
ERRORED = pipeline(state="errored", errors=[{"message": f"the token {TOKEN} is wrong"}])
SEVERAL = {"CIRCLE_NODE_TOTAL": "2"}
LATER, LIMITED = Answer(delay=2, closes=True), Answer(429, headers={"Retry-After": "600"})
WAIT = ("--wait", "3m")
UNKNOWN_FACT = RULES.replace("when: {branch: main}", "when: {branch: main, author: x}")
INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP

ROWS = [
    # exit code, outcome, triggers sent
    Row(0, "triggered", 1, "triggered"),
    Row(0, "triggered", 1, "waited for", arguments=WAIT, routes={STATES: [RUNNING, RUNNING, SUCCESS]}),
    Row(0, "planned", 0, "a dry run", arguments=("--dry-run",)),
    Row(0, None, 0, "held", rules=FROZEN),
    Row(1, "not-sent", 0, "a bug", "bug", "this is a bug in deploystep: TypeError", "look whether anything was",
        python=BROKEN),
    Row(2, None, 0, "no such option", "usage", "--bogus", arguments=("--bogus",)),
    Row(3, None, 0, "no rules", "rules-unreadable", "nowhere.yml", arguments=("--rules", "nowhere.yml")),
    Row(4, None, 0, "no build", "not-in-a-build", "CIRCLECI is not `true`", variables={"CIRCLECI": None}),
    Row(4, None, 0, "no token", "no-token", "CIRCLE_TOKEN is not set", variables={"CIRCLE_TOKEN": None}),
    Row(5, None, 0, "a fact that nobody knows", "undecided", rules=UNKNOWN_FACT),
    Row(5, "not-sent", 0, "no list", "undecided", "could not be read", routes={LIST: Answer(500)}),
    Row(6, "refused", 0, "may not look", "refused-401", "401", "CIRCLE_TOKEN", routes={LIST: Answer(401)}),
    Row(6, "refused", 1, "may not trigger", "refused-403", "answered 403: no", routes={POST: NO}),
    Row(7, "unreachable", 0, "nobody is there", "unreachable", "connection refused",
        variables={"DEPLOYSTEP_HOST": "http://127.0.0.1:1"}),
    Row(7, "unreachable", 1, "asked to come back much later", "rate-limited", "429", routes={POST: LIMITED}),
    Row(8, "uncertain", 1, "lost", "uncertain", "no run of it was found in 10 s",
        "if it is still not there after some minutes", routes={POST: LOST}),
    Row(9, "stopped", 0, "a node failed", "node-failed", "node 1 failed",
        routes={JOB: nodes("running", "failed")}, variables=SEVERAL),
    Row(9, "stopped", 1, "another commit", "wrong-commit", "it was cancelled",
        routes={NEW: read(OTHER), CANCEL: Answer(202, {}), STATES: [RUNNING, CANCELED]}),
    Row(10, "nothing-runs", 1, "skipped", "skipped", "Ignoring",
        routes={POST: Answer(200, {"message": "Ignoring pipeline due to CI skip in the commit"})}),
    Row(10, "nothing-runs", 1, "errored", "errored", "the token *** is wrong", routes={NEW: read(ERRORED)}),
    Row(10, "nothing-runs", 1, "no workflow", "no-workflow", "no workflow was seen", routes={STATES: page()}),
    Row(11, "triggered", 1, "it failed", "deploy-failed", "workflow deploy: failed",
        arguments=WAIT, routes={STATES: [RUNNING, RUNNING, FAILED]}),
    Row(12, "triggered", 1, "no run can be read", "not-confirmed", "could not be read",
        routes={NEW: Answer(404), STATES: Answer(404)}),
    Row(12, "triggered", 1, "it does not end", "wait-timeout", "not ended within 180 s: workflow deploy: running",
        arguments=WAIT),
    Row(13, None, 0, "held, in a dry run", "held", "rule production is held: line 3: freeze f", "rerun this job",
        rules=FROZEN, arguments=("--dry-run",), variables={"DEPLOYSTEP_HELD": "fail"}),
    # a signal at each moment
    Row(130, "not-sent", 0, "before it", signal=INT, when=LIST, routes={LIST: LATER}),
    Row(143, "uncertain", 1, "at it", signal=TERM, when=POST, routes={POST: LATER}),
    Row(143, "triggered", 1, "after it", signal=HUP, when=NEW, routes={NEW: LATER}),
    Row(143, "triggered", 1, "followed", signal=TERM, when="production: workflow deploy: running", arguments=WAIT),
    Row(143, "not-sent", 1, "before it is sent again", signal=TERM, when="again in 30 s",
        routes={POST: Answer(429, headers={"Retry-After": "30"})}),
    Row(143, "not-sent", 0, "while nodes run", signal=TERM, when="nodes: 1 running",
        routes={JOB: nodes("", "running")}, variables=SEVERAL),
]  # fmt: skip


def play(row: Row, folder: Path) -> tuple[Ended, ScriptedServer]:
    project = Project(folder)
    project.write(row.rules)
    with ScriptedServer({**GOOD, **row.routes}) as server:
        variables = {
            **project.without_waits("" if row.signal else row.python),
            "DEPLOYSTEP_HOST": server.url,
            **row.variables,
        }
        if row.signal is None:
            return project.step(None, *row.arguments, **variables), server
        with project.started(None, *row.arguments, **variables) as process:
            until(lambda: row.when in project.said or bool(server.asked(row.when)))
            process.send_signal(row.signal)
            return project.ended(process), server


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
    assert document["mode"] == ("dry-run" if "--dry-run" in row.arguments else "live")
    error = document["error"] or {"code": None, "message": "", "hints": []}
    assert error["code"] == (CODES[row.code] if row.signal else row.error)
    assert row.words in error["message"]
    assert row.hint in " ".join(error["hints"])
    assert row.error is None or row.signal or error["hints"] or error["diagnostics"]
    assert row.last in (ended.err and ended.last_line)
    posts = server.asked(POST)
    assert len(posts) == row.sent
    assert all(r.headers["authorization"] == f"Bearer {TOKEN}" for r in posts)


def test_every_code_and_every_outcome_is_shown() -> None:
    """`already-triggered` and `superseded` are in `test_once`, codes of `gate` alone in `test_gate`."""
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
