"""Which names can exist at all, so that what is proved about patterns is about names that a build can have.

For branches and tags these are the rules of `git check-ref-format` with one level allowed; for changed paths, what git
can have in a tree; for users and values of the environment, that there is one at all.
"""

from __future__ import annotations

from enum import Enum, auto

from deploystep.core.frozen import dataclass
from deploystep.core.pattern_nodes import ANYTHING, EMPTY, SLASH, Chars, Choice, Node, concat, literal
from deploystep.core.pattern_syntax import Kind


class _Place(Enum):
    """Where in a name the forbidden text may not stand."""

    START = auto()
    ANYWHERE = auto()
    END = auto()
    WHOLE = auto()


@dataclass(frozen=True, slots=True)
class Law:
    """One thing that a name cannot be or contain, and the words for it."""

    forbidden: Node
    place: _Place
    words: str

    @property
    def is_final(self) -> bool:
        """Tell whether no more characters can mend a name that breaks this law."""
        return self.place in (_Place.START, _Place.ANYWHERE)

    @property
    def broken_by(self) -> Node:
        """Match each name that breaks the law, up to and including the character that breaks it."""
        anywhere = self.place in (_Place.ANYWHERE, _Place.END)
        return concat((ANYTHING, self.forbidden)) if anywhere else self.forbidden


def _without(text: str) -> Law:
    return Law(literal(text), _Place.ANYWHERE, f"'{text}'")


_CONTROL = Chars.of([(0, 0x1F), (0x7F, 0x7F)])
_DOT = Chars.one(".")
_LOCK = literal(".lock")
_AFTER_SLASH = (SLASH, _DOT)

_NOT_EMPTY = Law(EMPTY, _Place.WHOLE, "an empty name")
_NO_SLASH_AT_ENDS = (
    Law(SLASH, _Place.START, "'/' at the start"),
    Law(SLASH, _Place.END, "'/' at the end"),
    _without("//"),
)

_REF_LAWS = (
    _without(".."),
    Law(Chars.one(" "), _Place.ANYWHERE, "spaces"),
    Law(_CONTROL, _Place.ANYWHERE, "control characters"),
    *(_without(character) for character in "~^:?*[\\"),
    _without("@{"),
    *_NO_SLASH_AT_ENDS,
    Law(_DOT, _Place.START, "'.' at the start"),
    Law(concat(_AFTER_SLASH), _Place.ANYWHERE, "'.' after '/'"),
    Law(_DOT, _Place.END, "'.' at the end"),
    Law(_LOCK, _Place.END, "'.lock' at the end"),
    Law(concat((_LOCK, SLASH)), _Place.ANYWHERE, "'.lock' before '/'"),
    Law(literal("@"), _Place.WHOLE, "'@' alone"),
    _NOT_EMPTY,
)
_DOTS = Choice((_DOT, literal("..")))
_PATH_LAWS = (
    *_NO_SLASH_AT_ENDS,
    Law(Chars.one("\0"), _Place.ANYWHERE, "a null character"),
    Law(concat((_DOTS, SLASH)), _Place.START, "'.' or '..' as a folder"),
    Law(concat((SLASH, _DOTS, SLASH)), _Place.ANYWHERE, "'.' or '..' as a folder"),
    Law(concat((SLASH, _DOTS)), _Place.END, "'.' or '..' as a file"),
    Law(_DOTS, _Place.WHOLE, "'.' or '..' as a file"),
    _NOT_EMPTY,
)


def laws(kind: Kind) -> tuple[Law, ...]:
    """List what forbids a name of this kind."""
    if kind is Kind.REF:
        return _REF_LAWS
    return _PATH_LAWS if kind is Kind.PATH else (_NOT_EMPTY,)


@dataclass(frozen=True, slots=True)
class Illegal:
    """All laws of one kind as two trees: what spoils every longer name too, and what only spoils this one."""

    hopeless: Node
    unfinished: Node


def illegal(kind: Kind) -> Illegal:
    """Join the laws of a kind, so that an automaton walks `anything before it` once and not once for each law."""
    return Illegal(hopeless=_joined(kind, final=True), unfinished=_joined(kind, final=False))


def _joined(kind: Kind, *, final: bool) -> Node:
    chosen = [law for law in laws(kind) if law.is_final is final]
    floating = tuple(law.forbidden for law in chosen if law.place in (_Place.ANYWHERE, _Place.END))
    fixed = tuple(law.forbidden for law in chosen if law.place in (_Place.START, _Place.WHOLE))
    return Choice((*((concat((ANYTHING, Choice(floating))),) if floating else ()), *fixed))
