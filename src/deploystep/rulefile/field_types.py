"""The types of values in a rule file: data, of which the JSON Schema is made too. Readers report what is wrong."""

import re
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta, timezone, tzinfo
from functools import lru_cache, partial
from typing import Any, Final, TypeAlias, TypeGuard, TypeVar

from deploystep.core.facts import branch_named
from deploystep.core.frozen import Frozen, replace
from deploystep.core.parameters import parse_template
from deploystep.core.patterns import Kind, PatternError, is_legal_ref, parse
from deploystep.core.source import Problem, Span, Spanned, clipped, did_you_mean, nearest, shown
from deploystep.core.times import DAYS, UnknownZone, read_moment, read_now, read_window, zone, zone_names
from deploystep.rulefile.yaml_reader import BACKSLASH, Map, Node, Report, Sequence, Text

N = TypeVar("N", Text, Sequence, Map)
FieldType: TypeAlias = "Scalar | ListOf | MapOf | Table"
_ITEM: Final = "each item starts with '- name:'"
_NAMES: Final = {Text: "a single value", Sequence: "a list", Map: "a map"}
#: A text is taken as it is written, where an editor sees that `branch: 1.10` is a number.
_ANY: Final = {"type": ["string", "number", "boolean"]}
#: The zone of a time that names none, until the file tells it.
UNZONED: Final = timezone(timedelta(0), "none")
_parse: Final = lru_cache(maxsize=4_096)(parse)  # the rules of a file repeat what they say


class Field(Frozen):
    """One key of a map of the language."""

    key: str
    type: FieldType
    example: str
    description: str


def field(example: str, kind: FieldType, description: str) -> Field:
    """A field whose key is what its example begins with."""
    return Field(example.partition(":")[0], kind, example, description)


def _is(node: Node, kind: type[N], field: Field, report: Report, least: int = 0) -> TypeGuard[N]:
    """Whether a node is of a kind and of a size. If not, that is reported, unless the node was refused already."""
    before, is_whole = report.errors, not isinstance(node, Map) or node.is_whole
    most = field.type.most if isinstance(field.type, ListOf | MapOf) else None
    size = len(node.items if isinstance(node, Sequence) else node.entries if isinstance(node, Map) else ())
    hint = f"for example  {field.example}" if isinstance(field.type, MapOf) or not most else _ITEM
    if isinstance(node, Text) and node.is_refused:
        report.errors += 1  # what holds it is not whole either
    elif not isinstance(node, kind):
        written = isinstance(node, Text) and ("nothing" if node.is_null else f"the string {shown(node.value)}")
        what = f"{field.key} must be {_NAMES[kind]}, found {written or _NAMES[type(node)]}"
        report.add("E101", what, node.span, hint)
    elif size < least and is_whole:
        report.add("E101", f"{field.key} must not be an empty {_NAMES[kind][2:]}", node.span, hint)
    elif most and size > most:
        report.add("E114", f"{field.key} holds {size} items", node.span, f"the limit is {most}")
    is_kind = report.errors == before
    report.errors += not is_whole  # what was said of a key is wrong with what holds it too
    return is_kind


class Scalar(Frozen):
    """A scalar, taken as it is written. `parse` makes the value, or a tuple of problems; `name` is for the schema."""

    parse: Callable[[Text], Any]
    schema: Mapping[str, object]
    name: str = ""

    def read(self, node: Node, field: Field, report: Report) -> Any:
        if not _is(node, Text, field, report):
            return None
        hint = f'quote it: "{node.value}"' if node.value else "write one, or leave it out"
        found = _wrong("E108", f"{shown(field.key)} has no value", hint) if node.is_null else self.parse(node)
        for each in found if isinstance(found, tuple) else ():
            report.add(each.code, each.message, node.inner.part(node.value, each.offset, each.width), each.hint)
        return None if isinstance(found, tuple) else found


def _wrong(code: str, message: str, hint: str = "") -> tuple[Problem]:
    return (Problem(code, message, hint, 0, sys.maxsize),)


def checked(form: str, code: str, wrong: str, hint: str) -> Scalar:
    """A text of a certain form, a regex for the whole; `wrong` says what another one is not."""

    def parse_checked(text: Text) -> object:
        is_right = re.fullmatch(form, text.value)
        return Spanned(text.value, text.inner) if is_right else _wrong(code, f"{shown(text.value)} is {wrong}", hint)

    return Scalar(parse_checked, {**_ANY, "pattern": f"^(?:{form})$"})


