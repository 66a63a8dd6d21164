"""What is proved of whole rules: with a build that shows it, or not at all."""

from collections.abc import Callable, Sequence

import pytest

from deploystep.core.patterns import Pattern, proofs
from deploystep.core.patterns.automaton import Work
from deploystep.core.source import SourceFile
from deploystep.rulefile.load import examine, load

Said = Callable[[str], list[str]]


def rule(when: str, unless: str = "") -> str:
    stops = f"    unless: {unless}\n" if unless else ""
    deploy = "{workflow: d, parameters: {x: true}}"
    return f"version: 1\nrules:\n  - name: a\n    when: {when}\n{stops}    deploy: {deploy}\n"


def codes(messages: list[str]) -> list[str]:
    return [message.partition("[")[2].partition("]")[0] for message in messages]


@pytest.mark.parametrize(
    ("when", "unless"),
    [
        ('{branch: "**"}', '{branch: "**"}'),
        ("{branch: main}", "{branch: ma*}"),
        ("{branch: [main, dev]}", "{branch: [dev, main]}"),
        ("{branch: release/*}", r"{branch: /release\/.*/}"),
        ("{tag: v1.*}", "{tag: v*}"),
        ("{branch: main, user: anna}", '[{user: bjorn}, {user: "*"}]'),
        ("{branch: main, pull_request: true}", "{pull_request: true}"),
        ("{branch: main}", "{fork: false}"),
        ("{branch: main, pull_request: true}", "{fork: false}"),
        ("{branch: main, fork: true}", "{fork: true}"),
        ("{branch: main, env: {A: x, B: y}}", '{env: {A: "*"}}'),
        ("[{branch: main}, {tag: v*}]", '[{branch: "**"}, {tag: "**"}]'),
        ("{branch: main, user: anna}", "[{branch: main, user: anna}]"),
    ],
)
def test_a_rule_that_can_never_fire_is_found(when: str, unless: str, said: Said) -> None:
    assert codes(said(rule(when, unless))) == ["E305"]


@pytest.mark.parametrize(
    ("when", "unless"),
    [
        ('{branch: "**"}', "{branch: main}"),
        ("{branch: main}", "{branch: [develop, /m.+x/]}"),
        ("{branch: main}", '{user: "*"}'),
        ("{branch: main}", '{tag: "**"}'),
        ("{branch: main, user: anna}", "[{branch: main, user: bjorn}]"),
        ("{branch: main, pull_request: true}", "{pull_request: false}"),
        ("{branch: main, fork: true}", "{fork: false}"),
        ("{branch: main, pull_request: true}", "{fork: true}"),
        ("{branch: main}", "{fork: true}"),
        ("{branch: main, env: {A: x}}", "{env: {A: y}}"),
        ("{branch: main, env: {A: x}}", "{env: {A: x, B: y}}"),
        ("[{branch: main}, {tag: v*}]", '{branch: "**"}'),
        ("{branch: '**'}", "{branch: [main, develop]}"),
    ],
)
def test_a_rule_that_can_fire_is_left_alone(when: str, unless: str, said: Said) -> None:
    assert said(rule(when, unless)) == []


def test_every_reason_to_stop_is_named(said: Said) -> None:
    (message,) = said(rule("[{branch: main, user: anna}, {tag: v*}]", "[{user: a*}, {tag: [v*, x]}]"))
    assert 'its unless (line 5, user "a*" and line 5, tag "v*", "x") covers its when' in message


@pytest.mark.parametrize(
    ("unless", "words"),
    [
        ("{fork: false}", "fork false"),
        ("{env: {A: '*'}}", "env A"),
        ("{pull_request: true}", "pull_request true"),
        ("{merged_into: [main, dev]}", 'merged_into "main", "dev"'),
        ("{message_contains: de}", 'message_contains "de"'),
    ],
)
def test_a_reason_to_stop_is_named_by_its_kind(unless: str, words: str, said: Said) -> None:
    when = "{branch: main, pull_request: true, env: {A: x}, merged_into: main, message_contains: deploy}"
    (message,) = said(rule(when, unless))
    assert f"(line 5, {words})" in message


def test_an_alternative_that_adds_nothing_is_found(said: Said) -> None:
    assert codes(said(rule("[{branch: release/*}, {branch: release/1, user: anna}]"))) == ["E306"]
    assert said(rule("[{branch: release/1, user: anna}, {branch: release/*}]")) == []


def test_nothing_is_claimed_of_a_rule_that_could_not_be_read(said: Said) -> None:
    assert codes(said(rule("{branch: main, usr: anna}", '{branch: "**"}'))) == ["E102"]


