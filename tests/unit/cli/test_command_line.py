"""Options, their variables, and what is refused: in one process, for there are many."""

from __future__ import annotations

import io
import json
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from builds import environ

from deploystep.cli import commands, parser
from deploystep.cli.args import parse
from deploystep.cli.main import main
from deploystep.cli.options import COMMANDS, OPTIONS
from deploystep.core.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """`main` catches signals for its process, which here is the tests'."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def call(*argv: str, **variables: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main(argv, {**environ(), **variables}, io.StringIO(), out, err)
    return code, out.getvalue(), err.getvalue()


USAGE = [
    ["run", "--bogus"],
    ["run", "--wait", "soon"],
    ["run", "--again"],
    ["run", "--again", " "],
    ["run", "--nodes-timeout", "1 m"],
    ["run", "--nodes-timeout", ""],
    ["run", "--nodes", "some"],
    ["run", "--confirm", "soon"],
    ["run", "--confirm", "-1s"],
    ["run", "--confirm", "1 s"],
    ["run", "--color", "sometimes"],
    ["run", "--dry"],
    ["run", "extra"],
    ["run", "--branch", "main"],
    ["plan", "--confirm", "1s"],
    ["plan", "--branch", "a", "--tag", "b"],
    ["sandbox", "--port", "99999"],
    ["sandbox", "--port", "x"],
    ["sandbox", "--head", "main"],
    ["sandbox", "--fault", "nonsense"],
    ["nonsense"],
    [],
]


@pytest.mark.parametrize("argv", USAGE, ids=" ".join)
def test_usage(argv: list[str]) -> None:
    code, out, err = call(*argv, "--json") if argv else call(DEPLOYSTEP_JSON="1")
    assert code == 2
    document = json.loads(out)
    assert document["exit"] == {"code": 2, "name": "usage"}
    assert document["error"]["hints"]
    assert document["triggers"] == []
    assert err.startswith("error[")


VARIABLES = [
    ("NODES", "some"),
    ("COLOR", "sometimes"),
    ("WAIT", "soon"),
    ("AGAIN", "  "),
    ("NODES_TIMEOUT", "1d"),
    ("DRY_RUN", "maybe"),
    ("JSON", "maybe"),
    ("CONFIRM", "x"),
]


@pytest.mark.parametrize(("name", "value"), VARIABLES)
def test_a_variable_that_cannot_be_meant(name: str, value: str) -> None:
    """An option that is silently ignored would be a lie, by whichever way it came."""
    code, _, err = call("run", **{f"DEPLOYSTEP_{name}": value})
    assert code == 2
    assert err.startswith("error[")


HOSTS = [
    "http://circleci.example",
    "ftp://circleci.com",
    "https://user:pw@circleci.com",
    "https://circleci.com/api",
    "https://circleci.com?x",
    "https://circle ci.com",
    "https://*.circleci.com",
    "https://circleci.com\x1b[31m",
    "https://",
    "https://circleci.com:port",
    "http://localhost.evil.example",
]


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_gets_no_token(
    host: str, tmp_path: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))
    rules = "version: 1\nrules:\n  - {name: a, when: {branch: main}, deploy: {workflow: x}}\n"
    monkeypatch.setattr("deploystep.cli.commands.read_rules", lambda path, _: _source(path, rules))
    code, _, err = call("run", "--host", host, CIRCLE_TOKEN="token-0123456789")
    assert (code, err.startswith("error[host]")) == (2, True), err
    assert "\x1b" not in err


def _source(path: str, text: str) -> object:
    from deploystep.core.source import SourceFile  # noqa: PLC0415 - used here alone

    return SourceFile(path, text)


@pytest.mark.parametrize("value", ["0", "false", "no", "off", "False", ""])
def test_a_switch_that_is_off(value: str) -> None:
    code, out, err = call("run", "--bogus", DEPLOYSTEP_JSON=value)
    assert (code, out) == (2, "")
    assert err.startswith("error[usage]: ")


@pytest.mark.parametrize("value", ["1", "true", "yes", "on", "TRUE"])
def test_a_switch_that_is_on(value: str) -> None:
    _, out, _ = call("run", "--bogus", DEPLOYSTEP_JSON=value)
    assert json.loads(out)["exit"]["code"] == 2
    assert parse(["run"], {"DEPLOYSTEP_DRY_RUN": value}).is_dry


def test_an_option_beats_its_variable() -> None:
    variables = {"DEPLOYSTEP_RULES": "a.yml", "DEPLOYSTEP_CONFIRM": "5m", "DEPLOYSTEP_HOST": "https://a"}
    read = parse(["run", "--rules", "b.yml", "--confirm", "90s"], variables)
    assert (read.rules, read.confirm, read.host) == ("b.yml", 90.0, "https://a")
    assert parse(["run"], variables).confirm == 300.0


@pytest.mark.parametrize(("text", "seconds"), [("0", 0.0), ("90s", 90.0), ("10m", 600.0), ("1h", 3600.0), ("7", 7.0)])
def test_durations(text: str, seconds: float) -> None:
    assert parse(["run", "--confirm", text], {}).confirm == seconds


def test_every_option_that_changes_what_run_does_has_a_variable() -> None:
    assert [o.flag for o in OPTIONS if "run" in o.commands and not o.has_variable] == []


def test_a_variable_of_another_command_does_not_matter() -> None:
    assert parse(["plan"], {"DEPLOYSTEP_CONFIRM": "nonsense"}).command == "plan"


def test_a_plan_is_always_dry() -> None:
    assert parse(["plan"], {}).is_dry
    assert not parse(["run"], {}).is_dry


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that fits a screen; a command's ends with an example."""
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit) as left:
        parser.parser().parse_args([*([command] if command else []), "--help"])
    assert left.value.code == 0
    page = capsys.readouterr().out
    assert len(page.splitlines()) <= 45
    if command:
        assert "example:" in page
        example = page.rpartition("example:")[2].strip().removeprefix("- run: ")
        words = example.split()
        assert words[:2] == ["deploystep", command]
        assert parse(words[1:], {}).command == command
    else:
        assert all(name in page for name in COMMANDS)


