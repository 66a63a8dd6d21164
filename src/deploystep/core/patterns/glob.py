"""Reads a pattern as it stands in the rule file: a glob, a name with `*`, or a /regex/.

There is one way to write each thing. Near misses that other systems accept are refused with the form to write.
"""

from __future__ import annotations

import re
from typing import Final, NoReturn

from deploystep.core.patterns.automaton import Pattern
from deploystep.core.patterns.nodes import (
    ANYTHING,
    NOT_SLASH,
    SLASH,
    SOMETHING,
    Chars,
    Kind,
    Node,
    PatternError,
    Repeat,
    beginning,
    concat,
    state_count,
)
from deploystep.core.patterns.regex import RegexReader
from deploystep.core.source import Problem
from deploystep.core.text import clipped, shown, visible

MOST_STATES: Final = 5_000

_SEGMENT: Final = Repeat(NOT_SLASH, 1, None)
_REST_OF_SEGMENT: Final = Repeat(NOT_SLASH, 0, None)
_SEGMENTS_ABOVE: Final = Repeat(concat((_SEGMENT, SLASH)), 0, None)
_ESCAPABLE: Final = "*?[]{}\\!"
_NO_WILDCARD: Final = "?[]{}"
_REGEX_ESCAPES: Final = "dDsSwW"
_QUALIFIED_NAME: Final = re.compile(r"(?:refs/(?:heads|tags|remotes/origin)|origin)/")
_QUALIFIED_REGEX: Final = re.compile(r"/(\^?)(?:refs\\?/(?:heads|tags|remotes\\?/origin)|origin)\\?/(?=.)", re.DOTALL)
_STARS: Final = re.compile(r"\*{2,}")
_FORBIDDEN_IN_REFS: Final = frozenset("\x7f ~^:?*[\\") | {chr(code) for code in range(0x20)}


def parse(text: str, kind: Kind) -> Pattern:
    """Read a pattern; raises PatternError with the place of the first problem."""
    if not text or text == "//":
        _refuse("E203", "an empty pattern can never match", "", 0, len(text))
    read = _regex if is_regex(text) else _name if kind is Kind.NAME else _glob
    node = read(text, kind)
    if state_count(node) > MOST_STATES:
        code = "E202" if is_regex(text) else "E201"
        _refuse(code, f"a pattern that needs over {MOST_STATES:,} states", "write a shorter one", 0, len(text))
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


def _regex(text: str, kind: Kind) -> Node:
    if kind is Kind.REF and (qualified := _QUALIFIED_REGEX.match(text)):
        _refuse_qualified(text, f"/{qualified[1]}{text[qualified.end() :]}")
    reader = RegexReader(text)
    node = reader.read()
    # a larger tree is refused, before anyone looks for its texts
    sole, is_all = beginning(node) if state_count(node) <= MOST_STATES else ("", False)
    quoted = visible(clipped(text))
    if is_all and not sole:
        _refuse("E203", f"{quoted} matches only the empty text", "write /.+/ for any text", 0, len(text))
    if is_all and bool(reader.carets) != bool(reader.dollars):
        # written as if it were searched for: with one anchor nobody means the text alone
        hint = f"write {text[:-1]}.*/ for 'starts with'" if reader.carets else f"write /.*{text[1:]} for 'ends with'"
        what = f"a regex must match the whole {kind.value}: {quoted} matches only {shown(sole)} itself"
        _refuse("E205", what, hint, 0, len(text))
    return node


def _name(text: str, _kind: Kind) -> Node:
    if not text.strip("*"):
        return SOMETHING
    return concat(ANYTHING if character == "*" else Chars.one(character) for character in text)


def _glob(text: str, kind: Kind) -> Node:
    _check_beginning(text, kind)
    nodes: list[Node] = []
    offset = 0
    *folders, last = text.split("/")  # no escape contains a slash
    for segment in folders:
        nodes.append(_SEGMENTS_ABOVE if segment == "**" else concat((_segment(text, segment, offset, kind), SLASH)))
        offset += len(segment) + 1
    nodes.append(SOMETHING if last == "**" else _segment(text, last, offset, kind))
    return concat(nodes)


