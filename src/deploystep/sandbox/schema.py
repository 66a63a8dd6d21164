"""What a trigger's body may hold, checked as strictly as the documents say, and read into values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import parse_qsl

from .wire import JsonValue, NotJsonError, Request, read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

Scalar: TypeAlias = str | int | bool

MAX_PARAMETERS = 100
"""Entries (v2 OpenAPI, pipelineRequest)."""
MAX_KEY = 128
"""Characters (same source)."""
MAX_VALUE = 512
"""Characters (same source)."""

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
FORM_PARAMETER = re.compile(r"build_parameters\[([^\]]+)\]")
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


class BodyError(ValueError):
    """A body that the API refuses; the text says why, for APIs that do."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A branch or a tag, or neither: then the default branch is meant."""

    branch: str | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class TriggerBody:
    """What was asked for, whichever API asked.

    `revision` can only be pinned in v1.1, `definition_id` only be named in v2 `pipeline/run`. `job` is v1.1's.
    """

    ref: Ref = field(default_factory=Ref)
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    definition_id: str | None = None
    revision: str | None = None
    job: str = "build"


def read_run_body(request: Request) -> TriggerBody:
    """Read the body of v2 `triggerPipelineRun`; raises `BodyError`.

    No key is required and none but the four known is allowed, at either level (v2 OpenAPI, pipelineRequest).
    """
    if not request.body:
        return TriggerBody()
    if request.content_type != JSON:
        raise BodyError("the body is not declared as JSON")
    body = _object(_decoded(request.body), "body", {"definition_id", "config", "checkout", "parameters"})
    config = _ref(_object(body.get("config", {}), "config", {"branch", "tag"}))
    checkout = _ref(_object(body.get("checkout", {}), "checkout", {"branch", "tag"}))
    return TriggerBody(
        ref=checkout if "checkout" in body else config,
        parameters=read_parameters(body.get("parameters", {})),
        definition_id=_uuid(body["definition_id"]) if "definition_id" in body else None,
    )


def read_pipeline_body(request: Request) -> TriggerBody:
    """Read the body of v2 `triggerPipeline`; raises `BodyError`.

    The document allows other keys and a null body. A body that is not declared as JSON goes unread, without
    a word, as the real one was seen to do.
    """
    if not request.body or request.content_type != JSON:
        return TriggerBody()
    body = _decoded(request.body)
    if body is None:
        return TriggerBody()
    fields = _object(body, "body")
    return TriggerBody(ref=_ref(fields), parameters=read_parameters(fields.get("parameters", {})))


def read_build_body(request: Request, branch: str) -> TriggerBody:
    """Read the body of v1.1 `POST .../tree/:branch`, JSON or form-encoded; raises `BodyError`.

    Build parameters become environment variables, so their values turn into strings.
    """
    body = _form(request.body) if request.content_type == FORM else _json_or_nothing(request.body)
    given = body.get("build_parameters")
    given = _object({} if given is None else given, "build_parameters")
    parameters = {name: _as_text(value) for name, value in given.items()}
    revision = body.get("revision")
    if revision is not None and not isinstance(revision, str):
        raise BodyError("revision must be a string")
    return TriggerBody(
        ref=Ref(branch=branch),
        parameters=parameters,
        revision=revision or None,
        job=parameters.get("CIRCLE_JOB", "build"),
    )


def check_rerun_body(request: Request) -> None:
    """Check the body of v2 `rerunWorkflow`, which may be missing or null; raises `BodyError`.

    What excludes or requires what is said in the document's words only (RerunWorkflowParameters).
    """
    decoded = _decoded(request.body) if request.body.strip() else None
    fields = {} if decoded is None else _object(decoded, "body")
    for name in ("enable_ssh", "from_failed", "sparse_tree"):
        if not isinstance(fields.get(name, False), bool):
            raise BodyError(f"{name} must be a boolean")
    given = fields.get("jobs", [])
    if not isinstance(given, list) or not all(isinstance(job, str) and UUID.fullmatch(job) for job in given):
        raise BodyError("jobs must be a list of UUIDs")
    if fields.get("from_failed") and "jobs" in fields:
        raise BodyError("from_failed and jobs are mutually exclusive")
    if (fields.get("enable_ssh") or fields.get("sparse_tree")) and "jobs" not in fields:
        raise BodyError("enable_ssh and sparse_tree require jobs")


def _decoded(body: bytes) -> JsonValue:
    try:
        return read_json(body)
    except NotJsonError as error:
        raise BodyError("the body is not JSON") from error


def _json_or_nothing(body: bytes) -> dict[str, JsonValue]:
    return _object(_decoded(body), "body") if body.strip() else {}


def _form(body: bytes) -> dict[str, JsonValue]:
    """Read `a=1&build_parameters[X]=y` as the JSON body that says the same."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True)
    except (UnicodeDecodeError, ValueError) as error:
        raise BodyError("the body is not form-encoded") from error
    plain = {name: value for name, value in pairs if not FORM_PARAMETER.fullmatch(name)}
    found = ((FORM_PARAMETER.fullmatch(name), value) for name, value in pairs)
    return {**plain, "build_parameters": {match[1]: value for match, value in found if match}}


def _object(value: JsonValue, what: str, allowed: set[str] | None = None) -> dict[str, JsonValue]:
    if not isinstance(value, dict):
        raise BodyError(f"{what} must be an object")
    extra = set(value) - allowed if allowed is not None else set()
    if extra:
        raise BodyError(f"{what} has unexpected keys: {', '.join(sorted(extra))}")
    return value


def _ref(value: Mapping[str, JsonValue]) -> Ref:
    if "branch" in value and "tag" in value:
        raise BodyError("branch and tag are mutually exclusive")
    for name in ("branch", "tag"):
        if name in value and not isinstance(value[name], str):
            raise BodyError(f"{name} must be a string")
    return Ref(branch=value.get("branch"), tag=value.get("tag"))


def _uuid(value: JsonValue) -> str:
    if not isinstance(value, str) or not UUID.fullmatch(value):
        raise BodyError("definition_id must be a UUID")
    return value


def read_parameters(value: JsonValue) -> dict[str, Scalar]:
    """Read a pipeline's parameters; raises `BodyError`."""
    entries = _object(value, "parameters")
    if len(entries) > MAX_PARAMETERS:
        raise BodyError(f"more than {MAX_PARAMETERS} parameters")
    for name, entry in entries.items():
        _check_parameter(name, entry)
    return entries


def _check_parameter(name: str, value: JsonValue) -> None:
    if len(name) > MAX_KEY:
        raise BodyError(f"a parameter's name is longer than {MAX_KEY} characters")
    if not isinstance(value, (str, int, bool)):
        raise BodyError(f"parameter {name} must be a string, an integer or a boolean")
    if isinstance(value, str) and len(value) > MAX_VALUE:
        raise BodyError(f"parameter {name} is longer than {MAX_VALUE} characters")


def _as_text(value: JsonValue) -> str:
    """Stringify as JSON would spell it, so that true does not become Python's True."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
