"""Patterns of branches, tags, changed paths and other names: globs, names with `*`, or a /regex/ of the whole name."""

import re
from collections.abc import Iterator
from sys import maxunicode
from typing import Final, NoReturn

from deploystep.core.patterns.automaton import Chars, Kind, Node, Pattern, PatternSet, Repeat, Rows, sample
from deploystep.core.source import Problem, clipped, shown, visible

__all__ = ["Kind", "Pattern", "PatternError", "PatternSet", "Problem", "is_legal_ref", "parse"]

MOST_STATES: Final = 5_000
_MOST_REPEATS: Final = 200
_DEEPEST_NESTING: Final = 50


class PatternError(ValueError):
    """The text is no pattern of this language."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.message} — {problem.hint}" if problem.hint else problem.message)
        self.problem = problem


def parse(text: str, kind: Kind) -> Pattern:
    """Read a pattern; raises PatternError with the place of a problem."""
    if not text or text == "//":
        _refuse("E203", "an empty pattern can never match", "", 0, len(text))
    is_a_regex = text[0] == "/" and re.fullmatch(r"/(?:[^\\]|\\.)*/", text, re.DOTALL) is not None
    anchors = set[str]()
    qualified = r"(/?\^?)(?:refs\\?/(?:heads|tags|remotes\\?/origin)|origin)\\?/"
    if kind is Kind.REF and "/" in text and (full := re.match(qualified, text[: len(text) - is_a_regex])):
        bare = (full[1] * is_a_regex + text[full.end() :]) or "**"
        _refuse("E206", f"write the bare name, not {shown(text)}", bare, 0, len(text))
    if is_a_regex:
        reader = RegexReader(text)
        node, anchors = reader.read(), {text[at] for at in reader.anchors}
    elif kind is Kind.NAME:
        parts = [ANYTHING if c == "*" else Chars.one(c) for c in text] if text.strip("*") else [_SOMETHING]
        node = Rows((tuple(parts),))
    else:
        node = Rows((tuple(_glob(text, kind)),))
    if state_count(node) > MOST_STATES:
        code, what = "E202" if is_a_regex else "E201", f"a pattern that needs over {MOST_STATES:,} states"
        _refuse(code, what, "write a shorter one", 0, len(text))
    sole, sure = sample(node)
    quoted = visible(clipped(text))
    if not sole:
        _refuse("E203", f"{quoted} matches only the empty text", "write /.+/ for any text", 0, len(text))
    if sure == len(sole) and len(anchors) == 1:
        # written as if it were searched for: with one anchor nobody means the text alone
        hint = f"{text[:-1]}.*/ for 'starts with'" if "^" in anchors else f"/.*{text[1:]} for 'ends with'"
        what = f"a regex must match the whole {kind.value}: {quoted} matches only {shown(sole)} itself"
        _refuse("E205", what, f"write {hint}", 0, len(text))
    return Pattern(text, kind, node)


def is_legal_ref(name: str) -> bool:
    """Tell whether git allows the name for a branch or a tag (`git check-ref-format --allow-onelevel`)."""
    illegal = r"\A@?\Z|[\x00-\x20\x7f~^:?*[\\]|\.\.|@\{|(?:\A|/)(?=[./]|\Z)|\.\Z|\.lock(?=/|\Z)"
    return re.search(illegal, name) is None


def state_count(node: Node) -> int:
    """Tell how many automaton states the node needs, without building them: a repeat may ask for billions."""
    if isinstance(node, Chars):
        return 1
    if isinstance(node, Repeat):
        return 1 + (node.low + 1 if node.high is None else node.high) * state_count(node.part)
    return 1 + sum(state_count(part) for row in node.rows for part in row)


def _refuse(code: str, message: str, hint: str, offset: int, width: int) -> NoReturn:
    raise PatternError(Problem(code, message, hint, offset, width))


ANYTHING: Final = Repeat(Chars(((0, maxunicode),)), 0, None)
_SOMETHING: Final = Repeat(ANYTHING.part, 1, None)
_SLASH: Final = Chars.one("/")
_SEGMENT: Final = Repeat(_SLASH.inverted(), 1, None)
_REST_OF_SEGMENT: Final = Repeat(_SEGMENT.part, 0, None)
_SEGMENTS_ABOVE: Final = Repeat(Rows(((_SEGMENT, _SLASH),)), 0, None)
#: Near misses that other systems accept, as a regex; what is wrong with each; and the one way to write it.
_GLOB_FAULTS: Final = (
    (r"\A!", "patterns are not negated with ! in {text}",
     "name what to leave out under unless: or ignore:, or write \\! for the character itself"),
    (r"\A\./", "{start}, without './'", "write {tidied}"),
    (r"(?<![^/])\.\.?(?![^/])", "'{found}' is never part of a name in {text}", "write paths from the repository root"),
    (r"\A/", "pattern starts with '/' in {text}", "write {tidied}, or put a / at both ends of a regex"),
    (r"//", "'//' is never part of a name in {text}", "write {tidied}"),
    (r"/\Z", "pattern ends with '/' in {text}", "write {tidied}"),
    (r"\*{3,}|(?<=[^/])\*\*|\*\*(?=[^/])", "** must stand alone between slashes in {text}",
     "write {before}**{after} for any depth"),
    (r"[?[\]{}]", "'{found}' is not a wildcard here in {text}",
     "write \\{found} for the character itself, or use a /regex/"),
    (r"\\.?", "{found} is not an escape in {text}", "write {without}, or /{whole}/ for a regex"),
)  # fmt: skip


def _glob(text: str, kind: Kind) -> Iterator[Node]:
    if re.search(r"[?[\]{}\\]|\A[/!]|//|/\Z|[^/]\*\*|\*\*[^/]|(?:\A|/)\.\.?(?:/|\Z)", text):
        _check_glob(text, kind)
    *above, last = text.split("/")
    for folder in (*above, last):
        if folder in ("*", "**"):
            yield _SEGMENT if folder == "*" else _SEGMENTS_ABOVE if above else _SOMETHING
        else:
            for written in re.findall(r"\\?.", folder, re.DOTALL) if "\\" in folder else folder:
                yield _REST_OF_SEGMENT if written == "*" else Chars.one(written[-1])
        if above and folder != "**":
            yield _SLASH
        above = above[1:]


def _check_glob(text: str, kind: Kind) -> None:
    masked = re.sub(r"\\[*?[\]{}\\!]", "xx", text)  # an escaped character is an ordinary one
    parts = [part for part in text.replace("\\/", "/").split("/") if part not in ("", ".")]
    tidied = "/".join([*parts, "**"] if text.endswith("/") and parts[-1:] != ["**"] else parts) or "**"
    start = "paths start at the repository root" if kind is Kind.PATH else "names are written in full"
    for regex, what, hint in _GLOB_FAULTS:
        if (fault := re.search(regex, masked, re.DOTALL)) is None:
            continue
        before, found, after = text[: fault.start()], visible(text[fault.start() : fault.end()]), text[fault.end() :]
        words = {"text": shown(text), "whole": text, "found": found, "tidied": tidied, "start": start}
        words |= {"without": before + text[fault.start() + 1 :], "before": before, "after": after}
        words["before"] += "" if before.endswith("/") or not before else "*/"
        words["after"] = ("" if after.startswith("/") or not after else "/*") + after
        _refuse("E201", what.format(**words), hint.format(**words), fault.start(), len(fault[0]))


_ANY: Final = Chars.one("\n").inverted()
_ALNUM: Final = [(ord("0"), ord("9")), (ord("A"), ord("Z")), (ord("a"), ord("z"))]
_SETS: Final = {r"\d": Chars.of(_ALNUM[:1]), r"\s": Chars.of([(9, 13), (32, 32)]), r"\w": Chars.of([*_ALNUM, (95, 95)])}
_ESCAPED: Final = {
    **_SETS,
    **{letter.upper(): chars.inverted() for letter, chars in _SETS.items()},
    **{rf"\{letter}": Chars.one(character) for letter, character in zip("tnrfv", "\t\n\r\f\v", strict=True)},
}
#: Each other letter or digit may come to mean something, as it does in other engines.
_ESCAPE: Final = r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|[dDsSwWtnrfv]|[^0-9A-Za-z])"
_TOKEN: Final = (
    r"(?P<group>\((?:\?:|(?![?*])))|(?P<count>(?:[*+?]|\{(?P<low>[0-9]{1,4})(?P<up>,(?P<top>[0-9]{1,4})?)?\})\??)"
    rf"|(?P<set>\[(?:\^|(?!\^))(?:\\.|[^\\])(?:\\.|[^\]\\])*\])|(?P<one>{_ESCAPE}|[^()|*+?{{[^$\\])|(?P<sign>.)"
)
_MEMBER: Final = rf"(?P<nested>\[|&&)|(?P<first>{_ESCAPE}|[^\\])(?:-(?P<last>{_ESCAPE}|[^\\[]))?"
#: What is refused, as a regex; what it is called; and what to write instead.
_REFUSED: Final = (
    (r"\(\?!", "lookahead is not supported", "name what to leave out under unless:"),
    (r"\(\?(?:<!|<?=)", "lookaround is not supported", "name what to leave out under unless:"),
    (r"\(\?(?:P?<|')", "a named group is not supported", "write ( without a name"),
    (r"\(\?[A-Za-z-]", "an inline flag is not supported", "write both cases, for example [Mm]ain"),
    (r"\([?*].?", "this kind of group is not supported", "write ( or (?: for a group"),
    (r"\\[1-9kg]", "a backreference is not supported", "write out each case, with | between them"),
    (r"\\[bBAZzG]", "an anchor is not supported", "leave it out: a regex always means the whole name"),
    (r"\\.", "this escape is not supported", "write the character itself"),
    (r"\^", "^ is only allowed at the start", r"write \^ for the character itself"),
    (r"\)", "unmatched )", r"write \) for the character itself"),
    (r"\[", "missing ]", r"write \[ for the character itself"),
    (r"\{", "a { that is no repeat count", r"write \{ for the character itself"),
)
_END: Final = Rows(((),))  # stands in a row behind $, and matches the empty text


class RegexReader:
    """Reads what is between the slashes; `anchors` are the places of the `^` and `$`, which say nothing new."""

    def __init__(self, text: str) -> None:
        self._text, self._end = text, len(text) - 1
        self._groups: list[tuple[int, list[list[Node]]]] = [(0, [[]])]  # where each open one starts, and its rows
        self._may_repeat = False
        self.anchors: list[int] = []

    def read(self) -> Node:
        """Read it all; raises PatternError with offsets into the text, slashes included."""
        escapes = re.compile(rf"(?:[^\\]|{_ESCAPE})*", re.DOTALL).match(self._text, 1, self._end)
        if escapes and escapes.end() < self._end:
            self._refuse_here(escapes.end())
        for token in re.compile(_TOKEN, re.DOTALL).finditer(self._text, 1, self._end):
            kind, written, at = token.lastgroup, token[0], token.start()
            if kind == "group":
                self._groups.append((at, [[]]))
                self._may_repeat = False
                if len(self._groups) > _DEEPEST_NESTING + 1:
                    self._refuse(f"more than {_DEEPEST_NESTING} nested groups", "write several patterns", at)
            elif kind == "count":
                self._repeat(token)
            elif kind == "sign":
                self._sign(written, at)
            else:
                node = self._set(token) if kind == "set" else _ANY if written == "." else _one(written)
                self._add(node, at)
        start, rows = self._groups.pop()
        if self._groups:
            self._refuse("missing )", "", start)
        return Rows(tuple(map(tuple, rows)))

    def _add(self, node: Node, at: int) -> None:
        row = self._groups[-1][1][-1]
        if row and row[-1] is _END:
            self._refuse("$ is only allowed at the end", r"write \$ for the character itself", at)
        row.append(node)
        self._may_repeat = True

    def _sign(self, sign: str, at: int) -> None:
        start, rows = self._groups[-1]
        self._may_repeat = False
        if sign == "|":
            rows.append([])
        elif sign == ")" and len(self._groups) > 1:
            self._groups.pop()
            self._add(Rows(tuple(map(tuple, rows))), start)
            self._may_repeat = not (self.anchors and self.anchors[-1] > start)
            if any(row and row[-1] is _END for row in rows):
                self._groups[-1][1][-1].append(_END)
        elif sign == "$" or (sign == "^" and not any(rows[-1] for _, rows in self._groups)):
            self.anchors.append(at)
            rows[-1] += [_END] if sign == "$" else []
        else:
            self._refuse_here(at)

    def _repeat(self, count: re.Match[str]) -> None:
        """Repeat what was read last; a lazy repeat matches the same names."""
        written, sign = count[0], count[0][0]
        if not self._may_repeat:
            or_any = "" if sign == "{" else f", or .{sign} for any text"
            hint = rf"write \{sign} for the character itself{or_any}"
            self._refuse(f"nothing to repeat before {written}", hint, count.start(), len(written))
        low, top = int(count["low"] or sign == "+"), count["top"]
        high = None if sign in "*+" or (count["up"] and not top) else int(top or (sign == "?") or low)
        if not low <= (low if high is None else high) <= _MOST_REPEATS:
            what, hint = f"a repeat count over {_MOST_REPEATS}, or down to less", "write + or *, or the lower one first"
            self._refuse(what, hint, count.start(), len(written))
        row = self._groups[-1][1][-1]
        row.append(Repeat(row.pop(), low, high))
        self._may_repeat = False

    def _set(self, token: re.Match[str]) -> Chars:
        is_negated, (start, end) = token[0][1] == "^", token.span()
        ranges: list[tuple[int, int]] = []
        for member in re.compile(_MEMBER, re.DOTALL).finditer(self._text, start + 1 + is_negated, end - 1):
            if member["nested"]:  # other engines disagree: characters, a class in a class, or an intersection
                hint = rf"write \{member[0]} for the character itself"
                self._refuse(f"a {member[0]} inside [ ]", hint, member.start(), len(member[0]))
            some = _one(member["first"]).ranges
            if member["last"]:
                some += _one(member["last"]).ranges
                if some[0] > some[-1] or any(low != high for low, high in some):
                    what = "a range without one character at each end, the lower one first"
                    self._refuse(what, r"write \- for the character itself", member.start(), len(member[0]))
                some = ((some[0][0], some[-1][0]),)
            ranges += some
        chars = Chars.of(ranges).inverted() if is_negated else Chars.of(ranges)
        if not chars.ranges:
            self._refuse("a class without characters", "leave it out", start, end - start)
        return chars

    def _refuse_here(self, at: int) -> None:
        for regex, what, hint in _REFUSED:
            if found := re.compile(regex).match(self._text, at, self._end):
                self._refuse(what, hint, at, len(found[0]))

    def _refuse(self, what: str, hint: str, offset: int, width: int = 1) -> NoReturn:
        _refuse("E202", f"{what} in {shown(self._text)}", hint, offset, width)


def _one(text: str) -> Chars:
    return _ESCAPED.get(text) or Chars.one(chr(int(text[2:], 16)) if text[2:] else text[-1])  # noqa: FURB166 - \x41
