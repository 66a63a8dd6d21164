"""Sending: once each, in order, and the report tells the truth at every moment, whoever interrupts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builds import DEFINITION, OTHER_SHA, RUN, SHA, SHOP, build, oidc, rules, spec
from fakes import (
    HOST,
    NO_RUNS,
    FakeClock,
    FakeRemote,
    FakeServices,
    RoutedTransport,
    ScriptedTransport,
    answer,
    lost,
    refused_connection,
)
from triggers import ACCEPTED, KEY, OTHER, URL, Attempt, listing, pipeline, seen, workflows

from deploystep.app import trigger
from deploystep.app.ports import Head
from deploystep.app.trigger import duplicates, planned
from deploystep.core.build import Branch, ProjectSlug
from deploystep.core.deploy import Outcome
from deploystep.core.errors import (
    DeployFailed,
    FactUnavailable,
    Interrupted,
    NothingRuns,
    Refused,
    Stopped,
    TimedOut,
    ToolError,
    Uncertain,
    Unreachable,
)
from deploystep.core.exits import ExitCode
from deploystep.core.rules import ApiVersion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fakes import Event

    from deploystep.app.report import TriggerEntry
    from deploystep.circleci.apis import Api
    from deploystep.circleci.http import Request, Response

STOP = Interrupted(ExitCode.TERMINATED)
RUNNING, NONE_YET = workflows("running"), workflows()
WRONG = seen(sha=OTHER_SHA)
WHOLE: list[Event] = [ACCEPTED, seen(), RUNNING]
DEPLOYER = ProjectSlug("circleci", "9Yy", "44n")
V1_JOB: dict[str, Any] = {"api": ApiVersion.V1_1, "job": "deploy", "workflow": None}
RULES = """\
    version: 1
    rules:
      - {name: a, when: {branch: main}, deploy: {workflow: deploy}}
      - {name: b, when: {branch: main}, deploy: {workflow: deploy}}
      - {name: c, when: {branch: main}, deploy: {workflow: deploy}}
    """


def attempt(events: Sequence[Event], *, count: int = 1, earlier: Response = NO_RUNS, **options: Any) -> Attempt:
    """Some rules are due; after the list of runs this is what happens to one request after the other."""
    specs = [spec(rule=f"rule-{n}", workflow="deploy" if n == 0 else f"deploy-{n}") for n in range(count)]
    return Attempt(ScriptedTransport(events, earlier=earlier), *specs, **{"confirm": 2.0, **options}).run()


def test_all_is_well() -> None:
    tried = attempt(WHOLE)
    assert (tried.raised, tried.outcomes) == (None, [Outcome.TRIGGERED])
    (entry,) = tried.report.triggers
    assert (entry.created and entry.created.id, entry.created and entry.created.revision) == (RUN, SHA)
    assert ([w.name for w in entry.workflows], tried.console.infos) == (["deploy"], [f"triggered rule-0: {URL}/25"])
    other = Attempt(ScriptedTransport([ACCEPTED, WRONG, RUNNING]), spec(project=DEPLOYER, revision=None), confirm=2.0)
    assert other.run().outcomes == [Outcome.TRIGGERED]
    assert other.report.triggers[0].url == f"{HOST}/api/v2/project/circleci/9Yy/44n/pipeline/run"


@pytest.mark.parametrize(
    ("events", "kind", "outcome"),
    [
        ([answer(404, {"message": "x"})], Refused, Outcome.REFUSED),
        ([refused_connection()] * 5, Unreachable, Outcome.UNREACHABLE),
        ([answer(429, retry_after="999")], Unreachable, Outcome.UNREACHABLE),
        ([lost()], Uncertain, Outcome.UNCERTAIN),
        ([answer(500)], Uncertain, Outcome.UNCERTAIN),
        ([answer(201, b"<html>")], Uncertain, Outcome.UNCERTAIN),
        ([answer(200, {"message": "CI skip"})], NothingRuns, Outcome.NOTHING_RUNS),
        ([ACCEPTED, seen(state="errored")], NothingRuns, Outcome.NOTHING_RUNS),
        ([ACCEPTED, WRONG, RUNNING, answer(202), workflows("canceled")], Stopped, Outcome.STOPPED),
        ([ACCEPTED, *[answer(404), answer(404)] * 9], TimedOut, Outcome.TRIGGERED),
    ],
)
def test_how_it_can_end(events: list[Event], kind: type[ToolError], outcome: Outcome) -> None:
    tried = attempt(events, count=3)
    assert type(tried.raised) is kind
    assert tried.outcomes == [outcome, Outcome.NOT_SENT, Outcome.NOT_SENT]


@pytest.mark.parametrize(("then", "outcome"), [(answer(403), Outcome.REFUSED), (STOP, Outcome.UNCERTAIN)])
def test_what_follows_a_failure_or_an_interruption_is_not_sent(then: Event, outcome: Outcome) -> None:
    tried = attempt([*WHOLE, then], count=3)
    assert tried.outcomes == [Outcome.TRIGGERED, outcome, Outcome.NOT_SENT]
    assert tried.transport.is_used_up


@pytest.mark.parametrize(("waits", "kind"), [(60.0, DeployFailed), (None, type(None))])
@pytest.mark.parametrize(
    ("earlier", "events", "outcome"),
    [
        (NO_RUNS, WHOLE, Outcome.TRIGGERED),
        (listing(pipeline(RUN)), [RUNNING], Outcome.ALREADY_TRIGGERED),
    ],
)
def test_what_runs_is_followed_where_that_was_asked_for(
    earlier: Response, events: list[Event], outcome: Outcome, waits: float | None, kind: type
) -> None:
    ends = [workflows("failed")] if waits else []
    tried = attempt([*events, *ends], earlier=earlier, wait=waits)
    assert (type(tried.raised), tried.outcomes, tried.transport.is_used_up) == (kind, [outcome], True)
    assert [w.status for w in tried.report.triggers[0].workflows] == ["failed" if waits else "running"]


# What is sent


def test_the_project_id_of_the_build_is_not_taken_for_that_of_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    known: list[str | None] = []

    def note(_entry: TriggerEntry, api: Api, *_more: object) -> None:
        known.append(api.context.project_id)

    monkeypatch.setattr(trigger, "trigger_one", note)
    tried = Attempt(ScriptedTransport(), spec(), spec(project=DEPLOYER, revision=None))
    ours = build(CIRCLE_OIDC_TOKEN_V2=oidc(project_id="11111111-2222-4333-8444-555555555555"))
    monkeypatch.setattr(FakeServices, "build", ours)
    tried.run()
    assert known == ["11111111-2222-4333-8444-555555555555", None]


def test_a_branch_that_has_moved_on_is_read_once_and_stops_every_rule() -> None:
    remote = FakeRemote([Head(OTHER_SHA)], newer=frozenset({OTHER_SHA}))
    tried = Attempt(ScriptedTransport(), spec(), spec(project=DEPLOYER, revision=None), remote=remote).run()
    assert (tried.raised, tried.outcomes, remote.looks) == (None, [Outcome.SUPERSEDED] * 2, 1)
    assert all("main has moved on to" in entry.because for entry in tried.report.triggers)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ({"parameters": {"n": 1}}, {"parameters": {"n": 1}}, True),
        ({"parameters": {"a": 1, "b": 2}}, {"parameters": {"b": 2, "a": 1}}, True),
        ({"parameters": {"n": 1}}, {"parameters": {"n": True}}, False),
        ({"parameters": {"n": 1}}, {"parameters": {"n": "1"}}, False),
        ({"ref": Branch("main")}, {"ref": Branch("next")}, False),
        ({"project": SHOP}, {"project": ProjectSlug("gh", "Acme", "Shop")}, True),
        ({"project": SHOP}, {"project": DEPLOYER}, False),
        ({"definition": DEFINITION}, {"definition": None}, True),
        ({"workflow": "one"}, {"workflow": "two"}, True),  # the request does not say what it starts
        ({}, V1_JOB, False),
        (V1_JOB, V1_JOB, True),
        (V1_JOB, {**V1_JOB, "job": "other"}, False),
        # those that differ in their keys alone are one deploy twice
        ({"parameters": {"k": KEY}}, {"parameters": {"k": OTHER}}, True),
        ({"parameters": {"k": f"x-{KEY}"}}, {"parameters": {"k": f"x-{OTHER}"}}, True),
        ({"parameters": {"k": KEY, "n": 1}}, {"parameters": {"k": OTHER, "n": 2}}, False),
        ({"parameters": {"k": KEY}}, {"parameters": {"l": OTHER}}, False),
        ({"parameters": {"k": KEY, "l": "a"}}, {"parameters": {"k": "a", "l": OTHER}}, False),
        ({"parameters": {"k": KEY}}, {"parameters": {}}, False),
    ],
)
def test_two_rules_do_not_send_the_same_request(one: dict[str, Any], other: dict[str, Any], is_same: object) -> None:
    keys = [key if key in str(sent) else None for key, sent in ((KEY, one), (OTHER, other))]
    specs = [spec(rule=rule, key=key, **sent) for rule, key, sent in zip("ac", keys, (one, other), strict=True)]
    entries = [planned(s, s.project or SHOP, HOST, Outcome.NOT_SENT) for s in specs]
    found = duplicates(entries, rules(RULES))
    assert bool(found) is is_same
    for problem in found:
        assert (problem.code, problem.span.line, problem.span.start.column) == ("E608", 5, 12)
        assert problem.message == "rule 'c' would send the same request as rule 'a' (line 3)"
        assert problem.hint == "make their conditions exclude each other, or merge them"


# --again


@pytest.mark.parametrize("listed", [answer(404), answer(500), listing(pipeline(RUN)), listing(following="again")])
def test_again_sends_whatever_the_list_says_or_does_not(listed: Response) -> None:
    routes = {"GET /shop/pipeline": listed, "POST /pipeline/run": ACCEPTED, "GET /workflow": RUNNING}
    again = Attempt(RoutedTransport(routes), again="the first was rolled back").run()
    assert (again.raised, again.outcomes, again.sent) == (None, [Outcome.TRIGGERED], 1)
    usual = Attempt(RoutedTransport(routes)).run()
    assert (Outcome.TRIGGERED in usual.outcomes, usual.sent) == (False, 0)


@pytest.mark.parametrize(("before", "outcome"), [(listing(), Outcome.TRIGGERED), (answer(404), Outcome.UNCERTAIN)])
def test_a_trigger_that_is_lost_again_is_found_where_the_list_could_be_read_before(
    before: Response, outcome: Outcome
) -> None:
    after = listing(pipeline(RUN, age=-1.0))
    routes: dict[str, Any] = {"GET /shop/pipeline": [before, after], "POST /pipeline/run": lost()}
    tried = Attempt(RoutedTransport({**routes, "GET /workflow": RUNNING}), again="rolled back").run()
    assert tried.outcomes == [outcome]


# Interruptions


@pytest.mark.parametrize(
    ("events", "outcome", "is_created"),
    [
        ([STOP], Outcome.UNCERTAIN, False),
        ([ACCEPTED, STOP], Outcome.TRIGGERED, True),
        ([ACCEPTED, seen(), STOP], Outcome.TRIGGERED, True),
        ([ACCEPTED, seen(), NONE_YET, STOP], Outcome.TRIGGERED, True),
        ([ACCEPTED, WRONG, RUNNING, STOP], Outcome.TRIGGERED, True),
        ([answer(429), STOP], Outcome.UNCERTAIN, False),
        ([refused_connection(), STOP], Outcome.UNCERTAIN, False),
    ],
)
def test_an_interruption_between_any_two_steps(events: list[Event], outcome: Outcome, is_created: object) -> None:
    tried = attempt(events, count=2)
    assert tried.raised is STOP
    assert tried.outcomes == [outcome, Outcome.NOT_SENT]
    assert (tried.report.triggers[0].created is not None) is is_created


@pytest.mark.parametrize("event", [answer(429, retry_after="30"), refused_connection()])
def test_an_interruption_while_waiting_to_send_again(event: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was tried certainly was not received: to call it uncertain would keep somebody from running it again."""

    def interrupted(_clock: FakeClock, _seconds: float) -> None:
        raise STOP

    monkeypatch.setattr(FakeClock, "sleep", interrupted)
    tried = attempt([event])
    assert (tried.raised, tried.outcomes) == (STOP, [Outcome.NOT_SENT])


