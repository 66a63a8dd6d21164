"""What a script does under which conditions, as rules and `deploystep gate` can say it; else Uncertain.

A build has CIRCLE_BRANCH or CIRCLE_TAG, never both (CircleCI docs, "Built-in environment variables"), and no name of a
ref holds blanks or a character that a shell would expand (`git check-ref-format`). What a test does with words that are
missing, and what `-e` ignores: Bash Reference Manual, "Bash Conditional Expressions", `test`, "The Set Builtin".
"""

import re
from collections.abc import Container, Iterator
from contextlib import suppress
from functools import lru_cache
from itertools import dropwhile
from typing import Final, NamedTuple

from deploystep.core.parameters import SECRET_VARIABLES
from deploystep.core.patterns import Kind, Pattern, PatternError, parse
from deploystep.core.patterns.proofs import FORBIDDEN, covers, find_name
from deploystep.migrate.shell import Command, List, Script, Unreadable
from deploystep.migrate.shell import parse as read

_ALL: Final = "**"
_MOST: Final = 32  # patterns of a condition
_REFERENCE: Final = re.compile(r'("?)\$(?:(\w+)|\{(\w+)(?::?-)?\})\1|"<<\s*pipeline\.git\.(branch|tag)\s*>>"')
_QUOTED: Final = r"\"[^\"$`\\]*\"|'[^']*'"
_TOKEN: Final = re.compile(rf"(?<==~ )\S+|&&|\|\||[()]|(?:\"[^\"]*\"|{_QUOTED}|\$\{{[^}}]*\}}|[^\s()&|])+")
_PIECE: Final = re.compile(rf"{_QUOTED}|[*?]|\[[\w-]+\]|(?s:.)")
_SPECIAL: Final = re.compile(r"([\\.+*?()\[\]{}|^$/])")
#: Extended regular expressions of which a rule file's syntax certainly means the same.
_ATOM: Final = r"(?:[\w@:,=%/-]|\\[./-]|\.|\[[\w.-]+\])(?:[*+?]|\{\d+(?:,\d*)?\})?"
_ERE: Final = re.compile(rf"(\^?)((?:{_ATOM}|\((?:{_ATOM}|\|)+\)\??)*)(\$?)")


class Uncertain(Exception):
    """A condition whose meaning as a rule is not certain."""


class Refs(NamedTuple):
    """Names that one of the patterns `some` matches, written as in a rule file, and none of `but`."""

    some: tuple[str, ...] = ()
    but: tuple[str, ...] = ()


class Condition(NamedTuple):
    """Builds of these branches and of these tags, where these variables match their patterns."""

    branches: Refs
    tags: Refs
    env: tuple[tuple[str, str], ...] = ()

    @property
    def is_never(self) -> bool:
        """Whether there is no such build."""
        return not (self.branches.some or self.tags.some)


_EVERY_REF: Final = Refs((_ALL,))
ALWAYS: Final = Condition(_EVERY_REF, _EVERY_REF)
NEVER: Final = Condition(Refs(), Refs())


def both(one: Condition, other: Condition) -> Condition:
    """Both hold."""
    env = tuple(sorted({*one.env, *other.env}))
    if len({name for name, _ in env}) < len(env):
        raise Uncertain
    return Condition(_common(one.branches, other.branches), _common(one.tags, other.tags), env)


def negated(one: Condition) -> Condition:
    """It does not hold."""
    if one.env:
        raise Uncertain
    return Condition(_others(one.branches), _others(one.tags))


def either(one: Condition, other: Condition) -> Condition:
    """One of them holds, or both."""
    if NEVER in (one, other):
        return one if other == NEVER else other
    return negated(both(negated(one), negated(other)))


def _common(one: Refs, other: Refs) -> Refs:
    some = []
    for mine in one.some:
        for its in other.some:
            if _covers(its, mine) or _covers(mine, its):
                some.append(mine if _covers(its, mine) else its)
            elif _meet(mine, its):
                raise Uncertain
    return _tidy(some, [*one.but, *other.but])


def _others(refs: Refs) -> Refs:
    if not refs.but:
        return _tidy([_ALL], list(refs.some))
    if refs.some != (_ALL,):
        raise Uncertain
    return Refs(refs.but)


