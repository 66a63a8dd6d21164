"""Rule files that are no plain files of the repository, facts of a large one, and problems without end."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from acceptance.process import RULES

if TYPE_CHECKING:
    from acceptance.process import Clone, Project


def test_a_rule_file_that_is_a_link_inside_of_the_repository(clone: Clone) -> None:
    clone.write(RULES, "shared/deploy.yml")
    linked(clone, "../shared/deploy.yml")
    assert clone.call("check").code == 0
    clone.folder /= "services"
    clone.folder.mkdir()
    assert clone.call("check", "--rules", "../.circleci/deploy.yml").code == 0


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_rule_file_that_is_not_utf_8(clone: Clone, mark: str) -> None:
    clone.write("")
    path = ".circleci/deploy.yml"
    (clone.folder / path).write_bytes(f"{mark}version: 1\n# üüü ".encode() + b"\xe4")
    ended = clone.call("check")
    assert ended.code == 3
    assert ended.out.startswith(f"{path}:2:7: error[E001]: {path} is not UTF-8 text: byte 0xe4")


@pytest.mark.parametrize("target", ["{outside}", "../../outside.txt", "../.git/config", "a", "/proc/self/environ"])
def test_a_rule_file_that_is_a_link_to_anything_else(clone: Clone, target: str) -> None:
    """Whoever can commit a link could have the lines of another file shown."""
    outside = clone.folder.parent / "outside.txt"
    outside.write_text("password: hunter2\n", encoding="utf-8")
    (clone.folder / ".circleci").mkdir(exist_ok=True)
    (clone.folder / ".circleci" / "a").symlink_to(outside)
    clone.git("config", "core.hunter2", "hunter2")
    linked(clone, target.format(outside=outside))
    for command in ("run", "plan", "check", "test"):
        ended = clone.call(command)
        assert ended.code == 3
        assert "the rule file .circleci/deploy.yml is a link that leads out of this repository" in ended.err + ended.out
        assert "hunter2" not in ended.err + ended.out


def test_a_rule_file_that_is_named_outside_of_the_repository(clone: Clone) -> None:
    outside = clone.folder.parent / "shared.yml"
    outside.write_text(dedent(RULES).lstrip(), encoding="utf-8")
    assert clone.call("check", "--rules", "../shared.yml").code == 0
    assert clone.call("check", "--rules", str(outside)).code == 0


@pytest.mark.parametrize("kind", ["fifo", "folder", "loop", "/dev/zero", "/dev/tty", "/dev/stdin"])
def test_a_rule_file_that_is_no_regular_file(project: Project, kind: str) -> None:
    path = project.folder / ".circleci" / "deploy.yml"
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    named = ("--rules", kind) if kind.startswith("/") else ()
    ended = project.call("check", *named)
    assert ended.code == 3
    assert "cannot read the rule file" in ended.err + ended.out


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_facts_of_a_hundred_thousand_files(project: Project, form: str) -> None:
    project.write(RULES.replace("{branch: main}", "{branch: main, paths: {only: services/**, since: previous-commit}}"))
    names = [f"libraries/lib-{n}/source/file.py" for n in range(100_000)] + ["services/api/app.py"]
    facts = {"branch": "main", "changed": names}
    listed = "branch: main\nchanged:\n" + "".join(f"  - {name}\n" for name in names)
    project.write(json.dumps(facts) if form == "json" else listed, "facts")
    ended = project.call("plan", "--json", "--given", "facts")
    assert (ended.code, ended.json["rules"][0]["verdict"]) == (0, "fire"), ended.err[:1000]


# What is too much


@pytest.mark.parametrize(("piece", "count"), [("{x: y}, ", 2_000), ("{a: b, a: c}, ", 70_000), ("!a b, ", 70_000)])
def test_problems_without_end(project: Project, piece: str, count: int) -> None:
    """On a terminal each comes with the line that it is on."""
    project.write("version: 1\nrules: [" + piece * count + "]\n")
    said = on_a_terminal(project, "check")
    assert said.count("error[E") == 100
    assert "\nand 900 more\n" in said
    assert max(len(line) for line in said.splitlines()) < 300
    assert len(project.call("check", "--json").json["diagnostics"]) == 1_000


def on_a_terminal(project: Project, *arguments: str) -> str:
    """What a command writes to a terminal, of which the test has the other end."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "deploystep", *arguments],
        cwd=project.folder,
        env=project.environment(None, {"NO_COLOR": "1"}, ci=True),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    with suppress(OSError), os.fdopen(ours, "rb", buffering=0) as stream:
        while piece := stream.read(65536):
            said += piece
    process.wait()
    return said.decode().replace("\r\n", "\n")


def linked(clone: Clone, target: str) -> None:
    path = clone.folder / ".circleci" / "deploy.yml"
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(target)
