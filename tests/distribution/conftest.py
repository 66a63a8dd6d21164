"""What users get, made once, and a server that hands it out."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from ssl import SSLContext
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "scripts"))  # what is tested here imports from there


@pytest.fixture(scope="session")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """deploystep.pyz, as `make dist` writes it."""
    return built(tmp_path_factory.mktemp("dist"))


def built(folder: Path) -> Path:
    target = folder / "deploystep.pyz"
    subprocess.run([sys.executable, str(ROOT / "scripts/build_pyz.py"), str(target)], check=True, capture_output=True)
    return target


@contextmanager
def served(handler: Any, tls: SSLContext | None = None) -> Iterator[str]:
    """The address of a server on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}"
        server.shutdown()
