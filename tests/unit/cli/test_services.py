"""What a command is given of the outside: the build, the address, the token, the time."""

from __future__ import annotations

import io
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from builds import SHA, environ

from deploystep.adapters.clock import SystemClock
from deploystep.adapters.console import Console
from deploystep.app.options import Options
from deploystep.cli.services import Services
from deploystep.core.errors import EnvironmentInvalid, ToolError, UsageError
from deploystep.core.times import zone

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TOKEN = "token-0123456789"
BERLIN = zone("Europe/Berlin")


def services(of: Mapping[str, str] | None = None, command: str = "run", stdin: str = "", **options: Any) -> Services:
    streams = (io.StringIO(), io.StringIO())
    reader = io.TextIOWrapper(io.BytesIO(stdin.encode()))
    of = environ() if of is None else of
    return Services(Options(command, **options), of, reader, Console(*streams, ()), SystemClock())


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is in no clone."""
    monkeypatch.chdir(tmp_path)


# The build


def test_a_run_believes_the_environment_of_its_build() -> None:
    assert services().build.revision == SHA
    assert services(branch="x", node_index="3").build.branch == "main", "options of plan are none of run's"


@pytest.mark.parametrize("variables", [{"CIRCLECI": None}, {"CIRCLECI": "TRUE"}, {"CIRCLECI": ""}])
def test_a_run_outside_of_a_build(variables: dict[str, str | None]) -> None:
    with pytest.raises(EnvironmentInvalid) as caught:
        _ = services(environ(**variables)).build
    assert (caught.value.code, len(caught.value.hints)) == ("not-in-a-build", 3)
    assert services(environ(**variables), outside_ci=True).build.revision == SHA
    assert services(environ(**variables), sandbox=True).build.revision == SHA


def test_a_plan_judges_what_its_options_name(tmp_path: Path) -> None:
    (tmp_path / "more.env").write_text("MODE=live\nCIRCLE_BRANCH=file\nCIRCLE_NODE_TOTAL=3\n", encoding="utf-8")
    found = services(command="plan", tag="v1", sha="A" * 40, node_index="1", env_file="more.env").build
    assert (found.tag, found.branch, found.revision) == ("v1", None, "a" * 40)
    assert (str(found.node), found.variables.get("MODE")) == ("node 1 of 3", "live")
    assert services(environ(CIRCLE_TAG="v1", CIRCLE_BRANCH=None), "plan", branch="dev").build.branch == "dev"
    assert services(command="plan", env_file="more.env").build.branch == "file"


@pytest.mark.parametrize(
    ("of", "options", "code"),
    [
        (environ(), {"branch": "a", "tag": "b"}, "usage"),
        (environ(CIRCLE_SHA1=None), {}, "not-in-a-clone"),
        (environ(CIRCLE_BRANCH=None), {}, "no-ref"),
        (environ(), {"sha": "HEAD~1"}, "sha"),
        (environ(), {"tag": "v9"}, "tag"),
        (environ(), {"node_index": "x"}, "environment-invalid"),
        (environ(), {"env_file": "none.env"}, "file-unreadable"),
    ],
)
def test_a_plan_that_describes_no_build(of: dict[str, str], options: dict[str, Any], code: str) -> None:
    with pytest.raises((UsageError, EnvironmentInvalid)) as caught:
        _ = services(of, "plan", **options).build
    assert (caught.value.code, bool(caught.value.hints)) == (code, True)


@pytest.mark.parametrize(
    ("of", "command", "options", "is_told"),
    [
        (environ(CIRCLE_NODE_INDEX="2", CIRCLE_NODE_TOTAL="4"), "run", {}, True),
        (environ(), "plan", {"node_index": "2", "node_total": "4"}, True),
        (environ(), "run", {}, False),
        (environ(CIRCLE_NODE_INDEX="2", CIRCLE_NODE_TOTAL="4"), "plan", {"given": "-"}, False),
    ],
)
def test_another_node(of: dict[str, str], command: str, options: dict[str, Any], is_told: bool) -> None:  # noqa: FBT001 - a column
    told = services(of, command, **options).other_node
    assert ("node 2 of 4" in told) is is_told
    assert bool(told) is is_told


def test_stated_facts_replace_environment_and_clock() -> None:
    given = services({}, "plan", "tag: v1\nnow: 2026-06-16 10:00\n", given="-")
    assert (given.build.tag, str(given.now(BERLIN))) == ("v1", "2026-06-16 10:00:00+02:00")
    assert services({}, "plan", "tag: v1\n", given="-").now(BERLIN) is None


# The time


def test_the_time_to_decide_at() -> None:
    assert str(services(now="2026-06-16 10:00").now(BERLIN)) == "2026-06-16 10:00:00+02:00"
    now = services().now(BERLIN)
    assert now is not None
    assert abs(now - datetime.now(timezone.utc)) < timedelta(seconds=30)
    assert now.tzinfo is BERLIN
    with pytest.raises(UsageError, match=r"^--now: "):
        services(now="soon").now(BERLIN)


# The address


def test_the_address() -> None:
    assert str(services().address) == "https://circleci.com"
    server = environ(CIRCLE_BUILD_URL="https://circleci.acme.dev/gh/acme/shop/1")
    assert str(services(server).address) == "https://circleci.acme.dev"
    assert str(services(server, host="https://localhost:8443/").address) == "https://localhost:8443"


@pytest.mark.parametrize(
    "host", ["http://circleci.example", "https://user:pw@circleci.com", "https://circleci.com\x1b[31m"]
)
def test_a_host_that_gets_no_token(host: str) -> None:
    """More in tests/unit/core/test_address.py."""
    with pytest.raises(UsageError) as caught:
        services(environ(CIRCLE_TOKEN=TOKEN), host=host).client()
    assert (caught.value.code, "\x1b" in caught.value.message, "pw" in caught.value.message) == ("host", False, False)
    with pytest.raises(EnvironmentInvalid) as of_the_build:
        _ = services(environ(CIRCLE_BUILD_URL="http://evil.example/gh/acme/shop/1")).address
    assert of_the_build.value.hints == ("name CircleCI's address with --host https://…",)


# The token


@pytest.mark.parametrize(
    ("variables", "named", "name", "can_ask"),
    [
        ({}, None, "CIRCLE_TOKEN", False),
        ({"CIRCLE_TOKEN": ""}, None, "CIRCLE_TOKEN", False),
        ({"CIRCLE_TOKEN": TOKEN, "CIRCLE_API_TOKEN": "b"}, None, "CIRCLE_TOKEN", True),
        ({"CIRCLECI_TOKEN": "a", "CIRCLE_API_USER_TOKEN": TOKEN}, None, "CIRCLE_API_USER_TOKEN", True),
        ({"MINE": TOKEN, "CIRCLE_TOKEN": "b"}, "MINE", "MINE", True),
        ({"CIRCLE_TOKEN": "b"}, "MINE", "MINE", False),
    ],
)
def test_the_variable_that_holds_the_token(
    variables: dict[str, str],
    named: str | None,
    name: str,
    can_ask: bool,  # noqa: FBT001 - a column
) -> None:
    of = environ(**variables)
    live = services(of, token_env=named)
    assert (live.token_name, live.can_ask) == (name, can_ask)
    assert not services(of, "plan", token_env=named).can_ask, "only run asks"
    assert services(of, token_env=named, sandbox=True).can_ask
    if can_ask:
        assert live.client() is live.client()
        return
    with pytest.raises(EnvironmentInvalid) as caught:
        live.client()
    assert (caught.value.code, len(caught.value.hints)) == ("no-token", 3)


@pytest.mark.parametrize("named", [None, "MINE"])
def test_the_token_is_no_fact_about_the_build(named: str | None) -> None:
    """Whatever other variable holds it too."""
    live = services(environ(**{named or "CIRCLE_TOKEN": TOKEN, "COPY": TOKEN, "OTHER": "x"}), token_env=named)
    assert {"COPY", "MINE", "CIRCLE_TOKEN"}.isdisjoint(live.build.variables.names())
    assert live.build.variables.get("OTHER") == "x"


def test_in_the_sandbox_no_token_is_used_and_none_is_a_fact_about_the_build() -> None:
    live = services(environ(MINE="a-token", CIRCLE_TOKEN=TOKEN), token_env="MINE", sandbox=True)
    assert {"MINE", "CIRCLE_TOKEN"}.isdisjoint(live.build.variables.names())
    assert live.token_name == "CIRCLE_TOKEN"


@pytest.mark.parametrize("token", [f"{TOKEN}\n", f'"{TOKEN} "', "to\x00ken", "tökenn"])
def test_a_token_that_cannot_be_one(token: str) -> None:
    with pytest.raises(EnvironmentInvalid) as caught:
        services(environ(CIRCLE_TOKEN=token)).client()
    assert caught.value.code == "token-malformed"
    assert token.strip() not in _all_words(caught.value)


def test_a_token_that_was_given_for_a_name_is_not_repeated() -> None:
    """`--token-env $CIRCLE_TOKEN` is a slip that must not put the token into the log."""
    with pytest.raises(EnvironmentInvalid) as caught:
        services(token_env="cci_personal_0123456789").client()
    assert caught.value.message == "there is no API token: the variable that --token-env names is not set"
    assert "cci_personal" not in _all_words(caught.value)


def _all_words(error: ToolError) -> str:
    return " ".join((error.message, *error.hints))
