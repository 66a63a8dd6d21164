"""The rules that a migration adds, as text: a new rule file, or more lines in the one that there is."""

import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final, NamedTuple

from deploystep.core.source import SourceFile
from deploystep.migrate.conditions import Holds, When
from deploystep.migrate.edits import apply, before, scalar
from deploystep.migrate.requests import Bare
from deploystep.project.reading import ConfigUnreadable, Items, Map, at, map_of, read_yaml

_LONGEST_NAME: Final = 64
_KEY: Final = "${deploy.key}"
quoted: Final = partial(scalar, is_flow=True)


class Target(NamedTuple):
    """Another project that a rule sends to."""

    name: str
    project: str
    branch: str


class Trigger(NamedTuple):
    """What a rule sends; without a target, to this project."""

    target: Target | None
    workflow: str
    parameters: Mapping[str, str | bool]


class Rule(NamedTuple):
    """A rule to be added; without a trigger it is for `gate` alone. `notes` stand above it as comments."""

    name: str
    when: When
    trigger: Trigger | None
    notes: tuple[str, ...]


def slug(text: str, otherwise: str = "deploy") -> str:
    """A text as a name of a rule, a target or a parameter."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_LONGEST_NAME].strip("-") or otherwise


def called(holds: When) -> str:
    """What to call builds: the names of their refs, how a pattern begins, or branch or tag; all have no name."""
    refs = dict.fromkeys(m for alternative in holds.alternatives for m in alternative if m.word in ("branch", "tag"))
    some = [_called(*ref) for ref in refs if ref.pattern != "**"]
    return " ".join(dict.fromkeys(some[:2])) or (refs.popitem()[0].word if len(refs) == 1 else "")


def _called(word: str, pattern: str) -> str:
    if not re.search(r"^/.*/$|\*", pattern):
        return pattern
    found = re.match(r"[^\w\\[]*([A-Za-z-]{3,})", pattern)
    return found[1] if found else word


def _map(matchers: Iterable[Holds], *, is_item: bool = False) -> str:
    """Matchers that all hold, or several of one word of which one does; an item of a list needs no braces for one."""
    found: dict[str, list[str]] = {}
    for word, pattern in matchers:
        found.setdefault(word, []).append(f'"{pattern}"' if pattern in ("*", "**") else quoted(pattern))
    texts = {word: each[0] if len(each) == 1 else f"[{', '.join(each)}]" for word, each in found.items()}
    parts = [f"{word}: {texts.pop(word)}" for word in ("branch", "tag") if word in texts]
    parts += [f"env: {{{', '.join(f'{word}: {text}' for word, text in texts.items())}}}"] if texts else []
    return parts[0] if is_item and len(parts) == 1 else f"{{{', '.join(parts)}}}"


def condition(found: When) -> list[str]:
    """The lines `when:` and `unless:`."""
    lines = []
    for key, alternatives in (("when", found.alternatives), ("unless", tuple((stop,) for stop in found.stops))):
        is_of_one_word = len({a[0].word for a in alternatives}) == 1 and all(len(a) == 1 for a in alternatives)
        if is_of_one_word or len(alternatives) == 1:
            lines.append(f"{key}: {_map(matcher for alternative in alternatives for matcher in alternative)}")
        elif alternatives:
            lines += [f"{key}:", *(f"  - {_map(alternative, is_item=True)}" for alternative in alternatives)]
    return lines


def declared(name: str, value: object) -> str:
    """The line of a config that declares a parameter."""
    return f"{name}: {{type: boolean, default: false}}" if value is True else f'{name}: {{type: string, default: ""}}'


def gated(job: str) -> str:
    """The line of a config with a workflow for a job, behind a parameter."""
    return f"{job}: {{when: << pipeline.parameters.{slug(job)} >>, jobs: [{job}]}}"


def trigger(sent: Trigger) -> list[str]:
    """The lines `deploy:`."""
    lines = ["deploy:"]
    lines += [f"  to: {sent.target.name}"] if sent.target else []
    lines += [f"  workflow: {quoted(sent.workflow)}"] if sent.workflow else []
    values = {
        k: ("true" if v is True else v if v == _KEY or isinstance(v, Bare) else f'"{v}"')
        for k, v in sent.parameters.items()
    }
    return [*lines, *(["  parameters:"] if values else []), *(f"    {key}: {value}" for key, value in values.items())]


def _rule(rule: Rule, indent: str) -> list[str]:
    lines = [f"name: {rule.name}", *condition(rule.when), *(trigger(rule.trigger) if rule.trigger else [])]
    if {Holds("branch", "**"), Holds("tag", "**")} <= {alternative[0] for alternative in rule.when.alternatives}:
        lines.append("ignore: [P04]  # of all builds, it judges those for which its job runs")
    return [
        *(f"{indent}# {note}" for note in rule.notes),
        *(f"{indent}{'  ' if i else '- '}{line}" for i, line in enumerate(lines)),
    ]


def target(target: Target) -> str:
    """The line that describes a target."""
    return f"{target.name}: {{project: {quoted(target.project)}, branch: {quoted(target.branch)}}}"


def names_in(source: SourceFile | None) -> tuple[frozenset[str], bool]:
    """The names that a rule file uses already, and whether any of its rules sends a deploy."""
    try:
        root = read_yaml(source.text) if source else Map()
    except ConfigUnreadable:
        return frozenset(), True
    listed = at(root, "rules")
    rules = [rule for rule in listed if isinstance(rule, Map)] if isinstance(listed, Items) else []
    names = {str(at(rule, "name")) for rule in rules} | {str(name) for name in map_of(at(root, "targets"))}
    return frozenset(names), any(at(rule, "deploy") is not None for rule in rules)


def file_with(source: SourceFile | None, rules: list[Rule]) -> str | None:
    """The rule file with more rules; None where nothing can be added to the one that there is."""
    targets = dict.fromkeys(rule.trigger.target for rule in rules if rule.trigger and rule.trigger.target)
    entries = [f"  {target(each)}" for each in targets]
    if source is None:
        head = ["version: 1", *(["targets:"] if targets else []), *entries, "rules:"]
        return "\n".join([*head, *(line for rule in rules for line in _rule(rule, "  "))]) + "\n"
    try:
        root = read_yaml(source.text)
    except ConfigUnreadable:
        return None
    keys = {str(key): key.line for key in map_of(root)}
    items, lines = at(root, "rules"), source.text.split("\n")
    first = items.line if isinstance(items, Items) else 0
    found = re.match(r"( *)- ", lines[first - 1]) if first else None
    if found is None or "rules" not in keys or keys["rules"] == first:
        return None
    end = min((line for line in keys.values() if line > first), default=len(lines) + 1)
    while end > first and re.fullmatch(r"\s*(?:#.*)?", lines[end - 2]):
        end -= 1
    added = [line for rule in rules for line in _rule(rule, found[1])]
    if end > len(lines):
        lines.append("")
    if targets and "targets" in keys:
        return None
    heading = [before(keys["rules"], ["targets:", *entries])] if targets else []
    return apply("\n".join(lines), [before(end, added), *heading])
