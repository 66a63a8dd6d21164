"""The types of values in a rule file, each with its reader.

A reader reports what is wrong and returns None; it never raises. Types are plain data, so that the JSON Schema and the
reference pages are made from the tables of `fields` as well.
"""

import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import timedelta, timezone, tzinfo
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Generic, Protocol, TypeGuard, TypeVar, cast

from deploystep.core.build import ProjectSlug
from deploystep.core.facts import branch_named
from deploystep.core.frozen import dataclass
from deploystep.core.parameters import Value, parse_template
from deploystep.core.patterns import Kind, Pattern, PatternError, is_legal_ref, parse
from deploystep.core.source import Problem, Span, Spanned
from deploystep.core.text import clipped, did_you_mean, nearest, shown
from deploystep.core.times import DAYS, UnknownZone, read_moment, read_now, read_window, zone, zone_names
from deploystep.rulefile.yaml_reader import BACKSLASH, Map, Node, Report, Sequence, Text

T = TypeVar("T")
N = TypeVar("N", Text, Sequence, Map)
T_co = TypeVar("T_co", covariant=True)


class FieldType(Protocol[T_co]):
    """Something that can be read from a node; `key` is the name of the field, for messages."""

    def read(self, node: Node, key: str, report: Report) -> T_co | None:
        """The value, or None after a report."""


@dataclass(frozen=True, slots=True)
class Field(Generic[T_co]):
    """One key of a map of the language: `also` are words of other systems for it, separated by spaces."""

    key: str
    type: FieldType[T_co]
    example: str
    description: str
    required: bool = False
    also: str = ""


def _is(node: Node, kind: type[N], noun: str, report: Report, hint: str = "") -> TypeGuard[N]:
    """Whether a node is of a kind. If not, that is reported, unless the node was refused already."""
    if isinstance(node, Text) and node.is_refused:
        report.errors += 1  # what holds it is not whole either
        return False
    if isinstance(node, kind):
        return True
    if isinstance(node, Text):
        found = "nothing" if node.is_null else f"the string {shown(node.value)}"
    else:
        found = "a list" if isinstance(node, Sequence) else "a map"
    report.error("E101", f"{noun}, found {found}", node.span, hint)
    return False


# --- scalars


class Invalid(ValueError):
    """A text that has no value. Its arguments are every problem in it."""


def _invalid(text: Text, code: str, message: str, hint: str = "") -> Invalid:
    return Invalid(Problem(code, message, hint, 0, len(text.value)))


@dataclass(frozen=True, slots=True)
class Scalar(Generic[T]):
    """A scalar, taken as it is written, whatever YAML would make of it; `parse` makes the value, or raises Invalid.

    `schema` is how JSON Schema describes it, and `name` under which name where several fields share that; with
    `is_full` an empty text is no value.
    """

    parse: Callable[[Text], T]
    schema: Mapping[str, object]
    name: str = ""
    is_full: bool = False

    def read(self, node: Node, key: str, report: Report) -> T | None:
        """The value."""
        if not _is(node, Text, f"{key} must be a single value", report):
            return None
        if node.is_null or (self.is_full and not node.value):
            what = f"{node.value} means 'no value' in YAML" if node.value else f"{shown(key)} has no value"
            hint = f'quote it: "{node.value}"' if node.value else "write one, or leave it out"
            report.error("E108", what, node.span, hint)
            return None
        try:
            return self.parse(node)
        except Invalid as invalid:
            for each in invalid.args:
                report.error(each.code, each.message, node.inner.part(node.value, each.offset, each.width), each.hint)
            return None


_ANY: Final = MappingProxyType({"type": ["string", "number", "boolean"]})
_FULL: Final = MappingProxyType({**_ANY, "minLength": 1})


def _formed(form: str) -> Mapping[str, object]:
    return MappingProxyType({**_ANY, "pattern": f"^(?:{form})$"})


MAYBE_EMPTY: Final = Scalar(lambda text: text.spanned, _ANY)


def checked(
    form: str, code: str, wrong: str, hint: str = "", schema: Mapping[str, object] | None = None
) -> Scalar[Spanned[str]]:
    """A text of a certain form, a regex for the whole; `wrong` says what another one is not."""

    def parse_checked(text: Text) -> Spanned[str]:
        if not re.fullmatch(form, text.value):
            raise _invalid(text, code, f"{shown(text.value)} is {wrong}", hint)
        return text.spanned

    return Scalar(parse_checked, schema or _formed(form))


