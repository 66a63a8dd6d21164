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

from simulation.schedule import SHOP

from deploystep.app.report import GateOutcome
from deploystep.core.deploy import Outcome
from deploystep.core.errors import ExitCode
from deploystep.core.retry import Fate
from deploystep.render.text import Style, failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulation.schedule import RuleSketch
    from simulation.step import Post, Step
    from simulation.world import World

    from deploystep.app.report import Report, TriggerEntry
    from deploystep.sandbox import Run, WorkflowRun

OVER = frozenset({"success", "failed", "error", "canceled", "unauthorized", "not_run"})
NEVER = frozenset({"error", "canceled", "unauthorized", "not_run"})
SIGNALS = (ExitCode.INTERRUPTED, ExitCode.TERMINATED)
#: Exit codes that say that something may be wrong with what was created, with words of their own.
SAYS_SO = (ExitCode.UNCERTAIN, ExitCode.STOPPED, ExitCode.TIMED_OUT, *SIGNALS)
NOT_SENT = (Outcome.NOT_SENT, Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.SUPERSEDED, Outcome.ALREADY_TRIGGERED)
PAGE = 20
CONTINUING = timedelta(seconds=10)
MAY_GO_AGAIN = (Fate.NOT_RECEIVED, Fate.RATE_LIMITED)


@unique
class Excuse(Enum):
    """Why a law could not hold, as docs/guarantees.md says it; the exact condition of each is where it is counted."""

    AGAIN = "A second run: `--again` was given."
    UNRECOGNISED = (
        "A second run: the rule sends no deploy key, and names no workflow of this project. The step says that a rerun "
        "deploys again."
    )
    KEY_NOT_SHOWN = (
        "A second run: the config that receives the deploy key does not use it, and the rule names no workflow of this "
        "project."
    )
    NOT_MADE_YET = "A second run: two steps ran at once, and the other's run did not exist when this one looked."
    MADE_LATE = "A second run: CircleCI acted on a trigger after its step had ended, and after the next one had looked."
    NOT_LISTED_YET = "A second run: CircleCI had made the earlier run, and did not list it when the step looked."
    NEWER_FAILED = "A second run: a newer run of the same deploy had failed, and the newest that ran decides."
    OLDER_THAN_BUILD = (
        "A second run in a target: another build of the commit had sent it before this build's own pipeline was made, "
        "and the target has had a page of runs since."
    )
    MOVED = "A run of another commit, which is then cancelled: the branch moved while the trigger was under way."
    RACED = (
        "A trigger of an older commit got a run of this one: the branch moved. Without a deploy key that run is taken "
        "for this commit's. With one, this commit is deployed beside it."
    )
    UNCONFIRMED = (
        "A run of another commit goes on: `--confirm 0` was given, and the step says that nothing was compared."
    )
    ANOTHERS_RUN = (
        "Two steps ran at once, and one lost its trigger's answer: it takes for its own the run that the other "
        "triggered for the same deploy, which was not listed when it looked."
    )
    UNNAMED = "A rule without `workflow` starts the workflow that another rule names, and not both send the deploy key."
    STARTED_LATE = (
        "The step says that nothing runs: CircleCI started the workflow longer after the run than `--confirm` waits, "
        "or more than ten seconds after the setup workflow had ended."
    )
    SET_BACK = "Superseded by a commit from which the branch had been set back: the host still showed it."


def listed() -> list[str]:
    texts = (f"- `{excuse.name.lower().replace('_', '-')}`: {excuse.value}" for excuse in Excuse)
    return [fill(text, 120, subsequent_indent="  ", break_on_hyphens=False) for text in texts]


