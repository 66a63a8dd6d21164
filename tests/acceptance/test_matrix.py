"""`matrix` in real clones: each cell is what `plan` says of that build, and what cannot be told is not."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from acceptance.process import Clone, Ended, Project

DEPLOY = "deploy: {workflow: deploy, parameters: {deploy: true}}"
RULES = f"""
    version: 1
    windows:
      office-hours: Mon-Thu 09:00-16:00
    freezes:
      - name: year-end
        from: 2026-12-18 18:00
        until: 2027-01-04 09:00
    never:
      - when: {{env: {{DEPLOYS_OFF: "*"}}}}
    rules:
      - name: staging
        when: {{branch: main}}
        {DEPLOY}
      - name: production
        when: {{tag: v*, merged_into: main}}
        during: office-hours
        {DEPLOY.replace("workflow: deploy", "workflow: release")}
      - name: docs
        when: {{branch: [main, docs/**], paths: {{only: docs/**, since: previous-commit}}}}
        {DEPLOY.replace("workflow: deploy", "workflow: docs")}
      - name: preview
        when: {{branch: "feature/**", pull_request: true, user: anna}}
        {DEPLOY.replace("workflow: deploy", "workflow: preview")}
    cases:
      - name: a preview
        given: {{branch: feature/x, pull_request: 7, user: anna}}
        expect: {{fire: [preview]}}
      - name: a Friday
        given: {{tag: v1, merged_into: [main], now: 2026-06-19 10:00}}
        expect: {{held: [production]}}
    """
TUESDAY = "2026-06-16 08:00"


@pytest.fixture
def shop(clone: Clone) -> Clone:
    """Commits on main, of which the last changes docs/; two branches and a tag."""
    clone.write(RULES)
    clone.commit()
    clone.write("x", "docs/a.md")
    clone.commit("docs/a.md")
    clone.push()
    clone.git("tag", "v1.4.0")
    for name in ("feature/a", "docs/b"):
        clone.git("update-ref", f"refs/remotes/origin/{name}", "HEAD")
    return clone


def judged(clone: Project, *more: str) -> Any:
    ended = clone.run(("matrix", "--json", "--now", TUESDAY, *more), {}, ci=False)
    assert ended.code == 0, ended.err
    return ended.json["matrix"]


def judgements(matrix: Any, name: str, when: str = "now") -> dict[str, Any]:
    """What becomes of each rule for a build."""
    (build,) = [b for b in matrix["builds"] if b["name"] == name]
    return {cell["rule"]: cell for cell in build[when]}


VERDICTS = [
    ("branch", "branch 'main'", "fire no fire no"),
    ("branch", "branch 'feature/a'", "no no no unknown"),
    ("branch", "branch 'docs/b'", "no no fire no"),
    ("tag", "tag 'v1.4.0'", "no held no no"),
    ("case", "a preview", "no no no fire"),
    ("case", "a Friday", "no held no no"),
    ("pattern", "tag 'v'", "no held no no"),
    ("pattern", "branch 'docs/a'", "no no unknown no"),
    ("pattern", "branch 'feature/a' with a pull request by user 'anna'", "no no no fire"),
]


def test_each_build_and_rule_has_its_verdict(shop: Clone) -> None:
    told = [(b["kind"], b["name"], " ".join(c["verdict"] for c in b["now"])) for b in judged(shop)["builds"]]
    assert sorted(told) == sorted(VERDICTS)
    assert [kind for kind, _, _ in told] == [kind for kind, _, _ in VERDICTS]


def test_what_is_not_known_says_what_it_hangs_on(shop: Clone) -> None:
    matrix, asked = judged(shop), "line 22: pull_request true; line 22: user anna"
    assert judgements(matrix, "branch 'docs/a'")["docs"]["because"] == "line 19: which files changed"
    assert judgements(matrix, "branch 'feature/a'")["preview"]["because"] == asked


def test_it_is_judged_once_more_at_the_next_change(shop: Clone) -> None:
    matrix = judged(shop)
    assert matrix["change"] == "2026-06-16T09:00:00+00:00"
    later = {name: judgements(matrix, name, "later")["production"]["verdict"] for name in ("tag 'v1.4.0'", "tag 'v'")}
    assert later == {"tag 'v1.4.0'": "fire", "tag 'v'": "unknown"}
    assert [b["name"] for b in matrix["builds"] if b["later"]] == list(later)
    assert next(b["at"] for b in matrix["builds"] if b["name"] == "a Friday") == "2026-06-19T10:00:00+00:00"


def test_a_cell_says_what_plan_says(shop: Clone) -> None:
    matrix = judged(shop)
    for name, ref in (("branch 'main'", ("--branch", "main")), ("tag 'v1.4.0'", ("--tag", "v1.4.0"))):
        planned = shop.run(("plan", "--json", "--now", TUESDAY, *ref), {}, ci=False).json["rules"]
        told = {r["name"]: (r["verdict"], r["because"]) for r in planned}
        assert {rule: (c["verdict"], c["because"]) for rule, c in judgements(matrix, name).items()} == told


def test_the_week_has_windows_and_freezes(shop: Clone) -> None:
    window, freeze = judged(shop)["week"]

    assert window["spans"][0] == ["2026-06-16T09:00:00+00:00", "2026-06-16T16:00:00+00:00"]
    assert (len(window["spans"]), window["rules"]) == (4, ["production"])
    assert (freeze["spans"], freeze["freezes"]) == ([], True)


def test_the_table_fits_and_names_why(shop: Clone) -> None:
    ended = shop.run(("matrix", "--now", TUESDAY), {}, ci=False)

    assert (ended.code, ended.err) == (0, "")
    assert re.search(r"^branch 'main' +fire  +no  ", ended.out, re.MULTILINE)
    assert "held > fire" in ended.out
    assert "?     docs        line 19: which files changed" in ended.out
    assert max(map(len, ended.out.partition("\n\nfire")[0].splitlines())) <= 100


def test_old_refs_are_counted_and_not_judged(shop: Clone) -> None:
    for number in range(30):
        shop.git("update-ref", f"refs/remotes/origin/old/{number}", "HEAD~1")
    matrix = judged(shop)

    assert sum(b["kind"] == "branch" for b in matrix["builds"]) == 20
    assert matrix["left_out"] == ["13 more branches are left out"]
    assert "branch 'main'" in [b["name"] for b in matrix["builds"]], "the newest come first"


def test_without_a_clone_there_are_cases_and_patterns(project: Project) -> None:
    project.write(RULES)

    assert {b["kind"] for b in judged(project)["builds"]} == {"case", "pattern"}


def test_a_rule_says_what_it_would_run(shop: Clone) -> None:
    shop.write(
        """
        version: 2.1
        parameters: {deploy: {type: boolean, default: false}}
        jobs: {ship: {docker: [{image: cimg/base:current}], steps: [checkout]}}
        workflows:
          deploy: {when: << pipeline.parameters.deploy >>, jobs: [ship]}
        """,
        ".circleci/config.yml",
    )
    assert judged(shop)["rules"][0] == {"name": "staging", "would_run": "on branch main: workflow deploy: ship"}


def test_the_page_is_whole_and_hostile_names_stay_text(shop: Clone) -> None:
    shop.git("update-ref", "refs/remotes/origin/<script>alert(1)</script>\"x'&amp", "HEAD")
    ended = shop.run(("matrix", "--now", TUESDAY, "--html", "out/m.html"), {}, ci=False)
    assert ended.code == 0, ended.err
    page = (shop.folder / "out/m.html").read_text(encoding="utf-8")
    assert ("<script" in page, "http" in page.replace('http-equiv="', "")) == (False, False)
    for part in ("The rules in words", "during Mon-Thu 09:00-16:00", "not frozen by year-end",
                 "env DEPLOYS_OFF *", "Tue 16 09:00 to 16:00", "then ", "user anna",
                 "&lt;script&gt;alert(1)&lt;/script&gt;&quot;x"):  # fmt: skip
        assert part in page
    ended = shop.run(("matrix", "--json", "--html", "."), {}, ci=False)
    assert (ended.code, ended.json["error"]["code"]) == (2, "file-unwritable")


def test_wrong_rules_are_exit_3(project: Project) -> None:
    project.write("version: 1\nrules: 3\n")
    ended: Ended = project.run(("matrix", "--json"), {}, ci=False)

    assert ended.code == 3
    assert "matrix" not in json.loads(ended.out)
