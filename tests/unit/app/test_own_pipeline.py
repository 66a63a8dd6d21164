"""Which rules' deploy a build's own pipeline is, as far as anything tells; for a push at the price of one request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builds import PIPELINE, SHOP, environ, spec
from fakes import OWN_PATH, FakeServices, RoutedTransport, answer, config, refused_connection
from triggers import DEPLOYER, seen, workflow, workflows

from deploystep.app.own_pipeline import own_deploys
from deploystep.core.errors import FactUnavailable, Refused, ToolError, Unreachable

if TYPE_CHECKING:
    from deploystep.core.deploy import TriggerSpec

KEY, OTHER_KEY = "ds-" + "a" * 24, "ds-" + "b" * 24
OWN = f"GET {OWN_PATH}"
BARE: dict[str, Any] = {"workflow": None}
TO_ITSELF: dict[str, Any] = {"project": SHOP, "revision": None}


def pipeline(kind: str | None = "api") -> Any:
    return seen(PIPELINE, by=kind)


def running(*names: str) -> Any:
    return workflows(*(workflow("running", name) for name in names))


def asked(
    of: TriggerSpec, own: Any, text: Any = None, started: Any = None, *, is_again: bool = False, **changes: str | None
) -> tuple[str, list[str]]:
    """Why the rule does not fire, empty where it does; and what was asked."""
    routes = {OWN: own, f"{OWN}/config": text or answer(404), f"{OWN}/workflow": started or answer(404)}
    transport = RoutedTransport(routes)
    services: Any = FakeServices(transport, environ=environ(**changes))
    found = own_deploys((of,), SHOP, services, is_again=is_again)
    assert set(found) <= {of.rule}
    return found.get(of.rule, ""), [path.removeprefix(OWN) for path in transport.paths]


@pytest.mark.parametrize("kind", ["webhook", "scheduled_pipeline"])
@pytest.mark.parametrize("of", [spec(), spec(key=KEY), spec(**BARE)])
def test_a_build_of_a_push_costs_one_request(of: TriggerSpec, kind: str) -> None:
    assert asked(of, pipeline(kind)) == ("", [""])


def test_what_goes_to_another_project_costs_none() -> None:
    assert asked(spec(project=DEPLOYER, revision=None), pipeline()) == ("", [])
    assert asked(spec(**BARE), pipeline(), CIRCLE_PIPELINE_ID=None) == ("", [])


@pytest.mark.parametrize(
    ("of", "text", "started", "is_again", "why"),
    [
        (spec(key=KEY), config(f"x: {KEY}"), None, False, "it holds its deploy key"),
        (spec(key=KEY, **BARE), config(f"x: {KEY}"), None, False, "it holds its deploy key"),
        (spec(key=KEY, **TO_ITSELF), config(f"x: {KEY}"), None, False, "it holds its deploy key"),
        (spec(key=KEY, workflow="lint"), config(f"x: {OTHER_KEY}"), running("lint"), False, ""),
        (spec(key=KEY), config(f"x: {OTHER_KEY}"), None, True, "it holds a deploy key, and --again"),
        (spec(key=KEY), config("x: y"), running("deploy"), False, "it was triggered through the API and holds"),
        (spec(key=KEY), answer(500), running("lint"), False, ""),
        (spec(), None, running("deploy"), False, "it was triggered through the API and holds workflow deploy"),
        (spec(), None, running("lint"), False, ""),
        (spec(), None, answer(404), False, ""),
        (spec(sharing=("other",)), None, running("deploy"), False, ""),  # which of the two it is, nobody knows
        (spec(job="deploy", workflow=None), None, None, False, "this is job deploy"),
        (spec(job="other", workflow=None), None, None, False, ""),
    ],
)
def test_a_pipeline_that_the_api_started(of: TriggerSpec, text: Any, started: Any, is_again: bool, why: str) -> None:  # noqa: FBT001 - a column
    reason, _ = asked(of, pipeline(), text, started, is_again=is_again, CIRCLE_JOB="deploy")
    assert (why in reason, bool(why)) == (True, bool(reason))


@pytest.mark.parametrize("own", [pipeline(), answer(404), answer(200, {"id": "another", "state": "created"})])
@pytest.mark.parametrize("of", [spec(**BARE), spec(**TO_ITSELF)])
def test_what_nothing_could_tell(of: TriggerSpec, own: Any) -> None:
    with pytest.raises(FactUnavailable) as caught:
        asked(of, own)
    assert (caught.value.code, len(caught.value.hints)) == ("undecided", 2)


@pytest.mark.parametrize(
    ("of", "started"),
    [
        (spec(key=KEY, **BARE), None),
        (spec(key=KEY, **TO_ITSELF), None),
        (spec(key=KEY, **TO_ITSELF, sharing=("other",)), running("deploy")),
    ],
)
def test_a_key_that_its_config_does_not_show_ends_no_loop(of: TriggerSpec, started: Any) -> None:
    with pytest.raises(FactUnavailable, match="shows no deploy key, and no workflow tells"):
        asked(of, pipeline(), config("x: y"), started)


@pytest.mark.parametrize("started", ["lint", "deploy"])
@pytest.mark.parametrize(("branch", "may_be"), [("main", True), ("dev", False)])
def test_a_rule_for_its_own_project_is_known_by_branch_and_workflow(started: str, branch: str, *, may_be: bool) -> None:
    own = seen(PIPELINE, by="api", ref={"branch": branch})
    reason, _ = asked(spec(key=KEY, **TO_ITSELF), own, config("x: y"), running(started))
    assert bool(reason) == (may_be and started == "deploy")


@pytest.mark.parametrize(
    ("own", "error"),
    [(refused_connection(), Unreachable), (answer(429), Unreachable), (answer(401), Refused), (answer(403), Refused)],
)
def test_where_nobody_could_be_asked_that_is_the_reason(own: Any, error: type[ToolError]) -> None:
    with pytest.raises(error, match="nothing was triggered for rule"):
        asked(spec(**BARE), own)


@pytest.mark.parametrize(("own", "text"), [(answer(404), None), (pipeline(), answer(500)), (pipeline(), answer(404))])
def test_again_is_not_believed_where_the_own_pipeline_may_be_the_deploy(own: Any, text: Any) -> None:
    """No earlier run is looked for then, so nothing else would end a loop."""
    with pytest.raises(FactUnavailable) as caught:
        asked(spec(key=KEY), own, text, running("lint"), is_again=True)
    assert caught.value.code == "undecided"


@pytest.mark.parametrize(
    ("of", "own"), [(spec(), answer(404)), (spec(key=KEY), answer(500)), (spec(**BARE), pipeline(None))]
)
def test_a_pipeline_that_does_not_tell_stops_nothing(of: TriggerSpec, own: Any) -> None:
    """An earlier run is still looked for, and most builds are of pushes."""
    assert asked(of, own)[0] == ""
