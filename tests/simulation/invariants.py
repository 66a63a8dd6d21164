"""What must hold, whatever happens; and the exact conditions under which it cannot, each counted by name.

I1  never two live runs for one rule, commit and region, without --again
I2  never a run of another commit left alive without the step saying so
I3  exit 0 exactly when a due deploy runs, or ran, or none was due, or the branch has truly moved on to a newer commit
I4  the report tells what happened
I5  a trigger is sent again only where it certainly was not received
I6  a step that is interrupted tells whether something was sent
I7  nothing is sent before every other node has succeeded
I8  nothing is sent where the branch was last seen at another commit
I9  gate's command is executed at most once, by node 0, no rerun with SSH, where its rule fires, every other node has
    succeeded and the branch was last seen at this commit; and with exit 0 it is not executed only where that is right
"""

from __future__ import annotations

from datetime import timedelta
from enum import Enum, unique
from textwrap import fill
from typing import TYPE_CHECKING

from sandbox.eventful import ENDED
from simulation.schedule import SHOP
from simulation.step import moment, newest

from deploystep.app.report import GateOutcome, Report
from deploystep.core.deploy import Outcome
from deploystep.core.errors import ExitCode
from deploystep.render.text import Style, failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulation.schedule import RuleSketch
    from simulation.step import Post, Step
    from simulation.world import World

    from deploystep.app.report import TriggerEntry
    from deploystep.sandbox import Run, WorkflowRun

NEVER = frozenset({"error", "canceled", "unauthorized", "not_run"})
SIGNALS = (ExitCode.INTERRUPTED, ExitCode.TERMINATED)
#: Exit codes that say that something may be wrong with what was created, with words of their own.
SAYS_SO = (ExitCode.UNCERTAIN, ExitCode.STOPPED, ExitCode.TIMED_OUT, *SIGNALS)
NOT_SENT = (Outcome.NOT_SENT, Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.SUPERSEDED, Outcome.ALREADY_TRIGGERED)
PAGE = 20
CONTINUING = timedelta(seconds=10)


@unique
class Excuse(Enum):
    """Why a law could not hold, as docs/guarantees.md says it; the exact condition of each is where it is counted."""

    AGAIN = "A second run: `--again` was given."
    UNRECOGNISED = """A second run: the rule sends no deploy key, and names no workflow of this project. The step says
        that a rerun deploys again."""
    KEY_NOT_SHOWN = """A second run: the config that receives the deploy key does not use it, and the rule names no
        workflow of this project."""
    NOT_MADE_YET = "A second run: two steps ran at once, and the other's run did not exist when this one looked."
    MADE_LATE = "A second run: CircleCI acted on a trigger after its step had ended, and after the next one had looked."
    NOT_LISTED_YET = "A second run: CircleCI had made the earlier run, and did not list it when the step looked."
    NEWER_FAILED = "A second run: a newer run of the same deploy had failed, and the newest that ran decides."
    OLDER_THAN_BUILD = """A second run in a target: another build of the commit had sent it before this build's own
        pipeline was made, and the target has had a page of runs since."""
    MOVED = "A run of another commit, which is then cancelled: the branch moved while the trigger was under way."
    RACED = """A trigger of an older commit got a run of this one: the branch moved. Without a deploy key that run is
        taken for this commit's. With one, this commit is deployed beside it."""
    UNCONFIRMED = """A run of another commit goes on: `--confirm 0` was given, and the step says that nothing was
        compared."""
    ANOTHERS_RUN = """Two steps ran at once, and one lost its trigger's answer: it takes for its own the run that the
        other triggered for the same deploy, which was not listed when it looked."""
    UNNAMED = """A rule without `workflow` starts the workflow that another rule names, and not both send the deploy
        key."""
    STARTED_LATE = """The step says that nothing runs: CircleCI started the workflow longer after the run than
        `--confirm` waits, or more than ten seconds after the setup workflow had ended."""
    SET_BACK = "Superseded by a commit from which the branch had been set back: the host still showed it."


