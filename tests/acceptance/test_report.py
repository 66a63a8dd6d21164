"""`--report`: the page of a run is there however the run ends, and never in the way of a deploy."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from acceptance.process import TOKEN, Project, triggers

from deploystep.sandbox import parse_fault

if TYPE_CHECKING:
    from deploystep.sandbox import Sandbox


def page(project: Project) -> str:
    text = (project.folder / "out/report.html").read_text(encoding="utf-8")
    assert TOKEN not in text
    assert text.endswith("</html>\n")
    return text


def test_the_page_of_a_deploy_has_its_run_and_every_condition(project: Project, circleci: Sandbox) -> None:
    ended = project.step(circleci, "--report", "out/report.html")
    text, url = page(project), ended.json["triggers"][0]["url"]
    parts = (f'<a href="{url}"', "triggered", "workflow deploy", "branch main", "line 5", "retries: 3", "exit code 0")
    assert (ended.code, [part for part in parts if part not in text]) == (0, [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--", "true"), "exit code 0 — due: executing true"),
        (("--dry-run", "--", "true"), "exit code 0 — due: true is not executed: this is a dry run"),
        ((), "exit code 0 — due<"),
        (("--rules", "nowhere.yml", "--", "true"), "exit code 3 — the command was not executed"),
    ],
)
def test_the_page_of_a_gate_tells_of_its_command(project: Project, words: tuple[str, ...], said: str) -> None:
    project.call("gate", "production", "--report", "out/report.html", *words)
    assert said in page(project)


@pytest.mark.parametrize(
    ("fault", "code", "outcome"),
    [("status:403:no <b>way</b>", 6, "refused"), ("500-after-create", 0, "triggered"), ("skip", 10, "nothing-runs")],
)
def test_a_run_that_fails_has_its_page(
    project: Project, circleci: Sandbox, fault: str, code: int, outcome: str
) -> None:
    circleci.add_fault(parse_fault(fault))
    ended = project.step(circleci, "--report", "out/report.html")
    text = page(project)
    assert (ended.code, ended.outcomes) == (code, [outcome])
    parts = [f"exit code {code}", outcome, *([f"error {ended.json['error']['code']}", "hint: "] if code else [])]
    assert ([part for part in parts if part not in text], "<b>" in text) == ([], False)


def test_wrong_rules_are_on_the_page_with_their_place(project: Project, circleci: Sandbox) -> None:
    project.write("version: 1\nrules:\n  - name: <x>\n    when: {branches: main}\n")
    assert project.step(circleci, "--report", "out/report.html").code == 3
    assert ".circleci/deploy.yml:4:12: error[E102]: unknown matcher" in page(project)


def test_an_interrupted_run_tells_what_it_had_sent(project: Project, circleci: Sandbox) -> None:
    ended = project.interrupted(
        signal.SIGTERM, circleci, lambda said: "triggered production" in said, "--wait", "--report", "out/report.html"
    )
    assert ended.code == 143
    assert "exit code 143 — rule production was triggered: " in page(project)
    assert len(triggers(circleci)) == 1


def test_a_folder_that_is_none_is_found_out_before_anything_is_sent(project: Project, circleci: Sandbox) -> None:
    for path in (".circleci/deploy.yml/report.html", "."):
        ended = project.step(circleci, "--report", path)
        assert (ended.code, ended.json["error"]["code"]) == (2, "file-unwritable")
    assert not circleci.requests


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")  # noqa: PTH110
def test_a_disk_that_is_full_in_the_end_is_a_warning(project: Project, circleci: Sandbox) -> None:
    ended = project.step(circleci, "--report", "/dev/full")

    assert (ended.code, ended.outcomes) == (0, ["triggered"])
    assert "warning: the page of this run is not written: --report: cannot write /dev/full" in ended.err


def test_a_name_that_holds_the_token_is_masked(project: Project, circleci: Sandbox) -> None:
    ended = project.step(circleci, "--report", "out/report.html", "--again", f"because {TOKEN}")
    assert ended.code == 0
    assert "because ***" in page(project)


@pytest.mark.parametrize("how", [("--report", "out/report.html"), ()])
def test_a_node_that_does_not_decide_has_its_page_too(project: Project, how: tuple[str, ...]) -> None:
    path = None if how else "out/report.html"
    ended = project.call("run", *how, CIRCLE_NODE_INDEX="1", CIRCLE_NODE_TOTAL="2", DEPLOYSTEP_REPORT=path)
    assert (ended.code, "node 0 decides" in page(project)) == (0, True)
