"""What must hold, whatever happens; and the few conditions under which it cannot, each counted by name.

I1  never two live runs for one rule and commit, without --again
I2  never a run of another commit left alive without the step saying so
I3  exit 0 exactly when a due deploy runs, or ran, or none was due
I4  the report tells what happened
I5  a trigger is sent again only where it certainly was not received
I6  a step that is interrupted tells whether something was sent
I7  nothing is sent before every other node has succeeded
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from deploystep.core.deploy import Outcome
from deploystep.core.exits import ExitCode
from deploystep.core.retry import Fate
from deploystep.render.text import Style, failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulation.world import Post, Step, World

    from deploystep.app.report import Report, TriggerEntry
    from deploystep.sandbox import Run, WorkflowRun

OVER = frozenset({"success", "failed", "error", "canceled", "unauthorized", "not_run"})
NEVER = frozenset({"error", "canceled", "unauthorized", "not_run"})
SIGNALS = (ExitCode.INTERRUPTED, ExitCode.TERMINATED)
#: Exit codes that say that something may be wrong with what was created, with words of their own.
SAYS_SO = (ExitCode.UNCERTAIN, ExitCode.STOPPED, ExitCode.TIMED_OUT, *SIGNALS)
NOT_SENT = (Outcome.NOT_SENT, Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.SUPERSEDED, Outcome.ALREADY_TRIGGERED)
A_MINUTE = 60.0


class Law:
    """Looks at every moment whether all holds; what does not is noted in the world."""

    def posting(self, world: World, post: Post) -> None:
        """I5 and I7, before a trigger leaves."""
        before = [p for p in post.step.posts if p.rule == post.rule]
        if before and before[-1].fate not in (Fate.NOT_RECEIVED, Fate.RATE_LIMITED):
            world.wrong.append(f"I5: {post.step.name} sends {post.rule} again after {before[-1].result}")
        if before and any(p.run is not None for p in before):
            world.wrong.append(f"I5: {post.step.name} sends {post.rule} again, and it had been received")
        if post.step.visit.nodes_limit is not None and not _have_succeeded(world, post.step):
            world.wrong.append(f"I7: {post.step.name} sends {post.rule} before every other node has succeeded")

    def created(self, world: World, post: Post) -> None:
        """I1, whenever a trigger has created a run."""
        run = world.stored(post.run or "")
        for earlier in world.posts:
            if earlier.run is None or earlier is post or not _is_of_same(world, earlier, run, post):
                continue
            if not _may_still_deploy(world, earlier.run, post.rule):
                continue
            excuse = _excuse(world, earlier, post)
            if excuse is None:
                number = world.stored(earlier.run).number
                world.wrong.append(
                    f"I1: {post.step.name} creates run {run.number} of {post.rule}, and run {number} of it is alive"
                )
            else:
                world.excused[f"I1: {excuse}"] += 1

    def ended(self, world: World, step: Step) -> None:
        """I2, I3, I4 and I6, when a step has ended."""
        if step.report is None:
            world.excused["a step was killed: it tells nothing"] += 1
            return
        found = [*_other_commits(world, step), *_zero(world, step), *_told(world, step), *_last_line(world, step)]
        world.wrong += [f"{words} ({step.name}, exit {int(step.report.exit)})" for words in found]

    def finished(self, world: World) -> None:
        """I2 and I4 once more: what came to life after the step had ended."""
        for step in world.steps:
            world.wrong += [f"{words} ({step.name})" for words in _came_to_life(world, step)]
            if step.report is None or step.report.exit is not ExitCode.STOPPED:
                continue
            for post in step.posts:
                if _is_other_commit(world, post) and _says_cancelled(step.report) and _has_deployed(world, post):
                    world.wrong.append(f"I2: {step.name} says that it cancelled the run, and it went on")


def _came_to_life(world: World, step: Step) -> Iterator[str]:
    """I4: what was said not to run has run after all."""
    said = step.report.triggers if step.report is not None else ()
    for told in said:
        if told.outcome is Outcome.NOTHING_RUNS:
            named = _run_of(world, told)
            sent = [p for p in step.posts if p.rule == told.spec.rule and p.run is not None]
            posts = [p for p in sent if named is None or p.run == named.id]  # another's is another matter (_identity)
            deployed = [post for post in posts if _has_deployed(world, post)]
            if any(_started_late(world, post, A_MINUTE) for post in deployed):
                world.excused["I4: CircleCI took more than a minute to start what the run holds"] += 1
            elif any(_started_late(world, post, step.visit.confirm) for post in deployed):
                world.excused["I4: CircleCI took longer than --confirm to start what the run holds"] += 1
            elif deployed:
                yield f"I4: nothing of {told.spec.rule} runs, said the step, and then it ran"


def _started_late(world: World, post: Post, seconds: float = A_MINUTE) -> bool:
    """Whether the workflow comes so many seconds after the run, or after its setup workflow, seen by now or not."""
    run = world.stored(post.run or "")
    first = min((w.created_at for w in run.workflows if w.name == world.rule(post.rule).starts), default=run.created_at)
    before = [w.stopped_at for w in run.workflows if w.stopped_at is not None and w.stopped_at < first]
    return (first - max([run.created_at, *before])).total_seconds() > seconds


# I1


def _is_of_same(world: World, earlier: Post, run: Run, post: Post) -> bool:
    """Whether both are runs of one rule for one commit of one branch or tag."""
    return earlier.rule == post.rule and _is_of_one(world, earlier, run)


def _is_of_one(world: World, earlier: Post, run: Run) -> bool:
    other = world.stored(earlier.run or "")
    is_same_ref = (other.branch, other.tag, other.project) == (run.branch, run.tag, run.project)
    return is_same_ref and other.revision == run.revision


def _may_still_deploy(world: World, run_id: str, rule: str) -> bool:
    """Whether the rule's workflow of a run has succeeded, is under way, or is yet to come."""
    stored, shown = world.stored(run_id), world.shown(run_id)
    starts = world.rule(rule).starts
    if stored.errors:
        return False
    newest = _newest(shown, starts)
    if newest is not None and newest.status == "failing" and world.rule(rule).is_job:
        return False  # API v1.1 has one word for both: it has failed
    if newest is not None:
        return newest.status == "success" or newest.status not in OVER or _is_coming(stored, newest)
    if any(w.tag == "setup" and w.status in OVER - {"success"} for w in shown.workflows):
        return False  # nothing comes after it
    return any(w.name == starts and w.changes[0].status != "canceled" for w in stored.workflows)


