"""Reads a pattern as it stands in the rule file: a glob, a name with `*`, or a /regex/.

There is one way to write each thing. Near misses that other systems accept are refused with the form to write.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NoReturn

from deploystep.core.pattern_nodes import (
    ANYTHING,
    NOT_SLASH,
    SLASH,
    SOMETHING,
    Chars,
    Node,
    Repeat,
    concat,
    sole_text,
    state_count,
)
from deploystep.core.pattern_problems import PatternError, Problem, shown
from deploystep.core.regex_syntax import Regex, read_regex

MOST_STATES = 5_000

_SEGMENT = Repeat(NOT_SLASH, 1, None)
_REST_OF_SEGMENT = Repeat(NOT_SLASH, 0, None)
_SEGMENTS_ABOVE = Repeat(concat((_SEGMENT, SLASH)), 0, None)
_ESCAPABLE = "*?[]{}\\!"
_NO_WILDCARD = "?[]{}"
_REGEX_ESCAPES = "dDsSwW"
_QUALIFIED_NAME = re.compile(r"refs/(?:heads|tags)/")
_QUALIFIED_REGEX = re.compile(r"/(\^?)refs\\?/(?:heads|tags)\\?/(?=.)", re.DOTALL)
_STARS = re.compile(r"\*{2,}")


class Kind(Enum):
    """What a pattern is for, which decides how it is read."""

    REF = "name"  # the word for what a regex of this kind must match as a whole
    PATH = "path"
    NAME = "text"


def read_pattern(text: str, kind: Kind) -> Node:
    """Turn the text of a pattern into a tree; raises PatternError."""
    if not text or text == "//":
        _refuse("E203", "an empty pattern can never match", "", 0, len(text))
    node = _node(text, kind)
    if state_count(node) > MOST_STATES:
        code = "E202" if is_regex(text) else "E201"
        _refuse(code, f"a pattern that needs over {MOST_STATES:,} states", "write a shorter one", 0, len(text))
    return node


def _node(text: str, kind: Kind) -> Node:
    if is_regex(text):
        return _regex(text, kind)
    return _name(text) if kind is Kind.NAME else _glob(text, kind)


def is_regex(text: str) -> bool:
    """Tell whether the text stands between slashes, of which the second is not escaped."""
    if len(text) < len("//") or text[0] != "/" or text[-1] != "/":
        return False
    backslashes = len(text) - 1 - len(text[:-1].rstrip("\\"))
    return backslashes % 2 == 0


def _regex(text: str, kind: Kind) -> Node:
    qualified = _QUALIFIED_REGEX.match(text) if kind is Kind.REF else None
    if qualified is not None:
        _bare_name(text, f"/{qualified[1]}{text[qualified.end() :]}")
    regex = read_regex(text)
    if state_count(regex.node) <= MOST_STATES:  # else the tree is too large to look for its texts
        _check_sole_text(text, kind, regex)
    return regex.node


def _check_sole_text(text: str, kind: Kind, regex: Regex) -> None:
    """Refuse a regex written as if it were searched for: with one anchor it never means its own text alone."""
    sole = sole_text(regex.node)
    if sole == "":
        _refuse("E203", f"{shown(text)} matches only the empty text", "write /.+/ for any text", 0, len(text))
    if sole is None or regex.has_caret == regex.has_dollar:
        return
    hint = f"write {text[:-1]}.*/ for 'starts with'" if regex.has_caret else f"write /.*{text[1:]} for 'ends with'"
    found = f"{shown(text)} matches only '{shown(sole)}' itself"
    _refuse("E205", f"a regex must match the whole {kind.value}: {found}", hint, 0, len(text))


def _name(text: str) -> Node:
    if not text.strip("*"):
        return SOMETHING
    return concat(ANYTHING if character == "*" else Chars.one(character) for character in text)


def _glob(text: str, kind: Kind) -> Node:
    _check_beginning(text, kind)
    nodes: list[Node] = []
    offset = 0
    segments = text.split("/")  # no escape contains a slash
    for segment in segments[:-1]:
        nodes.append(_SEGMENTS_ABOVE if segment == "**" else concat((_segment(text, segment, offset, kind), SLASH)))
        offset += len(segment) + 1
    last = segments[-1]
    nodes.append(SOMETHING if last == "**" else _segment(text, last, offset, kind))
    return concat(nodes)


def _check_beginning(text: str, kind: Kind) -> None:
    if text.startswith("!"):
        hint = "name what to leave out under unless: or ignore:, or write \\! for the character itself"
        _refuse("E201", f"patterns are not negated with ! in '{shown(text)}'", hint, 0, 1)
    if text.startswith("./"):
        start = "paths start at the repository root" if kind is Kind.PATH else "names are written in full"
        _refuse("E201", f"{start}, without './'", f"write {_tidied(text)}", 0, 2)
    if text.startswith("/"):
        hint = f"write {_tidied(text)}, or put a / at both ends of a regex"
        if text.endswith("\\/"):
            hint = "end a regex with a / that has no backslash before it"
        _refuse("E201", f"pattern starts with '/' in '{shown(text)}'", hint, 0, 1)
    if kind is Kind.REF and _QUALIFIED_NAME.match(text):
        _bare_name(text, _QUALIFIED_NAME.sub("", text, count=1) or "**")


def _bare_name(text: str, bare: str) -> NoReturn:
    _refuse("E206", f"write the bare name, not '{shown(text)}'", bare, 0, len(text))


def _segment(text: str, segment: str, offset: int, kind: Kind) -> Node:
    if not segment:
        _no_segment(text, offset)
    if kind is Kind.PATH and segment in (".", ".."):
        message = f"'{segment}' names no folder of a changed path in '{shown(text)}'"
        _refuse("E201", message, "write the path from the repository root", offset, len(segment))
    return _SEGMENT if segment == "*" else _characters(text, segment, offset)


def _no_segment(text: str, offset: int) -> NoReturn:
    if offset == len(text):
        hint = f"write {_tidied(text)}"
        _refuse("E201", f"pattern ends with '/' in '{shown(text)}'", hint, offset - 1, 1)
    _refuse("E201", f"'//' is never part of a name in '{shown(text)}'", f"write {_tidied(text)}", offset - 1, 2)


def _characters(text: str, segment: str, offset: int) -> Node:
    parts: list[Node] = []
    at = 0
    while at < len(segment):
        character = segment[at]
        if segment.startswith("**", at):
            _not_alone(text, segment, offset, at)
        if character in _NO_WILDCARD:
            hint = f"write \\{character} for the character itself, or use a /regex/"
            _refuse("E201", f"'{character}' is not a wildcard here in '{shown(text)}'", hint, offset + at, 1)
        if character == "\\":
            at += 1
            _check_escape(text, offset + at)
            character = text[offset + at]
            parts.append(Chars.one(character))
        else:
            parts.append(_REST_OF_SEGMENT if character == "*" else Chars.one(character))
        at += 1
    return concat(parts)


def _check_escape(text: str, offset: int) -> None:
    """Look at the character after a backslash."""
    character = text[offset : offset + 1]
    if not character:
        _refuse(
            "E201",
            f"pattern ends with a backslash in '{shown(text)}'",
            "write \\\\ for the character itself",
            offset - 1,
            1,
        )
    if character in _ESCAPABLE:
        return
    plain = text[: offset - 1] + text[offset:]
    hint = f"write /{text}/ for a regex" if character in _REGEX_ESCAPES else f"write {plain}"
    _refuse("E201", f"\\{shown(character)} is not an escape in '{shown(text)}'", hint, offset - 1, 2)


def _not_alone(text: str, segment: str, offset: int, at: int) -> NoReturn:
    before = _STARS.sub("*", segment[:at])
    stars = _STARS.match(segment, at)
    after = "" if stars is None else _STARS.sub("*", segment[stars.end() :])
    spread = (f"{before}*/" if before else "") + "**" + (f"/*{after}" if after else "")
    corrected = text[:offset] + spread + text[offset + len(segment) :]
    depth = "any depth" if after or not before else "everything below"
    message = f"** must stand alone between slashes in '{shown(text)}'"
    _refuse("E201", message, f"write {corrected} for {depth}", offset + at, 2)


def _tidied(text: str) -> str:
    """Write a path the way git does: from the root, no empty parts, and a folder as everything below it."""
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if text.endswith("/") and parts[-1:] != ["**"]:
        parts.append("**")
    return "/".join(parts) or "**"


def _refuse(code: str, message: str, hint: str, offset: int, width: int) -> NoReturn:
    raise PatternError(Problem(code, message, hint, offset, width))
