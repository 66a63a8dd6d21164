"""Public configurations, where they are at hand: nothing is missed, nothing is alarming that should not be, all of it fits."""

from pathlib import Path

import pytest
import yaml
from circleci_schema import CIRCLECI

from deploystep.core.build import ProjectSlug
from deploystep.core.source import SourceFile
from deploystep.migrate.plan import plan
from deploystep.project.config import read_config
from deploystep.project.wiring import Project, compare
from deploystep.rulefile.load import examine

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "configs"
CONFIGS = sorted(FOLDER.glob("*.yml"))
PATH, RULES = ".circleci/config.yml", ".circleci/deploy.yml"
#: How many deploy steps and calls that end each of them has; the others have none.
ALARMS = {
    "CircleCI-Archived__circleci-orbs__1": 1, "VirtusLab__git-machete__2": 13, "circleci__circleci-docs__2": 1,
    "fecgov__fec-cms__2": 1, "girder__girder__2": 2, "mapbox__mapbox-gl-native__2": 4, "mapbox__mapbox-gl-native__3": 4,
    "micrometer-metrics__micrometer__2": 1, "yarnpkg__yarn__2": 1,
}  # fmt: skip


def problems(text: str) -> int:
    return len(list(CIRCLECI.iter_errors(yaml.safe_load(text))))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_public_config_is_migrated(path: Path) -> None:
    text = path.read_bytes().decode()
    own = ProjectSlug.parse(f"gh/{'/'.join(path.stem.split('__')[:2])}")
    found = plan([SourceFile(PATH, text)], None, RULES, lambda _: None, own)
    assert sum(f.is_alarm for f in found.findings) == ALARMS.get(path.stem, 0)
    assert not any(problem.why.is_error for problem in found.problems)
    if not found.changes:
        assert not any(f.is_written for f in found.findings)
        return
    rules, config = found.changes
    examined = examine(SourceFile(RULES, rules.new))
    assert examined.rules is not None, examined.diagnostics
    beside = compare(examined.rules, Project(read_config(PATH, config.new), {}, None, lambda _: None))
    assert [d for d in (*examined.diagnostics, *beside) if d.is_error] == []
    assert problems(config.new) == problems(text)
    again = plan([SourceFile(PATH, config.new)], SourceFile(RULES, rules.new), RULES, lambda _: None, own)
    assert (sum(f.is_alarm for f in again.findings), again.changes) == (0, ())
    replaced = config.replaced
    kept = [line for number, line in enumerate(text.split("\n"), 1) if number not in replaced]
    rest = iter(config.new.split("\n"))
    assert all(line in rest for line in kept)