@pytest.mark.parametrize("before", [0, 1])
def test_a_signal_whose_exception_was_swallowed_keeps_the_trigger_from_leaving(before: int) -> None:
    """It comes before the first attempt, or while CircleCI answers that this was one request too many."""

    def limited(_request: Request) -> Response:
        tried.report.signalled = ExitCode.TERMINATED
        return answer(429)

    tried = Attempt(ScriptedTransport([limited] * before, earlier=NO_RUNS))
    tried.report.signalled = None if before else ExitCode.TERMINATED
    tried.run()
    assert isinstance(tried.raised, Interrupted)
    assert (tried.outcomes, tried.sent) == ([Outcome.NOT_SENT], before)


# --cancel-on-interrupt

CANCEL = "POST /api/v2/workflow/w0/cancel"


def interrupted(events: Sequence[Event], **options: Any) -> tuple[Attempt, list[str]]:
    """Somebody interrupts in between: the attempt, and every line that was said."""
    tried = attempt(events, **{"confirm": 5.0, "wait": 60.0, "cancel_on_interrupt": True, **options})
    assert tried.raised is STOP
    assert tried.transport.is_used_up
    return tried, [*tried.console.infos, *tried.console.warnings]


@pytest.mark.parametrize(
    "before",
    [
        [ACCEPTED, STOP],
        [ACCEPTED, seen(), STOP],
        [ACCEPTED, seen(), NONE_YET, seen(), STOP],
        [*WHOLE, STOP],
        [*WHOLE, RUNNING, RUNNING, STOP],
    ],
)
def test_what_was_triggered_is_cancelled_whenever_somebody_interrupts(before: list[Event]) -> None:
    there = workflows("running", {"name": "lint", "status": "success"})
    tried, said = interrupted([*before, there, answer(202)])
    assert tried.transport.paths[-1] == CANCEL
    assert said[-1] == f"CircleCI was told to cancel workflow deploy of {URL}/25"
    assert tried.outcomes == [Outcome.TRIGGERED]


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ([RUNNING, answer(403)], "CircleCI could NOT be told to cancel workflow deploy of"),
        ([RUNNING, *[answer(500)] * 5], "CircleCI could NOT be told to cancel workflow deploy of"),
        ([NONE_YET], f"no workflow of {URL}/25 was seen, so none was cancelled"),
        ([answer(404)], f"no workflow of {URL}/25 was seen, so none was cancelled"),
    ],
)
def test_what_could_not_be_cancelled_is_told(then: list[Event], said: str) -> None:
    _, lines = interrupted([ACCEPTED, STOP, *then])
    assert lines[-1].startswith(said)


