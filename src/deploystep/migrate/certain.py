"""Whether a script does the same when its conditions become rules and only what they guard is left of it.

Source: Bash Reference Manual, "The Set Builtin" (what `-e` ignores), "Shell Parameter Expansion", "Shell Expansions".
"""

import re
from typing import Final

from deploystep.migrate.conditions import OF_BASH, Uncertain
from deploystep.migrate.shell import Case, Group, If, Item, List, Loop, Node, Simple, first, nodes, statements

#: An expansion that runs, sets or fails: all but `$NAME`, `${NAME}` and those of a value for a variable that has none.
ACTS: Final = re.compile(r"[<>]\(|`|\$(?![A-Za-z_]|\{\w+(?:\}|:?[-+]))")
_QUIET: Final = frozenset({"echo", "printf", "true", ":", "date"})
_OPTION: Final = re.compile(r"-[exv]*o?|pipefail|errexit|xtrace|verbose|\+[xv]+")
#: Names that a function of the script may not take: what is read here for what it means in bash.
_MEANT: Final = frozenset({"[", "test", "true", "false", ":", "echo", "printf", "date", "exit", "export", "set"})


def examine(body: List, end: int) -> None:
    """Look at all before `end`, which would be left out or moved. Raises Uncertain where bash may notice."""
    for node in (node for node in nodes(body) if node.start < end):
        words = [word.raw for word in node.words] if isinstance(node, Simple) else []
        if words[:1] == ["shopt"] or (words[:1] == ["set"] and not all(map(_OPTION.fullmatch, words[1:]))):
            raise Uncertain
        if isinstance(node, Group) and node.name in _MEANT:
            raise Uncertain
    found = statements(body)
    for number, items in enumerate(items for items in found if items[0].node.start < end):
        _statement(items, is_last=number + 1 == len(found))


def _statement(items: list[Item], *, is_last: bool) -> None:
    node = items[0].node
    if any(item.has_more or (isinstance(item.node, Simple) and item.node.heredocs) for item in items):
        raise Uncertain
    if is_quiet(items):
        _printed(items)
    elif len(items) == 1 and isinstance(node, If | Case):
        bodies = [body for _, body in (node.branches if isinstance(node, If) else node.arms)]
        bodies += [node.otherwise] if isinstance(node, If) and node.otherwise else []
        for body in bodies:
            inner = statements(body)
            if not is_quiet(list(body.items)):
                if not is_last and _is_unheeded(inner[-1]):
                    raise Uncertain
                continue
            for each in inner:
                _printed(each)
            if not is_last and len(bodies) > 1 and "exit" in (first(item.node) for item in body.items):
                raise Uncertain
    elif len(items) == 1 and isinstance(node, Simple):
        _set(node)
    else:
        _chain(items, is_last=is_last)


def is_quiet(items: list[Item]) -> bool:
    """Whether the commands do nothing that lasts: they print, or end the script as a success."""
    return all(_is_quiet(item.node) for item in items)


def _is_quiet(node: Node) -> bool:
    if not isinstance(node, Simple) or node.assignments or not node.words:
        return False
    words = [word.raw for word in node.words]
    is_open = any(word.raw not in ("1", "2", "/dev/null") for word in node.redirections)
    runs = any("$(" in word or "`" in word for word in words)
    return not is_open and not runs and (words[0] in _QUIET or words == ["exit", "0"])


def _chain(items: list[Item], *, is_last: bool) -> None:
    """Look at tests that `&&` and `||` join with commands."""
    rest = [i for i in items if isinstance(i.node, Simple | If | Case | Loop) and first(i.node) not in ("[", "test")]
    if not rest or (len(rest) == 1 and is_quiet(rest)):
        _printed(rest)
    elif rest[0].is_negated or (not is_last and len(rest) > 1):
        raise Uncertain
    else:
        at = next((i for i, item in enumerate(rest) if item.operator == "||"), len(rest))
        for item in rest[max(at, 1) :]:
            _printed([item])


def _is_unheeded(items: list[Item]) -> bool:
    """Whether `-e` may not end the script when these fail."""
    joined = any(item.operator in ("&&", "||") for item in items[1:])
    return joined or items[0].is_negated or not isinstance(items[0].node, Simple)


def _printed(items: list[Item]) -> None:
    """Commands that will not run: they must do nothing but print."""
    for item in items:
        words = [word.raw for word in item.node.words] if isinstance(item.node, Simple) else []
        if any(map(ACTS.search, words)) or words[:2] == ["printf", "-v"] or (len(items) > 1 and words[:1] == ["exit"]):
            raise Uncertain


def _set(node: Simple) -> None:
    """What is set before: it will be set only where the rule fires."""
    words = [word.raw for word in node.words]
    names = [assignment.name for assignment in node.assignments]
    if not words or words[0] == "export":
        names += [word.partition("=")[0] for word in words[1:]]
        values = [*words[1:], *(assignment.value.raw for assignment in node.assignments)]
        if any(map(ACTS.search, values)) or any(not re.fullmatch(r"\w+", n) or OF_BASH.fullmatch(n) for n in names):
            raise Uncertain
    elif words[0] in ("local", "declare", "readonly", "unset", "typeset"):
        raise Uncertain
