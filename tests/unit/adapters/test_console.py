"""What is written where, and in which colours."""

import io

import pytest

from deploystep.adapters.console import Console, wants_colour


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("is_quiet", "is_verbose"), [(False, False), (True, False), (False, True)])
def test_a_sign_of_life_and_a_warning_are_never_left_out(is_quiet: bool, is_verbose: bool) -> None:  # noqa: FBT001 - columns
    out, err = io.StringIO(), io.StringIO()
    console = Console(out, err, ())
    console.is_quiet, console.is_verbose = is_quiet, is_verbose
    for write in (console.info, console.detail, console.alive, console.warning, console.problem, console.result):
        write(write.__name__)
    usual = [*["info"] * (not is_quiet), *["detail"] * is_verbose, "alive", "warning: warning", "problem"]
    assert (err.getvalue().split("\n")[:-1], out.getvalue()) == (usual, "result\n")


@pytest.mark.parametrize(
    ("choice", "stream", "no_color", "is_coloured"),
    [
        ("auto", Terminal(), {}, True),
        ("auto", Terminal(), {"NO_COLOR": "1"}, False),
        ("auto", Terminal(), {"NO_COLOR": ""}, True),
        ("auto", io.StringIO(), {}, False),
        ("never", Terminal(), {}, False),
        ("always", io.StringIO(), {"NO_COLOR": "1"}, True),
    ],
)
def test_colours(choice: str, stream: io.StringIO, no_color: dict[str, str], is_coloured: object) -> None:
    assert wants_colour(choice, stream, no_color) is is_coloured