def choice(words: Mapping[str, object], noun: str, *also: object) -> Scalar:
    """One of a few words, each with what it stands for; an editor takes `also` for the same."""

    def parse_choice(text: Text) -> object:
        if text.value in words:
            return words[text.value]
        near = did_you_mean(text.value, words, f"known: {', '.join(words)}")
        return _wrong("E104", f"unknown {noun} {shown(text.value)}", near)

    return Scalar(parse_choice, {"enum": [*words, *also]})


def _flag(text: Text) -> object:
    if text.is_plain and text.value in ("true", "false"):
        return text.value == "true"
    return _wrong("E109", f"expected true or false, found {shown(text.value)}", "write one of them, without quotes")


def timed(reader: Callable[[str, tzinfo], object], form: str, code: str = "", hint: str = "") -> Scalar:
    """What a reader of `core.times` makes of a text; `form` is a regex for all that it reads."""

    def parse_time(text: Text) -> object:
        try:
            return Spanned(reader(text.value, UNZONED), text.inner)
        except UnknownZone as unknown:
            near = did_you_mean(unknown.name, zone_names(), "write for example  Europe/Berlin")
            return _wrong("E401", f"unknown time zone {shown(unknown.name)}", near)
        except ValueError as error:
            return _wrong(code, str(error).partition(": expected")[0], hint)

    return Scalar(parse_time, {**_ANY, "pattern": f"^(?:{form})$"})


MAYBE_EMPTY: Final = Scalar(lambda text: Spanned(text.value, text.inner), _ANY)
TEXT: Final = checked(r"[\s\S]+", "E108", "no value", "write one, or leave it out")
FLAG: Final = Scalar(_flag, {"type": "boolean"})
AS_WINDOW: Final = "write for example  Mon-Thu 09:00-17:00  or  Fri 22:00-06:00 Europe/Berlin"
_AS_MOMENT: Final = "write for example  2026-12-18 18:00"
_DAY: Final = f"(?:{'|'.join(DAYS)})"
_WEEKLY: Final = rf"\s*{_DAY}(?:-{_DAY})? [0-2]\d:[0-5]\d-[0-2]\d:[0-5]\d(?: \S+)?\s*"
_DATED: Final = r"\s*\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(?::\d{2})?(?: ?[^\s.:]\S*)?\s*"
#: Names of zones without a slash are few; `Berlin` is none of them.
_ZONE: Final = (
    r"[^/ ]+/[^ ]+|[A-Z]{1,3}(?:[0-9+-]\w*)?|Zulu|Universal|Greenwich|Cuba|Egypt|Eire|Hongkong|Iceland|Iran|Israel"
    "|Jamaica|Japan|Kwajalein|Libya|Navajo|Poland|Portugal|Singapore|Turkey|Factory|localtime|posixrules"
)
ZONE: Final = timed(lambda name, _: str(zone(name)), _ZONE)
WINDOW: Final = timed(read_window, _WEEKLY, "E402", AS_WINDOW)
_NAMED: Final = rf"[\w.-]+|{_WEEKLY}"
DURING: Final = timed(lambda text, at: read_window(text, at) if " " in text else text, _NAMED, "E402", AS_WINDOW)
MOMENT: Final = timed(read_moment, _DATED, "E403", _AS_MOMENT)
#: A moment that stays a text, which can be read in several zones.
NOW: Final = timed(lambda text, at: read_now(text, at) and text, _DATED, "E403", _AS_MOMENT)

_BARE: Final = "(?!(?:refs/(?:heads|tags|remotes/origin)|origin)/)"
#: Other characters would change where a request goes.
_SLUG: Final = r"(?:gh|github|bb|bitbucket|circleci)(?:/(?!\.\.?(?:/|$))[^/?#%\\ \t\n\r]+){2}"
_AS_SLUG: Final = "write gh/ORG/REPO, bb/ORG/REPO or circleci/ORG-ID/PROJECT-ID"
PROJECT_SLUG: Final = checked(_SLUG, "E604", "not the slug of a project", _AS_SLUG)


def ref_name(noun: str, *, may_be_full: bool = False) -> Scalar:
    """The name of one branch or tag, or of any ref; without `refs/heads/` where it may not be full."""

    def parse_ref(text: Text) -> object:
        bare = branch_named(text.value.removeprefix("refs/tags/"))
        if bare != text.value and not may_be_full:
            return _wrong("E206", f"write the bare name, not {shown(text.value)}", bare)
        if not is_legal_ref(text.value):
            return _wrong("E207", f"no {noun} can be called {shown(text.value)}", "write its bare name")
        return Spanned(text.value, text.inner)

    return Scalar(parse_ref, {**_ANY, "pattern": rf"^{'' if may_be_full else _BARE}[^ ~^:?*\[\\\u0000-\u001f\u007f]+$"})


