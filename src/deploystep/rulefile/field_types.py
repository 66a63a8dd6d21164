"""The types of values in a rule file, each with its reader.

A reader reports what is wrong and returns None; it never raises. Types are plain data, so that the JSON Schema and the
reference pages are made from the tables of `fields` as well.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeGuard, TypeVar, cast

from deploystep.core import source as core
from deploystep.core.build import ProjectSlug
from deploystep.core.facts import branch_named
from deploystep.core.frozen import dataclass
from deploystep.core.parameters import MAX_VALUE, Value, parse_template
from deploystep.core.patterns import Kind, Pattern, PatternError, is_legal_ref, parse
from deploystep.core.source import Span, Spanned
from deploystep.core.text import clipped, did_you_mean, nearest, shown
from deploystep.core.times import UnknownZone, zone, zone_names
from deploystep.rulefile import yaml_errors
from deploystep.rulefile.yaml_nodes import Map, Node, Report, Sequence, Text

T = TypeVar("T")
N = TypeVar("N", Text, Sequence, Map)
T_co = TypeVar("T_co", covariant=True)


class FieldType(Protocol[T_co]):
    """Something that can be read from a node; `key` is the name of the field, for messages."""

    def read(self, node: Node, key: str, report: Report) -> T_co | None:
        """The value, or None after a report."""


@dataclass(frozen=True, slots=True)
class Field(Generic[T_co]):
    """One key of a map of the language: `also` are words of other systems for it, separated by spaces.

    `make` is for a matcher: it makes one of the value and the place of the key.
    """

    key: str
    type: FieldType[T_co]
    example: str
    description: str
    required: bool = False
    also: str = ""
    make: Callable[[Any, Span], object] | None = None


def _is(node: Node, kind: type[N], noun: str, report: Report, hint: str = "") -> TypeGuard[N]:
    """Whether a node is of a kind. If not, that is reported, where nothing was said about the node already."""
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


Problem: TypeAlias = tuple[str, str, Span, str]


class Invalid(ValueError):
    """A text that has no value. Its arguments are every problem of it, each as `Report.error` takes it."""


def _invalid(text: Text, code: str, message: str, hint: str = "") -> Invalid:
    return Invalid((code, message, text.inner, hint))


def _within(text: Text, *problems: core.Problem) -> Invalid:
    return Invalid(*((p.code, p.message, text.inner.part(text.value, p.offset, p.width), p.hint) for p in problems))


def _no_value(node: Text, key: str, example: str = "") -> Problem:
    """What to say of a value that was left out, or of a word that YAML takes for nothing."""
    if node.value:
        return "E108", f"{node.value} means 'no value' in YAML", node.span, f'quote it: "{node.value}"'
    return "E108", f"{shown(key)} has no value", node.span, f"for example  {example}" if example else ""


# --- scalars


@dataclass(frozen=True, slots=True)
class Scalar(Generic[T]):
    """A scalar, taken as it is written, whatever YAML would make of it; `parse` makes the value, or raises Invalid.

    `schema` is how JSON Schema describes it, `name` under which name where several fields share that, and `noun` what
    it is called. Where `parses_null`, `~` and the like are for `parse` to judge.
    """

    parse: Callable[[Text, str], T]
    schema: Mapping[str, object]
    name: str = ""
    noun: str = "a string"
    parses_null: bool = False

    def read(self, node: Node, key: str, report: Report) -> T | None:
        """The value."""
        if not _is(node, Text, f"{key} must be {self.noun}", report):
            return None
        if node.is_null and not self.parses_null:
            report.error(*_no_value(node, key))
            return None
        if not node.value.isascii() and any("\ud800" <= character <= "\udfff" for character in node.value):
            # an escape has made half a surrogate pair, which neither a file nor a request can hold
            report.error("E007", "half a character cannot be written here", node.span, "write the character itself")
            return None
        try:
            return self.parse(node, key)
        except Invalid as invalid:
            for problem in invalid.args:
                report.error(*problem)
            return None


_ANY: Final = MappingProxyType({"type": ["string", "number", "boolean"]})
_FULL: Final = MappingProxyType({**_ANY, "minLength": 1})


def _full(parse: Callable[[Text], T], form: str = "") -> Scalar[T]:
    """A text that must not be empty; `form` is a regex for the whole that the schema can tell of it."""

    def parse_full(text: Text, key: str) -> T:
        if not text.value:
            raise _invalid(text, "E108", f"{shown(key)} is empty")
        return parse(text)

    return Scalar(parse_full, {**_FULL, "pattern": f"^(?:{form})$"} if form else _FULL)


TEXT: Final = _full(lambda text: text.spanned)
_DAY: Final = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_WEEKLY: Final = rf"\s*{_DAY}(?:-{_DAY})? [0-2]\d:[0-5]\d-[0-2]\d:[0-5]\d(?: \S+)?\s*"
_MOMENT: Final = r"\s*\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?: ?\S+)?\s*"
#: Texts that the loader reads later on, when the zone of the file is known.
WINDOW: Final = _full(lambda text: text.spanned, _WEEKLY)
WINDOW_OR_NAME: Final = _full(lambda text: text.spanned, rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,63}}|{_WEEKLY}")
MOMENT: Final = _full(lambda text: text.spanned, _MOMENT)
MAYBE_EMPTY: Final = Scalar(lambda text, _key: text.spanned, _ANY)


def checked(
    form: str, code: str, wrong: str, hint: str, schema: Mapping[str, object] | None = None
) -> Scalar[Spanned[str]]:
    """A text of a certain form, a regex for the whole; `wrong` says what another one is not."""

    def parse(text: Text, _key: str) -> Spanned[str]:
        if not re.fullmatch(form, text.value):
            raise _invalid(text, code, f"{shown(text.value)} is {wrong}", hint)
        return text.spanned

    return Scalar(parse, schema or {**_ANY, "pattern": f"^(?:{form})$"})


def choice(words: Mapping[str, T], noun: str, more: str = "") -> Scalar[T]:
    """One of a few words, each with what it stands for; `more` is what else a text `{}` can be meant for."""

    def parse(text: Text, _key: str) -> T:
        if text.value not in words:
            hint = did_you_mean(text.value, words, f"known: {', '.join(words)}{more.format(text.value)}")
            raise _invalid(text, "E104", f"unknown {noun} {shown(text.value)}", hint)
        return words[text.value]

    return Scalar(parse, {"enum": list(words)})


def _flag(text: Text, _key: str) -> bool:
    if text.value not in ("true", "false"):
        raise _invalid(text, "E109", f"expected true or false, found {shown(text.value)}")
    if not text.is_plain:
        what = f"expected true or false, found the string {shown(text.value)}"
        raise Invalid(("E109", what, text.span, "remove the quotes"))
    return text.value == "true"


#: `true` or `false`, in exactly this spelling.
FLAG: Final = Scalar(_flag, {"type": "boolean"})


_NUMBER: Final = {"type": ["integer", "string"], "minimum": 1, "pattern": "^[1-9][0-9]*$"}
#: A pull request's number, or `false` for none.
NUMBER_OR_FALSE: Final = checked(
    "false|[1-9][0-9]{0,17}", "E104", "not a number or false", "", {"anyOf": [_NUMBER, {"enum": [False, "false"]}]}
)


def unknown_zone(name: str, span: Span) -> Problem:
    """What to say of a time zone that does not exist, with the one that was probably meant."""
    hint = did_you_mean(name, zone_names(), "write for example  Europe/Berlin")
    return "E401", f"unknown time zone {shown(name)}", span, hint


def _zone(text: Text) -> str:
    try:
        zone(text.value)
    except UnknownZone:
        raise Invalid(unknown_zone(text.value, text.inner)) from None
    return text.value


#: Names without a slash are few; `Berlin` is none of them.
_SHORT_ZONES: Final = (
    "UTC GMT UCT Zulu Universal Greenwich GMT0 GMT[+-]0 CET EET MET WET EST MST HST EST5EDT CST6CDT MST7MDT PST8PDT"
    " Cuba Egypt Eire GB GB-Eire Hongkong Iceland Iran Israel Jamaica Japan Kwajalein Libya Navajo NZ NZ-CHAT Poland"
    " Portugal PRC ROC ROK Singapore Turkey W-SU Factory localtime posixrules"
)
ZONE: Final = _full(_zone, f"[^/ ]+/[^ ]+|{_SHORT_ZONES.replace(' ', '|')}")


_BARE: Final = "(?!(?:refs/(?:heads|tags|remotes/origin)|origin)/)"


def ref_name(noun: str, *, may_be_full: bool = False) -> Scalar[Spanned[str]]:
    """The name of one branch or tag, or of any ref; without `refs/heads/` where it may not be full."""

    def parse(text: Text) -> Spanned[str]:
        bare = branch_named(text.value.removeprefix("refs/tags/"))
        if bare != text.value and not may_be_full:
            raise _invalid(text, "E206", f"write the bare name, not {shown(text.value)}", bare)
        if not is_legal_ref(text.value):
            raise _invalid(text, "E207", f"no {noun} can be called {shown(text.value)}", "write its bare name")
        return text.spanned

    return _full(parse, rf"{'' if may_be_full else _BARE}[^ ~^:?*\[\\\u0000-\u001f\u007f]+")


def _project(text: Text) -> ProjectSlug:
    slug = ProjectSlug.parse(text.value)
    # these would change where a request goes
    if slug is None or set(text.value) & set("?#%\\ \t\n\r"):
        hint = "write gh/ORG/REPO, bb/ORG/REPO or circleci/ORG-ID/PROJECT-ID"
        raise _invalid(text, "E604", f"{shown(text.value)} is not the slug of a project", hint)
    return slug


PROJECT_SLUG: Final = _full(_project, r"(?:gh|github|bb|bitbucket|circleci)(?:/[^/?#%\\ \t\n\r]+){2}")


# --- patterns

_GLOB: Final = "A glob (* within a segment, ** for whole segments), or a /regular expression/ for the whole"
_TEXT: Final = "A text in which * stands for any characters, or a /regular expression/ for the whole text."


def pattern(kind: Kind, name: str, description: str) -> Scalar[Spanned[Pattern]]:
    """A pattern of some kind."""
    form = {"pattern": f"^{_BARE}"} if kind is Kind.REF else {}
    return Scalar(partial(_parse_pattern, kind), {"description": description, **_FULL, **form}, name)


def _parse_pattern(kind: Kind, text: Text, key: str) -> Spanned[Pattern]:
    if text.inner != text.span and len(text.value) != text.inner.width and not text.value.isprintable():
        # double quotes have made something else of `\b` or `\t` in a regex
        raise _invalid(text, *yaml_errors.BACKSLASH)
    try:
        return Spanned(_pattern(text.value, kind, key), text.inner)
    except PatternError as error:
        raise _within(text, error.problem) from None


@lru_cache(maxsize=4096)
def _pattern(text: str, kind: Kind, noun: str) -> Pattern:
    found = parse(text, kind)
    if kind is Kind.REF and not is_legal_ref(found.example):
        from deploystep.core.patterns.proofs import why_no_ref  # noqa: PLC0415 - few patterns need a proof

        hopeless = why_no_ref(found, noun)
        if hopeless is not None:
            raise PatternError(hopeless)
    return found


REF_PATTERN: Final = pattern(Kind.REF, "ref-pattern", f"{_GLOB} name.")
PATH_PATTERN: Final = pattern(Kind.PATH, "path-pattern", f"{_GLOB} path.")
NAME_PATTERN: Final = pattern(Kind.NAME, "text-pattern", _TEXT)


# --- values of parameters

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
#: Far beyond any text that could be filled in to something short enough.
_LONGEST: Final = 16_384
_LARGEST: Final = 2**63

#: Plain texts that some version of YAML reads as something else: null, booleans, numbers (YAML 1.1 has
#: underscores, base 2, 8 and 60; 1.2 has 0o17 and reads 08 as 8), dates, merge and default keys.
_AMBIGUOUS: Final = r"""~|null|Null|NULL
    |y|Y|n|N|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF|true|True|TRUE|false|False|FALSE
    |[-+]?0b[01_]+|[-+]?0o?[0-7_]+|[-+]?0x[0-9a-fA-F_]+
    |[-+]?[0-9][0-9_]*
    |[-+]?[0-9][0-9_]*(?::[0-9]{1,2})+(?:\.[0-9_]*)?
    |[-+]?(?:\.[0-9_]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?
    |[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)
    |[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt\ ].*)?
    |<<|="""
#: What such a text begins with. Most texts do not, and are spared the longest regex of all.
_AMBIGUOUS_FIRST: Final = "~nNyYoOtTfF+-.0123456789<="


def _value(text: Text, key: str) -> Spanned[Value]:
    value = text.value
    if text.is_plain:
        if value in ("true", "false"):
            return Spanned(value == "true", text.inner)
        if _INTEGER.fullmatch(value):
            # the length first: Python refuses to convert thousands of digits
            if len(value) <= len(str(_LARGEST)) + 1 and -_LARGEST <= int(value) < _LARGEST:
                return Spanned(int(value), text.inner)
            raise _invalid(text, "E502", f"{shown(value)} is too large for an integer", "quote it to send a string")
        if not value:
            raise Invalid(_no_value(text, key, f'{key}: ""'))
        if value[0] in _AMBIGUOUS_FIRST and re.fullmatch(_AMBIGUOUS, value, re.VERBOSE | re.DOTALL):
            what = f"{clipped(value)} means different things in different YAML versions"
            raise _invalid(text, "E502", what, f'quote it: "{clipped(value)}"')
    if len(value) > _LONGEST:
        raise _invalid(text, "E510", f"a value of {len(value)} characters", f"CircleCI takes {MAX_VALUE} at most")
    template = parse_template(value)
    if isinstance(template, tuple):
        raise _within(text, *template)
    return Spanned(template, text.inner)


#: `true`, `false`, an integer, or a text with `${…}`, told apart by spelling alone.
VALUE: Final = Scalar(
    _value, {"type": ["string", "integer", "boolean"]}, noun="a string, an integer, true or false", parses_null=True
)


# --- lists, and maps whose keys the writer chooses


@dataclass(frozen=True, slots=True)
class ListOf(Generic[T]):
    """A list of things; `form` says how an item looks, `each` what it is called.

    With `or_one` a single thing needs no list, and any one of several will do.
    """

    item: FieldType[T]
    form: str = ""
    each: str = ""
    least: int = 0
    limit: int | None = None
    or_one: bool = False

    def read(self, node: Node, key: str, report: Report) -> tuple[T, ...] | None:
        """The items that could be read; with `or_one` never none of them."""
        if self.or_one and not isinstance(node, Sequence):
            node = Sequence((node,), node.span)
        if not _is(node, Sequence, f"{key} must be a list", report, self.form):
            return None
        if self.or_one and not node.items:
            report.error("E203", "an empty list can never match", node.span)
        elif len(node.items) < self.least:
            report.error("E101", f"{key} must not be an empty list", node.span)
        if self.limit is not None and len(node.items) > self.limit:
            over = node.items[self.limit].span
            report.error("E114", f"{key} holds {len(node.items)} items", over, f"the limit is {self.limit}")
            return None
        values = (self.item.read(item, self.each or key, report) for item in node.items)
        found = tuple(value for value in values if value is not None)
        return found or None if self.or_one else found


def one_or_many(item: FieldType[T]) -> ListOf[T]:
    """One thing, or a list of which any one will do."""
    return ListOf(item, or_one=True)


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
        if len(node.entries) < self.least and not node.is_broken:
            report.error("E101", f"{key} must not be an empty map", node.span, self.form)
        pairs = [(self.key.read(k, key, report), self.item.read(v, k.value, report)) for k, v in node.entries]
        return tuple((name, value) for name, value in pairs if name is not None and value is not None)


# --- maps whose keys the language names

_DASHED: Final = re.compile(r"-\w")
_ANY_OF: Final = "a map means all of these; a list of maps means any one of these"
_LOGIC: Final = MappingProxyType(
    {**dict.fromkeys(("or", "and", "any", "all"), _ANY_OF), "not": "write what stops the rule under unless:"}
)


@dataclass(frozen=True, slots=True)
class Fields:
    """A map that was read with a table: where it begins, where each key is written, and the values that could be read.

    `is_broken` says that one of its keys could not be used, `is_clean` that nothing in it is wrong.
    """

    span: Span
    places: Mapping[str, Span]
    values: Mapping[str, object]
    is_broken: bool
    is_clean: bool

    def get(self, known: Field[T]) -> T | None:
        """The value of a key; None where it is missing or wrong."""
        return cast("T | None", self.values.get(known.key))

    def has(self, *keys: Field[Any]) -> bool:
        """Whether one of these keys is written, be its value right or wrong."""
        return any(known.key in self.places for known in keys)

    def both(self, one: Field[Any], other: Field[Any]) -> Span | None:
        """Where the second of two keys is written; None where one is missing."""
        return max(self.at(one), self.at(other)) if self.has(one) and self.has(other) else None

    def at(self, known: Field[Any]) -> Span:
        """Where the key is written; where the map begins if it is not."""
        return self.places.get(known.key, self.span)


@dataclass(frozen=True, slots=True)
class Table:
    """A map with keys that the language names, at least `least` of them.

    `noun` is what the map is, `kind` what one of its keys is called, `notes` what to say about some wrong keys. With
    `logic`, words such as `or` are explained; with `null_is_unset` a key without a value is one that is not written.
    """

    noun: str
    kind: str
    fields: tuple[Field[object], ...]
    notes: Mapping[str, str] = MappingProxyType({})
    logic: bool = False
    null_is_unset: bool = False
    least: int = 0

    def read(self, node: Node, key: str, report: Report) -> Fields | None:
        """Every value that could be read. Unknown keys are reported, and so are missing ones."""
        before = report.errors
        example = next((f.example for f in self.fields if f.required), self.fields[0].example)
        hint = f"for example  {example}" if " " in key else f"for example  {key}: {{{example}}}"
        if not _is(node, Map, f"{key} must be a map", report, hint):
            return None
        if len(node.entries) < self.least and not node.is_broken:
            report.error("E101", f"{key} must not be an empty map", node.span, hint)
            return None
        report.errors += node.is_broken  # what the reader of YAML has said of a key is wrong with what holds it too
        known = {f.key: f for f in self.fields}
        places = {written.value: written.span for written, _ in node.entries}
        unknown = [written for written, _ in node.entries if written.value not in known]
        meant = {self._refuse(written, report) for written in unknown}
        # below `rules:`, a `-name:` without a space is a key beside it, and the keys after it belong to a list item
        is_dashed = any(_DASHED.match(written.value) for written in unknown)
        values = {}
        for field, value in ((known[w.value], value) for w, value in node.entries if w.value in known):
            if not (isinstance(value, Text) and value.is_null):
                values[field.key] = field.type.read(value, field.key, report)
            elif not (self.null_is_unset or is_dashed):
                report.error(*_no_value(value, field.key, field.example))
        is_whole = not (node.is_broken or is_dashed)
        for field in (f for f in self.fields if f.required and is_whole and f.key not in places.keys() | meant):
            what = f"this {self.noun} has no {shown(field.key)}"
            report.error("E103", what, node.span, f"for example  {field.example}")
        return Fields(node.span, places, values, node.is_broken or bool(unknown), report.errors == before)

    def _refuse(self, key: Text, report: Report) -> str:
        """Report an unknown key; the key that was meant, empty where that cannot be told."""
        word = key.value
        if self.logic and word in _LOGIC:
            report.error("E113", f"there is no '{word}' here", key.span, _LOGIC[word])
            return ""
        if _DASHED.match(word):
            yaml_errors.refuse_dash(word, key.span, report)
            return word[1:]
        meant, hint = self._meaning(word)
        report.error("E102", f"unknown {self.kind} {shown(word)}", key.span, hint)
        return meant

    def _meaning(self, word: str) -> tuple[str, str]:
        """The key that was probably meant, empty where that cannot be told, and what to say."""
        if word in self.notes:
            return "", self.notes[word]
        meant = next((f.key for f in self.fields if word in f.also.split()), "")
        for field in self.fields if not meant else ():
            table = field.type.table if isinstance(field.type, AnyOf) else field.type
            if isinstance(table, Table) and any(word in (inner.key, *inner.also.split()) for inner in table.fields):
                return field.key, f"it belongs under {field.key}:, for example  {field.example}"
        keys = [f.key for f in self.fields]
        meant = meant or nearest(word, keys) or ""
        return meant, f"did you mean {shown(meant)}?" if meant else f"known: {', '.join(keys)}"


@dataclass(frozen=True, slots=True)
class OrMap(Generic[T]):
    """A value in its short form, or a map that can say more."""

    short: FieldType[T]
    table: Table

    def read(self, node: Node, key: str, report: Report) -> T | Fields | None:
        """What it says; None where any part of a map is wrong."""
        if not isinstance(node, Map):
            return self.short.read(node, key, report)
        fields = self.table.read(node, key, report)
        return fields if fields is not None and fields.is_clean else None


Alternatives: TypeAlias = Spanned[tuple[Fields, ...]]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """A map of matchers (all of these) or a list of such maps (any one of these).

    With `single` a map may hold one matcher only: under `unless:` two would be read as either or as both.
    """

    table: Table
    single: bool = False

    def read(self, node: Node, key: str, report: Report) -> Alternatives | None:
        """The alternatives that could be read."""
        if isinstance(node, Sequence) and not node.items:
            report.error("E101", f"{key} must not be an empty list", node.span, "it could never hold")
        items = node.items if isinstance(node, Sequence) else (node,)
        # where one could not be read, the others are still checked, but nothing is claimed about the whole
        read = tuple(a for a in (self._alternative(item, key, report) for item in items) if a is not None)
        if self.single and isinstance(node, Map) and len(node.entries) > 1:
            what = f"two conditions in one '{key}' map are easy to misread"
            report.error("E303", what, node.span, "write a list: one item for each reason to stop")
            return None
        return Spanned(read, node.span) if read else None

    def _alternative(self, node: Node, key: str, report: Report) -> Fields | None:
        if isinstance(node, Text) and not node.is_refused:
            from deploystep.rulefile.expression import translated  # noqa: PLC0415 - only for who has written a text

            if matchers := translated(node.value):
                hint = f"for example  {key}: {matchers}"
                report.error("E110", "expected matchers, found an expression", node.span, hint)
                return None
        return self.table.read(node, key, report)
