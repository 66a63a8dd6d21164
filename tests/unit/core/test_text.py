"""Names that were nearly right, and the words of a node that is not the first."""

from deploystep.core.nodes import other_node
from deploystep.core.source import did_you_mean, nearest

KNOWN = ("branch", "tag", "paths", "pull_request", "office-hours")
MEANT = {"brnch": "branch", "barnch": "branch", "BRANCH": "branch", "tga": "tag", "tg": "tag", "xyz": None, "": None}


def test_nearest() -> None:
    assert {name: nearest(name, KNOWN) for name in MEANT} == MEANT
    assert did_you_mean("tga", KNOWN, form="${{{}}}") == "did you mean ${tag}?"
    assert (did_you_mean("xyz", KNOWN), did_you_mean("xyz", KNOWN, "ask")) == ("", "ask")


def test_what_is_no_index_is_refused_by_the_reader_of_the_whole_environment() -> None:
    """Nobody ends early on a guess."""
    for index in ("", "0", "00", "01", "<nil>", "-1", "x", "1.0", "²", "٣", " 1"):
        assert other_node({"CIRCLE_NODE_TOTAL": "4", "CIRCLE_NODE_INDEX": index}) is None
    assert other_node({"CIRCLE_NODE_TOTAL": "4"}) is None


def test_another_node() -> None:
    shown = {"4": "4", "": "?", "\x1b[2J\n": r"\x1b[2J\n", "vier ☃\udcff": r"vier \u2603\udcff"}
    for total, words in shown.items():
        node = {"CIRCLE_NODE_INDEX": "10", "CIRCLE_NODE_TOTAL": total}
        assert other_node(node) == f"node 10 of {words}; node 0 decides"
