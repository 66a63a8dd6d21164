"""YAML that is not what its writer thinks, and files that mean harm. Usual mistakes have their golden files."""

from contextlib import suppress

import pytest
import yaml
from unit.rulefile.conftest import placed, said

from deploystep.core.source import Diagnostic, SourceFile
from deploystep.rulefile.yaml_reader import Node, Report, Stopped, read

E001, E010 = "error[E001]: this cannot be read as YAML", "is read by YAML as a tag"
STAR = "error[E002]: a value that begins with * must be quoted"
ODD = (
    "a:\tb", "\ufeffa: b.", "a: [n?]", "{? }", "? a\n: b", "a: |#\n", "a: >-#c\n b", "a: {c:!t x, d: n?}", '"\\/"',
    '"\\ud83d\\ude00": b', '"\\ud83d": b', "%YAML 1.3\n---\na: b", "", "~", "😀: &a\n  b\n'é': *a", "[" * 41,
    "k" * 1_030 + ": v", "a: b\r\nc: [d,\r\n e]\r\n", "a: &x [b]\nc: [*x, *x]\n", "a: 'b\n  c'\nd: |-2\n   e\n\n  f\n",
)  # fmt: skip


def branch(value: str) -> str:
    """A file whose branch, at 5:15, is written like this."""
    head = "version: 1\nrules:\n  - name: a\n    when:\n      branch: "
    return f"{head}{value}\n    deploy: {{workflow: d, parameters: {{x: true}}}}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (branch("[x: y: z]"), f"5:20: {E001}: while parsing a flow sequence: expected ',' or ']', but got ':'"),
        (branch("[a] b"), f"5:19: {E001}"),
        (branch("!a{b"), f"5:15: error[E010]: '!a' {E010}"),
        (branch("!a: b\n      : c"), f"5:15: error[E010]: '!a' {E010}"),
        (branch("&x !a"), f"5:15: error[E010]: '&x !a' {E010}"),
        (branch("! main"), f"5:15: error[E010]: '! main' {E010}"),
        ("!a", f"1:1: error[E010]: '!a' {E010}"),
        (branch('"a\\x1"'), "5:19: error[E003]: a backslash in double quotes is a YAML escape"),
        (branch('"a\\UFFFFFFFF"'), f"1:1: {E001}"),
        ("%YAML " + "9" * 5000 + ".1\n---\na: b\n", f"1:1: {E001}"),
        (branch("*.md # c"), f'5:15: {STAR} — write "*.md"'),
        # nothing stands inside of what it repeats
        (branch("main\n      env: {A: &x b, B: &x [*x]}"), f"6:29: {STAR}"),
        (branch("main\n      env: &x {B: [*x]}"), f"6:20: {STAR}"),
        (branch("\n        |"), "6:9: error[E203]: an empty pattern can never match"),
        ("a: [", f"1:5: {E001}: while parsing a flow node"),
        ("a:\n  - [b, c", "2:5: error[E017]: this [ is never closed — add ]"),
        ("a: b\n...\nc: d\n", "3:1: error[E013]: this stands after the end of the document — check the indentation"),
        *((deep * 5000, "1:") for deep in ("[", "- ", "? ", "[{a: ")),
    ],
)
def test_a_mistake_in_yaml_is_named_by_what_it_is(text: str, message: str) -> None:
    (found,) = said(text)
    assert found.startswith(f"deploy.yml:{message}")
    assert message != "1:" or "error[E009]: nested too deeply" in found


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("'main.'", "5:16"),
        ("&x 'main.'", "5:15"),
        ('[main, "x."]', "5:23"),
        ("\n        - main\n        - x.", "7:11"),
        ('"a\\u002e\\u002eb"', "5:16"),
        ("it\n        is..x", "5:15"),
        ("|\n        a..b", "5:15"),
    ],
)
def test_a_problem_is_shown_at_the_text_itself(text: str, place: str) -> None:
    for file in (branch(text), "\ufeff" + branch(text), branch(text).replace("\n", "\r\n")):
        assert placed(file) == [f"{place} E207"]


@pytest.mark.parametrize("hidden", "\0\x07\x1b\x7f\x85\u200b\u200e\u2028\u2029\u202a\u202e\u2066\u2069\ufeff\ud800\r")
def test_hidden_characters_are_refused_even_in_comments(hidden: str) -> None:
    """Each kind is shown once."""
    assert placed(f"version: 1 # a{hidden}b{hidden}\nrules: []\n") == ["1:15 E007"]
    both = said(f"version: 1 # {hidden}\u2060\nrules: \u2060[] # {hidden}\n")
    what = "error[E007]: the invisible character U+"
    assert [line.partition(" (")[0] for line in both] == [
        f"deploy.yml:1:14: {what}{ord(hidden):04X}",
        f"deploy.yml:1:15: {what}2060",
    ]


@pytest.mark.parametrize(
    ("expression", "example"),
    [
        ("tag == 'v1' or branch == \"dev\"", "[{tag: v1}, {branch: dev}]"),
        ("branch =~ /^v/", "{branch: main}"),
        ('branch == "a*"', "{branch: main}"),
        ("x and " * 100, "{branch: main}"),
    ],
)
def test_an_expression_is_translated_where_that_is_simple(expression: str, example: str) -> None:
    quoted = expression.replace("'", "''").strip()
    text = f"version: 1\nrules:\n  - name: a\n    when: '{quoted}'\n    deploy: {{parameters: {{x: true}}}}\n"
    what = "expected matchers, found an expression — for example  when: "
    assert said(text) == [f"deploy.yml:4:11: error[E110]: {what}{example}"]


def test_every_item_of_a_list_of_conditions_is_looked_at() -> None:
    text = "version: 1\nrules:\n  - name: a\n    when: [[], {}, branch == 'x', main]\n    deploy: {job: x}\n"
    assert placed(text) == ["4:12 E101", "4:16 E101", "4:20 E110", "4:35 E101"]


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml")
def test_libyaml_reads_alike_or_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is drawn at random is in tests/property/test_yaml_laws.py."""

    def reads(text: str) -> tuple[Node | None, list[Diagnostic]]:
        report = Report()
        with suppress(Stopped):
            return read(SourceFile("deploy.yml", text), report, ""), report.diagnostics
        return None, report.diagnostics

    with monkeypatch.context() as patch:
        patch.setattr(yaml, "SafeLoader", None)
        assert reads(branch("main"))[0], "libyaml alone has read it"
    found = [reads(text) for text in ODD]
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert [reads(text) for text in ODD] == found
