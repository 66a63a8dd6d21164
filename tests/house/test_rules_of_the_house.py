"""Promises about the source as a whole: codes, hints, variables, secrets, and who prints, exits or sends."""

import ast
import re
from pathlib import Path

from deploystep.core.codes import CODES, IGNORABLE, explained
from deploystep.core.errors import ExitCode, ToolError
from deploystep.core.parameters import PUBLIC_VARIABLES, SECRET_VARIABLES, TOKEN_VARIABLES

SRC = Path(__file__).resolve().parents[2] / "src" / "deploystep"
MODULES = sorted(path for path in SRC.rglob("*.py") if "sandbox" not in path.relative_to(SRC).parts)
PAGE = SRC.parents[1] / "docs" / "environment.md"
ENV = frozenset(re.findall(r"^\| `(CIRCLE\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
SIGNALS = {ExitCode.INTERRUPTED, ExitCode.TERMINATED}


#: Every node of the source, with the module it is in.
NODES = [
    (path.relative_to(SRC).as_posix(), node)
    for path in MODULES
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
]
NAMES = (
    "0 ok, 1 bug, 2 usage, 3 rules, 4 environment, 5 undecided, 6 refused, 7 unreachable, 8 uncertain, 9 stopped,"
    " 10 nothing-runs, 11 deploy-failed, 12 timed-out, 13 held, 20 not-due, 126 not-executable, 127 not-found,"
    " 130 interrupted, 143 terminated"
)


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
    assert [f"{int(code)} {code.label}" for code in ExitCode] == NAMES.split(", ")


def test_every_exit_code_is_somebodys() -> None:
    import deploystep.cli.main  # noqa: F401, PLC0415 - it defines one

    used = {kind.exit for kind in kinds().values()} | SIGNALS | {code for code in ExitCode if code.is_result}
    assert set(ExitCode) == used
    codes = [kind.exit for kind in kinds().values()]
    assert len(set(codes)) == len(codes) > 10


# Errors end in a next step


#: Their diagnostics say what to do, each at its place. May only shrink.
SPEAKS_BY_DIAGNOSTICS = {"RuleFileInvalid", "FactUnavailable"}


def test_every_error_has_a_hint() -> None:
    names, found = set(kinds()) - {"_Bug"}, 0
    for path, call in NODES:
        # `Refused(…)`, or `errors.Refused(…)`
        name = getattr(call.func, "id", getattr(call.func, "attr", "")) if isinstance(call, ast.Call) else ""
        if isinstance(call, ast.Call) and name in names:
            tells = name in SPEAKS_BY_DIAGNOSTICS and any(word.arg == "diagnostics" for word in call.keywords)
            where = f"{path}:{call.lineno}"
            assert len(call.args) >= 3 or tells, f"{where}: {name} needs code, message and at least one hint"
            found += 1
    assert found > 50


# Variables


def test_every_variable_that_is_read_is_in_a_table() -> None:
    known = ENV | PUBLIC_VARIABLES | SECRET_VARIABLES | set(TOKEN_VARIABLES)
    # the reader of rule files knows names only to suggest better ones; a docstring names none alone
    texts = {str(n.value) for path, n in NODES if isinstance(n, ast.Constant) and not path.startswith("rulefile/")}
    named = {text for text in texts if re.fullmatch(r"CIRCLE(CI)?(_[A-Z0-9_]*[A-Z0-9])?", text)}
    assert named - known == set()
    assert "CIRCLE_SHA1" in named


def test_every_variable_in_the_table_of_the_build_is_read() -> None:
    """It is named once more than there are tables with its name."""
    tables = (PUBLIC_VARIABLES, SECRET_VARIABLES, TOKEN_VARIABLES)
    named = [node.value for _, node in NODES if isinstance(node, ast.Constant) and node.value in ENV]
    assert [name for name in ENV if named.count(name) <= sum(name in table for table in tables)] == []


def test_no_secret_may_be_sent() -> None:
    assert set() == PUBLIC_VARIABLES & SECRET_VARIABLES
    assert set(TOKEN_VARIABLES) <= SECRET_VARIABLES
    assert "CIRCLE_OIDC_TOKEN" in SECRET_VARIABLES


# Who may speak, and who may leave


def test_nobody_prints_or_leaves_below_the_top() -> None:
    calls = {(path, ast.unparse(node.func)) for path, node in NODES if isinstance(node, ast.Call)}
    forbidden = {"print", "sys.exit", "exit", "quit", "os._exit", "os.abort"}
    assert {call for call in calls if call[1] in forbidden} == {("__main__.py", "sys.exit")}


def test_only_the_top_catches_everything() -> None:
    handlers = [(path, node.type) for path, node in NODES if isinstance(node, ast.ExceptHandler)]
    caught = {(path, ast.unparse(kind) if kind else "everything") for path, kind in handlers}
    # adapters/transport.py hands what its thread met to the one that waits for it
    wide = {name for name, kind in caught if kind in ("everything", "Exception", "BaseException")}
    assert wide == {"cli/main.py", "adapters/transport.py"}


def test_one_module_sends() -> None:
    """Whatever sends has to ask `core.retry` whether it may send again."""
    calls = [(path, node) for path, node in NODES if isinstance(node, ast.Attribute) and node.attr == "send"]
    assert len({path for path, node in calls if "transport" in ast.unparse(node.value)}) == 1


# Codes of diagnostics


def test_every_code_is_used_and_explained_by_meaning_cause_and_cure() -> None:
    texts = [path.read_text(encoding="utf-8") for path in MODULES if path.name != "codes.py"]
    assert set(CODES) == {code for text in texts for code in re.findall(r'"([EWUPC][0-9]{2,3})"', text)}
    for code, page in CODES.items():
        assert all(part and not part.endswith(".") for part in page), code
        assert ("ignore: [" in explained(code)) is (code in IGNORABLE)
