"""Reads a pattern as it stands in the rule file: a glob, a name with `*`, or a /regex/.

There is one way to write each thing. Near misses that other systems accept are refused with the form to write. Regexes
have no backtracking features, and the whole name is always meant: `^` and `$` say nothing that is not already so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NoReturn

from deploystep.core.patterns.automaton import (
    ANYTHING,
    SLASH,
    SOMETHING,
    Chars,
    Choice,
    Kind,
    Node,
    Pattern,
    Repeat,
    beginning,
    concat,
    state_count,
)
from deploystep.core.source import Problem
from deploystep.core.text import clipped, shown, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_STATES: Final = 5_000
_MOST_REPEATS: Final = 200
_DEEPEST_NESTING: Final = 50
_SEGMENT: Final = Repeat(SLASH.inverted(), 1, None)
_REST_OF_SEGMENT: Final = Repeat(SLASH.inverted(), 0, None)
_SEGMENTS_ABOVE: Final = Repeat(concat((_SEGMENT, SLASH)), 0, None)
_FORBIDDEN_IN_REFS: Final = frozenset("\x7f ~^:?*[\\") | {chr(code) for code in range(0x20)}
_QUALIFIED: Final = re.compile(r"(/?\^?)(?:refs\\?/(?:heads|tags|remotes\\?/origin)|origin)\\?/")


class PatternError(ValueError):
    """The text is no pattern of this language."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.message} — {problem.hint}" if problem.hint else problem.message)
        self.problem = problem


def parse(text: str, kind: Kind) -> Pattern:
    """Read a pattern; raises PatternError with the place of the first problem."""
    if not text or text == "//":
        _refuse("E203", "an empty pattern can never match", "", 0, len(text))
    is_a_regex = is_regex(text)
    if kind is Kind.REF and (full := _QUALIFIED.match(text, 0, len(text) - is_a_regex)):
        bare = (full[1] * is_a_regex + text[full.end() :]) or "**"
        _refuse("E206", f"write the bare name, not {shown(text)}", bare, 0, len(text))
    reader = RegexReader(text)
    node = reader.read() if is_a_regex else _name(text) if kind is Kind.NAME else concat(_glob(text, kind))
    if state_count(node) > MOST_STATES:
        code, what = "E202" if is_a_regex else "E201", f"a pattern that needs over {MOST_STATES:,} states"
        _refuse(code, what, "write a shorter one", 0, len(text))
    sole, is_all = beginning(node)
    quoted = visible(clipped(text))
    if is_all and not sole:
        _refuse("E203", f"{quoted} matches only the empty text", "write /.+/ for any text", 0, len(text))
    if is_all and len(set(reader.anchors)) == 1:
        # written as if it were searched for: with one anchor nobody means the text alone
        starts = f"write {text[:-1]}.*/ for 'starts with'"
        hint = starts if "^" in reader.anchors else f"write /.*{text[1:]} for 'ends with'"
        what = f"a regex must match the whole {kind.value}: {quoted} matches only {shown(sole)} itself"
        _refuse("E205", what, hint, 0, len(text))
    return Pattern(text, kind, node)


def is_regex(text: str) -> bool:
    """Tell whether the text stands between slashes, of which the second is not escaped."""
    if len(text) < len("//") or text[0] != "/" or text[-1] != "/":
        return False
    return (len(text) - 1 - len(text[:-1].rstrip("\\"))) % 2 == 0


def is_legal_ref(name: str) -> bool:
    """Tell whether git allows the name for a branch or a tag (`git check-ref-format --allow-onelevel`)."""
    if name == "@" or name.endswith(".") or ".." in name or "@{" in name or not _FORBIDDEN_IN_REFS.isdisjoint(name):
        return False
    # without any part, or with an empty one, there is no name: it is empty, or a slash stands wrongly
    return all(part and not part.startswith(".") and not part.endswith(".lock") for part in name.split("/"))


def _name(text: str) -> Node:
    if not text.strip("*"):
        return SOMETHING
    return concat(ANYTHING if character == "*" else Chars.one(character) for character in text)


