"""deploystep.pyz on every Python that is here, without site-packages: it deploys, verifies TLS and knows the zones."""

import hashlib
import os
import shutil
import ssl
import subprocess
import sys
import zipfile
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from acceptance.process import Clone, sandbox, until
from build_pyz import VERSIONS, interpreters
from distribution.conftest import ROOT, built, served

#: What the libraries are, told by a process that has only this file and the standard library.
PROBE = """
import sys
sys.path.insert(0, sys.argv[1])
import bytecode
bytecode.use()
import certifi, charset_normalizer.md, requests, ssl, yaml, zoneinfo
zoneinfo.reset_tzpath([])
print(type(requests.__spec__.loader).__name__, yaml.__with_libyaml__, zoneinfo.ZoneInfo("Europe/Berlin"))
print(len(ssl.create_default_context(cafile=certifi.where()).get_ca_certs()) > 50)
"""
BERLIN = """
    version: 1
    timezone: Europe/Berlin
    windows: {always: ["Mon-Sun 00:00-24:00"]}
    rules: [{name: a, when: {branch: main}, during: always, deploy: {workflow: deploy, parameters: {deploy: true}}}]
    """


def says_version(python: str) -> str:
    """The version of an interpreter; nothing where it does not start, as a pyenv shim without a version."""
    command = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


@pytest.fixture(params=VERSIONS)
def python(request: pytest.FixtureRequest) -> str:
    """A Python of each version, if it is installed here."""
    found = next((each for each in interpreters(request.param) if says_version(each) == request.param), None)
    return found or pytest.skip(f"Python {request.param} is not installed here")


class Packed(Clone):
    """A clone in which the one file runs."""

    def __init__(self, folder: Path, pyz: Path) -> None:
        super().__init__(folder)
        self.start = [sys.executable, "-S", "-E", str(pyz)]

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [*self.start, *arguments]


@pytest.fixture
def packed(tmp_path: Path, pyz: Path) -> Packed:
    return Packed(tmp_path / "clone", pyz)


def test_it_deploys(packed: Packed, python: str) -> None:
    """Zones, git and HTTP, all from the one file."""
    packed.start[0] = python
    packed.write(BERLIN)
    with sandbox() as server:
        ended = packed.step(server, PYTHONPATH=None)
    assert (ended.code, ended.outcomes) == (0, ["triggered"]), ended.err


def test_its_libraries_are_its_own(python: str, pyz: Path) -> None:
    done = subprocess.run([python, "-S", "-E", "-c", PROBE, str(pyz)], capture_output=True, text=True, check=True)
    assert done.stdout == "Finder False Europe/Berlin\nTrue\n"


def test_without_bytecode_for_this_python_it_runs_from_the_sources(tmp_path: Path, pyz: Path) -> None:
    bare = tmp_path / "deploystep.pyz"
    with zipfile.ZipFile(pyz) as whole, zipfile.ZipFile(bare, "w") as part:
        for name in whole.namelist():
            if not name.startswith("bytecode/"):
                part.writestr(name, whole.read(name))
    command = [sys.executable, "-S", "-E", str(bare), "schema"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == (ROOT / "schema/deploystep.schema.json").read_text(encoding="utf-8")


def test_a_python_that_is_too_old_is_told(pyz: Path) -> None:
    pyenv = (Path(os.environ.get("HOME", "/")) / ".pyenv/versions").glob("*/bin/python")
    old = [str(path) for path in pyenv if path.parts[-3] < "3.10" and not path.parts[-3].startswith("3.1")]
    if not old:
        pytest.skip("no Python older than 3.10 is installed here")
    for python in old:
        done = subprocess.run([python, str(pyz), "run"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (4, "")
        assert "deploystep needs 3.10 or newer\n  hint: " in done.stderr


def test_it_verifies_certificates(packed: Packed, tmp_path: Path) -> None:
    """No server but one that the bundled authorities, or those of REQUESTS_CA_BUNDLE, vouch for gets the token."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl command to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with served(BaseHTTPRequestHandler, context) as url:  # it answers 501 to everything
        for bundle, words in ((None, "its certificate could not be verified"), (str(certificate), "501")):
            more = {"PYTHONPATH": None, "TMPDIR": str(tmp_path), "REQUESTS_CA_BUNDLE": bundle}
            with packed.started(url, **more) as process:
                until(lambda words=words: words in packed.said)  # type: ignore[misc]
                process.kill()
                packed.ended(process)


def test_a_config_is_read_without_libyaml(packed: Packed) -> None:
    packed.write("version: 1\nrules: [{name: a, when: {branch: main}, deploy: {workflow: d}}]\n")
    packed.write("version: 2.1\nx: &a [1]\ny: &a [2]\nworkflows: {w: {jobs: [b]}}\n", ".circleci/config.yml")
    ended = packed.call("check")
    assert (ended.code, "P01" in ended.out) == (3, True), ended.err


def test_a_full_disk_is_told(packed: Packed) -> None:
    """The certificate authorities are written to a temporary file. Here no file may grow."""
    packed.write(BERLIN)
    packed.commit()
    packed.start = ["sh", "-c", 'ulimit -f 0 && exec "$@"', "sh", *packed.start]
    with sandbox() as server:
        ended = packed.step(server, PYTHONPATH=None)
        assert not server.requests
    assert (ended.code, "TMPDIR" in ended.err) == (4, True), ended.err


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, pyz: Path) -> None:
    assert built(tmp_path).read_bytes() == pyz.read_bytes()


def test_its_checksum_is_beside_it_and_the_licenses_of_all_that_is_in_it_are_inside(pyz: Path) -> None:
    digest, name = pyz.with_name("deploystep.pyz.sha256").read_text(encoding="ascii").split()
    assert (digest, name) == (hashlib.sha256(pyz.read_bytes()).hexdigest(), "deploystep.pyz")
    with zipfile.ZipFile(pyz) as archive:
        names = archive.namelist()
    owners = {name.split("-")[0].lower() for name in names if ".dist-info/" in name}
    assert owners == {"certifi", "charset_normalizer", "idna", "pyyaml", "requests", "tzdata", "urllib3"}
    assert not [name for name in names if name.endswith((".so", ".pyd", ".pyc"))]
