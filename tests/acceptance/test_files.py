"""Rule files that are no plain files of the repository, facts of a large one, and problems without end."""

import json
import os
from textwrap import dedent

import pytest
from acceptance.process import RULES, Clone, Project


def linked(clone: Clone, target: str) -> None:
    path = clone.folder / ".circleci" / "deploy.yml"
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def test_a_rule_file_that_is_a_link_inside_of_the_repository_or_is_named_outside_of_it(clone: Clone) -> None:
    clone.write(RULES, "shared/deploy.yml")
    linked(clone, "../shared/deploy.yml")
    clone.folder.with_name("outside.yml").write_text(dedent(RULES), encoding="utf-8")
    clone.folder /= "shared"
    for named in (".circleci/deploy.yml", "../.circleci/deploy.yml", "../../outside.yml"):
        assert clone.call("check", "--rules", named).code == 0


@pytest.mark.parametrize("target", ["{outside}", "../../outside.txt", "../.git/config", "a", "/proc/self/environ"])
def test_a_rule_file_that_is_a_link_to_anything_else(clone: Clone, target: str) -> None:
    """Whoever can commit a link could have the lines of another file shown."""
    outside = clone.folder.with_name("outside.txt")
    outside.write_text("password: hunter2\n", encoding="utf-8")
    (clone.folder / ".circleci" / "a").symlink_to(outside)
    clone.git("config", "core.hunter2", "hunter2")
    linked(clone, target.format(outside=outside))
    for command in ("run", "check"):
        ended = clone.call(command)
        assert ended.code == 3
        assert "the rule file .circleci/deploy.yml is a link that leads out of this repository" in ended.err + ended.out
        assert "hunter2" not in ended.err + ended.out


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_rule_file_that_is_not_utf_8(project: Project, mark: str) -> None:
    path = ".circleci/deploy.yml"
    (project.folder / path).write_bytes(f"{mark}version: 1\n# üüü ".encode() + b"\xe4")
    ended = project.call("check")
    assert ended.code == 3
    assert ended.out.startswith(f"{path}:2:7: error[E001]: {path} is not UTF-8 text: byte 0xe4")


@pytest.mark.parametrize("kind", ["fifo", "folder", "loop", "/dev/zero", "/dev/tty", "/dev/stdin"])
def test_a_rule_file_that_is_no_regular_file(project: Project, kind: str) -> None:
    (project.folder / "folder").mkdir()
    os.mkfifo(project.folder / "fifo")
    (project.folder / "loop").symlink_to("loop")
    ended = project.call("check", "--rules", kind)
    assert (ended.code, "cannot read the rule file" in ended.err + ended.out) == (3, True)


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_facts_of_a_hundred_thousand_files(project: Project, form: str) -> None:
    project.write(RULES.replace("{branch: main}", "{branch: main, paths: {only: services/**, since: previous-commit}}"))
    names = [f"libraries/lib-{n}/source/file.py" for n in range(100_000)] + ["services/api/app.py"]
    listed = "branch: main\nchanged:\n" + "".join(f"  - {name}\n" for name in names)
    project.write(json.dumps({"branch": "main", "changed": names}) if form == "json" else listed, "facts")
    ended = project.call("plan", "--json", "--given", "facts")
    assert (ended.code, ended.json["rules"][0]["verdict"]) == (0, "fire"), ended.err[:1000]


@pytest.mark.parametrize(("piece", "count"), [("{x: y}, ", 2_000), ("{a: b, a: c}, ", 70_000), ("!a b, ", 70_000)])
def test_problems_without_end(project: Project, piece: str, count: int) -> None:
    """On a terminal each comes with the line that it is on."""
    project.write("version: 1\nrules: [" + piece * count + "]\n")
    said = project.on_a_terminal(None, "check").out
    assert said.count("error[E") == 100
    assert "\nand 900 more\n" in said
    assert max(len(line) for line in said.splitlines()) < 300
