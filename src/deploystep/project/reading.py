"""A config's text as CircleCI reads it: a tree whose texts, lists and maps know their lines.

The last of several anchors of one name counts, merge keys (`<<`) are merged, tabs at the end of a line do not matter.
"""

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import yaml

_FAST: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SAFE: Final = yaml.SafeLoader("")


class Text(str):  # noqa: SLOT000 - its fields have defaults
    """A scalar as written, with its place from 1 (line 0: nowhere); YAML may type it if it `is_plain`, unquoted."""

    line, size, column, end, is_plain = 0, 1, 0, (0, 0), False


class Items(list["Node"]):
    """A list, the line on which it begins, and how many nodes it has, with what aliases repeat."""

    line, size = 0, 1


class Map(dict[Text, "Node"]):
    """A map, as a list."""

    line, size = 0, 1


Node: TypeAlias = Text | Items | Map
Typed: TypeAlias = str | int | bool | None


class ConfigUnreadable(Exception):
    """Nothing can be said of a config, for a reason on a line and at a column (from 1)."""

    def __init__(self, line: int, why: str, column: int = 1) -> None:
        super().__init__(why)
        self.line, self.why, self.column = line, why, column


class _Composer(yaml.composer.Composer):
    """Takes the last of several anchors of one name, which PyYAML refuses."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[attr-defined]
        if not isinstance(event, yaml.AliasEvent):
            self.anchors.pop(getattr(event, "anchor", None), None)
        return super().compose_node(parent, index)


class _Loader(_Composer, _FAST):  # type: ignore[misc, valid-type] # without libyaml _FAST has a Composer among its bases
    def __init__(self, text: str) -> None:
        _FAST.__init__(self, text)
        self.anchors: dict[str | None, yaml.Node] = {}


def read_yaml(text: str) -> Node:
    """Read a document. Raises ConfigUnreadable."""
    text = "\n".join(line.rstrip() for line in text.removeprefix("\ufeff").splitlines())
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            raise ConfigUnreadable(1, "it is empty")
        return _made(root, loader, {})
    except RecursionError:
        raise ConfigUnreadable(1, "it is nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise ConfigUnreadable(line, f"YAML cannot read it: {getattr(error, 'problem', error)}", column) from None


def _made(node: yaml.Node, loader: Any, known: dict[int, Node]) -> Node:
    """The node as a text, list or map; what an alias repeats is made once."""
    if isinstance(node, yaml.ScalarNode):
        text, start, end = Text(node.value), node.start_mark, node.end_mark
        text.line, text.column, text.end = start.line + 1, start.column + 1, (end.line + 1, end.column + 1)
        text.is_plain = not node.style
        return text
    if id(node) in known:
        return known[id(node)]
    made = known[id(node)] = Map() if isinstance(node, yaml.MappingNode) else Items()
    made.line = node.start_mark.line + 1
    if isinstance(made, Items):
        made.extend(_made(item, loader, known) for item in node.value)
    else:
        loader.flatten_mapping(node)
        for key, value in node.value:
            name = _made(key, loader, known)
            if isinstance(name, Text):
                made.pop(name, None)  # the last of several keys counts, and its line
                made[name] = _made(value, loader, known)
    made.size += sum(each.size for each in (made if isinstance(made, Items) else made.values()))
    return made


def typed(text: Text) -> Typed:
    """What YAML makes of a scalar: true, false, a whole number, nothing, or the text."""
    tag = _SAFE.resolve(yaml.ScalarNode, str(text), (text.is_plain, not text.is_plain))  # type: ignore[no-untyped-call]
    if not tag.endswith((":bool", ":int", ":null")):
        return str(text)
    found: Typed = _SAFE.yaml_constructors[tag](_SAFE, yaml.ScalarNode(tag, str(text)))
    return found


def at(node: Node | None, *keys: str) -> Node | None:
    """What stands under these keys; None where something is not there."""
    for key in keys:
        node = node.get(Text(key)) if isinstance(node, Map) else None
    return node


def map_of(node: Node | None) -> Map:
    """The node where it is a map, else an empty one."""
    return node if isinstance(node, Map) else Map()


def items_of(node: Node | None) -> Items:
    """The node where it is a list, else an empty one."""
    return node if isinstance(node, Items) else Items()


def texts_of(node: Node | None) -> list[Text]:
    """The text, or the texts of the list."""
    return [item for item in (node if isinstance(node, Items) else [node]) if isinstance(item, Text)]


def key_line(fields: Map, key: str) -> int:
    """The line on which a key of the map is written; that of the map where it is not there."""
    return next((k.line for k in fields if k == key), fields.line)


def below(node: Node | None, without: frozenset[str] = frozenset()) -> Iterator[Node]:
    """Yield the node and all below it, each list and map once, but not what is under a key of `without`."""
    seen: set[int] = set()
    waiting = [] if node is None else [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Text) or id(one) not in seen:
            yield one
            seen.add(id(one))
            if not isinstance(one, Text):
                waiting += one if isinstance(one, Items) else (v for key, v in one.items() if key not in without)


def all_texts(node: Node | None, without: frozenset[str] = frozenset()) -> Iterator[Text]:
    """Every text below a node, also the keys of maps, but not what is under a key of `without`."""
    for one in below(node, without):
        yield from (one,) if isinstance(one, Text) else one if isinstance(one, Map) else ()


def under(node: Node | None, word: str, without: frozenset[str] = frozenset()) -> Iterator[Text]:
    """Every text below any key of this name, but not what is under a key of `without`."""
    return (text for one in below(node, without) for text in all_texts(at(one, word), without))
