"""What is proved of whole rules, with a build that shows it; what is suspicious, and, as important, what is not."""

from collections.abc import Callable
from textwrap import dedent

import pytest

from deploystep.core.patterns.automaton import Work
from deploystep.core.source import SourceFile
from deploystep.rulefile.lint import check_paths
from deploystep.rulefile.load import examine, load
from deploystep.rulefile.yaml_reader import Report

Said = Callable[[str], list[str]]


def rule(when: str, unless: str = "", deploy: str = "{workflow: d, parameters: {x: true}}", head: str = "") -> str:
    stops = f"    unless: {unless}\n" if unless else ""
    return f"version: 1\n{head}rules:\n  - name: a\n    when: {when}\n{stops}    deploy: {deploy}\n"


def codes(messages: list[str]) -> list[str]:
    return [message.partition("[")[2].partition("]")[0] for message in messages]


def placed(text: str) -> list[str]:
    found = examine(SourceFile("deploy.yml", text)).diagnostics
    return [f"{d.span.line}:{d.span.start.column} {d.code}" for d in found]


@pytest.mark.parametrize(
    ("when", "unless", "told"),
    [
        ('{branch: "**"}', '{branch: "**"}', True),
        ("{branch: main}", "{branch: ma*}", True),
        ("{branch: release/*}", r"{branch: /release\/.*/}", True),
        ("{branch: main, user: anna}", '[{user: bjorn}, {user: "*"}]', True),
        ("{branch: main, pull_request: true}", "{pull_request: true}", True),
        ("{branch: main, pull_request: true}", "{fork: false}", True),
        ("{branch: main, fork: true}", "{fork: true}", True),
        ("[{branch: main}, {tag: v*}]", '[{branch: "**"}, {tag: "**"}]', True),
        ('{branch: "**"}', "{branch: main}", False),
        ("{branch: main}", "{branch: [develop, /m.+x/]}", False),
        ("{branch: main}", '{user: "*"}', False),
        ("{branch: main, pull_request: true}", "{pull_request: false}", False),
        ("{branch: main, fork: true}", "{fork: false}", False),
        ("{branch: main}", "{fork: true}", False),
        ("[{branch: main}, {tag: v*}]", '{branch: "**"}', False),
        ("{branch: main, env: {A: b, C: d}}", '{env: {A: "*"}}', True),
        ('{branch: main, env: {A: "*"}}', "{env: {A: b}}", False),
        ("{branch: main, env: {A: b}}", "{env: {A: b, C: d}}", False),
        ("{branch: main, merged_into: a}", "{merged_into: [a, b]}", True),
        ("{branch: main, merged_into: [a, b]}", "{merged_into: a}", False),
        ("{branch: main, message_contains: '[deploy]'}", "{message_contains: deploy}", True),
        ("{branch: main, message_contains: deploy}", "{message_contains: '[deploy]'}", False),
    ],
)
def test_a_rule_that_can_never_fire_is_found(when: str, unless: str, *, told: bool, said: Said) -> None:
    assert codes(said(rule(when, unless))) == ["E305"] * told


def test_every_reason_to_stop_is_named(said: Said) -> None:
    (message,) = said(rule("[{branch: main, user: anna}, {tag: v*, fork: true}]", "[{user: a*}, {fork: true}]"))
    assert 'its unless (line 5, user "a*" and line 5, fork true) covers its when' in message


def test_an_alternative_that_adds_nothing_is_found(said: Said) -> None:
    assert codes(said(rule("[{branch: release/*}, {branch: release/1, user: anna}]"))) == ["E306"]
    assert said(rule("[{branch: release/1, user: anna}, {branch: release/*}]")) == []
    assert codes(said(rule("{branch: main, usr: anna}", '{branch: "**"}'))) == ["E102"], "it could not be read"


def test_a_reason_to_stop_is_told_by_what_it_says(said: Said) -> None:
    (message,) = said(rule("[{branch: a, env: {A: b}}, {tag: b, merged_into: m}]", "[{env: {A: b}}, {merged_into: m}]"))
    assert 'its unless (line 5, env A and line 5, merged_into "m") covers its when' in message


PAIR = """\
version: 1
targets: {{deployer: {{project: gh/acme/deployer, branch: main}}}}
rules:
  - {{name: a, {first}, deploy: {one}}}
  - {{name: b, {second}, deploy: {two}}}
"""
ONE = "{workflow: deploy, parameters: {x: 1}}"
TWO = "{workflow: deploy, parameters: {x: 2}}"
ELSE = "{workflow: other, parameters: {x: 2}}"
KEYED = "{{workflow: deploy, parameters: {{x: {n}, deploy_key: '${{deploy.key}}'}}}}"
MAIN = "when: {branch: main}"
HINT = "give each rule a workflow of its own, or send deploy_key: ${deploy.key} with both"
APART = f"a rerun cannot tell their runs apart — {HINT}"


