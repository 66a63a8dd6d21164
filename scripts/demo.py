"""The whole step on one machine: a parallel job decides and deploys, against a mock CircleCI server.

Exits with 0 only if everything that it shows is as it should be.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

MINIMAL = Path(__file__).parents[1] / "examples" / "minimal"
DEPLOYSTEP = (sys.executable, "-m", "deploystep")
QUIET_GIT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
PIPELINE = "5034460f-c7c4-4c43-9457-de07e2029e7b"
DATE = "2026-06-16T10:00:00+0000"
PLAIN = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "PYTHONUTF8": "1", **QUIET_GIT}
BROKEN = """\
version: 1
rules:
  - name: production
    when: {branches: main}
    deploy: {workflow: deploy, parameters: {deploy: true, sha: $CIRCLE_SHA1}}
"""


class DemoError(Exception):
    """Something did not go as the demo says it does."""


@dataclass(frozen=True)
class Ended:
    """A process that has ended."""

    code: int
    output: str


@dataclass(frozen=True)
class Sandbox:
    """The mock CircleCI server, in a process of its own."""

    url: str

    def runs(self) -> list[Any]:
        """Every run that a trigger has created."""
        runs: list[Any] = self.ask("GET", "runs")["runs"]
        return runs

    def ask(self, method: str, name: str, body: object = None) -> Any:
        """Call one of the sandbox's own routes."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - http to loopback
            f"{self.url}/sandbox/{name}", data, {"Content-Type": "application/json"}, method=method
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=10) as answer:
            return json.load(answer)


@dataclass(frozen=True)
class Job:
    """A job of CircleCI: what `deploystep` finds in its environment and its checkout."""

    clone: Path
    sandbox: Sandbox
    revision: str

    def environment(self, branch: str, index: int, total: int) -> Mapping[str, str]:
        """One node's environment. The host of the build's URL is where the API is asked."""
        return PLAIN | {
            "CI": "true",
            "CIRCLECI": "true",
            "CIRCLE_BRANCH": branch,
            "CIRCLE_BUILD_NUM": "57",
            "CIRCLE_BUILD_URL": f"{self.sandbox.url}/gh/acme/shop/57",
            "CIRCLE_JOB": "test",
            "CIRCLE_NODE_INDEX": str(index),
            "CIRCLE_NODE_TOTAL": str(total),
            "CIRCLE_PIPELINE_ID": PIPELINE,
            "CIRCLE_PROJECT_REPONAME": "shop",
            "CIRCLE_PROJECT_USERNAME": "acme",
            "CIRCLE_REPOSITORY_URL": "git@github.com:acme/shop.git",
            "CIRCLE_SHA1": self.revision,
            "CIRCLE_TOKEN": "sandbox-token",
            "CIRCLE_USERNAME": "anna",
        }

    def nodes_end(self, status: str) -> None:
        """Let node 2 be running at the first reading, and ended at the second."""
        nodes = ["running", "success", "running", "success"]
        self.sandbox.ask("POST", "jobs", {"project": "gh/acme/shop", "number": 57, "parallel_runs": nodes})
        self.sandbox.ask("POST", "faults", {"faults": ["siblings:2:running", f"siblings:2:{status}"]})

    def run(self, branch: str, nodes: int = 1, *arguments: str) -> list[Ended]:
        """`deploystep run` on every node at the same time."""
        command = [*DEPLOYSTEP, *(arguments or ("run",))]
        started = [
            subprocess.Popen(  # noqa: S603
                command,
                cwd=self.clone,
                env=self.environment(branch, index, nodes),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
            )
            for index in range(nodes)
        ]
        outputs = [process.communicate(timeout=120)[0] for process in started]
        return [Ended(process.returncode, output) for process, output in zip(started, outputs, strict=True)]


def main() -> int:
    """Play every scene, and return 1 if one went wrong."""
    with tempfile.TemporaryDirectory() as folder, sandbox(Path(folder)) as server:
        clone, revision = cloned(Path(folder))
        job = Job(clone, server, revision)
        server.ask("POST", "builds", {"pipeline_id": PIPELINE, "project": "gh/acme/shop", "branch": "main"})
        try:
            for scene in (parallel_job, job_again, branch_without_deploy, broken_answer, failed_node, broken_rules):
                scene(job)
        except DemoError as error:
            say(f"\nthe demo failed: {error}")
            return 1
    say("\nEverything was as it should be.")
    return 0


def parallel_job(job: Job) -> None:
    """Four nodes, one deploy."""
    heading("1. A job with parallelism 4 on branch main: every node runs `deploystep run`")
    say((job.clone / ".circleci/deploy.yml").read_text(encoding="utf-8"))
    job.nodes_end("success")
    nodes = job.run("main", 4)
    for index, node in enumerate(nodes):
        show(f"node {index}", node)
    expect([node.code for node in nodes], [0, 0, 0, 0], "the exit codes of the nodes")
    for index in (1, 2, 3):
        expect(nodes[index].output, f"node {index} of 4; node 0 decides\n", f"what node {index} says")
    runs = job.sandbox.runs()
    expect(len(runs), 1, "the number of runs that were created")
    say(f"What arrived (GET {job.sandbox.url}/sandbox/runs):")
    say(f"  url         {job.sandbox.url}/pipelines/{runs[0]['project']}/{runs[0]['number']}")
    for name in ("branch", "revision", "parameters"):
        say(f"  {name:<10}  {json.dumps(runs[0][name])}")
    expect(runs[0]["revision"], job.revision, "the revision of the run")
    expect(runs[0]["parameters"], {"deploy": True, "sha": job.revision}, "its parameters")


