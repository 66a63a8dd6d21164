"""What the bodies of requests may hold: readers of JSON values, which refuse what the API refuses and say where it is.

A reader takes a value and its JSON pointer and returns what it has read, or raises `BodyError`.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from .messages import NOTHING, JsonValue, Request, Scalar

Reader: TypeAlias = Callable[[JsonValue, str], JsonValue]

MAX_PARAMETERS, MAX_KEY, MAX_VALUE = 100, 128, 512
"""Entries, and characters of each (v2 OpenAPI, pipelineRequest)."""
MAX_LIMIT = 20
"""Runs on a page of v3's search; more are refused (CircleCI's CLI)."""

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
JSON = "application/json"
SEARCH_FIELDS = frozenset({"pipeline.git.branch", "pipeline.git.revision"})
CLAUSE = re.compile(r'\s*(?P<field>[a-z_.]+)\s*==\s*(?P<text>"(?:[^"\\]|\\.)*")\s*(?:and\s+(?=\S)|\Z)')


class BodyError(ValueError):
    """A body that the API refuses: why, and the JSON pointer to what is wrong with it."""

    def __init__(self, detail: str, pointer: str = "", title: str = "Invalid Request") -> None:
        super().__init__(f"`{pointer[1:]}` {detail}" if pointer else f"the body {detail}")
        self.detail = detail
        self.pointer = pointer
        self.title = title


def decoded(body: bytes) -> JsonValue:
    """Decode one JSON document; raises `BodyError`, also for `NaN` and for nesting too deep to be read."""
    try:
        return json.loads(body, parse_constant=int)
    except (ValueError, RecursionError) as error:
        raise BodyError("is not JSON") from error


# Readers


def kind_of(kind: type | tuple[type, ...], words: str) -> Reader:
    """Make a reader of values of one type; a boolean is no number."""

    def read(value: JsonValue, pointer: str) -> JsonValue:
        if not isinstance(value, kind) or isinstance(value, bool):
            raise BodyError(f"must be {words}", pointer)
        return value

    return read


string = kind_of(str, "a string")
integer = kind_of(int, "an integer")
number = kind_of((int, float), "a number")


def members(shape: Mapping[str, Reader], *, is_open: bool = False) -> Reader:
    """Make a reader of objects: each member by its reader; a name that ends in `!` must be there.

    Other members are refused, or passed over where the shape `is_open`.
    """
    readers = {name.rstrip("!"): reader for name, reader in shape.items()}
    required = [name[:-1] for name in shape if name.endswith("!")]

    def read(value: JsonValue, pointer: str) -> JsonValue:
        if not isinstance(value, dict):
            raise BodyError("must be an object", pointer)
        wrong = [name for name in required if name not in value]
        if wrong:
            raise BodyError("is required", f"{pointer}/{wrong[0]}")
        wrong = sorted(set(value) - set(readers))
        if wrong and not is_open:
            raise BodyError("is not a known member", f"{pointer}/{wrong[0]}")
        return {name: reader(value[name], f"{pointer}/{name}") for name, reader in readers.items() if name in value}

    return read


def map_of(reader: Reader) -> Reader:
    """Make a reader of objects with any names."""

    def read(value: JsonValue, pointer: str) -> JsonValue:
        return members(dict.fromkeys(value if isinstance(value, dict) else (), reader))(value, pointer)

    return read


def list_of(reader: Reader) -> Reader:
    """Make a reader of lists that are not empty."""

    def read(value: JsonValue, pointer: str) -> JsonValue:
        if not isinstance(value, list) or not value:
            raise BodyError("must be a list that is not empty", pointer)
        return [reader(entry, f"{pointer}/{index}") for index, entry in enumerate(value)]

    return read


def uuid(value: JsonValue, pointer: str) -> str:
    """Read a UUID, into lower case."""
    if not isinstance(value, str) or not UUID.fullmatch(value):
        raise BodyError("must be a UUID", pointer)
    return value.lower()


def moment(value: JsonValue, pointer: str) -> datetime:
    """Read a time with its zone, as RFC 3339 writes it."""
    text = string(value, pointer)
    try:
        # Before Python 3.11 `fromisoformat` does not know `Z`.
        found = datetime.fromisoformat(re.sub("[Zz]$", "+00:00", text))
    except ValueError:
        found = None
    if found is None or found.utcoffset() is None:
        raise BodyError("must be a time with its zone, such as 2026-06-16T08:02:11Z", pointer)
    return found


def parameters(value: JsonValue, pointer: str) -> Mapping[str, Scalar]:
    """Read a pipeline's parameters, within the limits that v2's document says in words."""
    entries: dict[str, Scalar] = map_of(lambda entry, _pointer: entry)(value, pointer)
    if len(entries) > MAX_PARAMETERS:
        raise BodyError(f"has more than {MAX_PARAMETERS} entries", pointer)
    for name, entry in entries.items():
        if not isinstance(entry, (str, int, bool)):
            raise BodyError("holds something that is no string, integer or boolean", pointer)
        if len(name) > MAX_KEY or (isinstance(entry, str) and len(entry) > MAX_VALUE):
            raise BodyError(f"holds a name longer than {MAX_KEY} or a value longer than {MAX_VALUE}", pointer)
    return entries


# Triggers


@dataclass(frozen=True, slots=True)
class TriggerBody:
    """What was asked for, whichever API asked. Without branch and tag the default branch is meant.

    Only v1.1 can pin a `revision` and names a `job`; only v2's `pipeline/run` and v3 name a pipeline definition.
    """

    branch: str | None = None
    tag: str | None = None
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    definition_id: str | None = None
    revision: str | None = None
    job: str = "build"


REF_SHAPE = {"branch": string, "tag": string}


def ref(value: JsonValue, pointer: str) -> Mapping[str, str]:
    """Read a branch or a tag; both exclude each other."""
    found: dict[str, str] = members(REF_SHAPE)(value, pointer)
    if len(found) > 1:
        raise BodyError("holds a branch and a tag", pointer)
    return found


RUN = members({"definition_id": uuid, "config": ref, "checkout": ref, "parameters": parameters})
PIPELINE = members({**REF_SHAPE, "parameters": parameters}, is_open=True)
V3_BRANCH = members({"branch": string})
V3_RUN = members({
    "data!": members({
        "attributes": members({"config": V3_BRANCH, "checkout": V3_BRANCH, "parameters": parameters}),
        "references!": members({"pipeline!": members({"id!": uuid})}),
    })
})  # fmt: skip


def read_run_body(request: Request) -> TriggerBody:
    """Read the body of v2 `triggerPipelineRun`, where no key is required and none but the four known is allowed."""
    if not request.body:
        return TriggerBody()
    if request.content_type != JSON:
        raise BodyError("is not declared as JSON")
    body = RUN(decoded(request.body), "")
    where = body.get("checkout", body.get("config", {}))
    return TriggerBody(**where, parameters=body.get("parameters", NOTHING), definition_id=body.get("definition_id"))


def read_pipeline_body(request: Request) -> TriggerBody:
    """Read the body of v2 `triggerPipeline`.

    The document allows other keys and a null body. A body that is not declared as JSON goes unread, without a
    word, as the real one was seen to do.
    """
    value = decoded(request.body) if request.body and request.content_type == JSON else None
    body = PIPELINE(value, "") if value is not None else {}
    if "branch" in body and "tag" in body:
        raise BodyError("holds a branch and a tag")
    return TriggerBody(**body)


def read_v3_run_body(request: Request) -> TriggerBody:
    """Read the body of v3 `POST /runs`.

    Only one such body has been seen in public, with a branch. So a tag is refused here, and so is what v2 does
    not have either: a commit. Guess: it must be declared as JSON, and v2's limits hold.
    """
    data = V3_RUN(_json(request), "")["data"]
    attributes = data.get("attributes", {})
    where = attributes.get("checkout") or attributes.get("config") or {}
    definition = data["references"]["pipeline"]["id"]
    return TriggerBody(**where, parameters=attributes.get("parameters", NOTHING), definition_id=definition)


def read_build_body(request: Request, branch: str) -> TriggerBody:
    """Read the body of v1.1 `POST .../tree/:branch`: JSON, if there is one.

    Build parameters become environment variables, so their values turn into strings.
    """
    body = decoded(request.body.strip() or b"{}")
    known = {"build_parameters": map_of(lambda value, _pointer: _as_text(value)), "revision": string}
    present = {k: v for k, v in body.items() if v is not None} if isinstance(body, dict) else body
    found = members(known, is_open=True)(present, "")
    given = found.get("build_parameters", {})
    return TriggerBody(
        branch=branch,
        parameters=given,
        revision=found.get("revision") or None,
        job=given.get("CIRCLE_JOB", "build"),
    )


def _json(request: Request) -> JsonValue:
    if request.content_type != JSON:
        raise BodyError("is not declared as JSON")
    return decoded(request.body)


def _as_text(value: JsonValue) -> str:
    """Stringify as JSON spells it, so that true does not become Python's True."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


