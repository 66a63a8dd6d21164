"""What a step costs, beside what it is compared with: writes docs/benchmarks.md, and fails where a target is missed.

Everything is measured in one session, each kind of run once a round, so that whatever else the machine does meets all
of them alike. What counts is the ratio of medians, not the milliseconds. Not part of CI.
"""

import gc
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import build_pyz
import politeness

from deploystep.__main__ import RARELY
from deploystep.core.build import BuildContext
from deploystep.core.decide import decide
from deploystep.core.facts import Base, ChangedSince, Facts, Known
from deploystep.core.source import SourceFile
from deploystep.rulefile.load import examine, load
from deploystep.sandbox import Pace, Sandbox, Workflow

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
PYTHON = sys.executable
SCRIPT = str(Path(PYTHON).with_name("deploystep"))
TOKEN = "sandbox-token"  # noqa: S105 - the mock server takes any
QUIET_GIT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
PLAIN = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "PYTHONUTF8": "1", **QUIET_GIT}
ROUNDS = 21
COLD_ROUNDS = 7
#: A ratio may be missed by this factor before the bench fails: a busy machine is no regression.
TOLERANCE = 4 / 3
LAUNCH = "import sys; sys.argv[0] = 'deploystep'; from deploystep.__main__ import main; sys.exit(main())"
MEMORY = """
import os, sys
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, 1, 0)])
print(os.wait4(pid, 0)[2].ru_maxrss)
"""
COUNTING_GIT = '#!/bin/sh\necho "$1" >>"$COUNTED_CALLS"\nexec "$REAL_GIT" "$@"\n'
RECIPE = """
if [ "$CIRCLE_NODE_INDEX" = 0 ] && [ "$CIRCLE_BRANCH" = main ]; then
  curl --silent --fail --output /dev/null --request POST --header "Circle-Token: $CIRCLE_TOKEN" \\
    --header 'Content-Type: application/json' --data '{"build_parameters": {"DEPLOY": "true"}}' \\
    "$API/api/v1.1/project/gh/acme/shop/tree/main"
fi
"""


# --- what is run


@dataclass(frozen=True)
class Kind:
    """One kind of run: its command and environment, what its time is compared with, and at most how often."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    folder: Path
    reference: str = ""
    target: float | None = None
    memory_target: float | None = None
    posts: int = 0
    code: int = 0


@dataclass
class Measured:
    """What was found of one kind."""

    warm: list[float] = field(default_factory=list)
    cold: list[float] = field(default_factory=list)
    peak: float = 0.0
    requests: int = 0
    posts: int = 0
    git_calls: int = 0

    @property
    def median(self) -> float:
        """The usual duration, in seconds."""
        return statistics.median(self.warm)


@dataclass(frozen=True)
class World:
    """A clone with a remote, a mock CircleCI server, and a place to count git calls in."""

    folder: Path
    clone: Path
    revision: str
    sandbox: Sandbox

    def environ(self, **more: str) -> dict[str, str]:
        """The environment of a build of main."""
        return {**PLAIN, **build_environ(self.sandbox.url, self.revision), "CIRCLE_TOKEN": TOKEN, **more}


def build_environ(url: str, revision: str) -> dict[str, str]:
    """What CircleCI tells a job. The host of the build's URL is where the API is asked."""
    return {
        "CI": "true",
        "CIRCLECI": "true",
        "CIRCLE_BRANCH": "main",
        "CIRCLE_BUILD_NUM": "57",
        "CIRCLE_BUILD_URL": f"{url}/gh/acme/shop/57",
        "CIRCLE_JOB": "test",
        "CIRCLE_NODE_INDEX": "0",
        "CIRCLE_NODE_TOTAL": "1",
        "CIRCLE_PIPELINE_ID": "5034460f-c7c4-4c43-9457-de07e2029e7b",
        "CIRCLE_PROJECT_REPONAME": "shop",
        "CIRCLE_PROJECT_USERNAME": "acme",
        "CIRCLE_REPOSITORY_URL": "git@github.com:acme/shop.git",
        "CIRCLE_SHA1": revision,
        "CIRCLE_USERNAME": "anna",
    }