def test_the_work_for_proofs_is_bounded(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    alternatives = ", ".join(f"{{branch: {n}-*}}" for n in range(199))
    text = rule(f"[{alternatives}, {{branch: 1-a*}}]")
    assert codes(said(text)) == ["E306"]
    monkeypatch.setattr(Work, "MOST", 100_000)
    assert codes(said(text)) == ["W313"]


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
SHARED = ("E310", "W310")


def warned(said: Said, code: str, first: str, second: str, deploys: tuple[str, str] = (ONE, ELSE)) -> list[str]:
    """What is said under this code of rules `a` and `b`."""
    lines = said(PAIR.format(first=first, second=second, one=deploys[0], two=deploys[1]))
    assert not [line for line in lines if " error[" in line]
    return [line for line in lines if f"warning[{code}]" in line]


def shared(said: Said, first: str, second: str, deploys: tuple[str, str] = (ONE, TWO)) -> list[str]:
    """What is said of rules `a` and `b` whose runs cannot be told apart."""
    lines = said(PAIR.format(first=first, second=second, one=deploys[0], two=deploys[1]))
    assert not [code for code in codes(lines) if code.startswith("E") and code not in SHARED]
    return [line for line, code in zip(lines, codes(lines), strict=True) if code in SHARED]


@pytest.mark.parametrize(
    ("first", "second", "example"),
    [
        ("when: {branch: main}", 'when: {branch: "**"}', "branch 'main'"),
        ("when: {tag: v*}", r"when: {tag: '/v\d+/'}", "tag 'v0'"),
        ("when: {branch: main}", "when: {branch: main, pull_request: true}", "branch 'main' with a pull request"),
        ("when: {branch: main, user: anna}", "when: {branch: main}", "branch 'main' by user 'anna'"),
        ("when: [{tag: v1}, {branch: main}]", "when: [{branch: x}, {branch: main}]", "branch 'main'"),
        ("when: {branch: main, env: {A: x}}", 'when: {branch: main, env: {A: "*"}}', "branch 'main'"),
        ("when: {branch: main, env: {A: x}}", "when: {branch: main}, unless: {env: {A: y}}", "branch 'main'"),
        ("when: {branch: main}, unless: {branch: x}", "when: {branch: main}", "branch 'main'"),
        (
            "when: {branch: main, paths: {only: a/**, since: previous-commit}}",
            "when: {branch: main, paths: {only: b/**, since: previous-commit}}",
            "branch 'main'",
        ),
    ],
)
def test_two_rules_for_one_environment_that_can_both_fire(first: str, second: str, example: str, said: Said) -> None:
    (message,) = warned(said, "W301", f"environment: prod, {first}", f"environment: prod, {second}")
    assert message == (
        f"deploy.yml:5:28: warning[W301]: rules 'a' and 'b' can both fire, for example on {example}"
        " — intended? otherwise name the case under unless: of 'b'"
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("when: {branch: main}", "when: {branch: release/*}"),
        ("when: {branch: main}", "when: {tag: v*}"),
        ("when: {branch: main, pull_request: true}", "when: {branch: main, pull_request: false}"),
        ("when: {branch: main, fork: true}", "when: {branch: main}"),
        ("when: {branch: main, fork: true}", "when: {branch: main, fork: true}"),
        ("when: {branch: main, user: anna}", "when: {branch: main, user: bob}"),
        ("when: {branch: main, env: {A: x}}", "when: {branch: main, env: {A: y}}"),
        ("when: {branch: main}", "when: {branch: '**'}, unless: {branch: main}"),
        ("when: {branch: '**'}, unless: {branch: main}", "when: {branch: main}"),
        ("when: {branch: main}", "when: {branch: main}, unless: {message_contains: skip}"),
        ("when: {branch: main, author: a@x}", "when: {branch: main, author: b@x}"),
    ],
)
def test_nothing_is_claimed_that_is_not_proved(first: str, second: str, said: Said) -> None:
    assert warned(said, "W301", f"environment: prod, {first}", f"environment: prod, {second}") == []


def test_rules_for_other_environments_may_both_fire(said: Said) -> None:
    when = "when: {branch: main}"
    assert warned(said, "W301", f"environment: prod, {when}", f"environment: staging, {when}") == []
    assert warned(said, "W301", when, when) == []


