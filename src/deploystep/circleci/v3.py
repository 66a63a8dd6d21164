"""API v3: runs and their workflows (CircleCI's cloud only), as far as it is attested.

No reference of these endpoints could be read. What is here is what CircleCI's own command line sends and reads, and one
published script for the trigger. A run's id is that of its v2 pipeline. Not attested, and so not done: a tag, a
revision in the request, and how a run was triggered, for which v2 is asked by the same id.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Final, TypeVar

from deploystep.circleci.answers import Asked, believe, not_created
from deploystep.circleci.recent import Recent, recent_runs
from deploystep.circleci.wire import (
    Failure,
    Json,
    Page,
    Request,
    Response,
    Talk,
    body_of,
    every,
    every_page,
    identity_of,
    moment_of,
    number_of,
    objects,
    ref_of,
    revision_of,
    segment,
    text_of,
)
from deploystep.core.build import Branch, ProjectSlug, Tag
from deploystep.core.deploy import TriggerSpec
from deploystep.core.retry import Repeat
from deploystep.core.runs import Created, Run, WorkflowState

T = TypeVar("T")
_PAGE: Final = 20  # larger pages are refused
_SINCE: Final = timedelta(days=90)  # no workflow can be rerun after that
_OUTCOMES: Final = {"succeeded": "success", "errored": "error"}
_PHASES: Final = {"created": "queued", "queued": "queued", "started": "running"}


def run_request(spec: TriggerSpec, _project: ProjectSlug) -> Request:
    """`POST /runs`: the pipeline definition stands for the project; config and checkout from one branch."""
    where = {"branch": spec.ref.name}
    attributes: dict[str, Json] = {"config": where, "checkout": where}
    if spec.parameters:
        attributes["parameters"] = dict(spec.parameters)
    references = {"pipeline": {"id": spec.definition}}
    data = {"attributes": attributes, "references": references}
    return Request("POST", "/api/v3/runs", Repeat.ONLY_IF_NOT_RECEIVED, {"data": data})


def read_triggered(response: Response, asked: Asked) -> Created:
    """What was created. Raises Refused or Uncertain where nothing certainly was."""
    data = believe(response, asked).get("data")
    identity = text_of(data.get("id")) if isinstance(data, dict) else None
    if not isinstance(data, dict) or identity is None or not identity.isascii():
        raise not_created(response, asked)
    attributes = _attributes(data)
    number = number_of(attributes.get("number"))
    return Created(identity, number, asked.run_url(number), _status(attributes))


def run(_asked: Asked, identity: str) -> Talk[Run | None]:
    """`GET /runs/{id}`; None where it cannot be read."""
    body = body_of((yield Request("GET", f"/api/v3/runs/{segment(identity)}", Repeat.FREELY)))
    data = (body or {}).get("data")
    return _run(data) if isinstance(data, dict) else None


def _attributes(data: Mapping[str, Json]) -> Mapping[str, Json]:
    found = data.get("attributes")
    return found if isinstance(found, dict) else {}


def _run(data: Mapping[str, Json]) -> Run | None:
    identity, attributes = identity_of(data.get("id")), _attributes(data)
    if identity is None:
        return None
    vcs = _vcs(data)
    return Run(
        id=identity,
        number=number_of(attributes.get("number")),
        revision=revision_of(vcs.get("revision")),
        ref=ref_of(vcs.get("branch"), vcs.get("tag")),
        created=moment_of(attributes.get("created_at")),
        is_errored=_status(attributes) == "error",
        is_forming=attributes.get("phase") in ("created", "queued"),
        errors=tuple(words for e in objects(attributes.get("errors")) if (words := text_of(e.get("message")))),
    )


def _vcs(data: Mapping[str, Json]) -> Mapping[str, Json]:
    match data:
        case {"references": {"event": {"attributes": {"vcs": dict(vcs)}}}}:
            return vcs
        case _:
            return {}


def _status(attributes: Mapping[str, Json]) -> str:
    """Phase and outcome as v2's one word; a phase that is not known stays what it is."""
    phase = text_of(attributes.get("phase")) or ""
    outcome = text_of(attributes.get("outcome")) or text_of(attributes.get("current_outcome")) or ""
    if phase == "ended":
        return _OUTCOMES.get(outcome, outcome)
    if phase == "started" and outcome in ("failed", "on_hold"):
        return "failing" if outcome == "failed" else outcome
    return _PHASES.get(phase, phase)


def workflows(_asked: Asked, identity: str) -> Talk[tuple[WorkflowState, ...] | None]:
    """`GET /workflows?filter[run_id]=`; a 404 means that there are none yet, or that they may not be seen."""

    def request(cursor: str | None) -> Request:
        query = {"filter[run_id]": identity, **({"page[cursor]": cursor} if cursor else {})}
        return Request("GET", "/api/v3/workflows", Repeat.FREELY, query=query)

    return every_page(request, _read_workflows)


def _read_workflows(result: Response | Failure) -> Page[WorkflowState] | None:
    if isinstance(result, Response) and result.status == 404:  # noqa: PLR2004
        return Page((), None)
    return _read_page(result, _workflow)


def _read_page(result: Response | Failure, read: Callable[[Mapping[str, Json]], T | None]) -> Page[T] | None:
    body = body_of(result) or {}
    page, items = body.get("page"), every(body.get("data"), read)
    following = text_of(page.get("next")) if isinstance(page, dict) else None
    return None if items is None else Page(items, following)


def _workflow(item: Mapping[str, Json]) -> WorkflowState | None:
    attributes = _attributes(item)
    match item, attributes:
        case {"id": str(workflow)}, {"name": str(name)} if identity_of(workflow):
            created = moment_of(attributes.get("created_at"))
            return WorkflowState(workflow, name, _status(attributes), attributes.get("tag") == "setup", created)
        case _:
            return None


def cancel(_asked: Asked, workflow: WorkflowState) -> Request:
    """`POST /workflows/{id}/cancel`; cancelling twice does no harm."""
    return Request("POST", f"/api/v3/workflows/{segment(workflow.id)}/cancel", Repeat.FREELY)


def recent(asked: Asked, enough: Callable[[tuple[Run, ...]], bool], now: datetime) -> Talk[Recent | Response | Failure]:
    """The branch's runs of the last 90 days, newest first (`POST /runs/search`); how each was triggered is not told."""
    project = asked.project_id
    if project is None:
        result = yield _project_request(asked.project)
        project = _read_project(result)
        if project is None:
            return result
    return (yield from recent_runs(_search(asked.ref, project, now), lambda r: _read_page(r, _run), enough))


def _search(ref: Branch | Tag, project: str, now: datetime) -> Callable[[str | None], Request]:
    quoted = ref.name.replace("\\", "\\\\").replace('"', '\\"')
    scope = {"project_ids": [project], "from": _stamp(now - _SINCE), "to": _stamp(now + timedelta(days=1))}

    def request(cursor: str | None) -> Request:
        page = {"cursor": cursor or "", "limit": _PAGE}
        body = {"scope": scope, "filter": f'pipeline.git.branch == "{quoted}"', "page": page}
        return Request("POST", "/api/v3/runs/search", Repeat.FREELY, body)

    return request


def _stamp(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _project_request(project: ProjectSlug) -> Request:
    return Request("GET", "/api/v3/projects", Repeat.FREELY, query={"filter[slug]": str(project)})


def _read_project(result: Response | Failure) -> str | None:
    found = objects((body_of(result) or {}).get("data"))
    return text_of(found[0].get("id")) if found else None
