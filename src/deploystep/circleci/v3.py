"""API v3, attested by CircleCI's own command line and one published script only: not for a tag or a revision."""

from datetime import timedelta, timezone
from typing import Final

from deploystep.circleci import http
from deploystep.circleci.client import Enough, Recent
from deploystep.circleci.http import JsonObject, Page, Request, Response, Result, body_of
from deploystep.circleci.v2 import V2, Reader, completed, read_run, read_workflow
from deploystep.core.errors import ToolError
from deploystep.core.retry import Repeat
from deploystep.core.runs import Run, WorkflowState

#: Outcomes in v2's words; what is not here stays what it is, or runs.
_ENDED: Final = {"succeeded": "success", "errored": "error"}
_STARTED: Final = {"failed": "failing", "on_hold": "on_hold"}


class V3(V2):
    """API v3 for one project and branch. What a run was compiled to, and its jobs, v2 tells by the same ids."""

    _runs, _workflows = "/api/v3/runs", "/api/v3/workflows"
    _has_number = False

    def _no(self, _words: str, /) -> ToolError | None:
        return None  # none are attested

    def _as_v2(self, body: JsonObject) -> JsonObject:
        data = JsonObject(body.get("data")) if body.get("attributes") is None else body  # an item of a list is bare
        phase = data.text("attributes", "phase") or ""
        outcome = data.text("attributes", "outcome") or data.text("attributes", "current_outcome") or ""
        is_new = phase in ("created", "queued")
        status = "queued" if is_new else _STARTED.get(outcome, "running") if phase == "started" else phase
        status = _ENDED.get(outcome, outcome) if phase == "ended" else status
        state = "errored" if status == "error" else "pending" if is_new else phase and "created"
        same = {key: data.get("attributes", key) for key in ("number", "created_at", "errors", "name", "tag")}
        vcs = data.get("references", "event", "attributes", "vcs")
        return JsonObject({"id": data.get("id"), "state": state, "status": status or "unknown", "vcs": vcs, **same})

    def workflows(self, run_id: str) -> tuple[WorkflowState, ...] | None:
        """`GET /workflows?filter[run_id]=`; a 404 means that there are none yet, or that they may not be seen."""
        read_page = http.page_of(lambda item: read_workflow(self._as_v2(item)), "data", ("page", "next"))

        def read(result: Result) -> Page[WorkflowState] | None:
            is_missing = isinstance(result, Response) and result.status == 404  # noqa: PLR2004
            return ((), None) if is_missing else read_page(result)

        return self.client.pages(http.listing(self._workflows, "page[cursor]", **{"filter[run_id]": run_id}), read)

    def recent(self, enough: Enough) -> Recent | Result:
        """The branch's runs of the last 90 days (`POST /runs/search`), after which no workflow can be rerun."""
        project, now = self.context.project_id, self.client.clock.now().astimezone(timezone.utc)
        if project is None:
            result = self.client.get("/api/v3/projects", **{"filter[slug]": str(self.context.project)})
            found = http.every(JsonObject(body_of(result)).get("data"), lambda item: item.identity("id"))
            if not found:
                return result
            project = found[0]
        quoted = self.context.ref.name.replace("\\", "\\\\").replace('"', '\\"')
        first, last = (f"{now + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}" for days in (-90, 1))
        scope = {"project_ids": [project], "from": first, "to": last}

        def ask(cursor: str) -> Request:
            page = {"cursor": cursor, "limit": 20}  # more are refused
            body = {"scope": scope, "filter": f'pipeline.git.branch == "{quoted}"', "page": page}
            return Request("POST", "/api/v3/runs/search", Repeat.FREELY, body)

        read = http.page_of(lambda item: read_run(self._as_v2(item)), "data", ("page", "next"))
        return self.client.runs(ask, read, enough)

    def details(self, run: Run) -> Run:
        """The run with how it was triggered, which v2 tells by the same id, and its revision."""
        if run.is_by_api is None:
            run = completed(run, Reader(self.client).run(run.id))
        return run if run.revision else completed(run, self.run(run.id))
