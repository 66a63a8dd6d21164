"""Sending: once each, in order, and the report tells the truth at every moment, whoever interrupts."""

from collections.abc import Sequence
from typing import Any

import pytest
from builds import DEFINITION, KEY, OTHER_KEY, OTHER_SHA, PIPELINE, RUN, SHA, SHOP, build, environ, oidc, rules, spec
from fakes import (
    Event,
    FakeRemote,
    FakeServices,
    RoutedTransport,
    ScriptedTransport,
    answer,
    config,
    lost,
    refused_connection,
)
from triggers import ACCEPTED, URL, WHOLE, Attempt, entry, listing, pipeline, seen, workflow, workflows

from deploystep.app import trigger
from deploystep.app.options import Options
from deploystep.app.report import Report
from deploystep.app.run import duplicates
from deploystep.app.trigger import drop_own_deploys
from deploystep.circleci.http import Request, Response
from deploystep.core import errors
from deploystep.core.build import Branch, ProjectSlug
from deploystep.core.decide import Verdict, decide
from deploystep.core.deploy import Outcome, TriggerSpec
from deploystep.core.errors import ExitCode, Interrupted
from deploystep.core.facts import Facts
from deploystep.core.rules import ApiVersion

STOP = Interrupted(ExitCode.TERMINATED)
RUNNING, NONE_YET = workflows("running"), workflows()
WRONG = seen(sha=OTHER_SHA)
DEPLOYER = ProjectSlug("circleci", "9Yy", "44n")
V1_JOB: dict[str, Any] = {"api": ApiVersion.V1_1, "job": "deploy", "workflow": None}
HEAD, RULE = "version: 1\nrules:\n", "  - {{name: {}, when: {{branch: main}}, deploy: {{workflow: deploy}}}}\n"
RULES = HEAD + "".join(map(RULE.format, "abc"))


def attempt(events: Sequence[Event], *, count: int = 1, earlier: Response | None = None, **options: Any) -> Attempt:
    """Some rules are due; after the list of runs this is what happens to one request after the other."""
    specs = [spec(rule=f"rule-{n}", workflow="deploy" if n == 0 else f"deploy-{n}") for n in range(count)]
    return Attempt(ScriptedTransport(events, earlier or listing()), *specs, **{"confirm": 2.0, **options}).run()


def test_all_is_well() -> None:
    tried = attempt(WHOLE)
    assert (tried.raised, tried.outcomes) == (None, [Outcome.TRIGGERED])
    (entry,) = tried.report.triggers
    assert entry.created is not None
    assert (entry.created.id, entry.created.revision) == (RUN, SHA)
    assert ([w.name for w in entry.workflows], tried.console.infos) == (["deploy"], [f"triggered rule-0: {URL}/25"])


@pytest.mark.parametrize(
    ("events", "kind", "outcomes"),
    [
        ([answer(404, {"message": "x"})], errors.Refused, "refused"),
        ([refused_connection()] * 5, errors.Unreachable, "unreachable"),
        ([answer(429, retry_after="999")], errors.Unreachable, "unreachable"),
        ([lost()], errors.Uncertain, "uncertain"),
        ([answer(500)], errors.Uncertain, "uncertain"),
        ([answer(201, b"<html>")], errors.Uncertain, "uncertain"),
        ([answer(200, {"message": "CI skip"})], errors.NothingRuns, "nothing-runs"),
        ([ACCEPTED, seen(state="errored")], errors.NothingRuns, "nothing-runs"),
        ([ACCEPTED, WRONG, RUNNING, answer(202), workflows("canceled")], errors.Stopped, "stopped"),
        ([ACCEPTED, *[answer(404), answer(404)] * 9], errors.TimedOut, "triggered"),
        ([*WHOLE, answer(403)], errors.Refused, "triggered refused"),
        # an interruption between any two steps
        ([*WHOLE, STOP], Interrupted, "triggered uncertain"),
        ([STOP], Interrupted, "uncertain"),
        ([ACCEPTED, STOP], Interrupted, "triggered"),
        ([ACCEPTED, seen(), STOP], Interrupted, "triggered"),
        ([ACCEPTED, WRONG, RUNNING, STOP], Interrupted, "triggered"),
        ([answer(429), STOP], Interrupted, "uncertain"),
    ],
)
def test_how_it_can_end(events: list[Event], kind: type[BaseException], outcomes: str) -> None:
    """What follows a failure or an interruption is not sent."""
    tried = attempt(events, count=3)
    told = outcomes.split()
    assert type(tried.raised) is kind
    assert [outcome.value for outcome in tried.outcomes] == [*told, *["not-sent"] * (3 - len(told))]
    assert kind is not Interrupted or (tried.report.triggers[0].created is not None) is (told[0] == "triggered")


