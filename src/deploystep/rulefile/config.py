"""What a project's `.circleci/config.yml` says of workflows, jobs and parameters, as far as it certainly says it.

CircleCI docs, "Configuration reference": `parameters` and `workflows` at the top; a workflow's job can be renamed
(`name:`) and multiplied (`matrix:`); a `setup: true` config is replaced by another, of which nothing is known here.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import yaml

from deploystep.core.frozen import dataclass

Plain: TypeAlias = Any  #: YAML as it came; read into values here and nowhere else


@dataclass(frozen=True, slots=True)
class Declared:
    """A pipeline parameter: its type in CircleCI's words, and the values of an enum."""

    type: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProjectConfig:
    """A config. `jobs` is None where their names cannot be told without compiling it."""

    path: str
    workflows: frozenset[str]
    jobs: frozenset[str] | None
    parameters: Mapping[str, Declared]


def read_config(path: str, text: str) -> ProjectConfig | None:
    """Read a config; None where nothing certain can be said about what it runs."""
    try:
        config = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    if not isinstance(config, dict) or config.get("setup") not in (None, False):
        return None
    workflows = {k: v for k, v in _map(config.get("workflows")).items() if k != "version" and isinstance(v, dict)}
    entries = [entry for workflow in workflows.values() for entry in _list(workflow.get("jobs"))]
    names = [_job_name(entry) for entry in entries]
    return ProjectConfig(
        path=path,
        workflows=frozenset(map(str, workflows)),
        jobs=None if None in names else frozenset(name for name in names if name),
        parameters=dict(_parameters(_map(config.get("parameters")))),
    )


def _parameters(written: Mapping[Plain, Plain]) -> Iterator[tuple[str, Declared]]:
    for name, declared in written.items():
        fields = _map(declared)
        yield str(name), Declared(str(fields.get("type", "string")), tuple(map(str, _list(fields.get("enum")))))


def _job_name(entry: Plain) -> str | None:
    """What the job is called in the workflow; None where only compiling tells."""
    if isinstance(entry, str):
        return entry
    if not isinstance(entry, dict) or len(entry) != 1:
        return None
    job, fields = next(iter(entry.items()))
    name = _map(fields).get("name", job)
    return None if "matrix" in _map(fields) or "<<" in str(name) else str(name)


def _map(value: Plain) -> Mapping[Plain, Plain]:
    return value if isinstance(value, dict) else {}


def _list(value: Plain) -> list[Plain]:
    return value if isinstance(value, list) else []
