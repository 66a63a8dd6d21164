"""What a rule's trigger would start: the refs that the rule is tried with, what it sends there, and what runs then."""

import re
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from deploystep.core.build import Branch, Tag
from deploystep.core.facts import Answer
from deploystep.core.frozen import dataclass
from deploystep.core.parameters import Scalar, Template
from deploystep.core.patterns import Pattern, is_legal_ref
from deploystep.core.patterns.proofs import overlap, witness
from deploystep.core.rules import Alternative, Deploy, FlagIs, NameIs, Rule, RuleSet
from deploystep.project.conditions import Unknown, Value, regex_of
from deploystep.project.config import Config, WorkflowRuns
from deploystep.project.reading import all_texts, under

_MOST_REFS: Final = 6  # that are tried for one pattern
_MOST_TEXTS: Final = 200
Ref: TypeAlias = Branch | Tag
Refs: TypeAlias = tuple[Ref, ...]  #: for which a rule is by one of its patterns


def refs_of(rule: Rule, rules: RuleSet, config: Config | None) -> Iterator[tuple[Alternative, Refs]]:
    """For each pattern of the rule its alternative, and names that it matches: one of its own, some of the config's."""
    guards = [a for guard in rules.never for a in guard.when.alternatives]
    stops = [
        a.matchers[0] for a in (*(rule.unless.alternatives if rule.unless else ()), *guards) if len(a.matchers) == 1
    ]
    texts = _ref_texts(config) if config is not None else []
    for alternative in rule.when.alternatives:
        if any(isinstance(m, FlagIs) and m.word == "fork" and m.wanted for m in alternative.matchers):
            continue
        for matcher in (m for m in alternative.matchers if isinstance(m, NameIs) and m.word in ("branch", "tag")):
            same = [m for m in stops if isinstance(m, NameIs) and m.word == matcher.word]
            unlike = [pattern.value for m in same for pattern in m.patterns]
            for names in (_names(pattern.value, unlike, texts) for pattern in matcher.patterns):
                if names:
                    yield alternative, tuple(Branch(n) if matcher.word == "branch" else Tag(n) for n in names)


def _names(pattern: Pattern, unlike: list[Pattern], texts: list[str]) -> list[str]:
    only = pattern.only_match
    found = [only if only is not None else witness(pattern, unlike) or ""]
    for text in texts if only is None else ():
        regex = regex_of(text)
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
    return {p.key.value: value_at(p.value.value, ref) for p in deploy.parameters}


def value_at(value: Scalar | Template, ref: Ref | None) -> Value:
    """A value with the name of the ref filled in, if one is given; one that only the build tells is never empty."""
    if not isinstance(value, Template):
        return value
    known = {"CIRCLE_BRANCH": isinstance(ref, Branch), "CIRCLE_TAG": isinstance(ref, Tag)}
    if any(not known.get(reference.name) for reference in value.references):
        return Unknown.SOMETHING
    return "".join(part if isinstance(part, str) else ref.name if ref else "" for part in value.parts)


@dataclass(frozen=True, slots=True)
class WouldRun:
    """What a trigger would start: in words, and each workflow that runs or may, with its jobs."""

    text: str
    workflows: tuple[WorkflowRuns, ...] = ()


def would_run(config: Config, ref: Ref, parameters: Mapping[str, Value]) -> WouldRun:
    """What a trigger with these parameters would start."""
    if config.setup:
        return WouldRun(f"not known: {config.path}:{config.setup}: a setup config is continued by another one")
    for name in parameters.keys() - config.parameters.keys():
        return WouldRun(f"nothing: {config.path} does not declare parameter '{name}'")
    all_runs = config.runs(config.trigger(ref, parameters))
    running = tuple(w for w in all_runs if w.runs.answer is not Answer.NO)
    if running:
        return WouldRun("; ".join(map(_told, running)), running)
    reasons = [f"{w.workflow.name} ({config.path}:{w.runs.line}: {w.runs.why})" for w in all_runs]
    return WouldRun(f"nothing: {'; '.join(reasons) or 'there is no workflow'}")


def _told(w: WorkflowRuns) -> str:
    """A workflow and its jobs; "perhaps" is said of a job only where it is not said of all of them."""
    perhaps, maybe = ("", "perhaps ") if w.runs.answer is Answer.YES else ("perhaps ", "")
    words = {Answer.YES: "", Answer.UNKNOWN: maybe}
    jobs = [f"{words[runs.answer]}{job.alias}" for job, runs in w.jobs if runs.answer in words]
    return f"{perhaps}workflow {w.workflow.name}: {', '.join(jobs)}"