TEXT: Final = Scalar(lambda text: text.spanned, _FULL, is_full=True)
_NUMBER: Final = {"type": ["integer", "string"], "minimum": 1, "pattern": "^[1-9][0-9]*$"}
#: A pull request's number, or `false` for none.
NUMBER_OR_FALSE: Final = checked(
    "false|[1-9][0-9]{0,17}", "E104", "not a number or false", "", {"anyOf": [_NUMBER, {"enum": [False, "false"]}]}
)


def choice(words: Mapping[str, T], noun: str, schema: list[object] | None = None, more: str = "") -> Scalar[T]:
    """One of a few words, each with what it stands for; `more` is what else can be written."""

    def parse_choice(text: Text) -> T:
        if text.value not in words:
            hint = did_you_mean(text.value, words, f"known: {', '.join(words)}{more}")
            raise _invalid(text, "E104", f"unknown {noun} {shown(text.value)}", hint)
        return words[text.value]

    return Scalar(parse_choice, {"enum": schema or list(words)})


def _flag(text: Text) -> bool:
    if text.value not in ("true", "false") or not text.is_plain:
        quoted = "" if text.is_plain else "the string "
        hint = "remove the quotes" * (text.value in ("true", "false"))
        raise _invalid(text, "E109", f"expected true or false, found {quoted}{shown(text.value)}", hint)
    return text.value == "true"


#: `true` or `false`, in exactly this spelling.
FLAG: Final = Scalar(_flag, {"type": "boolean"})


# --- times

#: The zone of a time that names none, until the file tells it.
UNZONED: Final = timezone(timedelta(0), "none")


def timed(reader: Callable[[str, tzinfo], T], form: str, code: str = "", hint: str = "") -> Scalar[Spanned[T]]:
    """What a reader of `core.times` makes of a text; `form` is a regex for all that it reads."""

    def parse_time(text: Text) -> Spanned[T]:
        try:
            return Spanned(reader(text.value, UNZONED), text.inner)
        except UnknownZone as unknown:
            near = did_you_mean(unknown.name, zone_names(), "write for example  Europe/Berlin")
            raise _invalid(text, "E401", f"unknown time zone {shown(unknown.name)}", near) from None
        except ValueError as error:
            raise _invalid(text, code, str(error).partition(": expected")[0], hint) from None

    return Scalar(parse_time, _formed(form))


def _now(text: str, place: tzinfo) -> str:
    read_now(text, place)
    return text  # which can be read in several zones


AS_WINDOW: Final = "write for example  Mon-Thu 09:00-17:00  or  Fri 22:00-06:00 Europe/Berlin"
_AS_MOMENT: Final = "write for example  2026-12-18 18:00"
#: Names of zones without a slash are few; `Berlin` is none of them.
_SHORT_ZONES: Final = (
    "UTC GMT UCT Zulu Universal Greenwich GMT0 GMT[+-]0 CET EET MET WET EST MST HST EST5EDT CST6CDT MST7MDT PST8PDT"
    " Cuba Egypt Eire GB GB-Eire Hongkong Iceland Iran Israel Jamaica Japan Kwajalein Libya Navajo NZ NZ-CHAT Poland"
    " Portugal PRC ROC ROK Singapore Turkey W-SU Factory localtime posixrules"
)
_DAY: Final = f"(?:{'|'.join(DAYS)})"
_WEEKLY: Final = rf"\s*{_DAY}(?:-{_DAY})? [0-2]\d:[0-5]\d-[0-2]\d:[0-5]\d(?: \S+)?\s*"
_DATED: Final = r"\s*\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(?::\d{2})?(?: ?[^\s.:]\S*)?\s*"
ZONE: Final = timed(lambda name, _: str(zone(name)), f"[^/ ]+/[^ ]+|{_SHORT_ZONES.replace(' ', '|')}")
WINDOW: Final = timed(read_window, _WEEKLY, "E402", AS_WINDOW)
WINDOW_OR_NAME: Final = timed(
    lambda text, at: read_window(text, at) if " " in text else text, rf"[\w.-]+|{_WEEKLY}", "E402", AS_WINDOW
)
MOMENT: Final = timed(read_moment, _DATED, "E403", _AS_MOMENT)
NOW: Final = timed(_now, _DATED, "E403", _AS_MOMENT)


# --- names and patterns

_BARE: Final = "(?!(?:refs/(?:heads|tags|remotes/origin)|origin)/)"