@pytest.mark.parametrize(
    ("first", "second", "shown"),
    [
        ("{branch: main}", "{branch: main}", "branch 'main'"),
        ("{branch: release/*}", r"{branch: '/release\/\d+/'}", "branch 'release/0'"),
        ("{branch: main}", "[{tag: v*}, {branch: '**'}]", "branch 'main'"),
        ("{tag: v*}", "{tag: v1.4.0}", "tag 'v1.4.0'"),
        # in one build only one of them fires, but a later build of the same commit can find the other's run
        ("{branch: main, user: anna}", "{branch: main, user: bjorn}", None),
        ("{branch: main, author: a@x}", "{branch: main, author: b@x}", None),
        ("{branch: main, pull_request: true}", "{branch: main, pull_request: false}", None),
    ],
)
def test_rules_that_start_one_workflow_for_one_ref(first: str, second: str, shown: str | None, said: Said) -> None:
    """It is an error where both fire for one build: then it happens at the first rerun."""
    column = len(f"  - {{name: b, when: {second}, deploy: {{workflow: ") + 1
    (message,) = shared(said, f"when: {first}", f"when: {second}")
    kind = f"5:{column}: error[E310]" if shown else f"5:{column}: warning[W310]"
    shows = f" (both fire, for example, on {shown})" if shown else ""
    assert message == (
        f"deploy.yml:{kind}: rules 'a' and 'b' start the same workflow{shows}, so a rerun that finds one of their "
        "runs cannot tell whose it is and ends with exit code 5 — give each rule a workflow of its own, or send "
        "deploy_key: ${deploy.key} with both"
    )


KEYED = "{{workflow: deploy, parameters: {{x: {n}, deploy_key: '${{deploy.key}}'}}}}"


@pytest.mark.parametrize(
    ("one", "two", "is_told"),
    [
        (KEYED.format(n=1), KEYED.format(n=2), False),
        (KEYED.format(n=1), TWO, True),  # the run of the other may hold none
        (ONE, KEYED.format(n=2), True),
        ("{workflow: deploy, parameters: {k: 'x-${deploy.key}-y'}}", KEYED.format(n=2), False),
        ("{workflow: deploy, parameters: {k: '$${deploy.key}'}}", KEYED.format(n=2), True),
        ("{job: j, parameters: {k: '${deploy.key}'}}", "{job: j, parameters: {k: '${deploy.key}', x: 1}}", True),
    ],
)
def test_with_a_key_each_run_is_told_from_the_others(one: str, two: str, is_told: object, said: Said) -> None:
    when = "when: {branch: main}"
    assert bool(shared(said, when, when, (one, two))) is is_told


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{branch: main}", "{branch: develop}"),
        ("{branch: main}", "{tag: main}"),
        ("{branch: release/*}", "{branch: hotfix/**}"),
    ],
)
def test_runs_of_another_ref_are_never_taken_for_a_rules_own(first: str, second: str, said: Said) -> None:
    assert shared(said, f"when: {first}", f"when: {second}") == []


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (ONE, ELSE),
        (ONE, "{to: deployer, workflow: deploy}"),
        ("{to: deployer, workflow: deploy}", "{to: deployer, workflow: deploy}"),
        (ONE, "{job: deploy}"),
        ("{parameters: {x: 1}}", "{parameters: {x: 2}}"),
    ],
)
def test_rules_that_share_no_workflow(one: str, two: str, said: Said) -> None:
    assert shared(said, "when: {branch: main}", "when: {branch: main}", (one, two)) == []


def test_rules_that_share_a_job(said: Said) -> None:
    when, two = "when: {branch: main}", "{job: deploy, parameters: {X: a}}"
    (message,) = shared(said, when, when, ("{job: deploy}", two))
    assert "start the same job" in message
    assert message.endswith("give each rule a job of its own"), "a job shows no configuration, so no key helps"


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ("{x: '${REGION}'}", "${REGION}"),
        ("{x: '${REGION}', y: 'a-${CELL}-${REGION}'}", "${CELL}, ${REGION}"),
        ("{x: '${REGION}', deploy_key: '${deploy.key}'}", None),
        ("{x: '${CIRCLE_SHA1}', y: '${branch.slug}', z: $$REGION}", None),
    ],
)
def test_a_rule_that_is_sent_once_for_each_value_of_a_variable(parameters: str, names: str | None, said: Said) -> None:
    when = 'when: {branch: main, env: {REGION: "*", CELL: "*"}}'
    found = warned(said, "W311", when, "when: {branch: dev}", (f"{{workflow: w, parameters: {parameters}}}", ONE))
    if names is None:
        assert found == []
        return
    (message,) = found
    assert f"the runs of rule 'a' do not tell for which {names} they were sent" in message
    assert message.endswith("send the deploy key: deploy_key: ${deploy.key}")


def many(count: int, when: str, deploy: str = "{{workflow: w{n}, parameters: {{n: {n}}}}}") -> str:
    rule = f"  - {{{{name: r{{n}}, environment: prod, when: {when}, deploy: {deploy}}}}}\n"
    return "version: 1\nrules:\n" + "".join(rule.format(n=n) for n in range(count))


