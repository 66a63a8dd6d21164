"""What is proved of whole rules, with a build that shows it; what is suspicious, and, as important, what is not."""

from textwrap import dedent

import pytest
from unit.rulefile.conftest import codes, placed, said

from deploystep.core.patterns.automaton import Work
from deploystep.core.source import SourceFile
from deploystep.rulefile.lint import check_paths
from deploystep.rulefile.load import examine, load
from deploystep.rulefile.yaml_reader import Report


def rule(when: str, unless: str = "", deploy: str = "{workflow: d, parameters: {x: true}}", head: str = "") -> str:
    stops = f"    unless: {unless}\n" if unless else ""
    return f"version: 1\n{head}rules:\n  - name: a\n    when: {when}\n{stops}    deploy: {deploy}\n"


@pytest.mark.parametrize(
    ("when", "unless", "told"),
    [
        ("{branch: main}", "{branch: ma*}", True),
        ("{branch: main, user: anna}", '[{user: bjorn}, {user: "*"}]', True),
        ("{branch: main, pull_request: true}", "{pull_request: true}", True),
        ("{branch: main, pull_request: true}", "{fork: false}", True),
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
def test_a_rule_that_can_never_fire_is_found(when: str, unless: str, *, told: bool) -> None:
    assert codes(rule(when, unless)) == ["E305"] * told


def test_every_reason_to_stop_is_named_by_what_it_says() -> None:
    stops = ("user: a*", "fork: true", "env: {A: b}", "merged_into: m")
    (message,) = said(rule(f"[{', '.join(f'{{branch: b, {stop}}}' for stop in stops)}]", f"[{{{'}, {'.join(stops)}}}]"))
    told = ('user "a*"', "fork true", "env A", 'merged_into "m"')
    assert f"its unless ({' and '.join(f'line 5, {words}' for words in told)}) covers its when" in message


def test_an_alternative_that_adds_nothing_is_found() -> None:
    assert codes(rule("[{branch: release/*}, {branch: release/1, user: anna}]")) == ["E306"]
    assert said(rule("[{branch: release/1, user: anna}, {branch: release/*}]")) == []
    assert codes(rule("{branch: main, usr: anna}", '{branch: "**"}')) == ["E102"], "it could not be read"


ONE = "{workflow: deploy, parameters: {x: 1}}"
TWO = "{workflow: deploy, parameters: {x: 2}}"
ELSE = "{workflow: other, parameters: {x: 2}}"
KEYED = "{workflow: deploy, parameters: {x: 1, deploy_key: '${deploy.key}'}}"
MAIN = "when: {branch: main}"
START = "rules 'a' and 'b' start the same workflow"
HINT = "give each rule a workflow of its own, or send deploy_key: ${deploy.key} with both"
APART = f"a rerun cannot tell their runs apart — {HINT}"


def pair(first: str, second: str, one: str = ONE, two: str = TWO) -> str:
    """A file of the rules `a` and `b`, of which the second has its keys from 4:14 on."""
    rules = f"  - {{name: a, {first}, deploy: {one}}}\n  - {{name: b, {second}, deploy: {two}}}\n"
    return f"targets: {{deployer: {{project: gh/acme/deployer, branch: main}}}}\nversion: 1\nrules:\n{rules}"


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        # both fire, for example for this build
        ("{branch: main}", '{branch: "**"}', "branch 'main'"),
        ("{tag: v*}", r"{tag: '/v\d+/'}", "tag 'v0'"),
        ("{branch: main}", "{branch: main, pull_request: true}", "branch 'main' with a pull request"),
        ("{branch: main, user: anna}", "{branch: main}", "branch 'main' by user 'anna'"),
        ("[{tag: v1}, {branch: main}]", "[{branch: x}, {branch: main}]", "branch 'main'"),
        ("{branch: main, env: {A: x}}", '{branch: main, env: {A: "*"}}', "branch 'main'"),
        ("{branch: main}, unless: {branch: x}", "{branch: main}", "branch 'main'"),
        ("{branch: main, merged_into: a}", "{branch: main, message_contains: b}", "branch 'main'"),
        # not both, but a later build takes the other's run
        ("{branch: main, fork: true}", "{branch: main}", "W310"),
        ("{tag: v*, pull_request: true}", "{tag: v1, pull_request: false}", "W310"),
        ("{branch: main, user: anna}", "{branch: main, user: bjorn}", "W310"),
        ("{branch: main, env: {A: x}}", "{branch: main, env: {A: y}}", "W310"),
        ("{branch: main}", "{branch: '**'}, unless: {branch: main}", "W310"),
        ("{branch: main}", "{branch: main}, unless: {message_contains: skip}", "W310"),
        ("[{tag: x}, {branch: main, author: a@x}]", "{branch: '**', author: b@x}", "W310"),
        # nothing is claimed that is not proved
        ("{branch: main}", "{tag: main}", ""),
        ("{branch: release/*}", "{branch: hotfix/**}", ""),
    ],
)
def test_two_rules_that_start_the_same_workflow(first: str, second: str, told: str) -> None:
    one, two = (f"environment: live, when: {when}" for when in (first, second))
    place = f"deploy.yml:5:{len(f'  - {{name: b, {two}, deploy: {{workflow: ') + 1}"
    both = "rules 'a' and 'b' can both fire, for example on {} — intended? otherwise name it under unless: of 'b'"
    expected = [
        f"deploy.yml:5:28: warning[W301]: {both.format(told)}",
        f"{place}: error[E310]: {START}, and both fire, for example on {told}: {APART}",
    ]
    expected = [f"{place}: warning[W310]: {START}: {APART}"] if told == "W310" else expected
    assert said(pair(one, two)) == (expected if told else [])