def _check_beginning(text: str, kind: Kind) -> None:
    if text.startswith("!"):
        hint = "name what to leave out under unless: or ignore:, or write \\! for the character itself"
        _refuse_glob(text, "patterns are not negated with !", hint, 0)
    if text.startswith("./"):
        start = "paths start at the repository root" if kind is Kind.PATH else "names are written in full"
        _refuse("E201", f"{start}, without './'", f"write {_tidied(text)}", 0, 2)
    if text.startswith("/"):
        hint = f"write {_tidied(text)}, or put a / at both ends of a regex"
        if text.endswith("\\/"):
            hint = "end a regex with a / that has no backslash before it"
        _refuse_glob(text, "pattern starts with '/'", hint, 0)
    if kind is Kind.REF and _QUALIFIED_NAME.match(text):
        _refuse_qualified(text, _QUALIFIED_NAME.sub("", text, count=1) or "**")


def _segment(text: str, segment: str, offset: int, kind: Kind) -> Node:
    """Read what stands between two slashes, at `offset` in the text."""
    if not segment and offset == len(text):
        _refuse_glob(text, "pattern ends with '/'", f"write {_tidied(text)}", offset - 1)
    if not segment:
        _refuse_glob(text, "'//' is never part of a name", f"write {_tidied(text)}", offset - 1, 2)
    if kind is Kind.PATH and segment in (".", ".."):
        what, hint = f"'{segment}' names no folder of a changed path", "write the path from the repository root"
        _refuse_glob(text, what, hint, offset, len(segment))
    if segment == "*":
        return _SEGMENT
    parts: list[Node] = []
    at = 0
    while at < len(segment):
        character = segment[at]
        if segment.startswith("**", at):
            _refuse_stars(text, segment, offset, at)
        if character in _NO_WILDCARD:
            hint = f"write \\{character} for the character itself, or use a /regex/"
            _refuse_glob(text, f"'{character}' is not a wildcard here", hint, offset + at)
        is_escaped = character == "\\"
        character = _escaped(text, offset + at + 1) if is_escaped else character
        parts.append(_REST_OF_SEGMENT if character == "*" and not is_escaped else Chars.one(character))
        at += 1 + is_escaped
    return concat(parts)


def _escaped(text: str, offset: int) -> str:
    """Return the character at `offset`, which comes after a backslash."""
    character = text[offset : offset + 1]
    if not character:
        _refuse_glob(text, "pattern ends with a backslash", "write \\\\ for the character itself", offset - 1)
    if character not in _ESCAPABLE:
        plain = text[: offset - 1] + text[offset:]
        hint = f"write /{text}/ for a regex" if character in _REGEX_ESCAPES else f"write {plain}"
        _refuse_glob(text, f"\\{visible(character)} is not an escape", hint, offset - 1, 2)
    return character


def _refuse_stars(text: str, segment: str, offset: int, at: int) -> NoReturn:
    before = _STARS.sub("*", segment[:at])
    after = _STARS.sub("*", segment[at:].lstrip("*"))
    spread = (f"{before}*/" if before else "") + "**" + (f"/*{after}" if after else "")
    corrected = text[:offset] + spread + text[offset + len(segment) :]
    depth = "any depth" if after or not before else "everything below"
    _refuse_glob(text, "** must stand alone between slashes", f"write {corrected} for {depth}", offset + at, 2)


def _refuse_qualified(text: str, bare: str) -> NoReturn:
    _refuse("E206", f"write the bare name, not {shown(text)}", bare, 0, len(text))


def _tidied(text: str) -> str:
    """Write a path the way git does: from the root, no empty parts, and a folder as everything below it."""
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if text.endswith("/") and parts[-1:] != ["**"]:
        parts.append("**")
    return "/".join(parts) or "**"


def _refuse_glob(text: str, what: str, hint: str, offset: int, width: int = 1) -> NoReturn:
    _refuse("E201", f"{what} in {shown(text)}", hint, offset, width)


def _refuse(code: str, message: str, hint: str, offset: int, width: int) -> NoReturn:
    raise PatternError(Problem(code, message, hint, offset, width))
