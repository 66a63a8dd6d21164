"""Learns what a decision needs, question by question, until it is settled or nothing more can be learned."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final

from deploystep.app.ports import History, Services
from deploystep.core.build import BuildContext
from deploystep.core.cases import Given
from deploystep.core.decide import Decision, decide
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
    branch_named,
)
from deploystep.core.frozen import replace
from deploystep.core.rules import MergedInto, PathsChanged, RuleSet, matchers_of
from deploystep.core.source import in_order

if TYPE_CHECKING:
    from deploystep.app.options import Options


def resolve(
    rules: RuleSet, build: BuildContext, now: datetime | None, answer: Callable[[Question], Answered]
) -> Decision:
    """Decide, and ask what could still change the decision; every round answers an open question, so it ends."""
    facts = Facts(build, now)
    decision = decide(rules, facts)
    while decision.wants:
        facts = Facts(build, now, {**facts.answers, **{question: answer(question) for question in decision.wants}})
        decision = decide(rules, facts)
    return decision


def raise_if_undecided(decision: Decision, rules: RuleSet, build: BuildContext) -> None:
    """Raise where the outcome of any rule depends on what is not known; nothing is sent then."""
    problems = in_order(decision.problems)
    errors = tuple(p for p in problems if p.is_error)
    if errors:
        raise RuleFileInvalid(
            "rules-invalid", "a rule cannot be judged as it is written", source=rules.source, diagnostics=errors
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
        stated: dict[type, object] = {
            AuthorOf: self._options.author,
            MessageOf: self._options.message,
            ChangedSince: self._options.changed or None,
        }
        found = stated.get(type(question))
        return self._from_clone(question) if found is None else Known(found)

    def _from_clone(self, question: ChangedSince | IsMergedInto | AuthorOf | MessageOf) -> Answered:
        history = self._services.history(self._rules.default_branch, self._refs)
        may_ask = self._services.can_ask and not self._options.sandbox
        if isinstance(question, ChangedSince) and question.base is Base.LAST_DEPLOY and may_ask:
            from deploystep.app.last_deploy import last_deployed  # noqa: PLC0415 - few rules ask CircleCI

            commit = last_deployed(question, self._rules, self._services.build, self._services.client())
            return commit if isinstance(commit, Unavailable) else history.answer(replace(question, ref=commit or ""))
        return from_history(question, self._services.build.branch, history)

    @cached_property
    def _refs(self) -> frozenset[str]:
        """The branches and tags that the rules ask about."""
        rules = self._rules
        conditions = (*(guard.when for guard in rules.never), *(c for r in rules.rules for c in (r.when, r.unless)))
        matchers = tuple(matchers_of(*conditions))
        branches = {branch.value for m in matchers if isinstance(m, MergedInto) for branch in m.branches}
        bases = {ref for m in matchers if isinstance(m, PathsChanged) and (ref := m.since.ref)}
        if rules.default_branch is not None:
            branches.add(rules.default_branch)
        return frozenset(branches | {branch_named(ref).removeprefix("refs/tags/") for ref in bases})

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
        from deploystep.circleci.errors import cannot_see  # noqa: PLC0415 - as above

        jobs = v2.jobs(self._services.client(), workflow)
        if jobs is None:
            cure = f"run this step again; {cannot_see(self._services.token_name)}"
            return Unavailable("U105", f"{what}: CircleCI did not list the jobs of workflow {workflow}", cure)
        return Known({job.name: job.status for job in sorted(jobs, key=lambda job: job.age)})  # the newest comes last


def from_history(
    question: ChangedSince | IsMergedInto | AuthorOf | MessageOf, branch: str | None, history: History
) -> Answered:
    """What the clone tells of a build of this branch (None: of a tag)."""
    if isinstance(question, ChangedSince) and branch is not None and _base_branch(question, history) == branch:
        why = f"cannot tell which files changed: {branch} is the default branch, and would be compared with itself"
        return Unavailable("U101", why, "write since: previous-commit, since: {ref: NAME} or since: last-deploy")
    return history.answer(question)


def _base_branch(question: ChangedSince, history: History) -> str | None:
    """The default branch, where a comparison is with it; None for any other."""
    if question.base is Base.MERGE_BASE:
        return history.default_branch
    named = branch_named(question.ref) if question.base is None and question.ref else None
    return named if named and named == history.default_branch else None


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