# --- globs

_GLOB_PART: Final = re.compile(
    r"(?P<above>(?<![^/])\*\*/)|(?P<below>(?<![^/])\*\*\Z)|(?P<stars>\*\*+)|(?P<segment>(?<![^/])\*(?![^/]))"
    r"|(?P<star>\*)|\\(?P<escaped>[*?[\]{}\\!])|(?P<escape>\\.?)|(?P<wildcard>[?[\]{}])|(?P<plain>.)",
    re.DOTALL,
)
_WILDCARDS: Final = {"above": _SEGMENTS_ABOVE, "below": SOMETHING, "segment": _SEGMENT, "star": _REST_OF_SEGMENT}


def _glob(text: str, kind: Kind) -> Iterator[Node]:
    _check_slashes(text, kind)
    for found in _GLOB_PART.finditer(text):
        part, whole, start, end = found.lastgroup or "", found[0], found.start(), found.end()
        if part in _WILDCARDS:
            yield _WILDCARDS[part]
        elif part in ("plain", "escaped"):
            yield Chars.one(found[part])
        elif part == "stars":
            before = "" if text[:start].endswith("/") or not start else "*/"
            after = "" if text[end:].startswith("/") or end == len(text) else "/*"
            hint = f"write {text[:start]}{before}**{after}{text[end:]} for any depth"
            _refuse_glob(text, "** must stand alone between slashes", hint, start, 2)
        elif part == "wildcard":
            hint = f"write \\{whole} for the character itself, or use a /regex/"
            _refuse_glob(text, f"'{whole}' is not a wildcard here", hint, start)
        else:
            hint = f"write {text[:start]}{text[start + 1 :]}, or /{text}/ for a regex"
            _refuse_glob(text, f"{visible(whole)} is not an escape", hint, start, len(whole))


def _check_slashes(text: str, kind: Kind) -> None:
    """Refuse what begins or ends in a way that no name does, with the way in which git writes it."""
    parts = [part for part in text.split("/") if part not in ("", ".")]
    tidied = "/".join([*parts, "**"] if text.endswith("/") and parts[-1:] != ["**"] else parts) or "**"
    if text.startswith("!"):
        hint = "name what to leave out under unless: or ignore:, or write \\! for the character itself"
        _refuse_glob(text, "patterns are not negated with !", hint, 0)
    if text.startswith("./"):
        start = "paths start at the repository root" if kind is Kind.PATH else "names are written in full"
        _refuse("E201", f"{start}, without './'", f"write {tidied}", 0, 2)
    if text.startswith("/"):
        hint = f"write {tidied}, or put a / at both ends of a regex"
        _refuse_glob(text, "pattern starts with '/'", hint, 0)
    if "//" in text:
        _refuse_glob(text, "'//' is never part of a name", f"write {tidied}", text.index("//"), 2)
    if text.endswith("/"):
        _refuse_glob(text, "pattern ends with '/'", f"write {tidied}", len(text) - 1)
    if kind is Kind.PATH and (dots := re.search(r"(?<![^/])\.\.?(?![^/])", text)):
        hint = "write the path from the repository root"
        _refuse_glob(text, f"'{dots[0]}' names no folder of a changed path", hint, dots.start(), len(dots[0]))


def _refuse_glob(text: str, what: str, hint: str, offset: int, width: int = 1) -> NoReturn:
    _refuse("E201", f"{what} in {shown(text)}", hint, offset, width)


def _refuse(code: str, message: str, hint: str, offset: int, width: int) -> NoReturn:
    raise PatternError(Problem(code, message, hint, offset, width))


# --- regexes