def _tidy(some: list[str], but: list[str]) -> Refs:
    """Without what says nothing: a pattern that another covers, and one that is left out or leaves nothing out."""
    if len(some) + len(but) > _MOST:
        raise Uncertain
    some = [each for each in _widest(some) if not any(_covers(stop, each) for stop in but)]
    return Refs(tuple(some), tuple(stop for stop in _widest(but) if any(_meet(stop, each) for each in some)))


def _widest(patterns: list[str]) -> list[str]:
    found: list[str] = []
    for each in sorted(set(patterns)):
        if not any(_covers(known, each) for known in found):
            found = [*(known for known in found if not _covers(each, known)), each]
    return found


def _covers(wide: str, narrow: str) -> bool:
    return wide in (narrow, _ALL) or covers([_compiled(wide)], _compiled(narrow))


def _meet(one: str, other: str) -> bool:
    """Whether a legal name matches both. Raises Uncertain where the search for one is cut short."""
    found = find_name(((_compiled(one),), (_compiled(other),)), (tuple(FORBIDDEN[Kind.REF]),))
    if found is None:
        raise Uncertain
    return found != ""


@lru_cache(maxsize=1_024)
def _compiled(text: str) -> Pattern:
    try:
        return parse(text, Kind.REF)
    except PatternError:
        raise Uncertain from None


# --- tests of bash


class Tests(NamedTuple):
    """Reads tests; the variables `present` are taken to be set."""

    present: frozenset[str]

    def of(self, items: tuple[Command, ...]) -> Condition:
        """When a list of tests succeeds."""
        found = self._one(items[0])
        for item in items[1:]:
            if item.operator not in ("&&", "||"):
                raise Uncertain
            found = (both if item.operator == "&&" else either)(found, self._one(item))
        return found

    def arms(self, case: Command) -> list[Condition]:
        """When each arm of a `case` is taken."""
        name, before, found = self._name(case.words[0].raw), NEVER, []
        if name not in ("branch", "tag"):
            raise Uncertain
        for arm in case.branches:
            own = NEVER
            for raw in arm.patterns:
                own = either(own, self._matching(name, _pattern(raw, is_glob=True)))
            found.append(both(own, negated(before)))
            before = either(before, own)
        return found

    def _one(self, item: Command) -> Condition:
        if item.has_more or item.assignments or item.redirections or item.heredocs:
            raise Uncertain
        if item.kind == "group":
            found = self.of(item.branches[0].body.items)
        else:
            words, is_double = [word.raw for word in item.words], item.first == "[["
            tokens = _TOKEN.findall(words[1]) if is_double else words[1 : -1 if item.first == "[" else None]
            is_lost = is_double and re.sub(r"\s", "", "".join(tokens)) != re.sub(r"\s", "", words[1])
            if is_lost or (item.first not in ("[[", "test") and (item.first, words[-1]) != ("[", "]")):
                raise Uncertain
            found = self._tested(tokens, is_double=is_double)
        return negated(found) if item.is_negated else found

    def _tested(self, words: list[str], *, is_double: bool) -> Condition:
        """Tests that `||`, `&&` and `!` join, the first of these the most loosely; brackets hold others together."""
        for operator, join in (("||", either), ("&&", both)) if is_double else ():
            depth = 0
            for at, word in enumerate(words):
                depth += (word == "(") - (word == ")")
                if word == operator and not depth:
                    return join(self._tested(words[:at], is_double=True), self._tested(words[at + 1 :], is_double=True))
        if words[:1] == ["!"]:
            if not is_double and any(word[0] == "$" for word in words):
                raise Uncertain  # a word that is missing would change what the others mean
            return negated(self._tested(words[1:], is_double=is_double))
        if is_double and words[:1] == ["("] and words[-1] == ")":
            return self._tested(words[1:-1], is_double=True)
        return self._compared(words, is_double=is_double)

    def _compared(self, words: list[str], *, is_double: bool) -> Condition:
        """One comparison. In `[ … ]`, an unquoted variable without a value is a word that is missing."""
        match words:
            case [raw] | ["-n", raw]:
                operator, value = "!=", ""
            case ["-z", raw]:
                operator, value = "=", ""
            case [raw, "=" | "==" | "!=" | "=~" as operator, value] if is_double or operator != "=~":
                raw, value = (raw, value) if self._name(raw) else (value, raw)
            case _:
                raise Uncertain
        name, may_miss = self._name(raw), not is_double and raw[0] == "$"
        if name is None or (may_miss and name not in ("branch", "tag")):
            raise Uncertain
        if may_miss and words[0] == "-n":
            return ALWAYS  # `-n` is the word that there is
        if name == "CIRCLE_NODE_INDEX" and value.strip("\"'") == "0" and operator in ("=", "=="):
            return ALWAYS  # `gate` and `run` act on node 0 alone
        if (operator, value) == ("!=", "") and name not in {"branch", "tag"} | self.present:
            return Condition(_EVERY_REF, _EVERY_REF, ((name, "*"),))
        pattern = _from_ere(value) if operator == "=~" else _pattern(value, is_glob=is_double)
        found = self._matching(name, pattern)
        found = negated(found) if operator == "!=" else found
        return both(found, negated(self._matching(name, ""))) if may_miss and len(words) > 2 else found  # noqa: PLR2004

    def _matching(self, name: str, pattern: str) -> Condition:
        """When a variable matches a pattern; the empty one means that it has no value."""
        if name in self.present and not pattern:
            return NEVER
        if name not in ("branch", "tag"):
            if not pattern or pattern[0] == "/" or name in self.present:
                raise Uncertain
            return Condition(_EVERY_REF, _EVERY_REF, ((name, pattern),))
        own = Refs((pattern,) if pattern else ())
        other = _EVERY_REF if not pattern or _compiled(pattern).matches("") else Refs()
        return Condition(own, other) if name == "branch" else Condition(other, own)

    def _name(self, raw: str) -> str | None:
        """What a word is nothing but: branch, tag, or another variable; None for others. Raises Uncertain."""
        found = _REFERENCE.fullmatch(raw)
        if found is None:
            return None
        name = found[4] or found[2] or found[3]
        name = {"CIRCLE_BRANCH": "branch", "CIRCLE_TAG": "tag"}.get(name, name)
        is_given = name in ("branch", "tag") or (name.startswith("CIRCLE_") and name not in SECRET_VARIABLES)
        if not is_given and name not in self.present:
            raise Uncertain
        return name


