"""Reads the regexes of the rule file: no backtracking features, and the whole name is always meant.

`^` and `$` say nothing that is not already so: they are accepted where they are true and leave no trace.
"""

from __future__ import annotations

import re
from typing import Final, NoReturn

from deploystep.core.patterns.nodes import EMPTY, Chars, Choice, Node, PatternError, Repeat, concat
from deploystep.core.source import Problem
from deploystep.core.text import shown

_MOST_REPEATS: Final = 200
_DEEPEST_NESTING: Final = 50

_DIGIT: Final = Chars.of([(ord("0"), ord("9"))])
_SPACE: Final = Chars.of([(9, 13), (32, 32)])
_WORD: Final = Chars.of([(ord("0"), ord("9")), (ord("A"), ord("Z")), (ord("_"), ord("_")), (ord("a"), ord("z"))])
_NOT_NEWLINE: Final = Chars.one("\n").inverted()
_ESCAPED_SETS: Final = {
    "d": _DIGIT,
    "D": _DIGIT.inverted(),
    "s": _SPACE,
    "S": _SPACE.inverted(),
    "w": _WORD,
    "W": _WORD.inverted(),
    **{letter: Chars.one(character) for letter, character in zip("tnrfv", "\t\n\r\f\v", strict=True)},
}
_CODE_POINT: Final = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})")
_COUNT: Final = re.compile(r"\{([0-9]+)(?:(,)([0-9]*))?\}")

_SPELL_OUT: Final = "write out each case, with | between them"
_CHARACTER_CLASS: Final = "write a class such as [A-Za-z0-9]"
#: Constructs of other engines: how they begin, as a regex; what they are called; and what to write instead.
_REFUSED: Final = (
    (r"\(\?=", "lookahead", "write what follows as part of the regex"),
    (r"\(\?!", "lookahead", "name what to leave out under unless:"),
    (r"\(\?<=", "lookbehind", "write what comes before as part of the regex"),
    (r"\(\?<!", "lookbehind", "name what to leave out under unless:"),
    (r"\(\?(?:P?<|')", "a named group", "write ( without a name"),
    (r"\(\?P=|\\[1-9kg]", "a backreference", _SPELL_OUT),
    (r"\(\?P>", "a recursive group", _SPELL_OUT),
    (r"\(\?>", "an atomic group", "write (?: instead"),
    (r"\(\?\|", "a branch reset group", "write (?: instead"),
    (r"\(\?#", "a comment", "write it as a YAML comment"),
    (r"\(\?\(", "a condition", _SPELL_OUT),
    (r"\(\?", "an inline flag", "write both cases, for example [Mm]ain"),
    (r"\(\*", "a control verb", r"write (\* for the character itself"),
    (r"\\[bB]", "a word boundary", "write the characters that may stand there"),
    (r"\\[pP]", "a Unicode property", _CHARACTER_CLASS),
    (r"\\[QE]", r"quoting with \Q and \E", "write a backslash before each special character"),
    *((rf"\\{letter}", rf"\{letter}", "leave it out: a regex always means the whole name") for letter in "AZzG"),
)


