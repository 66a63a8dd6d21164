"""The process: `python -m deploystep` and the console script."""

import gc
import io
import os
import sys

from deploystep.core.nodes import NOT_EXECUTED, other_node

RARELY = 100_000  # modules are no garbage, and a run is over before there is any worth looking for


def main() -> int:
    """Run the command line of this process and give its exit code."""
    arguments = sys.argv[1:]
    out, err = sys.stdout or io.StringIO(), sys.stderr or io.StringIO()  # None where the caller has closed them
    words = other_node(os.environ) if arguments[:1] in (["run"], ["gate"]) else None
    executes = arguments[:1] == ["gate"] and "--" in arguments
    own = arguments[: arguments.index("--")] if executes else arguments
    is_more = any(word.startswith(("--json", "-h", "--help", "--export", "--report")) for word in own)
    is_more |= any(os.environ.get(f"DEPLOYSTEP_{name}") for name in ("JSON", "EXPORT", "REPORT"))
    if words is not None and not is_more:
        stream = err if executes else out
        try:
            stream.write(words + NOT_EXECUTED * executes + "\n")
            stream.flush()
        except OSError:  # nobody reads it, or the disk is full: the exit code still tells
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # or Python would try once more, and fail
        return 0 if executes or own[0] == "run" else 20  # not-due, of `core.errors`
    gc.set_threshold(RARELY)
    import signal  # noqa: PLC0415 - what follows costs time, and most nodes of a build end here

    # a signal that comes now waits until there is somebody to tell what it interrupted
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    from deploystep.cli.main import main as command_line  # noqa: PLC0415 - as above

    code = command_line(arguments, os.environ, sys.stdin or io.StringIO(), out, err)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # while Python ends, nothing can change the code any more
    gc.freeze()  # what is left ends with the process, and is not looked through once more
    return code


if __name__ == "__main__":
    sys.exit(main())
