"""What docs/install.md says: of the one file, typed and as a step, and of the hooks."""

import hashlib
import shutil
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest
import yaml
from distribution.conftest import served
from pages import blocks, sections, text_of, typed

from deploystep import __version__

PAGE = text_of("docs/install.md")
ONE_FILE = sections(PAGE)["One file"]


@pytest.fixture
def url(pyz: Path) -> Iterator[str]:
    if missing := [name for name in ("curl", "sha256sum") if shutil.which(name) is None]:
        pytest.skip(f"{' and '.join(missing)} are not installed here")
    with served(partial(SimpleHTTPRequestHandler, directory=str(pyz.parent))) as address:
        yield address


def test_what_the_page_types_works(tmp_path: Path, url: str) -> None:
    done = typed(blocks(ONE_FILE, "sh")[0], tmp_path, URL=url)
    assert done.stdout == f"deploystep.pyz: OK\ndeploystep {__version__}\n", done.stderr


@pytest.mark.parametrize("is_right", [True, False])
def test_the_step_of_the_page_installs_the_right_file_only(
    tmp_path: Path, url: str, pyz: Path, *, is_right: bool
) -> None:
    install = yaml.safe_load(blocks(ONE_FILE, "yaml")[0])["jobs"]["test"]["steps"][-2]["run"]
    assert list(install["environment"]) == ["PYZ_SHA256"]
    digest = hashlib.sha256(pyz.read_bytes()).hexdigest() if is_right else "0" * 64
    script = install["command"].replace("/tmp/", f"{tmp_path}/")  # noqa: S108 - other tests may run beside this one
    done = typed(script, tmp_path, PYZ_URL=f"{url}/deploystep.pyz", PYZ_SHA256=digest)
    installed = tmp_path / ".local/bin/deploystep"
    assert (done.returncode == 0, installed.exists()) == (is_right, is_right)
    if is_right:
        then = typed("command -v deploystep; deploystep --version", tmp_path)
        assert then.stdout == f"{installed}\ndeploystep {__version__}\n", then.stderr


def test_the_page_names_hooks_that_there_are() -> None:
    (shown,) = blocks(PAGE, "yaml pre-commit")
    hooks = yaml.safe_load(text_of(".pre-commit-hooks.yaml"))
    assert [hook["id"] for hook in yaml.safe_load(shown)["repos"][0]["hooks"]] == [hook["id"] for hook in hooks]
