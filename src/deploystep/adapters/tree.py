"""The configs, scripts and rule file of a project on disk, read for a migration and written back."""

import os
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Final

from deploystep.adapters.files import decoded, leads_out, up_to_root
from deploystep.adapters.git import GitRepository
from deploystep.app.options import RULES
from deploystep.core.build import ProjectSlug, Repository
from deploystep.core.errors import UsageError
from deploystep.core.source import SourceFile

_LARGEST: Final = 4 * 1024 * 1024
_BOM: Final = b"\xef\xbb\xbf"


class ProjectTree:
    """The project that the named files or folders are of; without any, that of this folder."""

    def __init__(self, folder: Path, paths: tuple[str, ...], rules: str, git: GitRepository) -> None:
        self._folder = folder
        self._paths = paths
        self._rules = rules
        self._git = git.at(folder / self._root)
        self._marks: dict[str, bytes] = {}

    @cached_property
    def _found(self) -> list[str]:
        """Paths of the configs, as they are shown."""
        found: list[Path] = []
        for text in self._paths or (str(self._root),):
            path = Path(text)
            if (self._folder / path).is_file():
                found.append(path)
                continue
            places = [path / ".circleci", path] if (self._folder / path / ".circleci").is_dir() else [path]
            inner = [
                Path(os.path.normpath(place / each.name))
                for place in places
                for each in sorted((self._folder / place).glob("*.y*ml"))
                if each.is_file() and (place != path or len(places) == 1 or each.name == "circle.yml")
            ]
            if not inner:
                what = f"there is no config in {path}" if self._paths else "there is no .circleci/config.yml here"
                raise UsageError("no-config", what, "name a config, or a folder that holds .circleci")
            found += inner
        return list(dict.fromkeys(map(str, found)))

    @cached_property
    def _root(self) -> Path:
        """The root of the project, from this folder."""
        return self._root_of(self._paths[0] if self._paths else "")

    def _root_of(self, path: str) -> Path:
        first = Path(path)
        start = first if (self._folder / first).is_dir() else first.parent
        places = up_to_root(self._folder / start)
        if places is not None:
            return Path(os.path.normpath(start / places[-1]))
        return start.parent if start.name == ".circleci" else start

    @property
    def rule_path(self) -> str:
        """Where the rule file is, or will be."""
        return str(self._root / RULES) if self._rules == RULES else self._rules

    @cached_property
    def own(self) -> ProjectSlug | None:
        """The project, where the clone's origin tells it."""
        remote = Repository.parse(self._git.describe().get("CIRCLE_REPOSITORY_URL"))
        return ProjectSlug.parse(f"{remote.vcs}/{remote.path}") if remote else None

    def configs(self) -> list[SourceFile]:
        """The configs, without the rule file. Raises UsageError where there are none or one cannot be read."""
        return [self._source(path) for path in self._found if path != os.path.normpath(self.rule_path)]

    def rule_file(self) -> SourceFile | None:
        """The rule file, where there is one."""
        return self._source(self.rule_path) if (self._folder / self.rule_path).exists() else None

    def _source(self, path: str) -> SourceFile:
        try:
            with (self._folder / path).open("rb") as file:
                data = file.read(_LARGEST + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a file name"
            raise UsageError("file-unreadable", f"cannot read {path}: {reason}", "name a readable file") from None
        self._marks[path] = _BOM if data.startswith(_BOM) else b""
        return decoded(path, data, _LARGEST)

    def read(self, path: str) -> str | None:
        """A file of the project by its path from the root; None for others, for links that lead out, and large ones."""
        try:
            root = (self._folder / self._root).resolve()
            real = (root / path).resolve()
            if not real.is_relative_to(root) or not real.is_file() or real.stat().st_size > _LARGEST:
                return None
            return real.read_text("utf-8", "replace")
        except (OSError, ValueError, RuntimeError):
            return None

    def must_be_writable(self, paths: Iterable[str]) -> None:
        """Raises UsageError where a file is not of this project alone, or a link leads out of its repository."""
        first = self._paths[0] if self._paths else ""
        roots = {path: (self._folder / self._root_of(path)).resolve() for path in self._paths[1:]}
        other = next((p for p, root in roots.items() if root != (self._folder / self._root).resolve()), None)
        if other is not None:
            what = f"--write: {first} and {other} are of different projects"
            raise UsageError("two-projects", what, "write one after the other")
        for path in paths:
            if leads_out(self._from_root(path), self._folder / self._root):
                what = f"--write: {path} is a link that leads out of this repository"
                raise UsageError("file-unwritable", what, "migrate the repository that the file belongs to")

    def _from_root(self, path: str) -> str:
        return os.path.relpath(self._folder / path, self._folder / self._root)

    def uncommitted(self, paths: Iterable[str]) -> str | None:
        """The first file that is not as it is committed, empty where all are; None outside a clone.

        `git status` does not tell of files that are ignored, or that the index says to be unchanged.
        """
        inside = self._git.run("rev-parse", "--is-inside-work-tree")
        if inside is None or inside.returncode != 0:
            return None
        root = (self._folder / self._root).resolve()
        for path in paths:
            real = (self._folder / path).resolve()
            if real.exists():
                name = os.path.relpath(real, root)
                old = self._git.run("rev-parse", "--verify", f"HEAD:./{name}")
                new = self._git.run("hash-object", "--", name)
                if old is None or new is None or old.returncode or new.returncode or old.stdout != new.stdout:
                    return path
        return ""

    def replace(self, texts: dict[str, str]) -> None:
        """Write files: all of them beside the old ones, then in their places. Raises UsageError."""
        made: list[tuple[Path, Path]] = []
        path = ""
        try:
            for path, text in texts.items():
                real = (self._folder / path).resolve()
                real.parent.mkdir(parents=True, exist_ok=True)
                beside = real.with_name(f".{real.name}.deploystep-new")
                beside.unlink(missing_ok=True)  # left over where this process was killed
                made.append((beside, real))
                with beside.open("xb") as file:
                    file.write(self._marks.get(path, b"") + text.encode("utf-8"))
                    file.flush()
                    os.fsync(file.fileno())
                if real.exists():
                    beside.chmod(real.stat().st_mode & 0o7777)
            for beside, real in made:
                beside.replace(real)
        except OSError as error:
            what = f"cannot write {path}: {error.strerror}"
            raise UsageError(
                "file-unwritable", what, "make the folder writable, or see the changes with --diff"
            ) from None
        finally:
            for beside, _ in made:
                with suppress(OSError):
                    beside.unlink(missing_ok=True)
