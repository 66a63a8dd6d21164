"""What a script does under which conditions: its commands, divided as a rule and `deploystep gate` can say it."""

import re
from collections.abc import Iterator
from itertools import dropwhile, takewhile
from typing import Final, NamedTuple

from deploystep.migrate import shell
from deploystep.migrate.certain import ACTS, examine, is_quiet
from deploystep.migrate.conditions import ALWAYS, Any, Condition, Not, Scope, Uncertain, every, when
from deploystep.migrate.shell import (
    Case,
    Group,
    If,
    Item,
    List,
    Loop,
    Node,
    Script,
    Simple,
    Test,
    first,
    nodes,
    statements,
)

_SETS: Final = frozenset({"export", "set", "shopt", "local", "declare", "readonly", "unset"})
#: What only a shell can do, or only one that a profile has prepared.
_BUILT_IN: Final = frozenset({
    *_SETS, ".", "source", "cd", "eval", "exec", "exit", "return", "test", "[", "pushd", "popd", "read", "shift",
    "trap", "ulimit", "umask", "let", "alias", "wait", "type", "hash", "command", "builtin", "if",
    "typeset", "mapfile", "readarray", "getopts", "time", "times", "coproc", "jobs", "fg", "bg", "disown", "enable",
    "caller", "dirs", "history", "logout", "suspend", "nvm", "rvm", "sdk", "conda",
})  # fmt: skip
_ASKS: Final = re.compile(r"CIRCLE_(?:BRANCH|TAG)\b|pipeline\.git\.")


class Part(NamedTuple):
    """Commands and when they run: the text from `start` to `end`, after what `preface` sets."""

    condition: Condition
    start: int
    end: int
    preface: tuple[tuple[int, int], ...] = ()

    def text(self, script: str) -> str:
        """The commands, their lines as they are written."""
        parts = [script[start:end] for start, end in self.preface]
        body = script[self.start : self.end]
        return "\n".join([*parts, re.sub(r"\A(?:[ \t]*\n)+", "", body.rstrip())])


def parts(script: Script, text: str) -> list[Part]:
    """The parts of a script. Raises Uncertain where its conditions cannot be read."""
    scope = scope_of(script.body)
    found = list(_parts(script.body, scope, text))
    if any(_only_leaves(text[part.start : part.end]) or when(part.condition) is None for part in found):
        raise Uncertain
    if [part.condition for part in found] == [ALWAYS]:
        return [Part(ALWAYS, 0, len(text))]
    end = script.body.end
    examine(script.body, max((part.start for part in found if part.end == end), default=end))
    return found


def scope_of(body: List, present: frozenset[str] = frozenset()) -> Scope:
    """What a script makes of its variables; those in `present` are taken to be set."""
    aliases: dict[str, str] = {}
    changed: set[str] = set()
    first = list(takewhile(lambda items: is_quiet(items) or _is_preface(items), statements(body)))
    before = {id(items[0].node) for items in first}
    for node in nodes(body):
        for assignment in node.assignments if isinstance(node, Simple) else ():
            found = re.fullmatch(r'"?\$\{?(\w+)\}?"?', assignment.value.raw)
            is_alias = found and id(node) in before and found[1] not in changed
            if found and is_alias and assignment.name not in aliases | dict.fromkeys(changed):
                aliases[assignment.name] = aliases.get(found[1], found[1])
            else:
                changed.add(assignment.name)
        words = [word.raw for word in node.words] if isinstance(node, Simple) else []
        if words[:1] and words[0] in ("read", "unset", "mapfile", *_SETS):
            changed |= {word.partition("=")[0] for word in words[1:] if not word.startswith("-")}
        if words[:1] and words[0] in (".", "source", "eval"):
            changed |= {"CIRCLE_BRANCH", "CIRCLE_TAG"}
        if isinstance(node, Loop):
            changed.add(node.variable)
    return Scope({name: to for name, to in aliases.items() if name not in changed}, frozenset(changed), present)


def asks(text: str) -> bool:
    """Whether a script decides anything by a test, or may do so by branch or tag."""
    try:
        found = nodes(shell.parse(text).body)
    except shell.Unreadable:
        return _ASKS.search(text) is not None
    tests = ("[", "test", "grep") if _ASKS.search(text) else ("[", "test")
    return any(isinstance(node, If | Case | Test) or first(node) in tests for node in found)


def is_command(script: Script, text: str) -> bool:
    """Whether the text is one command that needs no shell of its own to be run with the words it is given."""
    items = script.body.items
    node = items[0].node if len(items) == 1 and not items[0].is_negated else None
    if not isinstance(node, Simple) or node.assignments or node.redirections or node.heredocs or script.comments:
        return False
    is_program = re.fullmatch(r"(?:~/)?[\w./+@-]+", first(node)) is not None and first(node) not in _BUILT_IN
    return is_program and not ACTS.search(text) and not text.rstrip().endswith(("&", ";"))


def _is_preface(items: list[Item]) -> bool:
    node = items[0].node
    if len(items) > 1 or items[0].is_negated:
        return False
    if isinstance(node, Group):
        return bool(node.name)
    return isinstance(node, Simple) and not node.redirections and (not node.words or first(node) in _SETS)


def _ends(items: list[Item]) -> bool:
    """Whether the commands end the script as a success."""
    return is_quiet(items) and any(first(item.node) == "exit" for item in items)


def _only_leaves(text: str) -> bool:
    """Whether all that the commands do is to fail."""
    return re.fullmatch(r"(?:\s*(?:echo|printf)\b[^\n;]*[\n;])*\s*(?:exit|return)\s+[1-9]\d*\s*;?\s*", text) is not None