def listed() -> list[str]:
    texts = (f"- `{e.name.lower().replace('_', '-')}`: {' '.join(e.value.split())}" for e in Excuse)
    return [fill(text, 120, subsequent_indent="  ", break_on_hyphens=False) for text in texts]


class Law:
    """Looks at every moment whether all holds; what does not is noted in the world."""

    def posting(self, post: Post) -> None:
        """I5, I7 and I8, before a trigger leaves."""
        step, sends, wrong = post.step, f"{post.step.name} sends {post.rule.name}", post.step.world.wrong
        before = [p for p in step.posts if p.rule == post.rule]
        if before and (not before[-1].may_go_again or any(p.run for p in before)):
            wrong.append(f"I5: {sends} again after {before[-1].result}")
        if _is_too_early(step):
            wrong.append(f"I7: {sends} before every other node has succeeded")
        if not step.is_at_its_commit:
            wrong.append(f"I8: {sends}, and last saw the branch at {step.looks[-1:]}")

    def executing(self, step: Step) -> None:
        """I9, before a command takes the place of its step."""
        step.executed += 1
        wrong = {
            "it was executed before": step.executed > 1,
            "its rule does not fire": not step.fires(step.world.rule(step.options.rule)),
            "another node decides": step.visit.node > 0,
            "it is a rerun with SSH": step.visit.is_ssh,
            "it is a dry run": step.options.dry_run,
            "the branch was last seen elsewhere": not step.is_at_its_commit,
            "another node has not succeeded": _is_too_early(step),
        }
        step.world.wrong += [
            f"I9: {step.name} executes its command, and {why}" for why, is_so in wrong.items() if is_so
        ]

    def created(self, post: Post) -> None:
        """I1, whenever a trigger has created a run."""
        world = post.step.world
        for earlier in (other for other in world.posts if other.run and other is not post):
            if _deploy(earlier) != _deploy(post) or not _may_still_deploy(earlier):
                continue
            excuse = next((excuse for excuse, holds in _second_runs(earlier, post) if holds), None)
            if excuse is not None:
                world.excused[excuse] += 1
                continue
            what = f"run {post.kept.number} of {post.rule.name}, and run {earlier.kept.number} of it is alive"
            world.wrong.append(f"I1: {post.step.name} creates {what}")

    def ended(self, step: Step) -> None:
        """I2, I3, I4, I6 and I9, when a step has ended."""
        step.world.wrong += [f"{words} ({step.name})" for words in Ending(step).found_now()]

    def finished(self, world: World) -> None:
        """I2 and I4 once more: what came to life after the step had ended."""
        world.wrong += [f"{words} ({step.name})" for step in world.steps for words in Ending(step).found_later()]


def _is_too_early(step: Step) -> bool:
    """Whether another node that is to be waited for has not succeeded (what a fault shows is taken for the truth)."""
    job = step.world.sandbox.job(SHOP, step.job) if step.build.nodes and step.options.nodes == "all" else None
    return job is not None and any(status != "success" for status in job[2].nodes[1:])


def _skipped(workflow: WorkflowRun) -> bool:
    return workflow.changes[-1][1] == "success" and any(job.status == "not_run" for job in workflow.jobs)


# I1


def _deploy(post: Post) -> tuple[object, ...]:
    """Which deploy a trigger's run is: rule, ref, commit and region. A target's is of the commit that was sent."""
    run, push = post.kept, post.step.push
    revision = post.step.revision if post.rule.target else run.revision
    return post.rule, push.ref, push.is_tag, revision, run.parameters.get("region")


def _may_still_deploy(post: Post) -> bool:
    """Whether the rule's workflow of its run has succeeded, is under way, or is yet to come."""
    kept, last = post.kept, post.newest
    if last is not None and last.status == "success":
        return not _skipped(last)
    if last is not None:
        is_rerun = any(w.follows and w.follows[0] == last.id for w in kept.workflows) and last.status == "failed"
        has_failed = post.rule.is_job and last.status == "failing"  # API v1.1 has one word for both
        return (last.status not in ENDED and not has_failed) or is_rerun
    if kept.errors or any(w.tag == "setup" and w.status in ENDED - {"success"} for w in post.shown.workflows):
        return False  # nothing comes after it
    return any(w.name == post.rule.starts and w.changes[0][1] != "canceled" for w in kept.workflows)


