"""What may stand at a place of the file, each shape with its reader.

A reader reports what is wrong and returns None; it never raises. Shapes are plain data, so that the JSON
Schema and the reference pages are made from the same tables.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Generic, Protocol, TypeVar, cast

from deploystep.core.facts import Base, ChangedSince
from deploystep.core.frozen import dataclass, field
from deploystep.core.parameters import MAX_VALUE, Value, parse_template
from deploystep.core.pattern_nodes import text_at_hand
from deploystep.core.patterns import Kind, Pattern, PatternError, parse
from deploystep.core.ref_names import is_legal_ref
from deploystep.core.source import Span, Spanned
from deploystep.core.text import nearest
from deploystep.rulefile import characters, syntax
from deploystep.rulefile.nodes import Entry, Map, Node, Report, Sequence, Style, Text, clipped, kind_of, shown

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Shape(Protocol[T_co]):
    """Something that can be read from a node; `key` is the name of the field, for messages."""

    def read(self, node: Node, key: str, report: Report) -> T_co | None:
        """The value, or None after a report."""


@dataclass(frozen=True, slots=True)
class Field(Generic[T_co]):
    """One key of a map of the language."""

    key: str
    shape: Shape[T_co]
    description: str
    example: str
    required: bool = False


def written(node: Node, key: str, report: Report) -> Text | None:
    """A scalar with something in it; the text as written, whatever YAML would make of it."""
    if not isinstance(node, Text):
        report.error("E101", f"{key} must be a text, found {kind_of(node)}", node.span)
    elif node.is_null:
        refuse_null(node, key, report, "")
    elif characters.is_broken(node.value):
        report.error("E007", "half a character cannot be written here", node.span, "write the character itself")
    elif not node.is_refused:
        return node
    return None


def refuse_null(node: Text, key: str, report: Report, example: str) -> None:
    """Report a value that was left out, or a word that YAML takes for nothing."""
    if node.value:
        report.error("E108", f"{node.value} means 'no value' in YAML", node.span, f'quote it: "{node.value}"')
    else:
        report.error("E108", f"{shown(key)} has no value", node.span, f"for example  {example}" if example else "")


@dataclass(frozen=True, slots=True)
class AnyText:
    """Any scalar, taken as written."""

    may_be_empty: bool = False

    def read(self, node: Node, key: str, report: Report) -> Spanned[str] | None:
        """The text."""
        text = written(node, key, report)
        if text is None:
            return None
        if not text.value and not self.may_be_empty:
            report.error("E108", f"{shown(key)} is empty", text.span)
            return None
        return Spanned(text.value, text.inner)


@dataclass(frozen=True, slots=True)
class Checked:
    """A text of a certain form."""

    form: str
    code: str
    wrong: str
    hint: str

    def read(self, node: Node, key: str, report: Report) -> Spanned[str] | None:
        """The text."""
        text = written(node, key, report)
        if text is None:
            return None
        if not re.fullmatch(self.form, text.value):
            report.error(self.code, f"{shown(text.value)} is {self.wrong}", text.inner, self.hint)
            return None
        return Spanned(text.value, text.inner)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]
    noun: str

    def read(self, node: Node, key: str, report: Report) -> Spanned[str] | None:
        """The word."""
        text = written(node, key, report)
        if text is None:
            return None
        if text.value in self.words:
            return Spanned(text.value, text.inner)
        near = nearest(text.value, self.words)
        hint = f"did you mean {shown(near)}?" if near else f"known: {', '.join(self.words)}"
        report.error("E104", f"unknown {self.noun} {shown(text.value)}", text.inner, hint)
        return None


@dataclass(frozen=True, slots=True)
class Flag:
    """`true` or `false`, in exactly this spelling."""

    def read(self, node: Node, key: str, report: Report) -> Spanned[bool] | None:
        """The truth value."""
        text = written(node, key, report)
        if text is None:
            return None
        if text.value not in ("true", "false"):
            report.error("E109", f"expected true or false, got {shown(text.value)}", text.inner)
        elif text.style is not Style.PLAIN:
            report.error(
                "E109", f"expected true or false, got the text {shown(text.value)}", text.span, "remove the quotes"
            )
        else:
            return Spanned(text.value == "true", text.inner)
        return None


@dataclass(frozen=True, slots=True)
class NumberOrFalse:
    """A pull request's number, or `false` for none (which reads as 0)."""

    def read(self, node: Node, key: str, report: Report) -> Spanned[int] | None:
        """The number; 0 for false."""
        text = written(node, key, report)
        if text is None:
            return None
        if text.value == "false":
            return Spanned(0, text.inner)
        if not re.fullmatch(r"[1-9][0-9]{0,17}", text.value):
            report.error("E104", f"expected a number or false, got {shown(text.value)}", text.inner)
            return None
        return Spanned(int(text.value), text.inner)


