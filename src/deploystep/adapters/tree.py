"""The configs, scripts and rule file of a project on disk, read for a migration and written back."""

import codecs
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from deploystep.adapters.files import decoded, leads_out, read_bytes, repository_reader, up_to_root
from deploystep.adapters.git import GitRepository
from deploystep.app.options import RULES
from deploystep.core.build import ProjectSlug, Repository
from deploystep.core.errors import UsageError
from deploystep.core.source import SourceFile

_LARGEST: Final = 4 * 1024 * 1024


class ProjectTree:
    """The project that the named files or folders are of; without any, that of this folder."""

    def __init__(self, folder: Path, paths: tuple[str, ...], rules: str, git: GitRepository) -> None:
        self._folder, self._paths = folder, paths
        self._root = self._root_of(paths[0] if paths else "")
        self._git = GitRepository(folder / self._root, git.environ)
        self.read = repository_reader(folder / self._root, most=_LARGEST)
        self._marks: dict[str, bytes] = {}
        self.rule_path = str(self._root / RULES) if rules == RULES else rules
        remote = Repository.parse(self._git.describe().get("CIRCLE_REPOSITORY_URL"))
        self.own = ProjectSlug.parse(f"{remote.vcs}/{remote.path}") if remote else None

    def _root_of(self, path: str) -> Path:
        start = Path(path) if (self._folder / path).is_dir() else Path(path).parent
        places = up_to_root(self._folder / start)
        if places is not None:
            return Path(os.path.normpath(start / places[-1]))
        return start.parent if start.name == ".circleci" else start

    def configs(self) -> list[SourceFile]:
        """The configs, without the rule file. Raises UsageError where there are none or one cannot be read."""
        found: list[str] = []
        for path in map(Path, self._paths or (str(self._root),)):
            named = path / ".circleci" if (self._folder / path / ".circleci").is_dir() else path
            files = sorted((self._folder / named).glob("*.y*ml"))
            inner = [os.path.normpath(named / each.name) for each in files if each.is_file()]
            inner = [str(path)] if (self._folder / path).is_file() else inner
            if not inner:
                what = f"there is no config in {path}" if self._paths else "there is no .circleci/config.yml here"
                raise UsageError("no-config", what, "name a config, or a folder that holds .circleci")
            found += inner
        return [self._source(path) for path in dict.fromkeys(found) if path != os.path.normpath(self.rule_path)]

    def rule_file(self) -> SourceFile | None:
        return self._source(self.rule_path) if (self._folder / self.rule_path).exists() else None

    def _source(self, path: str) -> SourceFile:
        data = read_bytes(path, self._folder, "cannot read", _LARGEST)
        self._marks[path] = data[:3] if data.startswith(codecs.BOM_UTF8) else b""
        return decoded(path, data, _LARGEST)

    def write(self, texts: dict[str, str], *, is_forced: bool) -> None:
        """Write files. Raises UsageError where one is of another project, or, unless forced, is not committed."""
        here = self._folder / self._root
        root = here.resolve()
        for path in self._paths[1:]:
            if (self._folder / self._root_of(path)).resolve() != root:
                what = f"--write: {self._paths[0]} and {path} are of different projects"
                raise UsageError("two-projects", what, "write one after the other")
        for path in texts:
            if leads_out(os.path.relpath(self._folder / path, here), here):
                what = f"--write: {path} is a link that leads out of this repository"
                raise UsageError("file-unwritable", what, "migrate the repository that the file belongs to")
        if not is_forced and self._git.run("rev-parse", "--is-inside-work-tree").returncode != 0:
            what = "--write: git does not keep these files"
            raise UsageError("work-tree", what, "run it in a clone, or give  --force")
        for path in () if is_forced else texts:
            real = (self._folder / path).resolve()
            name = os.path.relpath(real, root)
            # `git status` does not tell of files that are ignored, or that the index says to be unchanged
            said = [self._git.run("rev-parse", "--verify", f"HEAD:./{name}"), self._git.run("hash-object", "--", name)]
            is_committed = said[0].stdout == said[1].stdout and not any(each.returncode for each in said)
            if real.exists() and not is_committed:
                hint = "commit or stash it, so that git can undo the changes, or give  --force"
                raise UsageError("work-tree", f"--write: {path} is not committed", hint)
        self._replace(texts)

    def _replace(self, texts: dict[str, str]) -> None:
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
            hint = "make the folder writable, or see the changes with --diff"
            raise UsageError("file-unwritable", f"cannot write {path}: {error.strerror}", hint) from None
        finally:
            for beside, _ in made:
                with suppress(OSError):
                    beside.unlink(missing_ok=True)
