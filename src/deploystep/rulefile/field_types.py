"""The types of values in a rule file, each with its reader.

A reader reports what is wrong and returns None; it never raises. Types are plain data, so that the JSON Schema and the
reference pages are made from the tables of `fields` as well.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeGuard, TypeVar, cast

from deploystep.core.build import ProjectSlug
from deploystep.core.facts import branch_named
from deploystep.core.frozen import dataclass
from deploystep.core.parameters import MAX_VALUE, Value, parse_template
from deploystep.core.patterns import Kind, Pattern, PatternError, is_legal_ref, parse
from deploystep.core.source import Span, Spanned
from deploystep.core.text import did_you_mean, nearest
from deploystep.core.times import UnknownZone, zone, zone_names
from deploystep.rulefile import yaml_errors
from deploystep.rulefile.yaml_nodes import Map, Node, Report, Sequence, Style, Text, clipped, kind_of, shown

S = TypeVar("S")
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
    elif isinstance(node, kind):
        return True
    else:
        report.error("E101", f"{noun}, found {kind_of(node)}", node.span, hint)
    return False


def refuse_null(node: Text, key: str, report: Report, example: str = "") -> None:
    """Report a value that was left out, or a word that YAML takes for nothing."""
    if node.value:
        report.error("E108", f"{node.value} means 'no value' in YAML", node.span, f'quote it: "{node.value}"')
    else:
        report.error("E108", f"{shown(key)} has no value", node.span, f"for example  {example}" if example else "")


# --- scalars

Parse: TypeAlias = Callable[[Text, str, Report], T | None]


@dataclass(frozen=True, slots=True)
class Scalar(Generic[T]):
    """A scalar, taken as it is written, whatever YAML would make of it; `parse` makes the value, or reports.

    `schema` is how JSON Schema describes it, `name` under which name where several fields share that, and `noun` what
    it is called. Where `parses_null`, `~` and the like are for `parse` to judge.
    """

    parse: Parse[T]
    schema: Mapping[str, object]
    name: str = ""
    noun: str = "a string"
    parses_null: bool = False

    def read(self, node: Node, key: str, report: Report) -> T | None:
        """The value."""
        if not _is(node, Text, f"{key} must be {self.noun}", report):
            return None
        if node.is_null and not self.parses_null:
            refuse_null(node, key, report)
        elif node.has_half_character:
            report.error("E007", "half a character cannot be written here", node.span, "write the character itself")
        else:
            return self.parse(node, key, report)
        return None


_ANY: Final = MappingProxyType({"type": ["string", "number", "boolean"]})
_FULL: Final = MappingProxyType({**_ANY, "minLength": 1})


def _full(parse: Callable[[Spanned[str], Report], T | None], form: str = "") -> Scalar[T]:
    """A text that must not be empty; `form` is a regex for the whole that the schema can tell of it."""

    def parse_full(text: Text, key: str, report: Report) -> T | None:
        if text.value:
            return parse(Spanned(text.value, text.inner), report)
        report.error("E108", f"{shown(key)} is empty", text.span)
        return None

    return Scalar(parse_full, {**_FULL, "pattern": f"^(?:{form})$"} if form else _FULL)


TEXT: Final = _full(lambda text, _report: text)
_DAY: Final = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_WEEKLY: Final = rf"\s*{_DAY}(?:-{_DAY})? [0-2]\d:[0-5]\d-[0-2]\d:[0-5]\d(?: \S+)?\s*"
#: Texts that the loader reads later on, when the zone of the file is known.
WINDOW: Final = _full(lambda text, _report: text, _WEEKLY)
WINDOW_OR_NAME: Final = _full(lambda text, _report: text, rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,63}}|{_WEEKLY}")
MOMENT: Final = _full(
    lambda text, _report: text, r"\s*\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?: ?\S+)?\s*"
)
MAYBE_EMPTY: Final = Scalar(lambda text, _key, _report: Spanned(text.value, text.inner), _ANY)


def checked(form: str, code: str, wrong: str, hint: str) -> Scalar[Spanned[str]]:
    """A text of a certain form, a regex for the whole; `wrong` says what another one is not."""

    def parse(text: Text, _key: str, report: Report) -> Spanned[str] | None:
        if re.fullmatch(form, text.value):
            return Spanned(text.value, text.inner)
        report.error(code, f"{shown(text.value)} is {wrong}", text.inner, hint)
        return None

    return Scalar(parse, {**_ANY, "pattern": f"^(?:{form})$"})


def choice(words: Mapping[str, T], noun: str, more: str = "") -> Scalar[T]:
    """One of a few words, each with what it stands for; `more` is what else a text `{}` can be meant for."""

    def parse(text: Text, _key: str, report: Report) -> T | None:
        if text.value not in words:
            hint = did_you_mean(text.value, words, f"known: {', '.join(words)}{more.format(text.value)}")
            report.error("E104", f"unknown {noun} {shown(text.value)}", text.inner, hint)
        return words.get(text.value)

    return Scalar(parse, {"enum": list(words)})


def _flag(text: Text, _key: str, report: Report) -> bool | None:
    if text.value not in ("true", "false"):
        report.error("E109", f"expected true or false, found {shown(text.value)}", text.inner)
    elif text.style is not Style.PLAIN:
        what = f"expected true or false, found the string {shown(text.value)}"
        report.error("E109", what, text.span, "remove the quotes")
    else:
        return text.value == "true"
    return None


#: `true` or `false`, in exactly this spelling.
FLAG: Final = Scalar(_flag, {"type": "boolean"})


def _number_or_false(text: Text, _key: str, report: Report) -> int | None:
    if text.value != "false" and not re.fullmatch(r"[1-9][0-9]{0,17}", text.value):
        report.error("E104", f"expected a number or false, found {shown(text.value)}", text.inner)
        return None
    return 0 if text.value == "false" else int(text.value)


_NUMBER: Final = {"type": ["integer", "string"], "minimum": 1, "pattern": "^[1-9][0-9]*$"}
#: A pull request's number, or `false` for none, which is read as 0.
NUMBER_OR_FALSE: Final = Scalar(_number_or_false, {"anyOf": [_NUMBER, {"enum": [False, "false"]}]})


def _zone(name: Spanned[str], report: Report) -> str | None:
    try:
        zone(name.value)
    except UnknownZone as unknown:
        refuse_zone(unknown, name.span, report)
        return None
    return name.value


def refuse_zone(unknown: UnknownZone, span: Span, report: Report) -> None:
    """Report a time zone that does not exist, with the one that was probably meant."""
    hint = did_you_mean(unknown.name, zone_names(), "write for example  Europe/Berlin")
    report.error("E401", f"unknown time zone {shown(unknown.name)}", span, hint)


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

    def parse(name: Spanned[str], report: Report) -> Spanned[str] | None:
        bare = branch_named(name.value.removeprefix("refs/tags/"))
        if bare != name.value and not may_be_full:
            report.error("E206", f"write the bare name, not {shown(name.value)}", name.span, bare)
        elif not is_legal_ref(name.value):
            report.error("E207", f"no {noun} can be called {shown(name.value)}", name.span, "write its bare name")
        else:
            return name
        return None

    return _full(parse, rf"{'' if may_be_full else _BARE}[^ ~^:?*\[\\\u0000-\u001f\u007f]+")


def _project(text: Spanned[str], report: Report) -> ProjectSlug | None:
    slug = ProjectSlug.parse(text.value)
    # these would change where a request goes
    if slug is None or set(text.value) & set("?#%\\ \t\n\r"):
        what = f"{shown(text.value)} is not the slug of a project"
        report.error("E604", what, text.span, "write gh/ORG/REPO, bb/ORG/REPO or circleci/ORG-ID/PROJECT-ID")
    return slug


PROJECT_SLUG: Final = _full(_project, r"(?:gh|github|bb|bitbucket|circleci)(?:/[^/?#%\\ \t\n\r]+){2}")


# --- patterns

_GLOB: Final = "A glob (* within a segment, ** for whole segments), or a /regular expression/ for the whole"
_TEXT: Final = "A text in which * stands for any characters, or a /regular expression/ for the whole text."


def pattern(kind: Kind, name: str, description: str) -> Scalar[Spanned[Pattern]]:
    """A pattern of some kind."""
    form = {"pattern": f"^{_BARE}"} if kind is Kind.REF else {}
    return Scalar(partial(_parse_pattern, kind), {"description": description, **_FULL, **form}, name)


def _parse_pattern(kind: Kind, text: Text, key: str, report: Report) -> Spanned[Pattern] | None:
    if text.style is Style.QUOTED and not text.exact and not text.value.isprintable():
        # double quotes have made something else of `\b` or `\t` in a regex
        report.error(*yaml_errors.BACKSLASH[:2], text.inner, yaml_errors.BACKSLASH[2])
        return None
    try:
        return Spanned(_pattern(text.value, kind, key), text.inner)
    except PatternError as error:
        problem = error.problem
        span = text.part(problem.offset, problem.width) if text.value else text.span
        report.error(problem.code, problem.message, span, problem.hint)
        return None


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


@dataclass(frozen=True, slots=True)
class Written:
    """A parameter's value and the scalar it was read from."""

    value: Value
    node: Text


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


