"""A workflow for one job, behind a parameter: what API v1.1 did without, as lines of a config.

CircleCI docs, "Configuration reference" (`parameters`, `when`) and "Pipeline values and parameters".
"""

import re
from collections.abc import Mapping

from deploystep.migrate import rules
from deploystep.migrate.conditions import Uncertain
from deploystep.migrate.edits import Edit, before
from deploystep.migrate.rules import Trigger
from deploystep.project.reading import Map, Node, Text, at, items_of, key_line, map_of


def edits_for(triggers: list[Trigger], root: Map, lines: list[str]) -> list[Edit]:
    """Declare the parameters, let each open a workflow of its job, and keep the other workflows shut for them.

    Raises Uncertain where the config is not one to which that can be added.
    """
    flags = {name: sent.workflow for sent in triggers for name in sent.parameters}
    if not flags:
        return []
    jobs, workflows = map_of(at(root, "jobs")), map_of(at(root, "workflows"))
    if at(root, "setup") is not None or any(job not in jobs or job in workflows for job in flags.values()):
        raise Uncertain
    if len(flags) < len({sent.workflow for sent in triggers}) or not all("a" <= flag[0] <= "z" for flag in flags):
        raise Uncertain  # one parameter for two jobs, or one of a name that CircleCI does not take
    return [*_declared(flags, root, lines), *_workflows(flags, root, lines)]


def _declared(flags: Mapping[str, str], root: Map, lines: list[str]) -> list[Edit]:
    """The version that knows parameters, and a parameter for each flag."""
    version, declared = at(root, "version"), at(root, "parameters")
    if not isinstance(version, Text) or any(flag in map_of(declared) for flag in flags):
        raise Uncertain
    found: list[Edit] = []
    if version in ("2", "2.0"):
        if any("<<" in line and not re.match(r"\s*(?:-\s+)?<<:\s", line) for line in lines):
            raise Uncertain  # from 2.1 on it begins a parameter
        found.append(Edit((version.line, version.column), version.end, "2.1"))
    new = [rules.declared(flag, value=True) for flag in flags]
    if declared is None:
        return [*found, before(version.line + 1, ["parameters:", *(f"  {text}" for text in new)])]
    indent = _indent(root, "parameters", declared)
    return [*found, before(declared.line, [indent + text for text in new])]


def _workflows(flags: Mapping[str, str], root: Map, lines: list[str]) -> list[Edit]:
    """A workflow for each flag, and `unless:` in the others."""
    opens = [f"<< pipeline.parameters.{flag} >>" for flag in flags]
    shut = f"unless: {opens[0]}" if len(opens) == 1 else f"unless: {{or: [{', '.join(opens)}]}}"
    new = [f"{job}:\n  when: {gate}\n  jobs:\n    - {job}" for job, gate in zip(flags.values(), opens, strict=True)]
    workflows = at(root, "workflows")
    if workflows is None:
        if "build" not in map_of(at(root, "jobs")):
            raise Uncertain
        own = [f"build:\n  {shut}\n  jobs:\n    - build", *new]
        end = len(lines) + bool(lines[-1])
        return [Edit((end, 1), (end, 1), "workflows:\n" + "".join(_indented(text, "  ") for text in own))]
    indent = _indent(root, "workflows", workflows)
    found = []
    for name, workflow in map_of(workflows).items():
        if name == "version" or items_of(at(workflow, "triggers")):
            continue  # a schedule's workflow does not run for a trigger
        if at(workflow, "when") or at(workflow, "unless"):
            raise Uncertain
        found.append(before(workflow.line, [_indent(map_of(workflows), name, workflow) + shut]))
    begin = key_line(root, "workflows")
    end = min((key.line for key in root if key.line > begin), default=len(lines) + 1)
    while re.fullmatch(r"\s*(?:#.*)?", lines[end - 2]):
        end -= 1
    return [*found, Edit((end, 1), (end, 1), "".join(_indented(text, indent) for text in new))]


def _indented(text: str, indent: str) -> str:
    return "".join(f"{indent}{line}\n" for line in text.split("\n"))


def _indent(parent: Map, key: str, value: Node) -> str:
    """What stands before the keys of a map. Raises Uncertain where it is not a key a line, below its own key."""
    first = next(iter(value), None) if isinstance(value, Map) else None
    if first is None or not key_line(parent, key) < first.line == value.line:
        raise Uncertain
    return " " * (first.column - 1)