def _parts(body: List, scope: Scope, text: str) -> Iterator[Part]:
    condition: Condition = ALWAYS
    preface: list[tuple[int, int]] = []
    chosen: list[Part] = []
    rest, before = body.start, tuple(preface)  # what follows the last guard, and what is set before it
    found = statements(body)
    for number, items in enumerate(found):
        is_last = number + 1 == len(found)
        start = items[0].node.start
        if is_quiet(items) and (is_last or not _ends(items)):
            continue
        if _is_preface(items) and not chosen:
            preface.append((start, items[0].node.end))
            continue
        guard = None if is_last or chosen else _guard(items, scope)
        if guard is not None:
            condition = every(condition, guard)
            rest, before = found[number + 1][0].node.start, tuple(preface)
            continue
        branches = list(_branches(items, scope))
        if not branches and chosen:
            raise Uncertain
        if not branches:
            chosen = [Part(condition, _line_start(text, rest), body.end, before)]
            break
        new = [Part(every(condition, holds), _line_start(text, at), end, tuple(preface)) for holds, at, end in branches]
        if any(when(every(one.condition, other.condition)) for one in chosen for other in new):
            raise Uncertain  # what the first leaves behind may matter to the second
        chosen += new
    yield from chosen


def _line_start(text: str, at: int) -> int:
    """The beginning of the line, where only blanks stand before the place."""
    line = text.rfind("\n", 0, at) + 1
    return line if not text[line:at].strip() else at


def _guard(items: list[Item], scope: Scope) -> Condition | None:
    """What must hold for a script to go on behind these commands, where that is all they decide."""
    node, last = items[0].node, items[-1]
    if isinstance(node, If) and len(items) == len(node.branches) == 1 and node.otherwise is None:
        test, then = node.branches[0]
        return Not(scope.of(test)) if _ends(list(then.items)) else None
    if len(items) > 1 and _ends([last]) and last.operator in ("&&", "||"):
        holds = scope.of(List(tuple(items[:-1])))
        return Not(holds) if last.operator == "&&" else holds
    return None


def _branches(items: list[Item], scope: Scope) -> Iterator[tuple[Condition, int, int]]:
    """The conditions of an `if`, a `case` or a chain of tests with the commands behind each; none for others."""
    node = items[0].node
    if len(items) == 1 and not items[0].is_negated and isinstance(node, If | Case):
        if isinstance(node, If):
            conditions = [scope.of(condition) for condition, _ in node.branches]
            bodies = [body for _, body in node.branches]
            before: Condition = Any(tuple(conditions))
            conditions = [every(c, *(Not(each) for each in conditions[:i])) for i, c in enumerate(conditions)]
            if node.otherwise is not None:
                conditions, bodies = [*conditions, Not(before)], [*bodies, node.otherwise]
        else:
            conditions, bodies = scope.arms(node), [body for _, body in node.arms]
        for condition, body in zip(conditions, bodies, strict=True):
            if not is_quiet(list(body.items)):
                yield condition, body.start, body.end
        return
    chain = _chain(items, scope)
    if chain is not None:
        yield chain[0], chain[1][0].node.start, items[-1].node.end


def _chain(items: list[Item], scope: Scope) -> tuple[Condition, list[Item]] | None:
    """What the tests ask with which commands begin that `&&` joins to them; None for others."""
    rest = list(dropwhile(lambda item: _is_test(item.node), items))
    tests = items[: len(items) - len(rest)]
    if not tests or not rest or rest[0].operator != "&&":
        return None
    if not is_quiet(list(dropwhile(lambda item: item.operator != "||", rest))):
        raise Uncertain
    return scope.of(List(tuple(tests))), rest


def _is_test(node: Node) -> bool:
    return isinstance(node, Test) or first(node) in ("[", "test")


def commands(
    body: List, scope: Scope, condition: Condition = ALWAYS, *, is_end: bool = True
) -> Iterator[tuple[Condition, Simple]]:
    """Each command that does something lasting, with all that must hold for it; at the end, nothing follows the body.

    Raises Uncertain for loops, and where an `exit` would keep from running what follows a body.
    """
    found = statements(body)
    for number, items in enumerate(found):
        guard = None if is_quiet(items) else _guard(items, scope)
        is_last = is_end and number + 1 == len(found)
        if (guard is not None and not is_end) or (
            guard is None and not is_last and "exit" in (first(item.node) for item in items)
        ):
            raise Uncertain
        node = items[0].node
        if is_quiet(items) or _is_preface(items):
            continue
        if guard is not None:
            condition = every(condition, guard)
        elif isinstance(node, If) and len(items) == 1:
            before: list[Condition] = []
            for test, inner in (*node.branches, (List(()), node.otherwise or List(()))):
                holds = scope.of(test) if test.items else ALWAYS
                all_hold = every(condition, holds, *(Not(each) for each in before))
                yield from commands(inner, scope, all_hold, is_end=is_last)
                before.append(holds)
        elif isinstance(node, Case) and len(items) == 1:
            for holds, (_, inner) in zip(scope.arms(node), node.arms, strict=True):
                yield from commands(inner, scope, every(condition, holds), is_end=is_last)
        else:
            holds, rest = _chain(items, scope) or (ALWAYS, items)
            if not isinstance(rest[0].node, Simple) or not is_quiet(_unpiped(rest[1:])):
                raise Uncertain
            yield every(condition, holds) if holds is not ALWAYS else condition, rest[0].node


def _unpiped(items: list[Item]) -> list[Item]:
    """Without what only shows an answer: `| jq .`."""
    return [item for item in items if not (item.operator == "|" and first(item.node) in ("jq", "cat", "tee", "grep"))]
