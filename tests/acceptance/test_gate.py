"""`gate` as a process: its command takes its place, or nothing is executed, whatever comes and whenever."""

import os
import random
import signal
import subprocess
import time
from contextlib import AbstractContextManager
from subprocess import Popen
from typing import Any

import pytest
from acceptance.process import PATIENCE, Clone, Ended, Project, until
from acceptance.server import ScriptedServer
from acceptance.wire import JOB, nodes
from builds import SHA, fork_environ, oidc

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
      - {name: twice, when: {branch: main}, deploy: {workflow: deploy, parameters: {a-b: 1, a_b: 2}}}
      - {name: frozen, when: {branch: main}, during: Mon 00:00-00:01}
      - {name: needs, requires: test, when: {branch: main}}
      - {name: asks, when: {branch: main, merged_into: main}}
    """
MARK = ("sh", "-c", "echo executed >> mark")
SLEEPS = ("sh", "-c", "echo $$ >> mark; exec sleep 60")
PARALLEL = {"CIRCLE_NODE_TOTAL": "3"}
TUESDAY = ("--now", "2026-06-16 10:00")
NOT = "the command was not executed"


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
    ended = shop.run(("gate", "production", "--", "sh", "-c", "cat; echo oops >&2; exit 7"), {}, stdin="in\n")
    assert (ended.code, ended.out) == (7, "in\n"), "stdout is the command's alone"
    assert ended.err.splitlines()[-2:] == ["due: executing sh", "oops"]
    assert ended.err.count("gate does not know whether this commit was deployed before") == 1


@pytest.mark.parametrize(
    ("rule", "named", "parameters"),
    [("production", "live", {}), ("sent", "sent", {"DEPLOY": "true", "APP_VERSION": SHA, "N": "3"})],
)
def test_the_environment_is_the_callers_and_what_is_promised(
    shop: Project, rule: str, named: str, parameters: dict[str, str]
) -> None:
    """It holds the token, which the command may need."""
    given: dict[str, str | None] = {"A": "a\nb", "DEPLOYSTEP_HELD": "pass", "CIRCLE_TOKEN": "of-another-project"}
    ended = gate(shop, rule, "--", "env", "-0", DEPLOYSTEP_PARAM_OTHER="of another rule", **given)
    found = dict(text.split("=", 1) for text in ended.out.split("\0")[:-1])
    assert found.pop("DEPLOYSTEP_KEY").startswith("ds-")
    added = {"RULE": rule, "ENVIRONMENT": named, "REVISION": SHA, **{f"PARAM_{n}": v for n, v in parameters.items()}}
    assert found == {**shop.environment(None, given), **{f"DEPLOYSTEP_{name}": value for name, value in added.items()}}


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
    for name, text in (("plain", "echo hi\n"), ("lost", "#!/no/such/interpreter\n")):
        shop.write(text, name)
        (shop.folder / name).chmod(0o755)
    ended = gate(shop, "production", "--", program)
    assert ended.code == code
    assert f"cannot execute '{program}': {words}" in ended.err
    assert ended.last_line == f"exit {code} ({'not-found' if code == 127 else 'not-executable'}): {NOT}"


# Builds of every kind


@pytest.mark.parametrize(
    ("words", "variables", "code", "says"),
    [
        ("production", {"CIRCLE_BRANCH": "x"}, 0, "branch x does not match main"),
        ("production", {"CIRCLE_NODE_INDEX": "1", **PARALLEL}, 0, "node 1 of 3; node 0 decides"),
        ("production", {"CIRCLE_OIDC_TOKEN": oidc(ssh_rerun=True)}, 0, "this is a rerun with SSH"),
        ("production", fork_environ(CIRCLE_BRANCH="pull/7"), 0, "a fork build needs fork: true"),
        ("frozen", {}, 0, "rule frozen is held: sh is not executed"),
        ("frozen", {"DEPLOYSTEP_HELD": "fail"}, 13, "rule frozen is held"),
        ("asks", {}, 5, "undecided["),
        ("production", {"DEPLOYSTEP_DRY_RUN": "1"}, 0, "due: sh is not executed: this is a dry run"),
        ("production", {"CIRCLE_TOKEN": None, **PARALLEL}, 4, "--nodes first does not wait either"),
        ("productoin", {}, 2, "did you mean 'production'?"),
        ("twice", {}, 3, "error[E501]: two parameters become DEPLOYSTEP_PARAM_A_B"),
        ("production", {"CIRCLECI": None}, 4, "this is not a CircleCI build"),
        ("production", {"CIRCLE_NODE_INDEX": "01", **PARALLEL}, 4, "CIRCLE_NODE_INDEX is '01'"),
        # nobody answers
        ("sent", {"DEPLOYSTEP_HOST": "http://127.0.0.1:9", **PARALLEL}, 5, "safe to run this job again"),
        ("needs", {"DEPLOYSTEP_HOST": "http://127.0.0.1:9"}, 5, "run this step again"),
    ],
)
def test_nothing_is_executed(shop: Project, words: str, variables: Any, code: int, says: str) -> None:
    variables = {**shop.without_waits(), **variables}
    ended = gate(shop, words, *TUESDAY, "--", *MARK, **variables)
    assert (ended.code, ended.out, marks(shop)) == (code, "", 0), ended.err
    assert says in ended.err
    assert "not executed" in ended.last_line if code == 0 else ended.last_line.endswith(NOT)
    assert not any(word in ended.err for word in ("nothing was sent", "nothing was triggered", "--again", "--confirm"))
    alone = gate(shop, words, *TUESDAY, "--json", **variables)
    assert alone.code == alone.json["exit"]["code"] == (code or 20), "without a command the answer is the exit code"


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        ("production", {"CIRCLE_TOKEN": None}),
        ("production --nodes first", {"CIRCLE_TOKEN": None, **PARALLEL}),
        ("production --allow-ssh", {"CIRCLE_OIDC_TOKEN": oidc(ssh_rerun=True)}),
        ("production --outside-ci", {"CIRCLECI": None}),
        ("forks", {**fork_environ(), "CIRCLE_TOKEN": None}),
    ],
)
def test_it_is_executed_once(shop: Project, words: str, variables: Any) -> None:
    assert (gate(shop, *words.split(), "--", *MARK, **variables).code, marks(shop)) == (0, 1)
    alone = gate(shop, *words.split(), **variables)
    assert (alone.code, alone.out.splitlines()[-1], marks(shop)) == (0, "due", 1)


@pytest.mark.parametrize(("last", "code", "executed"), [("success", 0, 1), ("failed", 9, 0)])
def test_the_other_nodes_are_waited_for(shop: Project, last: str, code: int, executed: int) -> None:
    with ScriptedServer({JOB: [nodes("", "success", "running"), nodes("", "success", last)]}) as server:
        variables = {**shop.without_waits(), "DEPLOYSTEP_HOST": server.url, **PARALLEL}
        ended = gate(shop, "production", "--", *MARK, **variables)
    assert (ended.code, marks(shop)) == (code, executed), ended.err


def test_a_commit_over_which_a_newer_one_went(clone: Clone) -> None:
    clone.write(RULES)
    old, new = clone.commit(), clone.commit()
    clone.push()
    for revision, executed in ((old, 0), (new, 1)):
        ended = gate(clone, "production", "--", *MARK, CIRCLE_SHA1=revision)
        assert (ended.code, marks(clone)) == (0, executed), ended.err
        assert ("superseded: sh is not executed: branch main has moved on to" in ended.err) is (not executed)


@pytest.mark.parametrize("words", ["run", "gate production -- true", "check", "init"])
def test_a_folder_that_is_deleted_is_told(shop: Project, words: str) -> None:
    ended = shop.shell(f'mkdir gone; cd gone; rmdir "$PWD"; exec $STEP {words}')
    assert (ended.code, "the folder that this step runs in is deleted" in ended.err) == (4, True), ended.err


# Signals


def started(project: Project, *words: str, **variables: str | None) -> AbstractContextManager[Popen[bytes]]:
    return project.started(None, "gate", "production", "--", *words, **variables)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
@pytest.mark.parametrize("send", [os.kill, os.killpg])
def test_a_signal_reaches_the_command(shop: Project, number: signal.Signals, send: Any) -> None:
    with started(shop, *SLEEPS) as process:
        until(lambda: marks(shop) == 1)
        assert (shop.folder / "mark").read_text("utf-8").strip() == str(process.pid), "the process is the command"
        send(process.pid, number)
        assert process.wait(timeout=PATIENCE) == -number


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP"])
def test_what_the_shell_ignores_the_command_ignores(shop: Project, name: str) -> None:
    """As after `nohup`, or in a script's background job, which a SIGINT does not reach."""
    assert shop.shell(f"trap '' {name}; $STEP gate production -- sh -c 'kill -{name} $$; echo lives'").out == "lives\n"