def kinds(world: World) -> tuple[Kind, ...]:
    """Every kind of run, references first."""
    here, build = world.clone, world.environ()
    run = (SCRIPT, "run")
    bare, libraries, started = "bare Python", "requests and yaml", "`--version`"
    pyz = world.folder / "deploystep.pyz"
    build_pyz.main([str(pyz)])
    return (
        Kind(bare, (PYTHON, "-c", "pass"), build, here),
        Kind(libraries, (PYTHON, "-c", "import requests, yaml"), build, here),
        Kind("the old recipe", ("bash", "-c", RECIPE), {**build, "API": world.sandbox.url}, here, posts=1),
        Kind("another node", run, {**build, "CIRCLE_NODE_INDEX": "1", "CIRCLE_NODE_TOTAL": "4"}, here, bare, 1.6),
        Kind("nothing is due", run, {**build, "CIRCLE_BRANCH": "feature/login"}, here, bare, 6.0),
        Kind("dry run that fires", (*run, "--dry-run"), build, here, bare, 6.5),
        Kind("live trigger", run, build, here, libraries, 1.35, memory_target=1.25, posts=1),
        Kind(started, (SCRIPT, "--version"), build, here),
        Kind(f"{started} of deploystep.pyz", (PYTHON, "-S", "-E", str(pyz), "--version"), build, here, started, 1.4),
    )


def rules(count: int, distinct: int, unless: str = "unless: {message_contains: '[skip deploy]'}") -> str:
    """A rule file like a monorepo's: a rule for each service, with patterns of its own."""
    written = ["version: 1", "rules:"]
    for number in range(count):
        service = number % distinct
        written += (
            f"  - name: service-{number}",
            f"    environment: production-{number % 50}",
            "    when:",
            "      branch: [main, release/*]",
            "      paths:",
            f"        only: [services/service-{service}/**, libs/lib-{service % 40}/**/*.py, '**/*-{service}.sql']",
            "        ignore: ['**/*.md', docs/**]",
            "        since: previous-commit",
            f"    {unless}",
            "    deploy:",
            f"      workflow: deploy-{number}",
            f"      parameters: {{service: service-{number}, sha: '${{CIRCLE_SHA1}}', dry_run: false}}",
        )
    return "\n".join(written) + "\n"


def changed(count: int) -> tuple[str, ...]:
    """Paths of changed files, sorted as git sorts them; some belong to a service that has rules."""
    folders = ("api", "core", "db", "web")
    suffixes = ("py",) * 8 + ("md",)
    return tuple(
        sorted(
            f"services/service-{n % 1_500}/src/{folders[n // 1_500 % 4]}/part-{n // 60_000}/file-{n}.{suffixes[n % 9]}"
            for n in range(count)
        )
    )


# --- the world


def git(folder: Path, *arguments: str, data: bytes | None = None) -> str:
    """Run git, and give its output."""
    anna = ("-c", "user.name=Anna", "-c", "user.email=anna@acme.dev", "-c", "init.defaultBranch=main")
    command = ["git", *anna, *arguments]
    done = subprocess.run(command, cwd=folder, env=PLAIN, check=True, capture_output=True, input=data)  # noqa: S603
    return done.stdout.decode()


def cloned(folder: Path) -> tuple[Path, str]:
    """A clone of a bare repository, with a commit that concerns one service of twenty."""
    origin, clone = folder / "origin.git", folder / "shop"
    git(folder, "init", "--quiet", "--bare", str(origin))
    git(folder, "clone", "--quiet", str(origin), str(clone))
    for path, text in ((".circleci/deploy.yml", rules(20, 20, unless="")), ("services/service-3/app.py", "pass\n")):
        file = clone / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        git(clone, "add", ".")
        git(clone, "commit", "--quiet", "-m", f"Add {path}")
    git(clone, "push", "--quiet", "origin", "HEAD:main")
    return clone, git(clone, "rev-parse", "HEAD").strip()


def large_commit(folder: Path, files: tuple[str, ...]) -> Path:
    """A repository in which one commit changes all these files."""
    folder.mkdir()
    git(folder, "init", "--quiet")
    who = "committer Anna <anna@acme.dev> 1781604000 +0000\n"
    stream = f"commit refs/heads/main\n{who}data 1\na\ncommit refs/heads/main\n{who}data 1\nb\n"
    stream += "".join(f"M 100644 inline {path}\ndata 1\nx\n" for path in files)
    git(folder, "fast-import", "--quiet", data=stream.encode())
    return folder


