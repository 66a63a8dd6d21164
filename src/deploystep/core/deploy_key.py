"""The deploy key: a value that a run carries through its configuration, so that it names the deploy that it is.

API v2 returns no parameters of a run, but it returns the compiled configuration, in which each
`<< pipeline.parameters.x >>` has been replaced by its value (v2 OpenAPI, `getPipelineConfigById`; CircleCI docs,
"Config templating"). A found key proves everything; a missing one proves nothing.
"""

import re
from collections.abc import Iterable
from typing import Final

from deploystep.core.build import Branch, BuildContext, Tag
from deploystep.core.parameters import Template, is_variable
from deploystep.core.rules import Deploy, Rule

NAME: Final = "deploy.key"
_VERSION: Final = "deploystep 1"
_DIGITS: Final = 24
_SHARED: Final = len("ds-") + 16  # characters that every run of one deploy has, also one that was wanted again
_ANY_KEY: Final = re.compile(rf"(?<![0-9A-Za-z])ds-[0-9a-f]{{{_DIGITS}}}(?![0-9A-Za-z])")


def deploy_key(
    rule: Rule, build: BuildContext, ref: Branch | Tag | None = None, revision: str | None = None, *, once: str = ""
) -> str:
    """`ds-` and 24 hexadecimal digits, the same for every build of one commit and ref that this rule deploys.

    `ref` and `revision` are others than the build's. With `once`, for a deploy that is wanted again, the last digits
    differ: its run can be told from the earlier ones, and still is a run of this deploy.
    What the rule sends belongs to it as written, so that rules of one name in two files have two keys, and so do the
    values of variables outside `CIRCLE_*` and of CIRCLE_JOB: a rule that is sent once per `${REGION}` is one deploy for
    each.
    """
    ref = ref or build.ref
    kind = "tag" if isinstance(ref, Tag) else "branch"
    name = ref.name.removesuffix("/head") if kind == "branch" and ref.name.startswith("pull/") else ref.name
    project = str(build.project) if build.project else build.project_id or ""
    words = [_VERSION, project, rule.name.value, kind, name, revision or build.revision, *_written(rule.sends)]
    for variable in sorted(own_variables(rule.sends) | ({"CIRCLE_JOB"} & set(_names(rule.sends)))):
        words += [variable, build.variables.get(variable) or ""]
    key = "ds-" + _digest(*words)[:_DIGITS]
    return key[:_SHARED] + _digest(once)[: len(key) - _SHARED] if once else key


def _written(deploy: Deploy | None) -> Iterable[str]:
    """What a rule sends, before variables are filled in; nothing of one for `gate` alone."""
    if deploy is None:
        return
    to = deploy.to
    yield f"{to.project} {type(to.ref).__name__} {to.ref.name}" if to else ""
    yield from (named.value if named else "" for named in (deploy.job, deploy.workflow))
    for parameter in deploy.parameters:
        value = parameter.value.value
        yield parameter.key.value
        yield f"text {value.text}" if isinstance(value, Template) else f"{type(value).__name__} {value}"


def _digest(*words: str) -> str:
    from hashlib import sha256  # noqa: PLC0415 - most builds deploy nothing

    texts = (word.encode("utf-8", "surrogateescape") for word in words)
    return sha256(b"".join(b"%d:%b" % (len(text), text) for text in texts)).hexdigest()


def holds(text: str, key: str) -> bool:
    """Whether a text holds a key of this deploy, whatever it is joined to; also that of a run that was wanted again."""
    return key[:_SHARED] in text


def carries_key(deploy: Deploy) -> bool:
    """Whether the key is sent as a parameter."""
    return NAME in _names(deploy)


def own_variables(deploy: Deploy | None) -> frozenset[str]:
    """Names of the variables outside `CIRCLE_*` that the parameters use."""
    return frozenset(name for name in _names(deploy) if is_variable(name) and not name.startswith("CIRCLE_"))


def keys_in(text: str) -> frozenset[str]:
    """Every deploy key that a text holds."""
    return frozenset(_ANY_KEY.findall(text))


def _names(deploy: Deploy | None) -> Iterable[str]:
    values = (p.value.value for p in (deploy.parameters if deploy else ()))
    return {reference.name for value in values if isinstance(value, Template) for reference in value.references}