class Law:
    """Looks at every moment whether all holds; what does not is noted in the world."""

    def posting(self, world: World, post: Post) -> None:
        """I5, I7 and I8, before a trigger leaves."""
        step, sends = post.step, f"{post.step.name} sends {post.rule}"
        before = [p for p in step.posts if p.rule == post.rule]
        if before and (before[-1].fate not in MAY_GO_AGAIN or any(p.run is not None for p in before)):
            world.wrong.append(f"I5: {sends} again after {before[-1].result}")
        if step.options.nodes == "all" and not _have_succeeded(world, step):
            world.wrong.append(f"I7: {sends} before every other node has succeeded")
        if not step.looks or step.looks[-1].seen not in (None, step.revision):
            world.wrong.append(f"I8: {sends}, and last saw the branch at {step.looks and step.looks[-1].seen}")

    def executing(self, world: World, step: Step) -> None:
        """I9, before a command takes the place of its step."""
        step.executed += 1
        last = step.looks[-1].seen if step.looks else ""
        wrong = {
            "it was executed before": step.executed > 1,
            "its rule does not fire": not _fires(step),
            "another node decides": step.visit.node > 0,
            "it is a rerun with SSH": step.visit.is_ssh,
            "it is a dry run": step.options.dry_run,
            f"the branch was last seen at {last}": last not in (None, step.revision),
            "another node has not succeeded": step.options.nodes == "all" and not _have_succeeded(world, step),
        }
        world.wrong += [f"I9: {step.name} executes its command, and {why}" for why, is_so in wrong.items() if is_so]

    def created(self, world: World, post: Post) -> None:
        """I1, whenever a trigger has created a run."""
        for earlier in world.posts:
            if earlier.run is None or earlier is post or _deploy(world, earlier) != _deploy(world, post):
                continue
            if not _may_still_deploy(world, earlier):
                continue
            excuse = next((e for e, holds in _second_runs(world, earlier, post) if holds), None)
            if excuse is not None:
                world.excused[excuse] += 1
                continue
            old, new = world.stored(earlier.run).number, world.stored(post.run).number
            world.wrong.append(f"I1: {post.step.name} creates run {new} of {post.rule}, and run {old} of it is alive")

    def ended(self, world: World, step: Step) -> None:
        """I2, I3, I4 and I6, when a step has ended; one that was killed tells nothing."""
        if step.report is not None:
            laws = (_other_commits, _zero, _told, _last_line)
            found = [words for law in laws for words in law(world, step, step.report)]
            world.wrong += [f"{words} ({step.name}, exit {int(step.report.exit)})" for words in found]

    def finished(self, world: World) -> None:
        """I2 and I4 once more: what came to life after the step had ended."""
        for step in world.steps:
            if step.report is not None:
                world.wrong += [f"{words} ({step.name})" for words in _came_to_life(world, step, step.report)]


# What is so


def _deploy(world: World, post: Post) -> tuple[object, ...]:
    """Which deploy a trigger's run is: rule, ref, commit and region. A target's is of the commit that was sent."""
    run, rule, push = world.stored(post.run), world.rule(post.rule), post.step.push
    revision = post.step.revision if rule.target else run.revision
    return post.rule, push.ref, push.is_tag, revision, run.parameters.get("region")


def _is_other_commit(world: World, post: Post) -> bool:
    if post.run is None or world.rule(post.rule).target:
        return False
    return world.stored(post.run).revision != post.step.revision


def _may_still_deploy(world: World, post: Post) -> bool:
    """Whether the rule's workflow of its run has succeeded, is under way, or is yet to come."""
    stored, shown, rule = world.stored(post.run), world.shown(post.run), world.rule(post.rule)
    newest = _newest(shown, rule.starts)
    if newest is not None and newest.status == "success":
        return not _skipped(newest)
    if newest is not None:
        is_rerun = any(w.follows and w.follows[0] == newest.id for w in stored.workflows) and newest.status == "failed"
        has_failed = rule.is_job and newest.status == "failing"  # API v1.1 has one word for both
        return (newest.status not in OVER and not has_failed) or is_rerun
    if stored.errors or any(w.tag == "setup" and w.status in OVER - {"success"} for w in shown.workflows):
        return False  # nothing comes after it
    return any(w.name == rule.starts and w.changes[0][1] != "canceled" for w in stored.workflows)


def _newest(run: Run, name: str) -> WorkflowRun | None:
    named = [w for w in run.workflows if w.name == name]
    return max(named, key=lambda w: w.created_at, default=None)


def _skipped(workflow: WorkflowRun) -> bool:
    return workflow.changes[-1][1] == "success" and any(job.status == "not_run" for job in workflow.jobs)


def _is_known_by_name(rule: RuleSketch) -> bool:
    return rule.is_named and not rule.target


def _shows_key(world: World, rule: RuleSketch) -> bool:
    """Whether its runs show the deploy key that they were sent."""
    return rule.is_keyed and not rule.is_job and rule.project not in world.schedule.silent


def _listed_at(world: World, run: Run) -> float:
    return (run.listed_at - world.begin).total_seconds()


