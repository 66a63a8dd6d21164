"""What a script does under which conditions, as rules and `deploystep gate` can say it; else Uncertain.

A build has CIRCLE_BRANCH or CIRCLE_TAG, never both (CircleCI docs, "Built-in environment variables"), and no name of a
ref holds blanks or a character that a shell would expand (`git check-ref-format`). What a test does with words that are
missing, and what `-e` ignores: Bash Reference Manual, "Bash Conditional Expressions", `test`, "The Set Builtin".
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import dropwhile
from typing import Final, NamedTuple, TypeAlias

from deploystep.core.patterns import Kind, Pattern, PatternError, parse
from deploystep.core.patterns.proofs import FORBIDDEN, find_name
from deploystep.migrate import shell
from deploystep.migrate.shell import Command, List, Uncertain

_ALL: Final = "**"
_MOST: Final = 16  # kinds of names that the patterns of a script tell apart
_QUOTED: Final = r"\"[^\"$`\\]*\"|'[^']*'"
_TOKEN: Final = re.compile(rf"&&|\|\||(?:\"[^\"]*\"|{_QUOTED}|\$\{{[^}}]*\}}|[^\s()&|])+")
_PIECE: Final = re.compile(rf"{_QUOTED}|[*?]|\[[\w-]+\]|(?s:.)")
#: An expansion that runs, sets or fails: all but `$NAME`, `${NAME}` and those of a value for a variable that has none.
_ACTS: Final = re.compile(r"[<>]\(|`|\$(?![A-Za-z_]|\{\w+(?:\}|:?[-+]))")

#: What follows from whether the branch or the tag, which is empty where a build has none, matches a pattern.
_Test: TypeAlias = Callable[[Mapping[tuple[str, str], bool]], bool]


def _none_of(*tests: _Test) -> _Test:
    return lambda truth: not any(test(truth) for test in tests)


def _joined(one: _Test, operator: str, other: _Test) -> _Test:
    if operator not in ("&&", "||"):
        raise Uncertain
    return lambda truth: (one(truth) and other(truth)) if operator == "&&" else (one(truth) or other(truth))


class Condition(NamedTuple):
    """Builds of branches that one of the patterns `branch` matches and none of `no_branch`; and of tags alike."""

    branch: tuple[str, ...] = ()
    no_branch: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    no_tag: tuple[str, ...] = ()


ALWAYS: Final = Condition((_ALL,), (), (_ALL,))


def _refs(test: _Test, kind: str, asked: Mapping[tuple[str, str], Pattern]) -> list[tuple[str, ...]]:
    """Patterns of the refs of a kind for which a test holds: of some, without others. Raises Uncertain."""
    own = {text: pattern for (name, text), pattern in sorted(asked.items(), key=lambda each: each[0]) if name == kind}
    patterns, compiled = [_ALL, *own], [parse(_ALL, Kind.REF), *own.values()]
    other = {key: pattern.matches("") for key, pattern in asked.items() if key[0] != kind}
    none = {("branch", ""): kind == "tag", ("tag", ""): kind == "branch"}
    keys = [(kind, text) for text in patterns]
    wanted = {row: test({**other, **none, **dict(zip(keys, row, strict=True))}) for row in _rows(compiled)}

    def is_right() -> bool:
        return {row: any(row[i] for i in some) and not any(row[i] for i in but) for row in wanted} == wanted

    but = [i for i in range(len(patterns)) if not any(row[i] and holds for row, holds in wanted.items())]
    some = [i for i in range(len(patterns)) if i not in but]
    some = [i for i in some if all(wanted[row] or any(row[j] for j in but) for row in wanted if row[i])]
    if not is_right():
        raise Uncertain
    for listed in (some, but):  # without what says nothing
        for each in reversed(listed.copy()):
            listed.remove(each)
            if not is_right():
                listed.append(each)
    return [tuple(sorted(patterns[i] for i in listed)) for listed in (some, but)]


def _rows(patterns: list[Pattern]) -> list[tuple[bool, ...]]:
    """For each kind of legal names, which of the patterns they match. Raises Uncertain where a search is cut short."""
    rows: list[tuple[bool, ...]] = [(True,)]
    for _ in patterns[1:]:
        longer, rows = [(*row, is_on) for row in rows for is_on in (True, False)], []
        for row in longer:
            unlike = [pattern for pattern, is_on in zip(patterns, row, strict=False) if not is_on]
            alike = tuple((pattern,) for pattern, is_on in zip(patterns, row, strict=False) if is_on)
            name = find_name(alike, ((*unlike, *FORBIDDEN[Kind.REF]),))
            if name is None or len(rows) > _MOST:
                raise Uncertain
            rows += [row] if name else []
    return rows


class _Tests:
    """Reads tests, and notes what they ask; the variables `present` are taken to be set."""

    def __init__(self, present: frozenset[str]) -> None:
        self.present = present
        self.asked: dict[tuple[str, str], Pattern] = {}

    def of(self, items: tuple[Command, ...]) -> _Test:
        found = self._one(items[0])
        for item in items[1:]:
            found = _joined(found, item.operator, self._one(item))
        return found

    def arms(self, node: Command) -> Iterator[tuple[_Test, List]]:
        """What an `if` or a `case` asks before each of its lists of commands, where what is before it was false."""
        sections = iter(node.sections)
        for section in sections:
            if node.kind == "case":
                name = self._name(node.words[0].raw)
                if name not in ("branch", "tag"):
                    raise Uncertain
                yield _none_of(_none_of(*(self._matching(name, _pattern(raw)) for raw in section.heading))), section
            elif section.heading == ("else",):
                yield _none_of(), section
            else:
                then = next(sections, section)
                if then.heading != ("then",):
                    raise Uncertain
                yield self.of(section.items), then

    def _one(self, item: Command) -> _Test:
        words = [word.raw for word in item.words]
        if item.first == "[[":  # where a variable needs no quotes
            found = _TOKEN.findall(words[1])
            tokens = [f'"{word}"' if word[0] == "$" else word for word in found]
            is_certain = re.sub(r"\s", "", "".join(found)) == re.sub(r"\s", "", words[1])
        else:
            tokens = words[1:-1] if item.first == "[" else words[1:]
            is_certain = item.first in ("[", "test") and not any(re.search(r"[*?[]", word) for word in tokens)
        is_certain &= not (item.has_more or item.redirections or item.heredocs)
        if not is_certain or (item.first == "[" and words[-1] != "]"):
            raise Uncertain
        test = self._tested(tokens)
        return _none_of(test) if item.is_negated else test

    def _tested(self, words: list[str]) -> _Test:
        """Tests that `||`, `&&` and `!` join, the first of these the most loosely."""
        for operator in ("||", "&&"):
            if operator in words:
                at = words.index(operator)
                return _joined(self._tested(words[:at]), operator, self._tested(words[at + 1 :]))
        match words:
            case ["!", *rest] if not any(word[0] == "$" for word in rest):  # a missing word would change the others
                return _none_of(self._tested(rest))
            case [raw] | ["-n", raw]:
                operator, value = "!=", ""
            case ["-z", raw]:
                operator, value = "=", ""
            case [raw, "=" | "==" | "!=" as operator, value]:
                raw, value = (raw, value) if self._name(raw) else (value, raw)
            case _:
                raise Uncertain
        name, pattern = self._name(raw), _pattern(value)
        is_same = words == [raw] or words[0] == "-z" or (operator != "!=" and pattern)
        if name is None or (raw[0] == "$" and not is_same):
            raise Uncertain  # without a value, an unquoted variable is a word that is missing
        found = self._matching(name, pattern)
        return _none_of(found) if operator == "!=" else found

    def _matching(self, name: str, pattern: str) -> _Test:
        """When a variable matches a pattern; the empty one means that it has no value."""
        if name in self.present and not pattern:
            return _none_of(_none_of())
        if name not in ("branch", "tag"):
            raise Uncertain
        try:
            self.asked |= {(name, pattern): parse(pattern, Kind.REF)} if pattern else {}
        except PatternError:
            raise Uncertain from None
        return lambda truth: truth[name, pattern]

    def _name(self, raw: str) -> str | None:
        """What a word is nothing but: branch, tag, or one that is present; None for others. Raises Uncertain."""
        found = re.fullmatch(r'("?)\$(?:(\w+)|\{(\w+)(?::?-)?\})\1', raw)
        if found is None:
            return None
        name = found[2] or found[3]
        if name not in {"CIRCLE_BRANCH", "CIRCLE_TAG"} | self.present:
            raise Uncertain
        return {"CIRCLE_BRANCH": "branch", "CIRCLE_TAG": "tag"}.get(name, name)


def _pattern(raw: str) -> str:
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
            regex += re.sub(r"([.+/])", r"\\\1", text)
    text = re.sub(r"\\(.)", r"\1", regex)
    if is_plain and text[:1] == "/":
        raise Uncertain
    return text if is_plain else f"/{regex}/"


class Part(NamedTuple):
    """Commands and when they run, and the text from `start` to `end` in which they stand."""

    condition: Condition
    items: tuple[Command, ...]
    start: int
    end: int

    def text(self, script: str) -> str:
        """The commands, their lines as they are written."""
        line = script.rfind("\n", 0, self.start) + 1
        start = self.start if script[line : self.start].strip() else line
        return re.sub(r"\A(?:[ \t]*\n)+", "", script[start : self.end].rstrip())


def divide(body: List, text: str, present: frozenset[str] = frozenset()) -> list[Part]:
    """The parts of a script: one of all that it holds where its conditions cannot be read.

    It is divided where its last statement is an `if`, a `case` or a chain of tests, also within one another, and all
    before that only prints: nothing that bash could notice is left out or moved. Variables `present` count as set.
    """
    with suppress(Uncertain):
        found = _parts(body, _none_of(), _Tests(present))
        if all(shell.parse(part.text(text))[0].items for part in found):
            return found
    return [Part(ALWAYS, body.items, 0, len(text))]


def is_quiet(item: Command) -> bool:
    """Whether a command does nothing that lasts: it prints, says what holds anyway, or ends the script as a success."""
    words = [word.raw for word in item.words]
    is_alone = item.kind == "simple" and not (item.has_more or item.heredocs or any(map(_ACTS.search, words)))
    if not is_alone or any(word.raw not in ("1", "2", "/dev/null") for word in item.redirections):
        return False
    is_setting = words[:1] == ["set"] and all(re.fullmatch(r"-[exv]*o?|pipefail", word) for word in words[1:])
    return is_setting or item.first in ("echo", "true", ":") or words == ["exit", "0"]


def _parts(body: List, test: _Test, tests: _Tests) -> list[Part]:
    """The parts of commands behind which nothing follows. Raises Uncertain where no rule says when they run."""
    last = max((number for number, item in enumerate(body.items) if item.operator == ";"), default=0)
    with suppress(Uncertain, RecursionError):
        if body.items and all(is_quiet(item) and item.first != "exit" for item in body.items[:last]):
            branches = _branches(body.items[last:], body.end, tests)
            inner = [part for holds, each in branches for part in _parts(each, _joined(test, "&&", holds), tests)]
            if inner:
                return inner
    found = Condition(*_refs(test, "branch", tests.asked), *_refs(test, "tag", tests.asked))
    if not (found.branch or found.tag):
        raise Uncertain
    return [Part(found, body.items, body.start, body.end)]


def _branches(items: tuple[Command, ...], end: int, tests: _Tests) -> Iterator[tuple[_Test, List]]:
    """The conditions of an `if`, a `case` or a chain of tests with the commands behind each; none for others."""
    node, before = items[0], list[_Test]()
    if any(item.has_more for item in items):
        return
    if len(items) == 1 and node.kind in ("if", "case") and not node.is_negated:
        for own, body in tests.arms(node):
            if not all(map(is_quiet, body.items)):
                if body.items[-1].first in ("exit", "return"):
                    raise Uncertain  # it tells of an error
                yield _joined(own, "&&", _none_of(*before)), body
            before.append(own)
        return
    rest = tuple(dropwhile(lambda item: item.first in ("[", "[[", "test"), items))
    asked = items[: len(items) - len(rest)]
    if asked and rest and all(item.operator == "&&" and not item.is_negated for item in rest):
        yield tests.of(asked), List(rest, rest[0].start, end)