def _value(text: Text, key: str, report: Report) -> Written | None:
    value = text.value
    if text.style is not Style.PLAIN:
        return _template(text, report)
    if value in ("true", "false"):
        return Written(value == "true", text)
    if _INTEGER.fullmatch(value):
        # the length first: Python refuses to convert thousands of digits
        if len(value) <= len(str(_LARGEST)) + 1 and -_LARGEST <= int(value) < _LARGEST:
            return Written(int(value), text)
        report.error("E502", f"{shown(value)} is too large for an integer", text.inner, "quote it to send a string")
    elif not value:
        refuse_null(text, key, report, f'{key}: ""')
    elif value[0] in _AMBIGUOUS_FIRST and re.fullmatch(_AMBIGUOUS, value, re.VERBOSE | re.DOTALL):
        short = clipped(value)
        what = f"{short} means different things in different YAML versions"
        report.error("E502", what, text.inner, f'quote it: "{short}"')
    else:
        return _template(text, report)
    return None


def _template(text: Text, report: Report) -> Written | None:
    length = len(text.value)
    if length > _LONGEST:
        report.error("E510", f"a value of {length} characters", text.inner, f"CircleCI takes {MAX_VALUE} at most")
        return None
    template = parse_template(text.value)
    if not isinstance(template, tuple):
        return Written(template, text)
    for problem in template:
        # a command in a parameter has no short cure to name
        hint = "" if problem.code == "E504" else problem.hint
        report.error(problem.code, problem.message, text.part(problem.offset, problem.width), hint)
    return None