def ref_name(noun: str, *, may_be_full: bool = False) -> Scalar[Spanned[str]]:
    """The name of one branch or tag, or of any ref; without `refs/heads/` where it may not be full."""

    def parse_ref(text: Text) -> Spanned[str]:
        bare = branch_named(text.value.removeprefix("refs/tags/"))
        if bare != text.value and not may_be_full:
            raise _invalid(text, "E206", f"write the bare name, not {shown(text.value)}", bare)
        if not is_legal_ref(text.value):
            raise _invalid(text, "E207", f"no {noun} can be called {shown(text.value)}", "write its bare name")
        return text.spanned

    return Scalar(parse_ref, _formed(rf"{'' if may_be_full else _BARE}[^ ~^:?*\[\\\u0000-\u001f\u007f]+"))


#: Other characters would change where a request goes.
_SLUG: Final = r"(?:gh|github|bb|bitbucket|circleci)(?:/[^/?#%\\ \t\n\r]+){2}"


def _project(text: Text) -> ProjectSlug:
    slug = ProjectSlug.parse(text.value) if re.fullmatch(_SLUG, text.value) else None
    if slug is None:
        hint = "write gh/ORG/REPO, bb/ORG/REPO or circleci/ORG-ID/PROJECT-ID"
        raise _invalid(text, "E604", f"{shown(text.value)} is not the slug of a project", hint)
    return slug


PROJECT_SLUG: Final = Scalar(_project, _formed(_SLUG))


_parse: Final = lru_cache(maxsize=4_096)(parse)  # the rules of a file repeat what they say


def pattern(kind: Kind, noun: str, name: str, description: str) -> Scalar[Spanned[Pattern]]:
    """A pattern of some kind; `noun` is what it is for."""

    def parse_pattern(text: Text) -> Spanned[Pattern]:
        if text.is_quoted and len(text.value) != text.inner.width and not text.value.isprintable():
            # double quotes have made something else of `\b` or `\t` in a regex
            raise _invalid(text, *BACKSLASH)
        try:
            found = _parse(text.value, kind)
        except PatternError as error:
            raise Invalid(error.problem) from None
        if kind is Kind.REF and not is_legal_ref(found.example):
            from deploystep.core.patterns.proofs import why_no_ref  # noqa: PLC0415 - few patterns need a proof

            if hopeless := why_no_ref(found, noun):
                raise Invalid(hopeless)
        return Spanned(found, text.inner)

    form = {"pattern": f"^{_BARE}"} if kind is Kind.REF else {}
    return Scalar(parse_pattern, {"description": description, **_FULL, **form}, name)


# --- values of parameters

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
_LARGEST: Final = 2**63

#: Plain texts that some version of YAML reads as something else: booleans, numbers (YAML 1.1 has underscores, base 2,
#: 8 and 60; 1.2 has 0o17 and reads 08 as 8), dates, merge and default keys.
_AMBIGUOUS: Final = re.compile(
    r"""y|Y|n|N|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF|true|True|TRUE|false|False|FALSE
    |[-+]?0b[01_]+|[-+]?0o?[0-7_]+|[-+]?0x[0-9a-fA-F_]+
    |[-+]?[0-9][0-9_]*
    |[-+]?[0-9][0-9_]*(?::[0-9]{1,2})+(?:\.[0-9_]*)?
    |[-+]?(?:\.[0-9_]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?
    |[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)
    |[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt\ ].*)?
    |<<|=""",
    re.VERBOSE | re.DOTALL,
)


def _value(text: Text) -> Spanned[Value]:
    value = text.value
    if text.is_plain and value in ("true", "false"):
        return Spanned(value == "true", text.inner)
    if text.is_plain and _INTEGER.fullmatch(value):
        # the length first: Python refuses to convert thousands of digits
        if len(value) <= len(str(_LARGEST)) + 1 and -_LARGEST <= int(value) < _LARGEST:
            return Spanned(int(value), text.inner)
        raise _invalid(text, "E502", f"{shown(value)} is too large for an integer", "quote it to send a string")
    if text.is_plain and _AMBIGUOUS.fullmatch(value):
        what = f"{clipped(value)} means different things in different YAML versions"
        raise _invalid(text, "E502", what, f'quote it: "{clipped(value)}"')
    template = parse_template(value)
    if isinstance(template, tuple):
        raise Invalid(*template)
    return Spanned(template, text.inner)


