"""Looks through CircleCI's lists: for an earlier run of a deploy, a run whose trigger got no answer, the last deploy.

A run is this deploy where its compiled configuration holds the deploy key. Where it holds none, a run of this project
is known by its commit and workflow. Lists lag behind: what must not be missed is looked for again, and what cannot be
told is an error, never a guess.
"""

from datetime import datetime
from typing import Final, TypeVar

from deploystep.app.polling import BRISK, poll
from deploystep.circleci import v2
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
_KEY: Final = "deploy_key: ${deploy.key}"


class _Unknown(Exception):
    """Why something cannot be told."""


def _known(answer: T | None, what: str) -> T:
    if answer is None:
        raise _Unknown(f"{what} could not be read")
    return answer


class EarlierRuns:
    """Looks for one trigger: no run of it was made before `since`; `made_here` are of other rules of this build."""

    def __init__(self, spec: TriggerSpec, api: v2.Api, since: datetime | None, made_here: frozenset[str]) -> None:
        self.is_guess = False  # whether what was found is known by less than the deploy key
        self._spec, self._api, self._client, self._since, self._made_here = spec, api, api.client, since, made_here
        self._before: Recent | None = None  # the runs that there were before the trigger, where they could be read
        self._at = 0.0  # when that was, in monotonic time

    def find(self, *, is_again: bool) -> EarlierRun | None:
        """The earlier run of this very deploy. With `is_again` none is looked for, and only noted what there is."""
        if not self._spec.is_recognised:
            return None
        result = self._api.recent(bool if is_again else self._reaches_back)
        if isinstance(result, Recent):
            self._before, self._at = result, self._client.clock.monotonic()
        if is_again:
            return None
        if not isinstance(result, Recent):
            raise unread(result, self._api.context)
        try:
            return self._choice(result)
        except _Unknown as why:
            what = f"cannot tell whether rule '{self._spec.rule}' was triggered for this commit before: {why}"
            look = f"look at {self._api.context.list_url}, and run this step again"
            again = "to send it all the same, give  --again REASON"
            raise FactUnavailable("undecided", f"{what}; it was not sent", look, again) from None

    def _choice(self, listed: Recent) -> EarlierRun | None:
        """The run that is this deploy; one without a key is only where nothing else starts its workflow."""
        if self._is_too_long(listed.runs) or not listed.is_whole:
            raise _Unknown(f"its runs go back further than the {len(listed.runs)} newest, which were looked at")
        found, spec = self._shown(listed.runs), self._spec
        while choice := adoptable([run for run in found if run.has_key]) or adoptable(found):
            if not choice.succeeded or (ran := self._as_it_ran(choice)) == choice:
                break
            found[found.index(choice)] = ran
        self.is_guess = choice is not None and not choice.has_key
        urls = ", ".join(self._url(earlier.run) for earlier in found if not (earlier.has_key or earlier.failed))
        others = [f"rule '{name}' also starts '{spec.starts}'" for name in spec.sharing]
        others += [f"it is sent once for each value of ${{{name}}}" for name in spec.own_variables]
        if urls and others and (choice is None or self.is_guess):
            send = f"send the deploy key, as a parameter  {_KEY}"
            raise _Unknown(f"{' and '.join(others)}, and nothing tells which deploy {urls} is: {send}")
        return choice

    def _reaches_back(self, runs: tuple[Run, ...]) -> bool:
        """Whether the list has been read far enough. Its order is not documented, so one older run proves nothing."""
        is_oldest_first = bool(runs) and _is_before(runs[0], runs[-1].created)
        has_passed = len(runs) >= _IN_A_ROW and all(_is_before(run, self._since) for run in runs[-_IN_A_ROW:])
        return self._is_too_long(runs) or (has_passed and not is_oldest_first)

    def _is_too_long(self, runs: tuple[Run, ...]) -> bool:
        """Whether another project has too many runs of the time in which this deploy can have been made."""
        return self._spec.revision is None and sum(not _is_before(run, self._since) for run in runs) >= _MOST_OF_TARGET

    def _may_be_ours(self, run: Run, *, of_any_commit: bool = False) -> bool:
        """Whether it is of this ref and commit, as far as it tells, and another process may have triggered it."""
        is_made = run.is_by_api is not False and run.ref in (self._spec.ref, None) and run.id not in self._made_here
        is_recent = run.revision in (self._spec.revision, None) and not _is_before(run, self._since)
        return is_made and (of_any_commit or self._spec.revision is None or is_recent)

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
                raise _Unknown(lacks[0])
            waiting = [self._api.details(self._api.run(run.id) or run) for run in waiting if run.id not in known]
        return [earlier for run in candidates if (earlier := known[run.id]) is not None]

    def _seen(self, run: Run) -> EarlierRun | str | None:
        """The run with the workflows that count; in words, what it has yet to show; None where it is another deploy."""
        spec, url, text = self._spec, f"run {self._url(run)}", ""
        if run.is_errored or not self._may_be_ours(run):
            return None  # what errored has deployed nothing
        if spec.key is not None:
            text = _known(self._api.compiled_config(run.id), f"the configuration of {url}")
            if not text:
                return "has not shown its configuration"
        has_key = spec.key is not None and holds(text, spec.key)
        is_known = has_key or (spec.revision is not None and spec.starts is not None)
        if not has_key and (keys_in(text) or not (is_known or run.is_forming)):
            return None  # it is another deploy, or nothing else tells its runs from others
        workflows = _known(self._api.workflows(run.id), f"the workflows of {url}")
        may_start = self._may_yet_start(run, workflows)
        if spec.key is not None and not has_key and run.is_forming and may_start:
            return "has not shown its configuration"  # after a setup workflow another may hold the key
        return self._standing(run, workflows, has_key=has_key, may_start=may_start) if is_known else None

    def _standing(
        self, run: Run, workflows: tuple[WorkflowState, ...], *, has_key: bool, may_start: bool
    ) -> EarlierRun | str:
        counted, starts = newest(workflows, self._spec.starts), self._spec.starts
        # where no workflow is named, one that failed says nothing of another that appears beside it
        is_told = bool(counted) and (starts is not None or not all(w.failed for w in counted))
        is_whole = is_told or self._spec.job is not None  # a job never becomes another one
        # a job of API v1.1 may not tell which one it is
        if (may_start and not is_whole) or not all(w.name or w.failed for w in workflows):
            return "has not shown its workflows"
        if any(w.status == "failed" and w.reruns_left and self._age(w.stopped) < RERUN for w in counted):
            return "has failed, and CircleCI is about to rerun it"
        if any(w.is_active for w in counted) and self._age(run.created) < _SETTLING:
            return "is seconds old, and may be about to be cancelled"
        standing = EarlierRun(run, counted, has_key)
        if not (standing.failed or has_key) and (run.is_by_api is None or run.revision is None):
            untold = "of which commit it is" if run.revision is None else "how it was triggered"
            raise _Unknown(f"run {self._url(run)} does not tell {untold}")
        return standing

    def _as_it_ran(self, earlier: EarlierRun) -> EarlierRun:
        """One that succeeded; a workflow that says success while one of its jobs did not run has not run."""
        of = f"of run {self._url(earlier.run)}"
        jobs = [_known(self._api.jobs_not_run(w), f"the jobs of workflow {w.name} {of}") for w in earlier.workflows]
        ran = (replace(w, status="not_run") if no else w for w, no in zip(earlier.workflows, jobs, strict=True))
        return replace(earlier, workflows=tuple(ran))

    def _may_yet_start(self, run: Run, workflows: tuple[WorkflowState, ...]) -> bool:
        """Whether another workflow may appear in a run."""
        if ends_in_setup(workflows):
            return False
        if workflows and not newest(workflows):
            return any(not setup.succeeded or self._age(setup.stopped) < _AT_ALL for setup in workflows)
        return run.is_forming or self._age(run.created) < (_BESIDE if workflows else _AT_ALL)

    def _age(self, since: datetime | None) -> float:
        """How many seconds ago that was, at the least: whatever is not told was so when the runs were listed."""
        moment = self._before.moment if self._before else None
        before = (moment - since).total_seconds() if moment and since else 0.0
        return before + self._client.clock.monotonic() - self._at

    def lost(self, cause: Uncertain, limit: float) -> Run:
        """The run that the trigger certainly created; `limit` is in seconds. Raises Uncertain where none is sure."""
        spec, key, before = self._spec, self._spec.key, self._before
        is_known = key is not None or spec.is_known_by_workflow
        if not is_known or before is None:  # nothing tells its run from another's, or from one that was there before
            cure = f"next time it is found by its key: send  {_KEY}  as a parameter of rule '{spec.rule}'"
            raise Uncertain(cause.code, cause.message, *cause.hints, *(() if is_known or spec.job else (cure,)))
        self._client.console.info(f"{cause.message}; looking for what it created, for {limit:.0f} s at the most")
        new, only = list[Run](), list[str]()
        for _ in poll(self._client, limit, BRISK, "looking for what the trigger created"):
            new, last = self._new_since({run.id for run in before.runs}), only
            sure = [run for run in new if self._is_certain(run)]
            only = [run.id for run in sure] if sure == new else []
            if len(sure) == 1 and (key is not None or (only and only == last)):  # without a key, of two looks
                self.is_guess = key is None
                return sure[0]
        found = f"what may be its run, or that of another build: {', '.join(map(self._url, new))}"
        found = found if new else f"no run of it was found in {limit:.0f} s"
        raise Uncertain(cause.code, f"{cause.message}; {found}", *cause.hints)

    def _new_since(self, known: set[str]) -> list[Run]:
        """Runs that are new and may be this deploy; with a key, of any commit: a wrong one must be cancelled."""
        result = self._api.recent(lambda runs: len(runs) >= _MOST_OF_TARGET or any(run.id in known for run in runs))
        is_any, runs = self._spec.key is not None, result.runs if isinstance(result, Recent) else ()
        new = [run for run in runs if run.id not in known and self._may_be_ours(run, of_any_commit=is_any)]
        return [run for run in map(self._api.details, new) if self._may_be_ours(run, of_any_commit=is_any)]

    def _is_certain(self, run: Run) -> bool:
        """Whether a new run certainly is this deploy: it holds the key, or is of this commit and has the workflow."""
        key, revision = self._spec.key, self._spec.revision
        is_ours = run.revision is not None and bool(run.is_by_api)
        if key is not None:
            is_ours = key in (self._api.compiled_config(run.id) or "")
        if not is_ours or (revision is not None and run.revision not in (revision, None)):
            return is_ours  # where it is of another commit, the branch has moved on since
        counted = newest(self._api.workflows(run.id) or (), self._spec.starts)
        if not counted or any(workflow.is_active for workflow in counted):
            return key is not None or bool(counted)
        # one that ended without having deployed may be an earlier one, which was not listed before
        return all(w.succeeded and self._api.jobs_not_run(w) == () for w in counted)

    def _url(self, run: Run) -> str:
        return self._api.context.run_url(run.number)