_ALNUM: Final = [(ord("0"), ord("9")), (ord("A"), ord("Z")), (ord("a"), ord("z"))]
_SETS: Final = {"d": Chars.of(_ALNUM[:1]), "s": Chars.of([(9, 13), (32, 32)]), "w": Chars.of([*_ALNUM, (95, 95)])}
_ESCAPED_SETS: Final = {
    **_SETS,
    **{letter.upper(): chars.inverted() for letter, chars in _SETS.items()},
    **{letter: Chars.one(character) for letter, character in zip("tnrfv", "\t\n\r\f\v", strict=True)},
}
_CODE_POINT: Final = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})")
_COUNT: Final = re.compile(r"(?:([*+?])|\{([0-9]+)(?:(,)([0-9]*))?\})\??")  # a lazy one finds another match first
_MISPLACED: Final = {
    **{sign: f"nothing to repeat before {sign}" for sign in "*+?"},
    "{": "a { that is no repeat count",
    "^": "^ is only allowed at the start",
    "$": "$ is only allowed at the end",
    ")": "unmatched )",
}
#: Constructs of other engines: how they begin, as a regex; what they are called; and what to write instead.
_REFUSED: Final = (
    (r"\(\?!", "lookahead", "name what to leave out under unless:"),
    (r"\(\?<!", "lookbehind", "name what to leave out under unless:"),
    (r"\(\?<?=", "lookaround", "write what it looks at as part of the regex"),
    (r"\(\?(?:P?<|')", "a named group", "write ( without a name"),
    (r"\(\?[A-Za-z-]", "an inline flag", "write both cases, for example [Mm]ain"),
    (r"\([?*].?", "this kind of group", r"write ( or (?: for a group, or \( for the character itself"),
    (r"\\[1-9kg]", "a backreference", "write out each case, with | between them"),
    (r"\\[bBAZzG]", "an anchor", "leave it out: a regex always means the whole name"),
    (r"\\[pP]", "a Unicode property", "write a class such as [A-Za-z0-9]"),
    (r"\\.", "this escape", "write the character itself, with a backslash before it if it is special"),
)


