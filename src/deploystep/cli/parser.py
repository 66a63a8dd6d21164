"""The command line as argparse reads it; argparse goes no further than here."""

import argparse
from typing import Any, Final, NoReturn

from deploystep import __version__
from deploystep.cli.option_table import COMMANDS, OPTIONS, Option
from deploystep.core.errors import UsageError


class Parser(argparse.ArgumentParser):
    """An argument parser that raises instead of leaving the process."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would have printed."""
        known = f"commands: {', '.join(COMMANDS)}; " if self.prog == "deploystep" else ""
        raise UsageError("usage", message, f"{known}see  {self.prog} --help")


def parser(only: str | None = None) -> Parser:
    """The parser of every command; with `only`, the others are known by name alone."""
    top = Parser(
        prog="deploystep",
        allow_abbrev=False,
        description="Decides whether a CircleCI build deploys, and triggers the deploy.",
    )
    version: dict[str, Any] = {"action": "version", "version": f"deploystep {__version__}"}
    top.add_argument("-V", "--version", **version)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, prog=top.prog)
    for name, about in COMMANDS.items():
        command = commands.add_parser(
            name,
            allow_abbrev=False,
            help=about,
            description=about[0].upper() + about[1:] + ".",
            epilog=f"example:\n{_EXAMPLES[name]}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument("-V", "--version", help=argparse.SUPPRESS, **version)
        if name == "gate":
            command.usage = "deploystep gate [OPTION ...] RULE [-- COMMAND ...]"
            command.add_argument(
                "rule", nargs="+", metavar="RULE", help="the rule to judge; what follows -- is executed if it fires"
            )
        for option in OPTIONS:
            if name in option.commands and only in (name, None):
                _add(command, option)
    return top


_EXAMPLES: Final = {
    "run": "      - run: deploystep run",
    "gate": "      - run: deploystep gate production -- ./deploy.sh",
    "plan": "  deploystep plan --branch release/1.4",
    "check": "  deploystep check",
    "test": "  deploystep test --coverage --junit results/deploystep.xml",
    "matrix": "  deploystep matrix --html matrix.html",
    "init": "  deploystep init",
    "doctor": "  deploystep doctor",
    "schema": "  deploystep schema",
    "sandbox": "  deploystep sandbox --port 8080 --fault 429:1",
    "migrate": "  deploystep migrate --diff",
    "completion": "  deploystep completion bash",
}


def _add(command: argparse.ArgumentParser, option: Option) -> None:
    if option.metavar is None:
        flags = (option.short, option.flag) if option.short else (option.flag,)
        command.add_argument(*flags, action="store_true", default=None, help=option.help)
        return
    if not option.flag.startswith("-"):
        number = "*" if option.is_repeatable else "?"
        command.add_argument(
            option.name, metavar=option.metavar, nargs=number, choices=option.choices, help=option.help
        )
        return
    # what stands alone must not look as if it had not been given
    nargs, const = ("?", "") if option.is_value_optional else (None, None)
    command.add_argument(
        option.flag,
        action="append" if option.is_repeatable else "store",
        metavar=option.metavar,
        choices=option.choices,
        nargs=nargs,
        const=const,
        help=option.help,
    )
