"""What can be said about a rule's parameters before any build: their names, and which `${…}` can never be set."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from deploystep.core import parameters as core
from deploystep.core.rules import Parameter
from deploystep.core.source import Spanned
from deploystep.core.text import clipped, did_you_mean, shown
from deploystep.rulefile import fields as f
from deploystep.rulefile.field_types import Alternatives, Fields
from deploystep.rulefile.yaml_nodes import Report

#: How a parameter is called, and with `job:` a variable.
_KEY: Final = (r"[A-Za-z][A-Za-z0-9_-]*", "letters, digits, '_' and '-', beginning with a letter")
_VARIABLE: Final = (r"[A-Za-z_][A-Za-z0-9_]*", "with job: it is an environment variable: letters, digits and '_'")
_PULL_REQUEST: Final = ("pr.number", "CIRCLE_PULL_REQUEST", "CIRCLE_PULL_REQUESTS")
_MAY_LACK: Final = "unset where there is no pull request, as {} without pull_request: true allows"
_LACKS: Final = "always unset in {} with pull_request: false"
_FORK: Final = ("CIRCLE_PR_NUMBER", "CIRCLE_PR_REPONAME", "CIRCLE_PR_USERNAME")
_NO_FORK_NEEDED: Final = "send ${pr.number}, with pull_request: true in when:"


def check(
    sent: tuple[Parameter, ...], rule: Fields, when: Alternatives | None, report: Report, *, is_job: bool
) -> None:
    """Report every parameter of a rule that could not be sent whenever the rule fires."""
    if len(sent) > core.MAX_PARAMETERS:
        over = sent[core.MAX_PARAMETERS].key.span
        report.error("E510", f"{len(sent)} parameters", over, f"CircleCI takes {core.MAX_PARAMETERS} at most")
    variables = {name.value for a in (when.value if when else ()) for name, _ in a.get(f.ENV) or ()}
    unset = _unset(rule, when, variables)
    for parameter in sent:
        _check_key(parameter.key, report, is_job=is_job)
        template, written = parameter.value.value, parameter.value.span
        if not isinstance(template, core.Template):
            continue
        length = sum(len(part) for part in template.parts if isinstance(part, str))
        if length > core.MAX_VALUE:
            what = f"parameter {shown(parameter.key.value)} is too long: {length} characters"
            report.error("E510", what, written, f"CircleCI takes {core.MAX_VALUE} at most")
        for reference in template.references:
            name, span = reference.name, written.part(template.text, reference.offset, reference.width)
            is_sent = name in variables and core.is_variable(name)
            if name in core.SECRET_VARIABLES:
                report.error("E511", f"${{{name}}} is a secret and is never sent", span, "the receiver has its own")
            elif name in unset:
                report.error("E507", f"${{{name}}} is {unset[name][0]}", span, unset[name][1])
            elif not (is_sent or name in core.PUBLIC_VARIABLES or name in core.DERIVED):
                report.error("E506", f"unknown value ${{{clipped(name)}}}", span, _cure(name))


def _unset(rule: Fields, when: Alternatives | None, variables: set[str]) -> Mapping[str, tuple[str, str]]:
    """Names that are not always set where the rule fires, each with why, and a hint.

    A build of a fork is one of a pull request, and a rule fires for it only where it says `fork: true`.
    """
    unset: dict[str, tuple[str, str]] = {}
    if not rule.has(f.ENVIRONMENT):
        unset["rule.environment"] = ("always unset in a rule without an environment", "add environment: to the rule")
    # nothing is claimed where an alternative could not be read
    alternatives = when.value if when and all(a.has(f.BRANCH, f.TAG) and not a.is_broken for a in when.value) else ()
    stops = rule.get(f.UNLESS)
    is_stopped = any(s.get(f.PULL_REQUEST) is False and len(s.values) == 1 for s in (stops.value if stops else ()))

    def has_pull_request(a: Fields) -> bool:
        return is_stopped or a.get(f.PULL_REQUEST) is True or a.get(f.FORK) is True

    for names, is_set, why, hint in (
        (("CIRCLE_TAG", "tag.version"), lambda a: a.has(f.TAG), "always unset in {} for branches", ""),
        (("CIRCLE_BRANCH", "branch.slug"), lambda a: a.has(f.BRANCH), "always unset in {} for tags", ""),
        (_PULL_REQUEST, has_pull_request, _MAY_LACK, "add pull_request: true"),
        (_PULL_REQUEST, lambda a: a.get(f.PULL_REQUEST) is not False, _LACKS, ""),
        (_FORK, lambda a: a.get(f.FORK) is True, "always unset in {} without fork: true", _NO_FORK_NEEDED),
    ):
        lacking = [a for a in alternatives if not is_set(a)]
        if lacking:
            is_all = len(lacking) == len(alternatives)
            where = "a rule" if is_all else f"an alternative (line {lacking[0].span.line})"
            unset.update(dict.fromkeys(names, (why.format(where), hint)))
    for name in variables if len(alternatives) == 1 else ():
        unset.pop(name, None)  # the rule asks for it
    return unset


def _check_key(key: Spanned[str], report: Report, *, is_job: bool) -> None:
    form, hint = _VARIABLE if is_job else _KEY
    if len(key.value) > core.MAX_KEY:
        what = f"a parameter's name of {len(key.value)} characters"
        report.error("E510", what, key.span, f"CircleCI takes {core.MAX_KEY} at most")
    elif not re.fullmatch(form, key.value) or (is_job and key.value == "CIRCLE_JOB"):
        hint = "job: sets it already" if key.value == "CIRCLE_JOB" else hint
        report.error("E501", f"{shown(key.value)} cannot be the name of a parameter", key.span, hint)


#: What people write for a value, from habit.
# fmt: off
_MEANT: Final = MappingProxyType({
    **dict.fromkeys(("sha", "SHA", "revision", "CIRCLE_SHA", "GITHUB_SHA", "CI_COMMIT_SHA"), "CIRCLE_SHA1"),
    "branch": "CIRCLE_BRANCH", "tag": "CIRCLE_TAG", "version": "tag.version", "user": "CIRCLE_USERNAME",
    "environment": "rule.environment", "pull_request": "pr.number",
})
# fmt: on


def _cure(name: str) -> str:
    otherwise = f"known: variables in upper case such as CIRCLE_SHA1, and {', '.join(sorted(core.DERIVED))}"
    if core.is_variable(name):
        otherwise = f'to send a variable of the project, add env: {{{name}: "*"}} to when'
    return did_you_mean(_MEANT.get(name, name), core.PUBLIC_VARIABLES | core.DERIVED.keys(), otherwise, "${{{}}}")
