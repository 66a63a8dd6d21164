"""Truth tables of CircleCI's operators, from its documentation and from the README of its evaluator.

Docs: "Configuration reference", the sections "Using expressions in your configuration" and "Logic statements".
README: CircleCI-Public/expr, "Operators", "Precedence and associativity", "Variables".
"""

from typing import Final

import pytest

from deploystep.core.build import Branch, Tag
from deploystep.core.facts import Answer
from deploystep.project.conditions import UNKNOWN, Trigger, Unknown, Value, condition, evaluate, filled, gate
from deploystep.project.reading import Text, map_of, read_yaml

PARAMETERS: Final[dict[str, Value]] = {
    "yes": True, "no": False, "zero": 0, "seven": 7, "empty": "", "env": "staging",
    "open": UNKNOWN, "sent": Unknown.SOMETHING, "null": None,
}  # fmt: skip
ON_MAIN: Final = Trigger(Branch("main"), by_api=True, parameters=PARAMETERS)
ON_TAG: Final = Trigger(Tag("v1.4.0"), by_api=True, parameters=PARAMETERS)


@pytest.mark.parametrize(
    ("texts", "value"),
    [
        # docs, the table of operators
        (['"hello world" starts-with "hello"'], True),
        (['"hello world" starts-with "world"'], False),
        (["true and true"], True),
        (["true and false"], False),
        (["false or true"], True),
        (["false or false"], False),
        (["TRUE AND NOT FALSE"], True),
        (["true == 12"], False),
        (['"5" != 5', r'"a/b" matches /a\/.*/', '"a" == "a"', "1 != 2", "5 > 3", "3 >= 3"], True),
        (["5 < 3", "3 <= 2"], False),
        # docs: `not` binds tightly; foo is true and bar is false
        (["not pipeline.parameters.yes and pipeline.parameters.no"], False),
        (["not (pipeline.parameters.yes and pipeline.parameters.no)", "not not true"], True),
        (["!true"], False),
        # docs: "if-then-else style logic", and a fallback for a value that is null
        (['pipeline.git.branch == "main" and 10 or 1'], 10),
        (['pipeline.git.branch == "other" and 10 or 1'], 1),
        (['pipeline.git.tag or "no tag"'], "no tag"),
        # README: the loosest first: or, and, equality, comparison, not
        (["true or true and false", "1 < 2 == true"], True),
        # README: a value that is not there makes a comparison undefined, which counts as false
        (['pipeline.git.tag == "v1"', 'pipeline.git.tag != "v1"', "pipeline.git.tag == pipeline.git.tag",
          'pipeline.git.tag starts-with "v"'], None),
        (["not pipeline.git.tag"], True),
        (['"a" and pipeline.git.tag'], None),
        # README: matches asks for the whole text
        (['"hello world" matches /hello\\s\\w+/'], True),
        (['"hello world" matches /^hello/'], False),
        (['"hello world" contains "lo wo"'], True),
        (["pipeline.git.branch matches /^(?!x).*$/"], UNKNOWN),  # what this engine does not read
        # what is not known, unless the other side settles it
        (["pipeline.parameters.open"], UNKNOWN),
        (["pipeline.parameters.open or true"], True),
        (["pipeline.parameters.open and false"], False),
        (["not pipeline.parameters.open"], UNKNOWN),
        (['pipeline.parameters.sent == ""'], False),
        (['pipeline.parameters.sent != ""'], True),
        (['pipeline.parameters.sent == "a"', "pipeline.number > 5"], UNKNOWN),
        (["not pipeline.parameters.empty"], UNKNOWN),  # docs and evaluator disagree about 0 and ""
        # no expressions, or ones that CircleCI refuses
        (["pipeline.git.branch =~ /main/", "true and", "(true", "true true", '5 > "a"', '5 starts-with "a"',
          '"a" matches "a"', "5 matches /a/", "true & false", "(" * 5000 + "true" + ")" * 5000], UNKNOWN),
        ([r'"say \"a\\b\"" == "say \"a\\b\""'], True),
        ([""], UNKNOWN),
    ],
)  # fmt: skip
def test_the_value_of_an_expression(texts: list[str], value: Value) -> None:
    assert [evaluate(text, ON_MAIN) for text in texts] == [value] * len(texts)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("<< pipeline.parameters.seven >>", 7),
        ("<<pipeline.parameters.yes>>", True),
        ("release-<< pipeline.parameters.env >>-<< pipeline.parameters.yes >>", UNKNOWN),
        ("x-<< pipeline.git.tag >>", UNKNOWN),
        ("<<# parameters.x >>a<</ parameters.x >>", UNKNOWN),
        ("<< parameters.x >>", UNKNOWN),
        ("plain", "plain"),
    ],
)
def test_a_text_is_filled_in(text: str, value: Value) -> None:
    assert filled(Text(text), ON_MAIN) == value


YES, NO, OPEN = Answer.YES, Answer.NO, Answer.UNKNOWN


