"""What can be proved about whole patterns; a search that was cut short claims nothing."""

from collections import deque
from collections.abc import Sequence
from sys import maxunicode
from typing import Final, TypeAlias

from deploystep.core.patterns import ANYTHING, parse
from deploystep.core.patterns.automaton import WORK, Kind, Pattern, PatternSet, Rows, automaton_of
from deploystep.core.source import Problem, shown

_Sets: TypeAlias = tuple[tuple[Pattern, ...], ...]
_FOUND: Final[dict[tuple[_Sets, _Sets], str]] = {}  # the rules of a file repeat what they say
_FRIENDLY: Final = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_./"  # as a witness prefers them

#: What no branch or tag can be called, as patterns, and what is wrong with it: the rules of `git check-ref-format` with
#: one level allowed. No name of any kind is empty.
_ILLEGAL: Final = {
    "*..*": "'..'", "* *": "spaces", r"/[\s\S]*[\x00-\x1f\x7f][\s\S]*/": "control characters",
    **{f"*{text}*": f"'{text}'" for text in ("~", "^", ":", "?", "[", "\\", "@{")}, r"/[\s\S]*\*[\s\S]*/": "'*'",
    "/*": "'/' at the start", "*/": "'/' at the end", "*//*": "'//'", ".*": "'.' at the start", "*/.*": "'.' after '/'",
    "*.": "'.' at the end", "*.lock": "'.lock' at the end", "*.lock/*": "'.lock' before '/'", "@": "'@' alone",
}  # fmt: skip
FORBIDDEN: Final = {
    kind: {parse(t, Kind.NAME): words for t, words in _ILLEGAL.items() if kind is Kind.REF} for kind in Kind
}


def overlap(a: Sequence[Pattern], b: Sequence[Pattern]) -> str | None:
    """Return a legal name that a pattern of `a` and one of `b`, all of one kind, both match; None claims nothing."""
    WORK.left -= len(a) * len(b) // 8
    # what both begin with may leave no room for a common name; plain names are all beginning
    mine, yours = (tuple(text[:sure] for text, sure in map(Pattern.sample, patterns)) for patterns in (a, b))
    if not any(one.startswith(yours) or any(other.startswith(one) for other in yours) for one in mine):
        return None
    return find_name((tuple(a), tuple(b)), (tuple(FORBIDDEN[a[0].kind]),)) or None


def witness(pattern: Pattern, unlike: Sequence[Pattern]) -> str | None:
    """Return a legal name that the pattern matches and none of `unlike` does; None where none was found."""
    return find_name(((pattern,),), ((*unlike, *FORBIDDEN[pattern.kind]),)) or None


def covers(covering: Sequence[Pattern], covered: Pattern) -> bool:
    """Prove that one of `covering`, all of its kind, matches each legal name that `covered` does; False: nothing."""
    if covered.node in (pattern.node for pattern in covering):
        return True  # plain to see, while a proof may be long
    text, forbidden = covered.example, tuple(FORBIDDEN[covered.kind])
    if text and not any(each.matches(text) for each in covering) and not automaton_of(forbidden).run(text).labels:
        return False  # here is a name that is not covered
    return find_name(((covered,),), (tuple(covering), forbidden)) == ""


def why_no_ref(pattern: Pattern, noun: str) -> Problem | None:
    """Explain why git allows no branch or tag (`noun`) that the pattern matches; None where nothing was proved."""
    if not covers((), pattern):
        return None
    reasons = (words for each, words in FORBIDDEN[Kind.REF].items() if find_name(((pattern,),), ((each,),)) == "")
    claim = f"match {shown(pattern.text)}" if (name := pattern.only_match) is None else f"be called {shown(name)}"
    message = f"no {noun} can {claim} (git does not allow {next(reasons, 'any such name')})"
    return Problem("E207", message, "", 0, len(pattern.text))


def find_name(all_of: _Sets, none_of: _Sets, limit: int = 200_000) -> str | None:
    """Search for a short and friendly text that each of `all_of` matches and none of `none_of`.

    The empty text, which is no name, is the proof that there is none; None: cut short, by what is left for the file or
    by `limit`: some tenths of a second, of which people's patterns take a hundredth. A tuple of patterns matches what
    one of them does. The product of the automata is searched breadth-first.
    """
    if WORK.left <= 0 or (all_of, none_of) in _FOUND:
        return _FOUND.get((all_of, none_of))
    automata = [automaton_of(patterns) for patterns in (*all_of, *none_of)]
    WORK.left -= 200 * len(automata)  # what it costs to begin
    enough = max(WORK.left - limit, 0)
    wanted = len(all_of)
    # all that begins with a text which `x*` matches is matched as well
    rows = [[pattern.node.rows if isinstance(pattern.node, Rows) else () for pattern in each] for each in none_of]
    hopeless = [frozenset(at for at, r in enumerate(each) if len(r) == 1 and r[0][-1:] == (ANYTHING,)) for each in rows]
    steps = _steps(automata)
    queue = deque([("", [automaton.start for automaton in automata])])
    seen = set()
    while queue:
        text, states = queue.popleft()
        key = tuple(state.members for state in states)
        if key in seen:
            continue
        if text:  # the same states after some characters are an answer, while the empty text is none
            seen.add(key)
            is_refused = any(state.labels for state in states[wanted:])
            if not is_refused and all(state.labels for state in states[:wanted]):
                return _FOUND.setdefault((all_of, none_of), text)
        if WORK.left <= enough:
            return None
        for symbols, character in steps.items():
            following = states[:0]
            for automaton, state, symbol in zip(automata, states, symbols, strict=True):
                after = state.moves.get(symbol) or automaton.move(state, symbol)
                is_wanted = len(following) < wanted
                WORK.left -= len(after.members)
                if not after.members if is_wanted else after.labels & hopeless[len(following) - wanted]:
                    break
                following.append(after)
            else:
                queue.append((text + character, following))
    return _FOUND.setdefault((all_of, none_of), "")


def _steps(automata: Sequence[PatternSet]) -> dict[tuple[str, ...], str]:
    """Give, for each set of characters that no automaton tells apart, its symbols and its friendliest character."""
    ranges = {edge for automaton in automata for chars in automaton.alphabet.sets for edge in chars.ranges}
    edges = {0, *(code for low, high in ranges for code in (low, high + 1))} - {maxunicode + 1}
    others = sorted(map(chr, edges), key=lambda c: (not c.isprintable(), c))
    steps: dict[tuple[str, ...], str] = {}
    for character in (*_FRIENDLY, *map(chr, range(ord("!"), ord("~"))), *others):
        steps.setdefault(tuple(automaton.alphabet[ord(character)] for automaton in automata), character)
    return steps
