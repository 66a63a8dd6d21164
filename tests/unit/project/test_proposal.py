"""The lines that a config needs, for every way in which one can be written; what comes of them passes `check`.

`tests/golden/init` holds configs, and what is said of each: `.out`, written with UPDATE_GOLDEN=1.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from circleci_schema import CIRCLECI

from deploystep.app.init import Clone, Start
from deploystep.core.source import SourceFile
from deploystep.project.wiring import Project, compare
from deploystep.rulefile.load import examine

PUBLIC = sorted((Path(__file__).resolve().parents[4] / "shared" / "configs").glob("*.yml"))
GOLDEN = sorted((Path(__file__).parents[2] / "golden/init").glob("*.yml"))
EACH = pytest.mark.parametrize("path", [*GOLDEN, None], ids=lambda path: path.stem if path else "none")
BY_HAND = ("not-yaml", "a-setup-config")


def proposed(path: Path | None, branch: str = "main", tags: tuple[str, ...] = (), text: str | None = None) -> Start:
    text = path.read_text(encoding="utf-8", errors="replace") if path else text
    return Start(Clone("acme/shop", branch, tags, ".circleci/config.yml", text), lambda _: None)


def merged(old: Any, new: Any) -> Any:
    """What somebody makes who adds the lines below the keys that are there."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: merged(old.get(key), value) for key, value in new.items()}
    return old + new if isinstance(old, list) and isinstance(new, list) else new


def config_after(path: Path | None, started: Start) -> Any:
    is_own = path is not None and path.stem not in BY_HAND
    lines = yaml.safe_load(started.lines) or {}
    return merged(yaml.safe_load(path.read_text(encoding="utf-8")), lines) if path and is_own else lines


def found(started: Start) -> list[str]:
    examined = examine(SourceFile(".circleci/deploy.yml", started.rules))
    assert examined.rules is not None, examined.diagnostics
    beside = compare(examined.rules, Project(started.config, {}, (), lambda _: None))
    return [f"{d.severity.value} {d.code} {d.message}" for d in (*examined.diagnostics, *beside)]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden(path: Path) -> None:
    started = proposed(path)
    said = [started.heading, started.lines, *(f"note: {remark}" for remark in started.remarks), *found(started)]
    text = "\n".join([*said, started.rules])
    out = path.with_suffix(".out")
    if os.environ.get("UPDATE_GOLDEN"):
        out.write_text(text, encoding="utf-8")
    assert text == out.read_text(encoding="utf-8")


@EACH
def test_with_the_lines_all_is_right_and_nothing_more_is_needed(path: Path | None) -> None:
    started = proposed(path)
    after = config_after(path, started)
    assert [error.message for error in CIRCLECI.iter_errors(after)] == []
    assert not [each for each in found(started) if each.startswith("error")]
    assert (started.config is None) is (path is not None and path.stem in BY_HAND)
    if not any("P03" in each for each in found(started)):
        again = proposed(None, text=json.dumps(after))
        assert (again.lines, again.rules) == ("", started.rules)


@pytest.mark.parametrize("path", PUBLIC, ids=lambda path: path.stem)
def test_public_configs(path: Path) -> None:
    """Whatever people write, what comes of it can be read and is without an error."""
    assert not [each for each in found(proposed(path, "master")) if each.startswith("error")]


def test_what_the_clone_tells_is_in_the_rules() -> None:
    told = proposed(None, "2026", ("nightly", "v1.2.0")).rules
    assert "# Which builds of acme/shop deploy" in told
    assert 'branch: "2026"' in told
    assert "tag (such as v1.2.0), paths" in told
    assert "of acme/shop" not in Start(Clone(None, "main", (), "c", None), lambda _: None).rules


@pytest.mark.parametrize("name", ["a-job-that-deploys", "a-release-for-tags", "deploys-with-parameters", "then-smoke"])
def test_no_second_deploy_beside_one_that_is_there(name: str) -> None:
    """It stays where it is: `gate` judges it there, and no workflow for deploys is added."""
    path = next(path for path in GOLDEN if path.stem == name)
    started = proposed(path)
    before, after = yaml.safe_load(path.read_text(encoding="utf-8")), config_after(path, started)
    assert before["workflows"] == after["workflows"]
    assert before["jobs"].keys() == after["jobs"].keys()
    assert any("stays where it is: " in remark for remark in started.remarks)
    assert "deploy" not in yaml.safe_load(started.rules)["rules"][0]


def test_the_step_requires_names_as_yaml_reads_them() -> None:
    jobs = '[{test: {name: "unit, fast"}}, {test: {name: "3.10"}}, {hold: {type: approval}}]'
    text = f"version: 2.1\njobs: {{test: {{docker: [{{image: a}}]}}}}\nworkflows: {{build: {{jobs: {jobs}}}}}\n"
    lines = yaml.safe_load(proposed(None, text=text).lines)
    assert lines["workflows"]["build"]["jobs"][0]["deploystep"]["requires"] == ["unit, fast", "3.10"]


def test_nothing_is_sent_at_gitlab() -> None:
    text = next(path for path in GOLDEN if path.stem == "gates").read_text(encoding="utf-8")
    assert [Start(Clone(None, "main", (), "c", text, is_at), lambda _: None).sends for is_at in (True, False)] == [
        False,
        True,
    ]
    assert Start(Clone(None, "main", (), "c", None, is_gitlab=True), lambda _: None).heading == "c is left as it is"