class RegexReader:
    """A cursor over the text between the slashes; what it reads wrote the redundant `carets` and `dollars`."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 1
        self._end = len(text) - 1
        self._depth = 0
        self.carets: list[int] = []
        self.dollars: list[int] = []

    def read(self) -> Node:
        """Read it all; raises PatternError with offsets into the text, slashes included."""
        node = self._choice(at_start=True)
        if self._at < self._end:
            self._refuse("unmatched )", r"write \) for the character itself", self._at)
        return node

    def _choice(self, *, at_start: bool) -> Node:
        parts = [self._row(at_start=at_start)]
        while self._take("|"):
            parts.append(self._row(at_start=at_start))
        return Choice(tuple(parts)) if parts[1:] else parts[0]

    def _row(self, *, at_start: bool) -> Node:
        parts: list[Node] = []
        dollars_before = len(self.dollars)
        while self._at < self._end and self._text[self._at] not in "|)":
            ended = self.dollars[dollars_before:]
            part = self._piece(at_start=at_start)
            if part != EMPTY:
                if ended:
                    self._refuse("$ is only allowed at the end", r"write \$ for the character itself", ended[0])
                at_start = False
            parts.append(part)
        return concat(parts)

    def _piece(self, *, at_start: bool) -> Node:
        start, anchors_before = self._at, len(self.carets) + len(self.dollars)
        atom = self._atom(at_start=at_start)
        counted = self._at
        bounds = self._bounds()
        if bounds is None:
            return atom
        has_anchor = len(self.carets) + len(self.dollars) > anchors_before
        if has_anchor and (atom == EMPTY or bounds[1] != 1):
            self._refuse("^ and $ cannot be repeated", "leave out ^, $ or the repeat", start)
        self._end_of_repeat(counted)
        return EMPTY if atom == EMPTY else Repeat(atom, *bounds)

    def _atom(self, *, at_start: bool) -> Node:
        character = self._text[self._at]
        if character == "(":
            return self._group(at_start=at_start)
        if character == "[":
            return self._class()
        if character == "\\":
            return self._escape()
        if character in "*+?":
            hint = rf"write .{character} for any text, or \{character} for the character itself"
            self._refuse(f"nothing to repeat before {character}", hint, self._at)
        if character == "{":
            self._refuse("a { that is no repeat count", r"write \{ for the character itself", self._at)
        if character == "^" and not at_start:
            self._refuse("^ is only allowed at the start", r"write \^ for the character itself", self._at)
        self._at += 1
        if character in "^$":
            (self.carets if character == "^" else self.dollars).append(self._at - 1)
            return EMPTY
        return _NOT_NEWLINE if character == "." else Chars.one(character)

    def _group(self, *, at_start: bool) -> Node:
        start = self._at
        self._depth += 1
        if self._depth > _DEEPEST_NESTING:
            self._refuse(f"more than {_DEEPEST_NESTING} nested groups", "write several patterns", start)
        if not self._take("(?:"):
            self._refuse_others()
            self._at += 1
        node = self._choice(at_start=at_start)
        if not self._take(")"):
            self._refuse("missing )", "", start)
        self._depth -= 1
        return node

    def _bounds(self) -> tuple[int, int | None] | None:
        """Read how often the atom before may come: at least, and at most if there is a limit."""
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(sign):
                return bounds
        count = _COUNT.match(self._text, self._at, self._end)
        if count is None:
            return None
        # of thousands of digits, which int() refuses, enough are read to know that it is too many
        low, most = (int((digits or "").lstrip("0")[:4] or "0") for digits in (count[1], count[3]))
        high = low if count[2] is None else most if count[3] else None
        if max(low, most) > _MOST_REPEATS:
            hint = "write + for one or more, or * for any number"
            self._refuse(f"a repeat count over {_MOST_REPEATS}", hint, self._at, len(count[0]))
        if high is not None and high < low:
            what, hint = f"a repeat count from {low} down to {high}", f"write {{{high},{low}}}"
            self._refuse(what, hint, self._at, len(count[0]))
        self._at = count.end()
        return (low, high)

    def _end_of_repeat(self, start: int) -> None:
        """Pass over the `?` of a lazy form: which match is found first means nothing when all of it must match."""
        lazy = self._take("?")
        if self._comes("+") and not lazy:
            possessive = self._text[start : self._at]
            width = self._at + 1 - start
            self._refuse("a possessive repeat is not supported", f"write {possessive} alone", start, width)
        if any(map(self._comes, "*+?")) or _COUNT.match(self._text, self._at, self._end):
            self._refuse("a repeat of a repeat", "put the inner one in ( )", self._at)

    def _class(self) -> Chars:
        start = self._at
        self._at += 1
        negated = self._take("^")
        ranges = list(self._class_item(start))  # a ] that comes first is an ordinary character
        while not self._take("]"):
            ranges.extend(self._class_item(start))
        chars = Chars.of(ranges).inverted() if negated else Chars.of(ranges)
        if not chars.ranges:
            self._refuse("a class without characters", "leave it out", start, self._at - start)
        return chars

    def _class_item(self, opened: int) -> tuple[tuple[int, int], ...]:
        start = self._at
        low = self._class_member(opened)
        if not self._comes("-") or self._comes("-]"):
            return low.ranges
        self._at += 1
        high = self._class_member(opened)
        first, last = low.sole(), high.sole()
        if first is None or last is None:
            hint = r"write \- for the character itself"
            self._refuse("a range without one character at each end", hint, start, self._at - start)
        if first > last:
            self._refuse("a range that runs backwards", f"write {last}-{first}", start, self._at - start)
        return ((ord(first), ord(last)),)

    def _class_member(self, opened: int) -> Chars:
        if self._at >= self._end:
            self._refuse("missing ]", r"write \[ for the character itself", opened)
        if any(self._comes(opening) for opening in ("[:", "[=", "[.")):
            self._refuse("a POSIX class is not supported", _CHARACTER_CLASS, self._at, 2)
        if self._comes("["):  # other engines disagree: a character, or a class within a class
            self._refuse("a [ inside [ ]", r"write \[ for the character itself", self._at)
        if self._comes("&&"):
            self._refuse("an intersection inside [ ] is not supported", "write the remaining characters", self._at, 2)
        character = self._text[self._at]
        if character == "\\":
            return self._escape()
        self._at += 1
        return Chars.one(character)

    def _escape(self) -> Chars:
        character = self._text[self._at + 1]
        special = _ESCAPED_SETS.get(character)
        if special is not None or not (character.isascii() and character.isalnum()):
            self._at += 2
            return special or Chars.one(character)
        code_point = _CODE_POINT.match(self._text, self._at + 1, self._end)
        if code_point is None:  # each other letter or digit may come to mean something, as it does in other engines
            self._refuse_others()
            self._refuse(f"unknown escape \\{character}", f"write {character} for the character itself", self._at, 2)
        self._at = code_point.end()
        return Chars.one(chr(int(code_point[1] or code_point[2], 16)))

    def _comes(self, text: str) -> bool:
        return self._text.startswith(text, self._at, self._end)

    def _take(self, text: str) -> bool:
        comes = self._comes(text)
        self._at += len(text) * comes
        return comes

    def _refuse_others(self) -> None:
        for opening, name, hint in _REFUSED:
            if found := re.compile(opening).match(self._text, self._at, self._end):
                self._refuse(f"{name} is not supported", hint, self._at, len(found[0]))

    def _refuse(self, what: str, hint: str, offset: int, width: int = 1) -> NoReturn:
        raise PatternError(Problem("E202", f"{what} in {shown(self._text)}", hint, offset, width))
