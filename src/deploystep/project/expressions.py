"""CircleCI's expressions and the values in them, with a value for what is not known.

`pipeline.git.branch == "main" and not pipeline.parameters.x`, as in `when:`, `filters:` and between `<<` and `>>`.
Grammar, precedence and the rules for an undefined value: CircleCI docs, "Configuration reference", "Using expressions
in your configuration", and the README of CircleCI-Public/expr, which evaluates them:

    or < and < == != starts-with contains matches < >= > <= < < not; all associate to the left

A value that is not there (`pipeline.git.branch` of a tag) makes every comparison undefined, also `!=`, and counts as
false. `matches` compares with the whole text. `=~` is no operator of theirs: an expression with it is not known.
What started the pipeline: CircleCI docs, "Pipeline values", which some kinds of repository, and Server, do not have.
"""

import operator as operators
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from functools import lru_cache
from itertools import product
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from deploystep.core.build import Branch, Tag
from deploystep.core.frozen import dataclass, replace
from deploystep.core.patterns import Kind, Pattern, PatternError
from deploystep.core.patterns.glob import MOST_STATES
from deploystep.core.patterns.nodes import state_count
from deploystep.core.patterns.regex import RegexReader
from deploystep.core.trace import OPPOSITE, Answer
from deploystep.project.reading import Text, Typed, typed


class Unknown(Enum):
    """The value of what cannot be known; of `SOMETHING` only that it is a text which is not empty."""

    UNKNOWN = "unknown"
    SOMETHING = "something"


UNKNOWN: Final = Unknown.UNKNOWN
Value: TypeAlias = Typed | Unknown  #: None is CircleCI's `undefined`, and YAML's null

_TAG: Final = re.compile(r"(?<!\\)<<(?![#^/])((?:(?!<<|>>).)*)>>", re.DOTALL)
_TOKEN: Final = re.compile(
    r'\s*(?:(?P<string>"(?:\\.|[^"\\])*")|(?P<pattern>/(?:\\.|[^/\\])*/)|(?P<number>\d+)'
    r"|(?P<word>[A-Za-z](?:[\w?-]|\.(?=[\w?-]))*)|(?P<sign>==|!=|>=|<=|[!<>()]))",
    re.ASCII | re.DOTALL,
)
_PARAMETER: Final = "pipeline.parameters."
_TAG_NAME: Final = "pipeline.git.tag"
#: What a value may be that tells how a pipeline began: by a push, through the API. None where it is not there.
_BEGAN: Final[Mapping[str, tuple[tuple[Value, ...], tuple[Value, ...]]]] = {
    "pipeline.trigger_source": (("webhook", None), ("api", None)),
    "pipeline.trigger.type": (
        ("github_app", "github_server", "github_oauth", "github", "bitbucket_cloud", "bitbucket_dc", "bitbucket",
         "gitlab", "webhook", None),
        ("api",),
    ),
    "pipeline.event.name": (("push", None), ("api", None)),
    "pipeline.event.action": (("push", None), ("api", None)),
    "pipeline.schedule.name": (("", None), ("", None)),
    "pipeline.schedule.id": (("", None), ("", None)),
}  # fmt: skip
_LONGEST: Final = 2048  # of an expression, in characters
_MOST_OPEN: Final = 40
#: Operators by how tightly they bind, the loosest first.
_LEVELS: Final = (("or",), ("and",), ("==", "!=", "starts-with", "contains", "matches"), (">=", ">", "<=", "<"))
_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    ">=": operators.ge, ">": operators.gt, "<=": operators.le, "<": operators.lt,
    "starts-with": str.startswith, "contains": operators.contains,
}  # fmt: skip
_ALIASES: Final = frozenset({"AND", "OR", "NOT", "TRUE", "FALSE"})


class Undeclared(Exception):
    """A pipeline parameter is named that the config does not declare: CircleCI refuses the whole config."""

    def __init__(self, name: str, line: int) -> None:
        super().__init__(name)
        self.name = name
        self.line = line


