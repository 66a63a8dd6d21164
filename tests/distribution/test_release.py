"""What is published with a tag, and when nothing is."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
import release
import yaml
from distribution.conftest import ROOT

from deploystep import __version__

CHANGELOG = """\
# Changelog

## [Unreleased]

## [1.3.0] - 2026-06-16

### Added

- A thing, [explained](docs/thing.md).

## [1.2.0]

- An older thing.
"""


@pytest.mark.parametrize(
    ("changelog", "words"),
    [
        (CHANGELOG.replace("1.3.0", "1.4.0"), "no entries under [1.3.0]"),
        (CHANGELOG.partition("\n### Added")[0], "no entries under [1.3.0]"),
        (CHANGELOG.replace("[Unreleased]\n", "[Unreleased]\n\n- Later.\n"), "move them to [1.3.0]"),
        (CHANGELOG.replace("1.2.0", "1.3.0"), "two sections [1.3.0]"),
    ],
)
def test_a_changelog_that_is_not_ready_stops_the_release(changelog: str, words: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        release.notes(changelog, "1.3.0")
    assert words in str(stopped.value)


def test_the_changelog_is_ready_for_a_dry_run() -> None:
    assert release.notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), "Unreleased")


@pytest.fixture
def dist(tmp_path: Path, pyz: Path) -> Path:
    """What `make dist` leaves; the wheel and the sdist are only names here."""
    for name in (f"deploystep-{__version__}-py3-none-any.whl", f"deploystep-{__version__}.tar.gz", "deploystep.pyz"):
        (tmp_path / name).write_bytes(pyz.read_bytes() if name == pyz.name else b"")
        digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        (tmp_path / f"{name}.sha256").write_text(f"{digest}  {name}\n", encoding="ascii")
    return tmp_path


def test_a_release_writes_notes_orb_and_provenance(
    dist: Path, pyz: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path_factory.mktemp("root")
    (root / "CHANGELOG.md").write_text(CHANGELOG.replace("1.3.0", __version__), encoding="utf-8")
    monkeypatch.setattr(release, "ROOT", root)
    assert release.main([__version__, "https://host/acme/deploystep", "4f2c" * 10, str(dist)]) == 0
    orb = (dist / "orb.yml").read_text(encoding="utf-8")
    given = [c["parameters"] for kind in ("commands", "jobs") for c in yaml.safe_load(orb)[kind].values()]
    url = f"https://host/acme/deploystep/releases/download/v{__version__}/deploystep.pyz"
    digest = hashlib.sha256(pyz.read_bytes()).hexdigest()
    assert {(p["url"]["default"], p["sha256"]["default"]) for p in given} == {(url, digest)}
    assert "//HOST" not in orb
    assert json.loads((dist / "provenance.json").read_text("utf-8"))["buildDefinition"]["resolvedDependencies"] == [
        {"uri": f"git+https://host/acme/deploystep@refs/tags/v{__version__}", "digest": {"gitCommit": "4f2c" * 10}}
    ]
    assert (dist / "notes.md").read_text(encoding="utf-8") == (
        f"### Added\n\n- A thing, [explained](https://host/acme/deploystep/blob/v{__version__}/docs/thing.md).\n"
    )


@pytest.mark.parametrize(
    ("version", "damage", "words"),
    [
        ("0.0.9", "true", "the tag says 0.0.9"),
        (__version__, "cp *.tar.gz.sha256 deploystep.pyz.sha256", "not the checksum"),
        (__version__, "rm *.whl", "not what  make dist  leaves"),
        (__version__, "rm *.whl.sha256", "not what  make dist  leaves"),
        (__version__, "touch deploystep-0.0.9.tar.gz", "not what  make dist  leaves"),
    ],
)
def test_another_version_or_another_file_stops_the_release(dist: Path, version: str, damage: str, words: str) -> None:
    subprocess.run(["sh", "-ec", damage], cwd=dist, check=True)
    with pytest.raises(SystemExit) as stopped:
        release.main([version, "https://host/acme/deploystep", "4f2c" * 10, str(dist)])
    assert words in str(stopped.value)
