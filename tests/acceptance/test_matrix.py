"""`matrix` in real clones: each cell is what `plan` says of that build, and what cannot be told is not."""

import re
from typing import Any

import pytest
from acceptance.process import Clone, Project

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
        when: [{{branch: "feature/**", pull_request: true, user: anna}}, {{branch: pull/*, fork: true, env: {{X: y}}}}]
        {DEPLOY.replace("workflow: deploy", "workflow: preview")}
    cases:
      - name: 日本 a preview
        given: {{branch: feature/x, pull_request: 7, user: anna}}
        expect: {{fire: [preview]}}
      - name: a Friday
        given: {{tag: v1, merged_into: [main], now: 2026-06-19 10:00}}
        expect: {{held: [production]}}
    """
CONFIG = """
    version: 2.1
    parameters: {deploy: {type: boolean, default: false}}
    jobs: {ship: {docker: [{image: cimg/base:current}], steps: [checkout]}}
    workflows:
      deploy: {when: << pipeline.parameters.deploy >>, jobs: [ship]}
    """
NOW = ("--now", "2026-06-16 08:00")


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
    ended = clone.run(("matrix", "--json", *NOW, *more), {}, ci=False)
    assert ended.code == 0, ended.err
    return ended.json["matrix"]


def verdicts(matrix: Any, when: str = "now") -> dict[str, str]:
    """What becomes of each rule for each build."""
    return {b["name"]: " ".join(cell["verdict"] for cell in b[when]) for b in matrix["builds"] if b[when]}


def test_each_build_and_rule_has_its_verdict_now_and_at_the_next_change(shop: Clone) -> None:
    matrix = judged(shop)
    assert [b["kind"] for b in matrix["builds"]] == [*["branch"] * 3, "tag", *["case"] * 2, *["pattern"] * 4]
    assert verdicts(matrix) == {
        "branch 'main'": "fire no fire no",
        "branch 'feature/a'": "no no no unknown",
        "branch 'docs/b'": "no no fire no",
        "tag 'v1.4.0'": "no held no no",
        "日本 a preview": "no no no fire",
        "a Friday": "no held no no",
        "tag 'v'": "no held no no",
        "branch 'docs/a'": "no no unknown no",
        "branch 'feature/a' with a pull request by user 'anna'": "no no no fire",
        "branch 'pull/1' with a pull request of a fork with X": "no no no fire",
    }
    hangs = {cell["because"] for b in matrix["builds"] for cell in b["now"] if cell["verdict"] == "unknown"}
    assert hangs == {"line 19: which files changed", "line 22: pull_request true; line 22: user anna"}
    assert matrix["change"] == "2026-06-16T09:00:00+00:00"
    assert verdicts(matrix, "later") == {"tag 'v1.4.0'": "no fire no no", "tag 'v'": "no unknown no no"}
    window, freeze = matrix["week"]
    assert window["spans"][0] == ["2026-06-16T09:00:00+00:00", "2026-06-16T16:00:00+00:00"]
    assert (len(window["spans"]), window["rules"], freeze["spans"], freeze["is_freeze"]) == (
        4,
        ["production"],
        [],
        True,
    )
    for name, ref in (("branch 'main'", ("--branch", "main")), ("tag 'v1.4.0'", ("--tag", "v1.4.0"))):
        planned = shop.run(("plan", "--json", *NOW, *ref), {}, ci=False).json["rules"]
        assert next(b["now"] for b in matrix["builds"] if b["name"] == name) == planned


def test_the_table_names_why(shop: Clone) -> None:
    ended = shop.run(("matrix", *NOW), {}, ci=False)
    assert (ended.code, ended.err) == (0, "")
    assert re.search(r"^branch 'main' +fire +no  ", ended.out, re.MULTILINE)
    assert "held > fire" in ended.out
    names = ("branch 'main'", "日本 a preview")
    main, case = (len(re.findall(rf"^{name} +", ended.out, re.MULTILINE)[0]) for name in names)
    assert main == case + 2, "wide characters take two columns"
    assert re.search(r"^\? +docs +line 19: which files changed$", ended.out, re.MULTILINE)
    assert re.search(r"^\? +preview +line 22: pull_request true; line 22: user anna$", ended.out, re.MULTILINE)


def test_old_refs_are_counted_and_not_judged(shop: Clone, project: Project) -> None:
    for number in range(30):
        shop.git("update-ref", f"refs/remotes/origin/old/{number}", "HEAD~1")
    matrix = judged(shop)
    assert sum(b["kind"] == "branch" for b in matrix["builds"]) == 20
    assert matrix["left_out"] == ["13 more branch builds are left out"]
    assert "branch 'main'" in verdicts(matrix), "the newest come first"
    project.write(RULES)
    assert {b["kind"] for b in judged(project)["builds"]} == {"case", "pattern"}, "there is no clone"
    project.write("version: 1\nrules: 3\n")
    ended = project.run(("matrix", "--json"), {}, ci=False)
    assert (ended.code, "matrix" in ended.json) == (3, False)


def test_the_page_is_whole_and_hostile_names_stay_text(shop: Clone) -> None:
    shop.write(CONFIG, ".circleci/config.yml")
    shop.git("update-ref", "refs/remotes/origin/<script>alert(1)</script>\"x'&amp", "HEAD")
    ended = shop.run(("matrix", *NOW, "--html", "out/m.html"), {}, ci=False)
    assert ended.code == 0, ended.err
    page = (shop.folder / "out/m.html").read_text(encoding="utf-8")
    assert ("<script" in page, "http" in page.replace('http-equiv="', "")) == (False, False)
    for part in (
        *(
            "The rules in words",
            "during Mon-Thu 09:00-16:00",
            "not frozen by year-end",
            "env DEPLOYS_OFF *",
            "user anna",
        ),
        *("Tue 16 09:00 to Tue 16 16:00", "then ", "would run on branch main: workflow deploy: ship"),
        "&lt;script&gt;alert(1)&lt;/script&gt;&quot;x",
    ):
        assert part in page
    ended = shop.run(("matrix", "--json", "--html", "."), {}, ci=False)
    assert (ended.code, ended.json["error"]["code"]) == (2, "file-unwritable")
