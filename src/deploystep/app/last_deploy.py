"""Which commit was deployed last: the base of `since: last-deploy`."""

from typing import Final

from deploystep.app.courier import Courier
from deploystep.circleci import v2
from deploystep.circleci.answers import describe_failure
from deploystep.circleci.recent import Recent
from deploystep.core.build import BuildContext, Tag
from deploystep.core.deploy import api_ref
from deploystep.core.facts import Unavailable
from deploystep.core.runs import Run, newest

_WHAT: Final = "cannot tell which files changed since the last deploy"
_MOST: Final = 100
_CURE: Final = "write since: previous-commit or since: {ref: NAME}"


def last_deployed(workflow: str | None, build: BuildContext, courier: Courier) -> str | Unavailable:
    """The commit of the newest run of this branch, triggered through the API, whose workflow succeeded.

    In a tag's build, of the newest such run of any tag. API v2 lists the runs of every other API too.
    """
    if workflow is None:
        return Unavailable("U101", f"{_WHAT}: the rule names no workflow of this project", "name it under deploy:")
    project = build.project
    if project is None and build.pipeline_id is not None:
        project = v2.read_project(courier.deliver(v2.pipeline_by_id_request(build.pipeline_id)))
    if project is None:
        return Unavailable("U101", f"{_WHAT}: CircleCI did not tell which project this is", _CURE)
    recent = courier.converse(v2.pipelines(project, api_ref(build), lambda runs: len(runs) >= _MOST))
    if not isinstance(recent, Recent):
        came = describe_failure(recent, courier.transport.host)
        return Unavailable("U101", f"{_WHAT}: the runs of {project} could not be read ({came})", "run this step again")
    return _newest_success(workflow, build, recent.runs[:_MOST], courier)


def _newest_success(workflow: str, build: BuildContext, runs: tuple[Run, ...], courier: Courier) -> str | Unavailable:
    for run in runs:
        if run.is_by_api is False or run.is_errored or not _is_of(run, build):
            continue
        workflows = courier.converse(v2.workflows_of(run.id))
        if workflows is None:
            return Unavailable("U101", f"{_WHAT}: run {run.number} could not be read", "run this step again")
        if any(w.succeeded for w in newest(workflows, workflow)):
            if run.is_by_api is None:
                return Unavailable("U101", f"{_WHAT}: run {run.number} does not tell how it was triggered", _CURE)
            return run.revision or Unavailable("U101", f"{_WHAT}: run {run.number} does not tell its commit", _CURE)
    return Unavailable("U101", f"{_WHAT}: no run of the last {_MOST} has deployed by workflow '{workflow}'", _CURE)


def _is_of(run: Run, build: BuildContext) -> bool:
    """Whether it is of this branch; a tag's build compares with whatever tag came before it."""
    return isinstance(run.ref, Tag) if isinstance(build.ref, Tag) else run.ref in (api_ref(build), None)