@dataclass(frozen=True, slots=True)
class Trigger:
    """What starts a pipeline: at a ref, by a push or through the API, with a value for every declared parameter.

    `is_any` stands for every way in which a pipeline can start; its parameters are not known. `began` has those values
    about the start that are taken for granted.
    """

    ref: Branch | Tag
    by_api: bool
    parameters: Mapping[str, Value]
    is_any: bool = False
    began: Mapping[str, Value] = MappingProxyType({})

    def beginnings(self, texts: Iterable[str]) -> Iterator["Trigger"]:
        """Yield the trigger for all that the values about its start may be, as far as the texts ask for them."""
        texts = list(texts)
        names = [name for name in _BEGAN if not self.is_any and any(name in text for text in texts)]
        for values in product(*(_BEGAN[name][self.by_api] for name in names)):
            yield replace(self, began=dict(zip(names, values, strict=True))) if names else self

    def value(self, name: str, line: int) -> Value:
        """A pipeline value by its name. Raises Undeclared."""
        if name == "pipeline.git.branch":
            return self.ref.name if isinstance(self.ref, Branch) else None
        if name == _TAG_NAME:
            return self.ref.name if isinstance(self.ref, Tag) else None
        if not name.startswith(_PARAMETER):
            return self.began.get(name, UNKNOWN)
        parameter = name.removeprefix(_PARAMETER)
        if self.is_any:
            return UNKNOWN
        if parameter not in self.parameters:
            raise Undeclared(parameter, line)
        return self.parameters[parameter]


def parameters_in(text: str) -> set[str]:
    """The pipeline parameters that a text names."""
    return {n.removeprefix(_PARAMETER) for n in re.findall(r"pipeline\.parameters\.[\w-]+(?:\.[\w-]+)*", text)}


def filled_parameters(text: str) -> set[str]:
    """The pipeline parameters that are filled into a text."""
    return {name for found in _TAG.finditer(text) for name in parameters_in(found[1])}


def truth(value: Value) -> Answer:
    """What counts as true: all but false, null, 0 and the empty text (docs, "Logic statements")."""
    if value is UNKNOWN:
        return Answer.UNKNOWN
    return Answer.YES if value else Answer.NO