def _is_before(run: Run, moment: datetime | None) -> bool:
    return run.created is not None and moment is not None and run.created < moment


def last_deployed(asked: ChangedSince, rules: RuleSet, build: BuildContext, client: Client) -> str | Unavailable | None:
    """The commit that the rule deployed last on this branch (or any tag); None where no run of the last hundred did."""
    rule, workflow = next((rule for rule in rules.rules if rule.name.value == asked.rule), None), asked.workflow
    try:
        _known(rule or workflow, "the workflow that the rule starts in this project")
        runs = _triggered(build, client)
        return next((run.revision for run in runs if _is_deploy(run, rule, workflow, build, client)), None)
    except _Unknown as why:
        what = f"cannot tell which files changed since the last deploy: {why}"
        return Unavailable("U101", what, "run this step again, or write since: previous-commit or since: {ref: NAME}")


def _triggered(build: BuildContext, client: Client) -> list[Run]:
    """The runs that a trigger may have made, newest first. API v2 lists those of every other API too."""
    project, ref = build.project, api_ref(build)
    if project is None and build.pipeline_id is not None:
        project, _ = v2.Reader(client).project(build.pipeline_id)
    project = _known(project, "the project of this build")

    def counted(runs: tuple[Run, ...]) -> list[Run]:
        """Those of this branch; a tag's build compares with whatever tag came before it."""
        of_ref = [run for run in runs if (isinstance(run.ref, Tag) if isinstance(ref, Tag) else run.ref in (ref, None))]
        return [run for run in of_ref if run.is_by_api is not False]

    recent = v2.Reader(client).pipelines(project, ref, lambda runs: len(counted(runs)) >= _MOST_RUNS)
    if not isinstance(recent, Recent):
        raise _Unknown(f"the runs of {project} could not be read ({describe_failure(recent, client.host)})")
    return counted(recent.runs)[:_MOST_RUNS]


def _is_deploy(run: Run, rule: Rule | None, workflow: str | None, build: BuildContext, client: Client) -> bool:
    """Whether the run is a deploy by this rule that ended well."""
    if run.is_errored:
        return False
    name, text = f"run {run.number}", ""
    if rule is not None:
        text = _known(v2.Reader(client).compiled_config(run.id), f"the configuration of {name}")
    has_key = rule is not None and holds(text, deploy_key(rule, build, run.ref, run.revision))
    is_another = bool(keys_in(text)) and run.revision is not None
    if not has_key and (is_another or (workflow is None and not keys_in(text))):
        return False  # it is another deploy, or nothing tells its runs from others
    deploys = newest(_known(v2.Reader(client).workflows(run.id), f"the workflows of {name}"), workflow)
    if not deploys or not all(w.succeeded for w in deploys):
        return False
    if any(_known(v2.Reader(client).jobs_not_run(w), f"the jobs of {name}") for w in deploys):
        return False  # a workflow can say success although its deploy did not run
    if run.is_by_api is None or run.revision is None:
        raise _Unknown(f"{name} does not tell {'its commit' if run.revision is None else 'how it was triggered'}")
    return True