def _newest(run: Run, name: str) -> WorkflowRun | None:
    named = [w for w in run.workflows if w.name == name]
    return max(named, key=lambda w: w.created_at, default=None)


def _is_coming(stored: Run, workflow: WorkflowRun) -> bool:
    """Whether CircleCI will rerun this workflow by itself."""
    return any(w.follows and w.follows[0] == workflow.id for w in stored.workflows) and (workflow.status == "failed")


def _excuse(world: World, earlier: Post, post: Post) -> str | None:
    """Why nobody could have known of the earlier run; None where the step should have."""
    reasons = [*_whatever_was_listed(world, post)]
    if earlier.step is not post.step:
        listed_at = (world.stored(earlier.run or "").listed_at - world.begin).total_seconds()
        reasons += [*(_listed if listed_at <= post.looked_at else _unlisted)(world, earlier, post)]
    return next((words for holds, words in reasons if holds), None)


def _whatever_was_listed(world: World, post: Post) -> Iterator[tuple[bool, str]]:
    says_so = any("is not recognised and deploys again" in said for said in post.step.said)
    yield _is_other_commit(world, post), "the branch moved while the trigger was under way (I2)"
    yield post.step.visit.again is not None, "--again"
    is_unknown = not world.rule(post.rule).is_recognised and says_so
    yield is_unknown, "the rule's runs cannot be recognised, and the step says so"


def _listed(world: World, earlier: Post, post: Post) -> Iterator[tuple[bool, str]]:
    """The step has seen the run, and could not count it."""
    is_going = earlier.step.ended is None or earlier.step.ended > post.step.began
    has_raced = _is_other_commit(world, earlier) and is_going
    yield has_raced, "a trigger of an older commit had raced with the push (I2)"
    runs = [p for p in world.posts if p.run and p.rule == post.rule and p.created_at > earlier.created_at]
    has_failed = any(_is_of_same(world, p, world.stored(post.run or ""), post) and _failed(world, p) for p in runs)
    yield has_failed, "a later run of it has failed, after two steps at once or --again"
    is_late = _came_late(world, earlier, post) or _started_late(world, earlier)
    yield is_late, "CircleCI took more than a minute to start what the earlier run holds"


