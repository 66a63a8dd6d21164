"""Looks through CircleCI's lists: for an earlier run of a deploy, a run whose trigger got no answer, the last deploy.

A run is this deploy where its compiled configuration holds the deploy key. Where it holds none, a run of this project
is known by its commit and workflow. Lists lag behind: what must not be missed is looked for again, and what cannot be
told is an error, never a guess.
"""

from datetime import datetime
from typing import Final, TypeVar

from deploystep.app.polling import BRISK, poll
from deploystep.circleci import v2
from deploystep.circleci.apis import Api
from deploystep.circleci.client import Client, Recent
from deploystep.circleci.errors import describe_failure, unread
from deploystep.core.build import BuildContext, Tag
from deploystep.core.deploy import TriggerSpec, api_ref, deploy_key, holds, keys_in
from deploystep.core.errors import FactUnavailable, Uncertain
from deploystep.core.facts import ChangedSince, Unavailable
from deploystep.core.frozen import replace
from deploystep.core.rules import Rule, RuleSet
from deploystep.core.runs import RERUN, EarlierRun, Run, WorkflowState, adoptable, ends_in_setup, newest

T = TypeVar("T")
_MOST_OF_TARGET: Final = 100  # runs of another project that may be this deploy and are looked through
_IN_A_ROW: Final = 20  # runs that must be older than the deploy can be, until no younger one is expected to follow
_LOOKING: Final = RERUN  # seconds in which an earlier run must show whether it is this deploy
_SETTLING: Final = 10.0  # a run of that age, in seconds, may be about to be cancelled by the build that made it
_BESIDE: Final = 60.0  # in a run of that age, in seconds, another workflow may yet appear beside others
_AT_ALL: Final = 900.0  # in a run, or after a setup workflow, of that age, in seconds, workflows may yet appear
_MOST_RUNS: Final = 100
_AGAIN: Final = "run this step again"
_OTHER_BASE: Final = "write since: previous-commit or since: {ref: NAME}"
_KEY: Final = "deploy_key: ${deploy.key}"


