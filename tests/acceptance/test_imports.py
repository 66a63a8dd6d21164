"""What each kind of run loads: most of what a step costs is what it loads, and most runs deploy nothing."""

from __future__ import annotations

import json
import subprocess
import sys

from acceptance.process import SOURCE, TOKEN, Project, sandbox

#: Runs the command line, then tells on stderr what has been loaded.
TELLING = """
import json, sys
from deploystep.__main__ import main
sys.argv[0] = "deploystep"
code = main()
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
sys.exit(code)
"""
PATHS = """
    version: 1
    rules:
      - name: production
        when: {branch: main, paths: {only: services/**, since: previous-commit}}
        deploy: {workflow: deploy, parameters: {deploy: true}}
    """
BERLIN = PATHS.replace("rules:", "timezone: Europe/Berlin\n    rules:")


def loaded(project: Project, *arguments: str, url: str = "", **variables: str) -> set[str]:
    """Every module that a run has loaded, as long as it ended well."""
    environ = project.environment(None, {"DEPLOYSTEP_HOST": url or None, **variables}, ci=True)
    environ = {name: value for name, value in environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", TELLING, *arguments],
        cwd=project.folder,
        env={**environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


SENDING = {"requests", "urllib3", "ssl", "http.client", "deploystep.adapters.transport"}
SENDING |= {f"deploystep.app.{name}" for name in ("trigger", "confirm", "earlier_runs", "guards", "polling")}
PROVING = {"deploystep.core.patterns.proofs"}
FOR_PEOPLE = {"deploystep.app.check", "deploystep.rulefile.project", "deploystep.rulefile.schema", "xml", "traceback"}


def test_a_run_that_finds_nothing_to_do_loads_only_what_decides(project: Project) -> None:
    project.write(PATHS)
    modules = loaded(project, "run", CIRCLE_BRANCH="feature/login")
    assert modules & (SENDING | PROVING | FOR_PEOPLE | {"zoneinfo", "argparse", "subprocess"}) == set()
    assert {"deploystep.core.decide", "deploystep.rulefile.yaml_reader"} <= modules


def test_a_dry_run_sends_nothing_and_loads_nothing_that_sends(project: Project) -> None:
    project.write(PATHS.replace(", paths: {only: services/**, since: previous-commit}", ""))
    project.write((project.folder / ".circleci/deploy.yml").read_text(encoding="utf-8") + "default_branch: main\n")
    modules = loaded(project, "run", "--dry-run")
    assert modules & (SENDING | PROVING | FOR_PEOPLE | {"zoneinfo", "argparse", "subprocess"}) == set()


def test_a_live_run_loads_nothing_for_people_or_proofs(project: Project) -> None:
    project.write(PATHS.replace(", paths: {only: services/**, since: previous-commit}", ""))
    with sandbox() as server:
        modules = loaded(project, "run", url=server.url, CIRCLE_TOKEN=TOKEN)
    assert modules & (PROVING | (FOR_PEOPLE - {"traceback"}) | {"zoneinfo", "argparse"}) == set()
    assert {"requests", "deploystep.adapters.transport"} <= modules


def test_the_zones_are_loaded_where_one_is_named(project: Project) -> None:
    project.write(BERLIN)
    assert "zoneinfo" in loaded(project, "run", CIRCLE_BRANCH="feature/login")


def test_an_option_with_a_value_brings_argparse(project: Project) -> None:
    project.write(PATHS)
    modules = loaded(project, "run", "--rules", ".circleci/deploy.yml", CIRCLE_BRANCH="feature/login")
    assert "argparse" in modules