#: `true`, `false`, an integer, or a text with `${…}`, told apart by spelling alone.
VALUE: Final = Scalar(_value, {"type": ["string", "integer", "boolean"]})


# --- lists, and maps whose keys the writer chooses


@dataclass(frozen=True, slots=True)
class ListOf(Generic[T]):
    """A list of things; `form` says how an item looks, `each` what it is called.

    With `or_one` a single thing needs no list, and any one of several will do. With `is_single` a map without a list
    may hold one key only: under `unless:` two would be read as either or as both.
    """

    item: FieldType[T]
    form: str = ""
    each: str = ""
    least: int = 0
    limit: int | None = None
    or_one: bool = False
    is_single: bool = False

    def read(self, node: Node, key: str, report: Report) -> tuple[T, ...] | None:
        """The items that could be read."""
        is_misread = self.is_single and isinstance(node, Map) and len(node.entries) > 1
        if self.or_one and not isinstance(node, Sequence):
            node = Sequence((node,), node.span)
        if not _is(node, Sequence, f"{key} must be a list", report, self.form):
            return None
        if len(node.items) < self.least:
            report.error("E101", f"{key} must not be an empty list", node.span)
        if self.limit is not None and len(node.items) > self.limit:
            over = node.items[self.limit].span
            report.error("E114", f"{key} holds {len(node.items)} items", over, f"the limit is {self.limit}")
            return None
        values = [self.item.read(item, self.each or key, report) for item in node.items]
        if is_misread:
            what = f"two conditions in one '{key}' map are easy to misread"
            report.error("E303", what, node.span, "write a list: one item for each reason to stop")
            return None
        return tuple(value for value in values if value is not None)


def one_or_many(item: FieldType[T], *, is_single: bool = False) -> ListOf[T]:
    """One thing, or a list of which any one will do."""
    return ListOf(item, least=1, or_one=True, is_single=is_single)


@dataclass(frozen=True, slots=True)
class MapOf(Generic[T]):
    """A map whose keys the writer chooses; `form` says how it looks."""

    key: Scalar[Spanned[str]]
    item: FieldType[T]
    form: str
    least: int = 0

    def read(self, node: Node, key: str, report: Report) -> tuple[tuple[Spanned[str], T], ...] | None:
        """Keys and values that could be read, in order."""
        if not _is(node, Map, f"{key} must be a map", report, self.form):
            return None
        if len(node.entries) < self.least:
            report.error("E101", f"{key} must not be an empty map", node.span, self.form)
        pairs = [(self.key.read(k, key, report), self.item.read(v, k.value, report)) for k, v in node.entries]
        return tuple((name, value) for name, value in pairs if name is not None and value is not None)


# --- maps whose keys the language names

_EXPRESSION: Final = r"[=!]=|=~|!~|<<|\$\{|&&|\|\||\bpipeline\.|\b(?:and|or)\b|^not\b|\b(?:matches|starts-with)\b"
_CLAUSE: Final = r"""(?:pipeline\.git\.)?(branch|tag) == (["'])([A-Za-z0-9][A-Za-z0-9._/-]*)\2(?: and not tag)?"""
_ANY_OF: Final = "a map means all of these; a list of maps means any one of these"
_LOGIC: Final = MappingProxyType(
    {**dict.fromkeys(("or", "and", "any", "all"), _ANY_OF), "not": "write what stops the rule under unless:"}
)


@dataclass(frozen=True, slots=True)
class Fields:
    """A map that was read with a table: where it begins, where each key is written, and the values that could be read.

    `unread` are the keys that could not be read whole or are missing, and what an unknown key probably stands for:
    an empty one, where it may stand for any.
    """

    span: Span
    places: Mapping[str, Span]
    values: Mapping[str, object]
    unread: AbstractSet[str]

    @property
    def is_clean(self) -> bool:
        """Whether nothing in it is wrong."""
        return not self.unread

    def __getitem__(self, known: Field[T]) -> T:
        """The value of a required key of a map that is clean."""
        return cast("T", self.values[known.key])

    def get(self, known: Field[T]) -> T | None:
        """The value of a key; None where it is missing or wrong."""
        return cast("T | None", self.values.get(known.key))

    def has(self, *keys: Field[Any]) -> bool:
        """Whether one of these keys is written or may be meant, be its value right or wrong."""
        return any(known.key in self.places or known.key in self.unread for known in keys)

    def both(self, one: Field[Any], other: Field[Any]) -> Span | None:
        """Where the second of two keys is written; None where one is missing."""
        return max(self.at(one), self.at(other)) if {one.key, other.key} <= self.places.keys() else None

    def at(self, known: Field[Any]) -> Span:
        """Where the key is written; where the map begins if it is not."""
        return self.places.get(known.key, self.span)