def _pattern(raw: str, *, is_glob: bool) -> str:
    """A word as a pattern of a rule file: as it is, or where it has wildcards of a shell, a `/regex/`."""
    regex, is_plain = "", True
    for piece in _PIECE.findall(raw):
        if piece in "*?" or (piece[0] == "[" and len(piece) > 1):
            is_plain = False
            regex += {"*": ".*", "?": "."}.get(piece, piece)
        else:
            text = piece[1:-1] if piece[0] in "\"'" and len(piece) > 1 else piece
            if not re.fullmatch(r"[\w./@+=,#%-]*", text):
                raise Uncertain
            regex += _SPECIAL.sub(r"\\\1", text)
    text = re.sub(r"\\(.)", r"\1", regex)
    if (not is_plain and not is_glob) or (is_plain and text[:1] == "/"):
        raise Uncertain
    return text if is_plain else f"/{regex}/"


def _from_ere(raw: str) -> str:
    """An extended regular expression, which is searched for, as one that matches the whole name."""
    found = _ERE.fullmatch(raw)
    if found is None:
        raise Uncertain
    core = re.sub(r"(?<!\\)/", r"\\/", found[2])
    return f"/{'' if found[1] else '.*'}{core}{'' if found[3] else '.*'}/"


# --- a script, divided by its conditions

