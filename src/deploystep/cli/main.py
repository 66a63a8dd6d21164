"""From arguments to exit code: the only place that turns what was raised into a report."""

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import Final, TextIO

from deploystep.adapters import files as disk
from deploystep.adapters.clock import SystemClock
from deploystep.adapters.console import Console, wants_colour
from deploystep.app.options import ACTING, COMMANDS, Options
from deploystep.app.report import Report
from deploystep.cli import args
from deploystep.cli.commands import dispatch
from deploystep.cli.services import HERE, Services
from deploystep.core.errors import ExitCode, Interrupted, ToolError
from deploystep.core.parameters import SECRET_VARIABLES
from deploystep.core.secret import Secret
from deploystep.render import text

_TERMINATE: Final = dict.fromkeys((signal.SIGTERM, signal.SIGHUP), ExitCode.TERMINATED)
_SIGNALS: Final = {signal.SIGINT: ExitCode.INTERRUPTED} | _TERMINATE
_LONGEST: Final = 20.0  # seconds for what a signal asks for; CircleCI kills a cancelled step soon
_ONE: Final = 0.5  # seconds within which signals count as one: a terminal and a parent process pass on the same
_AGAIN: Final = 0.25  # seconds after which an interruption that was swallowed is raised again


class _Bug(ToolError):
    """An exception that nobody foresaw."""


def main(argv: Sequence[str], environ: Mapping[str, str], stdin: TextIO, out: TextIO, err: TextIO) -> int:
    """Carry out a command line. Gives the exit code; does not raise."""
    console = Console(out, err, tuple(Secret(environ[name]) for name in SECRET_VARIABLES if environ.get(name)))
    command = argv[0] if argv and argv[0] in COMMANDS else ""
    ignored = frozenset(each for each in _SIGNALS if signal.getsignal(each) is signal.SIG_IGN)
    line = _CommandLine(argv, environ, console, Report(command, is_dry="--dry-run" in argv or command not in ACTING))
    report = line.report
    # in a build every line is kept, also where the step has a terminal
    can_draw = err.isatty() and environ.get("TERM") != "dumb" and environ.get("CIRCLECI") != "true"
    try:
        with console.working(f"deploystep {command}") if can_draw and command not in ("", "sandbox") else nullcontext():
            line.carry_out(stdin)
        if report.to_execute:  # what comes now is not lost: it meets the command
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            report.raise_if_signalled()  # one that came before, and whose own exception was swallowed
        else:
            _ignore_signals()  # what happened must still be told
    except Interrupted as signalled:
        _ignore_signals()
        report.exit = signalled.exit
        line.is_shown = line.is_shown and command != "sandbox"  # which has said all there is to say
    style = text.Style(wants_colour(line.options.color, out, environ), err.isatty())
    line.tell(style)
    if gated := report.to_execute:
        from deploystep.adapters.execute import become, environment  # noqa: PLC0415 - few commands execute one

        try:
            become(gated.path, gated.command, environment(environ, gated.variables), ignored)
        except ToolError as error:
            report.fail(error)
        console.problem(text.failure(report, style))
    return int(report.exit)


