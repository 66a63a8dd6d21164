"""What a run leaves to be read: on a terminal, on streams that nobody reads, and on the page of `--report`."""

import signal
from typing import Any

import pytest
from acceptance.process import TOKEN, Project, until

from deploystep.sandbox import Sandbox, parse_fault


@pytest.mark.parametrize(
    ("columns", "more", "drawn"),
    [
        (80, {}, "deploystep run … 1 s"),
        (12, {}, "deploystep "),  # a second line of it would stay for ever
        (80, {"TERM": "dumb"}, ""),
        (80, {"CIRCLECI": "true"}, ""),
    ],
)
def test_a_wait_on_a_terminal_shows_that_it_lives(
    project: Project, circleci: Sandbox, columns: int, more: dict[str, str], drawn: str
) -> None:
    circleci.add_fault(parse_fault("late-after-create:1.5"))
    variables = {"CIRCLECI": None, "TERM": "xterm", **more}
    words = ("run", "--outside-ci", "--confirm", "1s")
    ended = project.on_a_terminal(circleci, *words, columns=columns, **variables)
    assert (ended.code, "\x1b" in ended.out) == (0, False), ended.err
    signs = {part.partition("\r")[0] for part in ended.err.split("\r\x1b[K")[1:]}
    assert signs >= ({drawn} if drawn else set())
    assert bool(signs) is bool(drawn)
    assert ended.err.endswith(("\n", "\x1b[K"))
    assert ("\r\x1b[Ktriggered production: " in ended.err) is bool(drawn), "it is wiped before a line is written"


@pytest.mark.parametrize("streams", ["| true", ">&-", "2>&-", ">/dev/full", "2>/dev/full", ">&- 2>&- <&-"])
def test_a_stream_that_nobody_reads(project: Project, circleci: Sandbox, streams: str) -> None:
    """The trigger is confirmed all the same, and the exit code is that of what happened."""
    ended = project.shell(f"$STEP run --confirm 1s {streams}; exit ${{PIPESTATUS[0]}}", circleci)
    assert (ended.code, "Exception ignored" in ended.err) == (0, False)
    assert len(circleci.runs) == 1
    assert circleci.requests[-1].path.endswith("/workflow"), "it was confirmed"


# --report: the page is there however the run ends, and never in the way of a deploy

WRONG = "version: 1\nrules:\n  - name: <x>\n    when: {branches: main}\n"
REPORT = ("--report", "out/report.html")


def missing(project: Project, *parts: str) -> list[str]:
    """Which of these the page does not have."""
    text = (project.folder / "out/report.html").read_text(encoding="utf-8")
    assert (TOKEN in text, "<b>" in text, text.endswith("</html>\n")) == (False, False, True)
    return [part for part in parts if part not in text]


def test_the_page_of_a_deploy_has_its_run_and_every_condition(project: Project, circleci: Sandbox) -> None:
    ended = project.step(circleci, *REPORT, "--again", f"because {TOKEN}")
    link = f'<a href="{ended.json["triggers"][0]["url"]}"'
    parts = (link, "triggered", "workflow deploy", "branch main", "line 5", "retries: 3", "because ***")
    assert (ended.code, missing(project, *parts, "exit code 0")) == (0, [])


OTHER_NODE = {"CIRCLE_NODE_INDEX": "1", "CIRCLE_NODE_TOTAL": "2"}


@pytest.mark.parametrize(
    ("words", "variables", "said"),
    [
        ("gate production -- true", {}, "exit code 0 — due: executing true"),
        ("gate production --dry-run -- true", {}, "exit code 0 — due: true is not executed: this is a dry run"),
        ("gate production", {}, "exit code 0 — due<"),
        ("gate production --rules nowhere.yml -- true", {}, "exit code 3 — the command was not executed"),
        ("run --rules wrong.yml", {}, "wrong.yml:4:12: error[E102]: unknown matcher"),
        ("run", OTHER_NODE, "node 0 decides"),
        ("run --report out/report.html", {**OTHER_NODE, "DEPLOYSTEP_REPORT": None}, "node 0 decides"),
    ],
)
def test_what_was_not_sent_has_its_page_too(project: Project, words: str, variables: Any, said: str) -> None:
    project.write(WRONG, "wrong.yml")
    project.call(*words.split(), **{"DEPLOYSTEP_REPORT": "out/report.html", **variables})
    assert missing(project, said) == []


def test_a_run_that_fails_has_its_page(project: Project, circleci: Sandbox) -> None:
    circleci.add_fault(parse_fault("status:403:no <b>way</b>"))
    ended = project.step(circleci, *REPORT)
    assert (ended.code, missing(project, "exit code 6", "refused", "error refused-403", "hint: ")) == (6, [])


def test_an_interrupted_run_tells_what_it_had_sent(project: Project, circleci: Sandbox) -> None:
    with project.started(circleci, "--wait", *REPORT) as process:
        until(lambda: "triggered production" in project.said)
        process.send_signal(signal.SIGTERM)
        ended = project.ended(process)
    assert (ended.code, missing(project, "exit code 143 — rule production was triggered: ")) == (143, [])


def test_a_disk_that_is_full_in_the_end_is_a_warning(project: Project, circleci: Sandbox) -> None:
    ended = project.step(circleci, "--report", "/dev/full")
    assert (ended.code, ended.outcomes) == (0, ["triggered"])
    assert "warning: the page of this run is not written: --report: cannot write /dev/full" in ended.err