class EarlierRuns:
    """Looks on behalf of one trigger.

    `since` is a time before which no run of this deploy was made, None where it is not known: then every run is looked
    at. Of another project no more than a hundred are; where that is not far enough, nothing is sent. `made_here` are
    the runs that certainly are deploys of other rules of this build. `is_guess` is set where the run that was found is
    known by less than the deploy key.
    """

    def __init__(
        self, spec: TriggerSpec, api: Api, since: datetime | None = None, made_here: frozenset[str] = frozenset()
    ) -> None:
        self.is_guess = False
        self._spec, self._api, self._client = spec, api, api.client
        self._since, self._made_here = since, made_here
        #: The runs that there were before the trigger, newest first; None where they were not read.
        self._before: tuple[Run, ...] | None = None
        #: When they were listed: by the server's clock, where it tells, and in monotonic time.
        self._moment: datetime | None = None
        self._at = 0.0

    def find(self, *, is_again: bool) -> EarlierRun | None:
        """The earlier run of this very deploy; with `is_again` none is looked for, and only noted what there is.

        Raises Refused, Unreachable or FactUnavailable where nobody can tell whether there is one.
        """
        if not self._spec.is_recognised:
            return None
        result = self._api.recent(bool if is_again else self._reaches_back)
        if isinstance(result, Recent):
            self._before, self._moment, self._at = result.runs, result.moment, self._client.clock.monotonic()
        if is_again:
            return None
        if not isinstance(result, Recent):
            raise unread(result, self._api.context)
        if self._is_too_long(result.runs) or not result.is_whole:
            raise self._undecided(f"its runs go back further than the {len(result.runs)} newest, which were looked at")
        found = self._shown(result.runs)
        first = _choice(found)
        if first is not None and first.succeeded:
            found = [self._without_skipped(earlier) for earlier in found]
        choice = _choice(found)
        self.is_guess = choice is not None and not choice.has_key
        if choice is None or self.is_guess:
            self._raise_if_ambiguous(found)
        return choice

    # Which runs are looked at

    def _reaches_back(self, runs: tuple[Run, ...]) -> bool:
        """Whether the list has been read far enough. Its order is not documented, so one older run proves nothing."""
        older = runs[-_IN_A_ROW:]
        is_oldest_first = bool(runs) and _is_before(runs[0], runs[-1].created)
        has_passed = len(older) == _IN_A_ROW and all(_is_before(run, self._since) for run in older)
        return self._is_too_long(runs) or (has_passed and not is_oldest_first)

    def _is_too_long(self, runs: tuple[Run, ...]) -> bool:
        """Whether another project has too many runs of the time in which this deploy can have been made."""
        return self._spec.revision is None and sum(not _is_before(run, self._since) for run in runs) >= _MOST_OF_TARGET

    def _may_be_ours(self, run: Run, *, of_any_commit: bool = False) -> bool:
        """Whether it is of this ref and commit, as far as it tells, and another process may have triggered it."""
        is_made = run.is_by_api is not False and run.ref in (self._spec.ref, None) and run.id not in self._made_here
        is_recent = run.revision in (self._spec.revision, None) and not _is_before(run, self._since)
        return is_made and (of_any_commit or self._spec.revision is None or is_recent)

    # Is a run this deploy?

    def _shown(self, runs: tuple[Run, ...]) -> list[EarlierRun]:
        """The runs that are this deploy or may be, newest first, as soon as each has shown what it is."""
        waiting = candidates = [self._api.details(run) for run in runs if self._may_be_ours(run)]
        known: dict[str, EarlierRun | None] = {}
        for look in poll(self._client, _LOOKING, BRISK, "looking at earlier runs"):
            seen = {run.id: self._seen(run) for run in waiting}
            known |= {run: found for run, found in seen.items() if not isinstance(found, str)}
            lacks = [f"run {self._url(run)} {seen[run.id]}" for run in waiting if run.id not in known]
            if not lacks:
                break
            look.tell(f"{lacks[0]}: it may be this deploy")
            if look.is_last:
                raise self._undecided(lacks[0])
            waiting = [self._api.details(self._api.run(run.id) or run) for run in waiting if run.id not in known]
        return [earlier for run in candidates if (earlier := known[run.id]) is not None]

    def _seen(self, run: Run) -> EarlierRun | str | None:
        """The run with the workflows that count; in words, what it has yet to show; None where it is another deploy."""
        key, text = self._spec.key, ""
        if run.is_errored or not self._may_be_ours(run):
            return None  # what errored has deployed nothing
        if key is not None:
            text = self._told(self._api.compiled_config(run.id), "configuration", run)
            if not text:
                return "has not shown its configuration"
        has_key = key is not None and holds(text, key)
        is_known = has_key or (self._spec.revision is not None and self._spec.starts is not None)
        if not has_key and (keys_in(text) or not (is_known or run.is_forming)):
            return None  # it is another deploy, or nothing else tells its runs from others
        workflows = self._told(self._api.workflows(run.id), "workflows", run)
        may_start = self._may_yet_start(run, workflows)
        if key is not None and not has_key and run.is_forming and may_start:
            return "has not shown its configuration"  # after a setup workflow another may hold the key
        return self._standing(run, workflows, has_key=has_key, may_start=may_start) if is_known else None

    def _standing(
        self, run: Run, workflows: tuple[WorkflowState, ...], *, has_key: bool, may_start: bool
    ) -> EarlierRun | str:
        counted = newest(workflows, self._spec.starts)
        is_whole = self._spec.job is not None  # a job never becomes another one
        is_named = all(w.name or w.failed for w in workflows)  # a job of API v1.1 may not tell which one it is
        # where no workflow is named, one that failed says nothing of another that appears beside it
        is_told = bool(counted) and (self._spec.starts is not None or not all(w.failed for w in counted))
        earlier = EarlierRun(run, counted, has_key)
        if not is_named or (may_start and not (is_told or is_whole)):
            return "has not shown its workflows"
        if any(w.status == "failed" and w.reruns_left and self._age(w.stopped) < RERUN for w in counted):
            return "has failed, and CircleCI is about to rerun it"
        if earlier.is_active and self._age(run.created) < _SETTLING:
            return "is seconds old, and may be about to be cancelled"
        untold = "how it was triggered" if run.is_by_api is None else ""
        untold = "of which commit it is" if run.revision is None else untold
        if untold and not (earlier.failed or has_key):
            raise self._undecided(f"run {self._url(run)} does not tell {untold}")
        return earlier

    def _may_yet_start(self, run: Run, workflows: tuple[WorkflowState, ...]) -> bool:
        """Whether another workflow may appear in a run."""
        if run.is_errored or ends_in_setup(workflows):
            return False
        if newest(workflows):
            return run.is_forming or self._age(run.created) < _BESIDE
        if workflows:
            return any(not setup.succeeded or self._age(setup.stopped) < _AT_ALL for setup in workflows)
        return run.is_forming or self._age(run.created) < _AT_ALL

    def _age(self, since: datetime | None) -> float:
        """How many seconds ago that was, at the least: whatever is not told was so when the runs were listed."""
        before = (self._moment - since).total_seconds() if self._moment and since else 0.0
        return before + self._client.clock.monotonic() - self._at

    def _without_skipped(self, earlier: EarlierRun) -> EarlierRun:
        """The run; a workflow that says success while one of its jobs did not run has not run (`Job.status`)."""
        workflows = []
        for workflow in earlier.workflows:
            jobs = self._api.jobs_not_run(workflow) if workflow.succeeded else ()
            skipped = self._told(jobs, f"jobs of workflow {workflow.name}", earlier.run)
            workflows.append(replace(workflow, status="not_run") if skipped else workflow)
        return replace(earlier, workflows=tuple(workflows))

    # A trigger whose answer was lost

    def lost(self, cause: Uncertain, limit: float) -> Run:
        """The run that the trigger certainly created; `limit` is in seconds. Raises Uncertain where none is sure."""
        key, before = self._spec.key, self._before
        is_known = key is not None or self._spec.is_known_by_workflow
        if not is_known or before is None:  # nothing tells its run from another's, or from one that was there before
            cure = f"next time it is found by its key: send  {_KEY}  as a parameter of rule '{self._spec.rule}'"
            hints = () if is_known or self._spec.job else (cure,)
            raise Uncertain(cause.code, cause.message, *cause.hints, *hints)
        self._client.console.info(f"{cause.message}; looking for what it created, for {limit:.0f} s at the most")
        new: list[Run] = []
        only: str | None = None
        for _ in poll(self._client, limit, BRISK, "looking for what the trigger created"):
            new, last = self._new_since({run.id for run in before}), only
            sure = [run for run in new if self._is_certain(run)]
            is_only = len(sure) == 1 and (key is not None or len(new) == 1)
            only = sure[0].id if is_only else None
            if only is not None and (key is not None or only == last):  # without a key, the one new run of two looks
                self.is_guess = key is None
                return sure[0]
        found = f"no run of it was found in {limit:.0f} s"
        if new:
            found = f"what may be its run, or that of another build: {', '.join(map(self._url, new))}"
        raise Uncertain(cause.code, f"{cause.message}; {found}", *cause.hints)

    def _new_since(self, known: set[str]) -> list[Run]:
        """Runs that were not there before, and may be of this deploy.

        Where the key tells, also those of another commit: the branch may have moved on, and then it must be cancelled.
        """
        result = self._api.recent(lambda runs: len(runs) >= _MOST_OF_TARGET or any(run.id in known for run in runs))
        is_any, runs = self._spec.key is not None, result.runs if isinstance(result, Recent) else ()
        new = [run for run in runs if run.id not in known and self._may_be_ours(run, of_any_commit=is_any)]
        return [run for run in map(self._api.details, new) if self._may_be_ours(run, of_any_commit=is_any)]

    def _is_certain(self, run: Run) -> bool:
        """Whether a new run certainly is this deploy: it holds the key, or is of this commit and has the workflow.

        One that has ended without having deployed may be an earlier one, which was not listed before; but not one of
        another commit, to which the branch has moved on since.
        """
        key, revision = self._spec.key, self._spec.revision
        is_ours = run.revision is not None and bool(run.is_by_api)
        if key is not None:
            is_ours = key in (self._api.compiled_config(run.id) or "")
        if not is_ours or (revision is not None and run.revision not in (revision, None)):
            return is_ours
        counted = newest(self._api.workflows(run.id) or (), self._spec.starts)
        if not counted or any(workflow.is_active for workflow in counted):
            return key is not None or bool(counted)
        return all(w.succeeded and self._api.jobs_not_run(w) == () for w in counted)

    # What cannot be told

    def _raise_if_ambiguous(self, found: list[EarlierRun]) -> None:
        """Runs without a key are of this deploy only where nothing else starts the workflow for this commit."""
        urls = ", ".join(self._url(earlier.run) for earlier in found if not (earlier.has_key or earlier.failed))
        others = [f"rule '{name}' also starts '{self._spec.starts}'" for name in self._spec.sharing]
        others += [f"it is sent once for each value of ${{{name}}}" for name in self._spec.own_variables]
        if urls and others:
            raise self._undecided(
                f"{' and '.join(others)}, and nothing tells which deploy {urls} is",
                f"send the deploy key: add  {_KEY}  to the parameters of rule '{self._spec.rule}'",
            )

    def _told(self, answer: T | None, what: str, run: Run) -> T:
        return _told(answer, self._undecided(f"the {what} of run {self._url(run)} could not be read"))

    def _undecided(self, why: str, *cures: str) -> FactUnavailable:
        what = f"cannot tell whether rule '{self._spec.rule}' was triggered for this commit before: {why}"
        look = f"look at {self._api.context.list_url}, and run this step again"
        hints = (*(cures or (look,)), "to send it all the same, give  --again REASON")
        return FactUnavailable("undecided", f"{what}; it was not sent", *hints)

    def _url(self, run: Run) -> str:
        return self._api.context.run_url(run.number)


