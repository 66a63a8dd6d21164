"""YAML that is not what its writer thinks, and files that mean harm."""

import itertools
from collections.abc import Callable
from contextlib import suppress

import pytest
import yaml

from deploystep.core.source import Diagnostic, SourceFile
from deploystep.rulefile.yaml_reader import Node, Report, Stopped, read

Said = Callable[[str], list[str]]
HEAD = "version: 1\nrules:\n  - name: a\n    when:\n      branch: "
TAIL = "\n    deploy: {workflow: d, parameters: {x: true}}\n"
E001 = "error[E001]: this cannot be read as YAML"


ODD = (
    "a:\tb", "\ufeffa: b.", "a: [n?]", "{? }", "? a\n: b", "a: |#\n", "a: >-#c\n b", "a: {c:!t x, d: n?}", '"\\/"',
    '"\\ud83d\\ude00": b', '"\\ud83d": b', "%YAML 1.3\n---\na: b", "", "~", "😀: &a\n  b\n'é': *a", "[" * 41,
    "k" * 1_030 + ": v", "a: b\r\nc: [d,\r\n e]\r\n", "a: &x [b]\nc: [*x, *x]\n", "a: 'b\n  c'\nd: |-2\n   e\n\n  f\n",
)  # fmt: skip


def branch(value: str) -> str:
    """A file whose branch, at 5:15, is written like this."""
    return HEAD + value + TAIL


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (branch("[x: y: z]"), f"5:20: {E001}: while parsing a flow sequence: expected ',' or ']', but got ':'"),
        (branch("[a] b"), f"5:19: {E001}"),
        (branch("[b,\n !c]"), "6:2: error[E010]: '!c' is read by YAML as a tag"),
        (branch("a]]"), "5:16: error[E201]: ']' is not a wildcard here"),
        (
            branch("%a # b"),
            f"5:15: {E001}: while scanning for the next token: found character '%' that cannot start any token",
        ),
        (branch("!a{b"), "5:15: error[E010]: '!a' is read by YAML as a tag"),
        (branch("!a: b\n      : c"), "5:15: error[E010]: '!a' is read by YAML as a tag"),
        (branch("&x !a"), "5:15: error[E010]: '&x !a' is read by YAML as a tag"),
        (branch("! main"), "5:15: error[E010]: '! main' is read by YAML as a tag"),
        (branch("!!seq [a]"), "5:15: error[E010]: '!!seq' is read by YAML as a tag"),
        (branch('"a\\x1"'), "5:19: error[E003]: a backslash in double quotes is a YAML escape"),
        (branch('"a\\UFFFFFFFF"'), f"1:1: {E001}"),
        (branch('"/a\\bc/"'), "5:16: error[E003]: a backslash in double quotes is a YAML escape"),
        (branch("*.md # c"), '5:15: error[E002]: a value that begins with * must be quoted — write "*.md"'),
        (
            branch("main\n      env: {A: &x b, B: &x [*x]}"),
            "6:29: error[E002]: a value that begins with * must be quoted",
        ),
        (branch("main\n      env: &x {B: [*x]}"), "6:20: error[E002]: a value that begins with * must be quoted"),
        (branch("\n        |"), "6:9: error[E203]: an empty pattern can never match"),
        ("%YAML " + "9" * 5000 + ".1\n---\na: b\n", f"1:1: {E001}"),
        ("a:\n  - [b, c\n", "2:5: error[E017]: this [ is never closed — add ]"),
        ("a: {b: [c]\n", "1:4: error[E017]: this { is never closed — add }"),
        (branch("[a,\n        b\n    deploy: {x: y}"), "5:15: error[E017]: this [ is never closed — add ]"),
        ("a: b\n...\nc: d\n", "3:1: error[E013]: this stands after the end of the document — check the indentation"),
        ("a: b\n---\nc: d\n", "2:1: error[E013]: a second YAML document begins here"),
        ("a: b: c", f"1:5: {E001}: mapping values are not allowed here — quote texts with special characters, and"),
        ("a:\n  -b: c\n   d: e\n", "2:3: error[E006]: '-b:' looks like a list item without a space — write - b:"),
        ("!a b: 1\n", "1:1: error[E010]: '!a b' is read by YAML as a tag"),
        ("!a", "1:1: error[E010]: '!a' is read by YAML as a tag"),
    ],
)
def test_a_mistake_in_yaml_is_named_by_what_it_is(text: str, message: str, said: Said) -> None:
    (found,) = said(text)
    assert found.startswith(f"deploy.yml:{message}")


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
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_problem_is_shown_at_the_text_itself(text: str, place: str, end: str, mark: str, said: Said) -> None:
    (message,) = said(mark + branch(text).replace("\n", end))
    assert message.startswith(f"deploy.yml:{place}: error[E207]")


