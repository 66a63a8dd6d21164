"""What can be said about a rule's parameters before any build: their names, and which `${…}` can never be set."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from deploystep.core.frozen import dataclass
from deploystep.core.parameters import (
    DERIVED,
    MAX_KEY,
    MAX_PARAMETERS,
    MAX_VALUE,
    PUBLIC_VARIABLES,
    SECRET_VARIABLES,
    Reference,
    Template,
    is_variable,
)
from deploystep.core.source import Span, Spanned
from deploystep.core.text import nearest
from deploystep.rulefile import fields as f
from deploystep.rulefile.nodes import Report, clipped, shown
from deploystep.rulefile.shapes import Choices, Fields, Written

_KEY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a rule's parameters may name: its variables, and why some names can never be set."""

    variables: frozenset[str]
    unset: Mapping[str, tuple[str, str]]
    is_job: bool

    @classmethod
    def of(cls, rule: Fields, when: Choices | None, *, is_job: bool) -> "Scope":
        """The scope of a rule."""
        alternatives = when.alternatives if when else ()
        variables = {n.value for a in alternatives for n, _ in a.get(f.ENV) or ()}
        unset = {name: (why, "") for why, names in _unset(alternatives) for name in names}
        if not rule.has(f.ENVIRONMENT):
            unset["rule.environment"] = ("in a rule without an environment", "add environment: to the rule")
        return cls(frozenset(variables), MappingProxyType(unset), is_job)


def _unset(alternatives: tuple[Fields, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """Why names can never be set, and which; nothing is claimed where an alternative could not be read."""
    if not alternatives or any(a.is_broken or not (a.has(f.BRANCH) or a.has(f.TAG)) for a in alternatives):
        return []
    found: list[tuple[str, tuple[str, ...]]] = []
    if not any(a.has(f.TAG) for a in alternatives):
        found.append(("in a rule for branches", ("CIRCLE_TAG", "tag.version")))
    if not any(a.has(f.BRANCH) for a in alternatives):
        found.append(("in a rule for tags", ("CIRCLE_BRANCH", "branch.slug")))
    requests = [a.get(f.PULL_REQUEST) for a in alternatives]
    if all(wanted is not None and not wanted.value for wanted in requests):
        names = ("pr.number", "CIRCLE_PR_NUMBER", "CIRCLE_PULL_REQUEST", "CIRCLE_PULL_REQUESTS")
        found.append(("in a rule with pull_request: false", names))
    return found


def check(sent: tuple[tuple[Spanned[str], Written], ...], scope: Scope, report: Report) -> None:
    """Report every parameter that could never be sent."""
    if len(sent) > MAX_PARAMETERS:
        over = sent[MAX_PARAMETERS][0].span
        report.error("E510", f"{len(sent)} parameters", over, f"CircleCI takes {MAX_PARAMETERS} at most")
    for key, written in sent:
        _check_key(key, report, is_job=scope.is_job)
        if isinstance(written.value, Template):
            _check_length(key.value, written, written.value, report)
            for reference in written.value.references:
                _check_reference(reference, written.node.part(reference.offset, reference.width), scope, report)


def _check_key(key: Spanned[str], report: Report, *, is_job: bool) -> None:
    if len(key.value) > MAX_KEY:
        report.error(
            "E510", f"a parameter's name of {len(key.value)} characters", key.span, f"CircleCI takes {MAX_KEY} at most"
        )
    elif is_job and not _VARIABLE.fullmatch(key.value):
        _refuse_key(key, report, "with job: it is an environment variable: letters, digits and '_'")
    elif is_job and key.value == "CIRCLE_JOB":
        _refuse_key(key, report, "job: sets it already")
    elif not is_job and not _KEY.fullmatch(key.value):
        _refuse_key(key, report, "letters, digits, '_' and '-', beginning with a letter")


def _refuse_key(key: Spanned[str], report: Report, hint: str) -> None:
    report.error("E501", f"{shown(key.value)} cannot be the name of a parameter", key.span, hint)


def _check_length(key: str, written: Written, template: Template, report: Report) -> None:
    length = sum(len(part) for part in template.parts if isinstance(part, str))
    if length > MAX_VALUE:
        report.error(
            "E510",
            f"parameter {shown(key)} is too long: {length} characters",
            written.node.inner,
            f"CircleCI takes {MAX_VALUE} at most",
        )


def _check_reference(reference: Reference, span: Span, scope: Scope, report: Report) -> None:
    name, text = reference.name, clipped(reference.name)
    if name in SECRET_VARIABLES:
        report.error("E511", f"${{{name}}} is a secret and is never sent", span, "the receiver has its own")
    elif name in scope.unset:
        why, hint = scope.unset[name]
        report.error("E507", f"${{{name}}} is always unset {why}", span, hint)
    elif name not in PUBLIC_VARIABLES and name not in DERIVED and name not in scope.variables:
        report.error("E506", f"unknown value ${{{text}}}", span, _cure(name))
    elif name in scope.variables and not is_variable(name):
        report.error("E506", f"unknown value ${{{text}}}", span, "only variables in upper case can be sent")


#: What people write for a value, from habit.
_MEANT: Final = MappingProxyType(
    {
        "sha": "CIRCLE_SHA1",
        "SHA": "CIRCLE_SHA1",
        "revision": "CIRCLE_SHA1",
        "CIRCLE_SHA": "CIRCLE_SHA1",
        "GITHUB_SHA": "CIRCLE_SHA1",
        "CI_COMMIT_SHA": "CIRCLE_SHA1",
        "branch": "CIRCLE_BRANCH",
        "tag": "CIRCLE_TAG",
        "version": "tag.version",
        "user": "CIRCLE_USERNAME",
        "environment": "rule.environment",
        "pull_request": "pr.number",
    }
)


def _cure(name: str) -> str:
    near = _MEANT.get(name) or nearest(name, sorted(PUBLIC_VARIABLES | DERIVED.keys()))
    if near:
        return f"did you mean ${{{near}}}?"
    if is_variable(name):
        return f'to send a variable of the project, add env: {{{name}: "*"}} to when'
    return f"known: variables such as CIRCLE_SHA1, and {', '.join(sorted(DERIVED))}"
