"""Checks what `make dist` has built for a release, and writes what is published beside it.

`release.py VERSION PROJECT REVISION [FOLDER]` is for the tag vVERSION of the project at this address, and
`release.py --dry-run` for what is not released yet. Into the folder, dist, come notes.md, orb.yml and provenance.json.
"""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pack_orb

from deploystep import __version__

ROOT = Path(__file__).parents[1]


def main(arguments: list[str]) -> int:
    """Write the files. Ends with a message if something is not as it must be."""
    is_dry = arguments == ["--dry-run"]
    if is_dry:
        arguments = [__version__, "https://HOST/deploystep", "0" * 40]
    if len(arguments) not in (3, 4):
        raise SystemExit(__doc__)
    version, project, revision, *folder = arguments
    dist = Path(*folder) if folder else ROOT / "dist"
    if version != __version__:
        raise SystemExit(f"the tag says {version}, and src/deploystep/__init__.py says {__version__}")
    pyz = dist / "deploystep.pyz"
    files = [dist / f"deploystep-{version}-py3-none-any.whl", dist / f"deploystep-{version}.tar.gz", pyz]
    kinds = ("*.whl", "*.tar.gz", "*.pyz", "*.sha256")
    there = {path for kind in kinds for path in dist.glob(kind)}
    if there != {*files, *(path.with_name(f"{path.name}.sha256") for path in files)}:
        raise SystemExit(f"this is not what  make dist  leaves: {', '.join(sorted(path.name for path in there))}")
    for path in files:
        if checksum(path) != hashlib.sha256(path.read_bytes()).hexdigest():
            raise SystemExit(f"{path.name}.sha256 is not the checksum of {path.name}: run  make dist")
    said = subprocess.run([sys.executable, "-S", "-E", pyz, "--version"], check=True, capture_output=True).stdout  # noqa: S603
    if said.decode() != f"deploystep {version}\n":
        raise SystemExit(f"deploystep.pyz is not of version {version}: {said.decode()}")
    changes = notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), "Unreleased" if is_dry else version)
    # beside a release no link is relative to the repository
    changes = re.sub(r"\]\((?!https?:)", f"]({project}/blob/v{version}/", changes)
    (dist / "notes.md").write_text(changes, encoding="utf-8")
    url = f"{project}/releases/download/v{version}/deploystep.pyz"  # as GitHub publishes the files of a release
    (dist / "orb.yml").write_text(pack_orb.released(project, url, checksum(pyz)), encoding="utf-8")
    (dist / "provenance.json").write_text(json.dumps(provenance(project, version, revision)), encoding="utf-8")
    return 0


def checksum(path: Path) -> str:
    """What the file beside a file says."""
    return path.with_name(f"{path.name}.sha256").read_text(encoding="ascii").split()[0]


def notes(changelog: str, version: str) -> str:
    """The section of a version, without its heading. No entries may be left under `Unreleased`."""
    parts = re.split(r"^## \[(.+?)\].*\n", changelog, flags=re.MULTILINE)
    sections: dict[str, str] = dict(zip(parts[1::2], (text.strip() for text in parts[2::2]), strict=True))
    if parts[1::2].count(version) > 1:
        raise SystemExit(f"CHANGELOG.md has two sections [{version}]")
    if not sections.get(version):
        raise SystemExit(f"CHANGELOG.md has no entries under [{version}]")
    if version != "Unreleased" and sections.get("Unreleased"):
        raise SystemExit(f"CHANGELOG.md has entries under [Unreleased]: move them to [{version}]")
    return sections[version] + "\n"


def provenance(project: str, version: str, revision: str) -> dict[str, object]:
    """The predicate of the attestation: which commit the files were built from (SLSA provenance v1)."""
    source = {"uri": f"git+{project}@refs/tags/v{version}", "digest": {"gitCommit": revision}}
    return {
        "buildDefinition": {
            "buildType": f"{project}/blob/{revision}/.circleci/config.yml",
            "externalParameters": {"target": "make dist", "version": version},
            "resolvedDependencies": [source],
        },
        "runDetails": {"builder": {"id": "https://circleci.com"}},
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
