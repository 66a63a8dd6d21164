"""Is this another node of a parallel job? Asked before anything else is imported: most nodes of a build end here."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def other_node(environ: "Mapping[str, str]") -> "str | None":
    """What a node that is not the first says before it ends; None on the first, and where the index is malformed.

    CIRCLE_NODE_INDEX counts from 0 (CircleCI docs, built-in environment variables).
    """
    index = environ.get("CIRCLE_NODE_INDEX", "")
    if not (index.isascii() and index.isdigit()) or index.strip("0") == "":
        return None
    return f"node {index} of {environ.get('CIRCLE_NODE_TOTAL') or '?'}; node 0 decides"