def _run_of(world: World, told: TriggerEntry) -> Run | None:
    """The run that a report names, as it is now."""
    created, is_job = told.created, world.rule(told.spec.rule).is_job
    runs = (world.shown(p.run) for p in world.posts if p.run)
    wanted = (r for r in runs if created is not None and r.is_pipeline != is_job)
    return next((r for r in wanted if created and (r.number if is_job else r.id) in (created.number, created.id)), None)


# I1


def _second_runs(world: World, earlier: Post, post: Post) -> Iterator[tuple[Excuse, bool]]:
    """Why nobody could have known of the earlier run."""
    rule, step, before = world.rule(post.rule), post.step, earlier.step
    yield Excuse.MOVED, _is_other_commit(world, post)
    yield Excuse.AGAIN, step.options.again is not None
    is_told = any("is not recognised and deploys again" in said for said in step.said)
    yield Excuse.UNRECOGNISED, is_told and not rule.is_keyed and not _is_known_by_name(rule)
    is_hidden = rule.is_keyed and not _shows_key(world, rule)
    yield Excuse.KEY_NOT_SHOWN, is_hidden and not _is_known_by_name(rule)
    if before is step:
        return
    is_made, had_ended = (
        moment is not None and moment <= post.looked_at for moment in (earlier.created_at, before.ended)
    )
    yield Excuse.NOT_MADE_YET, not is_made and not had_ended
    yield Excuse.MADE_LATE, not is_made and had_ended
    yield Excuse.NOT_LISTED_YET, is_made and _listed_at(world, world.stored(earlier.run)) > post.looked_at
    is_older = rule.target and earlier.created_at < step.push.at and before.build is not step.build
    stored, runs = world.stored(earlier.run), world.sandbox.stored_runs()
    since = sum(run.project == stored.project and run.created_at > stored.created_at for run in runs)
    yield Excuse.OLDER_THAN_BUILD, bool(is_older) and since >= PAGE
    # a key tells that it is another commit's; without one, it is about to be cancelled while its step goes on
    is_going = before.ended is None or before.ended > step.began
    yield Excuse.RACED, _is_other_commit(world, earlier) and (_shows_key(world, rule) or is_going)
    yield Excuse.NEWER_FAILED, any(_has_failed_since(world, p, earlier, post) for p in world.posts)


def _has_failed_since(world: World, other: Post, earlier: Post, post: Post) -> bool:
    """Whether another run of the deploy, made after the earlier one, had failed when the trigger first left.

    What API v1.1 calls failed is more than that.
    """
    if other.run is None or other.created_at <= earlier.created_at or other is post:
        return False
    rule, left = world.rule(post.rule), min(p.at for p in post.step.posts if p.rule == post.rule)
    newest = _newest(world.stored(other.run).at(world.begin + timedelta(seconds=left)), rule.starts)
    bad = {"failed", "unauthorized", "error", "failing"} if rule.is_job else {"failed"}
    return _deploy(world, other) == _deploy(world, post) and newest is not None and newest.status in bad


# I2, and what is so only later


def _other_commits(world: World, step: Step, report: Report) -> Iterator[str]:
    """I2: runs of another commit that go on, and nobody says so."""
    for post in step.posts:
        is_going = post.run and any(w.status not in OVER for w in world.shown(post.run).workflows)
        if not is_going or not _is_other_commit(world, post):
            continue
        told = next(told for told in report.triggers if told.spec.rule == post.rule)
        if step.options.confirm == 0 and any("not confirmed" in said for said in step.said):
            world.excused[Excuse.UNCONFIRMED] += 1
        elif _takes_anothers(world, step, told):
            world.excused[Excuse.ANOTHERS_RUN] += 1
        elif report.exit not in SAYS_SO:
            yield "I2: a run of another commit goes on"
        elif report.exit is ExitCode.STOPPED and "could NOT" not in (report.error.message if report.error else ""):
            yield "I2: a run of another commit goes on, and the step does not say that it could not be cancelled"


