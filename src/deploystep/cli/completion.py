"""Scripts by which a shell completes the command line, written from the tables of commands and options."""

import re
from collections.abc import Iterable
from typing import Final

from deploystep.cli.option_table import COMMANDS, OPTIONS, Option

_HELP: Final = Option("--help", tuple(COMMANDS), "show what the command takes, and stop")
_EXECUTED: Final = Option("COMMAND", ("gate",), "what is executed if the rule fires", "COMMAND")


def script(shell: str) -> str:
    """The whole script for bash, zsh or fish."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]()


def _options(command: str) -> Iterable[Option]:
    return (option for option in (*OPTIONS, _HELP) if command in option.commands and option.flag.startswith("-"))


def _arguments(command: str) -> Iterable[Option]:
    """What may stand behind the command itself: one of a few words, or files."""
    return (o for o in (*OPTIONS, _EXECUTED) if command in o.commands and not o.flag.startswith("-"))


def _words(command: str) -> str:
    return " ".join(word for option in _arguments(command) for word in option.choices or ())


def _takes_file(option: Option) -> bool:
    return (option.metavar or "").endswith("FILE")


def _bash() -> str:
    flags = "\n".join(
        f"            {name}) words='{' '.join((_words(name), *(o.flag for o in _options(name)))).strip()}' ;;"
        for name in COMMANDS
    )
    valued = {option.flag: option for option in OPTIONS if option.metavar and option.flag.startswith("-")}
    choices = "\n".join(f"        {f}) words='{' '.join(o.choices)}' ;;" for f, o in valued.items() if o.choices)
    files = "|".join(flag for flag, option in valued.items() if _takes_file(option))
    others = "|".join(flag for flag, option in valued.items() if not option.choices and not _takes_file(option))
    return f"""\
# bash completion for deploystep:  source <(deploystep completion bash)
_deploystep() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} words='' reply
    # bash makes three words of --color=auto
    if [ "$word" = = ]; then word=; elif [ "$before" = = ]; then before=${{COMP_WORDS[COMP_CWORD - 2]}}; fi
    case $word in -*) before= ;; esac # an option's value may be left out
    COMPREPLY=()
    case $before in
{choices}
        {files}) return ;; # bash itself completes files
        {others}) compopt +o default 2>/dev/null; return ;;
        *) case ${{COMP_WORDS[1]}} in
{flags}
            esac ;;
    esac
    [ "$COMP_CWORD" -gt 1 ] || words='{" ".join((*COMMANDS, "--help", "--version"))}'
    while IFS= read -r reply; do COMPREPLY+=("$reply"); done < <(compgen -W "$words" -- "$word")
}}
complete -o default -F _deploystep deploystep"""


def _zsh() -> str:
    def quoted(text: str) -> str:
        return text.replace("'", "'\\''")

    def spec(option: Option) -> str:
        about = quoted(re.sub(r"[][:\\]", r"\\\g<0>", option.help))
        value = f"({' '.join(option.choices)})" if option.choices else "_files" if _takes_file(option) else " "
        equals, colon = ("=-", "::") if option.is_value_optional else ("=", ":")
        value = f"{colon}{option.metavar}:{value}" if option.metavar else ""
        many, equals = "*" if option.is_repeatable else "", equals if option.metavar else ""
        return f"'{many}{option.flag}{equals}[{about}]{value}'"

    def case(name: str) -> str:
        words = [f"'*:{o.metavar}:{'_files' if o.choices is None else f'({_words(name)})'}'" for o in _arguments(name)]
        return f"        {name}) _arguments " + " \\\n            ".join((*words, *map(spec, _options(name)))) + " ;;"

    about = "\n".join(f"        '{name}:{quoted(text)}'" for name, text in COMMANDS.items())
    cases = "\n".join(map(case, COMMANDS))
    return f"""\
#compdef deploystep
# zsh completion for deploystep:  source <(deploystep completion zsh)
_deploystep() {{
    local -a subcommands=(
{about}
    )
    if (( CURRENT == 2 )); then
        _describe command subcommands
        return
    fi
    shift words
    (( CURRENT-- ))
    case $words[1] in
{cases}
    esac
}}
if [ "$funcstack[1]" = _deploystep ]; then _deploystep "$@"; else compdef _deploystep deploystep; fi"""


def _fish() -> str:
    def quoted(text: str) -> str:
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

    lines = ["# fish completion for deploystep:  deploystep completion fish | source", "complete -c deploystep -f"]
    for name, about in COMMANDS.items():
        lines.append(f"complete -c deploystep -n __fish_use_subcommand -a {name} -d {quoted(about)}")
        start = f"complete -c deploystep -n '__fish_seen_subcommand_from {name}'"
        lines += [f"{start} -F" if o.choices is None else f"{start} -a '{_words(name)}'" for o in _arguments(name)]
        for option in _options(name):
            value = f" -x -a '{' '.join(option.choices)}'" if option.choices else " -x" if option.metavar else ""
            value = " -r -F" if _takes_file(option) else value
            lines.append(f"{start} -l {option.flag.removeprefix('--')}{value} -d {quoted(option.help)}")
    return "\n".join(lines)