def _choice(found: list[EarlierRun]) -> EarlierRun | None:
    """The run that is this deploy, of those given newest first: one that holds the key rather than one that may be."""
    return adoptable([earlier for earlier in found if earlier.has_key]) or adoptable(found)


def _is_before(run: Run, moment: datetime | None) -> bool:
    return run.created is not None and moment is not None and run.created < moment


def _told(answer: T | None, error: Exception) -> T:
    if answer is None:
        raise error
    return answer


# The last deploy of a rule


class _Unknown(Exception):
    """What must be known cannot be learned: why, and the cure."""


def last_deployed(
    question: ChangedSince, rules: RuleSet, build: BuildContext, client: Client
) -> str | Unavailable | None:
    """The commit of the newest run of this branch whose deploy by the rule succeeded; of a tag's build, of any tag.

    None where there is none among the newest hundred runs, or none at all.
    """
    rule = next((rule for rule in rules.rules if rule.name.value == question.rule), None)
    try:
        runs = _triggered(build, client) if rule or question.workflow else None
        runs = _told(runs, _Unknown("the rule names no workflow of this project", "name it under deploy:"))
        return next((r.revision for r in runs if _is_deploy(r, rule, question.workflow, build, client)), None)
    except _Unknown as unknown:
        why, cure = unknown.args
        return Unavailable("U101", f"cannot tell which files changed since the last deploy: {why}", cure)