def _came_to_life(world: World, step: Step, report: Report) -> Iterator[str]:
    """I2 and I4: what was said not to run, or to be cancelled, has run after all."""
    for post in step.posts:
        newest = post.run and _newest(world.shown(post.run), world.rule(post.rule).starts)
        if not newest or newest.status in NEVER:
            continue
        told = next(told for told in report.triggers if told.spec.rule == post.rule)
        if _is_other_commit(world, post):
            is_anothers = _takes_anothers(world, step, told)
            says_cancelled = report.error is not None and report.error.message.endswith("it was cancelled")
            if told.outcome is Outcome.STOPPED and says_cancelled and not is_anothers:
                yield "I2: it says that it cancelled the run, and the run went on"
            is_known = step.options.confirm == 0 or is_anothers
            if report.exit is ExitCode.OK and not is_known:
                yield "I2: it ends with 0, and a run of another commit deployed"
        named = _run_of(world, told)
        if told.outcome is Outcome.NOTHING_RUNS and (named is None or named.id == post.run):
            if _came_late(world, step, post):
                world.excused[Excuse.STARTED_LATE] += 1
            else:
                yield f"I4: nothing of {post.rule} runs, said the step, and then it ran"


def _came_late(world: World, step: Step, post: Post) -> bool:
    """Whether the workflow came longer after the run than was waited for, or than is expected after a setup."""
    run, limit = world.stored(post.run), timedelta(seconds=step.options.confirm)
    named = [w.created_at for w in run.workflows if w.name == world.rule(post.rule).starts]
    first, setups = min(named, default=run.created_at), [w for w in run.workflows if w.tag == "setup"]
    if not setups or setups[0].created_at - run.created_at > limit:
        return first - run.created_at > limit
    ended, status = setups[0].changes[-1]
    return status in OVER and first - ended > CONTINUING


# I3


def _zero(world: World, step: Step, report: Report) -> Iterator[str]:
    """I3: exit 0 means that what was due runs, or ran; and without any trouble it is 0."""
    if report.gated is not None:
        yield from _gated(world, step, report)
        return
    if report.exit is not ExitCode.OK:
        if _is_untroubled(world, step):
            yield f"I3: nothing was in the way, and it failed: {report.error}"
        return
    due = [r.name for r in world.schedule.rules if r.fires(step.push.ref, is_tag=step.push.is_tag)]
    told = [t.spec.rule for t in report.triggers]
    if told != due and not (step.visit.node and report.skipped and not told):
        yield f"I3: {due} are due, and the report tells of {told}"
    for entry in report.triggers:
        yield from _is_deployed(world, step, entry)


def _fires(step: Step) -> bool:
    rule = step.world.rule(step.options.rule)
    return rule.fires(step.push.ref, is_tag=step.push.is_tag)


def _gated(world: World, step: Step, report: Report) -> Iterator[str]:
    """I9: a step of `gate` ends well without its command only where nothing is to be executed, or not any more."""
    if report.exit is not ExitCode.OK or step.executed:
        return
    if report.gated and report.gated.outcome is GateOutcome.SUPERSEDED:
        yield from (words.replace("I3", "I9") for words in _is_superseded(world, step, step.options.rule))
    elif _fires(step) and not (step.visit.node or step.visit.is_ssh or step.options.dry_run):
        yield f"I9: {step.options.rule} is due, and its command is not executed"


def _is_untroubled(world: World, step: Step) -> bool:
    """Whether nothing befell the step, and nothing else went on: then what was due must run, or be recognised."""
    options, pace = step.options, world.schedule.pace
    others = [s for s in world.steps if s is not step]
    # those of this step, and those of another that were for this commit, or got a run of it
    made = [(p, {p.step.revision, world.stored(p.run).revision}) for p in world.posts if p.run]
    posts = [p for p, revisions in made if p.step is step or step.revision in revisions]
    runs = [(world.stored(p.run), world.rule(p.rule).starts) for p in posts]
    is_first = all(p.step is step for p in posts) and all(s.revision != step.revision for s in others)
    was_seen = all(p.step is step or _shows(world, p, step.began) for p in posts)
    last = step.looks[-1].seen if step.looks else None
    starts = 2 * pace.appear + (pace.finish if world.schedule.has_setup else 0)
    return all((
        all((s.ended or step.began + 1) < step.began or s.began > world.time.now for s in others),
        is_first or (was_seen and not any(_is_ambiguous(world, rule) for rule in world.schedule.rules)),
        all(w.changes[-1][1] == "success" and not _skipped(w) for run, _ in runs for w in run.workflows),
        all(not run.errors and _newest(run, name) for run, name in runs),
        last is None or world.contains(last, step.revision),
        starts + 6 < options.confirm or options.confirm == 0,  # with a moment to look
        options.wait is None or 2 * pace.appear + 2 * pace.finish + 20 < options.wait,
        options.nodes == "first" or all(n.status == "success" for n in step.build.nodes),
        options.nodes == "first" or all(n.after + 25 < options.nodes_timeout for n in step.build.nodes),
        not any(_is_other_commit(world, p) for p in posts),
        step.faults == 0 and step.visit.fuse is None and step.visit.node == 0,
    ))  # fmt: skip


