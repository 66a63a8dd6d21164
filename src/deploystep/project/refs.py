"""The refs of a rule: names that its patterns match, and what it sends for each."""

import re
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from deploystep.core.build import Branch, Tag
from deploystep.core.parameters import Scalar, Template
from deploystep.core.patterns import Pattern, is_legal_ref
from deploystep.core.patterns.proofs import overlap, witness
from deploystep.core.rules import Alternative, Deploy, FlagIs, NameIs, Rule, RuleSet
from deploystep.project.conditions import Unknown, Value, pattern_of
from deploystep.project.config import Config
from deploystep.project.reading import all_texts, under

_MOST_REFS: Final = 6  # that are tried for one pattern
_MOST_TEXTS: Final = 200
Ref: TypeAlias = Branch | Tag
Refs: TypeAlias = tuple[Ref, ...]  #: for which a rule is by one of its patterns


def refs_of(rule: Rule, rules: RuleSet, config: Config | None) -> Iterator[tuple[Alternative, Refs]]:
    """For each pattern of the rule its alternative, and names that it matches: one of its own, some of the config's."""
    guards = [a for guard in rules.never for a in guard.when.alternatives]
    stops = [a for a in (*(rule.unless.alternatives if rule.unless else ()), *guards) if len(a.matchers) == 1]
    for alternative in rule.when.alternatives:
        if any(isinstance(m, FlagIs) and m.word == "fork" and m.wanted for m in alternative.matchers):
            continue
        for matcher in (m for m in alternative.matchers if isinstance(m, NameIs) and m.word in ("branch", "tag")):
            same = [m for a in stops for m in a.matchers if isinstance(m, NameIs) and m.word == matcher.word]
            unlike = [pattern.value for m in same for pattern in m.patterns]
            for pattern in matcher.patterns:
                names = _names(pattern.value, unlike, config)
                if names:
                    yield alternative, tuple(Branch(n) if matcher.word == "branch" else Tag(n) for n in names)


def _names(pattern: Pattern, unlike: list[Pattern], config: Config | None) -> list[str]:
    only = pattern.only_match
    found = [only] if only is not None else [name for name in (witness(pattern, unlike),) if name]
    for text in _ref_texts(config) if config is not None and only is None else ():
        regex = pattern_of(text) if len(text) > 1 and text[0] == text[-1] == "/" else None
        found.append((overlap([pattern], [regex]) or "") if regex else text)
    legal = [name for name in dict.fromkeys(found) if is_legal_ref(name) and pattern.matches(name)]
    return [name for name in legal if not any(stop.matches(name) for stop in unlike)][:_MOST_REFS]


def _ref_texts(config: Config) -> list[str]:
    """What the gates and filters compare with, which may be names of branches or tags, or regexes for them."""
    found: list[str] = []
    for w in config.workflows:
        quoted = [pair for text in all_texts(w.fields) for pair in re.findall(r'"([^"\\]+)"|(/.+/)', text)]
        found += [name for pair in quoted for name in pair if name]
        found += [str(text) for word in ("only", "ignore", "equal") for text in under(w.fields, word)]
        found += [f"/{text}/" for text in under(w.fields, "pattern")]
    return list(dict.fromkeys(found))[:_MOST_TEXTS]


def sent(deploy: Deploy, ref: Ref) -> Mapping[str, Value]:
    """What a deploy's parameters will be at a ref, as far as that is known."""
    return {p.key.value: _sent(p.value.value, ref) for p in deploy.parameters}


def _sent(value: Scalar | Template, ref: Ref) -> Value:
    """A value with the name of the ref filled in; one that only the build tells is never empty."""
    if not isinstance(value, Template):
        return value
    known = {"CIRCLE_BRANCH": isinstance(ref, Branch), "CIRCLE_TAG": isinstance(ref, Tag)}
    if any(not known.get(reference.name) for reference in value.references):
        return Unknown.SOMETHING
    return "".join(part if isinstance(part, str) else ref.name for part in value.parts)