@pytest.mark.parametrize("seed", range(6))
def test_a_signal_at_any_moment(shop: Project, seed: int) -> None:
    """It is never lost: the process ends by it, and whether the command had begun or not is all the difference."""
    dice = random.Random(seed)  # noqa: S311 - nobody is kept out by it
    number = dice.choice((signal.SIGTERM, signal.SIGINT, signal.SIGKILL))
    with started(shop, *SLEEPS) as process:
        time.sleep(dice.random() * 0.6)
        (os.killpg if dice.random() < 0.5 else os.kill)(process.pid, number)
        code = process.wait(timeout=PATIENCE)
    if shop.said.rstrip().endswith("KeyboardInterrupt"):  # Python had not started yet
        assert (code in (1, -number), marks(shop)) == (True, 0)
    elif code != -number:
        assert (code, marks(shop)) == (130 if number == signal.SIGINT else 143, 0), shop.said
        assert shop.said.splitlines()[-1].endswith((NOT, "nothing was executed"))


def test_a_signal_while_the_others_are_waited_for(shop: Project) -> None:
    with (
        ScriptedServer({JOB: nodes("running", "running", "running")}) as server,
        started(shop, *MARK, DEPLOYSTEP_HOST=server.url, **PARALLEL) as process,
    ):
        until(lambda: bool(server.asked(JOB)))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE) == 143
    assert (marks(shop), shop.said.splitlines()[-1].endswith(f": {NOT}")) == (0, True)