@dataclass(frozen=True, slots=True)
class Table:
    """A map with keys that the language names, at least `least` of them.

    `noun` is what the map is, `kind` what one of its keys is called, `notes` what to say about some wrong keys. With
    `logic`, words such as `or` and whole expressions are explained; with `null_is_unset` a key without a value is one
    that is not written. Another value than a map is that of the field `short`.
    """

    noun: str
    kind: str
    fields: tuple[Field[object], ...]
    notes: Mapping[str, str] = MappingProxyType({})
    logic: bool = False
    null_is_unset: bool = False
    least: int = 0
    short: Field[object] | None = None

    def read(self, node: Node, key: str, report: Report) -> Fields:
        """Every value that could be read. Unknown keys are reported, and so are missing ones."""
        before = report.errors
        nothing = Fields(node.span, {}, {}, {""})
        if self.short and not isinstance(node, Map):
            value = self.short.type.read(node, key, report)
            return Fields(node.span, {}, {self.short.key: value}, {""} if report.errors > before else set())
        example = next((f.example for f in self.fields if f.required), self.fields[0].example)
        hint = f"for example  {example}" if " " in key else f"for example  {key}: {{{example}}}"
        if self.logic and isinstance(node, Text) and re.search(_EXPRESSION, node.value):
            clauses = [re.fullmatch(_CLAUSE, clause) for clause in node.value.split(" or ")]
            maps = [f"{{{clause[1]}: {clause[3]}}}" for clause in clauses if clause]
            if maps and len(maps) == len(clauses):
                hint = f"for example  {key}: " + (maps[0] if len(maps) == 1 else f"[{', '.join(maps)}]")
            report.error("E110", "expected matchers, found an expression", node.span, hint)
            return nothing
        if not _is(node, Map, f"{key} must be a map", report, hint):
            return nothing
        if len(node.entries) < self.least:
            report.error("E101", f"{key} must not be an empty map", node.span, hint)
            return nothing
        known = {f.key: f for f in self.fields}
        entries = [(written, value) for written, value in node.entries if not written.is_refused]
        unread = {self._refuse(written, report) for written, _ in entries if written.value not in known}
        if len(entries) < len(node.entries):
            report.errors += 1  # what was said of a key is wrong with what holds it too
            unread |= {"", *known}
        values = {}
        for field, value in ((known[w.value], value) for w, value in entries if w.value in known):
            if not (self.null_is_unset and isinstance(value, Text) and value.is_null):
                before = report.errors
                values[field.key] = field.type.read(value, field.key, report)
                unread |= {field.key} if report.errors > before else set()
        places = {written.value: written.span for written, _ in entries}
        for field in (f for f in self.fields if f.required and f.key not in places.keys() | unread):
            what = f"this {self.noun} has no {shown(field.key)}"
            report.error("E103", what, node.span, f"for example  {field.example}")
            unread.add(field.key)
        return Fields(node.span, places, values, unread)

    def _refuse(self, key: Text, report: Report) -> str:
        """Report an unknown key; the key that was meant, empty where that cannot be told."""
        word, keys = key.value, [f.key for f in self.fields]
        if self.logic and word in _LOGIC:
            report.error("E113", f"there is no '{word}' here", key.span, _LOGIC[word])
            return ""
        meant = next((f.key for f in self.fields if word in f.also.split()), "")
        if word in self.notes:
            hint = self.notes[word]
        elif (outer := next((f for f in self.fields if _inner(f, word)), None)) and not meant:
            meant, hint = outer.key, f"it belongs under {outer.key}:, for example  {outer.example}"
        else:
            meant = meant or nearest(word, keys) or ""
            hint = f"did you mean {shown(meant)}?" if meant else f"known: {', '.join(keys)}"
        report.error("E102", f"unknown {self.kind} {shown(word)}", key.span, hint)
        return meant


def _inner(field: Field[object], word: str) -> bool:
    """Whether a word is a key of the map that stands in a field."""
    table = field.type.item if isinstance(field.type, ListOf) and field.type.or_one else field.type
    return isinstance(table, Table) and any(word in (inner.key, *inner.also.split()) for inner in table.fields)