def _shows(world: World, post: Post, moment: float) -> bool:
    """Whether its run is listed by a moment, with the rule's workflow."""
    run, now = world.stored(post.run), world.begin + timedelta(seconds=moment)
    return run.listed_at <= now and _newest(run.at(now), world.rule(post.rule).starts) is not None


def _is_ambiguous(world: World, rule: RuleSketch) -> bool:
    """Whether an earlier run of it may not be told from those of another rule or region."""
    alike = [r for r in world.schedule.rules if (r.starts, r.project) == (rule.starts, rule.project)]
    return (len(alike) > 1 or rule.has_region) and not all(_shows_key(world, r) for r in alike)


def _is_deployed(world: World, step: Step, told: TriggerEntry) -> Iterator[str]:
    name, run = told.spec.rule, _run_of(world, told)
    if told.outcome is Outcome.SUPERSEDED:
        yield from _is_superseded(world, step, name)
    elif told.outcome not in (Outcome.TRIGGERED, Outcome.ALREADY_TRIGGERED):
        yield f"I3: {name} is {told.outcome.value}"
    elif run is None:
        yield f"I3: {name} has no run"
    elif step.options.confirm > 0 or told.outcome is Outcome.ALREADY_TRIGGERED:
        yield from _is_running(world, step, told, run)


def _is_superseded(world: World, step: Step, name: str) -> Iterator[str]:
    """Whether the branch truly was at a newer commit when it was looked at."""
    look, revision = step.looks[-1], step.revision
    if look.truth not in (None, revision) and world.contains(look.truth or "", revision):
        return
    was_there = any(at <= look.at and sha == look.seen for at, sha in world.heads[step.push.ref])
    if was_there and look.seen != revision and world.contains(look.seen or "", revision):
        world.excused[Excuse.SET_BACK] += 1
    else:
        yield f"I3: {name} is told to be superseded, and the branch was at {look.truth}"


def _is_running(world: World, step: Step, told: TriggerEntry, run: Run) -> Iterator[str]:
    rule, is_waited = world.rule(told.spec.rule), step.options.wait is not None
    if not rule.target and run.revision != step.revision:
        yield f"I3: {rule.name} runs at another commit"
    if rule.is_job:  # a job of API v1.1 is there as soon as it was created
        return
    yield from _is_its_own(world, step, told, run)
    newest = _newest(run, rule.starts)
    if newest is None:
        if rule.is_named or rule.is_keyed:
            yield f"I3: {rule.name}'s workflow does not run"
        return
    stopped = None if newest.stopped_at is None else (newest.stopped_at - world.begin).total_seconds()
    was_over = stopped is not None and stopped < step.began
    if newest.status in NEVER - {"canceled"} or (newest.status == "canceled" and was_over):
        yield f"I3: {rule.name}'s workflow is {newest.status}"
    if _skipped(newest) and (is_waited or was_over):
        yield f"I3: {rule.name}'s workflow says success, and its job did not run"
    if is_waited and newest.status not in ("success", "canceled"):
        yield f"I3: {rule.name}'s workflow was waited for, and it is {newest.status}"


def _is_its_own(world: World, step: Step, told: TriggerEntry, run: Run) -> Iterator[str]:
    """Whether the run is the rule's, with this commit in its parameters: what no list of CircleCI's tells."""
    rule, post = world.rule(told.spec.rule), next(p for p in world.posts if p.run == run.id)
    wanted = {"rule": rule.name, "sha": step.revision, **({"region": step.visit.region} if rule.has_region else {})}
    if all(run.parameters.get(key) == value for key, value in wanted.items()):
        return
    other = world.rule(post.rule)
    are_told_apart = _shows_key(world, rule) and _shows_key(world, other)
    if not are_told_apart and not _is_known_by_name(other):
        world.excused[Excuse.UNNAMED] += 1
    elif _takes_raced(world, step, told, run):
        world.excused[Excuse.RACED] += 1
    else:
        yield f"I3: the run of {rule.name} is one of {dict(run.parameters)}"


