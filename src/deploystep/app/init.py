"""Writes a first rule file from what the clone and its config tell, and the lines that the config needs for it."""

import json
import re
from collections.abc import Iterator
from difflib import unified_diff
from typing import Final

from deploystep.core.frozen import dataclass
from deploystep.core.parameters import Scalar
from deploystep.core.patterns.proofs import witness
from deploystep.core.trace import Answer
from deploystep.project.config import Config, read_config
from deploystep.project.expressions import matches, pattern_of
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

    `is_gitlab`: its remote is at a GitLab, whose projects no API of CircleCI starts.
    """

    project: str | None
    branch: str
    tags: tuple[str, ...]
    config_path: str
    config: str | None
    is_gitlab: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """A first rule file; what to do to the config, in lines; and the config as it is then, also as text.

    `about` is what its rule is for, and `branch` the one to plan. `config` is None where none can be compared with the
    rules.
    """

    rules: str
    branch: str
    about: str
    heading: str
    lines: str
    remarks: tuple[str, ...]
    text: str
    config: Config | None


def start(clone: Clone, read: Read) -> Start:
    """What to write for this clone. Asks nothing and writes nothing."""
    path, text, setting = clone.config_path, clone.config, Setting(clone.branch, read)
    config: Config | None = None
    why = ""
    try:
        config = read_config(path, text) if text is not None else None
        why = f"{path} is a setup config" if config is not None and config.setup else ""
        found = propose(path, TEMPLATE if text is None or why else text, setting)
        compared = None if why else read_config(path, found.text)
    except ConfigUnreadable as problem:
        unreadable = f"{path}:{problem.line} cannot be read ({problem.why})"
        why = unreadable if config is None else f"{path} is written in a way that no line can be added to"
        found, compared = propose(path, TEMPLATE, setting), None
    remarks = list(found.remarks)
    branches = found.branches or (() if found.tags else (clone.branch,))
    if why:
        heading, lines = f"{why}: this is what the config that runs the jobs needs", found.text
    elif text is None:
        heading, lines = f"there is no {path} yet: write this to it", found.text
    elif found.workflow is None:
        lines = _difference(path, text, found.text) if found.text != text else ""
        heading = (
            f"{path} needs this change" if lines else f"{path} is left as it is; the notes say what to write there"
        )
    elif found.text == text:
        heading, lines = f"{path} has all that this needs: workflow {found.workflow} behind {found.flag[0]}", ""
    else:
        heading, lines = f"{path} needs this change", _difference(path, text, found.text)
    if clone.is_gitlab:
        remarks.append(f"{NO_GITLAB}:  deploystep gate production -- COMMAND , and no deploy: in the rule")
    elif clone.project is None:
        remarks.append("no remote called origin tells which project this is; in a build its variables do")
    if "HOST" in "".join((lines, *remarks)):
        remarks.append("HOST and COMMIT: where you cloned deploystep from, and the commit that you have reviewed")
    if "HOST" in lines:
        remarks.append("deploy-token: a context that holds a personal API token as CIRCLE_TOKEN")
    rules = "\n".join(_rules(clone, found, branches)) + "\n"
    about = ", ".join([*(f"branch {name}" for name in branches[:1]), *(f"tag {name}" for name in found.tags[:1])])
    return Start(
        rules,
        _example(branches[0]) if branches else clone.branch,
        about,
        heading,
        lines,
        tuple(remarks),
        found.text,
        compared,
    )


def _difference(path: str, before: str, after: str) -> str:
    lines = unified_diff(before.splitlines(), after.splitlines(), f"a/{path}", f"b/{path}", lineterm="")
    return "\n".join(lines)


def _rules(clone: Clone, found: Proposal, branches: tuple[str, ...]) -> Iterator[str]:
    """The rule file, line by line."""
    flag, value = found.flag
    sha = found.sha
    of = f" of {clone.project}" if clone.project else ""
    yield f"# Which builds{of} deploy{', and what is sent to CircleCI then' if found.workflow else ''}."
    yield "# After a change:  deploystep check && deploystep test && deploystep plan"
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
        yield "    # No deploy: here. The job runs  deploystep gate production -- COMMAND , and nothing is sent."
    else:
        yield "    deploy:"
        yield f"      # The workflow in {clone.config_path} that this starts, and the parameters that it is sent."
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
    yield "# What must happen, for  deploystep test"
    yield "cases:"
    sent = {flag: value, **({sha: _SHA} if sha is not None else {})} if found.workflow else {}
    parameters = ", ".join(f"{_yaml(name)}: {_yaml(each)}" for name, each in sent.items())
    expected = f", parameters: {{production: {{{parameters}}}}}" if sent else ""
    for word, each in names.items():
        for name in map(_example, each):
            yield f"  - name: {_yaml(f'{name} deploys the commit that was tested')}"
            yield f"    given: {{{word}: {_yaml(name)}, sha: {_SHA}}}"
            yield f"    expect: {{fire: [production]{expected}}}"
    other = next((name for name in ("feature/login", "feature/cart") if not _has(branches, name)), None)
    if other is not None:
        yield "  - name: another branch deploys nothing"
        yield f"    given: {{branch: {other}}}"
        yield "    expect: {fire: []}"
    if not _has(found.tags, "v1.4.0"):
        yield "  - name: nor does a tag" if not found.tags else "  - name: nor does another tag"
        yield "    given: {tag: v1.4.0}"
        yield "    expect: {fire: []}"


def _listed(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def _example(text: str) -> str:
    """A branch or tag that is named, or that a regular expression between slashes matches."""
    pattern = pattern_of(text) if text[:1] == "/" else None
    return (witness(pattern, ()) or text) if pattern else text


def _has(texts: tuple[str, ...], name: str) -> bool:
    return any(text == name or (text[:1] == "/" and matches(text, name) is Answer.YES) for text in texts)


def _yaml(value: Scalar) -> str:
    """A value as YAML reads it."""
    is_clear = isinstance(value, str) and _PLAIN.fullmatch(value)
    return str(value) if is_clear else json.dumps(value, ensure_ascii=False)
