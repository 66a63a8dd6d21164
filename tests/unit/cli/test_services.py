"""What a command is given of the outside: the build, the address, the token, the time."""

import io
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from builds import SHA, environ

from deploystep.adapters.clock import SystemClock
from deploystep.adapters.console import Console
from deploystep.app.options import Options
from deploystep.cli.services import Services
from deploystep.core.errors import EnvironmentInvalid, ToolError, UsageError
from deploystep.core.times import zone

TOKEN = "token-0123456789"
BERLIN = zone("Europe/Berlin")


def services(of: Mapping[str, str] | None = None, command: str = "run", stdin: str = "", **options: Any) -> Services:
    reader = io.TextIOWrapper(io.BytesIO(stdin.encode()))
    of = environ() if of is None else of
    return Services(Options(command, **options), of, reader, Console(io.StringIO(), io.StringIO(), ()), SystemClock())


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is in no clone."""
    monkeypatch.chdir(tmp_path)


def error_of(ask: Callable[[], object]) -> ToolError:
    with pytest.raises(ToolError) as caught:
        ask()
    assert caught.value.hints
    return caught.value


# The build


def test_which_build_it_is(tmp_path: Path) -> None:
    (tmp_path / "more.env").write_text(
        "# more\nexport MODE='a \"b\"'\nA=\"x'\nCIRCLE_BRANCH=file\nCIRCLE_NODE_TOTAL=3\n", encoding="utf-8"
    )
    assert services(branch="x", node_index="3").build.branch == "main", "options of plan are none of run's"
    found = services(command="plan", tag="v1", sha="A" * 40, node_index="1", env_file="more.env").build
    assert (found.tag, found.branch, found.revision) == ("v1", None, "a" * 40)
    told = [str(found.node), found.variables.get("MODE"), found.variables.get("A")]
    assert told == ["node 1 of 3", 'a "b"', "\"x'"]
    assert services(environ(CIRCLE_TAG="v1", CIRCLE_BRANCH=None), "plan", branch="dev").build.branch == "dev"
    assert services(command="plan", env_file="more.env").build.branch == "file"


@pytest.mark.parametrize("value", [None, "TRUE", ""])
def test_outside_of_a_build(value: str | None) -> None:
    outside = environ(CIRCLECI=value)
    for command in ("run", "gate"):
        error = error_of(partial(getattr, services(outside, command), "build"))
        assert error.code == "not-in-a-build"
        assert any("run --sandbox" in hint for hint in error.hints) is (command == "run"), "it executes no gate"
    assert services(outside, outside_ci=True).build.revision == SHA
    assert services(outside, sandbox=True).build.revision == SHA


def test_the_time_to_decide_at() -> None:
    assert str(services(now="2026-06-16 10:00").now(BERLIN)) == "2026-06-16 10:00:00+02:00"
    now = services().now(BERLIN)
    assert now is not None
    assert abs(now - datetime.now(timezone.utc)) < timedelta(seconds=30)
    assert now.tzinfo is BERLIN
    assert services({}, "plan", "tag: v1\n", given="-").now(BERLIN) is None


# The address


def test_the_address() -> None:
    server = environ(CIRCLE_BUILD_URL="https://circleci.acme.dev/gh/acme/shop/1")
    assert str(services().address) == "https://circleci.com"
    assert str(services(server).address) == "https://circleci.acme.dev"
    assert str(services(server, host="https://localhost:8443/").address) == "https://localhost:8443"


@pytest.mark.parametrize(
    "host", ["http://circleci.example", "https://u:pw@circleci.com", "https://circleci.com\x1b[3m"]
)
def test_a_host_that_gets_no_token(host: str) -> None:
    error = error_of(services(environ(CIRCLE_TOKEN=TOKEN), host=host).client)
    assert (type(error), error.code) == (UsageError, "host")
    assert ("\x1b" in error.message, "pw" in error.message) == (False, False)
    evil = services(environ(CIRCLE_BUILD_URL="http://evil.example/gh/acme/shop/1"))
    assert isinstance(error_of(lambda: evil.address), EnvironmentInvalid)


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
def test_the_variable_that_holds_the_token(variables: Any, named: str | None, name: str, can_ask: object) -> None:
    of = environ(**variables)
    live = services(of, token_env=named)
    assert (live.token_name, live.can_ask) == (name, can_ask)
    assert not services(of, "plan", token_env=named).can_ask, "only run asks"
    sandbox = services(of, token_env=named, sandbox=True)
    assert (sandbox.can_ask, sandbox.token_name) == (True, "CIRCLE_TOKEN")
    assert live.client() is live.client() if can_ask else error_of(live.client).code == "no-token"


@pytest.mark.parametrize("named", [None, "MINE"])
@pytest.mark.parametrize("more", [{}, {"sandbox": True}])
def test_the_token_is_no_fact_about_the_build(named: str | None, more: dict[str, Any]) -> None:
    """Whatever other variable holds it too."""
    live = services(environ(**{named or "CIRCLE_TOKEN": TOKEN, "COPY": TOKEN, "OTHER": "x"}), token_env=named, **more)
    assert {"COPY", "MINE", "CIRCLE_TOKEN"}.isdisjoint(live.build.variables.keys())
    assert live.build.variables.get("OTHER") == "x"


@pytest.mark.parametrize("token", [f"{TOKEN}\n", f'"{TOKEN} "', "to\x00ken", "tökenn"])
def test_a_token_that_cannot_be_one(token: str) -> None:
    error = error_of(services(environ(CIRCLE_TOKEN=token)).client)
    assert (error.code, token.strip() in f"{error.message} {error.hints}") == ("token-malformed", False)


def test_a_token_that_was_given_for_a_name_is_not_repeated() -> None:
    """`--token-env $CIRCLE_TOKEN` is a slip that must not put the token into the log."""
    error = error_of(services(token_env="cci_personal_0123456789").client)
    assert error.message == "there is no API token: the variable that --token-env names is not set"
    assert "cci_personal" not in f"{error.hints}"