#: `true`, `false`, an integer, or a text with `${…}`, told apart by spelling alone.
VALUE: Final = Scalar(
    _value,
    {"type": ["string", "integer", "boolean"]},
    noun="a string, an integer, true or false",
    parses_null=True,
)


# --- lists, and maps whose keys the writer chooses


@dataclass(frozen=True, slots=True)
class ListOf(Generic[T]):
    """A list of things; `form` says how an item looks, `each` what it is called."""

    item: FieldType[T]
    form: str = ""
    each: str = ""
    least: int = 0
    limit: int | None = None

    def read(self, node: Node, key: str, report: Report) -> tuple[T, ...] | None:
        """The items that could be read."""
        if not _is(node, Sequence, f"{key} must be a list", report, self.form):
            return None
        if len(node.items) < self.least:
            report.error("E101", f"{key} must not be an empty list", node.span)
        if self.limit is not None and len(node.items) > self.limit:
            over = node.items[self.limit].span
            report.error("E114", f"{key} holds {len(node.items)} items", over, f"the limit is {self.limit}")
            return None
        return _items(self.item, node, self.each or key, report)


def _items(item: FieldType[T], node: Sequence, key: str, report: Report) -> tuple[T, ...]:
    values = [item.read(each, key, report) for each in node.items]
    return tuple(value for value in values if value is not None)


