"""Which changes the path-filtering orb sees in a history, and which a rule's `paths` do. For docs/compare.md.

The orb's part is written anew after its documentation and the script of its repository (CircleCI-Public/
path-filtering-orb, `src/scripts/create-parameters.py` at 50629c29), with git's own commands: the orb runs only in a job
of CircleCI.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from repos import Repo, new

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
MAPPING = re.compile(r"services/api/.*")
#: The deploy job moves the tag `deployed` to what it deployed.
API, DOCS = "services/api/app.py", "docs/index.md"
BEGUN = f"commit {API} {DOCS}; tag deployed"


class History(NamedTuple):
    """What was pushed: `script` is for `Repo.play` and ends in the clone of a build; `base` is the orb's."""

    what: str
    script: str
    on: str = "main"
    base: str = "main"


HISTORIES = (
    History("the first push of the repository", f"commit {API} {DOCS}; clone"),
    History("one commit to main, of the service", f"{BEGUN}; commit {API}; clone"),
    History("one commit to main, of the docs", f"{BEGUN}; commit {DOCS}; clone"),
    History(
        "two commits pushed to main at once, the first of the service",
        f"{BEGUN}; commit {API}; commit {DOCS}; clone",
    ),
    History(
        "a merge into main of a branch that changed the service",
        f"{BEGUN}; on topic; commit {API}; commit {DOCS}; on main; commit README.md; merge topic; clone",
    ),
    History(
        "a force push to main, without a commit of the service that was deployed",
        f"{BEGUN}; commit {API}; tag --force deployed; reset -q --hard HEAD~1; commit {DOCS}; clone",
    ),
    History("the service's file moved elsewhere, on main", f"{BEGUN}; mv {API} services/app.py; commit; clone"),
    History("one commit to main, of the docs, in a clone of depth 1", f"{BEGUN}; commit {DOCS}; clone --depth=1"),
    History(
        "the first push of a branch, whose first commit is of the service",
        f"{BEGUN}; on topic; commit {API}; commit {DOCS}; clone --branch topic",
        on="topic",
    ),
    History(
        "a force push of that branch, without its commit of the service",
        f"{BEGUN}; on topic; commit {API}; reset -q --hard HEAD~1; commit {DOCS}; clone --branch topic",
        on="topic",
    ),
    History(
        "a branch whose base branch `develop` was deleted",
        f"{BEGUN}; on develop; commit {DOCS}; on topic; commit {API}; branch -qD develop; clone --branch topic",
        on="topic",
        base="develop",
    ),
)


def rows() -> Iterator[tuple[str, ...]]:
    """A row for each history: what the orb sets, and what a rule says by each of two `since`."""
    for history in HISTORIES:
        with tempfile.TemporaryDirectory() as name:
            build = new(Path(name) / "origin").play(history.script)
            since = "previous-commit" if history.on == "main" else "merge-base"
            told = (ruled(build, history, since), ruled(build, history, "{ref: deployed}"))
            yield history.what, filtered(build, history), f"`{since}`: {told[0]}", told[1]


def filtered(build: Repo, history: History) -> str:
    """What path-filtering sets for the mapping `services/api/.* api true`."""
    head = build.head
    try:
        for revision in (history.base, head):
            build.git("checkout", "--quiet", revision)
        base = build.git("merge-base", history.base, head)
    except subprocess.CalledProcessError as error:
        return f"the job fails: {error.stderr.decode().splitlines()[0]}"
    finally:
        build.git("checkout", "--quiet", head)
    if base == head:
        try:
            base = build.git("rev-parse", "--verify", "--quiet", "HEAD~1")
        except subprocess.CalledProcessError:
            base = EMPTY_TREE
    changed = build.git("diff", "--name-only", base, head).splitlines()
    return "`api: true`" if any(MAPPING.fullmatch(path) for path in changed) else "nothing"


def ruled(build: Repo, history: History, since: str) -> str:
    """What `deploystep plan` says of a rule with `paths: {only: services/api/**}` and this `since`."""
    rules = (
        f"version: 1\ndefault_branch: {history.base}\nrules:\n- name: api\n"
        f"  when: {{branch: {history.on}, paths: {{only: services/api/**, since: {since}}}}}\n"
        "  deploy: {workflow: deploy-api, parameters: {api: true}}\n"
    )
    command = [sys.executable, "-m", "deploystep", "plan", "--json", "--branch", history.on, "--rules", "deploy.yml"]
    (build.folder / "deploy.yml").write_text(rules, encoding="utf-8")
    ran = subprocess.run(  # noqa: S603
        command, cwd=build.folder, env=build.environ, capture_output=True, encoding="utf-8", check=False
    )
    (build.folder / "deploy.yml").unlink()
    document = json.loads(ran.stdout)
    verdict = document["rules"][0]["verdict"] if document["rules"] else ""
    words = {"fire": "fires", "no": "no", "unknown": "undecided, 5"}
    if verdict not in words:
        raise RuntimeError(f"{history.what}: {ran.stdout}{ran.stderr}")
    return words[verdict]
