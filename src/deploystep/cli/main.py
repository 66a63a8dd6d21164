"""From arguments to exit code: the only place that turns what was raised into a report."""

import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import TYPE_CHECKING, Final, TextIO

from deploystep.adapters.clock import SystemClock
from deploystep.adapters.console import Console, wants_colour, width_of
from deploystep.adapters.files import from_root, write_text
from deploystep.app.options import ACTING
from deploystep.app.report import Gated, Report
from deploystep.cli import args
from deploystep.cli.commands import dispatch
from deploystep.cli.option_table import COMMANDS
from deploystep.cli.services import HERE, Services
from deploystep.core.errors import Interrupted, ToolError
from deploystep.core.exits import ExitCode
from deploystep.core.parameters import SECRET_VARIABLES
from deploystep.core.secret import Secret
from deploystep.render import text

if TYPE_CHECKING:
    from deploystep.adapters.files import Appended

_SIGNALS: Final = MappingProxyType(
    {
        signal.SIGINT: ExitCode.INTERRUPTED,
        signal.SIGTERM: ExitCode.TERMINATED,
        signal.SIGHUP: ExitCode.TERMINATED,
    }
)
_LONGEST: Final = 20.0  # seconds for what a signal asks for; CircleCI kills a cancelled step soon
_ONE: Final = 0.5  # seconds within which signals count as one: a terminal and a parent process pass on the same
_AGAIN: Final = 0.25  # seconds after which an interruption that was swallowed is raised again


def main(argv: Sequence[str], environ: Mapping[str, str], stdin: TextIO, out: TextIO, err: TextIO) -> int:
    """Carry out a command line. Gives the exit code; does not raise."""
    console = Console(out, err, tuple(Secret(environ[name]) for name in SECRET_VARIABLES if environ.get(name)))
    command = argv[0] if argv and argv[0] in COMMANDS else ""
    # in a build every line is kept, also where the step has a terminal
    can_draw = err.isatty() and environ.get("TERM") != "dumb" and environ.get("CIRCLECI") != "true"
    is_watched = can_draw and command not in ("", "sandbox")
    line = _CommandLine(argv, environ, Report(command, is_dry="--dry-run" in argv or command not in ACTING))
    try:
        with console.working(f"deploystep {command}") if is_watched else nullcontext():
            line.carry_out(stdin, console)
        if line.report.to_execute:  # what comes now is not lost: it meets the command
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            line.report.raise_if_signalled()  # one that came before, and whose own exception was swallowed
        else:
            _ignore_signals()  # what happened must still be told
    except Interrupted as signalled:
        _ignore_signals()
        line.report.exit = signalled.exit
        line.is_shown = line.is_shown and command != "sandbox"  # which has said all there is to say
    line.write_export(console)
    style = text.Style(wants_colour(line.color, out, environ), err.isatty(), width_of(out))
    if line.is_shown:
        _show(line.report, console, style, line.format)
    if line.page is not None:
        _write_page(line.report, line.page, console)
    gated = line.report.to_execute
    if gated is not None:
        line.hand_over(gated)
        console.problem(text.failure(line.report, style))
    return int(line.report.exit)


class _CommandLine:
    """A command line with its report, and how that is to be shown as far as the arguments have been understood."""

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], report: Report) -> None:
        self.argv = argv
        self.environ = environ
        self.report = report
        self.format = "json" if args.asks_for_json(argv, environ) else "text"
        self.color = "auto"
        self.is_shown = True
        self.ignored = frozenset(each for each in _SIGNALS if signal.getsignal(each) is signal.SIG_IGN)
        self.exported: Appended | None = None
        self.page: str | None = None

    def carry_out(self, stdin: TextIO, console: Console) -> None:
        """Leave in the report how it ended. Raises nothing but Interrupted, which can come at any moment."""
        report = self.report
        try:
            _catch_signals(report)
            options = args.parse(self.argv, self.environ)
            report.is_dry, self.color = options.is_dry, options.color
            self.format = "json" if options.json else options.format
            console.is_quiet, console.is_verbose = options.quiet, options.verbose
            console.hide(Secret(self.environ.get(options.token_env or "", "")))
            for name in args.unknown_variables(self.environ):
                console.warning(f"{name} stands for no option, and is not read")
            if options.export is not None:
                from deploystep.adapters.files import Appended  # noqa: PLC0415 - few ask for it

                self.exported = Appended(options.export, options.written("export"))
            if options.report is not None:  # whether it can be written shows before anything is sent
                write_text(Path(options.report), "", options.written("report"))
                self.page = options.report
            services = Services(options, self.environ, stdin, console, SystemClock(report.raise_if_signalled))
            with closing(services):
                self.is_shown = dispatch(options, services, report)
        except ToolError as error:
            report.fail(error)
        except SystemExit:  # --help and --version have been printed
            self.is_shown = False
        except Exception as error:  # noqa: BLE001 - the last resort: a bug gets its own exit code and no traceback
            report.raise_if_signalled()  # a signal within an import comes out as that import's error
            report.fail(_bug(error, console))

    def write_export(self, console: Console) -> None:
        """Write the outcome where that was asked for. Where that fails, what was triggered is told all the same."""
        if self.exported is None:
            return
        from deploystep.render.exports import lines  # noqa: PLC0415 - few ask for it

        try:
            self.exported.append(lines(self.report))
        except ToolError as error:
            if self.report.exit.is_result:
                self.report.fail(error)
            else:
                console.warning(error.message)

    def hand_over(self, gated: Gated) -> None:
        """Execute the command of `gate` in the place of this process; where that fails, the report says why."""
        from deploystep.adapters.execute import become, environment  # noqa: PLC0415 - few commands execute one

        try:
            become(gated.path, gated.command, environment(self.environ, gated.variables), self.ignored)
        except ToolError as error:
            self.report.fail(error)