def _is_escaped(text: Text, report: Report) -> bool:
    r"""Whether double quotes have made something else of `\b` or `\t` in a regex."""
    escaped = text.style is Style.QUOTED and not text.exact and not text.value.isprintable()
    if escaped:
        report.error(*syntax.BACKSLASH[:2], text.inner, syntax.BACKSLASH[2])
    return escaped


@lru_cache(maxsize=4096)
def _pattern(text: str, kind: Kind, noun: str) -> Pattern:
    pattern = parse(text, kind)
    if kind is Kind.REF and not is_legal_ref(text_at_hand(pattern.node) or ""):
        from deploystep.core.pattern_proofs import why_no_ref  # noqa: PLC0415 - few patterns need a proof

        hopeless = why_no_ref(pattern, noun)
        if hopeless is not None:
            raise PatternError(hopeless)
    return pattern


@dataclass(frozen=True, slots=True)
class PatternShape:
    """A pattern of some kind."""

    kind: Kind

    def read(self, node: Node, key: str, report: Report) -> Spanned[Pattern] | None:
        """The pattern."""
        text = written(node, key, report)
        if text is None or _is_escaped(text, report):
            return None
        try:
            return Spanned(_pattern(text.value, self.kind, key), text.inner)
        except PatternError as error:
            problem = error.problem
            span = text.part(problem.offset, problem.width) if text.value else text.span
            report.error(problem.code, problem.message, span, problem.hint)
            return None


@dataclass(frozen=True, slots=True)
class ListOf(Generic[T]):
    """A list of things; `form` says how an item looks, `each` what it is called."""

    item: Shape[T]
    form: str = ""
    each: str = ""
    least: int = 0
    limit: int | None = None

    def read(self, node: Node, key: str, report: Report) -> tuple[T, ...] | None:
        """The items that could be read."""
        if isinstance(node, Text) and node.is_refused:
            return None
        if not isinstance(node, Sequence):
            form = f" ({self.form})" if self.form else ""
            report.error("E101", f"{key} must be a list{form}", node.span)
            return None
        if len(node.items) < self.least:
            report.error("E101", f"{key} must not be an empty list", node.span)
        if self.limit is not None and len(node.items) > self.limit:
            over = node.items[self.limit].span
            report.error("E114", f"{key} holds {len(node.items)} items", over, f"the limit is {self.limit}")
            return None
        return _items(self.item, node, self.each or key, report)


def _items(shape: Shape[T], node: Sequence, key: str, report: Report) -> tuple[T, ...]:
    values = [shape.read(item, key, report) for item in node.items]
    return tuple(value for value in values if value is not None)


