"""Scripts by which a shell completes the command line; each asks this program, which knows its options."""

from collections.abc import Iterator, Sequence
from typing import Final

from deploystep.cli.option_table import COMMANDS, OPTIONS

#: What each shell is to run. Where nothing is told, it completes files by itself.
SCRIPTS: Final = {
    "bash": """\
# bash completion for deploystep:  source <(deploystep completion bash)
_deploystep() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("${line%%$'\\t'*}")
    done < <(command deploystep completion -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _deploystep deploystep""",
    "zsh": """\
#compdef deploystep
# zsh completion for deploystep:  source <(deploystep completion zsh)
_deploystep() {
    local -a lines
    lines=("${(@f)$(command deploystep completion -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    [[ -n $lines ]] && compadd -l -d lines -- "${(@)lines%%$'\\t'*}" || _files
}
if [ "$funcstack[1]" = _deploystep ]; then _deploystep "$@"; else compdef _deploystep deploystep; fi""",
    "fish": """\
# fish completion for deploystep:  deploystep completion fish | source
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
    # bash makes three words of --color=auto
    *before, word = [each for each in words[:-1] if each != "="] + [words[-1].removeprefix("=")]
    if not before:
        found = {**COMMANDS, "--help": "show the commands, and stop", "--version": "show the version, and stop"}
    elif "--" in before:
        return
    else:
        options = {option.flag: option for option in OPTIONS if before[0] in option.commands}
        flag = word.partition("=")[0] if "=" in word else before[-1]
        option = options.get(flag)
        if option is not None and option.metavar and not (option.is_value_optional and word.startswith("-")):
            start = f"{flag}=" * ("=" in word)
            found = {f"{start}{choice}": "" for choice in option.choices or ()}
        else:
            found = {flag: option.help for flag, option in options.items() if flag.startswith("-")}
            found |= {choice: "" for o in options.values() if not o.flag.startswith("-") for choice in o.choices or ()}
            found["--help"] = "show what the command takes, and stop"
    yield from (f"{name}\t{about}" for name, about in found.items() if name.startswith(word))
