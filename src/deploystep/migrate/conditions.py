"""Conditions of a script as conditions of a rule, where both certainly hold for the same builds; else Uncertain.

A build has CIRCLE_BRANCH or CIRCLE_TAG, never both (CircleCI docs, "Built-in environment variables"), and no name of a
ref holds blanks or a character that a shell would expand (`git check-ref-format`). Source of what a test does with
words that are missing: Bash Reference Manual, "Bash Conditional Expressions" and `test`.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import combinations, product
from typing import Final, NamedTuple, TypeAlias

from deploystep.core.frozen import dataclass
from deploystep.core.parameters import SECRET_VARIABLES
from deploystep.core.patterns import Kind, Pattern, PatternError, is_legal_ref, parse
from deploystep.core.patterns.proofs import FORBIDDEN, covers, find_name
from deploystep.migrate.shell import TAG, Case, Group, Item, List, Node, Simple, Test

_REFS: Final = {"CIRCLE_BRANCH": "branch", "CIRCLE_TAG": "tag", "branch": "CIRCLE_BRANCH", "tag": "CIRCLE_TAG"}
_OTHER: Final = {"branch": "tag", "tag": "branch"}
_REFERENCE: Final = re.compile(r'("?)\$(?:(\w+)|\{(\w+)(?::?-)?\})\1')
_GIT: Final = re.compile(r"\"<<\s*pipeline\.git\.(branch|tag)\s*>>\"")
#: What bash gives a value of its own, exported or not (Bash Reference Manual, "Shell Variables").
OF_BASH: Final = re.compile(
    r"_|E?UID|(?:OS|HOST|MACH)TYPE|HOSTNAME|SHELL|SHLVL|PPID|S?RANDOM|SECONDS|LINENO|(?:OLD)?PWD|IFS|OPT(?:IND|ARG|ERR)|"
    r"GROUPS|DIRSTACK|FUNCNAME|PIPESTATUS|REPLY|MAPFILE|HIST\w*|EPOCH\w*|COMP_\w*|COPROC|COLUMNS|LINES|PS\d|PATH|TERM|"
    r"BASH\w*|SHELLOPTS|GLOBIGNORE|POSIXLY_CORRECT|LC_\w*|LANG"
)
_CLASSES: Final = {"digit": "0-9", "alpha": "A-Za-z", "alnum": "A-Za-z0-9", "lower": "a-z", "upper": "A-Z"}
_SPECIAL: Final = re.compile(r"([\\.+*?()\[\]{}|^$/])")
_MOST: Final = 64  # ways in which a condition may hold


class Uncertain(Exception):
    """A condition whose meaning as a rule is not certain."""


class Holds(NamedTuple):
    """A matcher: `word` is branch, tag or the name of a variable, `pattern` is written as in a rule file."""

    word: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Not:
    """The contrary."""

    part: "Condition"


@dataclass(frozen=True, slots=True)
class Any:
    """One of these holds; of none, nothing does."""

    parts: tuple["Condition", ...]


Condition: TypeAlias = Holds | Not | Any
NEVER: Final = Any(())
ALWAYS: Final = Not(NEVER)
#: `gate` runs on node 0 alone.
_ON_FIRST_NODE: Final[Mapping[str, Condition]] = {"=": ALWAYS, "==": ALWAYS, "-eq": ALWAYS, "!=": NEVER, "-ne": NEVER}


def every(*parts: Condition) -> Condition:
    """All of these hold."""
    return Not(Any(tuple(Not(part) for part in parts)))


class Scope:
    """What a script makes of variables: `aliases` of others, those that it sets, and those taken to be `present`."""

    def __init__(self, aliases: Mapping[str, str], changed: frozenset[str], present: frozenset[str]) -> None:
        self.aliases = aliases
        self.changed = changed
        self.present = present

    # --- commands

    def of(self, commands: List) -> Condition:
        """When a list of tests succeeds."""
        found: Condition | None = None
        for item in commands.items:
            if item.operator == "|" or (found is not None and item.operator == ";"):
                raise Uncertain
            found = self.item(item) if found is None else both(item.operator, found, self.item(item))
        if found is None:
            raise Uncertain
        return found

    def item(self, item: Item) -> Condition:
        """When one test succeeds."""
        if item.has_more:
            raise Uncertain
        found = self._node(item.node)
        return Not(found) if item.is_negated else found

    def _node(self, node: Node) -> Condition:
        if isinstance(node, Group) and not node.name:
            return self.of(node.body)
        if isinstance(node, Test) and node.kind == "[[":
            tokens = _TOKEN.findall(node.inner)
            if "".join(tokens) != re.sub(r"\s+", "", node.inner) and not re.search("[\"']", node.inner):
                raise Uncertain
            return self._joined(tokens, is_double=True)
        if not isinstance(node, Simple) or node.assignments or node.redirections or node.heredocs:
            raise Uncertain
        words = [word.raw for word in node.words]
        if words in (["true"], [":"], ["false"]):
            return NEVER if words == ["false"] else ALWAYS
        if words[0] == "test" or (words[0] == "[" and words[-1] == "]"):
            return self._test(words[1:] if words[0] == "test" else words[1:-1])
        raise Uncertain

    def _test(self, words: list[str]) -> Condition:
        operators = {"-o": "||", "-a": "&&"}
        tokens = [operators.get(word, word) for word in words]
        # a word that is missing would change what the others mean
        if any(word.startswith("$") for word in words) and (tokens != words or (words[0] == "!" and len(words) > 3)):  # noqa: PLR2004
            raise Uncertain
        return self._joined(tokens, is_double=False)

    def _joined(self, words: list[str], *, is_double: bool) -> Condition:
        """Tests that `||`, `&&` and `!` join, the first of these the most loosely; brackets hold others together."""
        depth = 0
        for operator in ("||", "&&"):
            for at, word in enumerate(words):
                depth += (word == "(") - (word == ")")
                if word == operator and not depth:
                    parts = (self._joined(each, is_double=is_double) for each in (words[:at], words[at + 1 :]))
                    return both(operator, *parts)
        if words[:1] == ["!"]:
            return Not(self._joined(words[1:], is_double=is_double))
        if words[:1] == ["("] and words[-1] == ")":
            return self._joined(words[1:-1], is_double=is_double)
        return self.compared(words, is_double=is_double)

    def compared(self, words: list[str], *, is_double: bool) -> Condition:
        """One comparison. In `[ … ]`, an unquoted variable without a value is a word that is missing."""
        if len(words) == 1 and re.fullmatch(r"[\w.-]+", words[0]):
            return ALWAYS
        if len(words) == 1 or (len(words) == 2 and words[0] == "-n"):  # noqa: PLR2004 - an operator and its word
            self._one_word(*([] if is_double else words[-1:]))
            is_missing = len(words) > 1 and not is_double and words[1].startswith("$")  # then `-n` is the word
            return ALWAYS if is_missing else Not(self._blank(words[-1]))
        if len(words) == 2 and words[0] == "-z":  # noqa: PLR2004 - as above
            self._one_word(*([] if is_double else words[-1:]))
            return self._blank(words[1])
        if len(words) != 3:  # noqa: PLR2004 - two words and an operator between them
            raise Uncertain
        left, operator, right = words
        if self.name(left) is None and operator != "=~" and not is_double:
            left, right = right, left
        if not is_double:
            self._one_word(left)
        if self.name(left) == "CIRCLE_NODE_INDEX" and right.strip("\"'") == "0" and operator in _ON_FIRST_NODE:
            return _ON_FIRST_NODE[operator]
        if operator == "=~" and is_double:
            return self._holds(left, _from_ere(right))
        if operator not in ("=", "==", "!="):
            raise Uncertain
        return self._equal(left, right, is_negated=operator == "!=", is_double=is_double)

    def _equal(self, left: str, right: str, *, is_negated: bool, is_double: bool) -> Condition:
        text = pattern_of(right, is_glob=is_double)
        is_missing = not is_double and left.startswith("$")
        never = NEVER if is_missing and not is_negated else self._blank(left)
        equal = self._holds(left, text) if text else never
        if not is_negated:
            return equal
        return every(Not(equal), Not(self._blank(left))) if is_missing else Not(equal)

    def name(self, raw: str) -> str | None:
        """The variable that a word is nothing but, or None. Raises Uncertain for one that the script sets."""
        found, git = _REFERENCE.fullmatch(raw), _GIT.fullmatch(raw)
        if git:
            return _REFS[git[1]]
        if found is None:
            return None
        name = found[2] or found[3]
        name = self.aliases.get(name, name)
        if (
            name in self.changed
            or name in SECRET_VARIABLES - self.present
            or not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name)
            or OF_BASH.fullmatch(name)
        ):
            raise Uncertain
        return name

    def _one_word(self, *raws: str) -> None:
        """Raise Uncertain for an unquoted variable whose value a shell may split into words."""
        if any(raw.startswith("$") and self.name(raw) not in _REFS for raw in raws):
            raise Uncertain

    def _blank(self, raw: str) -> Condition:
        name = self.name(raw)
        if name is None:
            raise Uncertain
        word = _REFS.get(name, name)
        if name in self.present:
            return NEVER
        return Holds(_OTHER[word], "**") if word in _OTHER else Not(Holds(word, "*"))

    def _holds(self, raw: str, pattern: str) -> Condition:
        name = self.name(raw)
        if name is None:
            raise Uncertain
        if re.fullmatch(r"/(?:\.\*)+/", pattern):
            return ALWAYS
        holds = Holds(_REFS.get(name, name), pattern)
        is_of_none = compiled(holds).matches("")
        return Any((holds, self._blank(raw))) if is_of_none else holds

    def _arm(self, word: str, text: str) -> Condition:
        if self.name(word) is None:
            raise Uncertain
        return self._holds(word, text) if text else self._blank(word)

    def arms(self, case: Case) -> list[Condition]:
        """When each arm of a `case` is taken."""
        before: list[Condition] = []
        arms = []
        for patterns, _ in case.arms:
            own = Any(tuple(self._arm(case.word.raw, pattern_of(raw, is_glob=True)) for raw in patterns))
            arms.append(every(own, *(Not(each) for each in before)))
            before.append(own)
        if case.falls:
            raise Uncertain
        return arms


def both(operator: str, first: Condition, second: Condition) -> Condition:
    """Two conditions joined by `&&` or `||`."""
    return every(first, second) if operator == "&&" else Any((first, second))


_QUOTED: Final = r"\"(?:[^\"\\]|\\.)*\"|'[^']*'"
_TOKEN: Final = re.compile(
    rf"(?<==~ )\S+|{TAG.pattern}|&&|\|\||(?<![@\w])[()]|(?:{_QUOTED}|\\.|\$\{{[^}}]*\}}|@\([^()]*\)|[^\s()&|])+|[()]"
)


def pattern_of(raw: str, *, is_glob: bool) -> str:
    """A word as a pattern of a rule file: as it is, or where it has wildcards of a shell, a `/regex/`."""
    regex, text, is_plain, at = "", "", True, 0
    for part in re.finditer(rf"{_QUOTED}|\\.|@\([\w./|-]*\)|\[!?[\w.-]+\]|(?s:.)", raw):
        piece, at = part[0], part.end()
        if piece[0] in "\"'" and len(piece) > 1:
            if piece[0] == '"' and re.search(r"[$`\\]", piece):
                raise Uncertain
            piece = piece[1:-1]
            regex, text = regex + _SPECIAL.sub(r"\\\1", piece), text + piece
        elif piece[0] == "\\" and len(piece) > 1:
            regex, text = regex + _SPECIAL.sub(r"\\\1", piece[1]), text + piece[1]
        elif piece in "*?" or piece[0] == "[" or piece[:2] == "@(":
            is_plain = False
            regex += {"*": ".*", "?": "."}.get(piece) or _SPECIAL_IN_GROUP.sub(
                r"\\\1", piece.replace("[!", "[^").lstrip("@")
            )
        elif piece in "$`\"'(){}<>|&;~" or (piece == "<"):
            raise Uncertain
        else:
            regex, text = regex + _SPECIAL.sub(r"\\\1", piece), text + piece
    if at != len(raw) or (not is_plain and not is_glob):
        raise Uncertain
    has_meaning = re.search(r"[*?!\[\]{}]|^/.*/$", text) is not None  # of its own in a rule file
    return text if is_plain and not has_meaning else f"/{regex}/"


_SPECIAL_IN_GROUP: Final = re.compile(r"([./])")


#: What an extended regular expression and one of a rule file may read differently.
_OF_ERE: Final = re.compile(
    r"(?<!\\)(?:[+*?}][+*?{]|(?:[|(]|\A)\^?[+*?{]|\[\^?\]|\[[^\]]*[\[\\]|\{(?!\d+(?:,\d*)?\}))|[\[:](?:\.|=)"
)


def _from_ere(raw: str) -> str:
    """An extended regular expression, which is searched for, as one that matches the whole name."""
    text = re.sub(r"\[:(\w+):\]", lambda found: _CLASSES.get(found[1], "\0"), raw)
    if re.search(r"\0|[\"'`<>&;]|\$[\w{(]|\\\w", text) or _OF_ERE.search(text):
        raise Uncertain
    parts, depth = [""], 0
    for piece in re.findall(r"\\.|\[\^?\]?[^\]]*\]|(?s:.)", text):
        depth += (piece == "(") - (piece == ")")
        if piece == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += "\\/" if piece == "/" else piece
    whole = []
    for part in parts:
        begins, ends = part.startswith("^"), part.endswith("$") and not part.endswith("\\$")
        core = part[begins : len(part) - ends]
        if re.search(r"(?<![\\\[])[$^]", core):
            raise Uncertain
        whole.append(f"{'' if begins else '.*'}{core}{'' if ends else '.*'}")
    return f"/{'|'.join(whole)}/"


def compiled(holds: Holds) -> Pattern:
    """The pattern. Raises Uncertain where a rule file would not take it, or where no ref can have such a name."""
    is_ref, text = holds.word in _OTHER, holds.pattern
    is_regex = len(text) > 1 and text[0] == text[-1] == "/"
    try:
        found = parse(text, Kind.REF if is_ref else Kind.NAME)
    except PatternError:
        raise Uncertain from None
    if is_ref and not _meet(found, parse("**", Kind.REF)):
        raise Uncertain
    if is_ref and not is_regex and text != "**" and (not is_legal_ref(text) or re.search(r"[]{}!]|^refs/", text)):
        raise Uncertain
    if not is_ref and not is_regex and text != "*" and "*" in text:
        raise Uncertain
    return found


# --- as a rule


class When(NamedTuple):
    """`when:` and `unless:` of a rule: alternatives, each with its matchers in order, and matchers that stop it."""

    alternatives: tuple[tuple[Holds, ...], ...]
    stops: tuple[Holds, ...]


_Way: TypeAlias = frozenset[tuple[Holds, bool]]


def when(condition: Condition) -> When | None:
    """The condition as a rule says it; None where it never holds. Raises Uncertain where no rule says it so."""
    ways = sorted({refined for way in _ways(condition, holds=True) for refined in _refined(way)}, key=sorted)
    for way in list(ways):
        if any(_covers(other, way) for other in ways if other != way):
            ways.remove(way)
    if not ways:
        return None
    stops = {matcher for way in ways for matcher, holds in way if not holds}
    for way, stop in product(ways, stops):
        if (stop, False) not in way and _can_meet(stop, [matcher for matcher, holds in way if holds]):
            raise Uncertain
    positive = dict.fromkeys(tuple(sorted(m for m, holds in way if holds)) for way in ways)
    return When(tuple(positive), tuple(sorted(stops)))


def _covers(way: _Way, other: _Way) -> bool:
    """Whether one way certainly holds wherever another does."""
    given = [matcher for matcher, holds in other if holds]
    return all((m, holds) in other or (_is_all(m, given) if holds else not _can_meet(m, given)) for m, holds in way)


def _ways(condition: Condition, *, holds: bool) -> set[_Way]:
    """The ways in which a condition holds, or does not: matchers that do and do not."""
    if isinstance(condition, Holds):
        return {frozenset({(condition, holds)})}
    if isinstance(condition, Not):
        return _ways(condition.part, holds=not holds)
    found: set[_Way] = set() if holds else {frozenset()}
    for part in condition.parts:
        ways = _ways(part, holds=holds)
        found = found | ways if holds else {mine | other for mine in found for other in ways}
        if len(found) > _MOST:
            raise Uncertain
    return found


def _refined(way: _Way) -> Iterable[_Way]:
    """The way once for a branch and once for a tag, as far as each can be; no two matchers say the same."""
    for word in ("branch", "tag"):
        other = _OTHER[word]
        positive = {matcher for matcher, holds in way if holds} | {Holds(word, "**")}
        negative = {matcher for matcher, holds in way if not holds and matcher.word != other}
        if any(matcher.word == other for matcher in positive) or Holds(word, "**") in negative:
            continue
        chosen = [_narrowest([m for m in positive if m.word == each]) for each in {m.word for m in positive}]
        if None in chosen:
            continue
        kept = [matcher for matcher in chosen if matcher]
        stops = [m for m in negative if _can_meet(m, kept)]
        if any(m in kept or _is_all(m, kept) for m in stops):
            continue
        yield frozenset({(m, True) for m in kept} | {(m, False) for m in stops})


def _narrowest(matchers: list[Holds]) -> Holds | None:
    """The one matcher that says what all of one word say; None where they exclude each other."""
    found = {matcher: compiled(matcher) for matcher in sorted(matchers)}
    for mine, pattern in found.items():
        if all(covers([other], pattern) for other in found.values()):
            return mine
    if not all(_meet(one, other) for one, other in combinations(found.values(), 2)):
        return None
    raise Uncertain


def _can_meet(stop: Holds, matchers: list[Holds]) -> bool:
    """Whether a matcher can hold for a build for which all of these do."""
    same = [m for m in matchers if m.word == stop.word]
    if not same:
        return stop.word not in _OTHER
    return all(_meet(compiled(stop), compiled(m)) for m in same)


def _meet(one: Pattern, other: Pattern) -> bool:
    """Whether a legal name matches both. Raises Uncertain where the search for one is cut short."""
    found = find_name(((one,), (other,)), (tuple(FORBIDDEN[one.kind]),))
    if found is None:
        raise Uncertain
    return found != ""


def _is_all(stop: Holds, matchers: list[Holds]) -> bool:
    """Whether a matcher certainly holds wherever all of these do."""
    return any(covers([compiled(stop)], compiled(m)) for m in matchers if m.word == stop.word)