def test_help_and_version_leave_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--version")[0] == 0
    assert call("run", "--help")[0] == 0
    assert "usage: deploystep run" in capsys.readouterr().out


def test_an_error_of_argparse_is_raised() -> None:
    with pytest.raises(UsageError) as caught:
        parse(["run", "--rules"], {})
    assert "--rules" in caught.value.message


class Signalling(io.StringIO):
    """A stream on which each write meets a signal."""

    def write(self, text: str) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return super().write(text)


def test_a_signal_while_the_result_is_written() -> None:
    """What happened is told to its end, with the exit code that it had."""
    out, err = Signalling(), Signalling()
    assert main(["run", "--json"], {}, io.StringIO(), out, err) == 4
    assert json.loads(out.getvalue())["exit"] == {"code": 4, "name": "environment"}
    assert err.getvalue().endswith("exit 4 (environment): nothing was triggered\n")


def test_a_bug_has_a_code_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("token-0123456789")

    monkeypatch.setattr("deploystep.cli.commands.carry_out", broken)
    code, out, err = call("run", "--json", CIRCLE_TOKEN="token-0123456789")
    assert code == 1
    assert json.loads(out)["exit"] == {"code": 1, "name": "bug"}
    assert "look whether anything was triggered" in err
    assert "token-0123456789" not in out + err


def test_a_token_that_was_given_for_a_name_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--token-env $CIRCLE_TOKEN` is a slip that must not put the token into the log."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deploy.yml").write_text(
        "version: 1\nrules:\n  - {name: a, when: {branch: main}, deploy: {workflow: a, parameters: {x: 1}}}\n",
        encoding="utf-8",
    )
    code, out, err = call("run", "--rules", "deploy.yml", "--token-env", "cci_personal_0123456789")
    assert code == 4
    assert "cci_personal_0123456789" not in out + err
    assert "the variable that --token-env names is not set" in err


def swallows_a_signal(*_: object) -> None:
    """What an import, or what tidies up, can make of a signal."""
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        signal.sigtimedwait([], 1.0)
    except Interrupted:
        raise ImportError("cannot import name 'ssl'") from None


def test_a_signal_that_comes_out_as_something_else_is_a_signal_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "carry_out", swallows_a_signal)
    assert call("run")[0] == 143


def test_after_a_signal_that_was_swallowed_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    reached = []

    def carry_out(*arguments: Any) -> None:
        with suppress(ImportError):
            swallows_a_signal()
        reached.append("after it")
        arguments[-1].sending(0)
        reached.append("sent")

    monkeypatch.setattr(commands, "carry_out", carry_out)
    assert call("run")[0] == 143
    assert reached == ["after it"]


def test_the_signal_after_one_that_was_swallowed_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    def carry_out(*_: object) -> None:
        with suppress(ImportError):
            swallows_a_signal()
        os.kill(os.getpid(), signal.SIGINT)
        signal.sigtimedwait([], 5.0)
        pytest.fail("it went on")

    monkeypatch.setattr(commands, "carry_out", carry_out)
    assert call("run")[0] == 130


def test_a_signal_during_what_the_first_one_asked_for_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    done = []

    def carry_out(*_: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.sigtimedwait([], 5.0)
        except Interrupted:
            os.kill(os.getpid(), signal.SIGINT)
            signal.sigtimedwait([], 0.01)
            done.append("cancelled")
            raise

    monkeypatch.setattr(commands, "carry_out", carry_out)
    assert call("run")[0] == 143
    assert done == ["cancelled"]