@pytest.mark.parametrize(
    "character", "\0\x07\x1b\x7f\x85\u200b\u200e\u2028\u2029\u202a\u202e\u2066\u2069\ufeff\ud800\r"
)
def test_hidden_characters_are_refused_even_in_comments(character: str, said: Said) -> None:
    (message,) = said(f"version: 1 # a{character}b{character}\nrules: []\n")
    assert message.startswith("deploy.yml:1:15: error[E007]: the invisible character U+")


def test_each_kind_of_hidden_character_is_shown_once(said: Said) -> None:
    messages = said("version: 1 # \u202e\u202e\nrules: \u200b[] # \u202e\n")
    assert [message.partition(" (")[0] for message in messages] == [
        "deploy.yml:1:14: error[E007]: the invisible character U+202E",
        "deploy.yml:2:8: error[E007]: the invisible character U+200B",
    ]


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 5000, "- " * 5000, "? " * 3000, "[{a: " * 2000])
def test_deep_nesting_is_refused(text: str, said: Said) -> None:
    (message,) = said(text)
    assert "error[E009]: nested too deeply" in message


def test_an_alias_bomb_is_refused(said: Said) -> None:
    repeat = (f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in itertools.pairwise("abcdefghijkl"))
    (message,) = said("a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(repeat))
    assert "error[E015]: the aliases in this file repeat too much" in message


@pytest.mark.parametrize(
    ("expression", "example"),
    [
        ('branch == "main" and not tag', "{branch: main}"),
        ("pipeline.git.branch == 'main'", "{branch: main}"),
        ("tag == 'v1' or branch == \"dev\"", "[{tag: v1}, {branch: dev}]"),
        ("branch =~ /^v/", "{branch: main}"),
        ('branch == "a*"', "{branch: main}"),
        ("x and " * 100, "{branch: main}"),
    ],
)
def test_an_expression_is_translated_where_that_is_simple(expression: str, example: str, said: Said) -> None:
    quoted = expression.replace("'", "''").strip()
    text = f"version: 1\nrules:\n  - name: a\n    when: '{quoted}'\n    deploy: {{parameters: {{x: true}}}}\n"
    assert said(text) == [
        f"deploy.yml:4:11: error[E110]: expected matchers, found an expression — for example  when: {example}"
    ]


def test_every_item_of_a_list_of_conditions_is_looked_at(said: Said) -> None:
    text = "version: 1\nrules:\n  - name: a\n    when: [[], {}, branch == 'x', main]\n    deploy: {job: x}\n"
    assert [m.partition(" — ")[0].partition("error")[2] for m in said(text)] == [
        "[E101]: when must be a map, found a list",
        "[E101]: when must not be an empty map",
        "[E110]: expected matchers, found an expression",
        "[E101]: when must be a map, found the string 'main'",
    ]


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml")
def test_libyaml_reads_alike_or_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def reads(text: str) -> tuple[Node | None, list[Diagnostic]]:
        report = Report()
        with suppress(Stopped):
            return read(SourceFile("deploy.yml", text), report, ""), report.diagnostics
        return None, report.diagnostics

    usual, small = branch("main"), "a: [b, 'c d', {e: f}]  # g\nh:\n- i: \"j k\"\n  l:\n      - {r: [s]}\n"
    put_in = itertools.product("*!&|>%@`'\"{}[],:#?-~<=\\ a\n\t", range(len(small) + 1))
    texts = [usual, *ODD, *(small[:at] + character + small[at:] for character, at in put_in)]
    with monkeypatch.context() as patch:
        patch.setattr(yaml, "SafeLoader", None)
        assert reads(usual)[0], "libyaml alone has read it"
    found = [reads(text) for text in texts]
    monkeypatch.delattr(yaml, "CSafeLoader")
    for text, known in zip(texts, found, strict=True):
        assert reads(text) == known, text
