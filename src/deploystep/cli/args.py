"""Reads the command line: options beat the DEPLOYSTEP_ variables that stand for them."""

from collections.abc import Mapping, Sequence
from typing import Any

from deploystep.app.options import Options
from deploystep.cli.option_table import COMMANDS, FALSE, OPTIONS, TRUE, Option
from deploystep.core.errors import UsageError


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Options:
    """Read the command line. Raises UsageError; argparse itself leaves only for --help and --version."""
    given = _given(argv)
    command = str(given["command"])
    values: dict[str, Any] = {}
    from_variables: set[str] = set()
    for option in (o for o in OPTIONS if command in o.commands):
        value, written = given.get(option.name), option.flag
        if value is None:
            value, written = _from_variable(option, environ), option.variable
            from_variables |= {option.name} if value else set()
        if value is not None:
            values[option.name] = value if option.metavar is None else option.read(written, value)
    return Options(command, **values, from_variables=frozenset(from_variables))


def asks_for_json(argv: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether JSON is wanted, also where the command line as a whole cannot be understood."""
    return "--json" in argv or environ.get("DEPLOYSTEP_JSON", "").lower() not in FALSE


def _given(argv: Sequence[str]) -> Mapping[str, Any]:
    """What stands on the command line, under the names of the options."""
    command = argv[0] if argv else ""
    switches = {o.flag: o.name for o in OPTIONS if o.metavar is None and command in o.commands}
    if command in COMMANDS and switches.keys() >= set(argv[1:]):
        return {"command": command, **{switches[flag]: True for flag in argv[1:]}}  # as in nearly every config
    from deploystep.cli.parser import parser  # noqa: PLC0415 - brings argparse

    return vars(parser(command if command in COMMANDS else None).parse_args(argv))


def _from_variable(option: Option, environ: Mapping[str, str]) -> str | bool | None:
    text = environ.get(option.variable) if option.has_variable else None
    if text is None or (text == "" and option.metavar is not None):
        return None
    if option.choices is not None and text not in option.choices:
        expected = ", ".join(option.choices)
        raise UsageError("usage", f"{option.variable} is {text!r}: expected one of {expected}", f"see {option.flag}")
    if option.metavar is not None:
        return text
    if text.lower() not in TRUE | FALSE:
        raise UsageError(
            "usage", f"{option.variable} is {text!r}: expected true or false", f"unset it, or give {option.flag}"
        )
    return text.lower() in TRUE


def unknown_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Names that look like variables of options, and are none."""
    known = {option.variable for option in OPTIONS if option.has_variable}
    return tuple(sorted(name for name in environ if name.startswith("DEPLOYSTEP_") and name not in known))