# --- measuring


def ended(kind: Kind, command: tuple[str, ...], more: Mapping[str, str]) -> float:
    """Run to the end, and give the seconds that it took."""
    environ = {**kind.environ, **more}
    began = time.perf_counter()
    done = subprocess.run(command, cwd=kind.folder, env=environ, capture_output=True, check=False)  # noqa: S603
    took = time.perf_counter() - began
    if done.returncode != kind.code:
        sys.exit(f"{kind.name}: exit code {done.returncode}\n{done.stdout.decode()}{done.stderr.decode()}")
    return took


def measure(world: World, every: tuple[Kind, ...]) -> dict[str, Measured]:
    """Measure every kind: warm, cold, memory, and what it asks of others."""
    found = {kind.name: Measured() for kind in every}
    cold = {"PYTHONPATH": str(without_bytecode(world.folder)), "PYTHONDONTWRITEBYTECODE": "1"}
    for number in range(ROUNDS + 1):
        for kind in every:
            world.sandbox.reset()
            took = ended(kind, kind.command, {})
            found[kind.name].warm += [took] if number else []  # the first writes bytecode
    for _ in range(COLD_ROUNDS):
        for kind in every:
            world.sandbox.reset()
            command = (PYTHON, "-c", LAUNCH, *kind.command[1:]) if kind.command[0] == SCRIPT else kind.command
            found[kind.name].cold.append(ended(kind, command, cold))
    for kind in every:
        count(world, kind, found[kind.name])
    return found


def without_bytecode(folder: Path) -> Path:
    """A copy of the package as it is before it has ever been run."""
    copy = folder / "cold"
    shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def count(world: World, kind: Kind, found: Measured) -> None:
    """What a run asks of CircleCI and of git, and its peak memory in MiB."""
    tools, calls = world.folder / "tools", world.folder / "git-calls"
    tools.mkdir(exist_ok=True)
    (tools / "git").write_text(COUNTING_GIT, encoding="utf-8")
    (tools / "git").chmod(0o755)
    calls.write_text("", encoding="utf-8")
    counting = {"PATH": f"{tools}{os.pathsep}{PLAIN['PATH']}", "COUNTED_CALLS": str(calls)}
    world.sandbox.reset()
    ended(kind, kind.command, {**counting, "REAL_GIT": shutil.which("git") or "git"})
    found.requests = len(world.sandbox.requests)
    found.posts = sum(request.method == "POST" for request in world.sandbox.requests)
    found.git_calls = len(calls.read_text(encoding="utf-8").splitlines())
    found.peak = statistics.median(peak(world, kind) for _ in range(3))


def peak(world: World, kind: Kind) -> float:
    """Peak memory in MiB. A small process starts the run: what a parent holds would count for its child."""
    world.sandbox.reset()
    command = (PYTHON, "-I", "-S", "-c", MEMORY, *kind.command)
    done = subprocess.run(command, cwd=kind.folder, env=kind.environ, capture_output=True, check=True)  # noqa: S603
    return int(done.stdout) / 1024


# --- scale, each in a process of its own


@dataclass(frozen=True)
class Scale:
    """Something large: what, how large, and its limits in seconds and MiB."""

    name: str
    what: str
    size: tuple[int, int, int]
    seconds: float | None = None
    mebibytes: float | None = None


SCALES = (
    Scale("read 1,000 rules", "read", (1_000, 1_000, 0), seconds=1.5),
    Scale("check 1,000 rules", "check", (1_000, 1_000, 0), seconds=20.0),
    Scale("decide 1,000 rules, 10,000 files", "decide", (1_000, 1_000, 10_000)),
    Scale("decide 1,000 rules, 100,000 files", "decide", (1_000, 1_000, 100_000), seconds=2.0, mebibytes=200.0),
    Scale("decide 100 rules, 100,000 files", "decide", (100, 100, 100_000)),
    Scale("decide 1,000 rules of 100 patterns, 100,000 files", "decide", (1_000, 100, 100_000)),
)
#: How the time may grow where something grows tenfold: from, to, at most.
GROWTHS = (
    ("ten times the files", SCALES[2].name, SCALES[3].name, 11.0),
    ("ten times the rules, the same patterns", SCALES[4].name, SCALES[5].name, 1.5),
)