def _unlisted(world: World, earlier: Post, post: Post) -> Iterator[tuple[bool, str]]:
    """The step has not seen the run, for it was not there, or no list showed it yet."""
    before = earlier.step
    yield _is_other_commit(world, earlier), "a trigger of an older commit had raced with the push (I2)"
    is_late = any(p.created_at - p.at > A_MINUTE for p in (earlier, post))
    yield is_late, "CircleCI acted on a trigger more than a minute late"
    yield before.ended is None or before.ended > post.step.began, "two steps at once (known race)"
    is_cut = before.report is None or before.report.exit in SIGNALS
    yield is_cut, "rerun inside the lists' lag, after a step that was killed"
    yield True, "rerun inside the lists' lag"


def _failed(world: World, post: Post) -> bool:
    """Whether its workflow has run and not succeeded; what API v1.1 calls failed is more than that."""
    rule = world.rule(post.rule)
    newest = _newest(world.shown(post.run or ""), rule.starts)
    bad = {"failed", "unauthorized", "error", "failing"} if rule.is_job else {"failed"}
    return newest is not None and newest.status in bad


def _came_late(world: World, earlier: Post, post: Post) -> bool:
    """Whether, when the trigger first left, the earlier run had held nothing that goes on for a minute."""
    left = min(p.at for p in post.step.posts if p.rule == post.rule)
    shown = world.stored(earlier.run or "").at(world.begin + timedelta(seconds=left))
    starts = world.rule(post.rule).starts
    stopped = [w.stopped_at for w in shown.workflows if w.stopped_at is not None]
    since = max([shown.created_at, *stopped])
    is_idle = all(w.status in OVER for w in shown.workflows)
    is_there = _newest(shown, starts) is not None
    return is_idle and not is_there and left - (since - world.begin).total_seconds() >= A_MINUTE - 2.0


# I2


def _is_other_commit(world: World, post: Post) -> bool:
    if post.run is None or world.rule(post.rule).is_elsewhere:
        return False
    return world.stored(post.run).revision != post.step.revision


def _other_commits(world: World, step: Step) -> Iterator[str]:
    """I2: runs of another commit that go on, and nobody says so."""
    report = step.report
    assert report is not None
    for post in step.posts:
        if not _is_other_commit(world, post) or not _goes_on(world, post.run or ""):
            continue
        if step.visit.confirm == 0 and any("not confirmed" in said for said in step.said):
            world.excused["I2: --confirm 0, and the step says so"] += 1
        elif post.created_at - post.at > A_MINUTE and any(_is_anothers(world, post, told) for told in report.triggers):
            world.excused[
                "I2: CircleCI acted on a trigger more than a minute late, and another run had been found"
            ] += 1
        elif report.exit not in SAYS_SO:
            yield "I2: a run of another commit goes on"
        elif report.exit is ExitCode.STOPPED and "could NOT" not in (report.error.message if report.error else ""):
            yield "I2: a run of another commit goes on, and the step does not say that it could not be cancelled"


def _is_anothers(world: World, post: Post, told: TriggerEntry) -> bool:
    run = _run_of(world, told)
    return told.spec.rule == post.rule and run is not None and run.id != post.run


def _goes_on(world: World, run_id: str) -> bool:
    return any(w.status not in OVER for w in world.shown(run_id).workflows)


def _says_cancelled(report: Report) -> bool:
    return report.error is not None and report.error.message.endswith("it was cancelled")


def _has_deployed(world: World, post: Post) -> bool:
    newest = _newest(world.shown(post.run or ""), world.rule(post.rule).starts)
    return newest is not None and newest.status not in NEVER


# I3


def _zero(world: World, step: Step) -> Iterator[str]:
    """I3: exit 0 means that what was due runs, or ran; and without any trouble it is 0."""
    report = step.report
    assert report is not None
    push = step.build.push
    due = [r.name for r in world.schedule.rules if r.fires(push.ref, is_tag=push.is_tag)] if not step.visit.node else []
    if report.exit is not ExitCode.OK:
        if _is_untroubled(world, step):
            yield f"I3: nothing was in the way, and it failed: {report.error}"
        return
    told = {t.spec.rule: t for t in report.triggers}
    if report.decision is not None and set(told) != set(due):
        yield f"I3: {due} are due, and the report tells of {list(told)}"
    for name in due:
        if name in told:
            yield from _is_deployed(world, step, told[name])
        elif not report.skipped:
            yield f"I3: {name} was due"


