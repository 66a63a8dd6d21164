"""Which config continues a setup config, where that is written in it for certain.

CircleCI's orb registry: `continue` of `circleci/continuation` takes it as `configuration_path`; `filter` of
`circleci/path-filtering` as `config-path`, and a fourth column of its mapping names others.
"""

from collections.abc import Iterator
from posixpath import normpath
from typing import Final

from deploystep.core.frozen import dataclass
from deploystep.project.config import Config
from deploystep.project.reading import Map, Text, all_texts, at, below, texts_of
from deploystep.project.steps import Read

_NAMED: Final = {
    "circleci/continuation": ("continue", "configuration_path"),
    "circleci/path-filtering": ("filter", "config-path"),
}
_USUAL: Final = Text(".circleci/continue_config.yml")  # of path-filtering, where its `config-path` is not given
_COLUMNS: Final = 3  # of a mapping that names no config


@dataclass(frozen=True, slots=True)
class Continuation:
    """The path of the config that takes the place of another one, and the line there that says so.

    `has_mapping`: parameters are passed on by a mapping of changed files, and not by a text of their own.
    """

    path: str
    line: int
    has_mapping: bool


def continuation(config: Config, read: Read) -> Continuation | None:
    """What continues a setup config; None where that is not certain, as for a config that a job writes."""
    if any("pipeline/continue" in text for text in all_texts(config.root)):
        return None
    found = list(_continuations(config))
    is_certain = bool(found) and None not in found and len({each.path for each in found if each}) == 1
    first = found[0] if is_certain else None
    return first if first is not None and read(first.path) is not None else None


def _continuations(config: Config) -> Iterator[Continuation | None]:
    """Yield each place that continues it; None where the path there is not known."""
    for name, given in ((n, g) for node in below(config.root) if isinstance(node, Map) for n, g in node.items()):
        orb, _, command = name.partition("/")
        source = at(config.root, "orbs", orb)
        wanted, key = _NAMED.get(source.partition("@")[0], ("", "")) if isinstance(source, Text) else ("", "")
        if not wanted or command != wanted or not isinstance(given, Map):
            continue
        has_mapping = key == "config-path"
        path = at(given, key) or (_USUAL if has_mapping else None)
        lines = [line.split() for text in texts_of(at(given, "mapping")) for line in text.splitlines()]
        is_known = isinstance(path, Text) and "<<" not in path and all(len(line) <= _COLUMNS for line in lines)
        yield Continuation(normpath(str(path)), name.line, has_mapping) if is_known else None
