"""Imports modules from bytecode of this very Python, which the file holds beside the sources.

`zipimport` would compile every source anew in each process: it looks for bytecode of one version only.
"""

import marshal
import sys
import zlib
from importlib.machinery import ModuleSpec
from importlib.util import MAGIC_NUMBER
from types import ModuleType
from zipimport import zipimporter


class Finder:
    """Finds modules in a table: the path of the source, and its code, marshalled and deflated."""

    def __init__(self, code: dict[str, bytes]) -> None:
        self._code = code

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """The module or package of this name, if the table has it."""
        place = name.replace(".", "/")
        for path in (f"{place}.py", f"{place}/__init__.py"):
            if path in self._code:
                return ModuleSpec(name, self, origin=path, is_package=path.endswith("/__init__.py"))  # type: ignore[arg-type]
        return None

    def create_module(self, _spec: ModuleSpec) -> None:
        """Python makes it."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code."""
        path = module.__spec__ and module.__spec__.origin
        exec(marshal.loads(zlib.decompress(self._code[path or ""])), module.__dict__)  # noqa: S102, S302 - our own


def use() -> None:
    """From here on modules come from bytecode, if there is some for this Python; if not, from the sources."""
    try:
        table = zipimporter(sys.path[0]).get_data(f"bytecode/{MAGIC_NUMBER.hex()}")
    except OSError:
        return
    sys.meta_path.insert(0, Finder(marshal.loads(table)))  # noqa: S302 - our own