def _show(report: Report, console: Console, style: text.Style, form: str) -> None:
    if form == "json":
        from deploystep.render import document  # noqa: PLC0415 - most people read

        result = document.render(report)
    elif form != "text":
        from deploystep.render.findings import RENDERERS  # noqa: PLC0415 - as above

        result = RENDERERS[form](report, partial(from_root, folder=HERE))
    elif report.matrix is not None:
        from deploystep.render.matrix import table  # noqa: PLC0415 - as above

        result = table(report.matrix, style)
    else:
        result = text.result(report, style)
    if result and report.gated is not None and report.gated.command and form != "json":
        console.problem(result)  # stdout is the command's
    elif result:
        console.result(result)
    failure = text.failure(report, style)
    if failure:
        console.problem(failure)


def _write_page(report: Report, path: str, console: Console) -> None:
    """Write the page of a run. All of it has been told by now, so a fault here is a warning."""
    from deploystep.render.pages import run_page  # noqa: PLC0415 - for who asks

    try:
        write_text(Path(path), run_page(report, console.masked), "--report")
    except Exception as error:  # noqa: BLE001 - the exit code tells what became of the deploy, and of nothing else
        console.warning(f"the page of this run is not written: {error}")


# Signals


def _catch_signals(report: Report) -> None:
    """From here on a signal is told. One that came while the process was starting has waited for this."""
    before, began, clock = sys.unraisablehook, 0.0, SystemClock()

    def hear(number: int, _frame: FrameType | None) -> None:
        nonlocal began
        is_alarm, is_lost = number == signal.SIGALRM, not _is_being_told()
        if is_lost and not is_alarm:
            report.signalled, began = _SIGNALS[signal.Signals(number)], clock.monotonic()
            signal.signal(signal.SIGALRM, hear)
            signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
        # what the first asks for is cut short by the next; the last line is written all the same
        is_urgent = clock.monotonic() - began >= (_LONGEST if is_alarm else _ONE)
        if is_lost or (report.is_cancelling and is_urgent):
            report.is_cancelling = False
            report.raise_if_signalled()

    def forget(ignored: "sys.UnraisableHookArgs") -> None:
        if not isinstance(ignored.exc_value, Interrupted):  # else a finalizer has swallowed it, and it is raised again
            before(ignored)

    sys.unraisablehook = forget
    for each in _SIGNALS:
        if each is not signal.SIGHUP or signal.getsignal(each) is not signal.SIG_IGN:  # nohup
            signal.signal(each, hear)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _is_being_told() -> bool:
    """Whether an interruption is on its way. One that was swallowed is not, and the next one must be heard."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, Interrupted):
        error = error.__context__
    return error is not None


def _ignore_signals() -> None:
    """From here on signals change nothing any more. One that has been caught still gets to its handler."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for each in (*_SIGNALS, signal.SIGALRM):
        signal.signal(each, _do_nothing)  # to ignore it outright would make Python complain of one that was caught


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """Handle a signal that comes too late."""


# Bugs


class _Bug(ToolError):
    """An exception that nobody foresaw."""

    exit = ExitCode.BUG


def _bug(error: Exception, console: Console) -> _Bug:
    """The error, with the whole traceback in a file of its own: it can be long, and stderr is for the next step."""
    import traceback  # noqa: PLC0415 - there should be none

    from deploystep.adapters.files import write_temporary  # noqa: PLC0415 - as above

    frame = traceback.extract_tb(error.__traceback__)[-1]
    whole = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    path = write_temporary("deploystep-bug-", console.masked(whole))
    return _Bug(
        "bug",
        f"this is a bug in deploystep: {type(error).__name__} in {frame.name}, line {frame.lineno}: {error}",
        "look whether anything was triggered before you run it again",
        *((f"please report it with the traceback in {path}",) if path else ()),
    )
