"""Pages for people: the web application's address of a run, which clients print, answers with all there is to know."""

import json
from urllib.parse import quote

from deploystep.core.html import Node, badge, element, facts, link, page, scrolled, table

from .messages import Call, RefusedError, Reply, stamp
from .routes import Route, project_in, route
from .state import Run, jobs_of
from .store import Store
from .v2 import compiled

PLACE = "/pipelines/"
_HTML = "text/html;charset=utf-8"


def _run(store: Store, call: Call) -> Reply:
    """Answer with the page of one run, as it is now."""
    with store.lock:
        project, number = project_in(store, call), int(call.args["number"])
        runs = (r.at(store.now()) for r in store.stored_runs() if r.is_pipeline and r.project == project)
        run = next((run for run in runs if run.number == number), None)
        if run is None:
            raise RefusedError(404, "Pipeline not found")
        return _page(f"Run {run.number} of {run.project}", *_about(run), *_workflows(run), *_config(store, run))


def _list(store: Store, call: Call) -> Reply:
    """Answer with a page that lists a project's runs, newest first, on request only one branch's."""
    with store.lock:
        project, branch = project_in(store, call), call.request.query.get("branch")
        runs = store.listed(lambda r: r.is_pipeline and r.project == project and branch in (None, r.branch))
        rows = tuple((link(f"{_address(r)}/{r.number}", f"run {r.number}"), *_summary(r)) for r in runs)
    return _page(f"Runs of {project}", table("Runs", ("Run", "State", "Ref", "Revision"), rows))


def _address(run: Run) -> str:
    return PLACE + quote(run.project)


def _page(title: str, *body: Node) -> Reply:
    note = element("p", "On a mock CircleCI server of deploystep's sandbox. Reload to see it move on.", class_="soft")
    return Reply(200, page(title, note, *body).encode(), content_type=_HTML)


def _summary(run: Run) -> tuple[Node, Node, Node]:
    ref = f"tag {run.tag}" if run.tag is not None else f"branch {run.branch or ''}"
    return badge(run.state), ref, element("code", run.revision)


def _about(run: Run) -> tuple[Node, ...]:
    state, ref, revision = _summary(run)
    origin = f"{run.trigger}, by {run.api}" if run.trigger == "api" else run.trigger
    told = facts(
        ("project", link(_address(run), run.project)),
        ("state", state),
        ("ref", ref),
        ("revision", revision),
        ("triggered", f"{origin}, {stamp(run.created_at)}"),
        ("id", element("code", run.id)),
    )
    parameters = [(name, element("code", json.dumps(value))) for name, value in run.parameters.items()]
    sent = facts(*parameters) if parameters else element("p", "None were sent.")
    errors = (element("p", badge("error"), f" {text}") for text in run.errors)
    return (told, *errors, element("h2", "Parameters"), sent)


def _workflows(run: Run) -> tuple[Node, ...]:
    rows = tuple(
        (job.workflow.name, badge(job.workflow.status), job.job.name, badge(job.status), str(job.job.number))
        for job in jobs_of(run)
    )
    head = ("Workflow", "State", "Job", "State of the job", "Number")
    return element("h2", "Workflows"), table("Workflows", head, rows) if rows else element("p", "None has started.")


def _config(store: Store, run: Run) -> tuple[Node, ...]:
    text = compiled(store, run)
    shown = scrolled("Compiled config", element("pre", text)) if text else element("p", "It is not compiled.")
    return element("h2", "Compiled config"), shown


ROUTES: tuple[Route, ...] = (
    route("GET /pipelines/{slug}/{number}", _run),
    route("GET /pipelines/{slug}", _list),
)