def written(value: Value) -> str:
    """A value as YAML and CircleCI write it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_value(answer: Answer) -> Value:
    """An answer as a value that can be compared."""
    return UNKNOWN if answer is Answer.UNKNOWN else answer is Answer.YES


def filled(text: Text, trigger: Trigger) -> Value:
    """A scalar with its `<< … >>` filled in; one that is nothing else keeps the type of what stands there.

    A tag that there is not is the empty text (docs, "Pipeline values"); of a branch they do not tell.
    """
    whole = _TAG.fullmatch(text.strip())
    if whole is not None:
        value = evaluate(whole[1], text.line, trigger)
        return "" if value is None and whole[1].strip() == _TAG_NAME else value
    if "<<" not in text:
        return typed(text)
    if "<<#" in text or "<<^" in text:
        return UNKNOWN
    values = [evaluate(found[1], text.line, trigger) for found in _TAG.finditer(text)]
    if any(isinstance(value, Unknown) or value is None for value in values):
        return UNKNOWN  # how nothing is written into a text is not documented for all of them
    texts = iter(map(written, values))
    return _TAG.sub(lambda _: next(texts), text)


def evaluate(expression: str, line: int, trigger: Trigger) -> Value:
    """The value of an expression; unknown where it is none. Raises Undeclared."""
    parser = _Parser(_tokens(expression), lambda name: trigger.value(name, line))
    try:
        value = parser.value()
    except _Malformed:
        return UNKNOWN
    return value if parser.position == len(parser.tokens) else UNKNOWN


def is_expression(text: str) -> bool:
    """Whether a text reads as an expression about the pipeline."""
    return any(kind == "word" and word.startswith("pipeline.") for kind, word in _tokens(text))


@lru_cache(maxsize=1024)
def _tokens(text: str) -> tuple[tuple[str, str], ...]:
    """Kinds and texts of the tokens; none where the text is no expression."""
    text = text.strip()
    if len(text) > _LONGEST or text.count("(") > _MOST_OPEN:
        return ()
    found: list[tuple[str, str]] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            return ()
        found.append((match.lastgroup or "", match[match.lastgroup or ""]))
        position = match.end()
    return tuple(found)


class _Malformed(Exception):
    """The tokens are no expression, or one that CircleCI would refuse."""


class _Parser:
    """Evaluates while it reads: an expression is short, and looked at once for each trigger."""

    def __init__(self, tokens: tuple[tuple[str, str], ...], value_of: Callable[[str], Value]) -> None:
        self.tokens = tokens
        self.position = 0
        self.value_of = value_of

    @property
    def next(self) -> tuple[str, str]:
        """Kind and text of the next token; both empty at the end."""
        kind, text = self.tokens[self.position] if self.position < len(self.tokens) else ("", "")
        return kind, text.lower() if text in _ALIASES else text

    def value(self, level: int = 0) -> Value:
        """The value of what is joined by operators of this level, or of one that binds tighter."""
        if level == len(_LEVELS):
            return self._unary()
        left = self.value(level + 1)
        while self.next[1] in _LEVELS[level] and self.next[0] != "string":
            operator = self.next[1]
            self.position += 1
            if (operator == "matches") is not (self.next[0] == "pattern"):
                raise _Malformed
            left = _joined(operator, left, self.value(level + 1))
        return left

    def _unary(self) -> Value:
        negations = 0
        while self.next in (("word", "not"), ("sign", "!")):
            negations += 1
            self.position += 1
        value = self._primary()
        for _ in range(negations):
            value = as_value(OPPOSITE[holds(value)])
        return value

    def _primary(self) -> Value:
        kind, text = self.next
        self.position += 1
        if text == "(" and kind == "sign":
            value = self.value()
            if self.next != ("sign", ")"):
                raise _Malformed
            self.position += 1
            return value
        if kind == "string":
            return re.sub(r'\\(["\\])', r"\1", text[1:-1])
        if kind in ("number", "pattern"):
            return int(text) if kind == "number" else text
        if kind != "word" or any(text in level for level in (*_LEVELS, ("not",))):
            raise _Malformed
        return text == "true" if text in ("true", "false") else self.value_of(text)


def holds(value: Value) -> Answer:
    """Truth inside an expression: undefined is false; of 0 and the empty text the docs and their engine disagree."""
    if value is not True and value is not False and value in ("", 0):
        return Answer.UNKNOWN
    return truth(value)


def _joined(operator: str, left: Value, right: Value) -> Value:
    if operator not in ("or", "and"):
        return _compared(operator, left, right)
    answer = holds(left)
    if answer is not Answer.UNKNOWN:
        return left if (answer is Answer.YES) is (operator == "or") else right
    # either side may be the value: it is known where the right one settles it too
    return right if isinstance(right, bool) and right is (operator == "or") else UNKNOWN


def _compared(operator: str, left: Value, right: Value) -> Value:
    if left is None or right is None:
        return None
    is_equality = operator in ("==", "!=")
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        is_told = is_equality and "" in (left, right) and UNKNOWN not in (left, right)
        return operator == "!=" if is_told else UNKNOWN
    if is_equality:
        return (type(left) is type(right) and left == right) is (operator == "==")
    wanted = int if operator in _LEVELS[-1] else str
    if type(left) is not wanted or type(right) is not wanted:
        raise _Malformed
    if operator == "matches":
        return as_value(matches(str(right), str(left)))
    return _OPERATORS[operator](left, right)


@lru_cache(maxsize=1024)
def pattern_of(regex: str) -> Pattern | None:
    """A `/regex/` as a pattern; None where the engine here does not read what Java's would."""
    try:
        node = RegexReader(regex).read()
        return Pattern(regex, Kind.REF, node) if state_count(node) <= MOST_STATES else None
    except (PatternError, RecursionError):
        return None


def matches(regex: str, text: str) -> Answer:
    """Whether the regex between slashes matches the whole text, as CircleCI's filters and `matches` ask."""
    pattern = pattern_of(regex)
    return truth(pattern.matches(text) if pattern else UNKNOWN)