# v3's search


def _limit(value: JsonValue, pointer: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_LIMIT:
        raise BodyError(f"must be from 1 to {MAX_LIMIT}", pointer, "Invalid page size")
    return value


def _order(value: JsonValue, pointer: str) -> str:
    if value:
        raise BodyError("must be empty: no other order is known", pointer)
    return ""


def _clauses(value: JsonValue, pointer: str) -> Mapping[str, str]:
    """Read `field == "text" and field == "text"`; more of the grammar is not known."""
    text, position = string(value, pointer).strip(), 0
    clauses = {}
    while position < len(text):
        found = CLAUSE.match(text, position)
        if found is None or found["field"] not in SEARCH_FIELDS:
            raise BodyError(f"cannot be understood from character {position} on", pointer)
        try:
            clauses[found["field"]] = json.loads(found["text"])
        except ValueError:
            raise BodyError(f"holds {found['text']}, which is no string", pointer) from None
        position = found.end()
    return clauses


SCOPE = members({"project_ids!": list_of(uuid), "from!": moment, "to!": moment})
PAGE = members({"cursor": string, "limit": _limit})
SEARCH = members({"scope!": SCOPE, "filter": _clauses, "order_by": _order, "page": PAGE})


def read_search_body(request: Request) -> JsonValue:
    """Read the body of v3 `POST /runs/search`.

    Guess: the scope must be given as a whole, as CircleCI's CLI gives it, and no order but the usual one is known.
    """
    return SEARCH(_json(request), "")
