"""The user's files: bytes to text, and each way in which that can fail."""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final

from deploystep.app.options import RULES
from deploystep.core.errors import EnvironmentInvalid, RuleFileInvalid, UsageError
from deploystep.core.source import Diagnostic, Pos, SourceFile, Span, visible

LARGEST: Final = 1024 * 1024


def _root_of(folder: Path) -> Path | None:
    # unlike Path.exists this raises nothing where a folder may not be read
    return next((each for each in (folder, *folder.parents) if os.path.exists(each / ".git")), None)  # noqa: PTH110


def up_to_root(folder: Path) -> tuple[str, ...] | None:
    """What to write before a path for this folder and those above it, up to the clone's root; None outside a clone."""
    try:
        here = folder.absolute()
    except FileNotFoundError:
        what = "the folder that this step runs in is deleted"
        raise EnvironmentInvalid("no-folder", what, "go to the clone:  cd  before this step's command") from None
    root = _root_of(here)
    return tuple("../" * above for above in range(len(here.parts) - len(root.parts) + 1)) if root else None


def nearest(path: str, folder: Path) -> str:
    """The path of the first such file in this folder or above it, as git looks for its own; else as it was given."""
    found = (f"{place}{path}" for place in up_to_root(folder) or ())
    return next((each for each in found if os.path.exists(folder / each)), path)  # noqa: PTH110 - as above


def from_root(path: str, folder: Path) -> str:
    """A path as it is from the root of the clone; from that of the system where it is in no clone."""
    here = folder.absolute()
    root, whole = _root_of(here) or here, Path(os.path.normpath(here / path))
    return (whole.relative_to(root) if whole.is_relative_to(root) else whole).as_posix()


def leads_out(path: str, folder: Path) -> bool:
    """Whether a path in the repository leads out of it, or into `.git`; one that is written as outside may do so."""
    # whoever can commit a link could have lines of another file shown, such as one that holds a token
    here = Path(os.path.realpath(folder))
    root, written = _root_of(here) or here, Path(os.path.normpath(here / path))
    real = Path(os.path.realpath(written))
    return root in written.parents and (root not in real.parents or real.is_relative_to(root / ".git"))


