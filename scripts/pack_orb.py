"""Writes what the orb takes over from the table of options, and packs orb/src into one file.

`pack_orb.py` writes orb/src/commands/run.yml, orb/src/commands/gate.yml, orb/src/jobs/run.yml and orb/orb.yml.
`pack_orb.py --release HOME URL SHA256 FILE` packs into FILE for one release. HOME is the address of the project. URL
and SHA256 are those of the release's deploystep.pyz: jobs then need not name them.
"""

import re
import sys
from pathlib import Path
from typing import Any

import yaml

from deploystep.app.options import OPTIONS, Option

ORB = Path(__file__).parents[1] / "orb"
SOURCE = ORB / "src"
KINDS = ("commands", "jobs", "examples")
TEXT = {"type": "string"}
#: No name of a variable is empty: this one is looked for first, with and without being named.
TOKEN = {"type": "env_var_name", "default": "CIRCLE_TOKEN"}


class _Dumper(yaml.SafeDumper):
    """Texts of several lines keep their lines, and lists are indented."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        """Go one level deeper."""
        super().increase_indent(flow, False)  # noqa: FBT003

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """Give the node of a text."""
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data.strip() else None)


_Dumper.add_representer(str, _Dumper.represent_str)


def main(arguments: list[str]) -> int:
    """Write the files."""
    if arguments[:1] == ["--release"]:
        home, url, sha256, target = arguments[1:]
        Path(target).write_text(released(home, url, sha256), encoding="utf-8")
        return 0
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
    (ORB / "orb.yml").write_text(dumped(packed()), encoding="utf-8")
    return 0


def generated() -> dict[Path, str]:
    """The files of orb/src that follow from the options."""
    run, gate = ([o for o in OPTIONS if name in o.commands and o.has_variable] for name in ("run", "gate"))
    rule = {
        "rule": {**TEXT, "description": "The rule to judge."},
        "command": {
            **TEXT,
            "description": "What to run if the rule fires: a command line of bash, of sh without bash.",
        },
    }
    image = {"image": {**TEXT, "default": "cimg/base:current", "description": "A Docker image with Python and git."}}
    commands = {
        "commands/run": _component("Decides by the rule file, and triggers the deploy that is due.", run, {}),
        "commands/gate": _component("Judges one rule, and runs a command in place if it fires.", gate, rule),
        "jobs/run": _component("Checks the code out, decides, and triggers the deploy that is due.", run, image),
    }
    commands["jobs/run"]["docker"] = [{"image": "<< parameters.image >>"}]
    commands["jobs/run"]["steps"].insert(0, "checkout")
    head = "# Written by scripts/pack_orb.py from the table of options.\n"
    return {SOURCE / f"{name}.yml": head + dumped(component) for name, component in commands.items()}


def _component(description: str, options: list[Option], more: dict[str, Any]) -> dict[str, Any]:
    """A command or job that installs the product and runs it with these options."""
    install = yaml.safe_load((SOURCE / "commands/install.yml").read_text(encoding="utf-8"))["parameters"]
    environment = {f"ORB_{name.upper()}": f"<< parameters.{name} >>" for name in more if name != "image"}
    for option in options:
        kind = "SWITCH" if option.metavar is None else "PARAM"
        environment[f"{kind}_{option.name.upper()}"] = f"<< parameters.{option.name} >>"
    step = {"name": "deploystep", "environment": environment, "command": "<<include(scripts/deploystep.sh)>>"}
    return {
        "description": description,
        "parameters": {**more, **{option.name: _parameter(option) for option in options}, **install},
        "steps": [{"install": {name: f"<< parameters.{name} >>" for name in install}}, {"run": step}],
    }


def _parameter(option: Option) -> dict[str, Any]:
    if option.metavar is None:
        kind: dict[str, Any] = {"type": "boolean", "default": False}
    elif option.choices:
        kind = {"type": "enum", "enum": ["", *option.choices], "default": ""}
    else:
        kind = TOKEN if option.flag == "--token-env" else {**TEXT, "default": ""}
    return {**kind, "description": f"{option.help[0].upper()}{option.help[1:]}. As `{option.flag}`."}


def packed() -> dict[str, Any]:
    """The whole orb, as `circleci orb pack` puts it together."""
    orb: dict[str, Any] = yaml.safe_load((SOURCE / "@orb.yml").read_text(encoding="utf-8"))
    for kind in KINDS:
        orb[kind] = {path.stem: _included(path) for path in sorted((SOURCE / kind).glob("*.yml"))}
    return orb


def _included(path: Path) -> Any:
    component = yaml.safe_load(path.read_text(encoding="utf-8"))
    for step in component.get("steps", ()):
        if "run" in step:
            run = step["run"]
            run["command"] = re.sub(r"<<include\((.+?)\)>>", lambda found: _script(found[1]), run["command"])
    return component


def _script(name: str) -> str:
    text = (SOURCE / name).read_text(encoding="utf-8")
    if "<<" in text:
        raise SystemExit(f"{name}: CircleCI would read what follows << as a parameter")
    return text


def dumped(value: dict[str, Any]) -> str:
    """YAML in the order of the source."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)


def released(home: str, url: str, sha256: str) -> str:
    """The packed orb of one release."""
    orb = packed()
    for component in (*orb["commands"].values(), *orb["jobs"].values()):
        component["parameters"]["url"]["default"] = url
        component["parameters"]["sha256"]["default"] = sha256
    return dumped(orb).replace("https://HOST/deploystep", home)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
