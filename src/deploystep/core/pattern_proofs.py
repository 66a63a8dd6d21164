"""What can be proved about whole patterns: that they overlap, that one covers another, that no name can match.

Each function says in which direction its answer is a claim, because a search that was cut short claims nothing.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

from deploystep.core.automata import Dfa, Nfa
from deploystep.core.legal_names import Illegal, Law, illegal, laws
from deploystep.core.pattern_nodes import beginning, text_at_hand
from deploystep.core.pattern_problems import Problem, shown
from deploystep.core.pattern_search import Finding, Wanted, find_text
from deploystep.core.pattern_syntax import Kind
from deploystep.core.ref_names import is_legal_ref

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deploystep.core.pattern_nodes import Node
    from deploystep.core.patterns import Pattern

_REMEMBERED: Final = 8_192  # the rules of a file repeat what they say


def overlap(a: Sequence[Pattern], b: Sequence[Pattern]) -> str | None:
    """Return a legal name that a pattern of `a` and a pattern of `b` both match.

    A name is a proof. None claims nothing: the search may have been cut short. All patterns are of one kind.
    """
    return _overlap(tuple(a), tuple(b))


@lru_cache(maxsize=_REMEMBERED)
def _overlap(a: tuple[Pattern, ...], b: tuple[Pattern, ...]) -> str | None:
    if not any(_may_meet(one, other) for one in a for other in b):
        return None
    return _find(a[0].kind, (_nodes(a), _nodes(b))).text


def _may_meet(a: Pattern, b: Pattern) -> bool:
    """Whether the texts that both begin with leave room for a common name; plain names are all beginning."""
    one, other = _beginning(a), _beginning(b)
    return one.startswith(other) or other.startswith(one)


@lru_cache(maxsize=_REMEMBERED)
def _beginning(pattern: Pattern) -> str:
    return beginning(pattern.node)


def covers(covering: Sequence[Pattern], covered: Pattern) -> bool:
    """Prove that each legal name that `covered` matches is matched by one of `covering` as well.

    False claims nothing: there may be such a name, or the search was cut short. All patterns are of one kind.
    """
    return _covers(tuple(covering), covered)


@lru_cache(maxsize=_REMEMBERED)
def _covers(covering: tuple[Pattern, ...], covered: Pattern) -> bool:
    if covered.node in _nodes(covering):
        return True  # plain to see, while a proof may be long
    text = text_at_hand(covered.node)
    if text is not None and not any(each.matches(text) for each in covering) and _is_legal(covered.kind, text):
        return False  # here is a name that is not covered
    return _find(covered.kind, ((covered.node,),), _nodes(covering)).proves_none


def legal_example(pattern: Pattern) -> str | None:
    """Return a short legal name that the pattern matches; None claims nothing, see `why_no_ref`."""
    return _find(pattern.kind, ((pattern.node,),)).text


def why_no_ref(pattern: Pattern, noun: str) -> Problem | None:
    """Explain why git allows no name that the pattern matches; None if there is one or nothing was proved.

    `noun` is what the pattern is for: branch or tag.
    """
    if not _find(Kind.REF, ((pattern.node,),)).proves_none:
        return None
    reason = next((law.words for law in laws(Kind.REF) if _breaks(pattern, law)), "any such name")
    name = pattern.only_match
    claim = f"match '{shown(pattern.text)}'" if name is None else f"be called '{shown(name)}'"
    message = f"no {noun} can {claim} (git does not allow {reason})"
    return Problem("E207", message, "", 0, len(pattern.text))


def _breaks(pattern: Pattern, law: Law) -> bool:
    """Prove that this law alone forbids each name that the pattern matches."""
    hopeless, unfinished = ((law.broken_by,), ()) if law.is_final else ((), (law.broken_by,))
    return find_text(Wanted(((pattern.node,),), unfinished, hopeless)).proves_none


def _is_legal(kind: Kind, name: str) -> bool:
    if kind is Kind.REF:
        return is_legal_ref(name)
    automaton = _illegal_names(kind)
    state = automaton.start
    for character in name:
        state = automaton.run(character, state)
        if _HOPELESS in state.labels:
            return False
    return not state.labels


_HOPELESS = 0


@cache
def _illegal_names(kind: Kind) -> Dfa:
    nfa = Nfa()
    root = nfa.add_root()
    nfa.add(root, _illegal(kind).hopeless, _HOPELESS)
    nfa.add(root, _illegal(kind).unfinished, _HOPELESS + 1)
    return Dfa(nfa)


@cache
def _illegal(kind: Kind) -> Illegal:
    return illegal(kind)


def _find(kind: Kind, all_of: tuple[tuple[Node, ...], ...], none_of: tuple[Node, ...] = ()) -> Finding:
    names = _illegal(kind)
    return find_text(Wanted(all_of, (*none_of, names.unfinished), (names.hopeless,)))


def _nodes(patterns: Sequence[Pattern]) -> tuple[Node, ...]:
    return tuple(pattern.node for pattern in patterns)
