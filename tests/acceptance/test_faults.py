"""Everything that the stand-in can do wrong: how the step ends, what it says of the trigger, how often it sent it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from acceptance.process import TOKEN, Project, ahead, sandbox, triggers
from builds import OTHER_SHA

from deploystep.sandbox import FAULTS, parse_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from acceptance.process import Ended

    from deploystep.sandbox import Run


@dataclass(frozen=True)
class Row:
    """One fault and what must come of it: exit code, outcome, error code, runs created, triggers sent."""

    fault: str
    code: int
    outcome: str
    error: str | None
    created: int
    sent: int = 1


ECHO = f"we do not know {TOKEN}"
ROWS = [
    *(Row(f"status:{s}:{ECHO}", 6, "refused", f"refused-{s}", 0) for s in (400, 401, 403, 404, 410, 422)),
    *(Row(f"{s}:{ECHO}", 8, "uncertain", "uncertain", 0) for s in (500, 502, 503, 504)),
    # nobody knows what came of these until it is looked for
    *(Row(f"{s}-after-create", 0, "triggered", None, 1) for s in (500, 502, 503, 504)),
    Row("close", 8, "uncertain", "uncertain", 0),
    Row("close-after-create", 0, "triggered", None, 1),
    Row("cut", 0, "triggered", None, 1),
    Row("garbage", 0, "triggered", None, 1),
    Row("redirect:302:http://127.0.0.1:1/", 8, "uncertain", "uncertain", 0),
    Row(f"redirect:307:http://127.0.0.1:1/?{TOKEN}", 8, "uncertain", "uncertain", 0),
    Row("redirect:308:http://[", 8, "uncertain", "uncertain", 0),
    Row("late:0.3", 0, "triggered", None, 1),
    Row("create-late:0.3", 0, "triggered", None, 1),
    Row("late-after-create:0.3", 0, "triggered", None, 1),
    Row("429", 0, "triggered", None, 1, sent=2),
    Row("429:1", 0, "triggered", None, 1, sent=2),
    Row("429-date:1", 0, "triggered", None, 1, sent=2),
    Row("429:600", 7, "unreachable", "rate-limited", 0),
    Row("429-date:600", 7, "unreachable", "rate-limited", 0),
    Row("skip", 10, "nothing-runs", "skipped", 0),
    Row(f"message:{ECHO}", 10, "nothing-runs", "skipped", 0),
    Row(f"errored:{ECHO}", 10, "nothing-runs", "errored", 1),
    Row("no-workflow", 10, "nothing-runs", "no-workflow", 1),
    Row("unauthorized", 10, "nothing-runs", "did-not-run", 1),
    Row("moved", 9, "stopped", "wrong-commit", 1),
    Row(f"moved:{OTHER_SHA}", 9, "stopped", "wrong-commit", 1),
    Row("ends:failed", 0, "triggered", None, 1),
    Row("ends:on_hold", 0, "triggered", None, 1),
    Row("ends:canceled", 0, "triggered", None, 1),
]
LAST = {6: "nothing was triggered", 7: "nothing was triggered", 8: "whether it was accepted is not known"}


@dataclass(frozen=True)
class Scene:
    ended: Ended
    triggers: list[Any]
    runs: tuple[Run, ...]


def _play(row: Row, project: Project) -> Scene:
    # nothing is missed by who does not really wait for what is not there
    quickly: Any = project.without_waits() if row.outcome == "uncertain" else {}
    with sandbox() as server:
        server.add_fault(parse_fault(row.fault))
        ended = project.step(server, **quickly)
        assert server.faults == [], "the fault must have been met"
        return Scene(ended, triggers(server), server.runs)


@pytest.fixture(scope="module")
def scenes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from ahead(request, lambda row: _play(row, Project(tmp_path_factory.mktemp("row"))))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault.replace(TOKEN, "TOKEN").replace("/", "|"))
def test_fault(row: Row, scenes: Callable[[Row], Scene]) -> None:
    scene = scenes(row)
    ended = scene.ended
    assert (ended.code, ended.json["exit"]["code"]) == (row.code, row.code), ended.err
    assert ended.outcomes == [row.outcome]
    assert (ended.json["error"] or {}).get("code") == row.error
    assert (len(scene.runs), len(scene.triggers)) == (row.created, row.sent)
    assert sum(r.status is not None and r.status < 300 for r in scene.triggers) <= 1
    if row.error is not None:
        assert ended.json["error"]["hints"]
        assert LAST.get(row.code, "") in ended.last_line
    if row.error not in (None, "uncertain", "wrong-commit", "rate-limited") and TOKEN in row.fault:
        assert "we do not know ***" in ended.json["error"]["message"]
    if row.fault in ("429", "429:1"):
        first, second = scene.triggers
        assert (second.at - first.at).total_seconds() >= 0.95, "it waits as long as it was asked to"
    if row.error == "wrong-commit":
        assert [w.status for run in scene.runs for w in run.workflows] == ["canceled"]
        assert "it was cancelled" in ended.json["error"]["message"]
    if row.error == "uncertain":
        where = r"look for a run that the API started at http\S+/gh/acme/shop\?branch=main"
        look, present, absent = ended.json["error"]["hints"]
        assert ended.json["error"]["message"].endswith("no run of it was found in 10 s")
        assert re.fullmatch(where, look)
        assert present.startswith("if it is there, do not run this step again")
        assert absent.startswith("if it is still not there after some minutes")


def test_no_fault_is_left_out() -> None:
    """`siblings` is of nodes, `lag` of lists, `setup` of dynamic configs: they have tests of their own."""
    tried = {parse_fault(row.fault).kind for row in ROWS}
    assert set(FAULTS) - tried == {"siblings", "lag", "setup"}