def warned(said: Said, code: str, first: str, second: str, deploys: tuple[str, str] = (ONE, TWO)) -> list[str]:
    """What is said under this code of rules `a` and `b`."""
    lines = said(PAIR.format(first=first, second=second, one=deploys[0], two=deploys[1]))
    assert {c for c in codes(lines) if c.startswith("E")} <= {"E310"}
    return [line for line in lines if f"[{code}]" in line]


@pytest.mark.parametrize(
    ("first", "second", "example"),
    [
        ("{branch: main}", '{branch: "**"}', "branch 'main'"),
        ("{tag: v*}", r"{tag: '/v\d+/'}", "tag 'v0'"),
        ("{branch: main}", "{branch: main, pull_request: true}", "branch 'main' with a pull request"),
        ("{branch: main, user: anna}", "{branch: main}", "branch 'main' by user 'anna'"),
        ("[{tag: v1}, {branch: main}]", "[{branch: x}, {branch: main}]", "branch 'main'"),
        ("{branch: main, env: {A: x}}", '{branch: main, env: {A: "*"}}', "branch 'main'"),
        ("{branch: main}, unless: {branch: x}", "{branch: main}", "branch 'main'"),
        ("{branch: main, merged_into: a}", "{branch: main, message_contains: b}", "branch 'main'"),
        # nothing is claimed that is not proved
        ("{branch: main}", "{branch: release/*}", ""),
        ("{branch: main}", "{tag: main}", ""),
        ("{branch: main, fork: true}", "{branch: main}", ""),
        ("{branch: main, pull_request: true}", "{branch: main, pull_request: false}", ""),
        ("{branch: main, user: anna}", "{branch: main, user: bob}", ""),
        ("{branch: main, env: {A: x}}", "{branch: main, env: {A: y}}", ""),
        ("{branch: main}", "{branch: '**'}, unless: {branch: main}", ""),
        ("{branch: main}", "{branch: main}, unless: {message_contains: skip}", ""),
        ("{branch: main, author: a@x}", "{branch: main, author: b@x}", ""),
    ],
)
def test_two_rules_that_can_both_fire(first: str, second: str, example: str, said: Said) -> None:
    one, two = (f"environment: prod, when: {when}" for when in (first, second))
    can = (
        f"rules 'a' and 'b' can both fire, for example on {example} — intended? otherwise name it under unless: of 'b'"
    )
    assert warned(said, "W301", one, two) == [f"deploy.yml:5:28: warning[W301]: {can}"] * bool(example)
    place = f"deploy.yml:5:{len(f'  - {{name: b, {two}, deploy: {{workflow: ') + 1}"
    what = f"rules 'a' and 'b' start the same workflow, and both fire, for example on {example}"
    assert warned(said, "E310", one, two) == [f"{place}: error[E310]: {what}: {APART}"] * bool(example)


@pytest.mark.parametrize(
    ("first", "second", "is_told"),
    [
        ("{branch: main, user: anna}", "{branch: main, user: bjorn}", True),
        ("[{tag: x}, {branch: main, author: a@x}]", "{branch: '**', author: b@x}", True),
        ("{tag: v*, pull_request: true}", "{tag: v1, pull_request: false}", True),
        ("{branch: main}", "{tag: main}", False),
        ("{branch: release/*}", "{branch: hotfix/**}", False),
    ],
)
def test_rules_of_which_a_later_build_takes_the_others_run(
    first: str, second: str, *, is_told: bool, said: Said
) -> None:
    found = warned(said, "W310", f"when: {first}", f"when: {second}")
    assert [line.partition("]: ")[2] for line in found] == [
        f"rules 'a' and 'b' start the same workflow: {APART}"
    ] * is_told


@pytest.mark.parametrize(
    ("one", "two", "is_told"),
    [
        (KEYED.format(n=1), KEYED.format(n=2), False),
        (KEYED.format(n=1), TWO, True),  # the run of the other may hold none
        (ONE, KEYED.format(n=2), True),
        ("{workflow: deploy, parameters: {k: 'x-${deploy.key}-y'}}", KEYED.format(n=2), False),
        ("{workflow: deploy, parameters: {k: '$${deploy.key}'}}", KEYED.format(n=2), True),
        ("{job: j, parameters: {k: '${deploy.key}'}}", "{job: j, parameters: {k: '${deploy.key}', x: 1}}", True),
        (ONE, ELSE, False),
        (ONE, "{to: deployer, workflow: deploy}", False),
        ("{to: deployer, workflow: deploy}", "{to: deployer, workflow: deploy}", False),
        ("{parameters: {x: 1}}", "{parameters: {x: 2}}", False),
    ],
)
def test_runs_that_a_rerun_cannot_tell_apart(one: str, two: str, *, is_told: bool, said: Said) -> None:
    found = warned(said, "E310", MAIN, MAIN, (one, two))
    assert bool(found) is is_told
    # a job shows no configuration, so no key helps
    assert "job:" not in one or found[0].endswith("give each rule a job of its own")


