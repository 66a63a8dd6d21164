"""The lines that a config needs, for every way in which one can be written; what comes of them passes `check`.

`tests/golden/init` holds configs, and what is said of each: `.out`, written with UPDATE_GOLDEN=1.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from circleci_schema import CIRCLECI

from deploystep.app.init import Clone, Start, start
from deploystep.core.source import SourceFile
from deploystep.project.wiring import Project, compare
from deploystep.rulefile.load import examine

PUBLIC = sorted((Path(__file__).resolve().parents[4] / "shared" / "configs").glob("*.yml"))
GOLDEN = sorted((Path(__file__).parents[2] / "golden/init").glob("*.yml"))
BY_HAND = ("not-yaml", "json", "a-setup-config", "a-job-that-is-not-there", "on-one-line")


def proposed(path: Path | None, branch: str = "main", tags: tuple[str, ...] = (), text: str | None = None) -> Start:
    text = path.read_text(encoding="utf-8", errors="replace") if path else text
    clone = Clone("acme/shop", branch, tags, ".circleci/config.yml", text)
    return start(clone, lambda _: None)


def text_of(started: Start) -> str:
    return started.config.text if started.config else started.lines


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


@pytest.mark.parametrize("path", [*GOLDEN, None], ids=lambda path: path.stem if path else "none")
def test_with_the_lines_all_is_right_and_nothing_more_is_needed(path: Path | None) -> None:
    started = proposed(path)

    assert not [each for each in found(started) if each.startswith("error")]
    assert (started.config is None) is (path is not None and path.stem in BY_HAND)
    if not any("condition" in remark for remark in started.remarks):
        again = proposed(None, text=text_of(started))
        assert again.lines == ""
        assert again.rules == started.rules or "setup_" in started.rules


@pytest.mark.parametrize("path", [*GOLDEN, None], ids=lambda path: path.stem if path else "none")
def test_circleci_takes_what_is_proposed(path: Path | None) -> None:
    text = text_of(proposed(path))
    assert [error.message for error in CIRCLECI.iter_errors(yaml.safe_load(text))] == []


@pytest.mark.parametrize("path", PUBLIC, ids=lambda path: path.stem)
def test_public_configs(path: Path) -> None:
    """Whatever people write, what comes of it can be read and is without an error."""
    assert not [each for each in found(proposed(path, "master")) if each.startswith("error")]


def test_what_the_clone_tells_is_in_the_rules() -> None:
    told = proposed(None, "2026", ("v1.2.0", "nightly")).rules
    assert "# Which builds of acme/shop deploy" in told
    assert 'branch: "2026"' in told
    assert "tags such as v1.2.0" in told
    assert "of acme/shop" not in start(Clone(None, "main", (), "c", None), lambda _: None).rules


@pytest.mark.parametrize("name", ["a-job-that-deploys", "a-release-for-tags", "deploys-with-parameters", "then-smoke"])
def test_no_second_deploy_beside_one_that_is_there(name: str) -> None:
    """It stays where it is: `gate` judges it there, and no workflow for deploys is added."""
    path = next(path for path in GOLDEN if path.stem == name)
    before, after = yaml.safe_load(path.read_text(encoding="utf-8")), yaml.safe_load(text_of(proposed(path)))

    assert before["workflows"] == after["workflows"]
    assert before["jobs"].keys() == after["jobs"].keys()
    assert any("stays where it is: " in remark for remark in proposed(path).remarks)
    assert "deploy" not in yaml.safe_load(proposed(path).rules)["rules"][0]


@pytest.mark.parametrize("indent", ["    ", "      "])
def test_the_step_is_the_last_of_its_list_and_requires_names_as_yaml_reads_them(indent: str) -> None:
    test = "jobs:\n  test:\n    docker: [{image: a}]\n    steps: [checkout]\n"
    head = f"version: 2.1\n{test}workflows:\n  build:\n    jobs:\n"
    listed = f'{indent}- test: {{name: "unit, fast"}}\n\n  # another\n{indent}- test:\n{indent}    name: "3.10"\n'
    started = proposed(None, text=f"{head}{listed}    # nightly\n  nightly:\n    triggers: []\n    jobs: [test]\n")
    assert started.config is not None
    jobs = yaml.safe_load(started.config.text)["workflows"]["build"]["jobs"]
    assert jobs[-1]["deploystep"]["requires"] == ["unit, fast", "3.10"]
    assert "    # nightly\n  nightly:" in started.config.text
