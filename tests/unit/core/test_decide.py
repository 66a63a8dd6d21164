"""Which rules fire and why, in the words that people read."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from builds import build, fork_environ, rules, tag_build

from deploystep.core.build import BuildContext
from deploystep.core.decide import Decision, Verdict, decide
from deploystep.core.facts import Answered, AuthorOf, Facts, IsMergedInto, Known, Question, Unavailable

FORK = BuildContext.from_environ(fork_environ())
PULL = build(CIRCLE_BRANCH="feature/x", CIRCLE_PULL_REQUEST="https://github.com/acme/shop/pull/42")

UNCLEAR = build(CIRCLE_PR_USERNAME="mallory")
UNCLEAR_WORDS = (
    "cannot tell whether this is a fork build: CIRCLE_PR_USERNAME is set, and branch main is no pull request's — "
    "CircleCI sets CIRCLE_PR_USERNAME only for forks: take it out of the project's settings, contexts and config"
)
NO_FORK, AT_X = "line 5: a fork build needs fork: true", "branch feature/x (line 5)"
MISSES = "line 5: tag {} does not match {}".format


def decided(text: str, of: BuildContext | None = None) -> Decision:
    return decide(rules(text), Facts(of or build()))


# fmt: off
BECAUSE: list[tuple[str, BuildContext | None, str, str]] = [
    ("{branch: main}", None, "fire", "branch main (line 5)"),
    ("{branch: [x, ma*]}", None, "fire", "branch main matches ma* (line 5)"),
    ("{branch: [a, b]}", None, "no", "line 5: branch main does not match a or b"),
    ("{tag: v*}", None, "no", "line 5: tag — this is a branch build"),
    ("{branch: main}", tag_build("main"), "no", "line 5: branch — this is a tag build"),
    ("{tag: v*}", tag_build("v1"), "fire", "tag v1 matches v* (line 5)"),
    (r"{tag: /v\d\.\d/}", tag_build("v1"), "no", MISSES("v1", r"/v\d\.\d/; it matches up to `v1`")),
    (r"{tag: /v\d+/}", tag_build("x1"), "no", MISSES("x1", r"/v\d+/")),
    (r"{tag: [/v\d+/, w*]}", tag_build("vx"), "no", MISSES("vx", r"/v\d+/ or w*")),
    ("{branch: feature/x, pull_request: true}", PULL, "fire", f"{AT_X}, pull request 42 (line 5)"),
    ('{branch: "**", pull_request: false}', PULL, "no", "line 5: pull request 42"),
    ("{branch: main, user: [anna, bjorn]}", None, "fire", "branch main (line 5), user anna (line 5)"),
    ('{branch: "**"}', FORK, "no", NO_FORK), ('{branch: "**", fork: false}', FORK, "no", NO_FORK),
    ("{branch: pull/7, fork: true}", FORK, "fire", "branch pull/7 (line 5), this is a fork build (line 5)"),
    ("{branch: main, fork: true}", None, "no", "line 5: fork — this is not a fork build"),
    *((f"{{branch: main{fork}}}", UNCLEAR, "unknown", f"line 5: {UNCLEAR_WORDS}")
      for fork in ("", ", fork: true", ", fork: false")),
    ("{branch: x}", UNCLEAR, "no", "line 5: branch main does not match x"),
    ("[{branch: main, user: anna, pull_request: true}, {branch: main}]", None, "fire", "branch main (line 5)"),
    # the nearest miss is told
    ("[{branch: nowhere}, {branch: main, user: bjorn}, {branch: x}]", None, "no",
     "line 5: user anna does not match bjorn"),
]
#: What is under never and under unless, who started the build, and what becomes of the rule.
STOPPED = [
    ("", "{user: bot}", None, "unknown"), ("", "{user: bot}", "bot", "no"), ("", "{user: bot}", "anna", "fire"),
    ("", "[{user: bot, branch: x}]", None, "fire"), ("", "[{user: bot}, {pull_request: false}]", None, "no"),
    ("{user: bot}", "", None, "unknown"), ("{user: bot, branch: x}", "", None, "fire"),
]
# fmt: on


@pytest.mark.parametrize(("when", "of", "verdict", "because"), BECAUSE)
def test_because(when: str, of: BuildContext | None, verdict: str, because: str) -> None:
    written = f"version: 1\n\nrules:\n  - name: a\n    when: {when}\n    deploy: {{workflow: x}}\n"
    (judged,) = decided(written, of).judgements
    assert (judged.verdict.value, judged.because) == (verdict, because)


@pytest.mark.parametrize(("never", "unless", "user", "verdict"), STOPPED)
def test_nobody_knows_who_started_a_build_of_a_bot(never: str, unless: str, user: str | None, verdict: str) -> None:
    """CircleCI sets CIRCLE_USERNAME only for people with an account: what stops a user must not pass a blank one."""
    stops = f"never: [{{when: {never}}}]" if never else ""
    more = f"unless: {unless}, " if unless else ""
    rule = f"{{name: a, when: {{branch: main}}, {more}deploy: {{workflow: x}}}}"
    (judged,) = decided(f"version: 1\n{stops}\nrules: [{rule}]\n", build(CIRCLE_USERNAME=user)).judgements
    assert judged.verdict.value == verdict
    for problem in judged.trace.problems:
        assert problem.code == "U107"
        assert (
            problem.message
            == "cannot tell who started this build: CIRCLE_USERNAME is not set, as for bots and schedules"
        )
        assert problem.hint == "use author: or a branch pattern, such as branch: dependabot/**, instead of user:"


GUARDED = """
    version: 1
    never:
      - {name: switch, when: {env: {OFF: "*"}}, reason: switched off}
      - {when: {user: bot}}
    rules:
      - name: a
        when: {branch: main}
        unless: [{user: mallory}, {branch: main, user: eve}]
        deploy: {workflow: x}
      - name: b
        when: {branch: "**"}
        deploy: {workflow: y}
    """
# fmt: off
FIRES_AT = "fire: branch {} matches ** (line 12)".format
GUARDS: list[tuple[Any, list[str]]] = [
    ({}, ["fire: branch main (line 8)", FIRES_AT("main")]),
    ({"OFF": "1"}, ["no: line 4: never switch — switched off"] * 2),
    ({"CIRCLE_USERNAME": "bot"}, ["no: line 5: never — user bot"] * 2),
    ({"CIRCLE_USERNAME": "mallory"}, ["no: line 9: unless: user mallory", FIRES_AT("main")]),
    ({"CIRCLE_BRANCH": "x"}, ["no: line 8: branch x does not match main", FIRES_AT("x")]),
]
# fmt: on


@pytest.mark.parametrize(("variables", "expected"), GUARDS)
def test_never_and_unless(variables: Any, expected: list[str]) -> None:
    found = decided(GUARDED, build(**variables)).judgements
    assert [f"{j.verdict.value}: {j.because}" for j in found] == expected


MERGED = IsMergedInto("main")
YES, NO, LOST = Known(value=True), Known(value=False), Unavailable("U102", "not fetched", "fetch it")
MEANT = "{branch: main, merged_into: main}"
FROZEN = MEANT + "; during: Mon 09:00-10:00"
CASES: list[tuple[list[str], Answered | None, str, set[Question], list[str]]] = [
    # nothing fires while the outcome of any rule is unknown
    (["{branch: main}", MEANT], None, "fire unknown", {MERGED}, []),
    (["{branch: main}", MEANT], LOST, "fire unknown", set(), ["U102"]),
    (["{branch: main}", MEANT], NO, "fire no", set(), []),
    (["{branch: main}", MEANT], YES, "fire fire", set(), []),
    # what cannot matter is neither asked nor told
    (["{branch: other, merged_into: main}; requires: [test]"], None, "no", set(), []),
    (["[{branch: main}, {branch: 'm*', merged_into: main}]"], None, "fire", set(), []),
    # the cheapest question is asked first
    (["{merged_into: main, branch: main, author: x}"], None, "unknown", {AuthorOf()}, []),
    # only a rule that is meant is held
    ([FROZEN], None, "unknown", {MERGED}, []),
    ([FROZEN], YES, "held", set(), []),
    ([FROZEN], NO, "no", set(), []),
]


@pytest.mark.parametrize(("whens", "merged", "verdicts", "wants", "problems"), CASES)
def test_what_is_decided_and_asked(
    whens: list[str], merged: Answered | None, verdicts: str, wants: set[Question], problems: list[str]
) -> None:
    written = "".join(
        f"  - {{name: r{n}, when: {when.replace(';', ',')}, deploy: {{workflow: w{n}}}}}\n"
        for n, when in enumerate(whens)
    )
    tuesday = datetime(2026, 6, 16, tzinfo=timezone.utc)
    known = Facts(build(), tuesday, {} if merged is None else {MERGED: merged})
    found = decide(rules(f"version: 1\nrules:\n{written}"), known)
    assert [j.verdict.value for j in found.judgements] == verdicts.split()
    assert (set(found.wants), [p.code for p in found.problems]) == (wants, problems)
    assert len(found.firing) == (0 if "unknown" in verdicts else verdicts.count("fire"))


def test_what_stops_a_rule_stops_it_on_a_fork_too() -> None:
    """Only a `when` needs fork: true."""
    rule = '{name: a, when: {branch: "**", fork: true}, unless: [{branch: pull/7}], deploy: {workflow: x}}'
    (judged,) = decided(f"version: 1\nrules: [{rule}]\n", FORK).judgements
    assert (judged.verdict, judged.because) == (Verdict.NO, "line 2: unless: branch pull/7")