@pytest.mark.parametrize(
    ("texts", "main", "tag"),
    [
        # docs: a literal, a pipeline value or parameter that is truthy; what is falsy
        (["true", "42", '"a string"'], YES, YES),
        (["false", "0", '""', "null"], NO, NO),
        (["'false'", "1 == 2"], OPEN, OPEN),  # a text as a literal, false as an expression
        (["<< pipeline.git.branch >>"], YES, NO),
        (["<< pipeline.parameters.yes >>"], YES, YES),
        (["<< pipeline.parameters.empty >>", "<< pipeline.parameters.zero >>"], NO, NO),
        (["<< pipeline.parameters.env >>"], YES, YES),  # an enum itself is always true
        (["<< pipeline.parameters.sent >>"], YES, YES),
        (["<< pipeline.parameters.open >>", "<< pipeline.git.branch >> == main"], OPEN, OPEN),
        # docs: and, or, not, equal, matches with their examples
        (["{and: [true, true, false]}"], NO, NO),
        (["{and: [true, << pipeline.parameters.open >>]}"], OPEN, OPEN),
        (["{or: [false, true, false]}"], YES, YES),
        (["{or: [false, false]}", "{not: true}"], NO, NO),
        (["{not: {or: [<< pipeline.parameters.no >>, {equal: [main, << pipeline.git.branch >>]}]}}"], NO, YES),
        (["{equal: [42, << pipeline.number >>]}"], OPEN, OPEN),
        (["{equal: [7, << pipeline.parameters.seven >>]}"], YES, YES),
        (['{equal: ["7", << pipeline.parameters.seven >>]}'], OPEN, OPEN),
        (["{equal: [staging, << pipeline.parameters.env >>, << pipeline.parameters.env >>]}"], YES, YES),
        (["{equal: [a, b, << pipeline.parameters.open >>]}", '{equal: ["", << pipeline.parameters.sent >>]}'], NO, NO),
        # docs, "Pipeline values": without a tag it is the empty text
        (['{equal: ["", << pipeline.git.tag >>]}'], YES, NO),
        (['{matches: {pattern: "v.*|", value: << pipeline.git.tag >>}}'], YES, YES),
        (['{equal: ["", << pipeline.git.branch >>]}'], NO, OPEN),
        (["{equal: [true, {not: false}]}"], YES, YES),
        (['{matches: {pattern: "^ma.*$", value: << pipeline.git.branch >>}}'], YES, NO),
        (['{matches: {pattern: "^ma", value: << pipeline.git.branch >>}}'], NO, NO),
        (['{matches: {pattern: "(?!x).*", value: << pipeline.git.branch >>}}', "{matches: main}"], OPEN, OPEN),
        # what CircleCI refuses is not known
        (["{and: []}", "{xor: [true]}", "{and: [true], or: [true]}", "[true]"], OPEN, OPEN),
        # an expression, directly
        (['pipeline.git.branch == "main" and not pipeline.parameters.no'], YES, NO),
        (['pipeline.git.tag starts-with "v"'], NO, YES),
        (["pipeline.parameters.zero"], OPEN, OPEN),  # docs and evaluator disagree about 0
        (["pipeline.parameters.env = 'staging'"], OPEN, OPEN),  # no expression: not a text that is true
        (["pipeline.git.branch =~ /main/"], OPEN, OPEN),
    ],
)  # fmt: skip
def test_a_logic_statement(texts: list[str], main: Answer, tag: Answer) -> None:
    nodes = list(map(read_yaml, texts))
    assert [(condition(n, ON_MAIN), condition(n, ON_TAG)) for n in nodes] == [(main, tag)] * len(nodes)


@pytest.mark.parametrize(
    ("text", "pushed", "by_api"),
    [
        # docs, "Pipeline values": the words for the source; it is gone since August 2026, and then undefined
        ("{equal: [api, << pipeline.trigger_source >>]}", NO, OPEN),
        ("{equal: [webhook, << pipeline.trigger_source >>]}", OPEN, NO),
        ("{not: {equal: [scheduled_pipeline, << pipeline.trigger_source >>]}}", YES, YES),
        ('pipeline.trigger_source == "scheduled_pipeline"', NO, NO),
        ('not (pipeline.trigger_source starts-with "api")', YES, OPEN),
        ('pipeline.trigger.type == "api"', NO, YES),
        ("{not: {equal: [api, << pipeline.trigger.type >>]}}", YES, NO),
        ('pipeline.trigger.type == "schedule"', NO, NO),
        ('pipeline.trigger.type == "github_app"', OPEN, NO),
        ('pipeline.event.name == "pull_request" and pipeline.event.action == "opened"', NO, NO),
        ('pipeline.event.name == "push"', OPEN, NO),
        ('pipeline.event.name == "api"', NO, OPEN),
        # of another source the name of the schedule is empty
        ("<< pipeline.schedule.name >>", NO, NO),
        ('pipeline.schedule.name == "nightly" or pipeline.git.branch == "main"', YES, YES),
        ("<< pipeline.number >>", OPEN, OPEN),
    ],
)
def test_what_started_the_pipeline(text: str, pushed: Answer, by_api: Answer) -> None:
    fields = map_of(read_yaml(f"when: {text}" if text[0] in "{<" else f"when: '{text}'"))
    push = Trigger(Branch("main"), by_api=False, parameters=PARAMETERS)
    assert [gate(fields, trigger).answer for trigger in (push, ON_MAIN)] == [pushed, by_api]
    anyhow = Trigger(Branch("main"), by_api=None, parameters={})
    assert gate(fields, anyhow).answer is OPEN or "or pipeline.git.branch" in text


def test_statements_are_followed_to_the_depth_that_circleci_allows() -> None:
    node = read_yaml("{not: " * 90 + "true" + "}" * 90)
    assert condition(node, ON_MAIN) is YES
