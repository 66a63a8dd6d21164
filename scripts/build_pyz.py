"""Writes deploystep.pyz: the product and all that it needs in one file, with bytecode for each Python that is here.

`build_pyz.py [--every-version] FILE` also writes FILE.sha256, and the checksums of a wheel and an sdist that are beside
it. The libraries are those that are installed beside the interpreter that runs this, without what is compiled. The same
input gives the same bytes.
"""

import hashlib
import marshal
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LIBRARIES = ("certifi", "charset-normalizer", "idna", "PyYAML", "requests", "tzdata", "urllib3")
DATA = ("certifi/", "tzdata/")  # of these every file is needed, and their few lines of code are compiled when they run
LICENSES = ("LICENSE", "LICENCE", "NOTICE")
VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
COMPILE = """
import importlib.util, marshal, sys, zlib
if "%d.%d" % sys.version_info[:2] != sys.argv[1] or sys.implementation.name != "cpython":
    sys.exit(1)
code = {}
for path, text in marshal.load(sys.stdin.buffer).items():
    code[path] = zlib.compress(marshal.dumps(compile(text, "deploystep.pyz/" + path, "exec", dont_inherit=True)), 9)
marshal.dump(("bytecode/" + importlib.util.MAGIC_NUMBER.hex(), marshal.dumps(code, 2)), sys.stdout.buffer, 2)
"""


def main(arguments: list[str]) -> int:
    """Write the file and the checksums, and tell which Python will be slower. Returns 1 if that may not be."""
    target = Path(arguments[-1])
    files = contents()
    sources = {path: text for path, text in files.items() if path.endswith(".py") and not path.startswith(DATA)}
    missing = []
    for version in VERSIONS:
        found = next((made for python in interpreters(version) if (made := compiled(python, version, sources))), None)
        if found is None:
            missing.append(version)
        else:
            files[found[0]] = found[1]
    if missing:
        sys.stdout.write(
            f"no bytecode for Python {', '.join(missing)}: not installed here; these compile at each start\n"
        )
    for path in sorted((ROOT / "scripts/pyz").glob("*.py")):
        files[path.name] = path.read_bytes()
    write(target, files)
    for path in (target, *target.parent.glob("*.whl"), *target.parent.glob("*.tar.gz")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_name(f"{path.name}.sha256").write_text(f"{digest}  {path.name}\n", encoding="ascii")
    return 1 if missing and "--every-version" in arguments else 0


def contents() -> dict[str, bytes]:
    """Every file of the product and of its libraries, by its path, with the licenses."""
    found = {path.relative_to(ROOT / "src").as_posix(): path for path in (ROOT / "src/deploystep").rglob("*.py")}
    for library in LIBRARIES:
        for file in distribution(library).files or ():
            path = file.as_posix()
            is_license = ".dist-info/" in path and file.name.upper().startswith(LICENSES)
            is_data = path.startswith(DATA) and file.suffix != ".pyc"
            if file.suffix == ".py" or is_data or is_license:
                found[path] = Path(str(file.locate()))
    return {path: found[path].read_bytes() for path in sorted(found)}


def interpreters(version: str) -> Iterator[str]:
    """Where a Python of this version may be: this one, on PATH, or the newest that pyenv has."""
    yield sys.executable
    yield from filter(None, [shutil.which(f"python{version}")])
    pyenv = (Path.home() / ".pyenv/versions").glob(f"{version}.*/bin/python")
    yield from sorted(map(str, pyenv), key=lambda path: (len(path), path), reverse=True)


def compiled(python: str, version: str, sources: dict[str, Any]) -> tuple[str, bytes] | None:
    """The bytecode of all sources, and its name in the file; nothing if this is no such Python."""
    done = subprocess.run(  # noqa: S603
        [python, "-S", "-W", "ignore", "-c", COMPILE, version],
        env={"PYTHONHASHSEED": "0"},  # sets among the constants have one order
        input=marshal.dumps(sources, 2),
        capture_output=True,
        check=False,
    )
    return None if done.returncode else marshal.loads(done.stdout)  # noqa: S302 - our own


def write(target: Path, files: Mapping[str, bytes]) -> None:
    """A zip file that Python runs: no time of day, no order but that of the names."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as stream:
        stream.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(stream, "w") as archive:
            for path, data in sorted(files.items()):
                entry = zipfile.ZipInfo(path)  # of 1980-01-01
                entry.external_attr, entry.create_system = 0o644 << 16, 3
                is_stored = path.startswith("bytecode/")  # deflated already, each module by itself
                entry.compress_type = zipfile.ZIP_STORED if is_stored else zipfile.ZIP_DEFLATED
                archive.writestr(entry, data)
    target.chmod(0o755)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
