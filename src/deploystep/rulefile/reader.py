"""Text to node tree, or what is wrong with the text."""

from deploystep.core.source import SourceFile
from deploystep.rulefile import characters, plain
from deploystep.rulefile.nodes import Node, Report


def read(source: SourceFile, report: Report, begins: str) -> Node | None:
    """The file's tree; None where it has none, which the report then explains.

    `begins` tells the writer of an empty file how one begins.
    """
    if not characters.check(source, report):
        return None
    tree = plain.read(source.text)
    if tree is not None:
        return tree
    from deploystep.rulefile import events  # noqa: PLC0415 - brings PyYAML, which a plain file does not need

    return events.read(source, report, begins)
