"""Texts with `${…}`: reading them, what each name stands for, and what may be sent."""

import re

from builds import SHA, build, tag_build
from hypothesis import given
from hypothesis import strategies as st

from deploystep.core import parameters as core
from deploystep.core.build import Branch, BuildContext
from deploystep.core.frozen import replace
from deploystep.core.parameters import Reference, Template, is_safe, parse_template, slug, values_of


def template(text: str) -> Template:
    read = parse_template(text)
    assert isinstance(read, Template), read
    return read


def test_a_template() -> None:
    parts = template("app:${sha.short}-${CIRCLE_TAG}!").parts
    assert parts == ("app:", Reference("sha.short", 4, 12), "-", Reference("CIRCLE_TAG", 17, 13), "!")
    assert [r.name for r in template("${a}${b}").references] == ["a", "b"]
    assert not any(isinstance(parse_template(text), Template) for text in ("${a", "$", "`", "<< a >>", "$(a)", "$a"))
    plain = {"": "", "x": "x", "$$": "$", "$$$$": "$$", "$${a}": "${a}", "a < b": "a < b", "a<b>c": "a<b>c"}
    assert {text: "".join(map(str, template(text).parts)) for text in plain} == plain
    assert [template(text).references for text in plain] == [()] * len(plain)


# fmt: off
COMPUTE = "a parameter is a text with ${…}; compute it in the config that is triggered"
PROBLEMS = [
    ("x $CIRCLE_SHA1", "E503", 2, 12, "write ${CIRCLE_SHA1}"),
    ("5$", "E503", 1, 1, "write $$ for the character itself"),
    ("a$(id)b", "E504", 1, 5, COMPUTE), ("`id`", "E504", 0, 4, COMPUTE),
    ("<< pipeline.id >>", "E505", 0, 17, "write ${CIRCLE_SHA1} and the like"),
    ("${${a}}", "E506", 0, 6, "write ${CIRCLE_SHA1}, one name between ${ and }"),
]
# fmt: on


def test_problems() -> None:
    for text, *expected in PROBLEMS:
        read = parse_template(f"{text} $B `c` ${{d}} $(e)")
        assert isinstance(read, tuple)
        assert [read[0].code, read[0].offset, read[0].width, read[0].hint] == expected
        assert [p.code for p in read[-3:]] == ["E503", "E504", "E504"], "every problem is told"


@given(st.text("${}ab<>`( )."))
def test_every_text_is_read_to_its_end(text: str) -> None:
    read = parse_template(text)
    if isinstance(read, Template):
        rebuilt = "".join(p.replace("$", "$$") if isinstance(p, str) else f"${{{p.name}}}" for p in read.parts)
        assert rebuilt == text
    else:
        assert all(p.offset >= 0 and p.width > 0 and p.offset + p.width <= len(text) for p in read)


KEY = "ds-0123456789abcdef01234567"


def value_of(name: str, read: BuildContext) -> str | None:
    return values_of(read, "production", "prod", KEY).get(name)


# fmt: off
VALUES = {
    "CIRCLE_SHA1": SHA, "CIRCLE_BRANCH": "feature/login", "CIRCLE_TAG": None, "CIRCLE_USERNAME": "anna",
    "CIRCLE_BUILD_NUM": "12", "CIRCLE_JOB": None, "sha.short": SHA[:7], "branch.slug": "feature-login",
    "pr.number": "42", "tag.version": "", "rule.name": "production", "rule.environment": "prod", "deploy.key": KEY,
    "nonsense": None, "sha.long": None,
}
# fmt: on


def test_what_names_stand_for() -> None:
    read = build(CIRCLE_BRANCH="feature/login", CIRCLE_PULL_REQUEST="https://github.com/acme/shop/pull/42")
    assert {name: value_of(name, read) for name in VALUES} == VALUES
    # a leading v of a tag goes where a digit follows; a word that begins with it stays whole
    for tag in ("v1.4.0", "1.4.0", "vNext", "version-1", "api-v1.2.3", "vv1", "v", "v\u0663"):
        assert value_of("tag.version", tag_build(tag)) == ("1.4.0" if tag == "v1.4.0" else tag)
        assert value_of("branch.slug", tag_build(tag)) is None


def test_the_builds_own_facts_win_over_its_variables() -> None:
    read = replace(build(), ref=Branch("other"), revision="f" * 40, user=None)
    values = [value_of(f"CIRCLE_{name}", read) for name in ("BRANCH", "TAG", "SHA1", "USERNAME")]
    assert values == ["other", None, "f" * 40, None]
    assert not any(map(core.is_variable, (*core.DERIVED, "A-B", "Ü", "key")))
    assert all(map(core.is_variable, core.PUBLIC_VARIABLES | core.SECRET_VARIABLES))


def test_what_is_safe() -> None:
    assert is_safe("A-Z_0.9/x:y@z+1")
    assert not any(map(is_safe, ["", "a\n", "\na", *(f"a{c}b" for c in " ;$()`|&'\"*~<>\\ü")]))


def test_slugs_differ_where_something_was_lost() -> None:
    plain = {name: name for name in ("main", "a-b", "a--b", "x" * 40)} | {"feature/login": "feature-login"}
    assert {name: slug(name) for name in plain} == plain
    for name in ("Main", "a_b", "ü", "-a", "a-", "a--b#", "x" * 41, "a.b", "///", "\udcff"):
        assert re.fullmatch(r"([a-z0-9-]+-)?[0-9a-f]{7}", slug(name))
        assert slug(name) != slug(name + "2")


@given(st.text(min_size=1))
def test_a_slug_is_a_dns_label(name: str) -> None:
    label = slug(name)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", label), label
    assert len(label) <= core.MAX_SLUG
    assert is_safe(label)
