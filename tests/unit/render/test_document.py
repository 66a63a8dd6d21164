"""The JSON document: its shape for every way a command can end."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from builds import RUN, SHA, tag_build
from reports import URL, outcome, report

from deploystep.app.report import Report, Skipped
from deploystep.core import errors
from deploystep.core.deploy import Outcome
from deploystep.core.errors import EnvironmentInvalid, RuleFileInvalid, ToolError
from deploystep.core.exits import ExitCode
from deploystep.core.runs import Created, WorkflowState
from deploystep.core.source import Diagnostic, Pos, SourceFile, Span
from deploystep.render.document import render

if TYPE_CHECKING:
    from deploystep.core.build import BuildContext

KEYS = ["schema", "command", "mode", "build", "now", "rules", "triggers", "exit", "error"]
OUTCOMES = {
    *("planned", "triggered", "already-triggered", "superseded", "refused", "unreachable"),
    *("uncertain", "stopped", "nothing-runs", "not-sent"),
}


def document(shown: Report) -> Any:
    return json.loads(render(shown))


def test_a_run() -> None:
    shown = outcome(Outcome.TRIGGERED, Created(RUN, 25, URL, revision=SHA), WorkflowState("1", "deploy", "running"))
    read = document(replace(shown, is_dry=False))
    assert list(read) == KEYS
    assert (read["schema"], read["command"], read["mode"]) == (1, "run", "live")
    assert read["now"] == "2026-06-16T10:02:11+02:00"
    assert read["build"] == {
        "project": "gh/acme/shop",
        "branch": "main",
        "tag": None,
        "revision": SHA,
        "node": {"index": 0, "total": 1},
        "pull_request": None,
        "fork": False,
        "user": "anna",
    }
    assert read["triggers"] == [
        {
            "rule": "staging",
            "outcome": "triggered",
            "request": {
                "method": "POST",
                "url": "https://circleci.com/api/v2/project/gh/acme/shop/pipeline/run",
                "body": {
                    "config": {"branch": "main"},
                    "checkout": {"branch": "main"},
                    "parameters": {"sha": "4f2c1aa", "dry": False, "n": 3},
                },
            },
            "id": RUN,
            "number": 25,
            "url": URL,
            "revision": SHA,
            "workflows": [{"name": "deploy", "status": "running"}],
        }
    ]
    assert [{k: v for k, v in rule.items() if k != "trace"} for rule in read["rules"]] == [
        {"name": "staging", "line": 4, "verdict": "fire", "because": "branch main (line 5)"},
        {"name": "production", "line": 7, "verdict": "no", "because": "line 8: tag — this is a branch build"},
    ]
    assert read["exit"] == {"code": 0, "name": "ok"}
    assert read["error"] is None


def test_a_trace_is_a_tree() -> None:
    (first, _) = document(report())["rules"]

    def visit(node: Any) -> int:
        assert set(node) >= {"claim", "verdict", "because", "line", "parts"}
        assert node["verdict"] in ("yes", "no", "unknown")
        return 1 + max((visit(part) for part in node["parts"]), default=0)

    assert visit(first["trace"]) >= 3


@pytest.mark.parametrize("kind", list(Outcome))
def test_every_outcome_is_of_the_contract(kind: Outcome) -> None:
    (trigger,) = document(outcome(kind))["triggers"]
    assert trigger["outcome"] in OUTCOMES
    assert (trigger["id"], trigger["number"], trigger["url"], trigger["workflows"]) == (None, None, None, [])


def _errors() -> list[ToolError]:
    source = SourceFile("deploy.yml", "x")
    made: list[ToolError] = [RuleFileInvalid("some-code", "what happened", "a hint", source=source)]
    simple = [
        *(errors.UsageError, errors.EnvironmentInvalid, errors.FactUnavailable, errors.Refused, errors.Unreachable),
        *(errors.Uncertain, errors.Stopped, errors.NothingRuns, errors.DeployFailed, errors.TimedOut),
    ]
    return [*made, *(kind("some-code", "what happened", "a hint") for kind in simple)]


@pytest.mark.parametrize("error", _errors(), ids=lambda error: type(error).__name__)
def test_every_error(error: ToolError) -> None:
    read = document(outcome(Outcome.NOT_SENT).failed(error))
    assert list(read) == KEYS
    assert read["exit"] == {"code": int(error.exit), "name": error.exit.label}
    assert read["error"] == {
        "code": "some-code",
        "message": "what happened",
        "hints": ["a hint"],
        "diagnostics": [],
    }


@pytest.mark.parametrize("code", [ExitCode.INTERRUPTED, ExitCode.TERMINATED])
def test_an_interruption(code: ExitCode) -> None:
    read = document(replace(outcome(Outcome.UNCERTAIN), exit=code))
    assert read["exit"] == {"code": int(code), "name": code.label}
    assert read["error"]["code"] == code.label
    assert [t["outcome"] for t in read["triggers"]] == ["uncertain"]


def test_diagnostics() -> None:
    wrong = Diagnostic("E102", "unknown", Span(Pos(2, 8), 2), "did you mean")
    error = RuleFileInvalid("rules-invalid", "x", source=SourceFile("deploy.yml", ""), diagnostics=(wrong,))
    read = document(Report("run", is_dry=False).failed(error))
    assert read["error"]["diagnostics"] == [
        {
            "file": "deploy.yml",
            "line": 2,
            "column": 8,
            "severity": "error",
            "code": "E102",
            "message": "unknown",
            "hint": "did you mean",
        }
    ]
    assert (read["build"], read["now"], read["rules"], read["triggers"]) == (None, None, [], [])


def test_problems_of_the_environment() -> None:
    error = EnvironmentInvalid("environment-invalid", "x", "y", problems=("A", "B"))
    read = document(Report("run", is_dry=False).failed(error))
    assert read["error"]["diagnostics"] == [{"message": "A"}, {"message": "B"}]


def test_another_node() -> None:
    read = document(Report("run", is_dry=False, skipped=Skipped("node 2 of 4; node 0 decides")))
    assert list(read) == [*KEYS, "skipped"]
    assert (read["rules"], read["triggers"], read["skipped"]) == ([], [], "node 2 of 4; node 0 decides")


@pytest.mark.parametrize("of", [tag_build("v\udcff\x00\u2028"), tag_build("日本")])
def test_whatever_a_tag_is_called_it_is_json(of: BuildContext) -> None:
    text = render(report(of))
    assert text.isascii()
    assert json.loads(text)["build"]["tag"] == of.tag


def test_check_lists_what_it_found() -> None:
    wrong = Diagnostic("W1", "odd", Span(Pos(1, 1)))
    shown = Report("check", is_dry=True, source=SourceFile("deploy.yml", ""), diagnostics=(wrong,))
    assert [d["code"] for d in document(shown)["diagnostics"]] == ["W1"]
