"""Is this another node of a parallel job? Asked before anything else is imported: most nodes of a build end here."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: What `gate` adds where it has a command.
NOT_EXECUTED = ": the command is not executed"


def other_node(environ: "Mapping[str, str]") -> "str | None":
    """What a node other than 0, the first, says before it ends; None on that, and where the index is malformed."""
    index = environ.get("CIRCLE_NODE_INDEX", "")
    if not (index.isascii() and index.isdigit()) or index.startswith("0"):
        return None
    total = environ.get("CIRCLE_NODE_TOTAL") or "?"
    if not (total.isascii() and total.isprintable()):  # this must do no harm to a terminal, in whatever encoding
        total = total.encode("unicode_escape").decode()
    return f"node {index} of {total}; node 0 decides"