def _is_untroubled(world: World, step: Step) -> bool:
    """Whether nothing befell the step, and nothing else went on: then what was due must run."""
    visit, pace = step.visit, world.schedule.pace
    is_alone = all(
        s is step or (s.ended or step.began + 1) < step.began or s.began > world.time.now for s in world.steps
    )
    others = [world.stored(post.run) for post in world.posts if post.run and post.step is not step]
    is_first = all(run.revision != step.revision for run in others) and all(
        s is step or s.build.push.commit != step.build.push.commit for s in world.steps
    )
    runs = [world.stored(post.run) for post in step.posts if post.run]
    is_well = all(w.status == "success" for run in runs for w in run.workflows) and not any(
        run.errors or not run.workflows for run in runs
    )
    is_plain = step.faults == 0 and visit.fuse is None and visit.node == 0
    starts = 2 * pace.appear + (pace.finish if world.schedule.has_setup else 0)
    is_quick = starts + 6 < visit.confirm or visit.confirm == 0  # with a moment to look
    is_waited = visit.wait is None or 2 * pace.appear + 2 * pace.finish + 20 < visit.wait
    has_nodes = visit.nodes_limit is None or all(
        n.status == "success" and n.after + 25 < visit.nodes_limit for n in step.build.nodes
    )
    is_right = all(not _is_other_commit(world, post) for post in step.posts)
    return is_alone and is_first and is_well and is_quick and is_waited and has_nodes and is_right and is_plain


def _is_deployed(world: World, step: Step, told: TriggerEntry) -> Iterator[str]:
    name = told.spec.rule
    if told.outcome is Outcome.SUPERSEDED:
        if all(head in (None, step.revision) for head in step.heads):
            yield f"I3: {name} was not superseded"
        return
    if told.outcome not in (Outcome.TRIGGERED, Outcome.ALREADY_TRIGGERED):
        yield f"I3: {name} is {told.outcome.value}"
        return
    run = _run_of(world, told)
    if run is None:
        yield f"I3: {name} has no run"
    elif step.visit.confirm > 0 or told.outcome is Outcome.ALREADY_TRIGGERED:
        yield from _is_running(world, step, told, run)


def _run_of(world: World, told: TriggerEntry) -> Run | None:
    """The run that a report names, as it is now."""
    created = told.created
    if created is None:
        return None
    runs = (world.shown(p.run) for p in world.posts if p.run)
    is_job = world.rule(told.spec.rule).is_job
    wanted = (r for r in runs if r.is_pipeline != is_job)
    return next(
        (r for r in wanted if (r.number if is_job else r.id) == (created.number if is_job else created.id)), None
    )


def _is_running(world: World, step: Step, told: TriggerEntry, run: Run) -> Iterator[str]:
    rule = world.rule(told.spec.rule)
    if not rule.is_elsewhere and run.revision != step.revision:
        yield f"I3: {rule.name} runs at another commit"
    if rule.is_job:  # a job of API v1.1 is there as soon as it was created
        return
    yield from _is_its_own(world, step, told, run)
    newest = _newest(run, rule.starts)
    if newest is None and rule.is_named:
        yield f"I3: {rule.name}'s workflow does not run"
    if newest is None:
        return
    if newest.status in NEVER and newest.stopped_at is not None:
        seconds = (newest.stopped_at - world.begin).total_seconds()
        if seconds < step.began or newest.status in NEVER - {"canceled"}:
            yield f"I3: {rule.name}'s workflow is {newest.status}"
    if step.visit.wait is not None and newest.status not in ("success", "canceled"):
        yield f"I3: {rule.name}'s workflow was waited for, and it is {newest.status}"


def _is_its_own(world: World, step: Step, told: TriggerEntry, run: Run) -> Iterator[str]:
    """Whether the run is the rule's, with this commit in its parameters: what no list of CircleCI's tells."""
    is_rules, is_commits = (run.parameters.get(k) == v for k, v in (("rule", told.spec.rule), ("sha", step.revision)))
    if is_rules and is_commits:
        return
    post = next(p for p in world.posts if p.run == run.id)
    if not world.rule(post.rule).is_named:
        world.excused["I3: a rule that names no workflow starts the one that another rule names"] += 1
    elif _is_other_commit(world, post) and run.revision == step.revision:
        world.excused["I3: a trigger of an older commit had raced with the push, and its run is adopted"] += 1
    else:
        yield f"I3: the run of {told.spec.rule} is one of rule {run.parameters.get('rule')}"


# I4 and I6


