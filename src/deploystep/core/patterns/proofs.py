"""What can be proved about whole patterns: that they overlap, that one covers another, that no name can match.

Each function says in which direction its answer is a claim, because a search that was cut short claims nothing.
"""

from __future__ import annotations

from functools import lru_cache
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from deploystep.core.patterns.automaton import WORK, Automaton, Pattern, State, automaton_of
from deploystep.core.patterns.glob import parse
from deploystep.core.patterns.nodes import ANYTHING, Concat, Kind, beginning
from deploystep.core.source import Problem
from deploystep.core.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_REMEMBERED: Final = 8_192  # the rules of a file repeat what they say
_PER_SEARCH: Final = 200  # what it costs to begin, for each automaton
_SEARCH_LIMIT: Final = 200_000  # some tenths of a second; what people write takes a hundredth of it

# In the order in which a witness prefers them. Each other character counts as ten of these.
_FRIENDLY: Final = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_./"
_PRINTABLE: Final = range(ord("!"), ord("~") + 1)
_OTHER_PRICE: Final = 10


def _forbidden(words: dict[str, str]) -> dict[Pattern, str]:
    return {parse(text, Kind.NAME): wrong for text, wrong in words.items()}


_SLASHES: Final = {"/*": "'/' at the start", "*/": "'/' at the end", "*//*": "'//'"}
# fmt: off
#: Names that cannot exist, as patterns, and what is wrong with them: the rules of `git check-ref-format` with one level
#: allowed; what git can have in a tree; users and other values. No name is empty.
FORBIDDEN: Final = {
    Kind.REF: _forbidden({
        "*..*": "'..'", "* *": "spaces", r"/[\s\S]*[\x00-\x1f\x7f][\s\S]*/": "control characters",
        **{f"*{character}*": f"'{character}'" for character in "~^:?"}, r"/[\s\S]*\*[\s\S]*/": "'*'",
        **{f"*{text}*": f"'{text}'" for text in ("[", "\\", "@{")}, **_SLASHES,
        ".*": "'.' at the start", "*/.*": "'.' after '/'", "*.": "'.' at the end",
        "*.lock": "'.lock' at the end", "*.lock/*": "'.lock' before '/'", "@": "'@' alone",
    }),
    Kind.PATH: _forbidden({
        **_SLASHES, r"/[\s\S]*\x00[\s\S]*/": "a null character",
        **dict.fromkeys(("./*", "../*", "*/./*", "*/../*"), "'.' or '..' as a folder"),
        **dict.fromkeys((".", "..", "*/.", "*/.."), "'.' or '..' as a file"),
    }),
    Kind.NAME: {},
}
# fmt: on
_FORBIDDEN: Final = {kind: tuple(patterns) for kind, patterns in FORBIDDEN.items()}


def overlap(a: Sequence[Pattern], b: Sequence[Pattern]) -> str | None:
    """Return a legal name that a pattern of `a` and a pattern of `b` both match.

    A name is a proof. None claims nothing: the search may have been cut short. All patterns are of one kind.
    """
    WORK.left -= len(a) * len(b) // 8
    return None if WORK.is_done else _overlap(tuple(a), tuple(b))


@lru_cache(maxsize=_REMEMBERED)
def _overlap(a: tuple[Pattern, ...], b: tuple[Pattern, ...]) -> str | None:
    # what both begin with may leave no room for a common name; plain names are all beginning
    pairs = ((_beginning(one), _beginning(other)) for one in a for other in b)
    if not any(one.startswith(other) or other.startswith(one) for one, other in pairs):
        return None
    return find_name((a, b), (_FORBIDDEN[a[0].kind],)) or None


@lru_cache(maxsize=_REMEMBERED)
def _beginning(pattern: Pattern) -> str:
    return beginning(pattern.node)[0]


def witness(pattern: Pattern, unlike: Sequence[Pattern]) -> str | None:
    """Return a legal name that the pattern matches and none of `unlike` does; None where none was found."""
    return find_name(((pattern,),), ((*unlike, *_FORBIDDEN[pattern.kind]),)) or None


def covers(covering: Sequence[Pattern], covered: Pattern) -> bool:
    """Prove that each legal name that `covered` matches is matched by one of `covering` as well.

    False claims nothing: there may be such a name, or the search was cut short. All patterns are of one kind.
    """
    return not WORK.is_done and _covers(tuple(covering), covered)


