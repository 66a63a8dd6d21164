"""The server's own routes: pages of runs, at the addresses that clients print, and JSON for other processes."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from deploystep.core.html import Node, badge, element, facts, link, page, scrolled, table

from .faults import parse_fault
from .messages import Call, RefusedError, Reply, Route, Shape, body_of, route
from .store import ProjectConfig, Run, Store, jobs_of, project_slug

PAGES = "/pipelines/"
PLACES = ("/sandbox/", PAGES)


def _run(store: Store, _call: Call, project: str, number: str) -> Reply:
    runs = (run for run in store.stored_runs() if (run.project, run.number) == (project, int(number)))
    run = next((run.at(store.now()) for run in runs if run.is_pipeline), None)
    if run is None:
        raise RefusedError(404, "Pipeline not found")
    told: list[tuple[str, Node]] = [("project", link(PAGES + quote(project), project))]
    told += [*zip(("state", "ref", "revision"), _summary(run), strict=True), ("id", element("code", run.id))]
    told += [("triggered", f"{run.api}, {run.created_at:%Y-%m-%d %H:%M:%S}")]
    told += [(f"parameter {name}", element("code", json.dumps(value))) for name, value in run.parameters.items()]
    rows = tuple((w.name, badge(w.status), job.name, badge(job.status), str(job.number)) for _, w, job in jobs_of(run))
    head = ("Workflow", "State", "Job", "State of the job", "Number")
    text = store.config_of(run)["compiled"]
    return _page(
        f"Run {run.number} of {project}",
        facts(*told),
        *(element("p", badge("error"), f" {text}") for text in run.errors),
        element("h2", "Workflows"),
        table("Workflows", head, rows) if rows else element("p", "None has started."),
        element("h2", "Compiled config"),
        scrolled("Compiled config", element("pre", text)) if text else element("p", "It is not compiled."),
    )


def _list(store: Store, call: Call, project: str) -> Reply:
    runs, place = store.pipelines(call, project), PAGES + quote(project)
    rows = tuple((link(f"{place}/{run.number}", f"run {run.number}"), *_summary(run)) for run in runs)
    return _page(f"Runs of {project}", table("Runs", ("Run", "State", "Ref", "Revision"), rows))


def _page(title: str, *body: Node) -> Reply:
    note = element("p", "On a mock CircleCI server of deploystep's sandbox. Reload to see it move on.", class_="soft")
    return Reply(200, page(title, note, *body).encode(), content_type="text/html;charset=utf-8")


def _summary(run: Run) -> tuple[Node, Node, Node]:
    ref = f"tag {run.tag}" if run.tag is not None else f"branch {run.branch or ''}"
    return badge(run.state), ref, element("code", run.revision)


def _add_faults(store: Store, body: Any) -> None:
    # all of them or, if one is wrong, none
    for fault in [parse_fault(text) for text in (*body.get("faults", ()), *filter(None, [body.get("fault")]))]:
        store.add_fault(fault)


def _change(name: str, shape: Shape, act: Callable[[Store, Any], None]) -> Route:
    """Answer with the body as it was understood, or say why it cannot be."""

    def handle(store: Store, call: Call) -> Any:
        body = body_of(call.request, shape, is_declared=False)
        act(store, body)
        return body

    return route(f"POST /sandbox/{name}", handle)


TEXTS: Shape = {"*": "a string"}
BUILD: Shape = (
    {"pipeline_id!": "a UUID", "project!": "a string", "workflow_id": "a UUID", "created": "a time with its zone"}
    | {"jobs": TEXTS}
    | dict.fromkeys(("branch", "tag", "revision", "trigger"), "a string")
)
JOB: Shape = {"project!": "a string", "number!": "an integer", "parallel_runs!": ["a string"], "status": "a string"}
ROUTES = (
    route(f"GET {PAGES}{{project}}/{{number}}", _run),
    route(f"GET {PAGES}{{project}}", _list),
    route("GET /sandbox/requests", lambda store, _call: {"requests": store.requests}),
    route("GET /sandbox/runs", lambda store, _call: {"runs": store.runs}),
    route("GET /sandbox/faults", lambda store, _call: {"faults": store.faults}),
    _change("faults", {"fault": "a string", "faults": ["a string"]}, _add_faults),
    _change("heads", TEXTS, lambda store, body: store.moved.update(body)),
    _change("configs", TEXTS, lambda s, b: s.configs.update({project_slug(n): ProjectConfig(t) for n, t in b.items()})),
    _change("jobs", JOB, lambda store, body: store.set_job(**body)),
    _change("builds", BUILD, lambda store, body: store.add_build(**body)),
    _change("workflows", {"id!": "a UUID", "status!": "a string"}, lambda s, b: s.set_workflow(b["id"], b["status"])),
    _change("reset", {}, lambda store, _body: store.reset()),
)