def pattern(kind: Kind, noun: str, name: str) -> Scalar:
    """A pattern of some kind; `noun` is what it is for."""

    def parse_pattern(text: Text) -> object:
        if text.inner != text.span and len(text.value) != text.inner.width and not text.value.isprintable():
            return _wrong(*BACKSLASH)  # double quotes have made something else of `\b` or `\t` in a regex
        try:
            found = _parse(text.value, kind)
        except PatternError as error:
            return (error.problem,)
        if kind is Kind.REF and not is_legal_ref(found.example):
            from deploystep.core.patterns.proofs import why_no_ref  # noqa: PLC0415 - few patterns need a proof

            if hopeless := why_no_ref(found, noun):
                return (hopeless,)
        return Spanned(found, text.inner)

    form = {"pattern": f"^{_BARE}"} if kind is Kind.REF else {}
    return Scalar(parse_pattern, {**_ANY, "minLength": 1, **form}, name)


#: Plain texts that some version of YAML reads as something else: booleans, numbers (YAML 1.1 has underscores, base 2,
#: 8 and 60; 1.2 has 0o17 and reads 08 as 8), dates, merge and default keys.
_AMBIGUOUS: Final = (
    r"(?is)y|n|yes|no|on|off|true|false|<<|=|[-+]?\.inf|\.nan|[-+]?0(?:b[01_]+|o[0-7_]+|x[0-9a-f_]+)"
    r"|(?=.*\d)[-+]?(?:\d[\d_]*(?::\d{1,2})*)?(?:\.[\d_]*)?(?:e[-+]?\d+)?|\d{4}-\d\d?-\d\d?(?:[t ].*)?"
)


def _typed(text: Text, as_text: Callable[[str], object] = str) -> object:
    """`true`, `false`, an integer, or a text, told apart by spelling alone."""
    if text.is_plain and re.fullmatch("true|false|-?(?:0|[1-9][0-9]{0,17})", text.value):
        return Spanned(text.value == "true" if text.value in ("true", "false") else int(text.value), text.inner)
    if text.is_plain and re.fullmatch(_AMBIGUOUS, text.value):
        what = f"{clipped(text.value)} means different things in different YAML versions"
        return _wrong("E502", what, f'quote it: "{clipped(text.value)}"')
    value = as_text(text.value)
    return value if isinstance(value, tuple) else Spanned(value, text.inner)


#: A value that is sent, where a text may hold `${…}`; and one as it is sent.
VALUE: Final = Scalar(lambda text: _typed(text, parse_template), {"type": ["string", "integer", "boolean"]})
EXPECTED: Final = replace(VALUE, parse=_typed)


class ListOf(Frozen):
    """A list of things."""

    item: FieldType
    least: int = 0
    most: int | None = None
    or_one: bool = False  # a single thing needs no list, and any one of several will do
    is_single: bool = False  # a map without a list holds one key: two would be read as either or as both

    def read(self, node: Node, field: Field, report: Report) -> tuple[Any, ...] | None:
        if self.is_single and isinstance(node, Map) and len(node.entries) > 1:
            what = f"two conditions in one '{field.key}' map are easy to misread"
            report.add("E303", what, node.span, "write a list: one item for each reason to stop")
            self.item.read(node, field, report)
            return None
        if self.or_one and not isinstance(node, Sequence):
            node = Sequence((node,), node.span)
        if not _is(node, Sequence, field, report, self.least):
            return None
        each = replace(field, key=f"each item of {field.key}") if self.most else field
        return tuple(v for item in node.items if (v := self.item.read(item, each, report)) is not None)


class MapOf(Frozen):
    """A map whose keys the writer chooses."""

    key: Scalar
    item: FieldType
    least: int = 0
    most: int | None = None

    def read(self, node: Node, field: Field, report: Report) -> tuple[tuple[Spanned[str], Any], ...] | None:
        """Keys and values that could be read, in order."""
        if not _is(node, Map, field, report, self.least):
            return None
        fields = ((k, v, replace(field, key=k.value)) for k, v in node.entries)
        pairs = [(self.key.read(k, each, report), self.item.read(v, each, report)) for k, v, each in fields]
        return tuple((name, value) for name, value in pairs if name is not None and value is not None)


