"""Earlier runs of a deploy, and what a lost trigger created: what is taken for what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from builds import OTHER_SHA, SHA, SHOP, build, spec
from fakes import START, FakeClock, RecordingProgress, RoutedTransport, answer, lost

from deploystep.app.courier import Courier
from deploystep.app.report import Journal
from deploystep.app.trigger import Sender, planned, send_all
from deploystep.app.vigil import Patience
from deploystep.core.deploy import Outcome
from deploystep.core.errors import FactUnavailable, ToolError
from deploystep.core.rules import ApiVersion
from deploystep.core.sharing import Share

if TYPE_CHECKING:
    from fakes import Event

    from deploystep.circleci.wire import Response

DATE = "Tue, 16 Jun 2026 08:02:11 GMT"
LIST = "GET /project/gh/acme/shop/pipeline"
SEND = "POST /pipeline/run"
ACCEPTED = answer(201, {"id": "new", "number": 99, "state": "pending"})
CREATED = answer(200, {"state": "created", "vcs": {"revision": SHA}})


def ago(seconds: float) -> str:
    return (START - timedelta(seconds=seconds)).isoformat()


def run(name: str, age: float, **changes: Any) -> dict[str, Any]:
    usual = {
        "id": name,
        "number": 7,
        "state": "created",
        "created_at": ago(age),
        "vcs": {"revision": SHA, "branch": "main"},
        "trigger": {"type": "api"},
    }
    return {**usual, **changes}


def runs(*found: dict[str, Any]) -> Response:
    return answer(200, {"items": [*found], "next_page_token": None}, date=DATE)


def workflows(*found: dict[str, Any]) -> Response:
    return answer(200, {"items": [{"id": "w", "name": "deploy", **each} for each in found]})


@dataclass
class Attempt:
    """One trigger of rule production, workflow deploy; what was asked, and what came of it."""

    routes: dict[str, Event | list[Event]]
    changes: dict[str, Any]
    limit: float

    def __post_init__(self) -> None:
        self.transport = RoutedTransport({SEND: ACCEPTED, "GET /pipeline/new": CREATED, **self.routes})
        self.clock, self.progress, self.journal = FakeClock(), RecordingProgress(), Journal()
        courier = Courier(self.transport, self.clock, self.progress)
        sender = Sender(courier, "CIRCLE_TOKEN", "https://app.circleci.com", Patience(self.limit))
        self.journal.plan((planned(spec(**self.changes), SHOP, sender.host, Outcome.NOT_SENT),))
        self.raised: ToolError | None = None
        try:
            send_all(self.journal, build(), SHOP, sender)
        except ToolError as error:
            self.raised = error
        (self.entry,) = self.journal.entries

    @property
    def outcome(self) -> Outcome:
        return self.entry.outcome


def attempt(routes: dict[str, Event | list[Event]], *, limit: float = 60.0, **changes: Any) -> Attempt:
    return Attempt(routes, changes, limit)


def test_an_earlier_run_that_is_cancelled_meanwhile_hides_no_other() -> None:
    """The newer run was another commit's: its step cancels it. The older one is this commit's own, and runs."""
    tried = attempt(
        {
            LIST: runs(run("other", 2), run("ours", 300)),
            "GET /pipeline/other/workflow": [workflows({"status": "running"}), workflows({"status": "canceled"})],
            "GET /pipeline/ours/workflow": workflows({"status": "running"}),
        }
    )
    assert (tried.outcome, tried.transport.count(SEND.split()[1])) == (Outcome.ALREADY_TRIGGERED, 0)
    assert tried.entry.created is not None
    assert tried.entry.created.id == "ours"


def test_a_deploy_that_succeeded_is_not_undone_by_a_later_one_that_was_cancelled() -> None:
    """The newer run was another commit's, and its step has cancelled it."""
    routes: dict[str, Event | list[Event]] = {
        LIST: runs(run("newer", 60), run("older", 300)),
        "GET /pipeline/older/workflow": workflows({"status": "success"}),
        "GET /pipeline/new/workflow": workflows({"status": "running"}),
    }
    for status, outcome in (("canceled", Outcome.ALREADY_TRIGGERED), ("failed", Outcome.TRIGGERED)):
        tried = attempt({**routes, "GET /pipeline/newer/workflow": workflows({"status": status})})
        assert tried.outcome is outcome


