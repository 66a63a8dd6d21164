from collections.abc import Callable

import pytest

from deploystep.core.source import Diagnostic, SourceFile
from deploystep.rulefile.load import examine


def short(diagnostic: Diagnostic) -> str:
    (line, column), hint = diagnostic.span.start, f" — {diagnostic.hint}" if diagnostic.hint else ""
    return f"deploy.yml:{line}:{column}: {diagnostic.severity.value}[{diagnostic.code}]: {diagnostic.message}{hint}"


@pytest.fixture(scope="session")
def said() -> Callable[[str], list[str]]:
    """What is said about a text, each message on a line as editors understand it."""
    return lambda text: [short(d) for d in examine(SourceFile("deploy.yml", text)).diagnostics]
