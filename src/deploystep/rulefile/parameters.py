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
from deploystep.core.text import did_you_mean
from deploystep.rulefile import fields as f
from deploystep.rulefile.field_types import Choices, Fields, Written
from deploystep.rulefile.yaml_nodes import Report, clipped, shown

_KEY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_PULL_REQUEST: Final = ("pr.number", "CIRCLE_PULL_REQUEST", "CIRCLE_PULL_REQUESTS")
_FORK: Final = ("CIRCLE_PR_NUMBER", "CIRCLE_PR_REPONAME", "CIRCLE_PR_USERNAME")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a rule's parameters may name: its variables, and of names that are not always set why, with a hint."""

    variables: frozenset[str]
    unset: Mapping[str, tuple[str, str]]
    is_job: bool

    @classmethod
    def of(cls, rule: Fields, when: Choices | None, *, is_job: bool) -> "Scope":
        """The scope of a rule."""
        alternatives = when.alternatives if when else ()
        variables = frozenset(n.value for a in alternatives for n, _ in a.get(f.ENV) or ())
        unset: dict[str, tuple[str, str]] = {}
        if not rule.has(f.ENVIRONMENT):
            unset["rule.environment"] = (
                "always unset in a rule without an environment",
                "add environment: to the rule",
            )
        # nothing is claimed where an alternative could not be read
        if alternatives and all((a.has(f.BRANCH) or a.has(f.TAG)) and not a.is_broken for a in alternatives):
            unset.update(_unset(alternatives, rule.get(f.UNLESS)))
            for name in variables if len(alternatives) == 1 else ():
                unset.pop(name, None)  # the rule asks for it
        return cls(variables, unset, is_job)


def _unset(alternatives: tuple[Fields, ...], unless: Choices | None) -> Mapping[str, tuple[str, str]]:
    """The names that some alternative leaves unset, each with why, and a hint.

    A build of a fork is one of a pull request, and a rule fires for it only where it says `fork: true`.
    """
    stops = unless.alternatives if unless else ()
    needs_pull_request = any(stop.get(f.PULL_REQUEST) is False and len(stop.values) == 1 for stop in stops)

    def has_pull_request(a: Fields) -> bool:
        return needs_pull_request or a.get(f.PULL_REQUEST) is True or a.get(f.FORK) is True

    add, send_number = "add pull_request: true", "send ${pr.number}, with pull_request: true in when:"
    may_lack = "unset where there is no pull request, as {} without pull_request: true allows"
    found = {}
    for names, is_set, why, hint in (
        (("CIRCLE_TAG", "tag.version"), lambda a: a.has(f.TAG), "always unset in {} for branches", ""),
        (("CIRCLE_BRANCH", "branch.slug"), lambda a: a.has(f.BRANCH), "always unset in {} for tags", ""),
        (_PULL_REQUEST, has_pull_request, may_lack, add),
        (
            _PULL_REQUEST,
            lambda a: a.get(f.PULL_REQUEST) is not False,
            "always unset in {} with pull_request: false",
            "",
        ),
        (_FORK, lambda a: a.get(f.FORK) is True, "always unset in {} without fork: true", send_number),
    ):
        lacking = [a for a in alternatives if not is_set(a)]
        if lacking:
            is_all = len(lacking) == len(alternatives)
            where = "a rule" if is_all else f"an alternative (line {lacking[0].span.line})"
            found.update(dict.fromkeys(names, (why.format(where), hint)))
    return found


def check(sent: tuple[tuple[Spanned[str], Written], ...], scope: Scope, report: Report) -> None:
    """Report every parameter that could not be sent whenever the rule fires."""
    if len(sent) > MAX_PARAMETERS:
        over = sent[MAX_PARAMETERS][0].span
        report.error("E510", f"{len(sent)} parameters", over, f"CircleCI takes {MAX_PARAMETERS} at most")
    for key, written in sent:
        _check_key(key, report, is_job=scope.is_job)
        if isinstance(written.value, Template):
            length = sum(len(part) for part in written.value.parts if isinstance(part, str))
            if length > MAX_VALUE:
                what = f"parameter {shown(key.value)} is too long: {length} characters"
                report.error("E510", what, written.node.inner, f"CircleCI takes {MAX_VALUE} at most")
            for reference in written.value.references:
                _check_reference(reference, written.node.part(reference.offset, reference.width), scope, report)


def _check_key(key: Spanned[str], report: Report, *, is_job: bool) -> None:
    if len(key.value) > MAX_KEY:
        what = f"a parameter's name of {len(key.value)} characters"
        report.error("E510", what, key.span, f"CircleCI takes {MAX_KEY} at most")
        return
    if is_job and key.value == "CIRCLE_JOB":
        hint = "job: sets it already"
    elif is_job:
        wanted = "with job: it is an environment variable: letters, digits and '_'"
        hint = "" if _VARIABLE.fullmatch(key.value) else wanted
    else:
        hint = "" if _KEY.fullmatch(key.value) else "letters, digits, '_' and '-', beginning with a letter"
    if hint:
        report.error("E501", f"{shown(key.value)} cannot be the name of a parameter", key.span, hint)


def _check_reference(reference: Reference, span: Span, scope: Scope, report: Report) -> None:
    name, text = reference.name, clipped(reference.name)
    if name in SECRET_VARIABLES:
        report.error("E511", f"${{{name}}} is a secret and is never sent", span, "the receiver has its own")
    elif name in scope.unset:
        why, hint = scope.unset[name]
        report.error("E507", f"${{{name}}} is {why}", span, hint)
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
    otherwise = f"known: variables such as CIRCLE_SHA1, and {', '.join(sorted(DERIVED))}"
    if is_variable(name):
        otherwise = f'to send a variable of the project, add env: {{{name}: "*"}} to when'
    return did_you_mean(_MEANT.get(name, name), PUBLIC_VARIABLES | DERIVED.keys(), otherwise, "${{{}}}")