#: An expansion that runs, sets or fails: all but `$NAME`, `${NAME}` and those of a value for a variable that has none.
ACTS: Final = re.compile(r"[<>]\(|`|\$(?![A-Za-z_]|\{\w+(?:\}|:?[-+]))")
#: What only a shell can do, or only one that a profile has prepared.
_BUILT_IN: Final = frozenset({
    "export", "set", "shopt", "local", "declare", "readonly", "unset", ".", "source", "cd", "eval", "exec", "exit",
    "return", "test", "[", "[[", "((", "pushd", "popd", "read", "shift", "trap", "ulimit", "umask", "let", "alias",
    "wait", "type", "hash", "command", "builtin", "typeset", "mapfile", "readarray", "getopts", "time", "times",
    "coproc", "jobs", "fg", "bg", "disown", "enable", "caller", "dirs", "history", "logout", "suspend", "nvm", "rvm",
    "sdk", "conda",
})  # fmt: skip
_DECIDES: Final = re.compile(r"(?m)(?:^|[;&|!{(']|\b(?:then|else|do)\b)\s*(?:if|case|while|until|\[\[?|test)\s")
_NAMES_REF: Final = re.compile(r"CIRCLE_(?:BRANCH|TAG)\b|pipeline\.git\.")


class Part(NamedTuple):
    """Commands and when they run: the statements, and the text from `start` to `end`."""

    condition: Condition
    statements: tuple[tuple[Command, ...], ...]
    start: int
    end: int

    def text(self, script: str) -> str:
        """The commands, their lines as they are written."""
        line = script.rfind("\n", 0, self.start) + 1
        start = self.start if script[line : self.start].strip() else line
        return re.sub(r"\A(?:[ \t]*\n)+", "", script[start : self.end].rstrip())


def divide(script: Script, text: str, present: frozenset[str] = frozenset()) -> list[Part]:
    """The parts of a script: one of all that it holds where its conditions cannot be read.

    It is divided where its last statement is an `if`, a `case` or a chain of tests, also within one another, and all
    before that prints, or ends the script as a success: nothing that bash could notice is left out or moved. The
    variables `present` are taken to be set.
    """
    found = _parts(script.body, ALWAYS, Tests(present))
    with suppress(Unreadable):
        if found and all(read(part.text(text)).body.items and not _only_fails(part) for part in found):
            return found
    return [Part(ALWAYS, _statements(script.body), 0, len(text))]


def asks(text: str) -> bool:
    """Whether a script decides anything by a test, or may do so by branch or tag."""
    return _DECIDES.search(text) is not None or ("grep" in text and _NAMES_REF.search(text) is not None)


def always_reached(found: list[Part]) -> Iterator[tuple[int, Condition]]:
    """Where commands begin that certainly run in the builds of their part, with its condition."""
    for part in found:
        for items in part.statements:
            if items[0].kind != "simple" or any(item.first in ("exit", "return") for item in items):
                break
            yield items[0].start, part.condition


def does_only(found: list[Part], sent: Container[int]) -> bool:
    """Whether the parts do nothing that lasts but to carry out commands at these places.

    What they print may go through `jq`; plain variables may be set.
    """
    return all(_does_only(items, sent) for part in found for items in part.statements)


def _does_only(items: tuple[Command, ...], sent: Container[int]) -> bool:
    node, *rest = items[0], *(item for item in items[1:] if not _is_filter(item))
    if node.kind != "simple" or not all(map(is_quiet, rest)) or node.has_more or node.is_negated:
        return False
    words = [word.raw for item in items for word in item.words]
    words += [each.value.raw for each in node.assignments]
    if any(map(ACTS.search, words)) or any(word.raw not in ("1", "2", "/dev/null") for word in node.redirections):
        return False
    return is_quiet(node) or not node.words or (node.start in sent and not node.assignments)


def _is_filter(item: Command) -> bool:
    is_plain = not item.redirections and not item.has_more
    return is_plain and item.operator == "|" and item.first in ("jq", "cat", "grep")


def is_command(script: Script, text: str) -> bool:
    """Whether the text is one command that needs no shell of its own to be run with the words it is given."""
    items = script.body.items
    if len(items) != 1 or items[0].is_negated or items[0].assignments or items[0].redirections or items[0].heredocs:
        return False
    first = items[0].first if not script.comments else ""
    is_program = re.fullmatch(r"(?:~/)?[\w./+@-]+", first) is not None and first not in _BUILT_IN
    return is_program and not ACTS.search(text) and not text.rstrip().endswith(("&", ";"))


