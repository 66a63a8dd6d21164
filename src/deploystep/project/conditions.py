"""Whether a gate (`when:`, `unless:`) or a job's filters let a pipeline through, and why not.

CircleCI docs, "Configuration reference": "Logic statements" (`and`, `or`, `not`, `equal`, `matches`; what is falsy; an
empty list is refused), "filters", "branches", "tags". A filter's `/regex/` matches the whole name.
"""

from enum import Enum
from typing import Final

from deploystep.core.build import Tag
from deploystep.core.frozen import dataclass
from deploystep.core.trace import OPPOSITE, Answer, kleene_and, kleene_or
from deploystep.project.expressions import (
    UNKNOWN,
    Trigger,
    Unknown,
    Value,
    as_value,
    evaluate,
    filled,
    holds,
    is_expression,
    matches,
    parameters_in,
    truth,
    written,
)
from deploystep.project.reading import Items, Map, Node, Text, all_texts, at, key_line

_MOST_DEEP: Final = 100


class Reason(Enum):
    """What keeps something from running, as far as what to do depends on it."""

    OTHER = "other"  # a condition, most often
    FILTERS = "filters"
    NO_TAGS = "no tags"  # no filter for tags
    SCHEDULE = "schedule"
    UNDECLARED = "undeclared"  # a parameter
    REFUSED = "refused"  # a name that there is not


@dataclass(frozen=True, slots=True)
class Runs:
    """Whether something runs, the line of the config that decides it (0: nothing there does), and why.

    `is_required`: it is another job that does not run, and that this one requires.
    """

    answer: Answer
    line: int = 0
    why: str = ""
    reason: Reason = Reason.OTHER
    is_required: bool = False

    @property
    def is_out(self) -> bool:
        """Whether it does not run, or requires what does not, of which the docs tell two things for a tag."""
        return self.answer is Answer.NO or (self.answer is Answer.UNKNOWN and self.is_required)


YES: Final = Runs(Answer.YES)


def gate(fields: Map, trigger: Trigger) -> Runs:
    """Whether `when:` and `unless:` of a workflow let the pipeline through."""
    for word in ("when", "unless"):
        node = at(fields, word)
        if node is None:
            continue
        answer = _anyhow(node, trigger) if word == "when" else OPPOSITE[_anyhow(node, trigger)]
        if answer is not Answer.YES:
            return Runs(answer, key_line(fields, word), f"its {word}: {_because(node, trigger)}")
    return YES


def _anyhow(node: Node, trigger: Trigger) -> Answer:
    """Whether a condition holds however the pipeline began, as far as the trigger leaves that open."""
    answers = {condition(node, each) for each in trigger.beginnings(all_texts(node))}
    return answers.pop() if len(answers) == 1 else Answer.UNKNOWN


def _because(node: Node, trigger: Trigger) -> str:
    """The values that a condition asks for, as far as they are known."""
    texts = [str(text) for text in all_texts(node)]
    names = sorted(set[str]().union(*map(parameters_in, texts)))
    facts = [f"{name} is {_shown(trigger.parameters.get(name, UNKNOWN))}" for name in names]
    if any("pipeline.git." in text for text in texts):
        facts.append(said(trigger))
    if any(each.began for each in trigger.beginnings(texts)):
        facts.append("it is triggered through the API" if trigger.by_api else "it is pushed")
    return ", ".join(facts) or "it does not depend on the trigger"


def said(trigger: Trigger) -> str:
    """The ref in words."""
    return f"{'tag' if isinstance(trigger.ref, Tag) else 'branch'} {trigger.ref.name}"


def _shown(value: Value) -> str:
    if isinstance(value, Unknown) or value is None:
        return "not known" if value is not None else "not set"
    return f"'{value}'" if isinstance(value, str) else written(value)


def condition(node: Node, trigger: Trigger, depth: int = 0) -> Answer:
    """Whether a logic statement or an expression holds. Raises Undeclared."""
    if isinstance(node, Text):
        return _text_holds(node, trigger)
    if isinstance(node, Items) or len(node) != 1 or depth > _MOST_DEEP:
        return Answer.UNKNOWN
    word, argument = next(iter(node.items()))
    if word in ("not", "matches"):
        return _matches(argument, trigger) if word == "matches" else OPPOSITE[condition(argument, trigger, depth + 1)]
    if word not in ("equal", "and", "or") or not isinstance(argument, Items) or not argument:
        return Answer.UNKNOWN
    if word == "equal":
        return _equal([_value(item, trigger, depth) for item in argument])
    combined = kleene_and if word == "and" else kleene_or
    return combined(condition(item, trigger, depth + 1) for item in argument)