def scaled(what: str, count: int, distinct: int, files: int) -> tuple[float, float]:
    """The seconds and the MiB that one thing takes, in this process, which does nothing else."""
    gc.set_threshold(RARELY)  # as the command line does
    source = SourceFile("deploy.yml", rules(count, distinct))
    act: Callable[[], object] = (lambda: load(source)) if what == "read" else (lambda: examine(source))
    if what == "decide":
        read, since = load(source), ChangedSince(Base.PREVIOUS_COMMIT)
        build = BuildContext.from_environ(build_environ("https://circleci.com", "0123456789" * 4))
        facts = Facts(build, None, {since: Known(changed(files))})
        act = lambda: decide(read, facts)  # noqa: E731 - one of three
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    act()
    took = time.perf_counter() - began
    return took, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def scales() -> dict[str, tuple[float, float]]:
    """The medians of three rounds."""
    found: dict[str, list[tuple[float, float]]] = {scale.name: [] for scale in SCALES}
    for _ in range(3):
        for scale in SCALES:
            command = (PYTHON, __file__, scale.what, *map(str, scale.size))
            done = subprocess.run(command, env=PLAIN, check=True, capture_output=True)  # noqa: S603
            seconds, mebibytes = json.loads(done.stdout)
            found[scale.name].append((seconds, mebibytes))
    return {
        name: (statistics.median(s for s, _ in each), statistics.median(m for _, m in each))
        for name, each in found.items()
    }


def git_diff(folder: Path) -> float:
    """The seconds in which git itself lists 100,000 changed files."""
    large = large_commit(folder / "large", changed(100_000))
    took = []
    for _ in range(5):
        began = time.perf_counter()
        git(large, "diff", "--name-only", "HEAD~1", "HEAD")
        took.append(time.perf_counter() - began)
    return statistics.median(took)


# --- the page


@dataclass
class Page:
    """The lines of the page, and what was missed by too much."""

    lines: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def add(self, *lines: str) -> None:
        """More lines."""
        self.lines += lines

    def against(self, name: str, value: float, target: float | None, unit: str = "") -> str:
        """The target as a cell; noted where it is missed by more than the tolerance."""
        if target is None:
            return "-"
        if value > target * TOLERANCE:
            self.missed.append(f"{name}: {value:.2f}{unit}, and at most {target:g}{unit} was wanted")
        return f"≤ {target:g}{unit}" + (", missed" if value > target else "")


def written(
    every: tuple[Kind, ...], found: Mapping[str, Measured], sizes: Mapping[str, tuple[float, float]], diff: float
) -> Page:
    """The whole page."""
    page = Page()
    page.add("# Benchmarks", "", *preface())
    page.add("## Whole processes", "", *process_table(page, every, found))
    page.add("## Scale", "", *scale_table(page, sizes, diff), "")
    page.add("## Politeness", "", *politeness_table(page))
    return page


def preface() -> Iterator[str]:
    """Where and how it was measured."""
    git_version = git(ROOT, "--version").split()[2]
    yield "Written by `make bench`, which measures everything anew; not to be edited."
    yield f"Machine: {processor()}, {os.cpu_count()} processors, {platform.system()}."
    yield f"Python {platform.python_version()}, git {git_version}."
    yield ""
    yield "Times are medians of interleaved runs in one session. They differ by machine and by day; the"
    yield "ratios to what is measured beside them differ little."
    yield ""