def read_rules(path: str, folder: Path) -> SourceFile:
    """The rule file. Raises RuleFileInvalid where it is missing, too big or not UTF-8."""
    try:
        if leads_out(path, folder):
            hint = "a link must lead to a file of this repository: lines of the file are shown in messages"
            raise unreadable(path, f"the rule file {path} is a link that leads out of this repository", hint)
        # a terminal, a pipe or a device could be waited for, or read, for ever
        with os.fdopen(os.open(folder / path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "not a regular file")  # noqa: TRY301 - it is told like all others
            return decoded(path, file.read(LARGEST + 1))
    except FileNotFoundError:
        where, hint = ", which is in no git clone", "is there a checkout step before this one?"
        if places := up_to_root(folder):
            where = " or above it in this clone" if places[-1] and path == RULES else ""
            hint = "write one with  deploystep init , or name it with  --rules FILE"
        raise unreadable(path, f"there is no rule file {path} in {folder.absolute()}{where}", hint) from None
    except (OSError, ValueError) as error:
        hint = "name a readable file with --rules FILE"
        raise unreadable(path, f"cannot read the rule file {path}: {_why(error)}", hint) from None


def unreadable(path: str, message: str, hint: str, place: Pos = Pos(1, 1)) -> RuleFileInvalid:  # noqa: B008
    """The error that says that no text could be read from a file."""
    where = Diagnostic("E001", message, Span(place), hint)
    return RuleFileInvalid("rules-unreadable", message, hint, source=SourceFile(path, ""), diagnostics=(where,))


def decoded(path: str, data: bytes, most: int = LARGEST) -> SourceFile:
    """Bytes as UTF-8 text. Raises RuleFileInvalid where they are not, or too long."""
    if len(data) > most:
        raise unreadable(path, f"{path} is larger than {most >> 20} MiB", "is this the right file?")
    try:
        return SourceFile(path, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        lines = error.object[: error.start].decode().split("\n")  # without a byte order mark
        what = f"{path} is not UTF-8 text: byte 0x{error.object[error.start]:02x}"
        raise unreadable(path, what, "save the file as UTF-8", Pos(len(lines), len(lines[-1]) + 1)) from None


def read_bytes(path: str, folder: Path, what: str, most: int = LARGEST) -> bytes:
    """A file that the user named; one byte more than `most` tells that it is larger. Raises UsageError."""
    try:
        with (folder / path).open("rb") as file:  # `<(a command)` is none of the regular ones
            return file.read(most + 1)
    except (OSError, ValueError) as error:
        raise UsageError("file-unreadable", f"{what} {path}: {_why(error)}", "name a readable file") from None


def read_given(path: str, folder: Path, standard_input: BinaryIO) -> SourceFile:
    """The file that `--given` names; `-` is standard input."""
    most = 64 * LARGEST
    if path == "-":
        return decoded("standard input", standard_input.read(most + 1), most)
    return decoded(path, read_bytes(path, folder, "--given: cannot read", most), most)


def read_env_file(path: str, folder: Path) -> dict[str, str]:
    """Lines `NAME=value` (also `export NAME=value`); blank lines and `#` comments are left out."""
    found: dict[str, str] = {}
    text = read_bytes(path, folder, "--env-file: cannot read").decode("utf-8", "surrogateescape")
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip().removeprefix("export ").strip()
        name, equals, value = map(str.strip, line.partition("="))
        if not line or line.startswith("#"):
            continue
        if not equals or not name.isidentifier():
            raise UsageError("env-file", f"{path}:{number}: expected NAME=value", "one variable a line")
        found[name] = value[1:-1] if len(value) > 1 and value[0] == value[-1] in "'\"" else value
    return found


def read_config(path: str, folder: Path, *, is_named: bool) -> str | None:
    """A project's config as text; None where there is none and none was named."""
    if not is_named and not (folder / path).is_file():
        return None
    return read_bytes(path, folder, "--config: cannot read").decode("utf-8", "replace")


def repository_reader(
    folder: Path, files: Iterable[str] | None = None, most: int = 64 * 1024
) -> Callable[[str], str | None]:
    """Reads files (only `files`) by their paths from the root of the clone; None for links out of it and large ones."""
    tracked, root = None if files is None else frozenset(files), (_root_of(folder.absolute()) or folder).resolve()

    def read(path: str) -> str | None:
        with suppress(OSError, ValueError, RuntimeError):
            real = (root / path).resolve()
            is_its = real.is_relative_to(root) and real.is_file() and (tracked is None or path in tracked)
            return real.read_text("utf-8", "replace") if is_its and real.stat().st_size <= most else None
        return None

    return lru_cache(read)


def write_text(path: Path, text: str, option: str, mode: str = "w") -> None:
    """Write a file that the user asked for, with the folders on the way. Raises UsageError."""
    with _unwritable(str(path), option):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)


def create_text(path: str, folder: Path, text: str, option: str) -> None:
    """Write a file that is not there yet, with the folders on the way, and through no link out of the repository."""
    if leads_out(path, folder):
        what = f"{option}: {path} is a link that leads out of this repository"
        raise UsageError("file-unwritable", what, "replace the link by a folder or a file of this repository")
    if os.path.lexists(folder / path):
        hint = "see what is wrong with it by  deploystep check , or write another one with  --rules FILE"
        raise UsageError("file-exists", f"{path} is there already, and is not overwritten", hint)
    write_text(folder / path, text, option, "x")


def appender(path: str, option: str) -> Callable[[str], None]:
    """What adds lines at the end of a file, which is opened before anything is done that could be lost."""
    # it stays open: who reads from a pipe has left once it was closed
    with _unwritable(path, option):
        # a pipe that nobody reads is not waited for
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY | os.O_NONBLOCK, 0o666)

    def append(text: str) -> None:
        with _unwritable(path, option):
            # a last line without an end must not run into ours
            data = ("\n" * bool(os.fstat(file).st_size) + text).encode("utf-8", "replace")
            while data:
                data = data[os.write(file, data) :]
            os.close(file)

    return append


@contextmanager
def _unwritable(path: str, option: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        what = f"{option}: cannot write {visible(path) or repr(path)}: {_why(error)}"
        raise UsageError("file-unwritable", what, "name another file") from None


def _why(error: OSError | ValueError) -> str:
    return str(error.strerror) if isinstance(error, OSError) else "not a file name"
