"""What a rule file says that is allowed and probably not meant; and, as important, what is not suspicious."""

from collections.abc import Callable
from textwrap import dedent

import pytest

from deploystep.core.source import SourceFile
from deploystep.rulefile.load import examine

Said = Callable[[str], list[str]]


def rule(when: str, unless: str = "", deploy: str = "{workflow: d, parameters: {x: true}}") -> str:
    stops = f"    unless: {unless}\n" if unless else ""
    return f"version: 1\nrules:\n  - name: a\n    when: {when}\n{stops}    deploy: {deploy}\n"


def codes(messages: list[str]) -> list[str]:
    return [message.partition("[")[2].partition("]")[0] for message in messages]


@pytest.mark.parametrize(
    ("regex", "column"),
    [(r"/v\d+.\d+/", 24), ("/v[0-9]+.[0-9]+/", 27), ("/1.2/", 21), (r"/(\d+).(\d+)/", 25), (r"/v\d{1,3}.\d/", 28)],
)
def test_a_dot_between_digits_is_suspicious(regex: str, column: int, said: Said) -> None:
    (message,) = said(rule(f"[{{tag: '{regex}'}}]"))
    assert message.startswith(f"deploy.yml:4:{column}: warning[W303]: '.' stands for any character in '{regex}'")


def test_what_is_written_with_an_escape_is_pointed_at_as_a_whole(said: Said) -> None:
    (message,) = said(rule('{tag: "/v1.\\u0032/"}'))
    assert message.startswith("deploy.yml:4:18: warning[W303]")


def test_a_pattern_that_adds_nothing_is_told_where_it_is_written_again(said: Said) -> None:
    (message,) = said(rule("{branch: [main, main]}"))
    assert message.startswith("deploy.yml:4:27: warning[W305]: 'main' adds nothing: it stands there already")
    many = ", ".join(f"b{number}" for number in range(20))
    assert said(rule(f"{{branch: [{many}, b1]}}")) == []


@pytest.mark.parametrize("pattern", [r"/v\d+\.\d+/", "/v.*/", "v1.2", "/a.b/", "/[1.2]/", r"/\d+.*\d/", "/v1.x/"])
def test_any_other_dot_is_not(pattern: str, said: Said) -> None:
    assert said(rule(f"{{tag: '{pattern}'}}")) == []


def test_letters_that_only_look_latin_are_pointed_at(said: Said) -> None:
    (message,) = said(rule("{branch: m\u0430in}"))
    assert message == (
        "deploy.yml:4:21: warning[W304]: '\u0430' is not the letter 'a' but cyrillic small letter a (U+0430)"
        " — it only looks like it; write the Latin letter"
    )


@pytest.mark.parametrize("name", ["\u0433\u043b\u0430\u0432\u043d\u0430\u044f", "größe", "日本"])
def test_a_name_of_another_script_is_not_suspicious(name: str, said: Said) -> None:
    assert said(rule(f"{{branch: {name}}}")) == []


def test_a_lone_star_is_narrower_than_it_looks(said: Said) -> None:
    assert said(rule("{branch: '*'}")) == [
        "deploy.yml:4:21: warning[W302]: '*' matches only names without a slash — write \"**\" for every branch"
    ]
    assert said(rule("{branch: main, user: '*'}")) == []
    assert codes(said(rule("{branch: '**'}", unless="{branch: '*'}"))) == ["W302"]


@pytest.mark.parametrize("deploy", ["{workflow: d}", "{}", "{workflow: d, parameters: {}}"])
def test_a_deploy_that_would_start_this_step_again_is_suspicious(deploy: str, said: Said) -> None:
    assert codes(said(rule("{branch: main}", deploy=deploy))) == ["W603"]


def test_a_deploy_to_another_project_starts_no_step_again(said: Said) -> None:
    text = rule("{branch: main}", deploy="{to: d}").replace(
        "rules:", "targets: {d: {project: gh/a/b, branch: m}}\nrules:"
    )
    assert said(text) == []


def test_guards_are_examined_too(said: Said) -> None:
    text = rule("{branch: main}").replace("rules:", "never:\n  - when: {branch: '*'}\nrules:")
    assert codes(said(text)) == ["W302"]


def test_a_target_that_no_rule_uses_is_suspicious(said: Said) -> None:
    text = rule("{branch: main}").replace("rules:", "targets: {d: {project: gh/a/b, branch: m}}\nrules:")
    assert said(text) == ["deploy.yml:2:11: warning[W602]: no rule deploys to target 'd' — remove it, or use to:"]


FILE = """\
    version: 1
    timezone: Europe/Berlin
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
        ({"until": "20"}, ("W309", 5, 5)),
        ({"until": "22"}, ("W309", 5, 5)),
        ({"environment": "production", "when": 'author: "*@acme.dev"'}, ("W306", 9, 26)),
        ({"unless": "paths: {only: docs/**, since: previous-commit}"}, ("W307", 10, 14)),
        ({"unless": 'user: ["dependabot[bot]"]'}, ("W312", 10, 22)),
        ({"unless": r"user: '/.*\[bot\]/'"}, ("W312", 10, 21)),
        ({"when": "user: 'renovate[bot]'"}, ("W312", 9, 33)),
        ({"fire": "fire: []"}, ("W308", 7, 11)),
    ],
)
def test_each_reminder_at_its_place(change: dict[str, str], told: tuple[str, int, int]) -> None:
    assert warned(**change) == [told]


def test_an_author_of_another_environment_is_nobodys_business() -> None:
    assert warned(when='author: "*@acme.dev"') == []


def test_a_held_rule_has_its_case_too() -> None:
    assert warned(fire="held: [a]") == []


TIMES = """\
    version: 1
    {zone}
    windows: {{office: {window}}}
    freezes: [{{name: z, from: {begins}, until: 2026-06-23T09:00Z}}]
    rules: [{{name: a, when: {{branch: main}}, during: {during}, deploy: {{parameters: {{x: 1}}}}}}]
    """
BERLIN = {
    "zone": "",
    "window": "Mon 09:00-17:00 Asia/Tokyo",
    "begins": "2026-06-19 18:00 UTC",
    "during": "office",
}


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"window": "Mon 09:00-17:00"}, "3:19"),
        ({"begins": "2026-06-19 18:00"}, "4:27"),
        ({"begins": "2026-06-19T18:00:30"}, "4:27"),
        ({"during": "Mon 09:00-17:00"}, "5:49"),
        ({"during": "Mon 09:00-17:00", "window": "Mon 09:00-17:00"}, "3:19"),
        ({}, ""),
        ({"begins": "2026-06-19 18:00+02:00"}, ""),
        ({"window": "Mon 09:00-17:00", "zone": "timezone: UTC"}, ""),
    ],
)
def test_a_time_that_is_in_utc_for_want_of_a_zone(changed: dict[str, str], place: str, said: Said) -> None:
    told = [message for message in said(dedent(TIMES).format(**{**BERLIN, **changed})) if "W401" in message]
    what = "this time is in UTC: neither it nor the file names a time zone"
    hint = "write for example  timezone: Europe/Berlin  in the file"
    assert told == ([f"deploy.yml:{place}: warning[W401]: {what} — {hint}"] if place else [])
