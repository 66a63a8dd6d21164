"""Each matcher: when it holds, in which words, and what it needs to know."""

import pytest
from builds import build, rules

from deploystep.core.decide import cost, match
from deploystep.core.facts import (
    Answered,
    AuthorOf,
    Base,
    ChangedSince,
    Facts,
    IsMergedInto,
    Known,
    MessageOf,
    Question,
    Trace,
    Unavailable,
)
from deploystep.core.rules import Matcher
from deploystep.core.source import Severity

CHANGED = ChangedSince(Base.PREVIOUS_COMMIT)
OTHERS, OF_OTHERS = "https://github.com/upstream/shop/pull/4", "is of another repository"
LOST = Unavailable("U999", "cannot tell", "ask somebody")


def matcher(written: str) -> Matcher:
    """One matcher; what stands before it, `branch: f/**`, makes the rule complete."""
    when = f"when:\n      branch: f/**\n      {written}"
    (rule,) = rules(f"version: 1\nrules:\n  - name: a\n    {when}\n    deploy: {{workflow: x}}\n").rules
    (alternative,) = rule.when.alternatives
    return alternative.matchers[-1]


def tried(written: str, answers: dict[Question, Answered] | None = None) -> Trace:
    return match(matcher(written), Facts(build(), None, answers or {}))


def words(trace: Trace) -> str:
    (reason,) = trace.reasons
    assert reason.line == 6
    return reason.text


# fmt: off
COMMIT: list[tuple[str, Question, object, str]] = [
    ("author: anna@acme.dev", AuthorOf(), "anna@acme.dev", "yes: author anna@acme.dev"),
    ('author: [a@x, "*@y"]', AuthorOf(), "c@x", "no: author c@x does not match a@x or *@y"),
    ('author: "*"', AuthorOf(), "", "no: author — it is empty"),
    ("message_contains: '[ship]'", MessageOf(), "Fix [ship] it", "yes: the commit message contains '[ship]'"),
    ("message_contains: [a, b]", MessageOf(), "first\n\nbody", "yes: the commit message contains 'b'"),
    ("message_contains: [x, Ship]", MessageOf(), "ship", "no: the commit message does not contain 'x' or 'Ship'"),
    ("message_contains: v*", MessageOf(), "v1", "no: the commit message does not contain 'v*'"),
    ("message_contains: x", MessageOf(), "", "no: the commit message does not contain 'x'"),
    ("merged_into: main", IsMergedInto("main"), True, "yes: 4f2c1aa is on main"),
    ("merged_into: main", IsMergedInto("main"), False, "no: 4f2c1aa is not on main"),
]
#: Which files count is a law in tests/property; here are the words.
PATHS = [
    ("only: [a/**, b]", ["x", "a/1", "b"], "yes: 2 of 3 changed files match: a/1 and 1 more"),
    ("only: a/**", ["a/1", "x"], "yes: 1 of 2 changed files match: a/1"),
    ("only: a b/**", ["a b/ü\n.txt"], "yes: 1 of 1 changed file matches: a b/ü\n.txt"),
    ("only: a/**", ["a/\udcff"], "yes: 1 of 1 changed file matches: a/\udcff"),
    ("only: a/**", ["x", "a"], "no: none of 2 changed files match"),
    ("only: a/**", ["A/1"], "no: none of 1 changed file matches"),
    ("only: a/**", [], "no: no files changed"), ('ignore: "**/*.md"', [], "no: no files changed"),
    # without `only` every file counts; `ignore` is per file and wins
    ('ignore: "**/*.md"', ["README.md", "a.py"], "yes: 1 of 2 changed files match: a.py"),
    ('only: a/**, ignore: "**/*.md"', ["a/b.md", "a/b.py"], "yes: 1 of 2 changed files match: a/b.py"),
]
# fmt: on
COMMIT += [(f"paths: {{{spec}, since: previous-commit}}", CHANGED, tuple(files), words) for spec, files, words in PATHS]


@pytest.mark.parametrize(("written", "question", "known", "because"), COMMIT)
def test_a_fact_that_git_knows(written: str, question: Question, known: object, because: str) -> None:
    found = tried(written, {question: Known(known)})
    assert (f"{found.answer.value}: {words(found)}", found.wants, found.problems) == (because, (), ())