def test_each_of_many_rules_that_share_is_told_once(said: Said) -> None:
    lines = said(many(4, "{{branch: main}}", "{{workflow: w, parameters: {{n: {n}}}}}"))
    assert [line.split("'")[1:4:2] for line in lines if "E310" in line] == [["r0", "r1"], ["r0", "r2"], ["r0", "r3"]]


@pytest.mark.parametrize(
    ("conditions", "told"),
    [
        (("when: {B, pull_request: true}", "when: {B, pull_request: true}", "when: {B, pull_request: false}"), ["01"]),
        (("when: {B, env: {A: x}}", "when: {B, env: {A: x}}", "when: {B, env: {A: y}}"), ["01"]),
        (("when: {B}", "when: {branch: '**'}", "when: {branch: '**'}, unless: {B}"), ["01", "12"]),
    ],
)
def test_what_rules_say_alike_is_all_that_counts(conditions: tuple[str, ...], told: list[str], said: Said) -> None:
    text = "version: 1\nrules:\n"
    for number, condition in enumerate(conditions):
        deploy = f"deploy: {{workflow: w{number}, parameters: {{x: 1}}}}"
        text += f"  - {{name: {number}, environment: prod, {condition.replace('B', 'branch: main')}, {deploy}}}\n"
    lines = [line.split("'") for line in said(text) if "W301" in line]
    assert [first + second for _, first, _, second, *_ in lines] == told


@pytest.mark.parametrize("code", ["W301", "E310"])
def test_beyond_the_work_for_a_file_nothing_is_claimed(code: str, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    text = many(4, "{{branch: [main, f{n}]}}", "{{workflow: w, parameters: {{n: {n}}}}}")
    assert [line for line in said(text) if code in line]
    monkeypatch.setattr(Work, "MOST", 1)
    lines = said(text)
    assert not [line for line in lines if code in line]
    assert [line for line in lines if "W313" in line]


@pytest.mark.parametrize(
    ("when", "searches", "told"),
    [
        # rules that say the same are compared once; names that begin differently need no search
        ("{{branch: [main, release/*]}}", 1, 780),
        ("{{branch: team-{n}/*}}", 0, 0),
    ],
)
def test_few_searches_compare_many_rules(
    when: str, searches: int, told: int, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    find_name = proofs.find_name

    def counted(all_of: Sequence[tuple[Pattern, ...]], none_of: Sequence[tuple[Pattern, ...]]) -> str | None:
        asked.append(all_of)
        return find_name(all_of, none_of)

    monkeypatch.setattr(proofs, "find_name", counted)
    proofs._overlap.cache_clear()
    assert len([line for line in said(many(40, when)) if "W301" in line]) == told
    assert len(asked) == searches


def _globs(n: int) -> str:
    return ", ".join(f"'*{chr(97 + (n * 7 + i * 3) % 26)}{n}*{i}{chr(97 + (i * 5 + n) % 26)}*'" for i in range(35))


def _regexes(n: int) -> str:
    return ", ".join(f"'/(a|b{n}){{1,9}}[a-f]+x{{2,{3 + i % 7}}}(foo|ba[rz]{i})*[0-9]{{1,5}}z/'" for i in range(30))


@pytest.mark.parametrize(
    "conditions",
    [
        [f"{{branch: [{_globs(n)}]}}" for n in range(200)],
        [f"{{branch: [{_regexes(n)}]}}" for n in range(60)],
        [f"[{', '.join(f'{{branch: {regex}}}' for regex in _regexes(n).split(', '))}]" for n in range(60)],
    ],
    ids=["globs", "regexes", "alternatives"],
)
def test_work_on_a_large_file_ends(conditions: list[str]) -> None:
    """Work is counted, so that the same is said on every machine."""
    rules = "".join(
        f"  - {{name: r{n}, environment: e, when: {when}, deploy: {{workflow: w{n}, parameters: {{n: {n}}}}}}}\n"
        for n, when in enumerate(conditions)
    )
    source = SourceFile("deploy.yml", f"version: 1\nrules:\n{rules}")
    first = examine(source).diagnostics
    assert [d.message for d in first if d.code == "W313"] == [
        "not every rule and pattern of this file is compared with the others: too large"
    ]
    assert load(source).rules, "what is too large to compare can be used"


def test_an_ordinary_file_is_compared_whole(said: Said) -> None:
    text = many(60, "{{branch: [main, release/*, 'feature/*{n}']}}", "{{workflow: w{n}, parameters: {{n: {n}}}}}")
    assert not [line for line in said(text) if "W313" in line]