@lru_cache(maxsize=_REMEMBERED)
def _covers(covering: tuple[Pattern, ...], covered: Pattern) -> bool:
    if covered.node in (pattern.node for pattern in covering):
        return True  # plain to see, while a proof may be long
    text = covered.example
    is_forbidden = text == "" or automaton_of(_FORBIDDEN[covered.kind]).run(text).labels
    if not is_forbidden and not any(each.matches(text) for each in covering):
        return False  # here is a name that is not covered
    return find_name(((covered,),), (covering, _FORBIDDEN[covered.kind])) == ""


def why_no_ref(pattern: Pattern, noun: str) -> Problem | None:
    """Explain why git allows no name that the pattern matches; None if there is one or nothing was proved.

    `noun` is what the pattern is for: branch or tag.
    """
    if not covers((), pattern):
        return None
    reasons = (words for each, words in FORBIDDEN[Kind.REF].items() if find_name(((pattern,),), ((each,),)) == "")
    name = pattern.only_match
    claim = f"match {shown(pattern.text)}" if name is None else f"be called {shown(name)}"
    message = f"no {noun} can {claim} (git does not allow {next(reasons, 'any such name')})"
    return Problem("E207", message, "", 0, len(pattern.text))


def find_name(
    all_of: Sequence[tuple[Pattern, ...]], none_of: Sequence[tuple[Pattern, ...]], limit: int = _SEARCH_LIMIT
) -> str | None:
    """Search for a short and friendly text that each of `all_of` matches and none of `none_of`.

    The empty text, which is no name, is the proof that there is none; None says that the search was cut short. A tuple
    of patterns matches what one of them matches. The search goes breadth-first through the product of their automata;
    `limit` bounds its work, in members of states looked at, and so does what is left for the whole file.
    """
    automata = [automaton_of(patterns) for patterns in (*all_of, *none_of)]
    WORK.left -= _PER_SEARCH * len(automata)
    enough = max(WORK.left - limit, 0)
    wanted = len(all_of)
    # all that begins with a text which `x*` matches is matched as well
    hopeless = [frozenset(at for at, pattern in enumerate(patterns) if _ends_open(pattern)) for patterns in none_of]
    steps = [
        (character, price, [automaton.alphabet[ord(character)] for automaton in automata])
        for character, price in _characters(automata)
    ]
    queue = [(0, 0, "", [automaton.start for automaton in automata])]
    seen = set()
    pushed = 0
    while queue:
        cost, _, text, states = heappop(queue)
        key = tuple(state.members for state in states)
        if key in seen:
            continue
        if text:  # the same states after some characters are an answer, while the empty text is none
            seen.add(key)
            is_refused = any(state.labels for state in states[wanted:])
            if not is_refused and all(state.labels for state in states[:wanted]):
                return text
        if WORK.left <= enough:
            return None
        for character, price, symbols in steps:
            following: list[State] = []
            for automaton, state, symbol in zip(automata, states, symbols, strict=True):
                after = state.moves.get(symbol) or automaton.move(state, symbol)
                is_wanted = len(following) < wanted
                WORK.left -= len(after.members)
                if after.is_dead if is_wanted else after.labels & hopeless[len(following) - wanted]:
                    break
                following.append(after)
            else:
                pushed += 1  # equals leave in the order they came: the friendlier character first
                heappush(queue, (cost + price, pushed, text + character, following))
    return ""


def _ends_open(pattern: Pattern) -> bool:
    node = pattern.node
    return (node.parts[-1] if isinstance(node, Concat) else node) == ANYTHING


def _characters(automata: Iterable[Automaton]) -> Iterator[tuple[str, int]]:
    """Give a character, and its price, for each set of characters that no automaton tells apart; friendliest first."""
    alphabets = [automaton.alphabet for automaton in automata]
    starts = {chr(start) for alphabet in alphabets for start in alphabet.starts}
    candidates = (*_FRIENDLY, *map(chr, _PRINTABLE), *sorted(starts, key=lambda c: (not c.isprintable(), c)))
    seen: set[tuple[str, ...]] = set()
    for character in candidates:
        classes = tuple(alphabet[ord(character)] for alphabet in alphabets)
        if classes not in seen:
            seen.add(classes)
            yield character, 1 if character in _FRIENDLY else _OTHER_PRICE