def test_each_rule_is_told_once_with_which_other_it_shares_its_runs() -> None:
    lines = "".join(
        f"  - {{name: {n}, when: {{branch: '{b}'}}, deploy: {ONE}}}\n" for n, b in zip("abcd", "xxx*", strict=True)
    )
    assert placed(f"version: 1\nrules:\n{lines}") == ["4:55 E310", "5:55 E310", "6:31 W302", "6:55 E310"]


def test_rules_for_other_environments_may_both_fire(said: Said) -> None:
    assert warned(said, "W301", f"environment: prod, {MAIN}", f"environment: staging, {MAIN}", (ONE, ELSE)) == []
    assert warned(said, "W301", MAIN, MAIN, (ONE, ELSE)) == []


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ("{x: '${REGION}'}", "${REGION}"),
        ("{x: '${REGION}', y: 'a-${CELL}-${REGION}'}", "${CELL}, ${REGION}"),
        ("{x: '${REGION}', deploy_key: '${deploy.key}'}", ""),
        ("{x: '${CIRCLE_SHA1}', y: '${branch.slug}', z: $$REGION}", ""),
    ],
)
def test_a_rule_that_is_sent_once_for_each_value_of_a_variable(parameters: str, names: str, said: Said) -> None:
    found = said(
        rule('{branch: main, env: {REGION: "*", CELL: "*"}}', deploy=f"{{workflow: w, parameters: {parameters}}}")
    )
    what = f"a rerun cannot tell for which {names} a run of rule 'a' was sent — send the deploy key: deploy_key: "
    assert [line.partition("[W311]: ")[2] for line in found] == [what + "${deploy.key}"] * bool(names)


def many(conditions: list[str], deploy: str = "{{workflow: w{n}, parameters: {{n: {n}}}}}") -> str:
    rules = enumerate(conditions)
    lines = (f"  - {{name: r{n}, environment: e, when: {c}, deploy: {deploy.format(n=n)}}}\n" for n, c in rules)
    return "version: 1\nrules:\n" + "".join(lines)


SHARING = many([f"{{branch: [main, f{n}]}}" for n in range(4)], "{{workflow: w, parameters: {{n: {n}}}}}")