def _text_holds(text: Text, trigger: Trigger) -> Answer:
    if "<<" in text:
        is_only_tag = text.startswith("<<") and text.rstrip().endswith(">>") and text.count("<<") == 1
        return truth(filled(text, trigger)) if is_only_tag else Answer.UNKNOWN
    value = evaluate(text, text.line, trigger)
    if is_expression(text):
        return holds(value)
    literal = truth(filled(text, trigger))  # CircleCI may take a text for an expression, and refuse it
    is_doubtful = literal is Answer.YES and (value is False or "pipeline." in text)
    return Answer.UNKNOWN if is_doubtful else literal


def _value(node: Node, trigger: Trigger, depth: int) -> Value:
    return filled(node, trigger) if isinstance(node, Text) else as_value(condition(node, trigger, depth + 1))


def _equal(values: list[Value]) -> Answer:
    """Equal values: how an empty one compares with nothing, and a number with its digits, is not documented."""
    known = [v for v in values if not isinstance(v, Unknown)]
    texts = {"" if v is None else written(v) for v in known}
    if len(texts) > 1 or ("" in texts and Unknown.SOMETHING in values):
        return Answer.NO
    is_clear = len(known) == len(values) and len({type(v) for v in known}) == 1
    return Answer.YES if is_clear else Answer.UNKNOWN


def _matches(node: Node, trigger: Trigger) -> Answer:
    pattern, value = at(node, "pattern"), at(node, "value")
    if not isinstance(pattern, Text) or not isinstance(value, Text):
        return Answer.UNKNOWN
    regex, text = filled(pattern, trigger), filled(value, trigger)
    if not isinstance(regex, str) or not (isinstance(text, str) or text is None):
        return Answer.UNKNOWN
    answer = matches(f"/{regex}/", text or "")
    return answer if text is not None or answer is Answer.NO else Answer.UNKNOWN


def filtered(filters: Node | None, trigger: Trigger, line: int) -> Runs:
    """Whether the filters of a job let the ref through. `line` is that of the job.

    A job without a filter for tags never runs for one; without a filter for branches it runs for all. A filter that is
    an expression is asked about either.
    """
    if isinstance(filters, Text) and filters:
        why = f"its filters: {_because(filters, trigger)}"
        return Runs(_anyhow(filters, trigger), filters.line, why, Reason.FILTERS)
    kind = "tags" if isinstance(trigger.ref, Tag) else "branches"
    rules = at(filters, kind)
    if rules is None:
        if kind == "branches":
            return YES
        why = "a job without a filter for tags never runs for a tag"
        return Runs(Answer.NO, line if filters is None else filters.line, why, Reason.NO_TAGS)
    if not isinstance(rules, Map):
        return Runs(Answer.UNKNOWN, line)
    only, ignore = at(rules, "only"), at(rules, "ignore")
    asked = [_named(node, trigger.ref.name) for node in (only, ignore) if node is not None]
    if only is not None and ignore is not None and kleene_and(asked) is not Answer.NO:
        answer = Answer.UNKNOWN  # `only` is "considered before" `ignore`
    elif only is not None:
        answer = asked[0]
    else:
        answer = OPPOSITE[asked[0]] if asked else (Answer.YES if kind == "branches" else Answer.NO)
    return Runs(answer, (only or ignore or rules).line, f"its filters: {said(trigger)}", Reason.FILTERS)


def _named(node: Node, name: str) -> Answer:
    """Whether one of the names or regexes is the name."""
    listed = node if isinstance(node, Items) else [node]
    return kleene_or(_is_named(each, name) for each in listed)


def _is_named(text: Node, name: str) -> Answer:
    if not isinstance(text, Text) or "<<" in text:
        return Answer.UNKNOWN
    return matches(text, name) if len(text) > 1 and text[0] == text[-1] == "/" else truth(text == name)