def _triggered(build: BuildContext, client: Client) -> list[Run]:
    """The runs that a trigger may have made, newest first. API v2 lists those of every other API too."""
    project, ref = build.project, api_ref(build)
    if project is None and build.pipeline_id is not None:
        project, _ = v2.pipeline_project(client, build.pipeline_id)
    project = _told(project, _Unknown("CircleCI did not tell which project this is", _OTHER_BASE))

    def counted(runs: tuple[Run, ...]) -> list[Run]:
        """Those of this branch; a tag's build compares with whatever tag came before it."""
        of_ref = [run for run in runs if (isinstance(run.ref, Tag) if isinstance(ref, Tag) else run.ref in (ref, None))]
        return [run for run in of_ref if run.is_by_api is not False]

    recent = v2.pipelines(client, project, ref, lambda runs: len(counted(runs)) >= _MOST_RUNS)
    if not isinstance(recent, Recent):
        why = describe_failure(recent, client.host)
        raise _Unknown(f"the runs of {project} could not be read ({why})", _AGAIN)
    return counted(recent.runs)[:_MOST_RUNS]


def _is_deploy(run: Run, rule: Rule | None, workflow: str | None, build: BuildContext, client: Client) -> bool:
    """Whether the run is a deploy by this rule that ended well."""

    def told(answer: T | None, what: str) -> T:
        return _told(answer, _Unknown(f"{what} could not be read", _AGAIN))

    name = f"run {run.number}"
    if run.is_errored:
        return False
    text = "" if rule is None else told(v2.compiled_config(client, run.id), f"the configuration of {name}")
    has_key = rule is not None and holds(text, deploy_key(rule, build, run.ref, run.revision))
    is_another = bool(keys_in(text)) and run.revision is not None
    if not has_key and (is_another or (workflow is None and not keys_in(text))):
        return False  # it is another deploy, or nothing tells its runs from others
    deploys = newest(told(v2.workflows(client, run.id), name), workflow)
    if not deploys or not all(w.succeeded for w in deploys):
        return False
    if any(told(v2.jobs_not_run(client, w.id), f"the jobs of {name}") for w in deploys):
        return False  # a workflow can say success although its deploy did not run
    untold = "how it was triggered" if run.is_by_api is None else "its commit" if run.revision is None else ""
    if untold:
        raise _Unknown(f"{name} does not tell {untold}", _OTHER_BASE)
    return True
