"""Whether a gate (`when:`, `unless:`) or a job's filters let a pipeline through, and why not; three-valued.

CircleCI docs, "Configuration reference": "Logic statements" (what is falsy; an empty list is refused), "filters",
"branches", "tags", "Using expressions in your configuration"; "Pipeline values", not all of which every repository and
Server has. README of CircleCI-Public/expr, which evaluates expressions:

    or < and < == != starts-with contains matches < >= > <= < < not; all associate to the left

A value that is not there (`pipeline.git.branch` of a tag) makes every comparison undefined, also `!=`, and counts as
false. `matches`, and a filter's `/regex/`, compare with the whole text. `=~` is no operator of theirs: an expression
with it is not known.
"""

import operator as operators
import re
from collections.abc import Callable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, Final, TypeAlias

from deploystep.core.build import Branch, Tag
from deploystep.core.facts import OPPOSITE, Answer, kleene_and, kleene_or
from deploystep.core.frozen import Frozen, replace
from deploystep.core.patterns import MOST_STATES, Kind, Pattern, PatternError, RegexReader, state_count
from deploystep.project.reading import Items, Map, Node, Text, Typed, all_texts, at, key_line, typed


class Unknown(Enum):
    """The value of what cannot be known; of `SOMETHING` only that it is a text which is not empty."""

    UNKNOWN = "unknown"
    SOMETHING = "something"


UNKNOWN: Final = Unknown.UNKNOWN
Value: TypeAlias = Typed | Unknown  #: None is CircleCI's `undefined`, and YAML's null

TAG: Final = re.compile(r"(?<!\\)<<(?![#^/])((?:(?!<<|>>).)*)>>", re.DOTALL)
_TOKEN: Final = re.compile(
    r'\s*(?:(?P<string>"(?:\\.|[^"\\])*")|(?P<pattern>/(?:\\.|[^/\\])*/)|(?P<number>\d+)'
    r"|(?P<word>[A-Za-z](?:[\w?-]|\.(?=[\w?-]))*)|(?P<sign>==|!=|>=|<=|[!<>()])|(?P<other>\S))",
    re.ASCII | re.DOTALL,
)
_PARAMETER: Final = "pipeline.parameters."
_TAG_NAME: Final = "pipeline.git.tag"
#: Values that tell how a pipeline began, and what they may be of a push and through the API; None where not there.
_BEGAN: Final = tuple(map("pipeline.{}".format, (
    "trigger.type", "trigger_source", "event.name", "event.action", "schedule.name", "schedule.id"
)))  # fmt: skip
_HOSTS: Final = "github_app github_server github_oauth github bitbucket_cloud bitbucket_dc bitbucket gitlab webhook"
_PUSHED: Final = [*((host, "webhook", "push", "push", "", "") for host in _HOSTS.split()), (None,) * 6]
_BY_API: Final = [("api", "api", "api", "api", "", ""), ("api", None, None, None, None, None)]
_TAGS_CURE: Final = "add to the job, and to all that it requires,  filters: {tags: {only: /.*/}}"
#: Operators by how tightly they bind, the loosest first.
_LEVELS: Final = (("or",), ("and",), ("==", "!=", "starts-with", "contains", "matches"), (">=", ">", "<=", "<"))
_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    ">=": operators.ge, ">": operators.gt, "<=": operators.le, "<": operators.lt,
    "starts-with": str.startswith, "contains": operators.contains,
}  # fmt: skip


class Trigger(Frozen):
    """What starts a pipeline: at a ref, by a push or through the API, with a value for every declared parameter."""

    ref: Branch | Tag
    by_api: bool | None  # None for whatever way; then the parameters are not known
    parameters: Mapping[str, Value]  # also, by their whole names, values about the start that are taken for granted

    def value(self, name: str) -> Value:
        if name in ("pipeline.git.branch", _TAG_NAME):
            return self.ref.name if isinstance(self.ref, Tag) is (name == _TAG_NAME) else None
        return self.parameters.get(name.removeprefix(_PARAMETER), UNKNOWN)


def parameters_in(text: str) -> set[str]:
    """The pipeline parameters that a text names."""
    return {n.removeprefix(_PARAMETER) for n in re.findall(r"pipeline\.parameters\.[\w-]+(?:\.[\w-]+)*", text)}


def truth(value: Value) -> Answer:
    """What counts as true: all but false, null, 0 and the empty text (docs, "Logic statements")."""
    return Answer.UNKNOWN if value is UNKNOWN else Answer.YES if value else Answer.NO


