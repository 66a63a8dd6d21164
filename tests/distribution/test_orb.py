"""The orb: packed as its source says, right by CircleCI's schema and review rules, and its steps as a job runs them."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from builds import environ

from deploystep.app.options import OPTIONS

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "scripts"))
import pack_orb  # noqa: E402 - found only now

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def test_circleci_takes_it_as_an_inline_orb_and_takes_its_examples(tmp_path: Path) -> None:
    job = {"deploystep/run": {"url": "https://host/deploystep.pyz", "sha256": "0" * 64}}
    inline = {"version": 2.1, "orbs": {"deploystep": ORB}, "workflows": {"main": {"jobs": [job]}}}
    for name, config in {"inline": inline, **{n: example["usage"] for n, example in ORB["examples"].items()}}.items():
        (tmp_path / f"{name}.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    checker = Path(sys.executable).with_name("check-jsonschema")
    command = [str(checker), "--builtin-schema", "vendor.circle-ci", *map(str, tmp_path.glob("*.yml"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "command",
    [
        ("yamllint", "--strict", "-c", "orb/.yamllint", "orb"),
        ("shellcheck", *(f"orb/src/scripts/{name}.sh" for name in ("install", "deploystep"))),
    ],
    ids=lambda command: command[0],
)
def test_linters_find_nothing(command: tuple[str, ...]) -> None:
    checker = Path(sys.executable).with_name(command[0])
    done = subprocess.run([checker, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", ORB["examples"])
def test_its_examples_use_parameters_that_there_are(name: str) -> None:
    steps = [step for job in ORB["examples"][name]["usage"]["jobs"].values() for step in job["steps"]]
    for key, given in (pair for step in steps if isinstance(step, dict) for pair in step.items()):
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


def test_a_release_names_its_own_file(tmp_path: Path) -> None:
    target = tmp_path / "orb.yml"
    assert pack_orb.main(["--release", "https://host/project", "https://host/v1/d.pyz", "0" * 64, str(target)]) == 0
    orb = yaml.safe_load(target.read_text(encoding="utf-8"))
    given = {name: c["parameters"] for kind in ("commands", "jobs") for name, c in orb[kind].items()}
    assert {(p["url"]["default"], p["sha256"]["default"]) for p in given.values()} == {
        ("https://host/v1/d.pyz", "0" * 64)
    }
    assert "//HOST" not in target.read_text(encoding="utf-8")


# What its steps do


class Machine:
    """A machine on which few programs are found, and a server that has the file."""

    def __init__(self, folder: Path) -> None:
        self.home, self.tools, self.site = (folder / name for name in ("home", "tools", "site"))
        for each in (self.home, self.tools, self.site):
            each.mkdir()
        self.has("sh", "env", "sed", "mkdir", "chmod")
        (self.tools / "python3").symlink_to(Path(sys.executable).resolve())
        with zipfile.ZipFile(self.file, "w") as archive:
            archive.writestr("__main__.py", TELLING)
        self.url = ""

    @property
    def file(self) -> Path:
        return self.site / "deploystep.pyz"

    @property
    def installed(self) -> Path:
        return self.home / ".deploystep/deploystep.pyz"

    def has(self, *names: str) -> None:
        for name in names:
            (self.tools / name).symlink_to(shutil.which(name) or f"no-{name}")

    def digest(self) -> str:
        return hashlib.sha256(self.file.read_bytes()).hexdigest()

    def step(self, command: str, given: dict[str, str] | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        """The last step of a command of the orb, with these parameters and variables of the job."""
        parameters = ORB["commands"][command]["parameters"]
        values = {
            **{name: _value(parameter.get("default", "")) for name, parameter in parameters.items()},
            **(given or {}),
        }
        run = ORB["commands"][command]["steps"][-1]["run"]
        step = {
            name: re.sub(r"<< parameters\.(\w+) >>", lambda m: values[m[1]], v)
            for name, v in run["environment"].items()
        }
        return subprocess.run(
            [self.tools / "sh", "-e", "-c", run["command"]],
            cwd=self.home,
            env={"PATH": str(self.tools), "HOME": str(self.home), **more, **step},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def install(self, sha256: str = "", url: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        return self.step("install", {"url": url or self.url, "sha256": sha256 or self.digest()}, **more)

    def told(self, command: str, given: dict[str, str] | None = None, **more: str) -> tuple[list[str], dict[str, str]]:
        """With which arguments and variables the file was started."""
        arguments, variables = json.loads(self.step(command, given, **more).stdout)
        return arguments, variables


def _value(default: object) -> str:
    """As CircleCI hands a parameter to an environment: a boolean is 1 or 0."""
    return str(int(default)) if isinstance(default, bool) else str(default)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    found = Machine(tmp_path)
    handler = partial(_Site, directory=str(found.site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found.url = f"http://127.0.0.1:{server.server_port}/deploystep.pyz"
        yield found
        server.shutdown()


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

    def log_message(self, *_: object) -> None:
        """Nothing."""


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


def test_another_file_is_not_installed(machine: Machine) -> None:
    done = machine.install(sha256="0" * 64)
    assert done.returncode == 1
    assert f"its SHA-256 is {machine.digest()}, expected is {'0' * 64}" in done.stderr
    assert not list((machine.home / ".deploystep").iterdir())


def test_what_was_changed_on_the_machine_is_replaced(machine: Machine) -> None:
    assert machine.install().returncode == 0
    machine.installed.write_bytes(b"something else")
    assert machine.install().returncode == 0
    assert machine.installed.read_bytes() == machine.file.read_bytes()


@pytest.mark.parametrize("url", ["{}.missing", "no-address", "{} and more", "{}/round-and-round"])
def test_an_address_without_the_file_is_told(machine: Machine, url: str) -> None:
    done = machine.install(url=url.format(machine.url))
    assert done.returncode == 1
    assert "cannot be downloaded" in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "trying again" not in done.stderr


@pytest.mark.parametrize("is_old", [True, False])
def test_without_a_python_that_is_new_enough_nothing_is_installed(machine: Machine, is_old: bool) -> None:  # noqa: FBT001
    (machine.tools / "python3").unlink()
    if is_old:
        (machine.tools / "python3").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        (machine.tools / "python3").chmod(0o755)
    done = machine.install()
    assert done.returncode == 4
    assert "no Python 3.10 or newer is on PATH\n  hint: " in done.stderr


def test_a_newer_python_beside_an_old_one_is_found(machine: Machine) -> None:
    (machine.tools / "python3").rename(machine.tools / "python3.12")
    (machine.tools / "python3").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    (machine.tools / "python3").chmod(0o755)
    assert machine.install().returncode == 0


def test_parameters_reach_the_options_and_leave_other_variables_alone(machine: Machine) -> None:
    machine.install()
    given = {"wait": "20m", "confirm": "0", "again": 'it\'s $(the) "database"\nwas restored', "held": "fail"}
    arguments, variables = machine.told("run", {**given, "dry_run": "1"})
    assert arguments == ["run"]
    told = {f"DEPLOYSTEP_{name.upper()}": value for name, value in given.items()}
    assert variables == {**told, "DEPLOYSTEP_DRY_RUN": "true"}
    job = {"DEPLOYSTEP_HOST": "https://server.acme.dev", "DEPLOYSTEP_FETCH": "true", "DEPLOYSTEP_NODES": "first"}
    assert machine.told("run", None, **job) == (["run"], job)
    assert machine.told("run", {"nodes": "all"}, **job)[1]["DEPLOYSTEP_NODES"] == "all"


@pytest.mark.parametrize("has_bash", [True, False])
def test_gate_hands_its_command_to_a_shell(machine: Machine, has_bash: bool) -> None:  # noqa: FBT001
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
