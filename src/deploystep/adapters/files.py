"""The user's files: bytes to text, and each way in which that can fail."""

import errno
import os
import stat
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final

from deploystep.app.options import RULES
from deploystep.core.errors import EnvironmentInvalid, RuleFileInvalid, UsageError
from deploystep.core.source import Diagnostic, Pos, SourceFile, Span
from deploystep.core.text import shown

LARGEST: Final = 1024 * 1024
LARGEST_FACTS: Final = 64 * 1024 * 1024
_LARGEST_SCRIPT: Final = 64 * 1024  # that is looked through for this step
_STANDARD_INPUT: Final = "-"


def up_to_root(folder: Path) -> tuple[str, ...] | None:
    """What to write before a path for this folder and each above it, up to the root of the clone: an empty text, `../`.

    None where no clone holds the folder. Raises EnvironmentInvalid where the current folder is deleted.
    """
    try:
        here = folder.absolute()
    except FileNotFoundError:
        what = "the folder that this step runs in is deleted"
        raise EnvironmentInvalid("no-folder", what, "go to the clone:  cd  before this step's command") from None
    for depth, place in enumerate((here, *here.parents)):
        if _is_there(place / ".git"):
            return tuple("../" * above for above in range(depth + 1))
    return None


def _is_there(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - unlike Path.exists it raises nothing where a folder may not be read


def nearest(path: str, folder: Path) -> str:
    """The path of the first such file in this folder or above it, as git looks for its own; else as it was given."""
    places = up_to_root(folder) or ()
    return next((found for place in places if _is_there(folder / (found := f"{place}{path}"))), path)


def from_root(path: str, folder: Path) -> str:
    """A path as it is from the root of the clone; from that of the system where it is in no clone."""
    places = up_to_root(folder) or ("",)
    root, whole = (Path(os.path.normpath(folder.absolute() / each)) for each in (places[-1], path))
    return (whole.relative_to(root) if whole.is_relative_to(root) else whole).as_posix()


def read_rules(path: str, folder: Path) -> SourceFile:
    """The rule file. Raises RuleFileInvalid where it is missing, too big or not UTF-8."""
    try:
        if leads_out(path, folder):
            hint = "a link must lead to a file of this repository: lines of the file are shown in messages"
            raise unreadable(path, f"the rule file {path} is a link that leads out of this repository", hint)
        return decoded(path, _read(folder / path))
    except FileNotFoundError:
        raise _no_rules(path, folder) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        raise unreadable(
            path, f"cannot read the rule file {path}: {reason}", "name a readable file with --rules FILE"
        ) from None


def _no_rules(path: str, folder: Path) -> RuleFileInvalid:
    """The error that says that there is no rule file, and where one was looked for."""
    places, here = up_to_root(folder), folder.absolute()
    if places is None:
        where, hint = f"in {here}, which is in no git clone", "is there a checkout step before this one?"
    else:
        root = (here, *here.parents)[len(places) - 1]
        above = f"or above it, up to {root}, " if root != here and path == RULES else ""
        where = f"in {here}{' ' if above else ', ' if root == here else ''}{above}"
        where += "the root of the repository" if above or root == here else ""
        hint = "write one with  deploystep init , or name it with  --rules FILE"
    return unreadable(path, f"there is no rule file {path} {where}", hint)


def leads_out(path: str, folder: Path) -> bool:
    """Whether a path in the repository leads out of it, or into `.git`; one that is written as outside may be anything.

    Whoever can commit a link could have lines of another file shown, such as one that holds a token.
    """
    here = Path(os.path.realpath(folder))
    root = next((each for each in (here, *here.parents) if _is_there(each / ".git")), here)
    written = Path(os.path.normpath(here / path))
    real = Path(os.path.realpath(written))
    return root in written.parents and (root not in real.parents or real.is_relative_to(root / ".git"))


def _read(path: Path) -> bytes:
    """At most the bytes of the largest rule file, and one more. Raises OSError, also where it is no regular file.

    A terminal, a pipe or a device could be waited for, or read, for ever.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return file.read(LARGEST + 1)


def unreadable(path: str, message: str, hint: str) -> RuleFileInvalid:
    """The error that says that no text could be read from a file."""
    where = Diagnostic("E001", message, Span(Pos(1, 1)), hint)
    return RuleFileInvalid("rules-unreadable", message, hint, source=SourceFile(path, ""), diagnostics=(where,))


def decoded(path: str, data: bytes, most: int = LARGEST) -> SourceFile:
    """Bytes as UTF-8 text. Raises RuleFileInvalid where they are not, at the first wrong byte."""
    if len(data) > most:
        raise unreadable(path, f"{path} is larger than {most >> 20} MiB", "is this the right file?")
    try:
        return SourceFile(path, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return _raise_not_utf8(path, data, error.start)


def _raise_not_utf8(path: str, data: bytes, offset: int) -> SourceFile:
    before = data[:offset].decode("utf-8-sig", "replace")
    place = Pos(before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)
    where = Diagnostic("E001", f"byte 0x{data[offset]:02x} is not UTF-8", Span(place), "save the file as UTF-8")
    source = SourceFile(path, data.decode("utf-8-sig", "replace"))
    raise RuleFileInvalid("rules-unreadable", f"{path} is not UTF-8 text", source=source, diagnostics=(where,))


def read_given(path: str, folder: Path, standard_input: BinaryIO) -> SourceFile:
    """The file that `--given` names; `-` is standard input."""
    if path == _STANDARD_INPUT:
        return decoded("standard input", standard_input.read(LARGEST_FACTS + 1), LARGEST_FACTS)
    return decoded(path, _bytes(path, folder, "--given", LARGEST_FACTS), LARGEST_FACTS)


def read_env_file(path: str, folder: Path) -> dict[str, str]:
    """Lines `NAME=value` (also `export NAME=value`); blank lines and `#` comments are left out."""
    found: dict[str, str] = {}
    for number, raw in enumerate(_bytes(path, folder, "--env-file").decode("utf-8", "surrogateescape").splitlines(), 1):
        line = raw.strip().removeprefix("export ").strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip().isidentifier():
            raise UsageError("env-file", f"{path}:{number}: expected NAME=value", "one variable a line")
        value = value.strip()
        is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        found[name.strip()] = value[1:-1] if is_quoted else value
    return found


def _bytes(path: str, folder: Path, option: str, most: int = LARGEST) -> bytes:
    try:
        with (folder / path).open("rb") as file:  # `<(a command)` is none of the regular ones
            return file.read(most + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        raise UsageError("file-unreadable", f"{option}: cannot read {path}: {reason}", "name a readable file") from None


def read_config(path: str, folder: Path, *, is_named: bool) -> str | None:
    """A project's config as text; None where there is none and none was named."""
    if not is_named and not (folder / path).is_file():
        return None
    return _bytes(path, folder, "--config").decode("utf-8", "replace")


def repository_reader(folder: Path, files: Iterable[str] | None) -> Callable[[str], str | None]:
    """Reads files that git tracks, by their paths from the root of the clone; None for others and large ones.

    Where there is no clone (`files` is None), it reads what is in the folder.
    """
    tracked = None if files is None else frozenset(files)
    root = folder / (up_to_root(folder) or ("",))[-1]

    def read(path: str) -> str | None:
        is_here = ".." not in path and not path.startswith("/") and (root / path).is_file()
        if not (is_here if tracked is None else path in tracked):
            return None
        try:
            with (root / path).open("rb") as file:
                data = file.read(_LARGEST_SCRIPT + 1)
        except OSError:
            return None
        return data.decode("utf-8", "replace") if len(data) <= _LARGEST_SCRIPT else None

    return lru_cache(read)


def write_text(path: Path, text: str, option: str) -> None:
    """Write a file that the user asked for, with the folders on the way."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        raise UsageError("file-unwritable", f"{option}: cannot write {path}: {reason}", "name another file") from None


class Appended:
    """A file that the user asked for, opened before anything is done that could be lost. Raises UsageError."""

    def __init__(self, path: str, option: str) -> None:
        self._path, self._option = path, option
        try:
            # a pipe that nobody reads is not waited for
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY | os.O_NONBLOCK, 0o666)
        except (OSError, ValueError) as error:
            raise self._unwritable(error) from None

    def append(self, text: str) -> None:
        """Add lines at the end. Raises UsageError."""
        try:
            # a last line without an end must not run into ours
            data = ("\n" * bool(os.fstat(self._file).st_size) + text).encode("utf-8", "replace")
            while data:
                data = data[os.write(self._file, data) :]
            os.close(self._file)
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError | ValueError) -> UsageError:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        what = f"{self._option}: cannot write {shown(self._path)}: {reason}"
        return UsageError("file-unwritable", what, 'name another file, for example  --export "$BASH_ENV"')


def create_text(path: str, folder: Path, text: str, option: str) -> None:
    """Write a file that is not there yet, with the folders on the way, and through no link out of the repository."""
    if leads_out(path, folder):
        what = f"{option}: {path} is a link that leads out of this repository"
        raise UsageError("file-unwritable", what, "replace the link by a folder or a file of this repository")
    file_path = folder / path
    try:
        file_path.parent.mkdir(parents=True, exist_ok=True)
        with file_path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        hint = "see what is wrong with it by  deploystep check , or write another one with  --rules FILE"
        raise UsageError("file-exists", f"{path} is there already, and is not overwritten", hint) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        raise UsageError("file-unwritable", f"{option}: cannot write {path}: {reason}", "name another file") from None


def write_temporary(prefix: str, text: str) -> str | None:
    """Write a new file that only this user can read, where temporary files go; its path, or None where it cannot be."""
    import tempfile  # noqa: PLC0415 - for bugs, of which there should be none

    try:
        handle, path = tempfile.mkstemp(".txt", prefix)
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:
        return None
    return path