def test_a_failed_run_that_circleci_reruns_by_itself_is_alive() -> None:
    failed = {"status": "failed", "stopped_at": ago(5), "max_auto_reruns": 2}
    again = {"id": "w2", "status": "running", "created_at": ago(-8), "max_auto_reruns": 2, "auto_rerun_number": 1}
    tried = attempt(
        {
            LIST: runs(run("first", 300)),
            "GET /pipeline/first/workflow": [workflows(failed), workflows(failed), workflows(failed, again)],
        }
    )
    assert (tried.outcome, tried.transport.count(SEND.split()[1])) == (Outcome.ALREADY_TRIGGERED, 0)
    assert "it failed, and CircleCI is to rerun it" in tried.progress.said[0]


def test_a_run_that_fails_while_it_settles_is_alive_if_circleci_reruns_it() -> None:
    running = {"status": "running", "max_auto_reruns": 1}
    failed = {"status": "failed", "stopped_at": ago(-4), "max_auto_reruns": 1}
    again = {"id": "w2", "status": "running", "created_at": ago(-8), "max_auto_reruns": 1, "auto_rerun_number": 1}
    looks: list[Event] = [workflows(running), workflows(failed), workflows(failed, again)]
    tried = attempt({LIST: runs(run("first", 3)), "GET /pipeline/first/workflow": looks})
    assert (tried.outcome, tried.transport.count(SEND.split()[1])) == (Outcome.ALREADY_TRIGGERED, 0)


def test_a_rerun_by_circleci_that_does_not_come_is_not_waited_for_for_ever() -> None:
    failed = {"status": "failed", "max_auto_reruns": 2}
    for stopped, wait in ((ago(5), 120.0), (ago(500), 0.0)):
        first = workflows({**failed, "stopped_at": stopped})
        tried = attempt(
            {
                LIST: runs(run("first", 600)),
                "GET /pipeline/first/workflow": first,
                "GET /pipeline/new/workflow": workflows({"status": "running"}),
            }
        )
        assert tried.outcome is Outcome.TRIGGERED
        assert sum(tried.clock.slept) == wait


def test_what_follows_a_setup_workflow_is_waited_for_however_long_that_took() -> None:
    """A run is older than a minute by then, and still its deploy is on its way."""
    setup = {"id": "s", "name": "setup", "tag": "setup", "status": "success", "stopped_at": ago(1)}
    tried = attempt(
        {
            LIST: runs(run("first", 300)),
            "GET /pipeline/first": answer(200, run("first", 300)),
            "GET /pipeline/first/workflow": [workflows(setup), workflows(setup, {"status": "running"})],
        }
    )
    assert (tried.outcome, tried.transport.count(SEND.split()[1])) == (Outcome.ALREADY_TRIGGERED, 0)


def test_a_run_that_was_cancelled_in_its_setup_is_not_waited_for() -> None:
    """It stays in that state for ever: the build of an older commit got this commit's run, and cancelled it."""
    setup = {"id": "s", "name": "setup", "tag": "setup", "status": "canceled", "stopped_at": ago(1)}
    tried = attempt(
        {
            LIST: runs(run("first", 2, state="setup")),
            "GET /pipeline/first/workflow": workflows(setup),
            "GET /pipeline/new/workflow": workflows({"status": "running"}),
        }
    )
    assert (tried.outcome, tried.clock.slept) == (Outcome.TRIGGERED, [])


@pytest.mark.parametrize(("age", "limit", "wait"), [(50.0, 60.0, 10), (50.0, 5.0, 0), (4.0, 5.0, 6)])
def test_a_run_without_workflows_is_nothing_once_it_is_old_enough(age: float, limit: float, wait: float) -> None:
    """As old as the step waits for the workflows of its own run, and ten seconds at the least."""
    tried = attempt(
        {
            LIST: runs(run("first", age)),
            "GET /pipeline/first": answer(200, run("first", age)),
            "GET /pipeline/first/workflow": workflows(),
            "GET /pipeline/new/workflow": workflows({"status": "running"}),
        },
        limit=limit,
    )
    assert tried.outcome is Outcome.TRIGGERED
    assert wait <= sum(tried.clock.slept) < wait + 6


@pytest.mark.parametrize(("age", "outcome"), [(0, Outcome.TRIGGERED), (-5, Outcome.TRIGGERED), (-6, Outcome.UNCERTAIN)])
def test_a_lost_trigger_of_a_target_is_found_in_the_very_seconds_of_it_only(age: float, outcome: Outcome) -> None:
    """Builds of every commit, and of other projects, start the same workflow there."""
    some = run("some", age, vcs={"revision": OTHER_SHA, "branch": "main"})
    tried = attempt(
        {
            LIST: [runs(), runs(some)],
            SEND: lost(),
            "GET /pipeline/some": answer(200, some),
            "GET /pipeline/some/workflow": workflows({"status": "running"}),
        },
        revision=None,
    )
    assert tried.outcome is outcome
    if outcome is Outcome.UNCERTAIN:
        assert tried.raised is not None
        assert "what may be its run, or that of another build: " in tried.raised.message