@pytest.mark.parametrize(
    ("text", "code", "most"),
    [
        (SHARING, "W301", 1),
        (SHARING, "E310", 1),
        (rule(f"[{', '.join(f'{{branch: {n}-*}}' for n in range(199))}, {{branch: 1-a*}}]"), "E306", 100_000),
    ],
)
def test_beyond_the_work_for_a_file_nothing_is_claimed(
    text: str, code: str, most: int, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {code, "W313"} & set(codes(said(text))) == {code}
    monkeypatch.setattr(Work, "MOST", most)
    assert {code, "W313"} & set(codes(said(text))) == {"W313"}


def _globs(n: int) -> str:
    return ", ".join(f"'*{chr(97 + (n * 7 + i * 3) % 26)}{n}*{i}{chr(97 + (i * 5 + n) % 26)}*'" for i in range(35))


def _regexes(n: int) -> list[str]:
    return [f"'/(a|b{n}){{1,9}}[a-f]+x{{2,{3 + i % 7}}}(foo|ba[rz]{i})*[0-9]{{1,5}}z/'" for i in range(30)]


@pytest.mark.parametrize(
    "conditions",
    [
        [f"{{branch: [{_globs(n)}]}}" for n in range(10)],
        [f"{{branch: [{', '.join(_regexes(n))}]}}" for n in range(20)],
        [f"[{', '.join(f'{{branch: {regex}}}' for regex in _regexes(n))}]" for n in range(6)],
    ],
    ids=["globs", "regexes", "alternatives"],
)
def test_work_on_a_large_file_ends(conditions: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is counted, so that the same is said on every machine; here with a tenth of it, to be quick."""
    monkeypatch.setattr(Work, "MOST", Work.MOST // 10)
    examined = examine(SourceFile("deploy.yml", many(conditions)))
    assert [d.code for d in examined.diagnostics].count("W313") == 1
    assert examined.rules, "what is too large to compare can be used"


TARGET = "targets: {d: {project: gh/a/b, tag: m}}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (rule(r"{tag: '/v\d+.\d+/'}"), ["4:23 W303"]),
        (rule("{tag: '/v[0-9]+.[0-9]+/'}"), ["4:26 W303"]),
        (rule(r"{tag: '/(\d+).(\d+)/'}"), ["4:24 W303"]),
        (rule(r"{tag: '/v\d{1,3}.\d/'}"), ["4:27 W303"]),
        (rule('{tag: "/v1.\\u0032/"}'), ["4:18 W303"]),  # escapes hide the place
        (rule(r"{tag: '/[vV]\d+.\d+(-[a-z\]]+)?/'}"), ["4:26 W303"]),
        *(
            (rule(f"{{tag: '{p}'}}"), [])
            for p in (r"/v\d+\.\d+/", "/v1[.]2/", "v1.2", "/a.b/", "/[1.2]/", r"/\d+.*\d/", "/v1.x/")
        ),
        (rule("{branch: m\u0430in}"), ["4:21 W304"]),
        *((rule(f"{{branch: {name}}}"), []) for name in ("\u0433\u043b\u0430\u0432", "größe", "日本")),
        (rule("{branch: '*'}"), ["4:21 W302"]),
        (rule("{branch: main, user: '*'}"), []),
        (rule("{branch: '**'}", unless="{branch: '*'}"), ["5:23 W302"]),
        (rule("{branch: main}", head="never: [{when: {branch: '*'}}]\n"), ["2:26 W302"]),
        (rule("{branch: main}", deploy="{job: d}"), ["5:5 W601"]),
        (rule("{branch: main}", deploy="{to: d}", head=TARGET), []),
    ],
)
def test_a_rule_that_says_less_than_it_seems_to(text: str, told: list[str]) -> None:
    assert placed(text) == told


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
FITS = {"until": "23", "environment": "staging", "when": "user: anna", "unless": "user: bot", "fire": "fire: [a]"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, ""),
        ({"until": "22"}, "5:5 W309"),
        ({"environment": "production", "when": 'author: "*@acme.dev"'}, "9:26 W306"),
        ({"when": 'author: "*@acme.dev"'}, ""),
        ({"unless": "paths: {only: docs/**, since: previous-commit}"}, "10:14 W307"),
        ({"unless": 'user: ["dependabot[bot]"]'}, "10:22 W312"),
        ({"unless": r"user: '/.*\[bot\]/'"}, "10:21 W312"),
        ({"fire": "fire: []"}, "7:11 W308"),
        ({"fire": "held: [a]"}, ""),
    ],
)
def test_each_reminder_at_its_place(change: dict[str, str], told: str) -> None:
    assert placed(dedent(FILE) % tuple({**FITS, **change}.values())) == [told] * bool(told)


TIMES = """\
    version: 1
    {zone}
    windows: {{office: {window}}}
    freezes: [{{name: z, from: {begins}, until: 2026-06-23T09:00Z}}]
    rules: [{{name: a, when: {{branch: main}}, during: {during}, deploy: {{parameters: {{x: 1}}}}}}]
    """
ZONED = {"zone": "", "window": "Mon 09:00-17:00 Asia/Tokyo", "begins": "2026-06-19 18:00 UTC", "during": "office"}


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"window": "Mon 09:00-17:00"}, "3:19"),
        ({"begins": "2026-06-19T18:00:30"}, "4:27"),
        ({"during": "Mon 09:00-17:00"}, "5:49"),
        ({"during": "Mon 09:00-17:00", "window": "Mon 09:00-17:00"}, "3:19"),
        ({}, ""),
        ({"begins": "2026-06-19 18:00+02:00"}, ""),
        ({"window": "Mon 09:00-17:00", "zone": "timezone: UTC"}, ""),
    ],
)
def test_a_time_that_is_in_utc_for_want_of_a_zone(changed: dict[str, str], place: str) -> None:
    told = [found for found in placed(dedent(TIMES).format(**{**ZONED, **changed})) if found.endswith("W401")]
    assert told == [f"{place} W401"] * bool(place)


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("services/**", None),
        ("*.md", None),
        ("service/api/**", "did you mean 'services/api/**'?"),
        ("services/ap", "did you mean 'services/api/**'?"),
        ("READM.md", "did you mean 'README.md'?"),
        ("**/*.rs", "is the path spelt as git has it?"),
    ],
)
def test_a_path_that_matches_no_file_is_told_with_the_nearest(pattern: str, hint: str | None) -> None:
    text, report = rule(f'{{branch: main, paths: {{only: "{pattern}", since: previous-commit}}}}'), Report()
    check_paths(load(SourceFile("deploy.yml", text)), ("README.md", "services/api/main.py", "services/web/a"), report)
    found = [(d.code, d.message, d.hint) for d in report.diagnostics]
    assert found == ([("W705", f"no file of this repository matches '{pattern}'", hint)] if hint else [])
