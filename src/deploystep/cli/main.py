"""From arguments to exit code: the only place that turns what was raised into a report."""

import signal
import sys
from collections.abc import Mapping, Sequence
from types import FrameType, MappingProxyType
from typing import Final, TextIO

from deploystep.adapters.console import Console, wants_colour
from deploystep.app.report import Journal, Report
from deploystep.cli import args, commands
from deploystep.cli.options import COMMANDS
from deploystep.core.errors import Interrupted, ToolError
from deploystep.core.exits import ExitCode
from deploystep.core.frozen import replace
from deploystep.core.parameters import SECRET_VARIABLES
from deploystep.core.secret import Secret
from deploystep.render import text


class _Signals:
    """SIGINT and SIGTERM as an exception, and as a fact where that was lost: code that imports or tidies up can."""

    _CODES: Final = MappingProxyType({signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED})

    def __init__(self) -> None:
        self._told: ExitCode | None = None

    def catch(self) -> None:
        """From here on a signal is told. One that came while the process was starting has waited for this."""
        for each in self._CODES:
            signal.signal(each, self._stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._CODES)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if _is_being_told():
            return  # one is enough: what it asks for must get done, and the last line be written
        self._told = self._CODES[signal.Signals(number)]
        raise Interrupted(self._told)

    def check(self) -> None:
        """Raises Interrupted where a signal has come."""
        if self._told is not None:
            raise Interrupted(self._told)

    def ignore(self) -> None:
        """From here on signals change nothing any more. One that has been caught still gets to its handler."""
        for each in self._CODES:
            signal.signal(each, _do_nothing)  # to ignore it outright would make Python complain of one that was caught


def _is_being_told() -> bool:
    """Whether an interruption is on its way. One that was swallowed is not, and the next one must be heard."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, Interrupted):
        error = error.__context__
    return error is not None


class _Told:
    """What is known of a command so far: whatever ends it, and whenever, this is what is told."""

    def __init__(self, report: Report, *, is_json: bool) -> None:
        self.report = report
        self.is_json = is_json
        self.color = "auto"
        self.signals = _Signals()
        self.journal = Journal(self.signals.check)
        self.is_silent = False
        self.is_greeted = False

    def failed(self, error: ToolError) -> Report:
        return replace(self.report, triggers=self.journal.entries).failed(error)

    def interrupted(self, code: ExitCode) -> Report:
        return replace(self.report, triggers=self.journal.entries, exit=code)


def main(argv: Sequence[str], environ: Mapping[str, str], stdin: TextIO, out: TextIO, err: TextIO) -> int:
    """Carry out a command line. Gives the exit code; does not raise."""
    console = Console(out, err, tuple(Secret(environ[name]) for name in SECRET_VARIABLES if environ.get(name)))
    told = _Told(Report(_command(argv), is_dry="--dry-run" in argv), is_json=args.asks_for_json(argv, environ))
    try:
        _carry_out(argv, environ, stdin, console, told)
        told.signals.ignore()  # what happened must still be told
    except Interrupted as signalled:
        told.signals.ignore()
        told.report = told.interrupted(signalled.exit)
        told.is_silent = told.is_greeted  # a sandbox has said all there is to say
    if not told.is_silent:
        style = text.Style(wants_colour(told.color, out, environ), err.isatty())
        _show(told.report, console, style, is_json=told.is_json)
    return int(told.report.exit)


def _carry_out(argv: Sequence[str], environ: Mapping[str, str], stdin: TextIO, console: Console, told: _Told) -> None:
    """Leave in `told` how it ended. Raises nothing but Interrupted, which can come at any moment."""
    try:
        told.signals.catch()
        invocation = args.parse(argv, environ)
        told.is_json, told.color = invocation.is_json, invocation.color
        console.hide(Secret(environ.get(invocation.token_env or "", "")))
        told.is_greeted = invocation.command == "sandbox"
        report = commands.carry_out(invocation, environ, stdin, console, told.journal)
        told.report, told.is_silent = report or told.report, report is None
    except ToolError as error:
        told.report = told.failed(error)
    except SystemExit:  # --help and --version have been printed
        told.is_silent = True
    except Exception as bug:  # noqa: BLE001 - the last resort: a bug gets its own exit code and no traceback
        told.signals.check()  # a signal within an import comes out as that import's error
        told.report = told.failed(_bug(bug))


def _show(report: Report, console: Console, style: text.Style, *, is_json: bool) -> None:
    if is_json:
        from deploystep.render import document  # noqa: PLC0415 - most people read

        result = document.render(report)
    else:
        result = text.result(report, style)
    if result:
        console.result(result)
    failure = text.failure(report, style)
    if failure:
        console.problem(failure)


def _command(argv: Sequence[str]) -> str:
    return argv[0] if argv and argv[0] in COMMANDS else ""


def _bug(bug: Exception) -> "_Bug":
    import traceback  # noqa: PLC0415 - there should be none

    frame = traceback.extract_tb(bug.__traceback__)[-1]
    return _Bug(
        "bug",
        f"this is a bug in deploystep: {type(bug).__name__} in {frame.name}, line {frame.lineno}: {bug}",
        "look whether anything was triggered before you run it again",
    )


class _Bug(ToolError):
    """An exception that nobody foresaw."""

    exit = ExitCode.BUG


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """The handler of signals that come too late."""