UNKNOWN: dict[str, Question] = {
    "author: x": AuthorOf(), "message_contains: x": MessageOf(), "merged_into: main": IsMergedInto("main"),
    "paths: {only: x, since: previous-commit}": CHANGED,
    "paths: {only: x, since: {ref: live}}": ChangedSince(ref="live"),
    "paths: {only: x, since: last-deploy}": ChangedSince(Base.LAST_DEPLOY, workflow="x"),
    "paths: {only: x, since: merge-base}": ChangedSince(Base.MERGE_BASE),
}  # fmt: skip


def test_what_is_not_known_is_unknown_and_a_problem_stands_where_the_matcher_stands() -> None:
    for written, question in UNKNOWN.items():
        unasked = tried(written, {IsMergedInto("other"): Known(value=True)})
        assert (unasked.answer.value, unasked.wants, unasked.problems) == ("unknown", (question,), ())
        lost = tried(written, {question: LOST})
        assert (lost.answer.value, lost.wants, words(lost)) == ("unknown", (), "cannot tell — ask somebody")
        (problem,) = lost.problems
        assert (problem.code, problem.message, problem.hint) == ("U999", "cannot tell", "ask somebody")
        assert (problem.severity, problem.span.line) == (Severity.UNDECIDED, 6)
    (problem,) = tried("merged_into: [release, main]", {IsMergedInto("release"): LOST}).problems
    assert problem.span.start.column == 21


# fmt: off
MAIN, LIVE, YES, NO = IsMergedInto("main"), IsMergedInto("live"), Known(value=True), Known(value=False)
BRANCHES: list[tuple[dict[Question, Answered], str, tuple[Question, ...], int]] = [
    ({}, "unknown", (MAIN,), 0), ({MAIN: NO}, "unknown", (LIVE,), 0), ({MAIN: LOST}, "unknown", (LIVE,), 1),
    ({MAIN: LOST, LIVE: NO}, "unknown", (), 1), ({MAIN: LOST, LIVE: LOST}, "unknown", (), 2),
    ({MAIN: LOST, LIVE: YES}, "yes", (), 0), ({MAIN: YES}, "yes", (), 0), ({MAIN: NO, LIVE: NO}, "no", (), 0),
]
ENVIRONMENT = [
    ("env: {A: x}", {"A": "x"}, "yes: env A matches x"),
    ("env: {A: [x, y]}", {"A": "z"}, "no: env A does not match x or y"),
    ("env: {A: x}", {"A": ""}, "no: env A — it is not set"),
    ("env: {A: x, B: y}", {"A": "x", "B": "z"}, "no: env B does not match y"),
    ("env: {A: /xy/}", {"A": "x"}, "no: env A does not match /xy/"),
    ("env: {CIRCLE_JOB: b*}", {"CIRCLE_JOB": "build"}, "yes: env CIRCLE_JOB build matches b*"),
    ("user: '*'", {"CIRCLE_USERNAME": ""}, "no: user — CIRCLE_USERNAME is not set"),
    ("fork: false", {}, "yes: fork — this is not a fork build"),
    ("pull_request: true", {"CIRCLE_PULL_REQUEST": OTHERS}, f"no: pull_request — there is none; {OTHERS} {OF_OTHERS}"),
]
# fmt: on


def test_any_of_several_branches() -> None:
    """They are asked about one by one, and the first that holds is enough."""
    for answers, *expected in BRANCHES:
        found = tried("merged_into: [main, live]", answers)
        assert [found.answer.value, found.wants, len(found.problems)] == expected, answers
        assert found.claim == "merged_into main or live"


@pytest.mark.parametrize(("written", "variables", "because"), ENVIRONMENT)
def test_a_fact_of_the_environment(written: str, variables: dict[str, str], because: str) -> None:
    """No value of a variable is shown that CircleCI does not set itself, nor anything that tells of it."""
    found = match(matcher(written), Facts(build(**variables)))
    assert (f"{found.answer.value}: {words(found)}", found.wants) == (because, ())


def test_costs() -> None:
    """The environment first, then the commit, its ancestry, and its files."""
    free = ("user: x", "env: {A: x}", "fork: true", "pull_request: true")
    later = ("author: x", "message_contains: x", "merged_into: x", "paths: {only: x, since: previous-commit}")
    assert [cost(matcher(written)) for written in (*free, *later)] == [0, 0, 0, 0, 1, 1, 2, 3]
