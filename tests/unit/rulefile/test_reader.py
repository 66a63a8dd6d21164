"""YAML that is not what its writer thinks, and files that mean harm."""

import itertools
from collections.abc import Callable

import pytest

Said = Callable[[str], list[str]]
HEAD = "version: 1\nrules:\n  - name: a\n    when:\n      branch: "
TAIL = "\n    deploy: {workflow: d, parameters: {x: true}}\n"


def branch(value: str) -> str:
    """A file whose branch, at 5:15, is written like this."""
    return HEAD + value + TAIL


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[x: y: z]", "5:20: error[E017]: expected , or ] here"),
        ("[a b: c]d", "5:23: error[E018]: this line"),
        ("[a] b", "5:19: error[E018]: this line"),
        ("'b' [c]", "5:19: error[E019]: text after a closing quote"),
        ("'b', c", "5:18: error[E019]: there is nothing that this , could end"),
        ("[b,\n !c]", "6:2: error[E010]: '!c' is read by YAML as a tag"),
        ("[b,\n 'x' !c]", "6:6: error[E010]: '!c' is read by YAML as a tag"),
        ("a]]", "5:16: error[E201]: ']' is not a wildcard here"),
        ("[a]]", "5:18: error[E019]: there is nothing that this ] could end"),
        ("[a, {b]}", "5:21: error[E017]: expected , or } here"),
        ("& a", "5:15: error[E020]: a value that begins with & must be quoted — write '& a'"),
        (">a", "5:15: error[E020]: a value that begins with > must be quoted — write '>a'"),
        ("%a # b", "5:15: error[E020]: a value that begins with % must be quoted — write '%a'"),
        ("!a{b", "5:15: error[E010]: '!a{b' is read by YAML as a tag"),
        ("!a!b", "5:15: error[E010]: '!a!b' is read by YAML as a tag"),
        ("[!a]", "5:16: error[E010]: '!a' is read by YAML as a tag"),
        ("[b, {c: d}, !a]", "5:27: error[E010]: '!a' is read by YAML as a tag"),
        ("!<tag> x", "5:15: error[E010]: '!<tag>' is read by YAML as a tag"),
        ("&x !a", "5:15: error[E010]: '!a' is read by YAML as a tag"),
        ("! main", "5:15: error[E011]: '!' is a YAML tag, which this file has no use for — remove it"),
        ("!!seq [a]", "5:15: error[E011]: '!!seq' is a YAML tag"),
        ('"a\\x1"', "5:19: error[E003]: a backslash in double quotes is a YAML escape"),
        ('"a\\UFFFFFFFF"', "5:17: error[E003]: there is no character \\UFFFFFFFF"),
        ('"\\U0001F600\\UFFFFFFFF"', "5:26: error[E003]: there is no character \\UFFFFFFFF"),
        ("a\t# b", "5:16: error[E004]: a tab where YAML wants spaces"),
        ('["/a\\tb/", x]', "5:17: error[E003]: a backslash in double quotes is a YAML escape"),
        ('"/a\\bc/"', "5:16: error[E003]: a backslash in double quotes is a YAML escape"),
        ("\n        |", "6:9: error[E203]: an empty pattern can never match"),
    ],
)
def test_a_mistake_in_yaml_is_named_by_what_it_is(text: str, message: str, said: Said) -> None:
    messages = said(branch(text))
    assert messages[0].startswith(f"deploy.yml:{message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("%YAML 3.0\n---\na: b\n", "1:1: error[E001]: this cannot be read as YAML: found incompatible YAML document"),
        ("%YAML " + "9" * 5000 + ".1\n---\na: b\n", "1:1: error[E001]: this cannot be read as YAML"),
        ("a: [b, c\n  d: ${e\n", "1:4: error[E017]: this [ is never closed"),
        ("a: b\n...\nfoo\n", "3:1: error[E013]: this stands after the end of the document"),
        ("a: &x [*x]\n", "1:8: error[E015]: *x stands inside of what it repeats"),
        ("a: {b: &x {c: {d: *x}}}\n", "1:19: error[E015]: *x stands inside of what it repeats"),
        ("a: [b", "1:4: error[E017]: this [ is never closed"),
        ("a: [b, {c: d},\n", "1:4: error[E017]: this [ is never closed — add ]"),
        ("a: {b: [}", "1:9: error[E017]: expected , or ] here"),
        ("-b: c\nd: e: f\n", "2:5: error[E019]: a second ': ' in one value"),
        ("a: [!b]\n", "1:5: error[E010]: '!b' is read by YAML as a tag"),
        ("- a: b\n  c\n", "2:3: error[E018]: this line has no ':'"),
        ("a:\n  - b\n c: d\n", "3:2: error[E018]: this line is not indented"),
        ("a:\n  -b: c\n   d: e\n", "2:3: error[E006]: '-b:' looks like a list item without a space — write - b:"),
    ],
)
def test_a_file_that_is_no_yaml(text: str, message: str, said: Said) -> None:
    (found,) = said(text)
    assert found.startswith(f"deploy.yml:{message}")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("&x main.", "5:18"),
        ("&x\n        main.", "6:9"),
        ("&x   # why\n\n        'main.'", "7:10"),
        ("'main.'", "5:16"),
        ('[main, "x."]', "5:23"),
        ("\n        - main\n        - x.", "7:11"),
    ],
)
def test_a_problem_is_shown_at_the_text_itself(text: str, place: str, said: Said) -> None:
    (message,) = said(branch(text))
    assert message.startswith(f"deploy.yml:{place}: error[E207]")


