"""Reads the command line, where options beat the DEPLOYSTEP_ variables that stand for them, and completes it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn

from deploystep import __version__
from deploystep.app.options import COMMANDS, FALSE, OPTIONS, TRUE, Option, Options
from deploystep.core.errors import UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser

_BASH: Final = """\
# completion for deploystep:  source <(deploystep completion SHELL)
_deploystep() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("${line%%$'\\t'*}")
    done < <(command deploystep completion -- "${COMP_WORDS[@]:1:$COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _deploystep deploystep"""
_FISH: Final = """\
# completion for deploystep:  deploystep completion fish | source
function __deploystep
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    set -l lines (command deploystep completion -- $words[2..] "$word" 2>/dev/null)
    test -n "$lines" && printf '%s\\n' $lines || __fish_complete_path "$word"
end
complete -c deploystep -f -a '(__deploystep)'"""
#: The script by which each shell asks this program, which knows its options; told nothing, it completes files itself.
SCRIPTS: Final = {"bash": _BASH, "zsh": f"autoload -Uz +X bashcompinit && bashcompinit\n{_BASH}", "fish": _FISH}


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Options:
    """Read the command line. Raises UsageError; argparse itself leaves only for --help and --version."""
    own, execute = own_words(argv)
    command = own[0] if own else ""
    switches = {o.flag: o.name for o in OPTIONS if o.metavar is None and command in o.commands}
    given: dict[str, Any] = {"rule": own[1]} if command == "gate" and own[1:] and not own[1].startswith("-") else {}
    flags = own[1 + len(given) :]
    if command in COMMANDS and switches.keys() >= set(flags) and bool(given) is (command == "gate"):
        given |= {switches[flag]: True for flag in flags}  # as in nearly every config
    else:
        found, unknown = parser(command if command in COMMANDS else None).parse_known_args(own)
        if unknown:
            what = f"unrecognized arguments: {' '.join(unknown)}"
            raise UsageError("usage", what, f"see  deploystep {found.command} --help")
        given, command = vars(found), found.command
    if command == "gate" and len(own) + 1 == len(argv):
        example = "write for example  deploystep gate production -- ./deploy.sh"
        raise UsageError("usage", "gate: no COMMAND stands behind --", example)
    values: dict[str, Any] = {"execute": execute, "rule": given.get("rule", "")}
    from_variables: set[str] = set()
    for option in (o for o in OPTIONS if command in o.commands):
        value, written = given.get(option.name), option.flag
        text = environ.get(option.variable, "") if option.has_variable and value is None else ""
        if text:
            expected = ("true", "false") if option.metavar is None else option.choices
            if expected and (text not in expected if option.choices else text.lower() not in TRUE | FALSE):
                what = f"{option.variable} is {text!r}: expected one of {', '.join(expected)}"
                raise UsageError("usage", what, f"unset it, or give {option.flag}")
            value, written = text.lower() in TRUE if option.metavar is None else text, option.variable
            from_variables |= {option.name} if value else set()
        if value is not None:
            values[option.name] = _read(option, written, value)
    return Options(command, **values, from_variables=frozenset(from_variables))


def _read(option: Option, written: str, given: Any) -> Any:
    """The value. Of several none is shown where one is wrong: it may be a value without its name."""
    texts = given if isinstance(given, list) else [given]
    if option.form is None:
        return tuple(texts) if option.is_repeatable else given
    pattern, example, make = option.form
    with suppress(ValueError):  # a number that is too large
        if all(re.fullmatch(pattern, text, re.ASCII | re.DOTALL) for text in texts):
            return dict(text.split("=", 1) for text in texts) if option.is_repeatable else make(given)
    what = "expected NAME=VALUE" if option.is_repeatable else f"cannot read {given!r}"
    raise UsageError("usage", f"{written}: {what}", f"write for example {example}")


def asks_for_json(argv: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether JSON is wanted, also where the command line as a whole cannot be understood."""
    return "--json" in own_words(argv)[0] or environ.get("DEPLOYSTEP_JSON", "").lower() not in FALSE


def own_words(argv: Sequence[str]) -> tuple[Sequence[str], tuple[str, ...]]:
    """The words for this program, and behind `--` those of the command that `gate` executes, or to be completed."""
    at = argv.index("--") if "--" in argv and argv[0] in ("gate", "completion") else len(argv)
    return argv[:at], tuple(argv[at + 1 :])


def unknown_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Names that look like variables of options, and are none, nor what `--export` or `gate` hands on."""
    handed_on = r"DEPLOYSTEP_((RULE|OUTCOME|RUN_ID|RUN_URL)(_[0-9]+)?|ENVIRONMENT|REVISION|KEY|PARAM_\w+)"
    named = {n for n in environ if n.startswith("DEPLOYSTEP_")} - {o.variable for o in OPTIONS if o.has_variable}
    return tuple(sorted(name for name in named if not re.fullmatch(handed_on, name, re.ASCII)))


def parser(only: str | None = None) -> "ArgumentParser":
    """The parser of every command; with `only`, the others are known by name alone. It raises UsageError."""
    import argparse  # noqa: PLC0415 - most command lines do without

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise UsageError("usage", message, f"see  {self.prog} --help")

    about = "Decides whether a CircleCI build deploys, and triggers the deploy."
    top = Parser(prog="deploystep", allow_abbrev=False, description=about)
    version: dict[str, Any] = {"action": "version", "version": f"deploystep {__version__}"}
    top.add_argument("-V", "--version", **version)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, prog=top.prog)
    for name, about in COMMANDS.items():
        description = f"{about[0].upper()}{about[1:]}."
        command = commands.add_parser(name, allow_abbrev=False, help=about, description=description)
        command.add_argument("-V", "--version", help=argparse.SUPPRESS, **version)
        if name == "gate":
            command.usage = "deploystep gate [OPTION ...] RULE [-- COMMAND ...]"
            command.add_argument("rule", metavar="RULE", help="the rule; what follows -- is executed if it fires")
        for option in (o for o in OPTIONS if name in o.commands and only in (name, None)):
            more: dict[str, Any] = {"help": option.help, "action": "append" if option.is_repeatable else "store"}
            more |= {"metavar": option.metavar, "choices": option.choices}
            if option.metavar is None:
                more = {"help": option.help, "action": "store_true", "default": None}
            elif not option.flag.startswith("-"):
                more |= {"action": "store", "nargs": "*" if option.is_repeatable else "?"}
            elif option.name == "wait":  # what stands alone must not look as if it had not been given
                more |= {"nargs": "?", "const": ""}
            short = [f"-{option.name[0]}"] if option.name in ("quiet", "verbose") else []
            command.add_argument(*short, option.flag if option.flag.startswith("-") else option.name, **more)
    return top


def candidates(words: Sequence[str]) -> Iterator[str]:
    """What the last of these words can become, a line each: the word, a tab and what it means. Raises UsageError."""
    if not words:
        raise UsageError("usage", "completion: no SHELL is named", "write for example  deploystep completion bash")
    *before, word = words
    if not before:
        found = {**COMMANDS, "--help": "show the commands, and stop", "--version": "show the version, and stop"}
    elif "--" in before:
        return
    else:
        options = {option.flag: option for option in OPTIONS if before[0] in option.commands}
        if (last := options.get(before[-1])) and last.metavar and not (last.name == "wait" and word.startswith("-")):
            found = dict.fromkeys(last.choices or (), "")
        else:
            found = {flag: option.help for flag, option in options.items() if flag.startswith("-")}
            found |= {choice: "" for o in options.values() if not o.flag.startswith("-") for choice in o.choices or ()}
            found["--help"] = "show what the command takes, and stop"
    yield from (f"{name}\t{about}" for name, about in found.items() if name.startswith(word))