@pytest.mark.parametrize(
    ("one", "two", "is_told"),
    [
        (KEYED, KEYED.replace("1", "2"), False),
        (KEYED, TWO, True),  # the run of the other may hold none
        (ONE, KEYED, True),
        ("{workflow: deploy, parameters: {k: 'x-${deploy.key}-y'}}", KEYED, False),
        ("{workflow: deploy, parameters: {k: '$${deploy.key}'}}", KEYED, True),
        ("{job: j, parameters: {k: '${deploy.key}'}}", "{job: j, parameters: {k: '${deploy.key}', x: 1}}", True),
        (ONE, ELSE, False),
        (ONE, "{to: deployer, workflow: deploy}", False),
        ("{to: deployer, workflow: deploy}", "{to: deployer, workflow: deploy}", False),
        ("{parameters: {x: 1}}", "{parameters: {x: 2}}", False),
    ],
)
def test_runs_that_a_rerun_cannot_tell_apart(one: str, two: str, *, is_told: bool) -> None:
    found = [line for line in said(pair(MAIN, MAIN, one, two)) if "error" in line]
    assert ["error[E310]" in line for line in found] == [True] * is_told
    # a job shows no configuration, so no key helps
    assert "job:" not in one or found[0].endswith("give each rule a job of its own")


def test_each_rule_is_told_once_with_which_other_it_shares_its_runs() -> None:
    lines = "".join(
        f"  - {{name: {n}, when: {{branch: '{b}'}}, deploy: {ONE}}}\n" for n, b in zip("abcd", "xxx*", strict=True)
    )
    assert placed(f"version: 1\nrules:\n{lines}") == ["4:55 E310", "5:55 E310", "6:31 W302", "6:55 E310"]


def test_rules_for_other_environments_may_both_fire() -> None:
    assert said(pair(f"environment: prod, {MAIN}", f"environment: staging, {MAIN}", ONE, ELSE)) == []
    assert said(pair(MAIN, MAIN, ONE, ELSE)) == []


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ("{x: '${REGION}', y: 'a-${CELL}-${REGION}'}", "${CELL}, ${REGION}"),
        ("{x: '${REGION}', deploy_key: '${deploy.key}'}", ""),
        ("{x: '${CIRCLE_SHA1}', y: '${branch.slug}', z: $$REGION}", ""),
    ],
)
def test_a_rule_that_is_sent_once_for_each_value_of_a_variable(parameters: str, names: str) -> None:
    text = rule('{branch: main, env: {REGION: "*", CELL: "*"}}', deploy=f"{{workflow: w, parameters: {parameters}}}")
    what = f"a rerun cannot tell for which {names} a run of rule 'a' was sent — send the deploy key: deploy_key: "
    assert [line.partition("[W311]: ")[2] for line in said(text)] == [what + "${deploy.key}"] * bool(names)


def many(conditions: list[str], deploy: str = "{{workflow: w{n}, parameters: {{n: {n}}}}}") -> str:
    rules = enumerate(conditions)
    lines = (f"  - {{name: r{n}, environment: e, when: {c}, deploy: {deploy.format(n=n)}}}\n" for n, c in rules)
    return "version: 1\nrules:\n" + "".join(lines)


SHARING = many([f"{{branch: [main, f{n}]}}" for n in range(4)], "{{workflow: w, parameters: {{n: {n}}}}}")
NARROW = rule(f"[{', '.join(f'{{branch: {n}-*}}' for n in range(199))}, {{branch: 1-a*}}]")