def _takes_raced(world: World, step: Step, told: TriggerEntry, run: Run) -> bool:
    """Whether the run that it takes for its deploy is one of this commit that a trigger of an older one got."""
    rule, post = world.rule(told.spec.rule), next(p for p in world.posts if p.run == run.id)
    is_alike = world.rule(post.rule).starts == rule.starts and not _shows_key(world, rule)
    return is_alike and _is_other_commit(world, post) and run.revision == step.revision


def _takes_anothers(world: World, step: Step, told: TriggerEntry) -> bool:
    """Whether it takes for its own a run of the same deploy that no list had shown when its trigger left."""
    run = _run_of(world, told)
    other = next((p for p in world.posts if run is not None and p.run == run.id and p.step is not step), None)
    posts = [p for p in step.posts if p.rule == told.spec.rule]
    if run is None or other is None or not posts or _listed_at(world, run) <= posts[-1].looked_at:
        return False
    rule = world.rule(told.spec.rule)
    has_key = not _shows_key(world, rule) or run.parameters.get("deploy_key") == told.spec.key
    return has_key and world.rule(other.rule).starts == rule.starts and run.parameters.get("sha") == step.revision


# I4 and I6


def _told(world: World, step: Step, report: Report) -> Iterator[str]:
    """I4: each trigger's outcome, id and revision."""
    for told in report.triggers:
        posts = [p for p in step.posts if p.rule == told.spec.rule]
        runs = [p.run for p in posts if p.run is not None]
        outcome, name = told.outcome, told.spec.rule
        was_sent = bool(posts) and posts[-1].fate not in MAY_GO_AGAIN
        never = bool(posts) and outcome in (Outcome.SUPERSEDED, Outcome.ALREADY_TRIGGERED)
        if never or (runs and outcome in NOT_SENT) or (was_sent and outcome is Outcome.NOT_SENT):
            yield f"I4: {name} was sent, created {runs}, and is told to be {outcome.value}"
        if outcome in (Outcome.TRIGGERED, Outcome.UNCERTAIN, Outcome.NOTHING_RUNS) and not posts:
            yield f"I4: {name} was not sent, and is told to be {outcome.value}"
        if told.created is not None and outcome is not Outcome.ALREADY_TRIGGERED:
            yield from _identity(world, step, told, runs)
    silent = {p.rule for p in step.posts} - {t.spec.rule for t in report.triggers}
    if silent:
        yield f"{'I6' if report.exit in SIGNALS else 'I4'}: {silent} were sent, and the report does not tell"


def _identity(world: World, step: Step, told: TriggerEntry, runs: list[str]) -> Iterator[str]:
    run, created = _run_of(world, told), told.created
    if run is not None and run.id in runs:
        if created is not None and created.revision not in (None, run.revision):
            yield f"I4: {told.spec.rule}'s run is of {run.revision}, and is told to be of {created.revision}"
    elif _takes_anothers(world, step, told):
        world.excused[Excuse.ANOTHERS_RUN] += 1
    elif run is not None and _takes_raced(world, step, told, run):
        world.excused[Excuse.RACED] += 1
    else:
        yield f"I4: {told.spec.rule} is told to have created {created and created.number}, and it did not"


def _last_line(_world: World, step: Step, report: Report) -> Iterator[str]:
    """I4 and I6: what the last line says was sent."""
    if report.exit is ExitCode.OK:
        return
    line = failure(report, Style()).splitlines()[-1]
    law = "I6" if report.exit in SIGNALS else "I4"
    is_silent = line.endswith("nothing was triggered")
    if not step.posts and "was triggered" in line and not is_silent:
        yield f"{law}: nothing was sent, and the last line is: {line}"
    for name in {p.rule for p in step.posts if p.run is not None}:
        if is_silent or f"rule {name} " not in line:
            yield f"{law}: {name} was triggered, and the last line is: {line}"


# I7


def _have_succeeded(world: World, step: Step) -> bool:
    """Whether every other node has, in truth (what a fault shows is taken for the truth)."""
    job = world.sandbox.job(SHOP, step.job) if step.build.nodes else None
    return not step.build.nodes or (job is not None and all(s == "success" for s in job[2].nodes[1:]))
