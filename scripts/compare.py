"""What other ways to trigger a run come to, fault by fault: measures, and writes that part of docs/compare.md.

Each tool sends one trigger, as its documentation shows it, over HTTP to a sandbox of its own that meets it with one
fault. pycircleci and the npm package are installed into a temporary folder. Not part of CI: the tests compare the page
with all of this that needs no registry.
"""

import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))

import demo  # noqa: E402 - found only now
from fault_table import ALWAYS, at_trigger  # noqa: E402
from simulation.trouble import REFUSED  # noqa: E402

from deploystep.sandbox import Run, Sandbox, Workflow, parse_fault  # noqa: E402
from docs import table  # noqa: E402

PAGE = ROOT / "docs/compare.md"
MEASURED = re.compile(r"(<!-- measured -->\n).*?(<!-- end -->)", re.DOTALL)
PYCIRCLECI = "pycircleci==0.7.0"
NPM_PACKAGE = "trigger-circleci-pipeline@1.6.0"
RERUN = "a rerun"
#: Beside the faults of docs/guarantees.md: three that stay, and the same command once more without any.
BESIDES = (("503", ALWAYS), ("503-after-create", ALWAYS), ("skip", ALWAYS), (RERUN, 1))
AT_ONCE = 12  # trials; nearly all of their time is waiting
LONGEST = 400  # seconds that a tool may take
SHOWN = 110  # characters of what a tool says
CURL = """\
curl --fail --silent --show-error --retry 3 --request POST \\
  --header "Circle-Token: $CIRCLE_TOKEN" --header "Content-Type: application/json" \\
  --data "{\\"config\\": {\\"branch\\": \\"main\\"}, \\"checkout\\": {\\"branch\\": \\"main\\"},
    \\"parameters\\": {\\"deploy\\": true, \\"sha\\": \\"$CIRCLE_SHA1\\"}}" \\
  "$CIRCLECI_API/api/v2/project/gh/acme/shop/pipeline/run"
"""
CLIENT = """\
import os
from pycircleci.api import Api

api = Api(url=os.environ["CIRCLECI_API"] + "/api")
parameters = {"deploy": True, "sha": os.environ["CIRCLE_SHA1"]}
print(api.trigger_pipeline("acme", "shop", branch="main", params=parameters))
"""
#: The npm package has the address of CircleCI's cloud built in: Node is told to connect elsewhere.
ELSEWHERE = """\
const http = require('http')
require('https').request = (url, options, ...more) =>
  http.request(new URL(new URL(url).pathname, process.env.CIRCLECI_API), { ...options, agent: undefined }, ...more)
"""
CHANGING = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z?"), "TIME"),
    (re.compile(r"127\.0\.0\.1:\d+"), "HOST"),
    (re.compile(r"[0-9a-f]{40}"), "COMMIT"),
    (re.compile(r"0x[0-9a-f]+"), "0x…"),
    (re.compile(r"(?:port=|port )\d+"), "port N"),
    (re.compile(r"after \d+ ms"), "after N ms"),
)


class Tool(NamedTuple):
    """One way to trigger: its command, what is in its environment besides, and the line in which it says what came."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    says: Callable[[Sequence[str]], str]


class Tried(NamedTuple):
    """What one tool made of one fault. `strays` are runs of another commit that go on."""

    tool: str
    fault: str
    exit: int
    runs: int
    deploys: int
    strays: int
    says: str

    @property
    def is_wrong(self) -> bool:
        """Two deploys, another commit's deploy, or success without a deploy."""
        return self.deploys > 1 or self.strays > 0 or (self.exit == 0 and not self.deploys)

    @property
    def cell(self) -> str:
        """The cell of the table."""
        runs = f"{self.runs} run{'' if self.runs == 1 else 's'}"
        other = ", of another commit" if self.strays else ", no deploy" if self.runs and not self.deploys else ""
        text = f"{self.exit} · {runs}{other}"
        return f"**{text}**" if self.is_wrong else text


def faults() -> Iterator[tuple[str, int]]:
    """Each fault and how often it is met. A refused connection has no server that could count to one."""
    yield from ((fault, count) for fault, count in at_trigger() if (fault, count) != (REFUSED, 1))
    yield from BESIDES


def labelled(fault: str, count: int) -> str:
    """A fault, as the first column names it."""
    return RERUN if fault == RERUN else f"`{fault}`{', every time' if count == ALWAYS else ''}"


# --- what is tried


def tools(folder: Path) -> tuple[Tool, ...]:
    """All of them, installed."""
    python = folder / "venv/bin/python"
    for command in (
        (sys.executable, "-m", "venv", str(folder / "venv")),
        (str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYCIRCLECI),
        ("npm", "install", "--silent", "--ignore-scripts", "--no-save", "--prefix", str(folder), NPM_PACKAGE),
    ):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    (folder / "elsewhere.js").write_text(ELSEWHERE, encoding="utf-8")
    script = folder / "node_modules/trigger-circleci-pipeline/bin/trigger-circleci-pipeline.js"
    npm = ("--org", "acme", "--project", "shop", "--branch", "main", "--parameters", "deploy=true,sha=$CIRCLE_SHA1")
    required = {"NODE_OPTIONS": f"--require {folder / 'elsewhere.js'}"}
    return (
        OURS,
        CURLS,
        Tool("pycircleci", (str(python), "-c", CLIENT), {}, last),
        Tool("npm", ("sh", "-c", f"exec node {script} {' '.join(npm)}"), required, of_npm),
    )