@dataclass(frozen=True, slots=True)
class OneOrMany(Generic[T]):
    """One thing, or a list of which any one will do."""

    item: FieldType[T]

    def read(self, node: Node, key: str, report: Report) -> tuple[T, ...] | None:
        """What could be read; never empty without a report."""
        if not isinstance(node, Sequence):
            one = self.item.read(node, key, report)
            return None if one is None else (one,)
        if not node.items:
            report.error("E203", "an empty list can never match", node.span)
        return _items(self.item, node, key, report) or None


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
        pairs = [
            (self.key.read(e.key, key, report), self.item.read(e.value, e.key.value, report)) for e in node.entries
        ]
        return tuple((name, value) for name, value in pairs if name is not None and value is not None)


# --- maps whose keys the language names

_DASHED: Final = re.compile(r"-\w")
_ANY_OF: Final = "a map means all of these; a list of maps means any one of these"
_LOGIC: Final = MappingProxyType(
    {**dict.fromkeys(("or", "and", "any", "all"), _ANY_OF), "not": "write what stops the rule under unless:"}
)


@dataclass(frozen=True, slots=True)
class Fields:
    """A map that was read with a table.

    `is_broken` says that one of its keys could not be used, `is_clean` that nothing in it is wrong.
    """

    node: Map
    values: Mapping[str, object]
    is_broken: bool
    is_clean: bool

    @property
    def span(self) -> Span:
        """Where the map begins."""
        return self.node.span

    def get(self, known: Field[T]) -> T | None:
        """The value of a key; None where it is missing or wrong."""
        return cast("T | None", self.values.get(known.key))

    def has(self, known: Field[T]) -> bool:
        """Whether the key is written, be its value right or wrong."""
        return any(entry.key.value == known.key for entry in self.node.entries)

    def both(self, one: Field[S], other: Field[T]) -> Span | None:
        """Where the second of two keys is written; None where one is missing."""
        return max(self.at(one), self.at(other)) if self.has(one) and self.has(other) else None

    def at(self, known: Field[T]) -> Span:
        """Where the key is written; where the map begins if it is not."""
        return next((e.key.span for e in self.node.entries if e.key.value == known.key), self.span)


@dataclass(frozen=True, slots=True)
class Table:
    """A map with keys that the language names.

    `noun` is what the map is, `kind` what one of its keys is called, `notes` what to say about some wrong keys. With
    `logic`, words such as `or` are explained; with `null_is_unset` a key without a value is one that is not written.
    """

    noun: str
    kind: str
    fields: tuple[Field[object], ...]
    notes: Mapping[str, str] = MappingProxyType({})
    logic: bool = False
    null_is_unset: bool = False

    def read(self, node: Node, key: str, report: Report) -> Fields | None:
        """Every value that could be read. Unknown keys are reported, and so are missing ones."""
        before = report.errors
        example = next((f.example for f in self.fields if f.required), self.fields[0].example)
        if not _is(node, Map, f"{key} must be a map", report, f"for example  {example}"):
            return None
        known = {f.key: f for f in self.fields}
        unknown = [e.key for e in node.entries if e.key.value not in known]
        meant = {self._refuse(key, report) for key in unknown}
        # below `rules:`, a `-name:` without a space is a key beside it, and the keys after it belong to a list item
        is_dashed = any(_DASHED.match(key.value) for key in unknown)
        values = {}
        for entry in node.entries:
            field, value = known.get(entry.key.value), entry.value
            if field is None:
                continue
            if not (isinstance(value, Text) and value.is_null):
                values[field.key] = field.type.read(value, field.key, report)
            elif not (self.null_is_unset or is_dashed):
                refuse_null(value, field.key, report, field.example)
        if not (node.is_broken or is_dashed):
            written = {entry.key.value for entry in node.entries} | meant
            for field in (f for f in self.fields if f.required and f.key not in written):
                what = f"this {self.noun} has no {shown(field.key)}"
                report.error("E103", what, node.span, f"for example  {field.example}")
        return Fields(node, values, node.is_broken or bool(unknown), report.errors == before)

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
        meant = next((f.key for f in self.fields if word in f.also.split()), None)
        if meant is None:
            for field, inner in self._inner():
                if word == inner.key or word in inner.also.split():
                    return field.key, f"it belongs under {field.key}:, for example  {field.example}"
            meant = nearest(word, [f.key for f in self.fields])
        if meant:
            return meant, f"did you mean {shown(meant)}?"
        return "", f"known: {', '.join(f.key for f in self.fields)}"

    def _inner(self) -> Iterator[tuple[Field[object], Field[object]]]:
        """The keys that belong one level deeper, each with the key that they stand under."""
        for field in self.fields:
            table = field.type.table if isinstance(field.type, AnyOf) else field.type
            yield from ((field, inner) for inner in (table.fields if isinstance(table, Table) else ()))


