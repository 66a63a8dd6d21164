"""`gate` as a process: its command takes its place, or nothing is executed, whatever comes and whenever."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from acceptance.process import PATIENCE, TOKEN, Clone, Project, triggers, until
from acceptance.server import ScriptedServer
from acceptance.wire import JOB, nodes
from builds import SHA, fork_environ, oidc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from acceptance.process import Ended

    from deploystep.sandbox import Sandbox

RULES = """
    version: 1
    rules:
      - name: production
        environment: live
        when: {branch: main}
      - {name: forks, when: {branch: "**", fork: true}}
      - name: sent
        when: {branch: main}
        deploy: {workflow: deploy, parameters: {deploy: true, app-version: "${CIRCLE_SHA1}", n: 3}}
      - {name: frozen, when: {branch: main}, during: Mon 00:00-00:01}
      - {name: asks, when: {branch: main, merged_into: main}}
    """
MARK = ("sh", "-c", "echo executed >> mark")
PARALLEL = {"CIRCLE_NODE_TOTAL": "3"}
TUESDAY = ("--now", "2026-06-16 10:00")


@pytest.fixture
def shop(project: Project) -> Project:
    project.write(RULES)
    return project


def gate(project: Project, *words: str, **variables: str | None) -> Ended:
    return project.call("gate", *words, **variables)


def marks(project: Project) -> int:
    """How often the command was executed."""
    file = project.folder / "mark"
    return len(file.read_text("utf-8").splitlines()) if file.exists() else 0


# The command


def test_the_command_takes_the_place_of_the_process(shop: Project) -> None:
    words = ("gate", "production", "--", "sh", "-c", "cat; echo oops >&2; exit 7")
    ended = shop.run(words, {}, stdin="in\n")
    assert (ended.code, ended.out) == (7, "in\n"), "stdout is the command's alone"
    said = ended.err.splitlines()
    assert said[-2:] == ["due: executing sh", "oops"]
    assert sum("gate does not know whether this commit was deployed before" in line for line in said) == 1


def environment(project: Project, rule: str, **variables: str | None) -> dict[str, str]:
    ended = gate(project, rule, "--", "env", "-0", **variables)
    assert ended.code == 0
    return dict(text.split("=", 1) for text in ended.out.split("\0")[:-1])


def test_the_environment_is_the_callers_and_what_is_promised(shop: Project) -> None:
    given: dict[str, str | None] = {
        "DEPLOYSTEP_PARAM_OTHER": "of another rule",
        "A": "a\nb",
        "DEPLOYSTEP_HELD": "pass",
        "CIRCLE_TOKEN": None,
    }
    found = environment(shop, "production", **given)
    key = found.pop("DEPLOYSTEP_KEY")
    assert key.startswith("ds-")
    expected = shop.environment(None, {**given, "DEPLOYSTEP_PARAM_OTHER": None}, ci=True)
    added = {"RULE": "production", "ENVIRONMENT": "live", "REVISION": SHA}
    assert found == {**expected, **{f"DEPLOYSTEP_{name}": value for name, value in added.items()}}


def test_the_parameters_of_a_rule_that_could_also_be_sent(shop: Project) -> None:
    done = subprocess.run(
        [*shop._command(("gate", "sent", "--", "env"))],
        cwd=shop.folder, env=shop.environment(None, {}, ci=True), capture_output=True, check=True, encoding="utf-8",
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert f"CIRCLE_TOKEN={TOKEN}" in lines, "the command may need it"
    assert TOKEN not in done.stderr
    wanted = ["PARAM_DEPLOY=true", f"PARAM_APP_VERSION={SHA}", "PARAM_N=3", "ENVIRONMENT=sent"]
    assert {f"DEPLOYSTEP_{each}" for each in wanted} < set(lines)


def test_parameters_that_become_one_variable(shop: Project) -> None:
    shop.write(RULES.replace("n: 3", "app_version: 1"))
    ended = gate(shop, "sent", "--", *MARK)
    assert (ended.code, marks(shop)) == (3, 0)
    assert "E501" in ended.err


def test_signals_are_as_every_command_finds_them(shop: Project) -> None:
    command = ("grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status")
    without = subprocess.run(command, capture_output=True, check=True, encoding="utf-8")
    assert gate(shop, "production", "--", *command).out == without.stdout


@pytest.mark.parametrize(
    ("program", "code", "words"),
    [
        ("no-such-thing", 127, "it is in no folder of PATH"),
        ("./no-such-thing", 127, "there is no such file"),
        ("", 127, "it is in no folder of PATH"),
        (".circleci", 127, "it is in no folder of PATH"),
        ("./.circleci", 126, "it is a folder"),
        ("./.circleci/deploy.yml", 126, "it may not be executed"),
        ("./plain", 126, "Exec format error"),
        ("./lost", 127, "its interpreter is not there"),
    ],
)
def test_what_cannot_be_executed(shop: Project, program: str, code: int, words: str) -> None:
    shop.write("echo hi\n", "plain")
    shop.write("#!/no/such/interpreter\n", "lost")
    for name in ("plain", "lost"):
        (shop.folder / name).chmod(0o755)
    ended = gate(shop, "production", "--", program)
    assert ended.code == code
    assert f"cannot execute '{program}': {words}" in ended.err
    assert ended.last_line == f"exit {code} ({'not-found' if code == 127 else 'not-executable'}): {NOT}"


NEEDS = "{name: needs, requires: test, when: {branch: main}}"
NOT = "the command was not executed"


# Builds of every kind


@pytest.mark.parametrize(
    ("words", "variables", "code", "says"),
    [
        (("production",), {"CIRCLE_BRANCH": "x"}, 0, "branch x does not match main"),
        (("production",), {"CIRCLE_NODE_INDEX": "1", **PARALLEL}, 0, "node 1 of 3; node 0 decides"),
        (("production",), {"CIRCLE_OIDC_TOKEN": oidc(ssh_rerun=True)}, 0, "this is a rerun with SSH"),
        (("production",), fork_environ(CIRCLE_BRANCH="pull/7"), 0, "a fork build needs fork: true"),
        (("frozen", *TUESDAY), {}, 0, "rule frozen is held: sh is not executed"),
        (("frozen", "--held", "fail", *TUESDAY), {}, 13, "rule frozen is held"),
        (("asks",), {}, 5, "undecided["),
        (("production", "--dry-run"), {}, 0, "due: sh is not executed: this is a dry run"),
        (("production",), {"DEPLOYSTEP_DRY_RUN": "1"}, 0, "this is a dry run"),
        (("production",), {"CIRCLE_TOKEN": None, **PARALLEL}, 4, "--nodes first does not wait either"),
        (("forks",), {**fork_environ(), "CIRCLE_TOKEN": None, **PARALLEL}, 4, "--nodes first does not wait either"),
        (("productoin",), {}, 2, "did you mean 'production'?"),
        (("production",), {"CIRCLECI": None}, 4, "this is not a CircleCI build"),
        (("production",), {"CIRCLE_NODE_INDEX": "00", **PARALLEL}, 4, "CIRCLE_NODE_INDEX is '00'"),
        (("production",), {"CIRCLE_NODE_INDEX": "01", **PARALLEL}, 4, "CIRCLE_NODE_INDEX is '01'"),
        (("production",), {"CIRCLE_SHA1": "x"}, 4, "CIRCLE_SHA1"),
    ],
)
def test_nothing_is_executed(shop: Project, words: Any, variables: Any, code: int, says: str) -> None:
    ended = gate(shop, *words, "--", *MARK, **variables)
    assert (ended.code, ended.out, marks(shop)) == (code, "", 0), ended.err
    assert says in ended.err
    assert "not executed" in ended.last_line if code == 0 else ended.last_line.endswith(NOT)
    assert not any(word in ended.err for word in ("nothing was sent", "nothing was triggered", "--again", "--confirm"))
    alone = gate(shop, *words, **variables)
    assert alone.code == (code or 20), "without a command the answer is the exit code"
    document = gate(shop, *words, "--json", "--", *MARK, **variables)
    assert document.json["exit"]["code"] == document.code == code
    assert marks(shop) == 0


@pytest.mark.parametrize("words", ["run", "gate production -- true", "plan", "check", "migrate", "init", "doctor"])
def test_a_folder_that_is_deleted_is_told(shop: Project, words: str) -> None:
    gone = shop.folder / "gone"
    gone.mkdir()
    line = f'rmdir "$PWD"; exec "{sys.executable}" -m deploystep {words}'
    environ = shop.environment(None, {}, ci=True)
    ran = subprocess.run(["sh", "-c", line], cwd=gone, env=environ, capture_output=True, text=True, check=False)

    assert ran.returncode == 4, ran.stderr
    assert "the folder that this step runs in is deleted" in ran.stderr


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (("production",), {}),
        (("production",), {"CIRCLE_TOKEN": None}),
        (("production", "--nodes", "first"), {"CIRCLE_TOKEN": None, **PARALLEL}),
        (("production", "--allow-ssh"), {"CIRCLE_OIDC_TOKEN": oidc(ssh_rerun=True)}),
        (("production", "--outside-ci"), {"CIRCLECI": None}),
        (("forks",), {**fork_environ(), "CIRCLE_TOKEN": None}),
    ],
)
def test_it_is_executed_once(shop: Project, words: Any, variables: Any) -> None:
    assert (gate(shop, *words, "--", *MARK, **variables).code, marks(shop)) == (0, 1)
    alone = gate(shop, *words, **variables)
    assert (alone.code, alone.out.splitlines()[-1], marks(shop)) == (0, "due", 1)


@pytest.mark.parametrize(
    ("states", "code", "executed"),
    [(("running", "success", "success"), 0, 1), (("running", "success", "failed"), 9, 0)],
)
def test_the_other_nodes_are_waited_for(shop: Project, states: Any, code: int, executed: int) -> None:
    with ScriptedServer({JOB: nodes(*states)}) as server:
        variables = {**shop.without_waits(), "DEPLOYSTEP_HOST": server.url, **PARALLEL}
        ended = gate(shop, "production", "--", *MARK, **variables)
    assert (ended.code, marks(shop)) == (code, executed), ended.err


@pytest.mark.parametrize(("rule", "cure"), [("sent", "safe to run this job again"), ("needs", "run this step again")])
def test_nobody_answers(shop: Project, rule: str, cure: str) -> None:
    shop.write(RULES.replace("{name: frozen, when: {branch: main}, during: Mon 00:00-00:01}", NEEDS))
    nowhere = {"DEPLOYSTEP_HOST": "http://127.0.0.1:9", **(PARALLEL if rule == "sent" else {}), **shop.without_waits()}
    ended = gate(shop, rule, "--", *MARK, **nowhere)
    assert (ended.code, marks(shop), ended.last_line.endswith(NOT)) == (5, 0, True), ended.err
    assert (cure in ended.err, "nothing was" in ended.err) == (True, False)


def test_a_commit_over_which_a_newer_one_went(clone: Clone) -> None:
    clone.write(RULES)
    old, new = clone.commit(), clone.commit()
    clone.push()
    for revision, executed in ((old, 0), (new, 1)):
        ended = gate(clone, "production", "--", *MARK, CIRCLE_SHA1=revision)
        assert (ended.code, marks(clone)) == (0, executed), ended.err
        assert ("superseded: sh is not executed: branch main has moved on to" in ended.err) is (not executed)


# Signals


@contextmanager
def started(project: Project, *words: str, **variables: str | None) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own; afterwards the group is gone."""
    process = subprocess.Popen(
        project._command(("gate", *words)),
        cwd=project.folder,
        env=project.environment(None, variables, ci=True),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=PATIENCE)


