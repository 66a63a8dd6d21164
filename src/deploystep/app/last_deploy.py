"""Which commit a rule deployed last: the base of `since: last-deploy`.

Only runs that were triggered through the API count, newest first. A run that holds deploy keys is this rule's where one
of them is; one that holds none, where its workflow is the one that the rule starts.
"""

from typing import Final

from deploystep.circleci import v2
from deploystep.circleci.client import Client, Recent
from deploystep.circleci.errors import describe_failure
from deploystep.core.build import BuildContext, Tag
from deploystep.core.deploy import api_ref
from deploystep.core.deploy_key import deploy_key, holds, keys_in
from deploystep.core.facts import ChangedSince, Unavailable
from deploystep.core.rules import Rule, RuleSet
from deploystep.core.runs import Run, newest

_MOST_RUNS: Final = 100
_AGAIN: Final = "run this step again"
_OTHER_BASE: Final = "write since: previous-commit or since: {ref: NAME}"


class _Unknown(Exception):
    """What must be known cannot be learned: why, and the cure."""


def last_deployed(
    question: ChangedSince, rules: RuleSet, build: BuildContext, client: Client
) -> str | Unavailable | None:
    """The commit of the newest run of this branch whose deploy by the rule succeeded; of a tag's build, of any tag.

    None where there is none among the newest hundred runs, or none at all.
    """
    rule = next((rule for rule in rules.rules if rule.name.value == question.rule), None)
    if rule is None and question.workflow is None:
        return _unavailable("the rule names no workflow of this project", "name it under deploy:")
    try:
        runs = _triggered(build, client)
        deploy = next((run for run in runs if _is_deploy(run, rule, question.workflow, build, client)), None)
        return None if deploy is None else _commit(deploy)
    except _Unknown as unknown:
        return _unavailable(*unknown.args)


def _unavailable(why: str, cure: str) -> Unavailable:
    return Unavailable("U101", f"cannot tell which files changed since the last deploy: {why}", cure)


def _triggered(build: BuildContext, client: Client) -> list[Run]:
    """The runs that a trigger may have made, newest first. API v2 lists those of every other API too."""
    project = build.project
    if project is None and build.pipeline_id is not None:
        project, _ = v2.pipeline_project(client, build.pipeline_id)
    if project is None:
        raise _Unknown("CircleCI did not tell which project this is", _OTHER_BASE)

    def counted(runs: tuple[Run, ...]) -> list[Run]:
        return [run for run in runs if run.is_by_api is not False and _is_comparable(run, build)]

    recent = v2.pipelines(client, project, api_ref(build), lambda runs: len(counted(runs)) >= _MOST_RUNS)
    if not isinstance(recent, Recent):
        why = f"the runs of {project} could not be read ({describe_failure(recent, client.host)})"
        raise _Unknown(why, _AGAIN)
    return counted(recent.runs)[:_MOST_RUNS]


def _is_comparable(run: Run, build: BuildContext) -> bool:
    """Whether it is of this branch; a tag's build compares with whatever tag came before it."""
    return isinstance(run.ref, Tag) if isinstance(build.ref, Tag) else run.ref in (api_ref(build), None)


def _is_deploy(run: Run, rule: Rule | None, workflow: str | None, build: BuildContext, client: Client) -> bool:
    """Whether the run is a deploy by this rule that ended well."""
    keys, has_key = frozenset[str](), False
    if run.is_errored:
        return False
    if rule is not None:
        text = v2.compiled_config(client, run.id)
        if text is None:
            raise _Unknown(f"the configuration of run {run.number} could not be read", _AGAIN)
        keys, has_key = keys_in(text), holds(text, deploy_key(rule, build, run.ref, run.revision))
        if keys and run.revision and not has_key:
            return False
    if not (has_key or keys) and workflow is None:
        return False  # nothing tells its runs from others
    workflows = v2.workflows(client, run.id)
    if workflows is None:
        raise _Unknown(f"run {run.number} could not be read", _AGAIN)
    deploys = newest(workflows, workflow)
    if not deploys or not all(w.succeeded for w in deploys):
        return False
    skipped = [v2.jobs_not_run(client, w.id) for w in deploys]
    if None in skipped:
        raise _Unknown(f"the jobs of run {run.number} could not be read", _AGAIN)
    return not any(skipped)  # a workflow can say success although its deploy did not run


def _commit(run: Run) -> str:
    if run.is_by_api is None:
        raise _Unknown(f"run {run.number} does not tell how it was triggered", _OTHER_BASE)
    if run.revision is None:
        raise _Unknown(f"run {run.number} does not tell its commit", _OTHER_BASE)
    return run.revision