def job_again(job: Job) -> None:
    """The job is rerun."""
    heading("2. The job is run again: this commit has been deployed, and is not deployed twice")
    node = job.run("main", 4)[0]
    show("node 0", node)
    expect(node.code, 0, "the exit code")
    expect("already-triggered" in node.output, True, "that it recognises the deploy")  # noqa: FBT003
    expect(len(job.sandbox.runs()), 1, "the number of runs so far")


def branch_without_deploy(job: Job) -> None:
    """A branch that matches no rule."""
    heading("3. The same step on branch feature/login: nothing is due, and the step says why")
    (ended,) = job.run("feature/login")
    show("node 0", ended)
    expect(ended.code, 0, "the exit code")
    expect("branch feature/login does not match main" in ended.output, True, "that the reason is printed")  # noqa: FBT003
    expect(len(job.sandbox.runs()), 1, "the number of runs so far")


def broken_answer(job: Job) -> None:
    """A client that repeats its requests would deploy twice here."""
    heading("4. CircleCI creates the run, then answers 502: the request is not repeated, the run is found")
    job = replace(job, revision=next_commit(job.clone))
    job.sandbox.ask("POST", "faults", {"fault": "502-after-create"})
    before = triggers(job.sandbox)
    (ended,) = job.run("main")
    show("node 0", ended)
    expect(ended.code, 0, "the exit code")
    expect(triggers(job.sandbox) - before, 1, "the number of requests that were sent")


def failed_node(job: Job) -> None:
    """Another node of the job fails."""
    heading("5. Node 2 fails: nothing is deployed")
    job = replace(job, revision=next_commit(job.clone))
    job.nodes_end("failed")
    before = triggers(job.sandbox)
    node = job.run("main", 4)[0]
    show("node 0", node)
    expect(node.code, 9, "the exit code")
    expect(triggers(job.sandbox) - before, 0, "the number of requests that were sent")


def broken_rules(job: Job) -> None:
    """A rule file with two mistakes."""
    heading("6. A rule file with mistakes: all of them are reported, nothing is sent")
    (job.clone / ".circleci/deploy.yml").write_text(BROKEN, encoding="utf-8")
    before = triggers(job.sandbox)
    (ended,) = job.run("main", 1, "check")
    show("deploystep check", ended)
    expect(ended.code, 3, "the exit code of check")
    expect(job.run("main")[0].code, 3, "the exit code of run")
    expect(triggers(job.sandbox) - before, 0, "the number of requests that were sent")


def triggers(sandbox: Sandbox) -> int:
    """How many requests that start something have arrived."""
    return sum(request["method"] == "POST" for request in sandbox.ask("GET", "requests")["requests"])


def cloned(folder: Path) -> tuple[Path, str]:
    """A clone of a small repository that holds the minimal example, and the revision that is checked out."""
    origin, clone = folder / "origin", folder / "shop"
    shutil.copytree(MINIMAL, origin)
    git(origin, "init", "--quiet", "--initial-branch=main")
    git(origin, "add", ".")
    git(origin, "-c", "user.name=Anna", "-c", "user.email=anna@acme.dev", "commit", "--quiet", "-m", "Add the shop")
    git(folder, "clone", "--quiet", str(origin), str(clone))
    return clone, git(clone, "rev-parse", "HEAD").strip()


def next_commit(clone: Path) -> str:
    """Another commit on main, as if somebody had pushed it."""
    anna = ("-c", "user.name=Anna", "-c", "user.email=anna@acme.dev")
    git(clone.parent / "origin", *anna, "commit", "--quiet", "--allow-empty", "-m", "Change the shop")
    git(clone, "pull", "--quiet", "--ff-only")
    return git(clone, "rev-parse", "HEAD").strip()


def git(folder: Path, *arguments: str) -> str:
    """Run git, and give its output."""
    command = ["git", *arguments]
    dated = {**PLAIN, "GIT_AUTHOR_DATE": DATE, "GIT_COMMITTER_DATE": DATE}  # so that the revisions are always the same
    return subprocess.run(command, cwd=folder, env=dated, check=True, capture_output=True, encoding="utf-8").stdout  # noqa: S603


@contextmanager
def sandbox(folder: Path) -> Iterator[Sandbox]:
    """A `deploystep sandbox` that runs as long as the context."""
    command = [*DEPLOYSTEP, "sandbox", "--json", "--project", "gh/acme/shop", "--workflow", "deploy"]
    clone = folder / "shop"
    clone.mkdir()  # the sandbox looks up branches in the clone that it is started in
    process = subprocess.Popen(  # noqa: S603
        command, cwd=clone, env=PLAIN, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        yield Sandbox(json.loads(line)["url"])
    finally:
        process.terminate()
        process.communicate(timeout=30)


def heading(text: str) -> None:
    """Print the heading of a scene."""
    say(f"\n{text}\n{'-' * len(text)}")


def show(what: str, ended: Ended) -> None:
    """Print what a process printed, and its exit code."""
    lines = ended.output.rstrip("\n").splitlines()
    say("\n".join([f"[{what}]", *(f"  {line}" for line in lines), f"  (exit {ended.code})", ""]))


def expect(found: object, wanted: object, what: str) -> None:
    """Stop the demo unless it holds."""
    if found != wanted:
        raise DemoError(f"{what}: expected {wanted!r}, found {found!r}")


def say(text: str) -> None:
    """Print at once, so that a failure stands after what led to it."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
