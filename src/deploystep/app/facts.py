"""Learns what a decision needs, question by question, until it is settled or nothing more can be learned."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

from deploystep.app.ports import History, Services
from deploystep.core.build import BuildContext
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
from deploystep.core.rules import Given, MergedInto, PathsChanged, RuleSet, matchers_of
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
        what = "a rule cannot be judged as it is written"
        raise RuleFileInvalid("rules-invalid", what, source=rules.source, diagnostics=errors)
    if problems:
        what = f"cannot decide what to deploy at {build.revision[:7]}: required information is unavailable"
        raise FactUnavailable("undecided", what, source=rules.source, diagnostics=problems)


def live_facts(options: "Options", services: Services, rules: RuleSet) -> Callable[[Question], Answered]:
    """Answers from the clone and, where it may be asked, from CircleCI; what the options state replaces git's."""
    stated: dict[type, object] = {
        AuthorOf: options.author,
        MessageOf: options.message,
        ChangedSince: options.changed or None,
    }

    def answer(question: Question) -> Answered:
        if isinstance(question, JobsOf):
            return _jobs(options, services, rules)
        known = stated.get(type(question))
        if known is not None:
            return Known(known)
        history = services.history(rules.default_branch, _refs(rules))
        may_ask = services.can_ask and not options.sandbox
        if isinstance(question, ChangedSince) and question.base is Base.LAST_DEPLOY and may_ask:
            from deploystep.app.earlier_runs import last_deployed  # noqa: PLC0415 - few rules ask CircleCI

            commit = last_deployed(question, rules, services.build, services.client())
            return commit if isinstance(commit, Unavailable) else history.answer(replace(question, ref=commit or ""))
        return from_history(question, services.build.branch, history)

    return answer


def _refs(rules: RuleSet) -> frozenset[str]:
    """The branches and tags that the rules ask about."""
    conditions = (*(guard.when for guard in rules.never), *(c for r in rules.rules for c in (r.when, r.unless)))
    matchers = tuple(matchers_of(*conditions))
    branches = {branch.value for m in matchers if isinstance(m, MergedInto) for branch in m.branches}
    bases = {ref for m in matchers if isinstance(m, PathsChanged) and (ref := m.since.ref)}
    default = {rules.default_branch} if rules.default_branch is not None else set()
    return frozenset(branches | default | {branch_named(ref).removeprefix("refs/tags/") for ref in bases})


def _jobs(options: "Options", services: Services, rules: RuleSet) -> Answered:
    if options.sandbox:  # nobody can be asked: the jobs that rules require are taken to have succeeded
        return Known({job.value: "success" for rule in rules.rules for job in rule.requires})
    what = "cannot tell which jobs have succeeded"
    if not services.can_ask:
        cure = "state them:  --given FILE  with  jobs: {test: success}"
        return Unavailable("U105", f"{what} without asking CircleCI", cure)
    workflow = services.build.workflow_id
    if workflow is None:
        return Unavailable("U105", f"{what}: CIRCLE_WORKFLOW_ID is not set", "run the step inside a workflow's job")
    from deploystep.circleci import errors, v2  # noqa: PLC0415 - few rules ask CircleCI

    jobs = v2.jobs(services.client(), workflow)
    if jobs is None:
        cure = f"run this step again; {errors.cannot_see(services.token_name)}"
        return Unavailable("U105", f"{what}: CircleCI did not list the jobs of workflow {workflow}", cure)
    return Known({job.name: job.status for job in sorted(jobs, key=lambda job: job.age)})  # the newest comes last


def from_history(
    question: ChangedSince | IsMergedInto | AuthorOf | MessageOf, branch: str | None, history: History
) -> Answered:
    """What the clone tells of a build of this branch (None: of a tag)."""
    base = None
    if isinstance(question, ChangedSince) and question.base is Base.MERGE_BASE:
        base = history.default_branch
    elif isinstance(question, ChangedSince) and question.base is None and question.ref:
        base = branch_named(question.ref)
    if base and base == branch == history.default_branch:
        why = f"cannot tell which files changed: {branch} is the default branch, and would be compared with itself"
        return Unavailable("U101", why, "write since: previous-commit, since: {ref: NAME} or since: last-deploy")
    return history.answer(question)


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
