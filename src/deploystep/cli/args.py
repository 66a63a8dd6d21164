"""Reads the command line: options beat the DEPLOYSTEP_ variables that stand for them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from deploystep.app.options import Options
from deploystep.cli.option_table import COMMANDS, FALSE, OPTIONS, TRUE, Option
from deploystep.core.errors import UsageError
from deploystep.core.text import shown

#: What `--export` writes, and what the command of `gate` is given: it may call this program again.
_HANDED_ON: Final = re.compile(
    r"DEPLOYSTEP_(?:(?:RULE|OUTCOME|RUN_ID|RUN_URL)(?:_[0-9]+)?|ENVIRONMENT|REVISION|KEY|PARAM_\w+)"
)


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Options:
    """Read the command line. Raises UsageError; argparse itself leaves only for --help and --version."""
    own, execute = own_words(argv)
    given = _given(own)
    command = str(given["command"])
    values: dict[str, Any] = {}
    if "rule" in given:
        values |= _gated(given["rule"], execute, is_empty=len(own) + 1 == len(argv))
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
    return "--json" in own_words(argv)[0] or environ.get("DEPLOYSTEP_JSON", "").lower() not in FALSE


def own_words(argv: Sequence[str]) -> tuple[Sequence[str], tuple[str, ...]]:
    """The words that are for this program, and behind `--` those of the command that `gate` executes."""
    if "--" not in argv or argv[0] != "gate":
        return argv, ()
    at = argv.index("--")
    return argv[:at], tuple(argv[at + 1 :])


def _gated(rules: Sequence[str], execute: tuple[str, ...], *, is_empty: bool) -> dict[str, Any]:
    example = "write for example  deploystep gate production -- ./deploy.sh"
    if len(rules) > 1:
        raise UsageError("usage", f"gate: one RULE is expected, found {' '.join(map(shown, rules))}", example)
    if is_empty:
        raise UsageError("usage", "gate: no COMMAND stands behind --", example)
    return {"rule": rules[0], "execute": execute}


def _given(argv: Sequence[str]) -> Mapping[str, Any]:
    """What stands on the command line, under the names of the options."""
    command = argv[0] if argv else ""
    switches = {o.flag: o.name for o in OPTIONS if o.metavar is None and command in o.commands}
    rules = [word for word in argv[1:2] if command == "gate" and not word.startswith("-")]
    flags = argv[1 + len(rules) :]
    if command in COMMANDS and switches.keys() >= set(flags) and bool(rules) is (command == "gate"):
        named = {"rule": rules} if rules else {}
        return {"command": command, **named, **{switches[flag]: True for flag in flags}}  # as in nearly every config
    from deploystep.cli.parser import parser  # noqa: PLC0415 - brings argparse

    given, unknown = parser(command if command in COMMANDS else None).parse_known_args(argv)
    if unknown:
        what = f"unrecognized arguments: {' '.join(unknown)}"
        raise UsageError("usage", what, f"see  deploystep {given.command} --help")
    return vars(given)


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
    named = (name for name in environ if name.startswith("DEPLOYSTEP_") and name not in known)
    return tuple(sorted(name for name in named if not _HANDED_ON.fullmatch(name)))
