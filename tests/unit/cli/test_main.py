"""From a command line to an exit code: what is raised is told, signals are heard, and bugs leave their traceback."""

import io
import json
import os
import select
import signal
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from builds import environ

from deploystep.app.options import Options
from deploystep.app.report import Report
from deploystep.cli.commands import dispatch
from deploystep.cli.main import main
from deploystep.cli.services import Services
from deploystep.core.errors import Interrupted

TOKEN = "token-0123456789"


def call(
    *argv: str, does: Any = dispatch, stream: type[io.StringIO] = io.StringIO, **variables: str
) -> tuple[int, str, str]:
    """Carry out a command line; `does` takes the place of the command."""
    out, err = stream(), stream()
    # `main` catches signals for its process, which here is the tests'
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deploystep.cli.main.dispatch", does)
        code = main(argv, {**environ(), **variables}, io.StringIO(), out, err)
    for number, handler in before.items():
        signal.signal(number, handler)
    return code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize("line", ["run --bogus", "sandbox --fault nonsense", "plan --branch a --tag b", "nonsense", ""])
def test_what_is_raised_is_told(line: str) -> None:
    code, out, err = call(*line.split(), DEPLOYSTEP_JSON="1")
    document = json.loads(out)
    assert (code, document["exit"], document["triggers"]) == (2, {"code": 2, "name": "usage"}, [])
    assert document["error"]["hints"]
    assert err.startswith("error[")
    assert call(*line.split())[1] == ""


def test_who_reads_the_export_from_a_pipe_is_not_lost_on_the_way(tmp_path: Path) -> None:
    """A pipe that is closed has ended for its reader; to open it once more would fail, after a deploy."""
    pipe, page, read = tmp_path / "pipe", str(tmp_path), []
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    def cat() -> None:
        waiting = select.poll()
        waiting.register(end, select.POLLIN)
        waiting.poll(10_000)
        read.append(os.read(end, 10_000))
        os.close(end)

    reader = Thread(target=cat)
    reader.start()
    code, _, err = call("run", "--export", str(pipe), "--report", page)
    reader.join()
    assert (code, err.count("cannot write")) == (2, 1), "of the page, which is a folder"
    assert read[0].startswith(b"export DEPLOYSTEP_OUTCOME=usage\n")


def test_help_and_version_leave_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--version")[0] == call("run", "--help")[0] == 0
    assert "usage: deploystep run" in capsys.readouterr().out


def broken(_options: Options, _services: Services, report: Report) -> bool:
    report.skipped = "so far"
    raise KeyError(TOKEN)


def test_a_bug_has_a_code_of_its_own_and_its_traceback_is_for_its_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code, out, err = call("run", does=broken, CIRCLE_TOKEN=TOKEN)
    (file,) = tmp_path.iterdir()
    written = file.read_text(encoding="utf-8")
    first, *_, reported, last = err.splitlines()
    assert first.startswith("error[bug]: this is a bug in deploystep: KeyError in broken, line ")
    assert first.endswith(": '***'")
    assert (code, out, last) == (1, "so far\n", "exit 1 (bug): nothing was triggered")
    assert reported == f"  hint: please report it with the traceback in {file}"
    assert ("Traceback (most recent call last)" in written, TOKEN in out + err + written) == (True, False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(call("run", "--json", does=broken)[1])["exit"] == {"code": 1, "name": "bug"}
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    assert call("run", does=broken)[2].count("hint: ") == 1, "it is told where no file can be written"


def test_the_variable_that_holds_the_token_is_masked_from_the_beginning() -> None:
    def tells(_options: Options, services: Services, report: Report) -> bool:
        services.console.info(f"it is {TOKEN}")
        report.skipped = f"it is {TOKEN}"
        return True

    masked = (0, "it is ***\n", "it is ***\n")
    assert call("run", does=tells, CIRCLE_TOKEN=TOKEN) == masked
    assert call("run", does=tells, MINE=TOKEN, DEPLOYSTEP_TOKEN_ENV="MINE") == masked


# Signals


class Signalling(io.StringIO):
    """A stream on which each write meets a signal."""

    def write(self, text: str) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return super().write(text)


def test_a_signal_while_the_result_is_written() -> None:
    """What happened is told to its end, with the exit code that it had."""
    code, out, err = call("run", "--json", stream=Signalling, CIRCLECI="")
    assert (code, json.loads(out)["exit"]) == (4, {"code": 4, "name": "environment"})
    assert err.endswith("exit 4 (environment): nothing was triggered\n")


def meet(number: signal.Signals, seconds: float = 5.0) -> None:
    os.kill(os.getpid(), number)
    signal.sigtimedwait([], seconds)


def swallow() -> None:
    """What an import, or what tidies up, can make of a signal."""
    try:
        meet(signal.SIGTERM, 1.0)
    except Interrupted:
        raise ImportError("cannot import name 'ssl'") from None


def test_a_signal_ends_a_command_whatever_it_comes_out_as() -> None:
    assert call("sandbox", does=lambda *_: meet(signal.SIGTERM)) == (143, "", ""), "it has said all there is to say"
    assert call("run", does=lambda *_: swallow())[0] == 143


@pytest.mark.parametrize(("goes_on", "code"), [("waits", 143), ("sends", 143), ("meets another", 130)])
def test_after_a_signal_that_was_swallowed_nothing_is_sent_or_waited_for(goes_on: str, code: int) -> None:
    reached = []

    def carry_out(_options: Options, services: Services, report: Report) -> bool:
        with suppress(ImportError):
            swallow()
        reached.append("after it")
        if goes_on == "meets another":
            meet(signal.SIGINT)
        services.clock.sleep(0) if goes_on == "waits" else report.raise_if_signalled()
        pytest.fail("it went on")

    assert (call("run", does=carry_out)[0], reached) == (code, ["after it"])


def test_a_signal_during_what_the_first_one_asked_for_changes_nothing_and_what_was_started_is_stopped() -> None:
    done: list[str] = []

    def carry_out(_options: Options, services: Services, _report: Report) -> bool:
        services._stack.callback(done.append, "stopped")
        try:
            meet(signal.SIGTERM)
        except Interrupted:
            meet(signal.SIGINT, 0.01)
            done.append("cancelled")
            raise
        return True

    assert (call("run", does=carry_out)[0], done) == (143, ["cancelled", "stopped"])