def _second_runs(earlier: Post, post: Post) -> Iterator[tuple[Excuse, bool]]:
    """Why nobody could have known of the earlier run."""
    rule, step, before, world, kept = post.rule, post.step, earlier.step, post.step.world, earlier.kept
    yield Excuse.MOVED, post.is_of_other_commit
    yield Excuse.AGAIN, step.options.again is not None
    is_told = any("is not recognised and deploys again" in said for said in step.said)
    yield Excuse.UNRECOGNISED, is_told and not rule.is_keyed and not rule.is_known_by_name
    is_hidden = rule.is_keyed and not world.shows_key(rule)
    yield Excuse.KEY_NOT_SHOWN, is_hidden and not rule.is_known_by_name
    if before is step:
        return
    is_made = earlier.created_at <= post.looked_at
    had_ended = before.ended is not None and before.ended <= post.looked_at
    yield Excuse.NOT_MADE_YET, not is_made and not had_ended
    yield Excuse.MADE_LATE, not is_made and had_ended
    yield Excuse.NOT_LISTED_YET, is_made and kept.listed_at > moment(post.looked_at)
    is_older = bool(rule.target) and earlier.created_at < step.push.at and before.build is not step.build
    runs = (run for run in world.sandbox.stored_runs() if run.project == kept.project)
    yield Excuse.OLDER_THAN_BUILD, is_older and sum(run.created_at > kept.created_at for run in runs) >= PAGE
    # a key tells that it is another commit's; without one, it is about to be cancelled while its step goes on
    is_going = before.ended is None or before.ended > step.began
    yield Excuse.RACED, earlier.is_of_other_commit and (world.shows_key(rule) or is_going)
    yield Excuse.NEWER_FAILED, any(_has_failed_since(other, earlier, post) for other in world.posts)


def _has_failed_since(other: Post, earlier: Post, post: Post) -> bool:
    """Whether another run of the deploy, made after the earlier one, had failed when the trigger first left."""
    if not other.run or other.created_at <= earlier.created_at or other is post:
        return False
    left = min(p.at for p in post.step.posts if p.rule == post.rule)
    last = newest(other.kept.at(moment(left)), post.rule)
    # what API v1.1 calls failed is more than that
    bad = {"failed", "unauthorized", "error", "failing"} if post.rule.is_job else {"failed"}
    return _deploy(other) == _deploy(post) and last is not None and last.status in bad


# The others