def _written(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _as_value(answer: Answer) -> Value:
    return UNKNOWN if answer is Answer.UNKNOWN else answer is Answer.YES


def filled(text: Node | None, trigger: Trigger) -> Value:
    """A scalar with its `<< … >>` filled in, or what a statement comes to; unknown where there is something beside."""
    if not isinstance(text, Text):
        return _as_value(condition(text, trigger))
    whole = TAG.fullmatch(text.strip())
    if whole is None:
        return UNKNOWN if "<<" in text else typed(text)
    value = evaluate(whole[1], trigger)
    # a tag that there is not is the empty text (docs, "Pipeline values"); of a branch they do not tell
    return "" if value is None and whole[1].strip() == _TAG_NAME else value


_Tokens: TypeAlias = list[tuple[str, str]]  # kinds and texts, the next one last


def evaluate(expression: str, trigger: Trigger) -> Value:
    """The value of an expression; unknown where it is none."""
    rest = [*reversed(_tokens(expression))]
    try:
        value = _joined(rest, trigger, 0)
    except (ValueError, RecursionError):  # it is none, or one that CircleCI would refuse
        return UNKNOWN
    return UNKNOWN if rest else value


@lru_cache(maxsize=1024)
def _tokens(text: str) -> tuple[tuple[str, str], ...]:
    """Kinds and texts of the tokens; none where the text is no expression."""
    found = [(match.lastgroup or "", match[match.lastgroup or ""]) for match in _TOKEN.finditer(text)]
    is_clear = all(kind != "other" for kind, _ in found)
    return tuple((k, t.lower() if k == "word" and t.isupper() else t) for k, t in found) if is_clear else ()


def _joined(rest: _Tokens, trigger: Trigger, level: int) -> Value:
    """Evaluate what is joined by operators of a level, or of one that binds tighter, and take it away."""
    if level == len(_LEVELS):
        return _operand(rest, trigger)
    left = _joined(rest, trigger, level + 1)
    while rest and rest[-1][1] in _LEVELS[level] and rest[-1][0] != "string":
        operator = rest.pop()[1]
        if (operator == "matches") is not (rest[-1:] != [] and rest[-1][0] == "pattern"):
            raise ValueError
        left = _applied(operator, left, _joined(rest, trigger, level + 1))
    return left


def _operand(rest: _Tokens, trigger: Trigger) -> Value:
    kind, text = rest.pop() if rest else ("", "")
    if text in ("not", "!") and kind != "string":
        return _as_value(OPPOSITE[_holds(_operand(rest, trigger))])
    if text == "(" and kind == "sign":
        value = _joined(rest, trigger, 0)
        if rest and rest.pop() == ("sign", ")"):
            return value
    elif kind == "string":
        return re.sub(r'\\(["\\])', r"\1", text[1:-1])
    elif kind in ("number", "pattern"):
        return int(text) if kind == "number" else text
    elif kind == "word" and not any(text in level for level in _LEVELS):
        return text == "true" if text in ("true", "false") else trigger.value(text)
    raise ValueError


def _holds(value: Value) -> Answer:
    """Truth inside an expression: undefined is false; of 0 and the empty text the docs and their engine disagree."""
    return Answer.UNKNOWN if not isinstance(value, bool) and value in ("", 0) else truth(value)


def _applied(operator: str, left: Value, right: Value) -> Value:
    if operator in ("or", "and"):
        answer = _holds(left)
        if answer is not Answer.UNKNOWN:
            return left if (answer is Answer.YES) is (operator == "or") else right
        # either side may be the value: it is known where the right one settles it too
        return right if isinstance(right, bool) and right is (operator == "or") else UNKNOWN
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
        raise ValueError
    return _as_value(matches(str(right), str(left))) if operator == "matches" else _OPERATORS[operator](left, right)


@lru_cache(maxsize=1024)
def regex_of(text: str) -> Pattern | None:
    """A `/regex/` as a pattern; None where the text is none, or the engine here does not read what Java's would."""
    if len(text) < 2 or text[0] != "/" or text[-1] != "/":  # noqa: PLR2004
        return None
    try:
        node = RegexReader(text).read()
        return Pattern(text, Kind.REF, node) if state_count(node) <= MOST_STATES else None
    except (PatternError, RecursionError):
        return None


def matches(regex: str, text: str) -> Answer:
    """Whether the regex between slashes matches the whole text, as CircleCI's filters and `matches` ask."""
    pattern = regex_of(regex)
    return truth(pattern.matches(text) if pattern else UNKNOWN)


class Runs(Frozen):
    """Whether something runs, the line of the config that decides it (0: nothing there does), why, and what to do."""

    answer: Answer
    line: int = 0
    why: str = ""
    cure: str = ""  # none where a condition decides: what to do depends on what is sent


def gate(fields: Map, trigger: Trigger) -> Runs:
    """Whether `when:` and `unless:` of a workflow let the pipeline through."""
    for word, node in ((word, node) for word in ("when", "unless") if (node := at(fields, word)) is not None):
        answer = OPPOSITE[_anyhow(node, trigger)] if word == "unless" else _anyhow(node, trigger)
        if answer is not Answer.YES:
            return Runs(answer, key_line(fields, word), f"its {word}: {_because(node, trigger)}")
    return Runs(Answer.YES)


def _anyhow(node: Node, trigger: Trigger) -> Answer:
    """Whether a condition holds however the pipeline began, as far as the trigger leaves that open."""
    began = [dict(zip(_BEGAN, values, strict=True)) for values in (_BY_API if trigger.by_api else _PUSHED)]
    all_of = ({**trigger.parameters, **values} for values in ([{}] if trigger.by_api is None else began))
    try:
        answers = {condition(node, replace(trigger, parameters=values)) for values in all_of}
    except RecursionError:
        return Answer.UNKNOWN
    return answers.pop() if len(answers) == 1 else Answer.UNKNOWN


def _because(node: Node, trigger: Trigger) -> str:
    """The values that a condition asks for, as far as they are known."""
    text, facts = " ".join(all_texts(node)), []
    for name in sorted(parameters_in(text)):
        value = trigger.parameters.get(name, UNKNOWN)
        known = f"'{value}'" if isinstance(value, str) else "not set" if value is None else _written(value)
        facts.append(f"{name} is {'not known' if isinstance(value, Unknown) else known}")
    facts += [_said(trigger)] if "pipeline.git." in text else []
    if trigger.by_api is not None and any(name in text for name in _BEGAN):
        facts.append("it is triggered through the API" if trigger.by_api else "it is pushed")
    return ", ".join(facts) or "it does not depend on the trigger"


def _said(trigger: Trigger) -> str:
    return f"{'tag' if isinstance(trigger.ref, Tag) else 'branch'} {trigger.ref.name}"


def condition(node: Node | None, trigger: Trigger) -> Answer:
    """Whether a logic statement or an expression holds."""
    if isinstance(node, Text):
        return _text_holds(node, trigger)
    word, argument = next(iter(node.items())) if isinstance(node, Map) and len(node) == 1 else ("", node)
    if word == "not":
        return OPPOSITE[condition(argument, trigger)]
    if word == "matches":
        return _matches(argument, trigger)
    if word not in ("equal", "and", "or") or not isinstance(argument, Items) or not argument:
        return Answer.UNKNOWN
    if word == "equal":
        return _equal([filled(item, trigger) for item in argument])
    return (kleene_and if word == "and" else kleene_or)(condition(item, trigger) for item in argument)


def _text_holds(text: Text, trigger: Trigger) -> Answer:
    if "<<" in text:
        return truth(filled(text, trigger))
    value, literal = evaluate(text, trigger), typed(text)
    if any(kind == "word" and word.startswith("pipeline.") for kind, word in _tokens(text)):
        return _holds(value)
    is_doubtful = value is not UNKNOWN or "pipeline." in text  # CircleCI may take it for an expression, and refuse it
    return Answer.UNKNOWN if is_doubtful and isinstance(literal, str) and literal else truth(literal)


def _equal(values: list[Value]) -> Answer:
    """Equal values: how an empty one compares with nothing, and a number with its digits, is not documented."""
    known = [v for v in values if not isinstance(v, Unknown)]
    texts = {"" if v is None else _written(v) for v in known}
    if len(texts) > 1 or ("" in texts and Unknown.SOMETHING in values):
        return Answer.NO
    is_clear = len(known) == len(values) and len({type(v) for v in known}) == 1
    return Answer.YES if is_clear else Answer.UNKNOWN


def _matches(node: Node | None, trigger: Trigger) -> Answer:
    regex, text = filled(at(node, "pattern"), trigger), filled(at(node, "value"), trigger)
    if not isinstance(regex, str) or not isinstance(text, str | None):
        return Answer.UNKNOWN
    answer = matches(f"/{regex}/", text or "")
    return Answer.UNKNOWN if text is None and answer is Answer.YES else answer


def filtered(filters: Node | None, trigger: Trigger, line: int) -> Runs:
    """Whether the filters of a job, which is on a line, let the ref through; an expression is asked about either.

    Without one for tags it runs for none, without one for branches for all. Of `only` beside `ignore` no docs tell.
    """
    is_tag = isinstance(trigger.ref, Tag)
    cure = _TAGS_CURE if is_tag else f"let the filters there allow {_said(trigger)}, or keep it out of the rule"
    if isinstance(filters, Text) and filters:
        return Runs(_anyhow(filters, trigger), filters.line, f"its filters: {_because(filters, trigger)}", cure)
    rules = at(filters, "tags" if is_tag else "branches")
    if not rules:
        why, line = "a job without a filter for tags never runs for a tag", line if filters is None else filters.line
        return Runs(Answer.NO, line, why, cure) if is_tag else Runs(Answer.YES)
    only, ignore = at(rules, "only"), at(rules, "ignore")
    node = only or ignore
    if node is None or (only and ignore):
        return Runs(Answer.UNKNOWN, line)
    answer = _is_named(node, trigger.ref.name)
    return Runs(answer if only else OPPOSITE[answer], node.line, f"its filters: {_said(trigger)}", cure)


def _is_named(node: Node, name: str) -> Answer:
    """Whether a name or regex, or one of several, is the name."""
    if isinstance(node, Items):
        return kleene_or(Answer.UNKNOWN if isinstance(each, Items) else _is_named(each, name) for each in node)
    if not isinstance(node, Text) or "<<" in node:
        return Answer.UNKNOWN
    return matches(node, name) if len(node) > 1 and node[0] == node[-1] == "/" else truth(node == name)
