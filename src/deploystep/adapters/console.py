"""The two streams. stdout carries the result, stderr everything else; nothing on them holds the token."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TextIO

from deploystep.core.secret import Secret
from deploystep.core.source import visible


class Console:
    """Writes lines to the streams it was given, with every secret masked; a line may quote a server."""

    def __init__(self, out: TextIO, err: TextIO, secrets: tuple[Secret, ...]) -> None:
        self._out, self._err, self._secrets = out, err, secrets
        self.is_quiet = self.is_verbose = self._is_drawn = False

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """While it takes more than a second, show on stderr, a terminal, what is at work, and for how many seconds."""
        import signal  # noqa: PLC0415 - few have a terminal
        import threading  # noqa: PLC0415 - as above

        ended, columns = threading.Event(), os.get_terminal_size(self._err.fileno()).columns or 80

        def draw() -> None:
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are for who waits
            seconds = 0
            while not ended.wait(1.0) and not self.is_quiet:
                seconds += 1
                self._is_drawn = True
                self._write(self._err, f"\r\x1b[K{f'{what} … {seconds} s'[: columns - 1]}", end="")

        thread = threading.Thread(target=draw, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self._clear()

    def _clear(self) -> None:
        if self._is_drawn:
            self._is_drawn = False
            self._write(self._err, "\r\x1b[K", end="")

    def hide(self, secret: Secret) -> None:
        """From now on, mask this too."""
        self._secrets = (*self._secrets, secret)

    def result(self, text: str) -> None:
        self._write(self._out, text)

    def problem(self, text: str) -> None:
        self._write(self._err, text)

    def info(self, text: str) -> None:
        """A line of progress, unless it is to be quiet."""
        if not self.is_quiet:
            self.alive(text)

    def detail(self, text: str) -> None:
        """A line for who wants to know each step."""
        if self.is_verbose:
            self.alive(text)

    def alive(self, text: str) -> None:
        """A sign of life, also where it is to be quiet: CircleCI ends a step that prints nothing."""
        self._write(self._err, visible(text))

    def warning(self, text: str) -> None:
        self.alive(f"warning: {text}")

    def masked(self, text: str) -> str:
        for secret in self._secrets:
            text = secret.masked(text)
        return text

    def _write(self, stream: TextIO, text: str, end: str = "\n") -> None:
        if end:
            self._clear()
        encoding = stream.encoding or "utf-8"
        try:
            stream.write(self.masked(text).encode(encoding, "backslashreplace").decode(encoding) + end)
            stream.flush()
        except OSError:
            # Nobody reads this stream any more, or its disk is full. That must not end the command, least of all
            # between a trigger and its confirmation: the exit code still tells.
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def wants_colour(choice: str, stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether to colour a stream: `always` and `never` decide; `auto` asks the terminal and NO_COLOR."""
    return choice == "always" or (choice == "auto" and stream.isatty() and not environ.get("NO_COLOR"))