class Claim:
    """What a report says of one rule; `source` is the trigger, whoever sent it, that created the run that it names."""

    def __init__(self, step: Step, told: TriggerEntry) -> None:
        self.step, self.told, self.outcome, self.rule = step, told, told.outcome, step.world.rule(told.spec.rule)
        self.posts = [post for post in step.posts if post.rule == self.rule]
        self.source = next((post for post in step.world.posts if post.run and self._names(post.kept)), None)

    def _names(self, run: Run) -> bool:
        created = self.told.created
        if created is None or run.is_pipeline is self.rule.is_job:
            return False
        return run.number == created.number if self.rule.is_job else run.id == created.id

    @property
    def takes_raced(self) -> bool:
        """Whether the run that it takes for its deploy is one of this commit that a trigger of an older one got."""
        source = self.source
        if source is None or source.rule.starts != self.rule.starts or self.step.world.shows_key(self.rule):
            return False
        return source.is_of_other_commit and source.kept.revision == self.step.revision

    @property
    def takes_anothers(self) -> bool:
        """Whether it takes for its own a run of the same deploy that no list had shown when its trigger left."""
        source = self.source
        if source is None or source.step is self.step or source.rule.starts != self.rule.starts or not self.posts:
            return False
        is_keyed, sent = self.step.world.shows_key(self.rule), source.kept.parameters
        has_key = not is_keyed or sent.get("deploy_key") == self.told.spec.key
        is_unseen = source.kept.listed_at > moment(self.posts[-1].looked_at)
        return is_unseen and has_key and sent.get("sha") == self.step.revision

    def is_running(self) -> Iterator[str]:
        """I3: what is said to run is the rule's deploy, and runs."""
        step, rule, source = self.step, self.rule, self.source
        if source is None:
            yield f"I3: {rule.name} has no run"
            return
        run = source.shown
        if not rule.target and run.revision != step.revision:
            yield f"I3: {rule.name} runs at another commit"
        if rule.is_job:  # a job of API v1.1 is there as soon as it was created
            return
        # that it is the rule's, and of this commit, is in its parameters: no list of CircleCI's tells
        wanted = {"rule": rule.name, "sha": step.revision, **({"region": step.visit.region} if rule.has_region else {})}
        if any(run.parameters.get(key) != value for key, value in wanted.items()):
            are_told_apart = step.world.shows_key(rule) and step.world.shows_key(source.rule)
            if not are_told_apart and not source.rule.is_known_by_name:
                step.world.excused[Excuse.UNNAMED] += 1
            elif self.takes_raced:
                step.world.excused[Excuse.RACED] += 1
            else:
                yield f"I3: the run of {rule.name} is one of {dict(run.parameters)}"
        last, is_waited = newest(run, rule), step.options.wait is not None
        if last is None:
            if rule.is_named or rule.is_keyed:
                yield f"I3: {rule.name}'s workflow does not run"
            return
        was_over = last.stopped_at is not None and last.stopped_at < moment(step.began)
        wrong = {
            "it never ran": last.status in NEVER - {"canceled"} or (last.status == "canceled" and was_over),
            "its job did not run": _skipped(last) and (is_waited or was_over),
            "it was waited for": is_waited and last.status not in ("success", "canceled"),
        }
        yield from (f"I3: {rule.name}'s workflow is {last.status}, and {why}" for why, is_so in wrong.items() if is_so)


