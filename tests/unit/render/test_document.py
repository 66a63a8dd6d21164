"""The JSON document: its shape for every way a command can end."""

import json
from typing import Any

import pytest
import yaml
from builds import RUN, SHA, tag_build
from reports import URL, outcome, report

from deploystep.app.report import Gated, GateOutcome, Report
from deploystep.core.deploy import Outcome
from deploystep.core.errors import EnvironmentInvalid, ExitCode, Refused, RuleFileInvalid, ToolError
from deploystep.core.runs import Created, WorkflowState
from deploystep.core.source import Diagnostic, Pos, SourceFile, Span
from deploystep.render.document import render

KEYS = ["schema", "command", "mode", "build", "now", "rules", "triggers", "exit", "error"]
FILE = SourceFile("deploy.yml", "x")
WRONG = Diagnostic("E102", "unknown", Span(Pos(2, 8), 2), "did you mean")


def document(shown: Report) -> Any:
    return json.loads(render(shown))


RAN = f"""
schema: 1
command: run
mode: live
build: {{project: gh/acme/shop, branch: main, tag: null, revision: {SHA}, node: {{index: 0, total: 1}},
  pull_request: null, fork: false, user: anna}}
now: "2026-06-16T10:02:11+02:00"
rules:
- {{name: staging, line: 4, verdict: fire, because: branch main (line 5)}}
- {{name: production, line: 7, verdict: "no", because: "line 8: tag — this is a branch build"}}
triggers:
- rule: staging
  outcome: triggered
  request:
    method: POST
    url: https://circleci.com/api/v2/project/gh/acme/shop/pipeline/run
    body: {{config: {{branch: main}}, checkout: {{branch: main}}, parameters: {{sha: 4f2c1aa, dry: false, n: 3}}}}
  id: {RUN}
  number: 25
  url: {URL}
  revision: {SHA}
  workflows: [{{name: deploy, status: running}}]
exit: {{code: 0, name: ok}}
error: null
"""


def test_a_run() -> None:
    made = outcome(Outcome.TRIGGERED, Created(RUN, 25, URL, revision=SHA), WorkflowState("1", "deploy", "running"))
    read = document(made)
    traces = [rule.pop("trace") for rule in read["rules"]]
    assert (list(read), read) == (KEYS, yaml.safe_load(RAN))
    assert depth(traces[0]) >= 3


def depth(trace: Any) -> int:
    """Every node of a trace says what it claims, and why."""
    assert list(trace) == ["claim", "verdict", "because", "line", "parts"]
    assert trace["verdict"] in ("yes", "no", "unknown")
    return 1 + max(map(depth, trace["parts"]), default=0)


SHOWN = {"file": "deploy.yml", "line": 2, "column": 8, "severity": "error", "code": "E102"}
SHOWN |= {"message": "unknown", "hint": "did you mean"}
WORDS = ("some-code", "what happened", "a hint")
ERRORS: list[tuple[ToolError, list[Any]]] = [
    (RuleFileInvalid(*WORDS, source=FILE, diagnostics=(WRONG,)), [SHOWN]),
    (EnvironmentInvalid(*WORDS, problems=("A", "B")), [{"message": "A"}, {"message": "B"}]),
    (Refused(*WORDS), []),
]


@pytest.mark.parametrize(("error", "details"), ERRORS)
def test_every_error(error: ToolError, details: list[Any]) -> None:
    for shown in (Report("run", is_dry=False), outcome(Outcome.NOT_SENT)):
        shown.fail(error)
        read, told = document(shown), {"code": "some-code", "message": "what happened", "hints": ["a hint"]}
        assert (list(read), read["exit"]) == (KEYS, {"code": error.exit, "name": error.exit.label})
        assert read["error"] == {**told, "diagnostics": details}


def test_every_outcome_is_of_the_contract() -> None:
    words = "planned triggered already-triggered superseded refused unreachable uncertain stopped nothing-runs not-sent"
    assert {document(outcome(kind))["triggers"][0]["outcome"] for kind in Outcome} == set(words.split())


@pytest.mark.parametrize("code", [ExitCode.INTERRUPTED, ExitCode.TERMINATED])
def test_an_interruption(code: ExitCode) -> None:
    shown = outcome(Outcome.UNCERTAIN)
    shown.exit = code
    read = document(shown)
    assert read["exit"] == {"code": int(code), "name": code.label}
    assert (read["error"]["code"], len(read["error"]["hints"])) == (code.label, 1)
    assert [t["outcome"] for t in read["triggers"]] == ["uncertain"]


def test_what_is_told_only_where_there_is_something_to_tell() -> None:
    shown = Report("run", is_dry=False)
    shown.again, shown.skipped = "the database was restored", "node 2 of 4; node 0 decides"
    read = document(shown)
    assert list(read) == [*KEYS, "again", "skipped"]
    assert (read["build"], read["now"], read["rules"], read["triggers"]) == (None, None, [], [])
    assert (read["again"], read["skipped"]) == (shown.again, shown.skipped)
    shown = outcome(Outcome.SUPERSEDED)
    shown.triggers[0].because = "branch main has moved on"
    assert document(shown)["triggers"][0]["because"] == "branch main has moved on"
    shown = Report("gate")
    shown.gated = Gated("production", ("./deploy.sh", "--all"))
    shown.gated.because, shown.gated.outcome = "branch main has moved on", GateOutcome.SUPERSEDED
    told = {"rule": "production", "outcome": "superseded", "because": "branch main has moved on"}
    assert document(shown)["gate"].items() >= told.items()
    shown = Report("check")
    shown.source, shown.diagnostics = FILE, (WRONG,)
    read = document(shown)
    assert (list(read), read["mode"], read["diagnostics"]) == ([*KEYS, "diagnostics"], "dry-run", [SHOWN])


@pytest.mark.parametrize("tag", ["v\udcff\x00\u2028", "日本"])
def test_whatever_a_tag_is_called_it_is_json(tag: str) -> None:
    text = render(report(tag_build(tag)))
    assert text.isascii()
    assert json.loads(text)["build"]["tag"] == tag
