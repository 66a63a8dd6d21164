"""Which names git allows for branches and tags, asked of one name; what it means for patterns is in `legal_names`."""

from typing import Final

_FORBIDDEN: Final = frozenset("\x7f ~^:?*[\\") | {chr(code) for code in range(0x20)}


def is_legal_ref(name: str) -> bool:
    """Tell whether git allows the name for a branch or a tag (`git check-ref-format --allow-onelevel`)."""
    if name == "@" or name.endswith(".") or ".." in name or "@{" in name or not _FORBIDDEN.isdisjoint(name):
        return False
    # without any part, or with an empty one, there is no name: it is empty, or a slash stands wrongly
    return all(part and not part.startswith(".") and not part.endswith(".lock") for part in name.split("/"))
