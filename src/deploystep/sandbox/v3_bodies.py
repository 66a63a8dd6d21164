"""What the bodies of API v3 may hold. Every refusal points at the place: v3's errors have a JSON pointer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .phases import STATUSES
from .schema import JSON, UUID, BodyError, Ref, TriggerBody, read_parameters
from .vocabulary import read_stamp
from .wire import JsonValue, NotJsonError, Request, read_json

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

MAX_LIMIT = 20
"""Runs on a page; more are refused (CircleCI's CLI)."""
FIELDS = frozenset({"pipeline.git.branch", "pipeline.git.revision", "pipeline.status"})
CLAUSE = re.compile(r'\s*(?P<field>[a-z_.]+)\s*==\s*(?P<text>"(?:[^"\\]|\\.)*")\s*(?:and\s+(?=\S)|\Z)')


class InvalidError(BodyError):
    """A body that v3 refuses, and the JSON pointer to what is wrong with it."""

    def __init__(self, detail: str, pointer: str, title: str = "Invalid Request") -> None:
        super().__init__(detail)
        self.pointer = pointer
        self.title = title


@dataclass(frozen=True, slots=True)
class Node:
    """A JSON value and where it stands; `JsonValue` None is also what is missing."""

    value: JsonValue
    pointer: str = ""

    def wrong(self, detail: str, title: str = "Invalid Request") -> InvalidError:
        """Return the error that this value is."""
        return InvalidError(detail, self.pointer, title)

    def members(self, *allowed: str) -> dict[str, Node]:
        """Read an object that may be missing; other members than those allowed are refused."""
        if self.value is None:
            return {name: Node(None, f"{self.pointer}/{name}") for name in allowed}
        if not isinstance(self.value, dict):
            raise self.wrong("must be an object")
        extra = sorted(set(self.value) - set(allowed))
        if extra:
            raise InvalidError(f"unknown member {extra[0]}", f"{self.pointer}/{extra[0]}")
        return {name: Node(self.value.get(name), f"{self.pointer}/{name}") for name in allowed}

    def text(self) -> str | None:
        """Read a string that may be missing."""
        if self.value is not None and not isinstance(self.value, str):
            raise self.wrong("must be a string")
        return self.value

    def uuid(self) -> str:
        """Read a UUID that must be there."""
        text = self.text()
        if text is None or not UUID.fullmatch(text):
            raise self.wrong("must be a UUID")
        return text.lower()

    def moment(self) -> datetime:
        """Read a time that must be there."""
        moment = read_stamp(self.text() or "")
        if moment is None:
            raise self.wrong("must be a time as RFC 3339 writes it")
        return moment


def _root(request: Request) -> Node:
    """Read a body's JSON. Guess: it must be declared as such, as in v2."""
    if request.content_type != JSON:
        raise InvalidError("the body is not declared as JSON", "")
    try:
        value = read_json(request.body)
    except NotJsonError as error:
        raise InvalidError("the body is not JSON", "") from error
    if not isinstance(value, dict):
        raise InvalidError("must be an object", "")
    return Node(value)


def read_run_body(request: Request) -> TriggerBody:
    """Read the body of `POST /runs`; raises `InvalidError`.

    Only one such body has been seen in public, with a branch. So a tag is refused here, and so is what v2 does
    not have either: a commit. Guess: without a branch the default one is meant, and v2's limits hold.
    """
    data = _root(request).members("data")["data"].members("attributes", "references")
    attributes = data["attributes"].members("config", "checkout", "parameters")
    pipeline = data["references"].members("pipeline")["pipeline"].members("id")
    config = attributes["config"].members("branch")["branch"].text()
    checkout = attributes["checkout"].members("branch")["branch"].text()
    return TriggerBody(
        ref=Ref(branch=checkout if checkout is not None else config),
        parameters=_parameters(attributes["parameters"]),
        definition_id=pipeline["id"].uuid(),
    )


def _parameters(node: Node) -> dict[str, str | int | bool]:
    try:
        return read_parameters({} if node.value is None else node.value)
    except BodyError as error:
        raise node.wrong(str(error)) from error


@dataclass(frozen=True, slots=True)
class Search:
    """What `POST /runs/search` asks for; `clauses` are pairs of a field and the only value wanted."""

    project_ids: frozenset[str]
    start: datetime
    end: datetime
    clauses: tuple[tuple[str, str], ...]
    limit: int
    cursor: str


def read_search_body(request: Request) -> Search:
    """Read the body of `POST /runs/search`; raises `InvalidError`.

    Guess: the scope must be given as a whole, as CircleCI's CLI gives it, and no order but the usual one is known.
    """
    body = _root(request).members("scope", "filter", "order_by", "page")
    scope = body["scope"].members("project_ids", "from", "to")
    page = body["page"].members("cursor", "limit")
    if body["order_by"].text():
        raise body["order_by"].wrong("this order is not known")
    return Search(
        project_ids=frozenset(_ids(scope["project_ids"])),
        start=scope["from"].moment(),
        end=scope["to"].moment(),
        clauses=tuple(_clauses(body["filter"])),
        limit=_limit(page["limit"]),
        cursor=page["cursor"].text() or "",
    )


def _ids(node: Node) -> Iterable[str]:
    if not isinstance(node.value, list) or not node.value:
        raise node.wrong("must be a list of UUIDs")
    return [Node(value, f"{node.pointer}/{index}").uuid() for index, value in enumerate(node.value)]


def _limit(node: Node) -> int:
    limit = MAX_LIMIT if node.value is None else node.value
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_LIMIT:
        raise node.wrong(f"the limit must be from 1 to {MAX_LIMIT}", "Invalid page size")
    return limit


def _clauses(node: Node) -> Iterable[tuple[str, str]]:
    """Read `field == "text" and field == "text"`; more of the grammar is not known."""
    text, position = (node.text() or "").strip(), 0
    while position < len(text):
        found = CLAUSE.match(text, position)
        if found is None or found["field"] not in FIELDS:
            raise node.wrong(f"cannot be understood from character {position} on")
        yield found["field"], _literal(node, found)
        position = found.end()


def _literal(node: Node, found: re.Match[str]) -> str:
    try:
        text = json.loads(found["text"])
    except ValueError as error:
        raise node.wrong(f"{found['text']} is not a string") from error
    if found["field"] == "pipeline.status" and text not in STATUSES:
        raise node.wrong(f"{found['text']} is not a status")
    return str(text)