SLEEPS = ("sh", "-c", "echo $$ >> mark; exec sleep 60")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
@pytest.mark.parametrize("group", [False, True])
def test_a_signal_reaches_the_command(shop: Project, number: signal.Signals, *, group: bool) -> None:
    with started(shop, "production", "--", *SLEEPS) as process:
        until(lambda: marks(shop) == 1)
        assert (shop.folder / "mark").read_text("utf-8").strip() == str(process.pid), "the process is the command"
        (os.killpg if group else os.kill)(process.pid, number)
        assert process.wait(timeout=PATIENCE) == -number


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP"])
def test_what_the_shell_ignores_the_command_ignores(shop: Project, name: str) -> None:
    """As after `nohup`, or in a script's background job, which a SIGINT does not reach."""
    gate = shop._command(("gate", "production", "--", "sh", "-c", f"kill -{name} $$; echo lives"))
    done = subprocess.run(
        ["sh", "-c", f'trap "" {name}; exec "$@"', "sh", *gate],
        cwd=shop.folder, env=shop.environment(None, {}, ci=True), capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout == b"lives\n"


@pytest.mark.parametrize("seed", range(12))
def test_a_signal_at_any_moment(shop: Project, seed: int) -> None:
    """It is never lost: the process ends by it, and whether the command had begun or not is all the difference."""
    dice = random.Random(seed)  # noqa: S311 - nobody is kept out by it
    number = dice.choice((signal.SIGTERM, signal.SIGINT, signal.SIGKILL))
    with started(shop, "production", "--", *SLEEPS) as process:
        time.sleep(dice.random() * 0.6)
        (os.killpg if dice.random() < 0.5 else os.kill)(process.pid, number)
        code = process.wait(timeout=PATIENCE)
        said = (process.stderr.read() if process.stderr else b"").decode()
    told = 130 if number == signal.SIGINT else 143
    if said.rstrip().endswith("KeyboardInterrupt"):  # Python had not started yet
        assert (code in (1, -number), marks(shop)) == (True, 0)
        return
    assert code in (-number, told), said
    if code == told:
        assert marks(shop) == 0
        assert said.splitlines()[-1].endswith((NOT, "nothing was executed"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_the_others_are_waited_for(shop: Project, number: signal.Signals, code: int) -> None:
    with (
        ScriptedServer({JOB: nodes("running", "running", "running")}) as server,
        started(shop, "production", "--", *MARK, DEPLOYSTEP_HOST=server.url, **PARALLEL) as process,
    ):
        until(lambda: bool(server.asked(JOB)))
        process.send_signal(number)
        assert process.wait(timeout=PATIENCE) == code
        said = (process.stderr.read() if process.stderr else b"").decode()
    assert (marks(shop), said.splitlines()[-1].endswith(f": {NOT}")) == (0, True)


# --export


def read_by_bash(file: Path, folder: Path) -> dict[str, str]:
    shows = 'for n in ${!DEPLOYSTEP_*}; do printf "%s=%s\\0" "$n" "${!n}"; done'
    done = subprocess.run(
        ["bash", "-c", shows], cwd=folder, env={"BASH_ENV": str(file)}, capture_output=True, check=True
    )
    assert done.stderr == b""
    return dict(text.split("=", 1) for text in done.stdout.decode().split("\0")[:-1])


def test_what_a_trigger_exports(project: Project, circleci: Sandbox) -> None:
    file = project.folder / "bash env"
    file.write_text("export A=1", "utf-8")  # without an end of line
    ended = project.step(circleci, "--export", "bash env")
    (trigger,) = ended.json["triggers"]
    expected = {"OUTCOME": "triggered", "RULE": "production", "RUN_ID": trigger["id"], "RUN_URL": trigger["url"]}
    assert read_by_bash(file, project.folder) == {f"DEPLOYSTEP_{name}": value for name, value in expected.items()}
    assert file.read_text("utf-8").startswith("export A=1\nexport ")
    again = project.step(circleci, "--export", "bash env", DEPLOYSTEP_RULE="production", DEPLOYSTEP_OUTCOME="x")
    assert "stands for no option" not in again.err
    assert read_by_bash(file, project.folder)["DEPLOYSTEP_OUTCOME"] == "already-triggered"


@pytest.mark.parametrize(
    ("words", "variables", "outcome"),
    [
        (("gate", "production"), {}, "due"),
        (("gate", "production", "--", "true"), {}, "due"),
        (("gate", "production"), {"CIRCLE_BRANCH": "x"}, "not-due"),
        (("gate", "frozen", *TUESDAY), {}, "held"),
        (("gate", "asks"), {}, "undecided"),
        (("gate", "production"), {"CIRCLE_NODE_INDEX": "1", **PARALLEL}, "skipped"),
        (("run",), {"CIRCLE_BRANCH": "x"}, "not-due"),
        (("run",), {"CIRCLE_NODE_INDEX": "1", **PARALLEL}, "skipped"),
    ],
)
def test_what_else_is_exported(shop: Project, words: Any, variables: Any, outcome: str) -> None:
    shop.run(words, {**variables, "DEPLOYSTEP_EXPORT": "out"})
    assert read_by_bash(shop.folder / "out", shop.folder)["DEPLOYSTEP_OUTCOME"] == outcome


@pytest.mark.parametrize("file", ["", ".circleci", "no/such/folder", "\x1b[2J/x"])
def test_a_file_that_cannot_be_written_is_told_before_anything_is_sent(
    project: Project, circleci: Sandbox, file: str
) -> None:
    ended = project.step(circleci, "--export", file)
    assert (ended.code, ended.json["error"]["code"], triggers(circleci)) == (2, "file-unwritable", [])
    project.write(RULES)
    ended = gate(project, "production", "--export", file, "--", *MARK)
    assert (ended.code, marks(project)) == (2, 0)
    assert "\x1b" not in ended.err


def test_a_full_disk_takes_nothing_from_what_is_told(project: Project, circleci: Sandbox) -> None:
    ended = project.step(circleci, "--export", "/dev/full")
    assert (ended.code, ended.outcomes, ended.json["error"]["code"]) == (2, ["triggered"], "file-unwritable")
    assert "rule production was triggered: http" in ended.last_line
    ended = project.step(circleci, "--export", "/dev/full", CIRCLE_TOKEN=None)
    assert (ended.code, ended.json["error"]["code"]) == (4, "no-token")
    assert "warning: --export: cannot write /dev/full" in ended.err
    project.write(RULES)
    ended = gate(project, "production", "--export", "/dev/full", "--", *MARK)
    assert (ended.code, marks(project)) == (2, 0)


# JSON, and what is typed wrong


def test_the_document_stands_before_what_the_command_prints(shop: Project) -> None:
    ended = gate(shop, "production", "--json", "--", "true")
    document = ended.json
    assert (document["command"], document["mode"], document["exit"]["code"]) == ("gate", "live", 0)
    assert (document["gate"]["outcome"], document["gate"]["program"]) == ("due", "true")
    assert [rule["name"] for rule in document["rules"]] == ["production"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("gate",), "the following arguments are required: RULE"),
        (("gate", "--", "./deploy.sh"), "the following arguments are required: RULE"),
        (("gate", "production", "./deploy.sh"), "unrecognized arguments: ./deploy.sh"),
        (("gate", "production", "--"), "no COMMAND stands behind --"),
        (("gate", "production", "--again", "x"), "arguments: --again x\n  hint: see  deploystep gate --help"),
        (("run", "--", "./deploy.sh"), "unrecognized arguments: "),
    ],
)
def test_what_is_typed_wrong(shop: Project, words: tuple[str, ...], says: str) -> None:
    ended = shop.run(words, {})
    assert (ended.code, marks(shop)) == (2, 0)
    assert says in ended.err
