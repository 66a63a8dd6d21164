"""Who answers which question: git for commits, CircleCI for jobs, or facts that were stated instead of both."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from deploystep.core.build import BuildContext
from deploystep.core.cases import Given
from deploystep.core.closed import assert_never
from deploystep.core.facts import (
    Answered,
    AuthorOf,
    Base,
    ChangedSince,
    IsMergedInto,
    JobsOf,
    Known,
    MessageOf,
    Question,
    Unavailable,
)
from deploystep.core.frozen import dataclass, replace

if TYPE_CHECKING:
    from deploystep.app.courier import Courier

AboutCommits: TypeAlias = Callable[[ChangedSince | IsMergedInto | AuthorOf | MessageOf], Answered]


@dataclass(frozen=True, slots=True)
class Sources:
    """Answers from the clone and the API; `changed`, where it was stated, replaces what git would say.

    `courier` is None where there is no token or no wish to ask CircleCI.
    """

    commits: AboutCommits
    courier: Callable[[], "Courier"] | None
    build: BuildContext
    changed: tuple[str, ...] = ()

    def learn(self, question: Question) -> Answered:
        """The answer, or why there is none."""
        if isinstance(question, JobsOf):
            return self._jobs()
        if isinstance(question, ChangedSince) and self.changed:
            return Known(self.changed)
        if isinstance(question, ChangedSince) and question.base is Base.LAST_DEPLOY and self.courier is not None:
            return self._changed_since_deploy(question, self.courier())
        return self.commits(question)

    def _changed_since_deploy(self, question: ChangedSince, courier: "Courier") -> Answered:
        """CircleCI says which commit was deployed last, and git what has changed since."""
        from deploystep.app.last_deploy import last_deployed  # noqa: PLC0415 - asked of CircleCI, by few rules

        commit = last_deployed(question.workflow, self.build, courier)
        return commit if isinstance(commit, Unavailable) else self.commits(replace(question, ref=commit))

    def _jobs(self) -> Answered:
        what = "cannot tell which jobs have succeeded"
        if self.courier is None:
            return Unavailable(
                "U105", f"{what} without asking CircleCI", "state them:  --given FILE  with  jobs: {test: success}"
            )
        workflow = self.build.workflow_id
        if workflow is None:
            return Unavailable("U105", f"{what}: CIRCLE_WORKFLOW_ID is not set", "run the step inside a workflow's job")
        jobs = read_jobs(workflow, self.courier())
        if jobs is None:
            cure = "the token must be a personal API token of a user who can see this project"
            return Unavailable("U105", f"{what}: CircleCI did not list the jobs of workflow {workflow}", cure)
        return Known(jobs)


def read_jobs(workflow_id: str, courier: "Courier") -> dict[str, str] | None:
    """Name to state of the newest job of each name (`GET /workflow/{id}/job`); None where any page is missing."""
    from deploystep.circleci import v2  # noqa: PLC0415 - as above

    jobs = courier.converse(v2.jobs(workflow_id))
    if jobs is None:
        return None
    newest: dict[str, v2.Job] = {}
    for job in jobs:
        if job.name not in newest or newest[job.name].age <= job.age:
            newest[job.name] = job
    return {name: job.status for name, job in newest.items()}


def from_given(given: Given) -> Callable[[Question], Answered]:
    """Stated facts answer every question; what is not stated is unknown, with the key that would state it."""
    return lambda question: _stated(given, question)


def _stated(given: Given, question: Question) -> Answered:  # noqa: RET503 - assert_never
    if isinstance(question, ChangedSince):
        return _known(given.changed, "which files changed", "changed: [path/to/file]")
    if isinstance(question, IsMergedInto):
        merged = None if given.merged_into is None else question.branch in given.merged_into
        return _known(merged, f"whether the commit is on {question.branch}", f"merged_into: [{question.branch}]")
    if isinstance(question, AuthorOf):
        return _known(given.author, "who wrote the commit", "author: anna@acme.dev")
    if isinstance(question, MessageOf):
        return _known(given.message, "what the commit message says", 'message: "…"')
    if isinstance(question, JobsOf):
        return _known(given.jobs, "which jobs have succeeded", "jobs: {test: success}")
    assert_never(question)


def _known(value: object, what: str, key: str) -> Answered:
    if value is None:
        return Unavailable("C101", f"the rule asks {what}", f"add {key} to given")
    return Known(value)