@dataclass(frozen=True, slots=True)
class OneOrMany(Generic[T]):
    """One thing, or a list of which any one will do."""

    item: Shape[T]

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
    """A map whose keys the writer chooses."""

    key: Checked | AnyText
    item: Shape[T]
    form: str
    least: int = 0

    def read(self, node: Node, key: str, report: Report) -> tuple[tuple[Spanned[str], T], ...] | None:
        """Keys and values that could be read, in order."""
        if isinstance(node, Text) and node.is_refused:
            return None
        if not isinstance(node, Map):
            report.error("E101", f"{key} must be a map, found {kind_of(node)}", node.span, self.form)
            return None
        if len(node.entries) < self.least and not node.is_broken:
            report.error("E101", f"{key} must not be an empty map", node.span, self.form)
        pairs = [
            (self.key.read(e.key, key, report), self.item.read(e.value, e.key.value, report)) for e in node.entries
        ]
        return tuple((name, value) for name, value in pairs if name is not None and value is not None)


@dataclass(frozen=True, slots=True)
class Table:
    """A map with keys that the language names.

    `noun` is what the map is, `kind` what one of its keys is called. `meant` holds words of other systems and
    the key that means the same here, `inside` keys that belong one level deeper and under which key, `notes` what
    to say about other wrong keys.
    """

    noun: str
    kind: str
    fields: tuple[Field[object], ...]
    meant: Mapping[str, str] = field(default_factory=dict)
    inside: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    logic: bool = False
    null_is_unset: bool = False

    def read(self, node: Node, key: str, report: Report) -> "Fields | None":
        """Every value that could be read. Unknown keys are reported, and so are missing ones."""
        if isinstance(node, Text) and node.is_refused:
            return None
        if not isinstance(node, Map):
            example = next((f.example for f in self.fields if f.required), self.fields[0].example)
            report.error("E101", f"{key} must be a map, found {kind_of(node)}", node.span, f"for example  {example}")
            return None
        before = report.errors
        dashed = any(_DASHED.match(entry.key.value) for entry in node.entries)
        wrong = [self._wrong(entry.key, report) for entry in node.entries]
        values = {e.key.value: v for e in node.entries if (v := self._value(e, report, dashed=dashed)) is not None}
        if not (node.is_broken or dashed):
            self._missing(node, {w for w in wrong if w}, report)
        return Fields(node, values, node.is_broken or any(w is not None for w in wrong), report.errors == before)

    def _field(self, key: str) -> Field[object] | None:
        return next((f for f in self.fields if f.key == key), None)

    def _value(self, entry: Entry, report: Report, *, dashed: bool) -> object:
        known = self._field(entry.key.value)
        if known is None:
            return None
        if isinstance(entry.value, Text) and entry.value.is_null:
            # below `rules:`, a `-name:` without a space is a key beside it
            if not (self.null_is_unset or dashed):
                refuse_null(entry.value, known.key, report, known.example)
            return None
        return known.shape.read(entry.value, known.key, report)

    def _wrong(self, key: Text, report: Report) -> str | None:
        """Report a key that cannot be used; the key that was meant ("" where none is near), None if all is well."""
        if self._field(key.value) is not None:
            return None
        if self.logic and (hint := _LOGIC.get(key.value)):
            report.error("E113", f"there is no '{key.value}' here", key.span, hint)
            return ""
        if _DASHED.match(key.value):
            syntax.refuse_dash(key.value, key.span, report)
            return key.value[1:]
        return self._unknown(key, report)

    def _unknown(self, key: Text, report: Report) -> str:
        meant, hint = self._meaning(key.value)
        report.error("E102", f"unknown {self.kind} {shown(key.value)}", key.span, hint)
        return meant

    def _meaning(self, key: str) -> tuple[str, str]:
        """The key that was probably meant ("" for none), and what to say."""
        if parent := self.inside.get(key):
            example = next(f.example for f in self.fields if f.key == parent)
            return parent, f"it stands under {parent}:, for example  {example}"
        if note := self.notes.get(key):
            return "", note
        near = self.meant.get(key) or nearest(key, [f.key for f in self.fields])
        if near:
            return near, f"did you mean {shown(near)}?"
        return "", f"known: {', '.join(f.key for f in self.fields)}"

    def _missing(self, node: Map, meant: set[str], report: Report) -> None:
        given = {entry.key.value for entry in node.entries} | meant
        for known in self.fields:
            if known.required and known.key not in given:
                report.error(
                    "E103", f"this {self.noun} has no {shown(known.key)}", node.span, f"for example  {known.example}"
                )


