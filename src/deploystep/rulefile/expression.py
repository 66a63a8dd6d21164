"""Conditions written as an expression, as CircleCI's config has them: recognised, and translated where that is simple.

>>> translated('branch == "main" and not tag')
'{branch: main}'
"""

import re
from typing import Final

_EXPRESSION: Final = r"[=!]=|=~|!~|<<|\$\{|&&|\|\||\bpipeline\.|\b(?:and|or)\b|^not\b|\b(?:matches|starts-with)\b"
_CLAUSE: Final = (
    r"""\(?\s*(?:<<\s*)?(?:pipeline\.git\.)?(branch|tag)(?:\s*>>)?\s*==\s*(["'])([A-Za-z0-9][A-Za-z0-9._/-]*)\2\s*\)?"""
)
_LONGEST: Final = 300


def translated(text: str) -> str:
    """An expression as matchers, a general example where it is too complicated; empty for any other text."""
    if not re.search(_EXPRESSION, text):
        return ""
    # a rule for a branch needs no words for "and not tag"
    short = re.sub(r"""\s+and not\s+(?:pipeline\.git\.)?tag$""", "", text.strip()) if len(text) <= _LONGEST else ""
    found = [re.fullmatch(_CLAUSE, part) for part in re.split(r"\s+or\s+|\s*\|\|\s*", short)]
    clauses = [f"{{{clause[1]}: {clause[3]}}}" for clause in found if clause]
    if len(clauses) < len(found):
        return "{branch: main}"
    return clauses[0] if len(clauses) == 1 else f"[{', '.join(clauses)}]"
