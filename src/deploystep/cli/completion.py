"""Scripts by which a shell completes the command line; each asks this program, which knows its options."""

from collections.abc import Iterator, Sequence
from typing import Final

from deploystep.app.options import COMMANDS, OPTIONS

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
#: What each shell is to run. Where nothing is told, it completes files by itself.
SCRIPTS: Final = {
    "bash": _BASH,
    "zsh": f"autoload -Uz +X bashcompinit && bashcompinit\n{_BASH}",
    "fish": """\
# completion for deploystep:  deploystep completion fish | source
function __deploystep
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    set -l lines (command deploystep completion -- $words[2..] "$word" 2>/dev/null)
    test -n "$lines" && printf '%s\\n' $lines || __fish_complete_path "$word"
end
complete -c deploystep -f -a '(__deploystep)'""",
}


def candidates(words: Sequence[str]) -> Iterator[str]:
    """What the last of these words can become, a line each: the word, a tab and what it means."""
    *before, word = words
    if not before:
        found = {**COMMANDS, "--help": "show the commands, and stop", "--version": "show the version, and stop"}
    elif "--" in before:
        return
    else:
        options = {option.flag: option for option in OPTIONS if before[0] in option.commands}
        option = options.get(before[-1])
        if option is not None and option.metavar and not (option.name == "wait" and word.startswith("-")):
            found = dict.fromkeys(option.choices or (), "")
        else:
            found = {flag: option.help for flag, option in options.items() if flag.startswith("-")}
            found |= {choice: "" for o in options.values() if not o.flag.startswith("-") for choice in o.choices or ()}
            found["--help"] = "show what the command takes, and stop"
    yield from (f"{name}\t{about}" for name, about in found.items() if name.startswith(word))
