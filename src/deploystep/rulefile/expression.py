"""Conditions written as an expression, as CircleCI's config has them: recognised, and translated where that is simple.

>>> translated('branch == "main" and not tag')
'when: {branch: main}'
"""

import re
from typing import Final

_EXPRESSION: Final = re.compile(
    r"[=!]=|=~|!~|<<|\$\{|&&|\|\||\bpipeline\.|\b(?:and|or)\b|^not\b|\b(?:matches|starts-with)\b"
)
_CLAUSE: Final = re.compile(
    r"""\(?\s*(?:<<\s*)?(?:pipeline\.git\.)?(branch|tag)(?:\s*>>)?\s*==\s*(["'])([^"']+)\2\s*\)?"""
)
_NO_TAG: Final = re.compile(r"""not\s+(?:pipeline\.git\.)?tag|(?:pipeline\.git\.)?tag\s*==\s*(?:""|'')""")
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_LONGEST: Final = 300
_FALLBACK: Final = "when: {branch: main}"


def is_expression(text: str) -> bool:
    """Whether a text was probably meant to be computed."""
    return _EXPRESSION.search(text) is not None


def translated(text: str) -> str:
    """The same condition as matchers; a general example where it is too complicated."""
    if len(text) > _LONGEST:
        return _FALLBACK
    for joint, form in ((r"\s+or\s+|\s*\|\|\s*", "when: [{}]"), (r"\s+and\s+|\s*&&\s*", "when: {}")):
        clauses = [_clause(part) for part in re.split(joint, text.strip())]
        known = [clause for clause in clauses if clause]
        if None not in clauses and known and (len(known) == 1 or "[" in form):
            return form.format(", ".join(known)) if len(known) > 1 else f"when: {known[0]}"
    return _FALLBACK


def _clause(text: str) -> str | None:
    """One comparison as matchers; empty where a rule for branches needs no words for it, None where unknown."""
    if _NO_TAG.fullmatch(text):
        return ""
    found = _CLAUSE.fullmatch(text)
    if found is None or not _PLAIN.fullmatch(found[3]):
        return None
    return f"{{{found[1]}: {found[3]}}}"
