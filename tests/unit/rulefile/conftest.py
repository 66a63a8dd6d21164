"""What is said about a rule file."""

from deploystep.core.source import SourceFile
from deploystep.render.text import Style, diagnostics
from deploystep.rulefile.load import examine


def said(text: str) -> list[str]:
    """Each message on a line, as editors understand it."""
    source = SourceFile("deploy.yml", text)
    return diagnostics(examine(source).diagnostics, source, Style())


def placed(text: str) -> list[str]:
    """The place and the code of each message."""
    found = examine(SourceFile("deploy.yml", text)).diagnostics
    return [f"{d.span.line}:{d.span.start.column} {d.code}" for d in found]


def codes(text: str) -> list[str]:
    return [found.split()[1] for found in placed(text)]
