"""The orb: packed as its source says, right by CircleCI's schema and review rules, and its steps as a job runs them."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pack_orb
import pytest
import yaml
from builds import environ
from circleci_schema import CIRCLECI
from distribution.conftest import ROOT, served

from deploystep.app.options import OPTIONS

ORB: dict[str, Any] = yaml.safe_load((ROOT / "orb/orb.yml").read_text(encoding="utf-8"))
COMPONENTS = {f"{kind}/{name}": found for kind in ("commands", "jobs") for name, found in ORB[kind].items()}
#: A file that stands for deploystep.pyz, and tells how it was started.
TELLING = """
import json, os, sys
print(json.dumps([sys.argv[1:], {k: v for k, v in os.environ.items() if k.startswith("DEPLOYSTEP_")}]))
"""


# What is in the file


def test_the_files_are_what_the_script_writes() -> None:
    written = {**pack_orb.generated(), ROOT / "orb/orb.yml": pack_orb.dumped(pack_orb.packed())}
    stale = [str(path) for path, text in written.items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run  make docs"


def test_circleci_takes_it_as_an_inline_orb_and_takes_its_examples() -> None:
    job = {"deploystep/run": {"url": "https://host/deploystep.pyz", "sha256": "0" * 64}}
    inline = {"version": 2.1, "orbs": {"deploystep": ORB}, "workflows": {"main": {"jobs": [job]}}}
    for config in (inline, *(example["usage"] for example in ORB["examples"].values())):
        assert [error.message for error in CIRCLECI.iter_errors(config)] == []


def test_its_examples_use_parameters_that_there_are() -> None:
    jobs = [job for example in ORB["examples"].values() for job in example["usage"]["jobs"].values()]
    steps = [step for job in jobs for step in job["steps"] if isinstance(step, dict)]
    for key, given in (pair for step in steps for pair in step.items()):
        if key.startswith("deploystep/"):
            assert set(given) <= set(ORB["commands"][key.removeprefix("deploystep/")]["parameters"])


def test_the_rules_by_which_circleci_reviews_orbs() -> None:
    """RC001 to RC010 of `circleci/orb-tools`, but for those that look whether an address can be reached."""
    assert re.fullmatch(r"https://\S+", ORB["display"]["source_url"])
    assert len(ORB["description"]) >= 64
    assert ORB["examples"]
    assert not [name for name in ORB["examples"] if "example" in name]
    for name, component in {**COMPONENTS, **ORB["examples"]}.items():
        assert component["description"].strip(), name
    for name, component in COMPONENTS.items():
        assert re.fullmatch(r"(commands|jobs)/[a-z][a-z_]*", name)
        assert all(re.fullmatch(r"[a-z][a-z0-9_]*", each) for each in component["parameters"])
        assert all(parameter["description"] for parameter in component["parameters"].values()), name
        assert all(step["run"]["name"] for step in component["steps"] if "run" in step)
        secret = [p for n, p in component["parameters"].items() if re.search("token|password|secret|key", n)]
        assert {p["type"] for p in secret} <= {"env_var_name"}, name
    for path in (ROOT / "orb/src").glob("*/*.yml"):
        steps = yaml.safe_load(path.read_text(encoding="utf-8")).get("steps", ())
        assert all(len(step["run"]["command"]) <= 64 for step in steps if "run" in step), path


@pytest.mark.parametrize(
    ("component", "command", "more"),
    [("commands/run", "run", set()), ("commands/gate", "gate", {"rule", "command"}), ("jobs/run", "run", {"image"})],
)
def test_the_parameters_are_the_options(component: str, command: str, more: set[str]) -> None:
    options = {option.name for option in OPTIONS if command in option.commands and option.has_variable}
    assert set(COMPONENTS[component]["parameters"]) == options | more | {"url", "sha256"}


def test_a_release_is_packed_into_one_file(tmp_path: Path) -> None:
    """What is in it: tests/distribution/test_release.py."""
    words = ("https://host/project", "https://host/v1/d.pyz", "0" * 64)
    assert pack_orb.main(["--release", *words, str(tmp_path / "orb.yml")]) == 0
    assert (tmp_path / "orb.yml").read_text(encoding="utf-8") == pack_orb.released(*words)


# What its steps do


class Machine:
    """A machine on which few programs are found, and a server that has the file."""

    def __init__(self, folder: Path) -> None:
        self.home, self.tools, self.site = (folder / name for name in ("home", "tools", "site"))
        for each in (self.home, self.tools, self.site):
            each.mkdir()
        self.has("sh", "env", "sed", "mkdir", "chmod")
        self.python, self.file = self.tools / "python3", self.site / "deploystep.pyz"
        self.python.symlink_to(Path(sys.executable).resolve())
        with zipfile.ZipFile(self.file, "w") as archive:
            archive.writestr("__main__.py", TELLING)
        self.url = ""

    def has(self, *names: str) -> None:
        for name in names:
            (self.tools / name).symlink_to(shutil.which(name) or f"no-{name}")

    def has_an_old_python(self) -> None:
        self.python.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        self.python.chmod(0o755)

    def digest(self) -> str:
        return hashlib.sha256(self.file.read_bytes()).hexdigest()

    def step(self, command: str, given: dict[str, str], **more: str) -> subprocess.CompletedProcess[str]:
        """The last step of a command of the orb, with these parameters and variables of the job."""
        parameters, run = ORB["commands"][command]["parameters"], ORB["commands"][command]["steps"][-1]["run"]
        values = {name: parameter.get("default", "") for name, parameter in parameters.items()} | given

        def filled(text: str) -> str:
            """As CircleCI hands a parameter to an environment: a boolean is 1 or 0."""
            value = values[text.removeprefix("<< parameters.").removesuffix(" >>")]
            return str(int(value)) if isinstance(value, bool) else value

        environ = {"PATH": str(self.tools), "HOME": str(self.home), **more}
        environ |= {name: filled(text) for name, text in run["environment"].items()}
        line = [self.tools / "sh", "-e", "-c", run["command"]]
        return subprocess.run(line, cwd=self.home, env=environ, capture_output=True, text=True, timeout=60, check=False)

    def install(self, sha256: str = "", url: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        return self.step("install", {"url": url or self.url, "sha256": sha256 or self.digest()}, **more)

    def told(self, command: str, given: dict[str, str], **more: str) -> Any:
        """With which arguments and variables the file was started."""
        return json.loads(self.step(command, given, **more).stdout)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    found = Machine(tmp_path)
    with served(partial(_Site, directory=str(found.site))) as address:
        found.url = f"{address}/deploystep.pyz"
        yield found


class _Site(SimpleHTTPRequestHandler):
    breaks = 0

    def do_GET(self) -> None:
        """A redirect that leads nowhere, an answer that breaks off, or the file."""
        if self.path.endswith("/round-and-round"):
            self.send_response(302)
            self.send_header("Location", self.path)
            self.end_headers()
        elif _Site.breaks:
            _Site.breaks -= 1
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"half")
        else:
            super().do_GET()


def test_a_download_that_breaks_off_is_tried_again(machine: Machine) -> None:
    _Site.breaks = 1
    done = machine.install()
    assert done.returncode == 0, done.stderr
    assert "trying again in 2 s" in done.stderr


def test_it_installs_with_nothing_but_a_shell_and_python(machine: Machine) -> None:
    """There is neither curl nor wget, neither sha256sum nor shasum, neither pip nor bash."""
    variables = machine.home / "bash-env"
    done = machine.install(BASH_ENV=str(variables))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0] == ["--version"]
    script = f". {variables} && deploystep check --strict"
    told = subprocess.run(["sh", "-c", script], env={"PATH": str(machine.tools)}, capture_output=True, check=True)
    assert json.loads(told.stdout)[0] == ["check", "--strict"]
    digest = machine.digest()
    machine.file.unlink()
    assert machine.install(sha256=digest.upper()).returncode == 0, "what is there is not downloaded again"


def test_only_the_right_file_is_installed_and_what_was_changed_on_the_machine_is_replaced(machine: Machine) -> None:
    done = machine.install(sha256="0" * 64)
    assert done.returncode == 1
    assert f"its SHA-256 is {machine.digest()}, expected is {'0' * 64}" in done.stderr
    folder = machine.home / ".deploystep"
    assert not list(folder.iterdir())
    (folder / "deploystep.pyz").write_bytes(b"something else")
    assert machine.install().returncode == 0
    assert (folder / "deploystep.pyz").read_bytes() == machine.file.read_bytes()


@pytest.mark.parametrize("url", ["{}.missing", "no-address", "{} and more", "{}/round-and-round"])
def test_an_address_without_the_file_is_told(machine: Machine, url: str) -> None:
    done = machine.install(url=url.format(machine.url))
    assert done.returncode == 1
    assert [words in done.stderr for words in ("cannot be downloaded", "hint: ")] == [True, True]
    assert [words in done.stderr for words in ("Traceback", "trying again")] == [False, False]


@pytest.mark.parametrize("is_old", [True, False])
def test_without_a_python_that_is_new_enough_nothing_is_installed(machine: Machine, *, is_old: bool) -> None:
    newer = machine.python.rename(machine.tools / "python3.12")
    if is_old:
        machine.has_an_old_python()
    assert machine.install().returncode == 0, "a newer one beside it is found"
    newer.unlink()
    done = machine.install()
    assert done.returncode == 4
    assert "no Python 3.10 or newer is on PATH\n  hint: " in done.stderr


def test_parameters_reach_the_options_and_leave_other_variables_alone(machine: Machine) -> None:
    machine.install()
    given = {"wait": "20m", "confirm": "0", "again": 'it\'s $(the) "database"\nwas restored', "held": "fail"}
    told = {f"DEPLOYSTEP_{name.upper()}": value for name, value in given.items()}
    assert machine.told("run", {**given, "dry_run": "1"}) == [["run"], {**told, "DEPLOYSTEP_DRY_RUN": "true"}]
    job = {"DEPLOYSTEP_HOST": "https://server.acme.dev", "DEPLOYSTEP_FETCH": "true", "DEPLOYSTEP_NODES": "first"}
    assert machine.told("run", {}, **job) == [["run"], job]
    assert machine.told("run", {"nodes": "all"}, **job)[1]["DEPLOYSTEP_NODES"] == "all"


@pytest.mark.parametrize("has_bash", [True, False])
def test_gate_hands_its_command_to_a_shell(machine: Machine, *, has_bash: bool) -> None:
    machine.install()
    if has_bash:
        machine.has("bash")
    arguments, _ = machine.told("gate", {"rule": "production", "command": "./deploy.sh | tee 'a log'"})
    shell = ["bash", "-eo", "pipefail", "-c"] if has_bash else ["sh", "-ec"]
    assert arguments == ["gate", "production", "--", *shell, "./deploy.sh | tee 'a log'"]


def test_the_real_file_deploys_in_the_sandbox(machine: Machine, pyz: Path) -> None:
    machine.file.write_bytes(pyz.read_bytes())
    machine.has("git")
    (machine.home / ".circleci").mkdir()
    shutil.copy(ROOT / "examples/minimal/.circleci/deploy.yml", machine.home / ".circleci")
    assert machine.install().returncode == 0
    step = {"sandbox": "true", "json": "true", "confirm": "1s"}
    done = machine.step("run", step, **environ())
    assert done.returncode == 0, done.stderr
    assert [trigger["outcome"] for trigger in json.loads(done.stdout)["triggers"]] == ["triggered"]
