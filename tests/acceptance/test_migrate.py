"""`deploystep migrate` as a process, in real clones."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from acceptance.process import Clone, Ended

CONFIG = """
    # the shop
    version: 2.1
    jobs:
      build:
        docker: [{image: cimg/base:current}]
        parallelism: 2
        steps:
          - checkout
          - run: ./test.sh   # all of them
          - deploy:
              name: Ship
              command: |
                # only what is released
                if [[ "$CIRCLE_BRANCH" == release/* ]] || [ -n "$CIRCLE_TAG" ]; then
                  ./ship.sh "$CIRCLE_SHA1"
                else
                  echo "nothing to ship"
                fi
    workflows:
      ci:
        jobs:
          - build:
              filters: {tags: {only: /.*/}}
    """
CALL = "curl -X POST https://circleci.com/api/v1.1/project/gh/acme/other/build"
PATH, RULES = ".circleci/config.yml", ".circleci/deploy.yml"


@pytest.fixture
def shop(clone: Clone) -> Clone:
    (clone.folder / RULES).unlink()
    clone.write(CONFIG, PATH)
    clone.commit(PATH)
    return clone


def migrate(shop: Clone, *arguments: str) -> Ended:
    return shop.run(("migrate", *arguments), {}, ci=False)


def text(shop: Clone, path: str = PATH) -> str:
    return (shop.folder / path).read_text(encoding="utf-8")


def test_what_is_written_is_checked_decides_alike_and_can_be_undone(shop: Clone) -> None:
    before = text(shop)
    assert migrate(shop, "--diff").code == 0
    assert shop.git("status", "--porcelain") == ""
    ended = migrate(shop, "--write", "--check")
    assert ended.code == 0, ended.err

    after = text(shop)
    gone = [line for line in before.split("\n") if line not in after.split("\n")]
    assert [line.strip() for line in gone] == [
        "- deploy:",
        'if [[ "$CIRCLE_BRANCH" == release/* ]] || [ -n "$CIRCLE_TAG" ]; then',
        './ship.sh "$CIRCLE_SHA1"',
        "else",
        'echo "nothing to ship"',
        "fi",
    ]
    assert "# only what is released" in after
    assert "  # all of them" in after
    assert shop.run(("check",), {}, ci=False).code == 0
    assert migrate(shop, "--check").code == 0
    for ref, fires in (("main", False), ("release/1", True), ("release/1/2", True), ("xrelease/1", False)):
        assert decides(shop, "--branch", ref) is fires, ref
    shop.git("tag", "v1")
    assert decides(shop, "--tag", "v1")
    shop.git("checkout", "--quiet", ".")
    assert text(shop) == before


def decides(shop: Clone, *arguments: str) -> bool:
    document = shop.run(("plan", "--json", *arguments), {}, ci=False).json
    (verdict,) = {rule["verdict"] for rule in document["rules"]}
    return bool(verdict == "fire")


def test_the_step_that_is_written_runs_its_command_where_the_gate_is_open(shop: Clone) -> None:
    """The written command, by bash, with a gate that always opens: it is the old command, word for word."""
    migrate(shop, "--write")
    for name, script in (
        ("deploystep", 'while [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n'),
        ("ship.sh", 'echo "shipped $1"\n'),
    ):
        (shop.folder / name).write_text(f"#!/bin/sh\n{script}", encoding="utf-8")
        (shop.folder / name).chmod(0o755)
    command = re.search(r"(deploystep gate [^\n]*)", text(shop))
    assert command is not None
    environ = {"PATH": f"{shop.folder}:{os.environ['PATH']}", "CIRCLE_SHA1": "4f2 c1"}
    bash = ["bash", "-eo", "pipefail", "-c", command[1]]
    ran = subprocess.run(bash, cwd=shop.folder, env=environ, capture_output=True, text=True, check=True)

    assert ran.stdout == "shipped 4f2 c1\n"


def test_outside_of_a_clone_nothing_is_written_unless_forced(shop: Clone, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/config.yml").write_text(text(shop), encoding="utf-8")

    assert migrate(shop, "--write", str(tmp_path / "plain")).code == 2
    assert migrate(shop, "--write", "--force", str(tmp_path / "plain")).code == 0
    names = sorted(path.name for path in (tmp_path / "plain").rglob("*"))
    assert names == [".circleci", "config.yml", "deploy.yml"]


def test_check_ends_with_3_while_something_is_left(shop: Clone) -> None:
    ended = migrate(shop, "--check")
    assert (ended.code, ended.last_line) == (3, "exit 3 (rules)")
    assert "1 deploy step to be migrated" in ended.err

    shop.write("#!/bin/sh\n" + CALL + "\n", "ship.sh")
    shop.commit("ship.sh")
    assert migrate(shop, "--write", "--check").code == 3  # the call in the script is for a person
    assert "ship.sh:2:1: call of API v1.1" in migrate(shop).out
    shop.git("add", ".")
    shop.git("commit", "--quiet", "--message", "by rules")
    assert "--write: nothing is written" in migrate(shop, "--write").err


def test_json_is_one_document(shop: Clone) -> None:
    document = migrate(shop, "--json", "--check").json

    assert (document["schema"], document["command"], document["written"]) == (1, "migrate", False)
    assert document["exit"] == {"code": 3, "name": "rules"}
    (finding,) = document["findings"]
    assert {name: finding[name] for name in ("kind", "file", "line", "column", "alarm", "rewritten", "ends")} == {
        "kind": "deploy-step", "file": PATH, "line": 10, "column": 9, "alarm": True, "rewritten": True, "ends": None,
    }  # fmt: skip
    assert [(file["path"], file["new"], file["replaced"]) for file in document["files"]] == [
        (RULES, True, []),
        (PATH, False, [10, 14, 15, 16, 17, 18]),
    ]
    assert document["files"][1]["diff"].startswith(f"--- a/{PATH}\n+++ b/{PATH}\n@@ ")
    assert migrate(shop, "--json", "nowhere").json["exit"]["code"] == 2


def test_a_diff_is_one_that_git_applies(shop: Clone) -> None:
    patch = shop.folder.parent / "x.patch"
    diffs = [file["diff"] for file in migrate(shop, "--json").json["files"]]
    patch.write_text("".join(diffs), encoding="utf-8")
    assert all(diff in migrate(shop, "--diff").out for diff in diffs)
    shop.git("apply", str(patch))
    applied = text(shop), text(shop, RULES)
    shop.git("checkout", "--quiet", ".")
    (shop.folder / RULES).unlink()
    migrate(shop, "--write")

    assert (text(shop), text(shop, RULES)) == applied


@pytest.mark.parametrize(("folder", "argument"), [("web", ""), ("", PATH), ("", ".circleci"), ("..", "clone")])
def test_it_works_from_a_folder_below_and_with_names(shop: Clone, folder: str, argument: str) -> None:
    (shop.folder / "web").mkdir()
    command = [sys.executable, "-m", "deploystep", "migrate", *argument.split()]
    here, environ = shop.folder / folder, shop.environment(None, {}, ci=False)
    ran = subprocess.run(command, cwd=here, env=environ, capture_output=True, text=True, check=False)

    assert (ran.returncode, "deploy step 'Ship'" in ran.stdout) == (0, True), ran.stderr


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"jobs: [", 3, "error[E001]: YAML cannot read it: "),
        (b"jobs:\n  a: |\n    b\n\tc\n", 0, f"warning: {PATH}:4:1: it will not be changed: YAML cannot read it: "),
        (b"\xff\xfe", 3, PATH),
        (b"", 0, ""),
        (b"- a\n", 0, ""),
    ],
)
def test_a_config_that_cannot_be_read_is_told(shop: Clone, content: bytes, code: int, said: str) -> None:
    (shop.folder / PATH).write_bytes(content)
    ended = migrate(shop)

    assert ended.code == code
    assert said in ended.err
    assert code == 0 or "nothing" not in ended.out


def test_it_says_what_was_read_and_what_was_not(shop: Clone) -> None:
    shop.write(CONFIG.replace("- deploy:", "- run:"), PATH)
    shop.write("echo\n", "ship.sh")
    ended = migrate(shop, "--check")

    assert ended.code == 0
    assert ended.out.splitlines() == [
        f"nothing that stops working is in what was read: {PATH}, ship.sh",
        "not read: what images, orbs of others and compiled programs do",
    ]


@pytest.mark.parametrize(
    ("steps", "noun", "by_hand"),
    [
        (["deploy: a", f"deploy: {CALL}", "deploy:"], "3 deploy steps and 1 call", ", 1 by hand"),
        (["deploy: {shell: zsh, command: ./a.sh}", "run:"], "1 deploy step", ", 1 by hand"),
        ([f"run: {CALL}", f"run: {CALL}", "run:"], "2 calls", ", 2 by hand"),
    ],
)
def test_steps_and_calls_are_counted_apart(shop: Clone, steps: list[str], noun: str, by_hand: str) -> None:
    shop.write(CONFIG.replace("- deploy:\n", "\n          ".join(f"- {step}" for step in steps) + "\n"), PATH)

    assert f"\n{noun} to migrate{by_hand}\n" in migrate(shop).out
    assert f": {noun} to be migrated\n" in migrate(shop, "--check").err


def test_where_there_is_nothing_that_is_told(clone: Clone) -> None:
    assert migrate(clone).code == 0  # only a rule file is there
    (clone.folder / RULES).unlink()
    ended = migrate(clone)

    assert ended.code == 2
    assert "there is no .circleci/config.yml here" in ended.err


def test_marks_and_modes_of_files_stay_and_other_files_do_not_matter(shop: Clone) -> None:
    config = shop.folder / PATH
    config.write_bytes(b"\xef\xbb\xbf" + config.read_bytes())
    config.chmod(0o600)
    shop.git("commit", "--quiet", "-am", "x")
    shop.git("config", "core.autocrlf", "true")  # line ends that git converts are no change
    config.write_bytes(config.read_bytes().replace(b"\n", b"\r\n"))
    shop.write("x", "notes.txt")
    shop.write("left over", ".circleci/.config.yml.deploystep-new")
    assert migrate(shop, "--write").code == 0

    assert config.read_bytes().startswith(b"\xef\xbb\xbf# the shop\r\n")
    assert config.stat().st_mode & 0o777 == 0o600
    assert not (shop.folder / ".circleci/.config.yml.deploystep-new").exists()


def test_a_folder_that_cannot_be_written_loses_nothing(shop: Clone) -> None:
    before = text(shop)
    (shop.folder / ".circleci/.config.yml.deploystep-new").mkdir()
    ended = migrate(shop, "--write", "--force")

    assert ended.code == 2
    assert "cannot write" in ended.err
    assert text(shop) == before
    assert not (shop.folder / RULES).exists()


@pytest.mark.parametrize("how", ["changed", "ignored", "assumed", "staged"])
def test_what_is_not_as_in_the_commit_is_left_alone_unless_forced(shop: Clone, how: str) -> None:
    if how == "ignored":
        shop.git("rm", "--quiet", "--cached", PATH)
        shop.write(".circleci\n", ".gitignore")
        shop.git("add", ".gitignore")
        shop.git("commit", "--quiet", "-m", "x")
    else:
        if how == "assumed":
            shop.git("update-index", "--assume-unchanged", PATH)
        shop.write("# more\n" + CONFIG, PATH)
        if how == "staged":
            shop.git("add", PATH)
    before = text(shop)
    refused = migrate(shop, "--write")

    assert (refused.code, f"{PATH} is not committed" in refused.err, "--force" in refused.err) == (2, True, True), (
        refused
    )
    assert text(shop) == before
    assert migrate(shop, "--write", "--force").code == 0
    assert "deploystep gate" in text(shop)


@pytest.mark.parametrize(("link", "leads_out"), [(PATH, 1), (".circleci", 1), (PATH, 0)])
def test_a_link_is_followed_within_the_repository_alone(shop: Clone, tmp_path: Path, link: str, leads_out: int) -> None:
    real = (tmp_path if leads_out else shop.folder) / "outside"
    (shop.folder / link).rename(real)
    (shop.folder / link).symlink_to(real)
    shop.git("add", "--all")
    shop.git("commit", "--quiet", "-m", "x")
    for more in ((), ("--force",)) if leads_out else ():
        refused = migrate(shop, "--write", *more)

        assert (refused.code, " is a link that leads out of this repository" in refused.err) == (2, True)
        assert not (shop.folder / RULES).exists()
    assert leads_out or migrate(shop, "--write").code == 0
    assert ("- deploy:" in text(shop)) == leads_out
    assert (shop.folder / link).is_symlink()


def test_two_repositories_are_not_written_at_once(shop: Clone, tmp_path: Path) -> None:
    other = tmp_path / "other"
    subprocess.run(["git", "clone", "--quiet", str(shop.folder), str(other)], check=True)
    refused = migrate(shop, "--write", "--force", ".", str(other))

    assert refused.code == 2
    assert "--write: . and " in refused.err
    assert "are of different projects" in refused.err
    assert shop.git("status", "--porcelain") == ""
