"""A sign of life on a terminal: drawn after a second, gone before anything else is written, nowhere else."""

from __future__ import annotations

import io
import time

from deploystep.adapters.console import Console
from deploystep.core.secret import Secret


def test_a_line_shows_what_is_at_work_and_goes_away() -> None:
    out, err = io.StringIO(), io.StringIO()
    console = Console(out, err, (Secret("s3cret"),))
    with console.working("deploystep run"):
        console.info("waiting for s3cret")
        time.sleep(1.3)
        console.warning("late")

    assert err.getvalue() == "waiting for ***\n\r\x1b[Kdeploystep run … 1 s\r\x1b[Kwarning: late\n"
    assert out.getvalue() == ""


def test_what_is_quick_or_quiet_draws_nothing() -> None:
    err = io.StringIO()
    console = Console(io.StringIO(), err, ())
    with console.working("deploystep check"):
        pass
    console.is_quiet = True
    with console.working("deploystep check"):
        time.sleep(1.1)

    assert err.getvalue() == ""
