"""API v3: runs and their workflows (CircleCI's cloud only), as far as it is attested.

No reference of these endpoints could be read. What is here is what CircleCI's own command line sends and reads, and one
published script for the trigger. A run's id is that of its v2 pipeline. Not attested, and so not done: a tag, a
revision in the request, and how a run was triggered, for which v2 is asked by the same id.
"""

from datetime import datetime, timedelta, timezone
from typing import Final

from deploystep.circleci import http
from deploystep.circleci.client import Enough, Recent
from deploystep.circleci.errors import accepted_body, not_created
from deploystep.circleci.http import JsonObject, Page, Request, Response, Result, body_of, segment
from deploystep.circleci.v2 import V2, completed, pipeline
from deploystep.core.retry import Repeat
from deploystep.core.runs import Created, Run, WorkflowState

_PAGE: Final = 20  # larger pages are refused
_SINCE: Final = timedelta(days=90)  # no workflow can be rerun after that
#: Phase and, where it matters, outcome as v2's one word; what is not here stays what it is.
_STATUS: Final = {
    ("ended", "succeeded"): "success",
    ("ended", "errored"): "error",
    ("started", "failed"): "failing",
    ("started", "on_hold"): "on_hold",
    "created": "queued",
    "queued": "queued",
    "started": "running",
}


class V3(V2):
    """API v3 for one project and branch. What a run was compiled to, and its jobs, v2 tells by the same ids."""

    _place = "/api/v3/workflows"

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

        def read(result: Result) -> Page[WorkflowState] | None:
            is_missing = isinstance(result, Response) and result.status == 404  # noqa: PLR2004
            return ((), None) if is_missing else _WORKFLOWS(result)

        return self.client.pages(http.listing(self._place, "page[cursor]", **{"filter[run_id]": run_id}), read)

    def recent(self, enough: Enough) -> Recent | Result:
        """The branch's runs of the last 90 days (`POST /runs/search`); how each was triggered is not told."""
        project, now = self.context.project_id, self.client.clock.now()
        if project is None:
            result = self.client.get("/api/v3/projects", **{"filter[slug]": str(self.context.project)})
            found = http.every(JsonObject(body_of(result)).get("data"), lambda item: item.identity("id"))
            if not found:
                return result
            project = found[0]
        quoted = self.context.ref.name.replace("\\", "\\\\").replace('"', '\\"')
        scope = {"project_ids": [project], "from": _stamp(now - _SINCE), "to": _stamp(now + timedelta(days=1))}

        def ask(cursor: str) -> Request:
            page = {"cursor": cursor, "limit": _PAGE}
            body = {"scope": scope, "filter": f'pipeline.git.branch == "{quoted}"', "page": page}
            return Request("POST", "/api/v3/runs/search", Repeat.FREELY, body)

        return self.client.runs(ask, http.page_of(_run, "data", "page", "next"), enough)

    def details(self, run: Run) -> Run:
        """The run with how it was triggered, which v2 tells by the same id, and its revision."""
        if run.is_by_api is None:
            run = completed(run, pipeline(self.client, run.id))
        return run if run.revision else completed(run, self.run(run.id))


def _run(data: JsonObject) -> Run | None:
    identity, vcs = data.identity("id"), ("references", "event", "attributes", "vcs")
    if identity is None:
        return None
    return Run(
        id=identity,
        number=data.number("attributes", "number"),
        revision=data.revision(*vcs, "revision"),
        ref=data.ref(*vcs),
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


_WORKFLOWS: Final = http.page_of(_workflow, "data", "page", "next")


def _status(data: JsonObject) -> str:
    phase = data.text("attributes", "phase") or ""
    outcome = data.text("attributes", "outcome") or data.text("attributes", "current_outcome") or ""
    return _STATUS.get((phase, outcome)) or (outcome if phase == "ended" else _STATUS.get(phase, phase))


def _stamp(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
