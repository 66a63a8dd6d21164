"""Options and the variables that stand for them: what is read, and what is refused."""

import pytest

from deploystep import __version__
from deploystep.app.options import COMMANDS, OPTIONS, Options
from deploystep.cli.args import asks_for_json, parse, unknown_variables
from deploystep.core.errors import UsageError

USAGE = """
check --bogus; check extra; --quiet check; run --bogus; run --wait soon; run --again; run --nodes some
run --confirm soon; run --confirm -1s; run --confirm ٣s; run --color sometimes; run --dry; run --rules; run extra
run --branch main; run --held maybe; plan --held fail; plan --pull-request x; plan --pull-request 0
plan --pull-request 9999999999999999999; plan --env DEPLOYS_OFF; plan --env =1; plan --env A-B=1; plan --confirm 1s
sandbox --port 65536; sandbox --port x; sandbox --port -1; sandbox --head main; sandbox --head =x; nonsense;
gate production --; gate; run --again= ; run --nodes-timeout 1d; run --nodes-timeout=
completion ksh; completion bash zsh
"""


@pytest.mark.parametrize("line", USAGE.strip("\n").replace("\n", ";").split(";"))
def test_usage(line: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(line.split(), {})
    assert caught.value.hints


@pytest.mark.parametrize(
    "said",
    ["NODES=some", "COLOR=sometimes", "WAIT=soon", "AGAIN=\t", "DRY_RUN=maybe", "JSON=maybe", "CONFIRM=x", "HELD=x"],
)
def test_a_variable_that_cannot_be_meant(said: str) -> None:
    """An option that is silently ignored would be a lie, by whichever way it came."""
    name, value = said.split("=")
    with pytest.raises(UsageError) as caught:
        parse(["run"], {f"DEPLOYSTEP_{name}": value})
    assert f"DEPLOYSTEP_{name}" in caught.value.message, "what is wrong is named as it was given"
    assert parse(["schema"], {f"DEPLOYSTEP_{name}": value} if name not in ("COLOR", "JSON") else {}).command == "schema"


@pytest.mark.parametrize("value", ["1", "true", "yes", "on", "TRUE", "0", "false", "no", "off", "False", ""])
def test_a_switch(value: str) -> None:
    is_on = value.lower() in ("1", "true", "yes", "on")
    for command in ("run", "nonsense", "run --bogus"):
        assert asks_for_json(command.split(), {"DEPLOYSTEP_JSON": value}) is is_on
        assert asks_for_json([*command.split(), "--json"], {"DEPLOYSTEP_JSON": value})
    assert asks_for_json(["--json"], {"DEPLOYSTEP_JSON": value})
    read = parse(["run"], {"DEPLOYSTEP_DRY_RUN": value, "DEPLOYSTEP_JSON": value})
    assert (read.is_dry, read.dry_run, read.json) == (is_on, is_on, is_on)


def test_an_option_beats_its_variable_and_is_named_as_it_was_given() -> None:
    variables = {"DEPLOYSTEP_RULES": "a.yml", "DEPLOYSTEP_CONFIRM": "5m", "DEPLOYSTEP_DRY_RUN": "false"}
    read = parse(["run", "--rules", "b.yml", "--confirm", "90s", "--dry-run"], variables)
    assert (read.rules, read.confirm, read.dry_run) == ("b.yml", 90.0, True)
    named = frozenset({"rules", "confirm"})
    assert parse(["run"], variables) == Options("run", rules="a.yml", confirm=300.0, from_variables=named)
    assert parse(["run"], dict.fromkeys(variables, "")) == parse(["run"], {}) == Options("run")
    read = parse(["run", "--confirm", "1s"], {"DEPLOYSTEP_NOW": "x", "DEPLOYSTEP_CONFIRM": "2s"})
    written = [read.written(name) for name in ("now", "confirm", "rules_ref")]
    assert written == ["DEPLOYSTEP_NOW", "--confirm", "--rules-ref"]


@pytest.mark.parametrize(
    ("argv", "variable", "seconds"),
    [
        *(("--wait=90s", "", 90.0), ("--wait=10m", "", 600.0), ("--wait=1h", "", 3600.0), ("--wait=7", "", 7.0)),
        *(("", "true", 3600.0), ("", "on", 3600.0), ("", "1", 1.0), ("", "0", 0.0), ("", "5m", 300.0)),
        *(("", "false", None), ("", "", None)),
        *(("--wait", "", 3600.0), ("--wait", "5m", 3600.0), ("--wait --json", "", 3600.0)),
    ],
)
def test_wait_may_stand_alone(argv: str, variable: str, seconds: float | None) -> None:
    assert parse(["run", *argv.split()], {"DEPLOYSTEP_WAIT": variable}).wait == seconds


def test_what_may_be_given_often() -> None:
    read = parse(["sandbox", "--head", "main=a", "--head", "v1=b=c", "--workflow", "x", "--port", "8080"], {})
    assert (dict(read.head), read.workflow, read.port) == ({"main": "a", "v1": "b=c"}, ("x",), 8080)
    assert parse(["plan", "--changed", "a", "--changed", "b c"], {}).changed == ("a", "b c")
    assert dict(parse(["plan", "--env", "A=1=2", "--env", "B="], {}).env) == {"A": "1=2", "B": ""}
    with pytest.raises(UsageError) as caught:
        parse(["plan", "--env", "hunter2"], {})
    assert "hunter2" not in caught.value.message, "it may be a value without its name"


def test_which_variables_are_read() -> None:
    assert [o.flag for o in OPTIONS if "run" in o.commands and not o.has_variable] == []
    variables = {o.variable: "1" for o in OPTIONS if not o.has_variable}
    assert parse(["plan"], variables) == Options("plan")
    known = ("RULES_REF", "RULE", "OUTCOME_2", "PARAM_X")
    assert unknown_variables({f"DEPLOYSTEP_{n}": "x" for n in (*known, "RULES_RF")}) == ("DEPLOYSTEP_RULES_RF",)


@pytest.mark.parametrize(
    ("words", "execute"),
    [
        ("production", ()),
        ("production --dry-run", ()),
        ("--nodes first production -- --json", ("--json",)),
        ("production --held=fail -- a -- b", ("a", "--", "b")),
    ],
)
def test_the_words_of_gate(words: str, execute: tuple[str, ...]) -> None:
    found = parse(["gate", *words.split()], {})
    assert (found.rule, found.execute, found.json) == ("production", execute, False)
    assert not asks_for_json(["gate", *words.split()], {})


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_and_version(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that fits a screen."""
    monkeypatch.setenv("COLUMNS", "120")
    words = command.split()
    with pytest.raises(SystemExit) as left:
        parse([*words, "--help"], {})
    page = capsys.readouterr().out
    assert (left.value.code, len(page.splitlines()) <= 45) == (0, True)
    assert all(name in page for name in ([o.flag for o in OPTIONS if command in o.commands] if command else COMMANDS))
    for flag in ("-V", "--version"):
        with pytest.raises(SystemExit):
            parse([*words, flag], {})
        assert capsys.readouterr().out == f"deploystep {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_only_run_and_gate_deploy(command: str) -> None:
    words = [command, "production"] if command == "gate" else [command]
    assert parse(words, {"DEPLOYSTEP_CONFIRM": "1s"}).is_dry is (command not in ("run", "gate"))
