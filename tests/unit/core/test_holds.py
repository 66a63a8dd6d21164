"""What holds a rule back, with every reason and when it ends."""

import pytest
from builds import build, rules

from deploystep.core.decide import Judgement, Verdict, decide, holds_of
from deploystep.core.facts import Answered, Facts, JobsOf, Known, Question, Unavailable
from deploystep.core.rules import RuleSet
from deploystep.core.times import read_moment, zone

FILE = """
    version: 1
    timezone: Europe/Berlin
    windows:
      office-hours: [Mon-Thu 09:00-17:00, Fri 09:00-12:00]
    freezes:
      - {name: year-end, from: 2026-12-18 18:00, until: 2027-01-04 09:00, reason: see OPS-412,
         environments: [production], except: [hotfix]}
      - {name: move, from: 2026-12-21 00:00, until: 2027-01-06 12:00}
    rules:
      - {name: plain, when: {branch: main}, deploy: {workflow: a}}
      - {name: staging, environment: staging, when: {branch: main}, during: office-hours, deploy: {workflow: b}}
      - {name: production, environment: production, when: {branch: main}, during: office-hours,
         requires: [test, build-image], deploy: {workflow: c}}
      - {name: hotfix, environment: production, when: {branch: main}, deploy: {workflow: d}}
      - {name: night, when: {branch: main}, during: Fri 22:00-06:00 America/New_York, deploy: {workflow: e}}
    """
TIMELESS = "rules: [{name: a, when: {branch: main}, deploy: {workflow: a}}]\n"
PASSED: dict[str, str] = {"test": "success", "build-image": "success"}


def judged(now: str | None, jobs: Answered | None = None, of: RuleSet | None = None) -> dict[str, Judgement]:
    read = of or rules(FILE)
    answers: dict[Question, Answered] = {} if jobs is None else {JobsOf(): jobs}
    moment = read_moment(now, zone(read.timezone)) if now else None
    return {j.rule.name.value: j for j in decide(read, Facts(build(), moment, answers)).judgements}


# fmt: off
OFFICE, NIGHT = "Mon-Thu 09:00-17:00 or Fri 09:00-12:00", "Fri 22:00-06:00 America/New_York"
TUESDAY, FRIDAY, CHRISTMAS = "2026-06-16 10:00", "2026-06-19 18:00", "2026-12-24 10:00"
ENDS = "held until Wed 2027-01-06 12:00 Europe/Berlin"
MOVED = f"line 9: freeze move; {ENDS}"
REST = f"line 7: freeze year-end — see OPS-412; {ENDS}; {MOVED}; line 14: job test has not succeeded (status: failed)"
CLOCK = [
    ("plain", TUESDAY, "fire: branch main (line 11)"), ("plain", CHRISTMAS, f"held: {MOVED}"),
    ("staging", TUESDAY, f"fire: branch main (line 12), during {OFFICE} (line 12)"),
    ("staging", FRIDAY, f"held: line 12: outside {OFFICE}; held until Mon 2026-06-22 09:00 Europe/Berlin"),
    ("staging", CHRISTMAS, f"held: {MOVED}"), ("hotfix", "2026-12-19 10:00", "fire: branch main (line 15)"),
    # the window's zone judges, the file's zone tells
    ("night", TUESDAY, f"held: line 16: outside {NIGHT}; held until Sat 2026-06-20 04:00 Europe/Berlin"),
    ("night", "2026-06-20 11:59", f"fire: branch main (line 16), during {NIGHT} (line 16)"),
    # every reason is told, and each with the moment at which all have ended
    ("production", "2026-12-24 18:00", f"held: line 13: outside {OFFICE}; {ENDS}; {REST}"),
]
# fmt: on


@pytest.mark.parametrize(("rule", "now", "expected"), CLOCK)
def test_the_clock(rule: str, now: str, expected: str) -> None:
    found = judged(now, Known({**PASSED, "test": "failed"}))[rule]
    assert f"{found.verdict.value}: {found.because}" == expected


def test_no_opening() -> None:
    freeze = "{name: end, from: 2026-01-01 00:00, until: 9999-12-31 23:59 UTC}"
    held = judged(TUESDAY, of=rules(f"version: 1\ntimezone: Asia/Tokyo\nfreezes: [{freeze}]\n{TIMELESS}"))["a"]
    assert held.because == "line 3: freeze end; held until further notice: no opening was found"


