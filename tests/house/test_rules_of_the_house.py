"""Promises about the source as a whole: exit codes, hints, variables, secrets, and who prints, exits or sends."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from deploystep.core.errors import ExitCode, ToolError
from deploystep.core.parameters import PUBLIC_VARIABLES, SECRET_VARIABLES, TOKEN_VARIABLES

SRC = Path(__file__).resolve().parents[2] / "src" / "deploystep"
MODULES = sorted(path for path in SRC.rglob("*.py") if "sandbox" not in path.relative_to(SRC).parts)
PAGE = SRC.parents[1] / "docs" / "environment.md"
ENV = frozenset(re.findall(r"^\| `(CIRCLE\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
SIGNALS = {ExitCode.INTERRUPTED, ExitCode.TERMINATED}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def kinds() -> dict[str, type[ToolError]]:
    found: dict[str, type[ToolError]] = {}
    waiting = [ToolError]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            if kind.__module__.startswith("deploystep."):
                waiting.append(kind)
                found |= {kind.__name__: kind} if hasattr(kind, "exit") else {}
    return found


# Exit codes


def test_exit_codes_are_those_of_the_contract() -> None:
    assert {code.value: code.label for code in ExitCode} == {
        **dict(enumerate(("ok", "bug", "usage", "rules", "environment", "undecided", "refused", "unreachable"))),
        8: "uncertain",
        9: "stopped",
        10: "nothing-runs",
        11: "deploy-failed",
        12: "timed-out",
        13: "held",
        20: "not-due",
        126: "not-executable",
        127: "not-found",
        130: "interrupted",
        143: "terminated",
    }


def test_every_exit_code_is_somebodys() -> None:
    import deploystep.cli.main  # noqa: F401, PLC0415 - it defines one

    used = {kind.exit for kind in kinds().values()} | SIGNALS | {code for code in ExitCode if code.is_result}
    assert set(ExitCode) == used
    codes = [kind.exit for kind in kinds().values()]
    assert len(set(codes)) == len(codes) > 10


# Errors end in a next step


def _called(call: ast.Call) -> str:
    """`Refused(…)`, or `errors.Refused(…)`."""
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


def _raised() -> list[tuple[str, ast.Call]]:
    names = set(kinds()) - {"_Bug"}
    return [
        (f"{path.relative_to(SRC)}:{node.lineno}", node)
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and _called(node) in names
    ]


#: Their diagnostics say what to do, each at its place. May only shrink.
SPEAKS_BY_DIAGNOSTICS = {"RuleFileInvalid", "FactUnavailable"}


@pytest.mark.parametrize(("where", "call"), _raised(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_error_has_a_hint(where: str, call: ast.Call) -> None:
    name = _called(call)
    has_hint = len(call.args) >= 3 or (name in SPEAKS_BY_DIAGNOSTICS and _names(call, "diagnostics"))
    assert has_hint, f"{where}: {name} needs code, message and at least one hint"


def _names(call: ast.Call, keyword: str) -> bool:
    return any(k.arg == keyword for k in call.keywords)


# Variables


def _texts(path: Path) -> set[str]:
    docs = {id(d) for d in _docstrings(tree(path))}
    return {
        node.value
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
    }


def _docstrings(module: ast.Module) -> list[ast.Constant]:
    return [
        node.value
        for node in ast.walk(module)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]


def test_every_variable_that_is_read_is_in_a_table() -> None:
    known = ENV | PUBLIC_VARIABLES | SECRET_VARIABLES | set(TOKEN_VARIABLES)
    # the reader of rule files knows names only to suggest better ones
    readers = [path for path in MODULES if "rulefile" not in path.parts]
    named = {
        text for path in readers for text in _texts(path) if re.fullmatch(r"CIRCLE(CI)?(_[A-Z0-9_]*[A-Z0-9])?", text)
    }
    assert named - known == set()
    assert "CIRCLE_SHA1" in named


def test_every_variable_in_the_table_of_the_build_is_read() -> None:
    """It is named once more than there are tables with its name."""
    tables = (PUBLIC_VARIABLES, SECRET_VARIABLES, TOKEN_VARIABLES)
    named = [
        node.value
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and node.value in ENV
    ]
    assert [name for name in ENV if named.count(name) <= sum(name in table for table in tables)] == []


def test_no_secret_may_be_sent() -> None:
    assert set() == PUBLIC_VARIABLES & SECRET_VARIABLES
    assert set(TOKEN_VARIABLES) <= SECRET_VARIABLES
    assert "CIRCLE_OIDC_TOKEN" in SECRET_VARIABLES


# Who may speak, and who may leave


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SRC)))
def test_nobody_prints_or_leaves_below_the_top(path: Path) -> None:
    calls = [ast.unparse(n.func) for n in ast.walk(tree(path)) if isinstance(n, ast.Call)]
    forbidden = {"print", "sys.exit", "exit", "quit", "os._exit", "os.abort"}
    allowed = {"sys.exit"} if path.name == "__main__.py" else set()
    assert forbidden & set(calls) <= allowed


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SRC)))
def test_only_the_top_catches_everything(path: Path) -> None:
    handlers = [n for n in ast.walk(tree(path)) if isinstance(n, ast.ExceptHandler)]
    caught = {ast.unparse(h.type) if h.type else "everything" for h in handlers}
    # adapters/transport.py hands what its thread met to the one that waits for it
    if path.relative_to(SRC).as_posix() not in ("cli/main.py", "adapters/transport.py"):
        assert caught & {"everything", "Exception", "BaseException"} == set()


def test_one_module_sends() -> None:
    """Whatever sends has to ask `core.retry` whether it may send again."""
    senders = [
        path
        for path in MODULES
        if any(
            isinstance(node, ast.Attribute) and node.attr == "send" and "transport" in ast.unparse(node.value)
            for node in ast.walk(tree(path))
        )
    ]
    assert len(senders) == 1, senders
