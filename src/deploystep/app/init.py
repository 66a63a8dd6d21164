"""Writes a first rule file from what the clone and its config tell, and the lines that the config needs for it."""

import json
import re
from collections.abc import Iterator
from difflib import unified_diff
from typing import Final

from deploystep.core.frozen import dataclass, replace
from deploystep.core.parameters import Scalar
from deploystep.core.patterns.proofs import witness
from deploystep.core.source import SourceFile
from deploystep.core.trace import Answer
from deploystep.project.config import Config, read_config
from deploystep.project.continuation import Continuation, continuation
from deploystep.project.expressions import Unknown, matches, pattern_of
from deploystep.project.proposal import TEMPLATE, Proposal, Setting, propose
from deploystep.project.reading import ConfigUnreadable
from deploystep.project.steps import Read

_PLAIN: Final = re.compile(r"(?!(?:true|false|yes|no|on|off|null)\Z)[A-Za-z_][\w./-]*", re.ASCII | re.IGNORECASE)
#: v2 OpenAPI, `triggerPipelineRun` and `triggerPipeline`: neither serves projects that are integrated with GitLab.
NO_GITLAB: Final = (
    "no API starts a pipeline of a GitLab project: send to a target elsewhere, or deploy in the job itself"
)
_SHA: Final = "4f2c1aa000000000000000000000000000000000"
_RELEASE: Final = re.compile(r"v?\d+\.\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Clone:
    """What a clone tells: its project where its remote names one, its default branch, its tags, and its config.

    `is_gitlab`: its remote is at a GitLab, whose projects no API of CircleCI starts. `options` are those with which
    commands find the rules, as ` --rules X`.
    """

    project: str | None
    branch: str
    tags: tuple[str, ...]
    config_path: str
    config: str | None
    is_gitlab: bool = False
    options: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """A first rule file; what to do to the config, in lines; and the config as it is then, also as text.

    `about` is what its rule is for, `branch` or else `tag` the one to plan, and `options` what commands need to find
    the file. `sends`: the rule sends a trigger. `config` is None where none can be compared with the rules.
    """

    rules: str
    branch: str | None
    tag: str | None
    sends: bool
    about: str
    heading: str
    lines: str
    remarks: tuple[str, ...]
    text: str
    config: Config | None
    options: str


@dataclass(frozen=True, slots=True)
class _Gated:
    """The config in which the deploy's workflow is gated; `why` a template stands in its place, where one does."""

    path: str
    text: str
    why: str = ""
    is_new: bool = False
    setup: Config | None = None
    via: Continuation | None = None


def start(clone: Clone, read: Read) -> Start:
    """What to write for this clone. Asks nothing and writes nothing."""
    untriggered = "no API starts a pipeline of a GitLab project" if clone.is_gitlab else ""
    gated, setting = _gated(clone, read), Setting(clone.branch, read, clone.options, untriggered)
    try:
        found = propose(gated.path, gated.text, setting)
        compared = read_config(gated.path, found.text)
    except ConfigUnreadable:
        gated = replace(gated, text=TEMPLATE, why=f"{gated.path} is written in a way that no line can be added to")
        found = propose(gated.path, TEMPLATE, setting)
        compared = read_config(gated.path, found.text)
    heading, lines = _change(gated, found)
    remarks = [*_deploys_already(clone, read), *found.remarks]
    if gated.setup is not None:
        sent, told = _through_setup(gated, found, compared)
        found, remarks = sent, [*told, *remarks]
    if clone.is_gitlab:
        remarks.append(NO_GITLAB)
    elif clone.project is None:
        remarks.append("no remote called origin tells which project this is; in a build its variables do")
    if not (gated.why or gated.is_new) and lines and "\r\n" in gated.text:
        remarks.append(f"{gated.path} has CRLF line ends: apply the change with  git apply --ignore-whitespace")
    if "HOST" in "".join((lines, *remarks)):
        remarks.append("HOST and COMMIT: where you cloned deploystep from, and the commit that you have reviewed")
    if "HOST" in lines:
        remarks.append("deploy-token: a context that holds a personal API token as CIRCLE_TOKEN")
    branches = found.branches or (() if found.tags else (clone.branch,))
    rules = "\n".join(_rules(clone, gated.path, found, branches)) + "\n"
    about = ", ".join([*(f"branch {name}" for name in branches[:1]), *(f"tag {name}" for name in found.tags[:1])])
    tag = None if branches else next((name for name in clone.tags if _has(found.tags, name)), None)
    return Start(
        rules=rules,
        branch=_example(branches[0]) if branches else None if tag else clone.branch,
        tag=tag,
        sends=found.workflow is not None,
        about=about,
        heading=heading,
        lines=lines,
        remarks=tuple(remarks),
        text=found.text,
        config=None if gated.why or gated.setup else compared,
        options=clone.options,
    )


def _deploys_already(clone: Clone, read: Read) -> Iterator[str]:
    """Yield what deploys here by ways that end, beside which the rule would deploy a second time."""
    from deploystep.migrate.plan import plan  # noqa: PLC0415 - doctor imports this module and not that one

    source = SourceFile(clone.config_path, clone.config or "")
    alarms = [found for found in plan([source], None, "", read, None).findings if found.is_alarm]
    if alarms:
        yield f"{alarms[0].path}:{alarms[0].line}: {alarms[0].what}: it deploys already, and this rule would too"
        yield f"keep one of them: delete this rule file, and  deploystep migrate{clone.options}  writes the one for it"


def _gated(clone: Clone, read: Read) -> _Gated:
    """The config to which lines are added: that of the clone, or the one that continues it."""
    path, text = clone.config_path, clone.config
    if text is None:
        return _Gated(path, TEMPLATE, is_new=True)
    setup: Config | None = None
    via: Continuation | None = None
    try:
        config = read_config(path, text)
        if config.setup:
            setup, via = config, continuation(config, read)
            if via is None:
                why = f"{path} is a setup config, and which config continues it is not certain"
                return _Gated(f"the config that continues {path}", TEMPLATE, why, setup=setup)
            path, text = via.path, read(via.path) or ""
            read_config(path, text)
    except ConfigUnreadable as problem:
        why = f"{path}:{problem.line} cannot be read ({problem.why})"
        return _Gated(path, TEMPLATE, why, setup=setup, via=via)
    return _Gated(path, text, setup=setup, via=via)


def _change(gated: _Gated, found: Proposal) -> tuple[str, str]:
    """What to do to the config: a heading, and lines where there are some."""
    path, text = gated.path, gated.text
    if gated.why:
        return f"{gated.why}: this is what the config that runs the jobs needs", found.text
    if gated.is_new:
        return f"there is no {path} yet: write this to it", found.text
    subject = f"{gated.setup.path}:{gated.via.line} continues with {path}, which" if gated.setup and gated.via else path
    if found.text != text:
        return f"{subject} needs this change", _difference(path, text, found.text)
    if found.workflow is None:
        return f"{subject} is left as it is; the notes say what to write there", ""
    return f"{subject} has all that this needs: workflow {found.workflow} behind {found.flag[0]}", ""


def _through_setup(gated: _Gated, found: Proposal, config: Config) -> tuple[Proposal, list[str]]:
    """What the rule sends to a setup config, under other names, and what to write there to pass it on."""
    setup, names = gated.setup, [name for name in (found.flag[0], found.sha, found.key) if name is not None]
    if setup is None or found.workflow is None:
        return found, []
    declared, passed = [], []
    for name in names:
        known = config.parameters[name]
        values = f", enum: [{', '.join(map(_yaml, known.values))}]" if known.values else ""
        default = "" if isinstance(known.default, Unknown) else f", default: {json.dumps(known.default)}"
        declared.append(f"setup_{name}: {{type: {known.type}{values}{default}}}")
        value = f"<< pipeline.parameters.setup_{name} >>"
        passed.append((name, value if known.type in ("boolean", "integer") else f'"{value}"'))
    sent = replace(
        found,
        flag=(f"setup_{found.flag[0]}", found.flag[1]),
        sha=found.sha and f"setup_{found.sha}",
        key=found.key and f"setup_{found.key}",
    )
    remarks = [
        f"the rule sends its parameters to {setup.path}, under names that {gated.path} must not declare too (P08)",
        f"declare there:  parameters: {{{', '.join(declared)}}}",
    ]
    if gated.via and gated.via.has_mapping:
        lines = " and  ".join(f".* {name} {value} " for name, value in passed)
        only = "a line counts only where a file has changed since base-revision"
        remarks.append(f"pass them on in the mapping of {setup.path}:{gated.via.line}:  {lines}; {only}")
    else:
        where = f"at {setup.path}:{gated.via.line}" if gated.via else "where it is continued"
        text = ", ".join(f'"{name}": {value}' for name, value in passed)
        remarks.append(f"pass them on {where}:  parameters: '{{{text}}}'")
    return sent, remarks


def _difference(path: str, before: str, after: str) -> str:
    lines = unified_diff(before.splitlines(), after.splitlines(), f"a/{path}", f"b/{path}", lineterm="")
    return "\n".join(lines)


def _rules(clone: Clone, path: str, found: Proposal, branches: tuple[str, ...]) -> Iterator[str]:
    """The rule file, line by line."""
    flag, value = found.flag
    sha = found.sha
    of = f" of {clone.project}" if clone.project else ""
    yield f"# Which builds{of} deploy{', and what is sent to CircleCI then' if found.workflow else ''}."
    commands = (f"deploystep {command}{clone.options}" for command in ("check", "test", "plan"))
    yield f"# After a change:  {' && '.join(commands)}"
    yield "version: 1"
    yield ""
    yield "rules:"
    yield "  - name: production"
    yield "    # All of these must hold. Others are tag, paths, pull_request, merged_into, user, env ..."
    names = {word: each for word, each in (("branch", branches), ("tag", found.tags)) if each}
    alternatives = [f"{{{word}: {_listed([*map(_yaml, each)])}}}" for word, each in names.items()]
    yield f"    when: {_listed(alternatives)}"
    yield "    # unless:"
    yield '    #   - message_contains: "[skip deploy]"'
    if found.workflow is None:
        gate = f"deploystep gate production{clone.options} -- COMMAND"
        yield f"    # No deploy: here. The job runs  {gate} , and nothing is sent."
    else:
        yield "    deploy:"
        yield f"      # The workflow that this starts, in {path}, and the parameters that it is sent."
        yield f"      workflow: {_yaml(found.workflow)}"
        yield "      parameters:"
        yield f"        {_yaml(flag)}: {_yaml(value)} # opens the gate of the workflow, which a push leaves closed"
    if sha is not None:
        yield f"        {_yaml(sha)}: ${{CIRCLE_SHA1}} # the commit that was tested, for the deploy to check out"
    if found.key is not None:
        yield f"        {_yaml(found.key)}: ${{deploy.key}} # by which a rerun recognises the deploy"
    if not found.tags and any(map(_RELEASE.fullmatch, clone.tags)):
        yield ""
        yield f"  # This repository has tags such as {next(t for t in reversed(clone.tags) if _RELEASE.fullmatch(t))}."
        yield "  # A rule for them says  when: {tag: 'v*'} , and the jobs of its workflow need filters for tags."
    yield ""
    yield f"# What must happen, for  deploystep test{clone.options}"
    yield from _cases(clone, found, branches)


def _cases(clone: Clone, found: Proposal, branches: tuple[str, ...]) -> Iterator[str]:
    """The cases of the rule file, line by line."""
    yield "cases:"
    (flag, value), sha = found.flag, found.sha
    sent = {flag: value, **({sha: _SHA} if sha is not None else {})} if found.workflow else {}
    parameters = ", ".join(f"{_yaml(name)}: {_yaml(each)}" for name, each in sent.items())
    expected = f", parameters: {{production: {{{parameters}}}}}" if sent else ""
    for word, each in (("branch", branches), ("tag", found.tags)):
        for name in (_example(text, clone.tags if word == "tag" else ()) for text in each):
            yield f"  - name: {_yaml(f'{name} deploys the commit that was tested')}"
            yield f"    given: {{{word}: {_yaml(name)}, sha: {_SHA}}}"
            yield f"    expect: {{fire: [production]{expected}}}"
    other = next((name for name in ("feature/login", "feature/cart") if not _has(branches, name)), None)
    if other is not None:
        yield f"  - name: {'another' if branches else 'a'} branch deploys nothing"
        yield f"    given: {{branch: {other}}}"
        yield "    expect: {fire: []}"
    if not _has(found.tags, "v1.4.0"):
        yield "  - name: nor does a tag" if not found.tags else "  - name: nor does another tag"
        yield "    given: {tag: v1.4.0}"
        yield "    expect: {fire: []}"


def _listed(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def _example(text: str, known: tuple[str, ...] = ()) -> str:
    """A branch or tag that is named, or that a regular expression between slashes matches: a known one if it can be."""
    pattern = pattern_of(text) if text[:1] == "/" else None
    return next((name for name in known if _has((text,), name)), (pattern and witness(pattern, ())) or text)


def _has(texts: tuple[str, ...], name: str) -> bool:
    return any(text == name or (text[:1] == "/" and matches(text, name) is Answer.YES) for text in texts)


def _yaml(value: Scalar) -> str:
    """A value as YAML reads it."""
    is_clear = isinstance(value, str) and _PLAIN.fullmatch(value)
    return str(value) if is_clear else json.dumps(value, ensure_ascii=False)
