"""Writes a first rule file from what the clone and its config tell, and the lines that the config needs for it."""

import json
import re
from collections.abc import Iterator
from difflib import unified_diff
from typing import Final

from deploystep.core.frozen import dataclass
from deploystep.core.parameters import Scalar
from deploystep.project.config import Config, read_config
from deploystep.project.proposal import TEMPLATE, Proposal, propose
from deploystep.project.reading import ConfigUnreadable
from deploystep.project.steps import Read

_PLAIN: Final = re.compile(r"(?!(?:true|false|yes|no|on|off|null)\Z)[A-Za-z_][\w./-]*", re.ASCII | re.IGNORECASE)
_SHA: Final = "4f2c1aa000000000000000000000000000000000"
_RELEASE: Final = re.compile(r"v?\d+\.\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Clone:
    """What a clone tells: its project where its remote names one, its default branch, its tags, and its config."""

    project: str | None
    branch: str
    tags: tuple[str, ...]
    config_path: str
    config: str | None


@dataclass(frozen=True, slots=True)
class Start:
    """A first rule file for `branch`; what to do to the config, in lines; and the config as it is then, also as text.

    `config` is None where none can be compared with the rules.
    """

    rules: str
    branch: str
    heading: str
    lines: str
    remarks: tuple[str, ...]
    text: str
    config: Config | None


def start(clone: Clone, read: Read) -> Start:
    """What to write for this clone. Asks nothing and writes nothing."""
    path, text = clone.config_path, clone.config
    config: Config | None = None
    why = ""
    try:
        config = read_config(path, text) if text is not None else None
        why = f"{path} is a setup config" if config is not None and config.setup else ""
        found = propose(path, TEMPLATE if text is None or why else text, clone.branch, read)
        compared = None if why else read_config(path, found.text)
    except ConfigUnreadable as problem:
        unreadable = f"{path}:{problem.line} cannot be read ({problem.why})"
        why = unreadable if config is None else f"{path} is written in a way that no line can be added to"
        found, compared = propose(path, TEMPLATE, clone.branch, read), None
    remarks = list(found.remarks)
    branches = found.branches or (clone.branch,)
    if why:
        heading, lines = f"{why}: this is what the config that runs the jobs needs", found.text
    elif text is None:
        heading, lines = f"there is no {path} yet: write this to it", found.text
    elif found.text == text:
        heading, lines = f"{path} has all that this needs: workflow {found.workflow} behind {found.flag[0]}", ""
    else:
        heading, lines = f"{path} needs these lines, marked +", _difference(path, text, found.text)
    if clone.project is None:
        remarks.append("no remote called origin tells which project this is; in a build its variables do")
    if "HOST" in lines:
        remarks.append("HOST and COMMIT: where you cloned deploystep from, and the commit that you have reviewed")
        remarks.append("deploy-token: a context that holds a personal API token as CIRCLE_TOKEN")
    rules = "\n".join(_rules(clone, found, branches)) + "\n"
    return Start(rules, branches[0], heading, lines, tuple(remarks), found.text, compared)


def _difference(path: str, before: str, after: str) -> str:
    lines = unified_diff(before.splitlines(), after.splitlines(), f"a/{path}", f"b/{path}", lineterm="")
    return "\n".join(lines)


def _rules(clone: Clone, found: Proposal, branches: tuple[str, ...]) -> Iterator[str]:
    """The rule file, line by line."""
    flag, value = found.flag
    sha = found.sha
    names = ", ".join(map(_yaml, branches))
    of = f" of {clone.project}" if clone.project else ""
    yield f"# Which builds{of} deploy, and what is sent to CircleCI then."
    yield "# After a change:  deploystep check && deploystep test && deploystep plan"
    yield "version: 1"
    yield ""
    yield "rules:"
    yield "  - name: production"
    yield "    # All of these must hold. Others are tag, paths, pull_request, merged_into, user, env ..."
    yield f"    when: {{branch: {names if len(branches) == 1 else f'[{names}]'}}}"
    yield "    # unless:"
    yield '    #   - message_contains: "[skip deploy]"'
    yield "    deploy:"
    yield f"      # The workflow in {clone.config_path} that this starts, and the parameters that it is sent."
    yield f"      workflow: {_yaml(found.workflow)}"
    yield "      parameters:"
    yield f"        {_yaml(flag)}: {_yaml(value)} # opens the gate of the workflow, which a push leaves closed"
    if sha is not None:
        yield f"        {_yaml(sha)}: ${{CIRCLE_SHA1}} # the commit that was tested, for the deploy to check out"
    if found.key is not None:
        yield f"        {_yaml(found.key)}: ${{deploy.key}} # by which a rerun recognises the deploy"
    if any(map(_RELEASE.fullmatch, clone.tags)):
        yield ""
        yield f"  # This repository has tags such as {next(t for t in reversed(clone.tags) if _RELEASE.fullmatch(t))}."
        yield "  # A rule for them says  when: {tag: 'v*'} , and the jobs of its workflow need filters for tags."
    yield ""
    yield "# What must happen, for  deploystep test"
    yield "cases:"
    sent = {flag: value, **({sha: _SHA} if sha is not None else {})}
    parameters = ", ".join(f"{_yaml(name)}: {_yaml(each)}" for name, each in sent.items())
    for branch in branches:
        yield f"  - name: {_yaml(f'{branch} deploys the commit that was tested')}"
        yield f"    given: {{branch: {_yaml(branch)}, sha: {_SHA}}}"
        yield f"    expect: {{fire: [production], parameters: {{production: {{{parameters}}}}}}}"
    yield "  - name: another branch deploys nothing"
    yield f"    given: {{branch: {next(b for b in ('feature/login', 'feature/cart') if b not in branches)}}}"
    yield "    expect: {fire: []}"
    yield "  - name: nor does a tag"
    yield "    given: {tag: v1.4.0}"
    yield "    expect: {fire: []}"


def _yaml(value: Scalar) -> str:
    """A value as YAML reads it."""
    is_clear = isinstance(value, str) and _PLAIN.fullmatch(value)
    return str(value) if is_clear else json.dumps(value, ensure_ascii=False)