def last(lines: Sequence[str]) -> str:
    """The last line that says anything."""
    return lines[-1] if lines else "nothing"


def ours(lines: Sequence[str]) -> str:
    """The error, else what became of the rule."""
    error = next((line for line in lines if line.startswith("error[")), None)
    return error or next((line.strip(" =") for line in lines if line.startswith("                  = ")), last(lines))


def of_npm(lines: Sequence[str]) -> str:
    """The error, which comes before its details, else the last line."""
    return next((line for line in lines if re.match(r"\w*Error\b", line)), last(lines))


OURS = Tool("deploystep", (sys.executable, "-m", "deploystep", "run"), {}, ours)
CURLS = Tool("curl", ("sh", "-c", CURL), {}, last)


def tried(clone: Path, revision: str, tool: Tool, fault: str, count: int) -> Tried:
    """One trial. What happens late has happened when it returns."""
    begin = time.monotonic()
    with socket.socket() as closed, Sandbox(heads={"main": revision}, workflows=[Workflow("deploy")]) as sandbox:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: whoever connects is refused
        url = sandbox.url
        sandbox.add_build(demo.PIPELINE, "gh/acme/shop", branch="main", revision=revision)
        if fault == REFUSED:
            url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        elif fault != RERUN:
            sandbox.add_fault(parse_fault(f"{fault}*{min(count, 99)}"))
        job = demo.Job(clone, demo.Sandbox(url), revision).environment("main", 0, 1)
        api = {"CIRCLECI_API": url, "CIRCLE_API_URL": url, "CIRCLE_CI_API_TOKEN": job["CIRCLE_TOKEN"]}
        ran = ended(tool, clone, {**job, **api})
        if fault == RERUN:
            ran = ended(tool, clone, {**job, **api})
        if fault.startswith("create-late:"):
            time.sleep(max(0.0, begin + float(fault.partition(":")[2]) + 1 - time.monotonic()))
        runs = [run.at(sandbox.now() + timedelta(hours=1)) for run in sandbox.stored_runs() if run.api != "webhook"]
    at_it = [run for run in runs if deploys(run)]
    of_it = sum(run.revision == revision for run in at_it)
    lines = [line for line in ran.stdout.splitlines() if line.strip()]
    said = shortened(tool.says(lines))
    return Tried(tool.name, labelled(fault, count), ran.returncode, len(runs), of_it, len(at_it) - of_it, said)


def ended(tool: Tool, clone: Path, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """The tool's process, with both of its streams in one."""
    return subprocess.run(  # noqa: S603
        tool.command,
        cwd=clone,
        env={**environ, **tool.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=LONGEST,
        check=False,
    )


def deploys(run: Run) -> bool:
    """Whether its workflow ends well."""
    return any(workflow.status == "success" for workflow in run.workflows)


def shortened(said: str) -> str:
    """What a tool says, without what differs each time, and not too long for a table."""
    for pattern, fixed in CHANGING:
        said = pattern.sub(fixed, said)
    said = said.strip().replace("`", "'")
    return said if len(said) <= SHOWN else f"{said[: SHOWN - 1].rstrip()}…"


# --- the page


def outcome_table(found: Sequence[Tried]) -> str:
    """A row for each fault, a column for each tool."""
    names = list(dict.fromkeys(one.tool for one in found))
    cells = {(one.fault, one.tool): one.cell for one in found}
    return table(
        ("Fault", *names),
        ((fault, *(cells[fault, name] for name in names)) for fault in dict.fromkeys(one.fault for one in found)),
    )


def says_table(found: Sequence[Tried]) -> str:
    """What each tool says, with the faults at which it does."""

    def said(one: Tried) -> tuple[str, int, str]:
        return one.tool, one.exit, one.says

    order = list(dict.fromkeys(one.tool for one in found))
    ordered = sorted(found, key=lambda one: (order.index(one.tool), one.exit, one.says))
    return table(
        ("Tool", "Exit", "Says", "At"),
        (
            (tool, str(code), f"`{says}`", ", ".join(one.fault for one in group))
            for (tool, code, says), group in groupby(ordered, said)
        ),
    )


def versions(folder: Path) -> str:
    """When it was measured, and with what."""

    def of(*command: str) -> str:
        return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout.strip()  # noqa: S603

    inside = "import requests, urllib3; print(f'requests {requests.__version__}, urllib3 {urllib3.__version__}')"
    python, npm = of(str(folder / "venv/bin/python"), "-c", inside), NPM_PACKAGE.replace("@", " ")
    return (
        f"Measured on {datetime.now(timezone.utc):%Y-%m-%d}: {of(sys.executable, '-m', 'deploystep', '-V')}; "
        f"{' '.join(of('curl', '--version').split()[:2])}; pycircleci {PYCIRCLECI.partition('==')[2]} ({python}); "
        f"{npm} (Node {of('node', '--version').lstrip('v')})."
    )


def main() -> int:
    """Measure, and write the page."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "git").mkdir()
        clone, revision = demo.cloned(folder / "git")
        installed = tools(folder)
        every = [(tool, *fault) for fault in faults() for tool in installed]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = list(pool.map(lambda one: tried(clone, revision, *one), every))
        parts = (versions(folder), outcome_table(found), "### What they say", says_table(found))
    text = "\n\n".join(parts)
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(MEASURED.sub(lambda marks: f"{marks[1]}\n{text}\n\n{marks[2]}", page), encoding="utf-8")
    sys.stdout.write(f"{text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
