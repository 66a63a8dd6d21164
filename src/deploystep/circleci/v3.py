"""API v3: runs and their workflows (CircleCI's cloud only), as far as it is attested.

No reference of these endpoints could be read. What is here is what CircleCI's own command line sends and reads, and one
published script for the trigger. A run's id is that of its v2 pipeline. Not attested, and so not done: a tag, a
revision in the request, and how a run was triggered, for which v2 is asked by the same id.
"""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Final, TypeVar

from deploystep.circleci.client import Enough, Recent
from deploystep.circleci.errors import accepted_body, not_created
from deploystep.circleci.http import (
    Failure,
    JsonObject,
    Page,
    Request,
    Response,
    body_of,
    every,
    reading,
    ref_of,
    segment,
)
from deploystep.circleci.v2 import V2, completed, pipeline
from deploystep.core.deploy import TriggerSpec
from deploystep.core.frozen import replace
from deploystep.core.retry import Repeat
from deploystep.core.runs import Created, Run, WorkflowState

T = TypeVar("T")
_PAGE: Final = 20  # larger pages are refused
_SINCE: Final = timedelta(days=90)  # no workflow can be rerun after that
_OUTCOMES: Final = {"succeeded": "success", "errored": "error"}
_PHASES: Final = {"created": "queued", "queued": "queued", "started": "running"}


def run_request(spec: TriggerSpec) -> Request:
    """`POST /runs`: the pipeline definition stands for the project; config and checkout from one branch."""
    where = {"branch": spec.ref.name}
    parameters = {"parameters": dict(spec.parameters)} if spec.parameters else {}
    data = {
        "attributes": {"config": where, "checkout": where, **parameters},
        "references": {"pipeline": {"id": spec.definition}},
    }
    return Request("POST", "/api/v3/runs", Repeat.ONLY_IF_NOT_RECEIVED, {"data": data})


class V3(V2):
    """API v3 for one project and branch. What a run was compiled to, and its jobs, v2 tells by the same ids."""

    _workflows = "/api/v3/workflows"

    def read_created(self, response: Response) -> Created:
        """The run that was created. Raises Refused or Uncertain where none certainly was."""
        body = accepted_body(response, self.context)
        identity, number = body.identity("data", "id"), body.number("data", "attributes", "number")
        if identity is None:
            raise not_created(response, self.context)
        return Created(identity, number, self.context.run_url(number), _status(JsonObject(body.get("data"))))

    def run(self, run_id: str) -> Run | None:
        """`GET /runs/{id}`; None where it cannot be read. An answer of another, or without a phase, is no answer."""
        data = JsonObject(JsonObject(body_of(self.client.get(f"/api/v3/runs/{segment(run_id)}"))).get("data"))
        return _run(data) if data.get("id") == run_id and data.text("attributes", "phase") else None

    def workflows(self, run_id: str) -> tuple[WorkflowState, ...] | None:
        """`GET /workflows?filter[run_id]=`; a 404 means that there are none yet, or that they may not be seen."""

        def read(result: Response | Failure) -> Page[WorkflowState] | None:
            is_missing = isinstance(result, Response) and result.status == 404  # noqa: PLR2004
            return Page((), None) if is_missing else _page(result, _workflow)

        def following(first: Request, cursor: str) -> Request:
            return replace(first, query={**first.query, "page[cursor]": cursor})

        return self.client.pages(reading(self._workflows, **{"filter[run_id]": run_id}), read, following)

    def recent(self, enough: Enough) -> Recent | Response | Failure:
        """The branch's runs of the last 90 days (`POST /runs/search`); how each was triggered is not told."""
        project = self.context.project_id
        if project is None:
            result = self.client.get("/api/v3/projects", **{"filter[slug]": str(self.context.project)})
            found = every(JsonObject(body_of(result)).get("data"), lambda item: item.identity("id"))
            if not found:
                return result
            project = found[0]
        search = self._search(project, self.client.clock.now())
        return self.client.runs(search(""), lambda r: _page(r, _run), lambda _, cursor: search(cursor), enough)

    def _search(self, project: str, now: datetime) -> Callable[[str], Request]:
        quoted = self.context.ref.name.replace("\\", "\\\\").replace('"', '\\"')
        scope = {"project_ids": [project], "from": _stamp(now - _SINCE), "to": _stamp(now + timedelta(days=1))}

        def request(cursor: str) -> Request:
            page = {"cursor": cursor, "limit": _PAGE}
            body = {"scope": scope, "filter": f'pipeline.git.branch == "{quoted}"', "page": page}
            return Request("POST", "/api/v3/runs/search", Repeat.FREELY, body)

        return request

    def details(self, run: Run) -> Run:
        """The run with how it was triggered, which v2 tells by the same id, and its revision."""
        if run.is_by_api is None:
            run = completed(run, pipeline(self.client, run.id))
        return run if run.revision else completed(run, self.run(run.id))


def _page(result: Response | Failure, read: Callable[[JsonObject], T | None]) -> Page[T] | None:
    body = JsonObject(body_of(result))
    items, following = every(body.get("data"), read), body.get("page", "next")
    is_told = following is None or isinstance(following, str)  # what names no page does not say that it is the last
    return Page(items, following or None) if items is not None and is_told else None


def _run(data: JsonObject) -> Run | None:
    identity, vcs = data.identity("id"), ("references", "event", "attributes", "vcs")
    if identity is None:
        return None
    return Run(
        id=identity,
        number=data.number("attributes", "number"),
        revision=data.revision(*vcs, "revision"),
        ref=ref_of(data.text(*vcs, "branch"), data.text(*vcs, "tag")),
        created=data.moment("attributes", "created_at"),
        is_errored=_status(data) == "error",
        is_forming=data.get("attributes", "phase") in ("created", "queued"),
        errors=data.messages("attributes", "errors"),
    )


def _workflow(item: JsonObject) -> WorkflowState | None:
    identity, name = item.identity("id"), item.text("attributes", "name")
    if identity is None or name is None:
        return None
    is_setup, created = item.get("attributes", "tag") == "setup", item.moment("attributes", "created_at")
    return WorkflowState(identity, name, _status(item), is_setup, created)


def _status(data: JsonObject) -> str:
    """Phase and outcome as v2's one word; a phase that is not known stays what it is."""
    phase = data.text("attributes", "phase") or ""
    outcome = data.text("attributes", "outcome") or data.text("attributes", "current_outcome") or ""
    if phase == "ended":
        return _OUTCOMES.get(outcome, outcome)
    if phase == "started" and outcome in ("failed", "on_hold"):
        return "failing" if outcome == "failed" else outcome
    return _PHASES.get(phase, phase)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