class RegexReader:
    """A cursor over the text between the slashes; `anchors` are the redundant `^` and `$` that were read."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._end = text, 1, len(text) - 1
        self._depth = 0
        self._dollars: list[int] = []
        self.anchors: list[str] = []

    def read(self) -> Node:
        """Read it all; raises PatternError with offsets into the text, slashes included."""
        node = self._choice(at_start=True)
        if self._at < self._end:
            self._refuse_misplaced()
        return node

    def _choice(self, *, at_start: bool) -> Node:
        parts = [self._row(at_start=at_start)]
        while self._take("|"):
            parts.append(self._row(at_start=at_start))
        return Choice(tuple(parts)) if parts[1:] else parts[0]

    def _row(self, *, at_start: bool) -> Node:
        parts, ended = list[Node](), len(self._dollars)
        while self._at < self._end and (character := self._text[self._at]) not in "|)":
            if character == "$" or (character == "^" and at_start and not parts):
                self._dollars += [self._at] if character == "$" else []
                self.anchors.append(character)
                self._at += 1
                continue
            if len(self._dollars) > ended:
                self._at = self._dollars[ended]
                self._refuse_misplaced()
            start, before = self._at, len(self.anchors)
            part = self._atom(at_start=at_start and not parts)
            if len(self.anchors) > before and _COUNT.match(self._text, self._at, self._end):
                self._refuse("^ and $ cannot be repeated", "leave out ^, $ or the repeat", start)
            parts.append(self._repeated(part))
        return concat(parts)

    def _atom(self, *, at_start: bool) -> Node:
        character = self._text[self._at]
        if character == "(":
            return self._group(at_start=at_start)
        if character == "[":
            return self._class()
        if character == "\\":
            return self._escape()
        if character in _MISPLACED:
            self._refuse_misplaced()
        self._at += 1
        return Chars.one("\n").inverted() if character == "." else Chars.one(character)

    def _group(self, *, at_start: bool) -> Node:
        start = self._at
        self._depth += 1
        if self._depth > _DEEPEST_NESTING:
            self._refuse(f"more than {_DEEPEST_NESTING} nested groups", "write several patterns", start)
        if not self._take("(?:"):
            if self._comes("(?") or self._comes("(*"):
                self._refuse_other()
            self._at += 1
        node = self._choice(at_start=at_start)
        if not self._take(")"):
            self._refuse("missing )", "", start)
        self._depth -= 1
        return node

    def _repeated(self, part: Node) -> Node:
        """Read how often the part may come, where that is said."""
        count = _COUNT.match(self._text, self._at, self._end)
        if count is None:
            return part
        sign, least, comma, most = count.groups()
        # of thousands of digits, which int() refuses, enough are read to know that it is too many
        low, top = (int((digits or "").lstrip("0")[:4] or "0") for digits in (least, most))
        high = {"?": 1, "*": None, "+": None}[sign] if sign else low if not comma else top if most else None
        low = int(sign == "+") if sign else low
        if not low <= (low if high is None else high) <= _MOST_REPEATS:
            what, hint = f"a repeat count over {_MOST_REPEATS}, or down to less", "write + or *, or the lower one first"
            self._refuse(what, hint, self._at, len(count[0]))
        self._at = count.end()
        if self._comes("+"):
            hint, width = f"write {count[0]} alone", len(count[0]) + 1
            self._refuse("a possessive repeat is not supported", hint, count.start(), width)
        return Repeat(part, low, high)

    def _class(self) -> Chars:
        start = self._at
        self._at += 1
        negated = self._take("^")
        ranges: list[tuple[int, int]] = []
        while not ranges or not self._take("]"):  # a ] that comes first is an ordinary character
            item = self._at
            low = self._class_member(start)
            if self._comes("-") and not self._comes("-]"):
                self._at += 1
                first, last = low.sole(), self._class_member(start).sole()
                if first is None or last is None or first > last:
                    what = "a range without one character at each end, the lower one first"
                    self._refuse(what, r"write \- for the character itself", item, self._at - item)
                low = Chars(((ord(first), ord(last)),))
            ranges += low.ranges
        chars = Chars.of(ranges).inverted() if negated else Chars.of(ranges)
        if not chars.ranges:
            self._refuse("a class without characters", "leave it out", start, self._at - start)
        return chars

    def _class_member(self, opened: int) -> Chars:
        if self._at >= self._end:
            self._refuse("missing ]", r"write \[ for the character itself", opened)
        for opening in ("[", "&&"):  # other engines disagree: characters, a class in a class, or an intersection
            if self._comes(opening):
                hint = rf"write \{opening} for the character itself"
                self._refuse(f"a {opening} inside [ ]", hint, self._at, len(opening))
        if self._comes("\\"):
            return self._escape()
        self._at += 1
        return Chars.one(self._text[self._at - 1])

    def _escape(self) -> Chars:
        character = self._text[self._at + 1]
        special = _ESCAPED_SETS.get(character)
        if special is not None or not (character.isascii() and character.isalnum()):
            self._at += 2
            return special or Chars.one(character)
        code_point = _CODE_POINT.match(self._text, self._at + 1, self._end)
        if code_point is None:  # each other letter or digit may come to mean something, as it does in other engines
            self._refuse_other()
        self._at = code_point.end()
        return Chars.one(chr(int(code_point[1] or code_point[2], 16)))

    def _comes(self, text: str) -> bool:
        return self._text.startswith(text, self._at, self._end)

    def _take(self, text: str) -> bool:
        comes = self._comes(text)
        self._at += len(text) * comes
        return comes

    def _refuse_misplaced(self) -> NoReturn:
        character = self._text[self._at]
        or_any = f", or .{character} for any text" if character in "*+?" else ""
        self._refuse(_MISPLACED[character], rf"write \{character} for the character itself{or_any}", self._at)

    def _refuse_other(self) -> NoReturn:
        here = ((re.compile(row[0]).match(self._text, self._at, self._end), row) for row in _REFUSED)
        found, (_, name, hint) = next((found, row) for found, row in here if found)
        self._refuse(f"{name} is not supported", hint, self._at, len(found[0]))

    def _refuse(self, what: str, hint: str, offset: int, width: int = 1) -> NoReturn:
        raise PatternError(Problem("E202", f"{what} in {shown(self._text)}", hint, offset, width))