def test_a_time_that_is_not_stated_holds_only_what_asks_it() -> None:
    found = judged(None, Known(PASSED))
    assert {name: j.verdict for name, j in found.items()} == dict.fromkeys(found, Verdict.UNKNOWN)
    assert {d.code for j in found.values() for d in j.trace.problems} == {"U104"}
    assert [p.span.line for p in found["production"].trace.problems] == [13, 7, 9]
    assert judged(None, of=rules(f"version: 1\n{TIMELESS}"))["a"].verdict is Verdict.FIRE


# requires

REQUIRES = rules("""
    version: 1
    rules:
      - {name: a, when: {branch: main}, deploy: {workflow: a},
        requires: [test, build-image, scan]}
    """)
MISSING = "(a job that was filtered out is missing too)"
OWN = "leave it out: what the job did before the step has succeeded"
NONE = "line 5: no job 'build-image' in this workflow — "
NOT = "line 5: job {} has not succeeded (status: {})".format
# fmt: off
#: What the jobs test, build-image and scan have come to, and which runs the step; what is said, and the problems.
REQUIRED: list[tuple[str, str, str, str, list[tuple[str, int, str]]]] = [
    ("success success success", "", "fire", "branch main (line 4), requires test ✓ build-image ✓ scan ✓ (line 5)", []),
    *((f"{word} success success", "", "held", NOT("test", word), [])  # only success is success
      for word in ("failed", "running", "not_run", "Success")),
    ("failed success running", "", "held", f"{NOT('test', 'failed')}; {NOT('scan', 'running')}", []),
    # a failed job settles it, so the rule is held; the one that is not there is told all the same
    ("success - failed", "", "held", f"{NONE}{MISSING}; {NOT('scan', 'failed')}", []),
    ("success - -", "", "unknown", NONE, [("E701", 22, MISSING), ("E701", 35, f"did you mean 'scann'? {MISSING}")]),
    # the job that runs the step would hold its rule for ever
    ("success success running", "scan", "unknown", "line 5: job 'scan' runs this step", [("E702", 35, OWN)]),
    ("success success -", "scan", "unknown", "line 5: job 'scan' runs this step", [("E702", 35, OWN)]),
    ("success success success", "scan", "fire", "branch main", []),
    ("success success running", "other", "held", NOT("scan", "running"), []),
]
# fmt: on


@pytest.mark.parametrize(("statuses", "own", "verdict", "words", "problems"), REQUIRED)
def test_required_jobs(statuses: str, own: str, verdict: str, words: str, problems: list[tuple[str, int, str]]) -> None:
    listed = dict(zip(("test", "build-image", "scan"), statuses.split(), strict=True)) | {"scann": "success"}
    answer = Known({name: status for name, status in listed.items() if status != "-"})
    (found,) = decide(REQUIRES, Facts(build(CIRCLE_JOB=own), None, {JobsOf(): answer})).judgements
    assert (found.verdict.value, found.because[: len(words)]) == (verdict, words)
    assert [(d.code, d.span.start.column, d.hint) for d in found.trace.problems] == problems
    assert all(d.is_error for d in found.trace.problems)


def test_jobs_that_cannot_be_listed() -> None:
    assert judged(None, None, REQUIRES)["a"].trace.wants == (JobsOf(),)
    found = judged(None, Unavailable("U105", "cannot tell", "ask again"), REQUIRES)["a"]
    assert found.verdict is Verdict.UNKNOWN
    assert [(d.code, d.is_error, d.hint) for d in found.trace.problems] == [("U105", False, "ask again")]


def test_each_hold_is_a_trace_of_its_own() -> None:
    """Also those that let the rule pass, for who wants to see everything that was looked at."""
    read, jobs = rules(FILE), Known({**PASSED, "test": "failed"})
    moment = read_moment(TUESDAY, zone(read.timezone))
    found = holds_of(read.rules[2], read, Facts(build(), moment, {JobsOf(): jobs}))
    assert {t.claim: t.answer.value for t in found} == {
        f"during {OFFICE}": "yes", "not frozen by year-end": "yes", "not frozen by move": "yes",
        "requires test and build-image": "no",
    }  # fmt: skip
    parts = {"job test succeeded": "no", "job build-image succeeded": "yes"}
    assert {p.claim: p.answer.value for p in found[-1].parts} == parts