class _CommandLine:
    """A command line with its report, and its options as far as the arguments have been understood."""

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], console: Console, report: Report) -> None:
        self.argv, self.environ, self.console, self.report = argv, environ, console, report
        self.options = Options(report.command, json=args.asks_for_json(argv, environ))
        self.append: Callable[[str], None] | None = None
        self.is_shown = True

    def carry_out(self, stdin: TextIO) -> None:
        """Leave in the report how it ended. Raises nothing but Interrupted, which can come at any moment."""
        report, console = self.report, self.console
        try:
            _catch_signals(report)
            options = args.parse(self.argv, self.environ)
            report.is_dry = options.is_dry
            console.is_quiet, console.is_verbose = options.quiet, options.verbose
            console.hide(Secret(self.environ.get(options.token_env or "", "")))
            for name in args.unknown_variables(self.environ):
                console.warning(f"{name} stands for no option, and is not read")
            # whether they can be written shows before anything is sent
            if options.export is not None:
                self.append = disk.appender(options.export, options.written("export"))
            if options.report is not None:
                disk.write_text(Path(options.report), "", options.written("report"))
            self.options = options
            clock = SystemClock(report.raise_if_signalled)
            with closing(Services(options, self.environ, stdin, console, clock)) as services:
                self.is_shown = dispatch(options, services, report)
        except ToolError as error:
            report.fail(error)
        except SystemExit:  # --help and --version have been printed
            self.is_shown = False
        except Exception as error:  # noqa: BLE001 - the last resort: a bug gets its own exit code and no traceback
            report.raise_if_signalled()  # a signal within an import comes out as that import's error
            report.fail(_bug(error, console))

    def tell(self, style: text.Style) -> None:
        """Tell what came of it, in the forms that were asked for; where one fails, the others tell all the same."""
        report, form = self.report, "json" if self.options.json else self.options.format
        if self.append is not None:
            try:
                self.append(text.exports(report))
            except ToolError as error:
                report.fail(error) if report.exit.is_result else self.console.warning(error.message)
        if self.is_shown:
            is_commands = report.gated and report.gated.command and form != "json"  # stdout is its own
            if result := self._result(form, style):
                self.console.problem(result) if is_commands else self.console.result(result)
            if failure := text.failure(report, style):
                self.console.problem(failure)
        if self.options.report is not None:
            from deploystep.render.pages import run_page  # noqa: PLC0415 - for who asks

            try:
                disk.write_text(Path(self.options.report), run_page(report, self.console.masked), "--report")
            except Exception as error:  # noqa: BLE001 - the exit code tells what became of the deploy, and nothing else
                self.console.warning(f"the page of this run is not written: {error}")

    def _result(self, form: str, style: text.Style) -> str:
        if form == "text" and self.report.matrix is None:
            return text.result(self.report, style)
        from deploystep.render import document, findings, pages  # noqa: PLC0415 - most people read

        if form == "json":
            return document.render(self.report)
        if self.report.matrix is not None:
            return pages.table(self.report.matrix)
        # other tools look from the root of the repository
        return findings.RENDERERS[form](self.report, lambda path: disk.from_root(path, HERE))


def _catch_signals(report: Report) -> None:
    """From here on a signal is told. One that came while the process was starting has waited for this."""
    before, began, clock = sys.unraisablehook, 0.0, SystemClock()

    def hear(number: int, _frame: FrameType | None) -> None:
        nonlocal began
        # one that is on its way is told; one that was swallowed is not, and the next must be heard
        error = sys.exc_info()[1]
        while error is not None and not isinstance(error, Interrupted):
            error = error.__context__
        is_alarm, is_lost = number == signal.SIGALRM, error is None
        if is_lost and not is_alarm:
            report.signalled, began = _SIGNALS[signal.Signals(number)], clock.monotonic()
            signal.signal(signal.SIGALRM, hear)
            signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
        # what the first asks for is cut short by the next; the last line is written all the same
        if is_lost or (report.is_cancelling and clock.monotonic() - began >= (_LONGEST if is_alarm else _ONE)):
            report.is_cancelling = False
            report.raise_if_signalled()

    # an interruption that a finalizer swallows is raised again, and no traceback is printed
    sys.unraisablehook = lambda lost: None if isinstance(lost.exc_value, Interrupted) else before(lost)
    for each in _SIGNALS:
        if each is not signal.SIGHUP or signal.getsignal(each) is not signal.SIG_IGN:  # nohup
            signal.signal(each, hear)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _ignore_signals() -> None:
    """From here on signals change nothing any more. One that has been caught still gets to its handler."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for each in (*_SIGNALS, signal.SIGALRM):
        signal.signal(each, lambda *_: None)  # to ignore it outright would make Python complain of one that was caught


def _bug(error: Exception, console: Console) -> _Bug:
    """The error, with the whole traceback in a file of its own: it can be long, and stderr is for the next step."""
    import tempfile  # noqa: PLC0415 - there should be none
    import traceback  # noqa: PLC0415 - as above

    frame = traceback.extract_tb(error.__traceback__)[-1]
    what = f"this is a bug in deploystep: {type(error).__name__} in {frame.name}, line {frame.lineno}: {error}"
    hints = ["look whether anything was triggered before you run it again"]
    with suppress(OSError):
        handle, path = tempfile.mkstemp(".txt", "deploystep-bug-")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(console.masked("".join(traceback.format_exception(type(error), error, error.__traceback__))))
        hints.append(f"please report it with the traceback in {path}")
    return _Bug("bug", console.masked(what), *hints)