def test_the_branch_is_looked_at_once_for_all_rules() -> None:
    for heads, newer, outcome, looks in (
        ([OTHER_SHA], OTHER_SHA, Outcome.SUPERSEDED, 1),
        ([OTHER_SHA], "", Outcome.NOT_SENT, 5),
        # were it read for each rule, one could be superseded and the next be sent, which a rerun sends once more
        ([SHA, OTHER_SHA], OTHER_SHA, Outcome.TRIGGERED, 1),
    ):
        remote = FakeRemote(heads, newer=frozenset({newer}))
        transport = RoutedTransport({"GET /shop/pipeline": listing(), "POST /pipeline/run": ACCEPTED})
        tried = Attempt(transport, *(spec(rule=name, workflow=name) for name in "ab"), remote=remote).run()
        assert (tried.outcomes, len(remote.asked)) == ([outcome] * 2, looks)
        assert (tried.raised is not None) is (outcome is Outcome.NOT_SENT)
        is_told = all("main has moved on to" in each.because for each in tried.report.triggers)
        assert is_told is (outcome is Outcome.SUPERSEDED)


@pytest.mark.parametrize(("wait", "kind", "state"), [(60.0, errors.DeployFailed, "failed"), (None, None, "running")])
def test_what_runs_is_followed_where_that_was_asked_for(wait: float | None, kind: Any, state: str) -> None:
    there = listing(pipeline(RUN))
    for earlier, events, outcome in ((None, WHOLE, Outcome.TRIGGERED), (there, [RUNNING], Outcome.ALREADY_TRIGGERED)):
        tried = attempt([*events, *([workflows(state)] if wait else [])], earlier=earlier, wait=wait)
        assert tried.raised is None if kind is None else isinstance(tried.raised, kind)
        assert (tried.outcomes, tried.transport.is_used_up) == ([outcome], True)
        assert [w.status for w in tried.report.triggers[0].workflows] == [state]


# What is sent


def test_the_project_id_of_the_build_is_not_taken_for_that_of_a_target() -> None:
    ours, target = "11111111-2222-4333-8444-555555555555", spec(project=DEPLOYER, revision=None)
    services = FakeServices(ScriptedTransport(), environ(CIRCLE_OIDC_TOKEN_V2=oidc(project_id=ours)))
    assert [trigger._context_of(of, SHOP, services).project_id for of in (spec(), target)] == [ours, None]


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ({"parameters": {"n": 1}}, {"parameters": {"n": 1}}, True),
        ({"parameters": {"a": 1, "b": 2}}, {"parameters": {"b": 2, "a": 1}}, True),
        ({"parameters": {"n": 1}}, {"parameters": {"n": True}}, False),
        ({"ref": Branch("main")}, {"ref": Branch("next")}, False),
        ({"project": SHOP}, {"project": ProjectSlug("gh", "Acme", "Shop")}, True),
        ({"definition": DEFINITION}, {"definition": None}, True),
        ({"workflow": "one"}, {"workflow": "two"}, True),  # the request does not say what it starts
        ({}, V1_JOB, False),
        (V1_JOB, V1_JOB, True),
        # those that differ in their keys alone are one deploy twice
        ({"parameters": {"k": KEY}}, {"parameters": {"k": OTHER_KEY}}, True),
        ({"parameters": {"k": f"x-{KEY}"}}, {"parameters": {"k": f"x-{OTHER_KEY}"}}, True),
        ({"parameters": {"k": KEY, "l": "a"}}, {"parameters": {"k": "a", "l": OTHER_KEY}}, False),
    ],
)
def test_two_rules_do_not_send_the_same_request(one: dict[str, Any], other: dict[str, Any], is_same: object) -> None:
    keys = [key if key in str(sent) else None for key, sent in ((KEY, one), (OTHER_KEY, other))]
    specs = [spec(rule=rule, key=key, **sent) for rule, key, sent in zip("ac", keys, (one, other), strict=True)]
    found = duplicates([entry(each) for each in specs], rules(RULES))
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


# Interruptions


