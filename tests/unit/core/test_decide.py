"""Which rules fire and why, in the words that people read."""

from datetime import datetime, timezone
from typing import Any

import pytest
from builds import build, fork_environ, rules, tag_build

from deploystep.core.build import BuildContext
from deploystep.core.decide import Decision, decide
from deploystep.core.facts import Answered, AuthorOf, Facts, IsMergedInto, Known, Question, Unavailable
from deploystep.core.rules import RuleSet

FORK = BuildContext.from_environ(fork_environ())
PULL = build(CIRCLE_BRANCH="feature/x", CIRCLE_PULL_REQUEST="https://github.com/acme/shop/pull/42")
NOBODY = build(CIRCLE_USERNAME=None)
NOBODY_WORDS = (
    "cannot tell who started this build: CIRCLE_USERNAME is not set, as for bots and schedules — "
    "use author: or a branch pattern, such as branch: dependabot/**, instead of user:"
)
UNCLEAR = build(CIRCLE_PR_USERNAME="mallory")
UNCLEAR_WORDS = (
    "cannot tell whether this is a fork build: CIRCLE_PR_USERNAME is set, and branch main is no pull request's — "
    "CircleCI sets CIRCLE_PR_USERNAME only for forks: take it out of the project's settings, contexts and config"
)
NO_FORK, AT_X = "line 5: a fork build needs fork: true", "branch feature/x (line 5)"
MISSES = "line 5: tag {} does not match {}".format


def written(*whens: str, never: str = "") -> RuleSet:
    """Rules r0, r1, … from line 5 on, one a line: what stands behind `when:`, and what follows it there."""
    lines = ",\n".join(f"{{name: r{n}, when: {when}, deploy: {{workflow: w{n}}}}}" for n, when in enumerate(whens))
    return rules(f"version: 1\n{never}\n\nrules: [\n{lines}]\n")


def told(decision: Decision) -> list[str]:
    return [f"{j.verdict.value}: {j.because}" for j in decision.judgements]


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
    # only a `when` needs fork: true; what stops a rule stops it on a fork too
    ('{branch: "**", fork: true}, unless: {branch: pull/7}', FORK, "no", "line 5: unless: branch pull/7"),
    # CircleCI sets CIRCLE_USERNAME only for people with an account: what stops a user must not pass a blank one
    ("{branch: main}, unless: {user: bot}", NOBODY, "unknown", f"line 5: unless: {NOBODY_WORDS}"),
    ("{branch: main}, unless: [{user: bot, branch: x}]", NOBODY, "fire", "branch main (line 5)"),
    ("{branch: main}, unless: [{user: bot}, {pull_request: false}]", NOBODY, "no",
     "line 5: unless: pull_request — there is none"),
]
NEVER = "never: [{name: switch, when: {env: {OFF: '*'}}, reason: switched off}, {when: {user: bot}}]"
GUARDED = ["{branch: main}, unless: [{user: mallory}, {branch: main, user: eve}]", '{branch: "**"}']
FIRES_AT = "fire: branch {} matches ** (line 6)".format
GUARDS: list[tuple[Any, list[str]]] = [
    ({}, ["fire: branch main (line 5)", FIRES_AT("main")]),
    ({"OFF": "1"}, ["no: line 2: never switch — switched off"] * 2),
    ({"CIRCLE_USERNAME": "bot"}, ["no: line 2: never — user bot"] * 2),
    ({"CIRCLE_USERNAME": None}, [f"unknown: line 2: never — {NOBODY_WORDS}"] * 2),
    ({"CIRCLE_USERNAME": "mallory"}, ["no: line 5: unless: user mallory", FIRES_AT("main")]),
    ({"CIRCLE_BRANCH": "x"}, ["no: line 5: branch x does not match main", FIRES_AT("x")]),
]
# fmt: on


@pytest.mark.parametrize(("when", "of", "verdict", "because"), BECAUSE)
def test_because(when: str, of: BuildContext | None, verdict: str, because: str) -> None:
    decision = decide(written(when), Facts(of or build()))
    assert told(decision) == [f"{verdict}: {because}"]
    unknown = {"U107" if of is NOBODY else "U106"}
    assert {p.code for p in decision.problems} == (unknown if verdict == "unknown" else set())


@pytest.mark.parametrize(("variables", "expected"), GUARDS)
def test_never_and_unless(variables: Any, expected: list[str]) -> None:
    assert told(decide(written(*GUARDED, never=NEVER), Facts(build(**variables)))) == expected


MERGED = IsMergedInto("main")
YES, NO, LOST = Known(value=True), Known(value=False), Unavailable("U102", "not fetched", "fetch it")
MEANT = "{branch: main, merged_into: main}"
FROZEN = MEANT + ", during: Mon 09:00-10:00"
CASES: list[tuple[list[str], Answered | None, str, set[Question], list[str]]] = [
    # nothing fires while the outcome of any rule is unknown
    (["{branch: main}", MEANT], None, "fire unknown", {MERGED}, []),
    (["{branch: main}", MEANT], LOST, "fire unknown", set(), ["U102"]),
    (["{branch: main}", MEANT], NO, "fire no", set(), []),
    (["{branch: main}", MEANT], YES, "fire fire", set(), []),
    # what cannot matter is neither asked nor told
    (["{branch: other, merged_into: main}, requires: [test]"], None, "no", set(), []),
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
    tuesday = datetime(2026, 6, 16, tzinfo=timezone.utc)
    found = decide(written(*whens), Facts(build(), tuesday, {} if merged is None else {MERGED: merged}))
    assert [j.verdict.value for j in found.judgements] == verdicts.split()
    assert (set(found.wants), [p.code for p in found.problems]) == (wants, problems)
    assert len(found.firing) == (0 if "unknown" in verdicts else verdicts.count("fire"))