class Ending:
    """A step that has ended, and what its report claims; of one that was killed nothing is found."""

    def __init__(self, step: Step) -> None:
        self.step, self.world, self.options, self.excused = step, step.world, step.options, step.world.excused
        self.report = step.report or Report("run")
        self.claims = [Claim(step, told) for told in self.report.triggers]

    def found_now(self) -> Iterator[str]:
        if self.step.report is not None:
            yield from self._other_commits()
            yield from self._gated() if self.report.gated else self._zero()
            yield from self._told()
            yield from self._last_line()

    def _other_commits(self) -> Iterator[str]:
        """I2: runs of another commit that go on, and nobody says so."""
        error = self.report.error.message if self.report.error else ""
        for claim in self.claims:
            others = (post.shown for post in claim.posts if post.is_of_other_commit)
            for _ in (run for run in others if any(w.status not in ENDED for w in run.workflows)):
                if self.options.confirm == 0 and any("not confirmed" in said for said in self.step.said):
                    self.excused[Excuse.UNCONFIRMED] += 1
                elif claim.takes_anothers:
                    self.excused[Excuse.ANOTHERS_RUN] += 1
                elif self.report.exit not in SAYS_SO:
                    yield "I2: a run of another commit goes on"
                elif self.report.exit is ExitCode.STOPPED and "could NOT" not in error:
                    yield "I2: a run of another commit goes on, and the step does not say that it does"

    def found_later(self) -> Iterator[str]:
        """I2 and I4: what was said not to run, or to be cancelled, has run after all."""
        error = self.report.error.message if self.report.error else ""
        for claim, post in ((of, post) for of in self.claims for post in of.posts):
            if post.newest is None or post.newest.status in NEVER:
                continue
            if post.is_of_other_commit and not claim.takes_anothers:
                if claim.outcome is Outcome.STOPPED and error.endswith("it was cancelled"):
                    yield "I2: it says that it cancelled the run, and the run went on"
                if self.report.exit is ExitCode.OK and self.options.confirm > 0:
                    yield "I2: it ends with 0, and a run of another commit deployed"
            if claim.outcome is Outcome.NOTHING_RUNS and claim.source in (None, post):
                if self._came_late(post):
                    self.excused[Excuse.STARTED_LATE] += 1
                else:
                    yield f"I4: nothing of {post.rule.name} runs, said the step, and then it ran"

    def _came_late(self, post: Post) -> bool:
        """Whether the workflow came longer after the run than was waited for, or than is expected after a setup."""
        run, limit = post.kept, timedelta(seconds=self.options.confirm)
        first = min((w.created_at for w in run.workflows if w.name == post.rule.starts), default=run.created_at)
        setups = [w for w in run.workflows if w.tag == "setup"]
        if not setups or setups[0].created_at - run.created_at > limit:
            return first - run.created_at > limit
        ended, status = setups[0].changes[-1]
        return status in ENDED and first - ended > CONTINUING

    def _zero(self) -> Iterator[str]:
        """I3: exit 0 means that what was due runs, or ran; and without any trouble it is 0."""
        step, report = self.step, self.report
        if report.exit is not ExitCode.OK:
            if self._is_untroubled():
                yield f"I3: nothing was in the way, and it failed: {report.error}"
            return
        due = [rule.name for rule in self.world.schedule.rules if step.fires(rule)]
        told = [claim.rule.name for claim in self.claims]
        if told != due and not (step.visit.node and report.skipped and not told):
            yield f"I3: {due} are due, and the report tells of {told}"
        for claim in self.claims:
            if claim.outcome is Outcome.SUPERSEDED:
                yield from self._is_superseded("I3")
            elif claim.outcome not in (Outcome.TRIGGERED, Outcome.ALREADY_TRIGGERED):
                yield f"I3: {claim.rule.name} is {claim.outcome.value}"
            elif claim.source is None or self.options.confirm > 0 or claim.outcome is Outcome.ALREADY_TRIGGERED:
                yield from claim.is_running()

    def _gated(self) -> Iterator[str]:
        """I9: a step of `gate` ends well without its command only where nothing is to be executed, or not any more."""
        step, gated = self.step, self.report.gated
        if self.report.exit is not ExitCode.OK or step.executed:
            return
        decides = not (step.visit.node or step.visit.is_ssh or self.options.dry_run)
        if gated and gated.outcome is GateOutcome.SUPERSEDED:
            yield from self._is_superseded("I9")
        elif decides and step.fires(self.world.rule(self.options.rule)):
            yield f"I9: {self.options.rule} is due, and its command is not executed"

    def _is_superseded(self, law: str) -> Iterator[str]:
        """Whether the branch truly was at a newer commit when it was looked at."""
        world, look, revision = self.world, self.step.looks[-1], self.step.revision
        is_newer = {sha: sha != revision and world.contains(sha, revision) for sha in (look.truth, look.seen) if sha}
        if look.truth and is_newer[look.truth]:
            return
        was_there = any(at <= look.at and sha == look.seen for at, sha in world.heads[self.step.push.ref])
        if was_there and look.seen and is_newer[look.seen]:
            self.excused[Excuse.SET_BACK] += 1
        else:
            yield f"{law}: it is told to be superseded, and the branch was at {look.truth}"

    def _is_untroubled(self) -> bool:
        """Whether nothing befell the step, and nothing else went on: then what was due must run, or be recognised."""
        step, world, options, pace = self.step, self.world, self.options, self.world.schedule.pace
        others, rules = [s for s in world.steps if s is not step], world.schedule.rules
        # those of this step, and those of another that were for this commit, or got a run of it
        made = [post for post in world.posts if post.run]
        posts = [p for p in made if p.step is step or step.revision in (p.step.revision, p.kept.revision)]
        is_first = all(p.step is step for p in posts) and all(s.revision != step.revision for s in others)
        began = moment(step.began)
        listed = [p.kept.listed_at <= began and newest(p.kept.at(began), p.rule) for p in posts if p.step is not step]
        last = step.looks[-1].seen if step.looks else None
        starts = 2 * pace.appear + (pace.finish if world.schedule.has_setup else 0)
        return all((
            all((s.ended or step.began + 1) < step.began or s.began > world.time.now for s in others),
            is_first or (all(listed) and not any(map(self._is_ambiguous, rules))),
            all(w.changes[-1][1] == "success" and not _skipped(w) for post in posts for w in post.kept.workflows),
            all(not post.kept.errors and newest(post.kept, post.rule) for post in posts),
            last is None or world.contains(last, step.revision),
            starts + 6 < options.confirm or options.confirm == 0,  # with a moment to look
            options.wait is None or 2 * pace.appear + 2 * pace.finish + 20 < options.wait,
            options.nodes == "first" or all(n.status == "success" for n in step.build.nodes),
            options.nodes == "first" or all(n.after + 25 < options.nodes_timeout for n in step.build.nodes),
            not any(post.is_of_other_commit for post in posts),
            step.faults == 0 and step.visit.fuse is None and step.visit.node == 0,
        ))  # fmt: skip

    def _is_ambiguous(self, rule: RuleSketch) -> bool:
        """Whether an earlier run of it may not be told from those of another rule or region."""
        alike = [r for r in self.world.schedule.rules if (r.starts, r.project) == (rule.starts, rule.project)]
        return (len(alike) > 1 or rule.has_region) and not all(map(self.world.shows_key, alike))

    def _told(self) -> Iterator[str]:
        """I4: each trigger's outcome, id and revision."""
        for claim in self.claims:
            posts, outcome, name, source = claim.posts, claim.outcome, claim.rule.name, claim.source
            told, runs = claim.told.created, [post.run for post in posts if post.run]
            was_sent = bool(posts) and not posts[-1].may_go_again
            never = bool(posts) and outcome in (Outcome.SUPERSEDED, Outcome.ALREADY_TRIGGERED)
            if never or (runs and outcome in NOT_SENT) or (was_sent and outcome is Outcome.NOT_SENT):
                yield f"I4: {name} was sent, created {runs}, and is told to be {outcome.value}"
            if outcome in (Outcome.TRIGGERED, Outcome.UNCERTAIN, Outcome.NOTHING_RUNS) and not posts:
                yield f"I4: {name} was not sent, and is told to be {outcome.value}"
            if told is None or outcome is Outcome.ALREADY_TRIGGERED:
                continue
            if source is not None and source in posts:
                if told.revision not in (None, source.kept.revision):
                    yield f"I4: {name}'s run is of {source.kept.revision}, and is told to be of {told.revision}"
            elif claim.takes_anothers:
                self.excused[Excuse.ANOTHERS_RUN] += 1
            elif claim.takes_raced:
                self.excused[Excuse.RACED] += 1
            else:
                yield f"I4: {name} is told to have created {told.number}, and it did not"
        if silent := {p.rule.name for p in self.step.posts} - {claim.rule.name for claim in self.claims}:
            yield f"{self._telling}: {silent} were sent, and the report does not tell"

    def _last_line(self) -> Iterator[str]:
        """I4 and I6: what the last line says was sent."""
        if self.report.exit is ExitCode.OK:
            return
        line = failure(self.report, Style()).splitlines()[-1]
        is_silent = line.endswith("nothing was triggered")
        if not self.step.posts and "was triggered" in line and not is_silent:
            yield f"{self._telling}: nothing was sent, and the last line is: {line}"
        for name in {post.rule.name for post in self.step.posts if post.run}:
            if is_silent or f"rule {name} " not in line:
                yield f"{self._telling}: {name} was triggered, and the last line is: {line}"

    @property
    def _telling(self) -> str:
        return "I6" if self.report.exit in SIGNALS else "I4"