@pytest.mark.parametrize("event", [answer(429, retry_after="30"), refused_connection()])
def test_an_interruption_while_waiting_to_send_again(event: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was tried certainly was not received: to call it uncertain would keep somebody from running it again."""

    def interrupted(*_: object) -> None:
        raise STOP

    monkeypatch.setattr("fakes.FakeClock.sleep", interrupted)
    tried = attempt([event])
    assert (tried.raised, tried.outcomes) == (STOP, [Outcome.NOT_SENT])


@pytest.mark.parametrize("before", [0, 1])
def test_a_signal_whose_exception_was_swallowed_keeps_the_trigger_from_leaving(before: int) -> None:
    """It comes before the first attempt, or while CircleCI answers that this was one request too many."""

    def limited(_request: Request) -> Response:
        tried.report.signalled = ExitCode.TERMINATED
        return answer(429)

    tried = Attempt(ScriptedTransport([limited] * before, earlier=listing()))
    tried.report.signalled = None if before else ExitCode.TERMINATED
    tried.run()
    assert isinstance(tried.raised, Interrupted)
    assert (tried.outcomes, tried.sent) == ([Outcome.NOT_SENT], before)


# --cancel-on-interrupt

CANCEL, BOTH_STATES = "POST /api/v2/workflow/w0/cancel", workflows("running", workflow("success", "lint"))


@pytest.mark.parametrize(("events", "options", "outcome", "told"), [
    # whenever somebody interrupts
    *(([*before, STOP, BOTH_STATES, answer(202)], {}, "triggered", {"deploy": True})
      for before in ([ACCEPTED], [ACCEPTED, seen()], [ACCEPTED, seen(), NONE_YET, seen()], WHOLE,
                     [*WHOLE, RUNNING, RUNNING])),
    ([ACCEPTED, STOP, RUNNING, answer(403)], {}, "triggered", {"deploy": False}),
    ([ACCEPTED, STOP, RUNNING, *[answer(500)] * 5], {}, "triggered", {"deploy": False}),
    ([*WHOLE, RUNNING, STOP, answer(404), answer(202)], {}, "triggered", {"deploy": True}),  # as was seen before
    *(([ACCEPTED, STOP, nothing], {}, "triggered", {}) for nothing in (NONE_YET, answer(404))),
    # only what was asked for; what may not have been created cannot be cancelled; what was adopted is another's
    ([ACCEPTED, seen(), STOP], {"cancel_on_interrupt": False}, "triggered", None),
    ([ACCEPTED, seen(), STOP], {"wait": None}, "triggered", None),
    ([STOP], {}, "uncertain", None),
    ([RUNNING, RUNNING, STOP], {"earlier": listing(pipeline(RUN))}, "already-triggered", None),
])  # fmt: skip
def test_what_was_triggered_is_cancelled(events: list[Event], options: Any, outcome: str, told: Any) -> None:
    tried = attempt(events, **{"confirm": 5.0, "wait": 60.0, "cancel_on_interrupt": True, **options})
    assert (tried.raised, tried.transport.is_used_up) == (STOP, True)
    assert (tried.transport.paths[-1] == CANCEL, CANCEL in tried.transport.paths) == (bool(told), bool(told))
    (entry,) = tried.report.triggers
    assert (entry.outcome.value, entry.cancelled) == (outcome, told)


# Which rules' deploy is the build's own pipeline? For a push at the price of one request

OWN = f"GET /{PIPELINE}"
BARE, KEYED, BOTH = spec(workflow=None), spec(key=KEY), spec(key=KEY, workflow=None)
HERE, HERE_KEYED = spec(project=SHOP, revision=None), spec(project=SHOP, revision=None, key=KEY)


def own(kind: str | None = "api", **changes: Any) -> Any:
    return seen(PIPELINE, by=kind, **changes)


def asked(
    of: TriggerSpec, pipeline: Any, text: Any = None, started: Any = (), *, again: str | None = None
) -> tuple[str, int]:
    """Why the rule does not fire, empty where it does, or with which error that ends; and how often was asked."""
    started = workflows(*(workflow("running", name) for name in started)) if isinstance(started, tuple) else started
    text = config(text) if isinstance(text, str) else text
    transport = RoutedTransport({OWN: pipeline, f"{OWN}/config": text or answer(404), f"{OWN}/workflow": started})
    report, services = Report("run", is_dry=False), FakeServices(transport, environ(CIRCLE_JOB="deploy"))
    report.triggers = [entry(of)]
    report.decision = decide(rules(RULES.replace("name: a", f"name: {of.rule}")), Facts(build()))
    try:
        drop_own_deploys(SHOP, Options("run", again=again), services, report)
    except errors.ToolError as error:
        return " ".join([error.code, error.message, *error.hints]), len(transport.sent)
    judgement, other = report.decision.judgements[:2]
    assert (judgement.verdict is Verdict.FIRE, other.verdict) == (bool(report.triggers), Verdict.FIRE)
    return "" if report.triggers else judgement.because, len(transport.sent)


@pytest.mark.parametrize("kind", ["webhook", "scheduled_pipeline"])
@pytest.mark.parametrize("of", [spec(), KEYED, BARE])
def test_a_build_of_a_push_costs_one_request(of: TriggerSpec, kind: str) -> None:
    assert asked(of, own(kind)) == ("", 1)


DEPLOYS, LINTS, ANOTHER = ("deploy",), ("lint",), answer(200, {"id": "another", "state": "created"})
HOLDS = "it was triggered through the API and holds workflow deploy"
UNDECIDED = "undecided: or keep this step out of it"
UNTOLD, UNREAD = "undecided: no deploy key or workflow tells", "undecided: is made of could not be read"


@pytest.mark.parametrize(
    ("of", "pipeline", "text", "started", "told"),
    [
        # one that the API started is told by the key, else by the workflow or the job
        *((of, own(), KEY, (), "it holds its deploy key") for of in (KEYED, BOTH, HERE_KEYED)),
        (spec(key=KEY, workflow="lint"), own(), OTHER_KEY, LINTS, ""),
        (KEYED, own(), "x: y", DEPLOYS, HOLDS),
        (spec(), own(), None, DEPLOYS, HOLDS),
        (spec(), own(), None, LINTS, ""),
        (spec(sharing=("other",)), own(), None, DEPLOYS, ""),  # which of the two it is, nobody knows
        (spec(job="deploy", workflow=None), own(), None, (), "this is job deploy"),
        (spec(job="other", workflow=None), own(), None, (), ""),
        # a rule for its own project is known by branch and workflow
        (HERE_KEYED, own(), "x: y", DEPLOYS, HOLDS),
        (HERE_KEYED, own(), "x: y", LINTS, ""),
        (HERE_KEYED, own(ref={"branch": "dev"}), "x: y", DEPLOYS, ""),
        # a key that its config does not show ends no loop
        (BOTH, own(), "x: y", (), UNTOLD),
        (spec(project=SHOP, revision=None, key=KEY, sharing=("other",)), own(), "x: y", DEPLOYS, UNTOLD),
        # what nothing could tell, for no earlier run is looked for
        *((BARE, came, None, (), UNDECIDED) for came in (own(), answer(404), ANOTHER)),
        *((HERE, came, None, answer(404), UNDECIDED) for came in (own(), answer(404), ANOTHER)),
        # where nobody could be asked that is the reason
        (BARE, refused_connection(), None, (), "unreachable: nothing was triggered for rule"),
        (BARE, answer(429), None, (), "rate-limited: nothing was triggered for rule"),
        *((BARE, answer(no), None, (), f"refused-{no}: nothing was triggered for rule") for no in (401, 403)),
        # what the API started and cannot be read is not guessed
        (KEYED, own(), answer(500), LINTS, UNREAD),
        (KEYED, own(), "x: y", answer(404), UNREAD),
        # what does not tell stops nothing: an earlier run is still looked for, and most builds are of pushes
        (KEYED, own("a new word"), answer(500), LINTS, ""),
        (KEYED, own("a new word"), "x: y", answer(404), ""),
        *((of, came, None, (), "") for of, came in ((spec(), answer(404)), (KEYED, answer(500)), (BARE, own(None)))),
    ],
)
def test_whose_deploy_the_own_pipeline_is(of: TriggerSpec, pipeline: Any, text: Any, started: Any, told: str) -> None:
    reason, _ = asked(of, pipeline, text, started)
    assert all(part in reason for part in told.split(": ", 1))
    assert bool(reason) is bool(told)


@pytest.mark.parametrize(
    ("pipeline", "text", "told"),
    [
        (own(), OTHER_KEY, "this build's own pipeline is this rule's deploy: it holds a deploy key"),
        *((came, text, UNDECIDED) for came, text in ((answer(404), None), (own(), answer(500)), (own(), None))),
    ],
)
def test_again_is_not_believed_where_the_own_pipeline_may_be_the_deploy(pipeline: Any, text: Any, told: str) -> None:
    """No earlier run is looked for then, so nothing else would end a loop."""
    reason, _ = asked(KEYED, pipeline, text, LINTS, again="rolled back")
    assert all(part in reason for part in told.split(": ", 1))