def processor() -> str:
    """The name of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def process_table(page: Page, every: tuple[Kind, ...], found: Mapping[str, Measured]) -> Iterator[str]:
    """A line for each kind of run."""
    yield "The rule file has 20 rules with paths. *Cold* is before Python has written any bytecode of the package. The"
    yield "calls to CircleCI are answered by the sandbox on loopback, from another process."
    yield ""
    yield "| Run | Time | Ratio | To | Target | Cold | Peak memory | Calls to CircleCI | Of these POST | git calls |"
    yield "| --- | ---: | ---: | --- | --- | ---: | ---: | ---: | ---: | ---: |"
    for kind in every:
        one = found[kind.name]
        ratio = one.median / found[kind.reference].median if kind.reference else 0.0
        cells = [kind.name, f"{one.median * 1000:.0f} ms"]
        cells += [f"{ratio:.2f}", kind.reference] if kind.reference else ["-", "-"]
        cells += [page.against(kind.name, ratio, kind.target), f"{statistics.median(one.cold) * 1000:.0f} ms"]
        cells += [f"{one.peak:.0f} MiB", str(one.requests), str(one.posts), str(one.git_calls)]
        yield f"| {' | '.join(cells)} |"
        if one.posts != kind.posts:
            page.missed.append(f"{kind.name}: {one.posts} POST, and {kind.posts} was wanted")
    for kind in every:
        if kind.memory_target is not None:
            ratio = found[kind.name].peak / found[kind.reference].peak
            yield ""
            target = page.against(f"memory, {kind.name}", ratio, kind.memory_target)
            yield f"Peak memory of a {kind.name}: {ratio:.2f} times that of {kind.reference} ({target})."
    yield ""


def scale_table(page: Page, sizes: Mapping[str, tuple[float, float]], diff: float) -> Iterator[str]:
    """A line for each large thing, and how time grows."""
    yield f"In one process each. git's own `diff --name-only` of the same 100,000 files takes {diff * 1000:.0f} ms."
    yield ""
    yield "| What | Time | Target | More memory | Target |"
    yield "| --- | ---: | --- | ---: | --- |"
    for scale in SCALES:
        seconds, mebibytes = sizes[scale.name]
        limits = (
            page.against(scale.name, seconds, scale.seconds, " s"),
            page.against(f"memory, {scale.name}", mebibytes, scale.mebibytes, " MiB"),
        )
        yield f"| {scale.name} | {seconds:.2f} s | {limits[0]} | {mebibytes:.0f} MiB | {limits[1]} |"
    yield ""
    yield "| What grows | Time grows | Target |"
    yield "| --- | ---: | --- |"
    for name, small, large, target in GROWTHS:
        growth = sizes[large][0] / sizes[small][0]
        yield f"| {name} | {growth:.2f} times | {page.against(name, growth, target)} |"


def politeness_table(page: Page) -> Iterator[str]:
    """How often a step that waits asks, in time that only it lets pass."""
    yield f"Of {politeness.BUILDS} builds that begin to wait in the same second, in virtual time: the most calls of"
    yield "one, and the most of all together in any one second after the first minute and before the limit."
    yield ""
    yield "| Wait | Calls of one | Target | Calls of all in a second |"
    yield "| --- | ---: | --- | ---: |"
    for name, calls, most in (
        ("10 minutes for other nodes", politeness.of_nodes(10), 40),
        ("20 minutes of --wait", politeness.of_wait(20), 80),
    ):
        target = page.against(name, calls.of_one, most)
        yield f"| {name} | {calls.of_one} | {target} | {calls.in_a_second} |"


def main() -> int:
    """Measure, write the page, and tell what was missed."""
    if len(sys.argv) > 1:
        what, *size = sys.argv[1:]
        sys.stdout.write(json.dumps(scaled(what, *map(int, size))))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clone, revision = cloned(folder)
        mock = Sandbox(
            projects=["gh/acme/shop"],
            heads={"main": revision},
            workflows=[Workflow("deploy-3")],
            pace=Pace(appear=0, finish=0),
        )
        with mock as sandbox:
            sandbox.add_build("5034460f-c7c4-4c43-9457-de07e2029e7b", "gh/acme/shop", branch="main", revision=revision)
            world = World(folder, clone, revision, sandbox)
            every = kinds(world)
            page = written(every, measure(world, every), scales(), git_diff(folder))
    PAGE.write_text("\n".join(page.lines) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join([*page.lines, "", *(f"missed: {miss}" for miss in page.missed)]) + "\n")
    return 1 if page.missed else 0


if __name__ == "__main__":
    sys.exit(main())
