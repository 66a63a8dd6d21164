"""Writes a first rule file from what the clone and its config tell, and the lines that the config needs for it."""

import json
import re
from collections.abc import Iterator
from difflib import unified_diff
from typing import Final

from deploystep.core.facts import Answer
from deploystep.core.frozen import dataclass, replace
from deploystep.core.parameters import Scalar
from deploystep.core.patterns.proofs import witness
from deploystep.core.source import SourceFile
from deploystep.project.conditions import matches, pattern_of
from deploystep.project.config import Config, read_config
from deploystep.project.proposal import TEMPLATE, Clone, Proposal, propose
from deploystep.project.reading import ConfigUnreadable, at, map_of
from deploystep.project.steps import Read

__all__ = ["NO_GITLAB", "Clone", "Start", "start"]

_PLAIN: Final = re.compile(r"(?!(?:true|false|yes|no|on|off|null)\Z)[A-Za-z_][\w./-]*", re.ASCII | re.IGNORECASE)
#: v2 OpenAPI, `triggerPipelineRun` and `triggerPipeline`: neither serves projects that are integrated with GitLab.
NO_GITLAB: Final = "no API starts a pipeline of a GitLab project: send to a target elsewhere, or deploy in its job"
_SHA: Final = "4f2c1aa000000000000000000000000000000000"
_RELEASE: Final = re.compile(r"v?\d+\.\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Start:
    """A first rule file; what to do to the config, in lines; and the config as it is then.

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
    config: Config | None
    options: str


_RULES: Final = """\
# Which builds{of} deploy{sent}.
# After a change:  deploystep check{o} && deploystep test{o} && deploystep plan{o}
version: 1

rules:
  - name: production
    # All of these must hold. Others are tag, paths, pull_request, merged_into, user, env ...
    when: {when}
    # unless:
    #   - message_contains: "[skip deploy]"
{deploy}

# What must happen, for  deploystep test{o}
cases:
{cases}
"""
_GATE: Final = """\
    # No deploy: here. The job runs  deploystep gate production{o} -- COMMAND , and nothing is sent."""
_DEPLOY: Final = """\
    deploy:
      # The workflow that this starts, in {path}, and the parameters that it is sent.
      workflow: {workflow}
      parameters:
{parameters}"""
_TAGS: Final = """

  # This repository has tags such as {tag}.
  # A rule for them says  when: {{tag: 'v*'}} , and the jobs of its workflow need filters for tags."""


def start(clone: Clone, read: Read) -> Start:
    """What to write for this clone. Asks nothing and writes nothing."""
    from deploystep.migrate.plan import plan  # noqa: PLC0415 - doctor imports this module and not that one

    path, (found, compared, heading, lines) = clone.config_path, _proposed(clone, read)
    doomed = plan([SourceFile(path, clone.config or "")], None, "", read, None).findings
    remarks: list[str] = []
    for alarm in [each for each in doomed if each.is_alarm][:1]:  # beside it the rule would deploy a second time
        remarks.append(f"{alarm.path}:{alarm.line}: {alarm.what}: it deploys already, and this rule would too")
        remarks.append(f"keep one: delete this rule file, and  deploystep migrate{clone.options}  writes another")
    remarks += found.remarks
    if found.workflow is None:
        remarks.append("gate cannot know an earlier deploy of the commit: a rerun or another build deploys it again")
    if clone.is_gitlab:
        remarks.append(NO_GITLAB)
    elif clone.project is None:
        remarks.append("no remote called origin tells which project this is; in a build its variables do")
    if heading.endswith("change") and "\r\n" in (clone.config or ""):
        remarks.append(f"{path} has CRLF line ends: apply the change with  git apply --ignore-whitespace")
    if "HOST" in "".join((lines, *remarks)):
        remarks.append("HOST and COMMIT: where you cloned deploystep from, and the commit that you have reviewed")
    if "HOST" in lines:
        remarks.append("deploy-token: a context that holds a personal API token as CIRCLE_TOKEN")
    branches = found.branches or (() if found.tags else (clone.branch,))
    words = {word: names for word, names in (("branch", branches), ("tag", found.tags)) if names}
    tag = None if branches else next((name for name in clone.tags if _has(found.tags, name)), None)
    return Start(
        rules=_rules(clone, found, words),
        branch=_example(branches) if branches else None if tag else clone.branch,
        tag=tag,
        sends=found.workflow is not None,
        about=", ".join(f"{word} {each[0]}" for word, each in words.items()),
        heading=heading,
        lines=lines,
        remarks=tuple(remarks),
        config=compared,
        options=clone.options,
    )


def _proposed(clone: Clone, read: Read) -> tuple[Proposal, Config | None, str, str]:
    """What is missing in the config, the config with it, and what to do: a heading, and lines where there are some."""
    path, text, is_setup, taken = clone.config_path, clone.config or TEMPLATE, False, frozenset[str]()
    try:
        config = read_config(path, text)
        is_setup = bool(config.setup)
        taken = frozenset(k for key in ("parameters", "jobs", "workflows") for k in map_of(at(config.root, key)))
        found = propose(config, clone, read)
        compared = read_config(path, found.text)
    except ConfigUnreadable as problem:
        found = propose(read_config(path, TEMPLATE), clone, read, taken)
        why, (flag, value), sha = f"{path}:{problem.line} is not changed ({problem.why})", found.flag, found.sha
        if is_setup and found.workflow:
            named = f"setup_{flag} and setup_{sha} to {path}: declare them there (a boolean, false; a string)"
            remark = f"the rule sends {named}, and pass them on as {flag} and {sha}: no name may be in both (P08)"
            remarks = (*found.remarks, remark)
            found = replace(found, flag=(f"setup_{flag}", value), sha=f"setup_{sha}", remarks=remarks)
        where = "the config that continues it" if is_setup else "it"
        return found, None, f"{why}: apply this example by hand to {where}", found.text
    if clone.config is None:
        return found, compared, f"there is no {path} yet: write this to it", found.text
    if found.text != text:
        changed = unified_diff(text.splitlines(), found.text.splitlines(), f"a/{path}", f"b/{path}", lineterm="")
        return found, compared, f"{path} needs this change", "\n".join(changed)
    if found.workflow is None:
        return found, compared, f"{path} is left as it is; the notes say what to write there", ""
    return found, compared, f"{path} has the workflow that this needs: {found.workflow}, behind {found.flag[0]}", ""


def _rules(clone: Clone, found: Proposal, words: dict[str, tuple[str, ...]]) -> str:
    """The rule file."""
    deploy = _GATE.format(o=clone.options)
    if found.workflow is not None:
        rows = (
            (found.flag[0], _yaml(found.flag[1]), "opens the gate of the workflow, which a push leaves closed"),
            (found.sha, "${CIRCLE_SHA1}", "the commit that was tested, for the deploy to check out"),
            (found.key, "${deploy.key}", "by which a rerun recognises the deploy"),
        )
        parameters = "\n".join(f"        {_yaml(name)}: {value} # {why}" for name, value, why in rows if name)
        deploy = _DEPLOY.format(path=clone.config_path, workflow=_yaml(found.workflow), parameters=parameters)
    release = next((name for name in reversed(clone.tags) if _RELEASE.fullmatch(name)), None)
    if release and "tag" not in words:
        deploy += _TAGS.format(tag=release)
    return _RULES.format(
        of=f" of {clone.project}" if clone.project else "",
        sent=", and what is sent to CircleCI then" if found.workflow else "",
        o=clone.options,
        when=_listed([f"{{{word}: {_listed([*map(_yaml, names)])}}}" for word, names in words.items()]),
        deploy=deploy,
        cases="\n".join(_cases(clone, found, words)),
    )


def _cases(clone: Clone, found: Proposal, words: dict[str, tuple[str, ...]]) -> Iterator[str]:
    """The cases of the rule file, line by line."""
    sent = {found.flag[0]: found.flag[1], **({found.sha: _SHA} if found.sha is not None else {})}
    parameters = ", ".join(f"{_yaml(name)}: {_yaml(each)}" for name, each in sent.items())
    expected = f", parameters: {{production: {{{parameters}}}}}" if found.workflow else ""
    for word, names in words.items():
        name = _example(names, clone.tags if word == "tag" else ())
        yield f"  - name: {_yaml(f'{name} deploys the commit that was tested')}"
        yield f"    given: {{{word}: {_yaml(name)}, sha: {_SHA}}}"
        yield f"    expect: {{fire: [production]{expected}}}"
    for word, name in (("branch", "feature/login"), ("tag", "v1.4.0")):
        if not _has(words.get(word, ()), name):
            yield f"  - name: {'another' if word in words else 'a'} {word} deploys nothing"
            yield f"    given: {{{word}: {name}}}"
            yield "    expect: {fire: []}"


def _listed(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def _example(texts: tuple[str, ...], known: tuple[str, ...] = ()) -> str:
    """A branch or tag that is named, or that a regular expression between slashes matches: a known one if it can be."""
    pattern = pattern_of(texts[0]) if texts[0][:1] == "/" else None
    return next((name for name in known if _has(texts, name)), (pattern and witness(pattern, ())) or texts[0])


def _has(texts: tuple[str, ...], name: str) -> bool:
    return any(text == name or (text[:1] == "/" and matches(text, name) is Answer.YES) for text in texts)


def _yaml(value: Scalar) -> str:
    """A value as YAML reads it."""
    is_clear = isinstance(value, str) and _PLAIN.fullmatch(value)
    return str(value) if is_clear else json.dumps(value, ensure_ascii=False)