def _told(world: World, step: Step) -> Iterator[str]:
    """I4: each trigger's outcome, id and revision."""
    report = step.report
    assert report is not None
    for told in report.triggers:
        posts = [p for p in step.posts if p.rule == told.spec.rule]
        runs = [p.run for p in posts if p.run is not None]
        yield from _outcome(told, posts, runs)
        yield from _identity(world, step, told, runs)
    silent = {p.rule for p in step.posts} - {t.spec.rule for t in report.triggers}
    if silent:
        yield f"I4: {silent} were sent, and the report does not tell"
    if report.exit in SIGNALS and step.posts and not report.triggers:
        yield "I6: something was sent, and the report of the interruption does not tell"


def _outcome(told: TriggerEntry, posts: list[Post], runs: list[str]) -> Iterator[str]:
    outcome, name = told.outcome, told.spec.rule
    if runs and outcome in NOT_SENT:
        yield f"I4: {name} created a run, and is told to be {outcome.value}"
    if outcome in (Outcome.SUPERSEDED, Outcome.ALREADY_TRIGGERED) and posts:
        yield f"I4: {name} was sent, and is told to be {outcome.value}"
    if outcome is Outcome.NOT_SENT and posts and posts[-1].fate not in (Fate.NOT_RECEIVED, Fate.RATE_LIMITED):
        yield f"I4: {name} was sent, and is told to be {outcome.value}"
    if outcome in (Outcome.TRIGGERED, Outcome.UNCERTAIN, Outcome.NOTHING_RUNS) and not posts:
        yield f"I4: {name} was not sent, and is told to be {outcome.value}"


def _identity(world: World, step: Step, told: TriggerEntry, runs: list[str]) -> Iterator[str]:
    if told.created is None or told.outcome is Outcome.ALREADY_TRIGGERED:
        return
    run = _run_of(world, told)
    others = [p for p in world.posts if run is not None and p.run == run.id and p.step is not step]
    excuse = _look_alike(world, step, told, others[0]) if run is not None and others else None
    if excuse is not None:
        world.excused[f"I4: {excuse}"] += 1
    elif run is None or run.id not in runs:
        number = told.created.number
        yield f"I4: {told.spec.rule} is told to have created {number}, and that is not what it created"
    elif told.created.revision not in (None, run.revision):
        yield f"I4: {told.spec.rule}'s run is of {run.revision}, and is told to be of {told.created.revision}"


def _look_alike(world: World, step: Step, told: TriggerEntry, other: Post) -> str | None:
    """Why another step's run may be taken for what this one created: it was not to be seen before this one sent."""
    run, posts = world.stored(other.run or ""), [p for p in step.posts if p.rule == told.spec.rule]
    was_unseen = bool(posts) and (run.listed_at - world.begin).total_seconds() > posts[-1].looked_at
    if not was_unseen or run.revision not in (step.revision, "0" * 39 + "1"):
        return None
    if _is_other_commit(world, other):
        return "a trigger of an older commit had raced with the push, and its run is taken for this commit's own"
    if run.errors:
        return "two steps of one commit at once: a run that errored does not tell whose it is (known race)"
    is_alike = world.rule(other.rule).starts == world.rule(told.spec.rule).starts
    if is_alike and run.parameters.get("sha") == step.revision:
        return "two steps of one commit at once: one takes the other's run for its own (known race)"
    return None


def _last_line(world: World, step: Step) -> Iterator[str]:
    """I4 and I6: what the last line says was sent."""
    del world
    report = step.report
    assert report is not None
    if report.exit is ExitCode.OK:
        return
    line = failure(report, Style()).splitlines()[-1]
    law = "I6" if report.exit in SIGNALS else "I4"
    created = {p.rule for p in step.posts if p.run is not None}
    is_silent = line.endswith("nothing was triggered")
    if created and is_silent:
        yield f"{law}: {created} were triggered, and the last line is: {line}"
    if not step.posts and "was triggered" in line and not is_silent:
        yield f"{law}: nothing was sent, and the last line is: {line}"
    for name in created:
        if f"rule {name} " not in line:
            yield f"{law}: {name} was triggered, and the last line is: {line}"


# I7


def _have_succeeded(world: World, step: Step) -> bool:
    """Whether every other node has, in truth (what a fault shows is taken for the truth)."""
    if not step.build.nodes:
        return True
    job = world.sandbox.job("gh/acme/shop", step.job)
    return job is not None and all(status == "success" for status in job.parallel_runs[1:])