# --export


def exported(project: Project, file: str = "out") -> dict[str, str]:
    """What bash has read from the file, all of which must be exported."""
    ended = project.shell(f". './{file}'; env -0 | grep -z ^DEPLOYSTEP_")
    assert ended.err == ""
    return dict(text.removeprefix("DEPLOYSTEP_").split("=", 1) for text in ended.out.split("\0")[:-1])


def test_what_a_trigger_exports(project: Project, circleci: Sandbox) -> None:
    file = project.folder / "bash env"
    file.write_text("export A=1", "utf-8")  # without an end of line
    options: dict[str, Any] = {"DEPLOYSTEP_EXPORT": "bash env", **project.without_waits()}
    (trigger,) = project.step(circleci, **options).json["triggers"]
    expected = {"OUTCOME": "triggered", "RULE": "production", "RUN_ID": trigger["id"], "RUN_URL": trigger["url"]}
    assert exported(project, "bash env") == expected
    assert file.read_text("utf-8").startswith("export A=1\nexport ")
    again = project.step(circleci, DEPLOYSTEP_RULE="production", DEPLOYSTEP_OUTCOME="x", **options)
    assert "stands for no option" not in again.err
    assert exported(project, "bash env")["OUTCOME"] == "already-triggered"


@pytest.mark.parametrize(
    ("words", "variables", "outcome"),
    [
        ("gate production", {}, "due"),
        ("gate production -- true", {}, "due"),
        ("gate production", {"CIRCLE_BRANCH": "x"}, "not-due"),
        ("gate frozen", {"DEPLOYSTEP_NOW": "2026-06-16 10:00"}, "held"),
        ("gate asks", {}, "undecided"),
        ("gate production", {"CIRCLE_NODE_INDEX": "1", **PARALLEL}, "skipped"),
        ("run", {"CIRCLE_BRANCH": "x"}, "not-due"),
        ("run", {"CIRCLE_NODE_INDEX": "1", **PARALLEL}, "skipped"),
    ],
)
def test_what_else_is_exported(shop: Project, words: str, variables: Any, outcome: str) -> None:
    shop.call(*words.split(), DEPLOYSTEP_EXPORT="out", **variables)
    assert exported(shop)["OUTCOME"] == outcome


@pytest.mark.parametrize(
    "option",
    [*(f"--export={file}" for file in ("", ".circleci", "no/such/folder", "\x1b[2J/x")),
     *(f"--report={file}" for file in (".", ".circleci/deploy.yml/x.html"))],
)  # fmt: skip
def test_a_file_that_cannot_be_written_is_told_before_anything_is_sent(
    shop: Project, circleci: Sandbox, option: str
) -> None:
    ended = shop.step(circleci, option)
    assert (ended.code, ended.json["error"]["code"], len(circleci.requests)) == (2, "file-unwritable", 0)
    ended = gate(shop, "production", option, "--", *MARK)
    assert (ended.code, marks(shop), "\x1b" in ended.err) == (2, 0, False)


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


# JSON


def test_the_document_stands_before_what_the_command_prints(shop: Project) -> None:
    document = gate(shop, "production", "--json", "--", "true").json
    assert (document["command"], document["mode"], document["exit"]["code"]) == ("gate", "live", 0)
    assert (document["gate"]["outcome"], document["gate"]["program"]) == ("due", "true")
    assert [rule["name"] for rule in document["rules"]] == ["production"]
