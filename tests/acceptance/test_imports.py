"""What each kind of run loads: most of what a step costs is what it loads, and most runs deploy nothing."""

import json
import subprocess
import sys

from acceptance.process import SOURCE, Project, sandbox

#: Runs the command line, then tells on stderr what has been loaded.
TELLING = """
import json, sys
from deploystep.__main__ import main
sys.argv[0] = "deploystep"
code = main()
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
sys.exit(code)
"""
RULES = """
    version: 1
    default_branch: main
    rules:
      - name: production
        when: {branch: main}
        deploy: {workflow: deploy, parameters: {deploy: true}}
    """
PATHS = RULES.replace("branch: main}", "branch: main, paths: {only: services/**, since: previous-commit}}")
ELSEWHERE = {"CIRCLE_BRANCH": "feature/login"}
SENDING = {"requests", "urllib3", "ssl", "http.client", "deploystep.adapters.transport"}
SENDING |= {f"deploystep.app.{name}" for name in ("trigger", "earlier_runs", "guards", "polling")}
PROVING = {"deploystep.core.patterns.proofs"}
FOR_PEOPLE = {"deploystep.app.check", "deploystep.project.config", "deploystep.rulefile.schema", "xml"}
NEVER = PROVING | FOR_PEOPLE | {"zoneinfo", "argparse"}
HEAVY = "yaml subprocess socket json deploystep.cli"


def loaded(project: Project, rules: str, *arguments: str, url: str | None = None, **variables: str) -> set[str]:
    """Every module that a run has loaded, as long as it ended well."""
    project.write(rules)
    environ = project.environment(url, {"PYTHONPATH": str(SOURCE), **variables})
    environ = {name: value for name, value in environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, "-c", TELLING, *arguments]
    done = subprocess.run(command, cwd=project.folder, env=environ, capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_another_node_loads_nothing(project: Project) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "deploystep", "run"]
    environ = {"PYTHONPATH": str(SOURCE), "CIRCLE_NODE_INDEX": "3", "CIRCLE_NODE_TOTAL": "4"}
    done = subprocess.run(command, cwd=project.folder, env=environ, capture_output=True, text=True, check=True)
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "deploystep.core.nodes" in modules, "the list must be one of imports"
    assert modules & {*HEAVY.split(), *SENDING, *NEVER} == set()


def test_a_run_that_sends_nothing_loads_only_what_decides(project: Project) -> None:
    for modules in (loaded(project, PATHS, "run", **ELSEWHERE), loaded(project, RULES, "run", "--dry-run")):
        assert modules & (SENDING | NEVER | {"subprocess", "traceback"}) == set()
        assert {"deploystep.core.decide", "deploystep.rulefile.yaml_reader"} <= modules


def test_a_live_run_loads_nothing_for_people_or_proofs(project: Project) -> None:
    with sandbox() as server:
        modules = loaded(project, RULES, "run", url=server.url)
    assert modules & NEVER == set()
    assert modules >= SENDING