_DASHED: Final = re.compile(r"-\w")
_ANY: Final = "a map means all of these; a list of maps means any one of these"
_LOGIC: Final = MappingProxyType(
    {"or": _ANY, "and": _ANY, "any": _ANY, "all": _ANY, "not": "write what stops the rule under unless:"}
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

    def at(self, known: Field[T]) -> Span:
        """Where the key is written; where the map begins if it is not."""
        return next((e.key.span for e in self.node.entries if e.key.value == known.key), self.span)


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
        if isinstance(node, Map):
            ambiguous = self.single and len(node.entries) > 1
            if ambiguous:
                report.error(
                    "E303",
                    f"two conditions in one '{key}' map are easy to misread",
                    node.span,
                    "write a list: one item for each reason to stop",
                )
            one = self._alternative(node, key, report)
            return None if one is None else Choices((one,), node.span, ambiguous)
        if isinstance(node, Sequence):
            return self._list(node, key, report)
        _refuse_text(node, key, report)
        return None

    def _list(self, node: Sequence, key: str, report: Report) -> Choices | None:
        if not node.items:
            report.error("E101", f"{key} must not be an empty list", node.span, "it could never hold")
            return None
        read = [self._alternative(item, key, report) for item in node.items]
        alternatives = tuple(a for a in read if a is not None)
        # where one could not be read, the others are still checked, but nothing is claimed about the whole
        return Choices(alternatives, node.span) if alternatives else None

    def _alternative(self, node: Node, key: str, report: Report) -> Fields | None:
        if isinstance(node, Text):
            _refuse_text(node, key, report)
            return None
        if isinstance(node, Sequence):
            report.error("E101", "expected matchers, found a list in a list", node.span, "write one list of maps")
            return None
        if not node.entries and not node.is_broken:
            report.error(
                "E101", "expected matchers, found an empty map", node.span, f"for example  {key}: {{branch: main}}"
            )
            return None
        return self.table.read(node, key, report)


def _refuse_text(node: Text, key: str, report: Report) -> None:
    if node.is_refused:
        return
    from deploystep.rulefile import expression  # noqa: PLC0415 - only for who has written one

    if expression.is_expression(node.value):
        example = expression.translated(node.value)
        report.error(
            "E110",
            "expected matchers, found an expression",
            node.span,
            f"for example  {example.replace('when', key, 1)}",
        )
    else:
        found = f"the text {shown(node.value)}" if not node.is_null else "nothing"
        report.error("E101", f"expected matchers, found {found}", node.span, f"for example  {key}: {{branch: main}}")


BASES: Final = MappingProxyType(
    {"merge-base": Base.MERGE_BASE, "previous-commit": Base.PREVIOUS_COMMIT, "last-deploy": Base.LAST_DEPLOY}
)


@dataclass(frozen=True, slots=True)
class SinceShape:
    """Where a comparison of files starts: one of three words, or `{ref: NAME}`."""

    def read(self, node: Node, key: str, report: Report) -> ChangedSince | None:
        """The question to ask."""
        if isinstance(node, Map):
            return self._ref(node, key, report)
        text = written(node, key, report)
        if text is None:
            return None
        if text.value not in BASES:
            near = nearest(text.value, BASES)
            hint = f"did you mean {shown(near)}?" if near else f"write {', '.join(BASES)} or {{ref: {text.value}}}"
            report.error("E104", f"unknown base {shown(text.value)}", text.inner, hint)
            return None
        return ChangedSince(BASES[text.value])

    def _ref(self, node: Map, key: str, report: Report) -> ChangedSince | None:
        fields = REF_KEYS.read(node, key, report)
        name = fields.get(_REF) if fields else None
        if name is not None and not is_legal_ref(name.value):
            report.error("E207", f"no ref can be called {shown(name.value)}", name.span, "write its bare name")
            return None
        return ChangedSince(ref=name.value) if name else None


_REF: Final = Field("ref", AnyText(), "A branch, tag or other ref.", "ref: deployed/staging", required=True)
REF_KEYS: Final = Table("base", "key", (_REF,), meant=MappingProxyType({"branch": "ref", "tag": "ref"}))


@dataclass(frozen=True, slots=True)
class Paths:
    """What `paths:` says. `since` is None where it is not written."""

    only: tuple[Spanned[Pattern], ...]
    ignore: tuple[Spanned[Pattern], ...]
    since: ChangedSince | None


@dataclass(frozen=True, slots=True)
class PathsShape:
    """Patterns of paths, or a map with `only`, `ignore` and `since`."""

    patterns: OneOrMany[Spanned[Pattern]]
    table: Table

    def read(self, node: Node, key: str, report: Report) -> Paths | None:
        """What it says; None where any part of it is wrong."""
        if not isinstance(node, Map):
            only = self.patterns.read(node, key, report)
            return None if only is None else Paths(only, (), None)
        if not node.entries and not node.is_broken:
            report.error("E101", "paths must not be an empty map", node.span, "for example  paths: {only: services/**}")
            return None
        fields = self.table.read(node, key, report)
        if fields is None or not fields.is_clean:
            return None
        only, ignore, since = (cast("Any", fields.values.get(name)) for name in ("only", "ignore", "since"))
        return Paths(only or (), ignore or (), since)


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


@dataclass(frozen=True, slots=True)
class ValueShape:
    """`true`, `false`, a whole number, or a text with `${…}`, told apart by spelling alone."""

    def read(self, node: Node, key: str, report: Report) -> Written | None:
        """The value."""
        if not isinstance(node, Text):
            report.error("E101", f"expected a text, a whole number, true or false, found {kind_of(node)}", node.span)
            return None
        if node.is_refused:
            return None
        return self._plain(node, key, report) if node.style is Style.PLAIN else self._template(node, report)

    def _plain(self, node: Text, key: str, report: Report) -> Written | None:
        if node.value in ("true", "false"):
            return Written(node.value == "true", node)
        if _INTEGER.fullmatch(node.value):
            return self._integer(node, report)
        if not node.value:
            refuse_null(node, key, report, f'{key}: ""')
        elif node.value[0] in _AMBIGUOUS_FIRST and re.fullmatch(_AMBIGUOUS, node.value, re.VERBOSE | re.DOTALL):
            _refuse_ambiguous(node, report)
        else:
            return self._template(node, report)
        return None

    def _integer(self, node: Text, report: Report) -> Written | None:
        # the length first: Python refuses to convert thousands of digits
        if len(node.value) > len(str(_LARGEST)) + 1 or not -_LARGEST <= int(node.value) < _LARGEST:
            report.error(
                "E502", f"{shown(node.value)} is too large for a number", node.inner, "quote it to send a text"
            )
            return None
        return Written(int(node.value), node)

    def _template(self, node: Text, report: Report) -> Written | None:
        if characters.is_broken(node.value):
            report.error("E007", "half a character cannot be sent", node.span, "write the character itself")
            return None
        if len(node.value) > _LONGEST:
            report.error(
                "E510", f"a value of {len(node.value)} characters", node.inner, f"CircleCI takes {MAX_VALUE} at most"
            )
            return None
        template = parse_template(node.value)
        if not isinstance(template, tuple):
            return Written(template, node)
        for problem in template:
            # a command in a parameter has no short cure to name
            hint = "" if problem.code == "E504" else problem.hint
            report.error(problem.code, problem.message, node.part(problem.offset, problem.width), hint)
        return None


def _refuse_ambiguous(node: Text, report: Report) -> None:
    text = clipped(node.value)
    report.error(
        "E502",
        f"{text} means different things in different YAML versions",
        node.inner,
        f'quote it: "{text}"',
    )