@pytest.mark.parametrize(
    ("text", "code", "most"), [(SHARING, "W301", 1), (SHARING, "E310", 1), (NARROW, "E306", 10**5)]
)
def test_beyond_the_work_for_a_file_nothing_is_claimed(
    text: str, code: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {code, "W313"} & set(codes(text)) == {code}
    monkeypatch.setattr(Work, "MOST", most)
    assert {code, "W313"} & set(codes(text)) == {"W313"}


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
#: A pattern of tags, and where a dot in it stands for more than a dot, from its beginning on.
DOTS = {
    r"/v\d+.\d+/": 5, "/v[0-9]+.[0-9]+/": 8, r"/(\d+).(\d+)/": 6, r"/v\d{1,3}.\d/": 9, r"/[vV]\d+.\d+(-[a-z\]]+)?/": 8,
    r"/v\d+\.\d+/": 0, "/v1[.]2/": 0, "v1.2": 0, "/a.b/": 0, "/[1.2]/": 0, r"/\d+.*\d/": 0, "/v1.x/": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        *((rule(f"{{tag: '{pattern}'}}"), f"4:{18 + at} W303" if at else "") for pattern, at in DOTS.items()),
        (rule('{tag: "/v1.\\u0032/"}'), "4:18 W303"),  # escapes hide the place
        (rule("{branch: m\u0430in}"), "4:21 W304"),
        *((rule(f"{{branch: {name}}}"), "") for name in ("\u0433\u043b\u0430\u0432", "größe", "日本")),
        (rule("{branch: '*'}"), "4:21 W302"),
        (rule("{branch: main, user: '*'}"), ""),
        (rule("{branch: '**'}", unless="{branch: '*'}"), "5:23 W302"),
        (rule("{branch: main}", head="never: [{when: {branch: '*'}}]\n"), "2:26 W302"),
        (rule("{branch: main}", deploy="{job: d}"), "5:5 W601"),
        (rule("{branch: main}", deploy="{to: d}", head=TARGET), ""),
    ],
)
def test_a_rule_that_says_less_than_it_seems_to(text: str, told: str) -> None:
    assert placed(text) == [told] * bool(told)


FILE = """\
    version: 1
    {zone}
    windows: {{office: {window}}}
    freezes: [{{name: weekend, from: {begins}, until: {until}}}]
    rules:
      - {{name: a, environment: {environment}, when: {{branch: main, {when}}},
         unless: {{{unless}}}, during: {during}, deploy: {{workflow: a, parameters: {{x: 1}}}}}}
    cases: [{{name: c, given: {{branch: main}}, expect: {{{expected}}}}}]
    """
FITS = {"environment": "staging", "when": "user: anna", "unless": "user: bot", "during": "office"}
FITS |= {"zone": "timezone: UTC", "window": "Mon-Thu 09:00-17:00", "expected": "fire: [a]"}
FITS |= {"begins": "2026-06-19 18:00", "until": "2026-06-23 09:00"}
ZONED = {"zone": "", "window": "Mon 09:00-17:00 Asia/Tokyo", "begins": "2026-06-19 18:00 UTC"}
ZONED |= {"until": "2026-06-23T09:00Z"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, ""),
        ({"until": "2026-06-22 09:00"}, "4:11 W309"),
        ({"environment": "production", "when": 'author: "*@acme.dev"'}, "6:61 W306"),
        ({"when": 'author: "*@acme.dev"'}, ""),
        ({"unless": "paths: {only: docs/**, since: previous-commit}"}, "7:15 W307"),
        ({"unless": 'user: ["dependabot[bot]"]'}, "7:23 W312"),
        ({"unless": r"user: '/.*\[bot\]/'"}, "7:22 W312"),
        ({"expected": "fire: []"}, "6:12 W308"),
        ({"expected": "held: [a]"}, ""),
        # a time that is in UTC for want of a zone
        (ZONED, ""),
        (ZONED | {"window": "Mon 09:00-17:00"}, "3:19 W401"),
        (ZONED | {"begins": "2026-06-19T18:00:30"}, "4:33 W401"),
        (ZONED | {"during": "Mon 09:00-17:00"}, "7:35 W401"),
        (ZONED | {"during": "Mon 09:00-17:00", "window": "Mon 09:00-17:00"}, "3:19 W401"),
        (ZONED | {"begins": "2026-06-19 18:00+02:00"}, ""),
        (ZONED | {"window": "Mon 09:00-17:00", "zone": "timezone: UTC"}, ""),
    ],
)
def test_each_reminder_at_its_place(change: dict[str, str], told: str) -> None:
    assert placed(dedent(FILE).format(**FITS | change)) == [told] * bool(told)


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