@pytest.mark.parametrize(
    "text",
    ['"a\\u002e\\u002eb"', '"\\u0061]]"', "'it''s..x'", "it\n        is..x", "|\n        a..b", ">-\n        a..b"],
)
def test_a_problem_in_a_text_with_escapes_or_several_lines_stays_inside_of_it(text: str, said: Said) -> None:
    (message,) = said(branch(text))
    assert message.startswith(("deploy.yml:5:15: error", "deploy.yml:5:16: error"))


def test_windows_line_ends_do_not_move_anything(said: Said) -> None:
    text = branch("release..1")
    assert said(text.replace("\n", "\r\n")) == said(text)


def test_a_byte_order_mark_does_not_move_anything(said: Said) -> None:
    text = branch("release..1")
    assert said("\ufeff" + text) == said(text)
    assert said("\ufeffversoin: 1\nrules: []")[0].startswith("deploy.yml:1:1: error[E102]")


@pytest.mark.parametrize(
    "character", "\0\x07\x1b\x7f\x85\u200b\u200e\u2028\u2029\u202a\u202e\u2066\u2069\ufeff\ud800\r"
)
def test_hidden_characters_are_refused_even_in_comments(character: str, said: Said) -> None:
    (message,) = said(f"version: 1 # a{character}b\nrules: []\n")
    assert message.startswith("deploy.yml:1:15: error[E007]: the invisible character U+")


def test_each_hidden_character_is_shown_once(said: Said) -> None:
    places = [message.split(" ")[0] for message in said("\u200b\u200b\u202e\u202e")]
    assert places == ["deploy.yml:1:1:", "deploy.yml:1:3:"]


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 5000, "- " * 5000, "? " * 3000, "[{a: " * 2000])
def test_deep_nesting_is_refused(text: str, said: Said) -> None:
    (message,) = said(text)
    assert "error[E009]: nested too deeply" in message


def test_an_alias_bomb_is_refused(said: Said) -> None:
    letters = "abcdefghijkl"
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in itertools.pairwise(letters))
    (message,) = said(bomb)
    assert "error[E015]: the aliases in this file repeat too much" in message


def test_a_second_anchor_of_the_same_name_counts_from_there_on(said: Said) -> None:
    found = said(branch("[&x main, *x, &x dev, *x]"))
    assert [line.split(": ", 1)[1] for line in found] == [
        "warning[W305]: 'main' adds nothing: it stands there already — remove it",
        "warning[W305]: 'dev' adds nothing: it stands there already — remove it",
    ]


def test_an_alias_that_nothing_defines_is_a_pattern_without_quotes(said: Said) -> None:
    (message,) = said(branch("[main, *dev, x]"))
    assert message == 'deploy.yml:5:22: error[E002]: a value that begins with * must be quoted — write "*dev"'


@pytest.mark.parametrize("value", ["*x", "!x", "!!str x"])
@pytest.mark.parametrize(
    "form",
    [
        "rules: @\n",
        "rules:\n  - @\n",
        "rules:\n  - name: a\n    when: @\n    deploy: {}\n",
        "rules:\n  - name: a\n    when: {branch: m, env: @ }\n    deploy: {}\n",
        "rules:\n  - name: a\n    when: {branch: m}\n    deploy: @\n",
        "rules:\n  - name: a\n    when: {branch: m}\n    deploy: {parameters: {a: @ }}\n",
        "rules:\n  - name: a\n    when: {branch: m}\n    unless: @\n    deploy: {}\n",
        "rules: [{name: a, when: {branch: m}, deploy: {}}]\n? @\n: x\n",
    ],
)
def test_a_value_that_was_refused_is_not_complained_about_twice(form: str, value: str, said: Said) -> None:
    errors = [m for m in said("version: 1\n" + form.replace("@", value)) if "error" in m]
    assert len(errors) == 1, errors


def test_a_key_must_be_a_text(said: Said) -> None:
    assert said("? [a]\n: b\n") == ["deploy.yml:1:3: error[E101]: a key must be a text"]


def test_nothing_is_called_missing_where_merged_keys_may_have_it(said: Said) -> None:
    text = branch("main") + "  - <<: {when: {branch: x}}\n    name: b\n"
    assert [m[:30] for m in said(text)] == ["deploy.yml:7:5: error[E012]: m"]


@pytest.mark.parametrize(
    ("expression", "example"),
    [
        ('branch == "main" and not tag', "{branch: main}"),
        ("pipeline.git.branch == 'main'", "{branch: main}"),
        ("<< pipeline.git.tag >> == 'v1'", "{tag: v1}"),
        ('(branch == "main") or (branch == "dev")', "[{branch: main}, {branch: dev}]"),
        ('branch == "main" || tag == "v1"', "[{branch: main}, {tag: v1}]"),
        ("branch =~ /^v/", "{branch: main}"),
        ('branch == "a*"', "{branch: main}"),
        ("not tag and branch != 'x'", "{branch: main}"),
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
