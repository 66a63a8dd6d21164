"""Gives this process to a command: the same process id, streams and signals, so that nothing stands between."""

import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from deploystep.core.errors import NotExecutable, NotFound
from deploystep.core.source import shown

_TOLD: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def executable(program: str, environ: Mapping[str, str]) -> str:
    """The path of a program, found as a shell finds it. Raises NotFound or NotExecutable."""
    found = shutil.which(program, path=environ.get("PATH", os.defpath))
    if found is not None:
        return found
    if "/" in program and os.path.lexists(program):
        why = "it is a folder" if Path(program).is_dir() else "it may not be executed"
        what = f"cannot execute {shown(program)}: {why}"
        raise NotExecutable("command-not-executable", what, f"make it executable:  chmod +x {program}")
    where = "there is no such file" if "/" in program else "it is in no folder of PATH"
    hint = "a command of the shell needs one:  deploystep gate RULE -- bash -eo pipefail -c '…'"
    raise NotFound("command-not-found", f"cannot execute {shown(program)}: {where}", hint)


def become(path: str, command: Sequence[str], environ: Mapping[str, str], ignored: frozenset[int]) -> NoReturn:
    """Execute the command in the place of this process. Raises NotExecutable or NotFound where the system refuses."""
    # signals do as by default, but those that were ignored when this process began; one that waits ends it now
    for number in (signal.SIGPIPE, signal.SIGXFSZ, *_TOLD):  # Python ignores the first two from its start
        signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _TOLD)
    try:
        os.execve(path, list(command), environ)  # noqa: S606 - no shell: the command is executed as it is written
    except OSError as error:
        begins = "a script begins with the line that names its interpreter, such as  #!/bin/sh"
        if isinstance(error, FileNotFoundError) and os.path.lexists(path):
            what = f"cannot execute {shown(command[0])}: its interpreter is not there"
            raise NotFound("command-not-found", what, begins) from None
        what = f"cannot execute {shown(command[0])}: {error.strerror}"
        raise NotExecutable("command-not-executable", what, begins) from None


def environment(environ: Mapping[str, str], added: Mapping[str, str]) -> Mapping[str, str]:
    """The environment of the caller and what is added, without the parameters of another rule around this one."""
    own = {name: value for name, value in environ.items() if not name.startswith("DEPLOYSTEP_PARAM_")}
    # Python sets LC_CTYPE for itself where no locale is set (PEP 538)
    with suppress(OSError):
        if b"\0LC_CTYPE=" not in b"\0" + Path("/proc/self/environ").read_bytes():
            own.pop("LC_CTYPE", None)
    return {**own, **added}
