"""Learns what a decision needs, question by question, until it is settled or nothing more can be learned."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from deploystep.app.options import Options
from deploystep.app.ports import History, OfCommit, Services
from deploystep.core import facts
from deploystep.core.build import BuildContext
from deploystep.core.decide import Decision, decide
from deploystep.core.errors import FactUnavailable, RuleFileInvalid
from deploystep.core.facts import Answered, Base, ChangedSince, IsMergedInto, JobsOf, Known, Question, Unavailable
from deploystep.core.frozen import replace
from deploystep.core.rules import Given, MergedInto, PathsChanged, RuleSet, matchers_of
from deploystep.core.source import in_order

_STATED: Final = {  # facts that can be stated: by which name, in words, and an example
    ChangedSince: ("changed", "which files changed", "[path/to/file]"),
    facts.AuthorOf: ("author", "who wrote the commit", "anna@acme.dev"),
    facts.MessageOf: ("message", "what the commit message says", '"…"'),
    JobsOf: ("jobs", "which jobs have succeeded", "{test: success}"),
}
Answering = Callable[[Question], Answered]


def resolve(rules: RuleSet, build: BuildContext, now: datetime | None, answer: Answering) -> Decision:
    """Decide, and ask what could still change the decision; every round answers an open question, so it ends."""
    known: dict[Question, Answered] = {}
    while (decision := decide(rules, facts.Facts(build, now, known))).wants:
        known = known | {question: answer(question) for question in decision.wants}
    return decision


def raise_if_undecided(decision: Decision, rules: RuleSet, build: BuildContext) -> None:
    """Raise where the outcome of any rule depends on what is not known; nothing is sent then."""
    problems = in_order(decision.problems)
    if errors := tuple(p for p in problems if p.is_error):
        what = "a rule cannot be judged as it is written"
        raise RuleFileInvalid("rules-invalid", what, source=rules.source, diagnostics=errors)
    if problems:
        what = f"cannot decide what to deploy at {build.revision[:7]}: required information is unavailable"
        raise FactUnavailable("undecided", what, source=rules.source, diagnostics=problems)


def live_facts(options: Options, services: Services, rules: RuleSet) -> Answering:
    """Answers from the clone and, where it may be asked, from CircleCI; what the options state replaces git's."""

    def answer(question: Question) -> Answered:
        if isinstance(question, JobsOf):
            return _jobs(options, services, rules)
        if not isinstance(question, IsMergedInto):
            stated = getattr(options, _STATED[type(question)][0])
            if stated or stated == "":
                return Known(stated)
        # the branches and tags that the rules ask about
        matchers = [*matchers_of(*(n.when for n in rules.never), *(c for r in rules.rules for c in (r.when, r.unless)))]
        refs = {branch.value for m in matchers if isinstance(m, MergedInto) for branch in m.branches}
        bases = {ref for m in matchers if isinstance(m, PathsChanged) and (ref := m.since.ref)}
        refs |= {facts.branch_named(ref).removeprefix("refs/tags/") for ref in bases}
        history = services.history(rules.default_branch, frozenset(filter(None, (*refs, rules.default_branch))))
        may_ask = services.can_ask and not options.sandbox
        if isinstance(question, ChangedSince) and question.base is Base.LAST_DEPLOY and may_ask:
            from deploystep.app.earlier_runs import last_deployed  # noqa: PLC0415 - few rules ask CircleCI

            commit = last_deployed(question, rules, services.build, services.client())
            return commit if isinstance(commit, Unavailable) else history.answer(replace(question, ref=commit or ""))
        return from_history(question, services.build.branch, history)

    return answer


def _jobs(options: Options, services: Services, rules: RuleSet) -> Answered:
    if options.sandbox:  # nobody can be asked: the jobs that rules require are taken to have succeeded
        return Known({job.value: "success" for rule in rules.rules for job in rule.requires})
    what, workflow = "cannot tell which jobs have succeeded", services.build.workflow_id
    if not services.can_ask:
        cure = "state them:  --given FILE  with  jobs: {test: success}"
        return Unavailable("U105", f"{what} without asking CircleCI", cure)
    if workflow is None:
        return Unavailable("U105", f"{what}: CIRCLE_WORKFLOW_ID is not set", "run the step inside a workflow's job")
    from deploystep.circleci import errors, v2  # noqa: PLC0415 - few rules ask CircleCI

    jobs = v2.Reader(services.client()).jobs(workflow)
    if jobs is None:
        cure = f"run this step again; {errors.cannot_see(services.token_name)}"
        return Unavailable("U105", f"{what}: CircleCI did not list the jobs of workflow {workflow}", cure)
    return Known({job.name: job.status for job in sorted(jobs, key=lambda job: job.age)})  # the newest comes last


def from_history(question: OfCommit, branch: str | None, history: History) -> Answered:
    """What the clone tells of a build of this branch (None: of a tag)."""
    base = None
    if isinstance(question, ChangedSince) and question.base in (None, Base.MERGE_BASE):
        base = history.default_branch if question.base is not None else facts.branch_named(question.ref or "")
    if base and base == branch == history.default_branch:
        why = f"cannot tell which files changed: {branch} is the default branch, and would be compared with itself"
        return Unavailable("U101", why, "write since: previous-commit, since: {ref: NAME} or since: last-deploy")
    return history.answer(question)


def stated_facts(given: Given) -> Answering:
    """Stated facts answer every question; what is not stated is unknown, with the key that would state it."""

    def answer(question: Question) -> Answered:
        if isinstance(question, IsMergedInto):
            value: object = None if given.merged_into is None else question.branch in given.merged_into
            name, what, example = "merged_into", f"whether the commit is on {question.branch}", f"[{question.branch}]"
        else:
            name, what, example = _STATED[type(question)]
            value = getattr(given, name)
        cure = f"add {name}: {example} to given"
        return Known(value) if value is not None else Unavailable("C101", f"the rule asks {what}", cure)

    return answer