def test_a_lost_job_of_the_old_api_is_not_looked_for_among_other_commits() -> None:
    """The request pins the revision: a job of another commit is another build's, and must not be cancelled."""
    other = {"build_num": 30, "branch": "main", "vcs_revision": OTHER_SHA, "why": "api", "job_name": "deploy"}
    listed = answer(200, [{**other, "status": "running", "queued_at": ago(0)}], date=DATE)
    tried = attempt(
        {
            "GET /tree/main": [answer(200, [], date=DATE), listed],
            "POST /tree/main": lost(),
            "GET /shop/30": answer(200, {**other, "status": "running"}),
            "POST /shop/30/cancel": answer(200, {**other, "status": "canceled"}),
        },
        job="deploy",
        workflow=None,
        api=ApiVersion.V1_1,
    )
    assert tried.outcome is Outcome.UNCERTAIN
    assert tried.transport.count("/cancel") == 0


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        ((run("new", 0), run("before", 1)), None),
        ((run("new", 0),), Outcome.TRIGGERED),
    ],
)
def test_what_another_rule_has_just_triggered_is_never_this_rules(
    found: tuple[dict[str, Any], ...], outcome: Outcome | None
) -> None:
    """Rules that share a workflow are told apart by the order of their runs, and here that order misleads."""
    routes: dict[str, Event | list[Event]] = {
        LIST: [runs(), runs(*found)],
        "GET /pipeline/new/workflow": workflows({"status": "running", "created_at": ago(-1)}),
        "GET /pipeline/before/workflow": workflows({"status": "running"}),
        SEND: ACCEPTED,
        "GET /pipeline/new": CREATED,
    }
    transport, journal = RoutedTransport(routes), Journal()
    courier = Courier(transport, FakeClock(), RecordingProgress())
    sender = Sender(courier, "CIRCLE_TOKEN", "https://app.circleci.com", Patience())
    specs = [spec(rule=f"rule-{n}", share=Share(n, 2), parameters={"n": n}) for n in range(2)]
    journal.plan(tuple(planned(s, SHOP, sender.host, Outcome.NOT_SENT) for s in specs))
    if outcome is None:
        with pytest.raises(FactUnavailable, match="nothing tells which of them started"):
            send_all(journal, build(), SHOP, sender)
    else:
        send_all(journal, build(), SHOP, sender)
        assert [entry.outcome for entry in journal.entries] == [outcome, outcome]


def test_a_run_that_errored_leaves_no_order_by_which_rules_that_share_a_workflow_are_told_apart() -> None:
    """With --confirm 0 a step goes on after it: the one run that holds the workflow is the second rule's."""
    found = runs(run("second", 60), run("first", 70, state="errored", errors=[{"message": "x"}]))
    looks: dict[str, Event | list[Event]] = {
        LIST: found,
        "GET /pipeline/first/workflow": workflows(),
        "GET /pipeline/second/workflow": workflows({"status": "success"}),
    }
    tried = attempt(looks, share=Share(0, 2))
    assert isinstance(tried.raised, FactUnavailable)
    assert attempt(looks).outcome is Outcome.ALREADY_TRIGGERED, "alone, a rule has no order to keep"


@pytest.mark.parametrize(
    ("changes", "age", "outcome"),
    [
        ({}, 1, Outcome.TRIGGERED),  # the rule's own workflow and commit: two machines' clocks may differ a little
        ({}, 3, Outcome.UNCERTAIN),
        ({"revision": None}, 0, Outcome.TRIGGERED),
        (
            {"revision": None},
            1,
            Outcome.UNCERTAIN,
        ),  # of a target only its time tells, which gets no benefit of the doubt
    ],
)
def test_what_was_made_before_the_survey_is_not_what_the_trigger_created(
    changes: dict[str, Any], age: float, outcome: Outcome
) -> None:
    some = run("some", age)
    routes: dict[str, Event | list[Event]] = {
        LIST: [runs(), runs(some)],
        SEND: lost(),
        "GET /pipeline/some": answer(200, some),
        "GET /pipeline/some/workflow": workflows({"status": "running"}),
    }
    assert attempt(routes, **changes).outcome is outcome
