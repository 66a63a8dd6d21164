"""Headless Chromium, driven over a pipe by its DevTools protocol: no driver, no port, nothing to install beside it."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, BinaryIO

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --disable-extensions --disable-dev-shm-usage --remote-debugging-pipe"
)


class Browser:
    """One tab. `problems` is what the page complained of: exceptions, console messages, refused loads."""

    def __init__(self, sends: BinaryIO, hears: BinaryIO) -> None:
        self._sends, self._hears = sends, hears
        self._count = 0
        self._session: str | None = None
        self.problems: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        """The answer to one command; events that come before it are kept."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        self._sends.write(json.dumps(message).encode() + b"\0")
        self._sends.flush()
        while True:
            said = self._said()
            if said.get("id") == self._count:
                assert "error" not in said, said
                return said["result"]

    def _said(self) -> Any:
        text = bytearray()
        while (byte := self._hears.read(1)) != b"\0":
            assert byte, "Chromium has ended"
            text += byte
        said = json.loads(text)
        if said.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            self.problems.append(json.dumps(said["params"]))
        return said

    def open(self, url: str, width: int, scheme: str) -> None:
        """Show a page in a window of this width, in light or dark."""
        self.problems.clear()
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=url)
        while not self.js("document.readyState === 'complete' && location.href !== 'about:blank'"):
            pass

    def js(self, text: str) -> Any:
        """The value of an expression, or of its promise."""
        answer = self.call("Runtime.evaluate", expression=text, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def axe(self) -> list[str]:
        """What axe-core finds wrong, a line each; also a rule that broke down, as contrast does at newer colours."""
        self.js(files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8") + ";1")
        found = self.js(
            "axe.run().then(r => [...r.violations, ...r.incomplete.filter(v => !v.nodes.length)]"
            ".map(v => [v.id, v.help, v.nodes.map(n => n.html)]))"
        )
        return [f"{name}: {text}: {nodes[:3]}" for name, text, nodes in found]


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A browser with a profile of its own; the test is skipped where there is no Chromium."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: install Debian's package chromium")
    (hears, sends), (answers, says) = os.pipe(), os.pipe()

    def place() -> None:  # Chromium reads from 3 and writes to 4
        low, high = os.dup2(hears, 30), os.dup2(says, 31)
        os.dup2(low, 3)
        os.dup2(high, 4)

    command = [CHROMIUM, *FLAGS.split(), f"--user-data-dir={profile}", "about:blank"]
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "close_fds": False}
    process = subprocess.Popen(command, preexec_fn=place, **quiet)  # noqa: PLW1509 - before any thread of ours
    os.close(hears)
    os.close(says)
    try:
        with os.fdopen(sends, "wb") as writes, os.fdopen(answers, "rb") as reads:
            yield Browser(writes, reads)
    finally:
        process.terminate()
        process.wait(10)
