"""Where the branches and tags of the clone's `origin` are now: `git ls-remote`, with the caller's own ways to it."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deploystep.adapters.git import GitRepository, first_error_line
from deploystep.app.ports import Head
from deploystep.core.build import Branch, Tag

TIMEOUT: Final = 30.0
#: How the caller reaches the remote; CircleCI's checkout step can set these.
_WAYS: Final = ("GIT_SSH_COMMAND", "GIT_SSH")
_NONE: Final = 2  # git ls-remote --exit-code: no such ref


class GitRemote:
    """The `origin` of the clone that holds `folder`; it has `timeout` seconds to answer."""

    def __init__(self, folder: Path, environ: Mapping[str, str], timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._repository = GitRepository(folder, environ)
        self._ways = {name: environ[name] for name in _WAYS if environ.get(name)}

    def head(self, ref: Branch | Tag) -> Head:
        """Where a branch or tag is; a tag's commit, not the tag object."""
        names = _names(ref)
        try:
            said = self._repository.ask(
                ("ls-remote", "--exit-code", "origin", *names), timeout=self._timeout, more=self._ways, is_apart=True
            )
        except subprocess.TimeoutExpired:
            return Head(None, f"no answer within {self._timeout:.0f} s")
        if said is None:
            return Head(None, "git cannot be run here")
        if said.returncode not in (0, _NONE):
            return Head(None, first_error_line(said) or "git does not answer")
        lines = (line.partition("\t") for line in said.stdout.decode("utf-8", "replace").splitlines())
        found = {name: revision for revision, _, name in lines}
        return Head(next((found[name] for name in names if name in found), None))

    def contains(self, revision: str, other: str) -> bool:
        """Whether `other` is an ancestor of `revision`, as far as the clone knows."""
        said = self._repository.run("merge-base", "--is-ancestor", other, revision)
        return said is not None and said.returncode == 0


def _names(ref: Branch | Tag) -> tuple[str, ...]:
    """The full names under which a ref is listed, the best first."""
    if isinstance(ref, Tag):
        return f"refs/tags/{ref.name}^{{}}", f"refs/tags/{ref.name}"
    if ref.name.startswith("pull/"):  # a pull request of GitHub's: `pull/7`, and for the API `pull/7/head`
        name = ref.name if ref.name.count("/") > 1 else f"{ref.name}/head"
        return f"refs/{name}", f"refs/heads/{ref.name}"
    return (f"refs/heads/{ref.name}",)