@pytest.mark.parametrize(
    ("events", "options", "outcome"),
    [
        ([ACCEPTED, seen(), STOP], {"cancel_on_interrupt": False}, Outcome.TRIGGERED),
        ([ACCEPTED, seen(), STOP], {"wait": None}, Outcome.TRIGGERED),
        ([STOP], {}, Outcome.UNCERTAIN),  # what may not have been created cannot be cancelled
        ([RUNNING, RUNNING, STOP], {"earlier": listing(pipeline(RUN))}, Outcome.ALREADY_TRIGGERED),  # it is another's
    ],
)
def test_nothing_else_is_cancelled(events: list[Event], options: dict[str, Any], outcome: Outcome) -> None:
    tried, _ = interrupted(events, **options)
    assert (CANCEL in tried.transport.paths, tried.outcomes) == (False, [outcome])


def test_the_head_is_read_once_for_rules_of_which_one_waits() -> None:
    """Were it read for each, one rule could be superseded and the next be sent, which a rerun sends once more."""
    remote = FakeRemote([Head(SHA), Head(OTHER_SHA)], newer=frozenset({OTHER_SHA}))
    specs = [spec(rule=name, workflow=name) for name in "ab"]
    routes = {"GET /shop/pipeline": NO_RUNS, "POST /pipeline/run": ACCEPTED}
    tried = Attempt(RoutedTransport(routes), *specs, remote=remote).run()
    assert (tried.raised, tried.outcomes, remote.looks) == (None, [Outcome.TRIGGERED] * 2, 1)


def test_a_head_that_is_not_known_to_be_newer_stops_every_rule() -> None:
    remote = FakeRemote([Head(OTHER_SHA)])
    tried = Attempt(RoutedTransport({}), spec(rule="a"), spec(rule="b", project=DEPLOYER), remote=remote).run()
    assert tried.fails(FactUnavailable, "undecided")
    assert (tried.outcomes, tried.sent, remote.looks) == ([Outcome.NOT_SENT] * 2, 0, 5)