one_or_many = partial(ListOf, least=1, or_one=True)
_EXPRESSION: Final = r"[=!]=|=~|!~|<<|\$\{|&&|\|\||\bpipeline\.|\b(?:and|or)\b|^not\b|\b(?:matches|starts-with)\b"
_CLAUSE: Final = r"""(?:pipeline\.git\.)?(branch|tag) == (["'])([A-Za-z0-9][A-Za-z0-9._/-]*)\2(?: and not tag)?"""
_ANY_OF: Final = "a map means all of these; a list of maps means any one of these"
_UNLESS: Final = "write what must not hold under unless:, beside when:"
_LOGIC: Final = {**dict.fromkeys(("or", "and", "any", "all"), _ANY_OF), "not": _UNLESS}
#: What other systems call a key. The first that a map has is meant: `ignore` in a rule is for codes.
_ALSO: Final = (
    "branches branch, tags tag, path paths, changes paths, changed paths, change_in paths, filters when, if when, "
    "only when, needs requires, pr pull_request, message message_contains, commit_message message_contains, "
    "exclude unless, except unless, exclude ignore, except ignore, params parameters"
)


class Fields(dict[str, Any]):
    """What was read of each of a table's keys; None where it is missing or wrong."""

    def __init__(self, span: Span, table: "Table") -> None:
        super().__init__(dict.fromkeys(field.key for field in table.fields))
        self.span = span
        self.places: dict[str, Span] = {}  # of the keys that are written
        self.unread: set[str] = set()  # what could not be read whole, or may be meant by another key

    def has(self, *keys: str) -> bool:
        """Whether one of these keys is written or may be meant, be its value right or wrong."""
        return any(key in self.places or key in self.unread for key in keys)

    def both(self, one: str, other: str) -> Span | None:
        """Where the second of two keys is written; None where one is missing."""
        return max(self.places[one], self.places[other]) if {one, other} <= self.places.keys() else None


class Table(Frozen):
    """A map with keys that the language names."""

    noun: str  # what it is
    kind: str  # what one of its keys is called
    fields: tuple[Field, ...]
    required: tuple[str, ...] = ()
    logic: bool = False  # whether words such as `or`, and expressions, are explained
    least: int = 0
    short: Field | None = None  # what another value than a map is for

    def read(self, node: Node, field: Field, report: Report) -> Fields:
        """Every value that could be read. Unknown keys are reported, and missing ones."""
        found, before = Fields(node.span, self), report.errors
        if self.short and not isinstance(node, Map):
            found[self.short.key] = self.short.type.read(node, field, report)
        elif self.logic and isinstance(node, Text) and re.search(_EXPRESSION, node.value):
            clauses = [re.fullmatch(_CLAUSE, clause) for clause in node.value.split(" or ")]
            maps = ", ".join(f"{{{clause[1]}: {clause[3]}}}" for clause in clauses if clause)
            translated = f"{field.key}: {f'[{maps}]' if clauses[1:] else maps}" if all(clauses) else field.example
            report.add("E110", "expected matchers, found an expression", node.span, f"for example  {translated}")
        elif _is(node, Map, field, report, self.least):
            return self._read_keys(node, found, report)
        found.unread |= found.keys() if report.errors > before else set()
        return found

    def _read_keys(self, node: Map, found: Fields, report: Report) -> Fields:
        known = {field.key: field for field in self.fields}
        for key, value in node.entries:
            before = report.errors
            if (field := known.get(key.value)) is not None:
                found.places[key.value] = key.span
                found[key.value] = field.type.read(value, field, report)
                found.unread |= {key.value} if report.errors > before else set()
            elif self.logic and key.value in _LOGIC:
                report.add("E113", f"there is no '{key.value}' here", key.span, _LOGIC[key.value])
            else:
                also = (k for other, k in map(str.split, _ALSO.split(", ")) if other == key.value and k in known)
                meant = next(also, "") or nearest(key.value, known)
                hint = f"did you mean {shown(meant)}?" if meant else f"known: {', '.join(known)}"
                report.add("E102", f"unknown {self.kind} {shown(key.value)}", key.span, hint)
        if not node.is_whole or len(found.places) < len(node.entries):
            found.unread |= known.keys() - found.places.keys()
        for missing in (key for key in self.required if not found.has(key)):
            what = f"this {self.noun} has no {shown(missing)}"
            report.add("E103", what, node.span, f"for example  {known[missing].example}")
            found.unread.add(missing)
        return found