@dataclass(frozen=True, slots=True)
class OrMap(Generic[T]):
    """A value in its short form, or a map that can say more; `least` is how many keys the map has at least."""

    short: FieldType[T]
    table: Table
    least: int = 0

    def read(self, node: Node, key: str, report: Report) -> T | Fields | None:
        """What it says; None where any part of a map is wrong."""
        if not isinstance(node, Map):
            return self.short.read(node, key, report)
        if len(node.entries) < self.least and not node.is_broken:
            example = f"{key}: {{{self.table.fields[0].example}}}"
            report.error("E101", f"{key} must not be an empty map", node.span, f"for example  {example}")
            return None
        fields = self.table.read(node, key, report)
        return fields if fields is not None and fields.is_clean else None


@dataclass(frozen=True, slots=True)
class Choices:
    """Alternatives of which any one will do. `is_ambiguous`: one map that could be read in two ways."""

    alternatives: tuple[Fields, ...]
    span: Span
    is_ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class AnyOf:
    """A map of matchers (all of these) or a list of such maps (any one of these).

    With `single` a map may hold one matcher only: under `unless:` two would be read as either or as both.
    """

    table: Table
    single: bool = False

    def read(self, node: Node, key: str, report: Report) -> Choices | None:
        """The alternatives that could be read."""
        is_ambiguous = self.single and isinstance(node, Map) and len(node.entries) > 1
        if is_ambiguous:
            what = f"two conditions in one '{key}' map are easy to misread"
            report.error("E303", what, node.span, "write a list: one item for each reason to stop")
        if isinstance(node, Sequence) and not node.items:
            report.error("E101", f"{key} must not be an empty list", node.span, "it could never hold")
        items = node.items if isinstance(node, Sequence) else (node,)
        read = [self._alternative(item, key, report) for item in items]
        # where one could not be read, the others are still checked, but nothing is claimed about the whole
        alternatives = tuple(a for a in read if a is not None)
        return Choices(alternatives, node.span, is_ambiguous) if alternatives else None

    def _alternative(self, node: Node, key: str, report: Report) -> Fields | None:
        example = f"for example  {key}: {{branch: main}}"
        if isinstance(node, Text):
            _refuse_text(node, key, example, report)
        elif isinstance(node, Sequence):
            report.error("E101", "expected matchers, found a list in a list", node.span, "write one list of maps")
        elif not node.entries and not node.is_broken:
            report.error("E101", "expected matchers, found an empty map", node.span, example)
        else:
            return self.table.read(node, key, report)
        return None


def _refuse_text(node: Text, key: str, example: str, report: Report) -> None:
    from deploystep.rulefile import expression  # noqa: PLC0415 - only for who has written one

    if node.is_refused:
        report.errors += 1
    elif expression.is_expression(node.value):
        example = f"for example  {expression.translated(node.value).replace('when', key, 1)}"
        report.error("E110", "expected matchers, found an expression", node.span, example)
    else:
        found = "nothing" if node.is_null else f"the string {shown(node.value)}"
        report.error("E101", f"expected matchers, found {found}", node.span, example)