def is_quiet(item: Command) -> bool:
    """Whether a command does nothing that lasts: it prints, says what holds anyway, or ends the script as a success."""
    if item.kind != "simple" or item.has_more or item.assignments or item.heredocs:
        return False
    words = [word.raw for word in item.words]
    if any(map(ACTS.search, words)) or any(word.raw not in ("1", "2", "/dev/null") for word in item.redirections):
        return False
    is_setting = words[:1] == ["set"] and all(re.fullmatch(r"-[exv]*o?|pipefail", word) for word in words[1:])
    is_print = words[:1] in (["echo"], ["printf"], ["true"], [":"], ["date"]) and words[:2] != ["printf", "-v"]
    return is_print or is_setting or words == ["exit", "0"]


def _statements(body: List) -> tuple[tuple[Command, ...], ...]:
    """The commands, with those together that `&&`, `||` or `|` joins."""
    found: list[tuple[Command, ...]] = []
    for item in body.items:
        if item.operator == ";" or not found:
            found.append(())
        found[-1] += (item,)
    return tuple(found)


def _parts(body: List, condition: Condition, tests: Tests) -> list[Part]:
    """The parts of commands behind which nothing follows."""
    found, rest = _statements(body), 0
    with suppress(Uncertain, RecursionError):
        for number, items in enumerate(found[:-1]):
            guard = _guard(items, tests)
            if guard is not None:
                condition, rest = both(condition, guard), number + 1
            elif not all(map(is_quiet, items)) or any(item.first == "exit" for item in items):
                break
        else:
            branches = _branches(found[-1], body.end, tests) if found else ()
            inner = [part for holds, each in branches for part in _parts(each, both(condition, holds), tests)]
            if inner and not any(part.condition.is_never for part in inner):
                return inner
    start = found[rest][0].start if rest else body.start
    return [Part(condition, found[rest:], start, body.end)] if found else []


def _guard(items: tuple[Command, ...], tests: Tests) -> Condition | None:
    """What must hold for a script to go on behind these commands, where that is all they decide."""
    node, last = items[0], items[-1]
    if node.kind == "if" and len(items) == len(node.branches) == 1:
        test, _, then = node.branches[0]
        is_guard = _ends(then.items) and not (node.is_negated or node.has_more)
        return negated(tests.of(test.items)) if test and is_guard else None
    if last.operator in ("&&", "||") and _ends((last._replace(operator=";"),)):
        holds = tests.of(items[:-1])
        return negated(holds) if last.operator == "&&" else holds
    return None


def _ends(items: tuple[Command, ...]) -> bool:
    """Whether all that commands do is to print and to end the script."""
    return all(map(is_quiet, items)) and (items[-1].operator, items[-1].first) == (";", "exit")


def _branches(items: tuple[Command, ...], end: int, tests: Tests) -> Iterator[tuple[Condition, List]]:
    """The conditions of an `if`, a `case` or a chain of tests with the commands behind each; none for others."""
    node = items[0]
    if any(item.has_more for item in items):
        return
    if node.kind != "simple" and len(items) == 1 and not node.is_negated:
        holds, before = tests.arms(node) if node.kind == "case" else [], NEVER
        for branch in node.branches if node.kind == "if" else ():
            own = tests.of(branch.test.items) if branch.test else ALWAYS
            holds.append(both(own, negated(before)))
            before = either(before, own)
        for condition, branch in zip(holds, node.branches, strict=False):
            if not all(map(is_quiet, branch.body.items)):
                yield condition, branch.body
        return
    rest = tuple(dropwhile(lambda item: item.first in ("[", "[[", "test"), items))
    asked = items[: len(items) - len(rest)]
    handled = dropwhile(lambda item: item.operator != "||", rest)
    if asked and rest and rest[0].operator == "&&" and not rest[0].is_negated and all(map(is_quiet, handled)):
        yield tests.of(asked), List(rest, rest[0].start, end)


def _only_fails(part: Part) -> bool:
    *before, last = part.statements
    return last[0].first in ("exit", "return") and all(is_quiet(item) for items in before for item in items)
