"""What a rule file says that is allowed, and probably not meant."""

from textwrap import dedent

import pytest

from deploystep.core.source import SourceFile
from deploystep.rulefile.load import examine

FILE = """\
    version: 1
    windows: {office: Mon-Thu 09:00-17:00}
    freezes:
      - {name: weekend, from: 2026-06-19 18:00, until: 2026-06-%s 09:00}
    rules:
      - name: a
        environment: %s
        when: {branch: main, %s}
        unless: {%s}
        during: office
        deploy: {workflow: a, parameters: {x: 1}}
    cases:
      - {name: c, given: {branch: main}, expect: {%s}}
    """


def warned(
    until: str = "23",
    environment: str = "staging",
    when: str = "user: anna",
    unless: str = "user: bot",
    fire: str = "fire: [a]",
) -> list[tuple[str, int, int]]:
    examined = examine(SourceFile("deploy.yml", dedent(FILE) % (until, environment, when, unless, fire)))
    assert not [d for d in examined.diagnostics if d.is_error]
    return [(d.code, d.span.line, d.span.start.column) for d in examined.diagnostics]


def test_nothing_is_said_of_what_is_meant() -> None:
    assert warned() == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"until": "20"}, ("W309", 4, 5)),
        ({"environment": "production", "when": 'author: "*@acme.dev"'}, ("W306", 8, 26)),
        ({"unless": "paths: {only: docs/**, since: previous-commit}"}, ("W307", 9, 14)),
        ({"fire": "fire: []"}, ("W308", 6, 11)),
    ],
)
def test_each_reminder_at_its_place(change: dict[str, str], told: tuple[str, int, int]) -> None:
    assert warned(**change) == [told]


def test_an_author_of_another_environment_is_nobodys_business() -> None:
    assert warned(when='author: "*@acme.dev"') == []


def test_a_held_rule_has_its_case_too() -> None:
    assert warned(fire="held: [a]") == []
