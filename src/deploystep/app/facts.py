"""Learns what a decision needs, question by question, until it is settled or nothing more can be learned."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

from deploystep.app.ports import Services
from deploystep.core.build import BuildContext, Tag
from deploystep.core.cases import Given
from deploystep.core.decide import Decision, decide
from deploystep.core.deploy import api_ref
from deploystep.core.errors import FactUnavailable, RuleFileInvalid
from deploystep.core.facts import (
    Answered,
    AuthorOf,
    Base,
    ChangedSince,
    Facts,
    IsMergedInto,
    JobsOf,
    Known,
    MessageOf,
    Question,
    Unavailable,
)
from deploystep.core.frozen import replace
from deploystep.core.rules import RuleSet
from deploystep.core.runs import Run, newest
from deploystep.core.source import in_order

if TYPE_CHECKING:
    from deploystep.app.options import Options
    from deploystep.circleci.client import Client

_MOST_RUNS: Final = 100


def resolve(
    rules: RuleSet, build: BuildContext, now: datetime | None, answer: Callable[[Question], Answered]
) -> Decision:
    """Decide, and ask what could still change the decision; every round answers an open question, so it ends."""
    facts = Facts(build, now)
    decision = decide(rules, facts)
    while decision.wants:
        facts = facts.with_answers({question: answer(question) for question in decision.wants})
        decision = decide(rules, facts)
    return decision


def raise_if_undecided(decision: Decision, rules: RuleSet, build: BuildContext) -> None:
    """Raise where the outcome of any rule depends on what is not known; nothing is sent then."""
    problems = in_order(decision.problems)
    errors = tuple(p for p in problems if p.is_error)
    if errors:
        raise RuleFileInvalid(
            "rules-invalid", "a rule names what is not there", source=rules.source, diagnostics=errors
        )
    if problems:
        what = f"cannot decide what to deploy at {build.revision[:7]}: required information is unavailable"
        raise FactUnavailable("undecided", what, source=rules.source, diagnostics=problems)


class LiveFacts:
    """Answers from the clone and, where it may be asked, from CircleCI; stated changed files replace git's."""

    def __init__(self, options: "Options", services: Services, rules: RuleSet) -> None:
        self._options = options
        self._services = services
        self._rules = rules

    def answer(self, question: Question) -> Answered:
        """The answer, or why there is none."""
        if isinstance(question, JobsOf):
            return self._jobs()
        if isinstance(question, ChangedSince) and self._options.changed:
            return Known(self._options.changed)
        history = self._services.history(self._rules.default_branch)
        may_ask = self._services.can_ask and not self._options.sandbox
        if isinstance(question, ChangedSince) and question.base is Base.LAST_DEPLOY and may_ask:
            commit = last_deployed(question.workflow, self._services.build, self._services.client())
            return commit if isinstance(commit, Unavailable) else history.answer(replace(question, ref=commit))
        return history.answer(question)

    def _jobs(self) -> Answered:
        if self._options.sandbox:  # nobody can be asked: the jobs that rules require are taken to have succeeded
            return Known({job.value: "success" for rule in self._rules.rules for job in rule.requires})
        what = "cannot tell which jobs have succeeded"
        if not self._services.can_ask:
            return Unavailable(
                "U105", f"{what} without asking CircleCI", "state them:  --given FILE  with  jobs: {test: success}"
            )
        workflow = self._services.build.workflow_id
        if workflow is None:
            return Unavailable("U105", f"{what}: CIRCLE_WORKFLOW_ID is not set", "run the step inside a workflow's job")
        from deploystep.circleci import v2  # noqa: PLC0415 - few rules ask CircleCI

        jobs = v2.jobs(self._services.client(), workflow)
        if jobs is None:
            cure = "the token must be a personal API token of a user who can see this project"
            return Unavailable("U105", f"{what}: CircleCI did not list the jobs of workflow {workflow}", cure)
        return Known({job.name: job.status for job in sorted(jobs, key=lambda job: job.age)})  # the newest comes last


def stated_facts(given: Given) -> Callable[[Question], Answered]:
    """Stated facts answer every question; what is not stated is unknown, with the key that would state it."""

    def answer(question: Question) -> Answered:
        if isinstance(question, IsMergedInto):
            merged = None if given.merged_into is None else question.branch in given.merged_into
            return _stated(merged, f"whether the commit is on {question.branch}", f"merged_into: [{question.branch}]")
        return _stated(*_STATED[type(question)](given))

    return answer


_STATED: Final[Mapping[type, Callable[[Given], tuple[object, str, str]]]] = {
    ChangedSince: lambda given: (given.changed, "which files changed", "changed: [path/to/file]"),
    AuthorOf: lambda given: (given.author, "who wrote the commit", "author: anna@acme.dev"),
    MessageOf: lambda given: (given.message, "what the commit message says", 'message: "…"'),
    JobsOf: lambda given: (given.jobs, "which jobs have succeeded", "jobs: {test: success}"),
}


def _stated(value: object, what: str, key: str) -> Answered:
    return Unavailable("C101", f"the rule asks {what}", f"add {key} to given") if value is None else Known(value)


# The last deploy


def last_deployed(workflow: str | None, build: BuildContext, client: "Client") -> str | Unavailable:
    """The commit of the newest run of this branch, triggered through the API, whose workflow succeeded.

    In a tag's build, of the newest such run of any tag. API v2 lists the runs of every other API too.
    """
    from deploystep.circleci import v2  # noqa: PLC0415 - few rules ask CircleCI
    from deploystep.circleci.client import Recent  # noqa: PLC0415 - as above
    from deploystep.circleci.errors import describe_failure  # noqa: PLC0415 - as above

    if workflow is None:
        return _no_deploy("the rule names no workflow of this project", "name it under deploy:")
    project = build.project
    if project is None and build.pipeline_id is not None:
        project = v2.pipeline_project(client, build.pipeline_id)
    if project is None:
        return _no_deploy("CircleCI did not tell which project this is")
    recent = v2.pipelines(client, project, api_ref(build), lambda runs: len(runs) >= _MOST_RUNS)
    if not isinstance(recent, Recent):
        why = f"the runs of {project} could not be read ({describe_failure(recent, client.host)})"
        return _no_deploy(why, "run this step again")
    for run in recent.runs[:_MOST_RUNS]:
        if run.is_by_api is False or run.is_errored or not _is_comparable(run, build):
            continue
        workflows = v2.workflows(client, run.id)
        if workflows is None:
            return _no_deploy(f"run {run.number} could not be read", "run this step again")
        if any(w.succeeded for w in newest(workflows, workflow)):
            return _commit_of(run)
    return _no_deploy(f"no run of the last {_MOST_RUNS} has deployed by workflow '{workflow}'")


def _commit_of(run: Run) -> str | Unavailable:
    if run.is_by_api is None:
        return _no_deploy(f"run {run.number} does not tell how it was triggered")
    return run.revision or _no_deploy(f"run {run.number} does not tell its commit")


def _no_deploy(why: str, cure: str = "write since: previous-commit or since: {ref: NAME}") -> Unavailable:
    return Unavailable("U101", f"cannot tell which files changed since the last deploy: {why}", cure)


def _is_comparable(run: Run, build: BuildContext) -> bool:
    """Whether it is of this branch; a tag's build compares with whatever tag came before it."""
    return isinstance(run.ref, Tag) if isinstance(build.ref, Tag) else run.ref in (api_ref(build), None)
