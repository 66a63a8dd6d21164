"""What a migration says and writes: rules in the place of steps and calls, as text, and what is left to do."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from deploystep.core.build import ProjectSlug
from deploystep.core.frozen import Frozen
from deploystep.core.parameters import TOKEN_VARIABLES
from deploystep.core.source import SourceFile
from deploystep.migrate.calls import Request
from deploystep.migrate.conditions import ALWAYS, Condition
from deploystep.migrate.config import apply, end_of, insert, scalar
from deploystep.migrate.shell import Uncertain
from deploystep.project.reading import Items, Map, at, key_line

_VALUE: Final = re.compile(r"(?:[\w./:@+-]|\$\{[A-Z][A-Z0-9_]*\})*")
_DOES: Final = {
    "tree": "triggers a build of a branch",
    "trigger": "triggers a build",
    "build": "triggers a build of a project",
    "retry": "runs a build again",
    "ssh": "runs a build again with SSH",
    "config": "runs a config that it sends, which is no deploy",
}


class Finding(Frozen):
    """One thing found, at its place (from 1)."""

    kind: str  # deploy-step, call, or for what is no alarm v2-call or config-run
    endpoint: str
    path: str
    line: int
    column: int
    what: str
    until: str
    advice: tuple[str, ...]  # lines to write
    is_written: bool = False  # the changed files do it

    @property
    def is_alarm(self) -> bool:
        """Whether it stops working, or is deprecated, and a deploy depends on it."""
        return self.kind in ("deploy-step", "call")


class Trigger(NamedTuple):
    """What a rule sends: to another project, whose target has a name and lines that describe it, or to this one."""

    to: str
    project: str
    targets: tuple[str, ...]
    workflow: str
    parameters: Mapping[str, str]


class Rule(NamedTuple):
    """A rule to be added; without a trigger it is for `gate` alone. `notes` stand above it as comments."""

    name: str
    when: Condition
    trigger: Trigger | None = None
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        branch, no_branch, tag, no_tag = self.when
        lines = [f"name: {self.name}", *_matchers("when", branch, tag), *_matchers("unless", no_branch, no_tag)]
        if self.trigger:
            to, _, _, workflow, parameters = self.trigger
            sent = {"to": to, "workflow": scalar(workflow) if workflow else ""}
            lines += ["deploy:", *(f"  {key}: {text}" for key, text in sent.items() if text)]
            lines += ["  parameters:", *(f"    {key}: {value}" for key, value in parameters.items())]
        if self.when == ALWAYS:
            lines.append("ignore: [P04]  # the filters of its job hold too")
        return [*(f"# {note}" for note in self.notes), f"- {lines[0]}", *(f"  {line}" for line in lines[1:])]


def slug(text: str, otherwise: str = "deploy") -> str:
    """A text as a name of a rule, a target or a parameter."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:64].strip("-") or otherwise


def _matchers(key: str, branches: Sequence[str], tags: Sequence[str]) -> list[str]:
    """The lines `when:` or `unless:`."""
    entries = []
    for word, texts in (("branch", branches), ("tag", tags)):
        found = ", ".join(f'"{text}"' if text == "**" else scalar(text) for text in texts)
        entries += [f"{word}: [{found}]" if len(texts) > 1 else f"{word}: {found}"] if texts else []
    if len(entries) == 1:
        return [f"{key}: {{{entries[0]}}}"]
    return [f"{key}:", *(f"  - {entry}" for entry in entries)] if entries else []


def trigger_for(request: Request, own: ProjectSlug | None) -> Trigger:
    """What a rule sends for a call; what cannot be read is a placeholder: JOB, BRANCH, VALUE."""
    slug_of = request.project if request.api != "v1" else f"gh/{request.project}"
    is_own = re.fullmatch(r"[\w${}]+/\$\{CIRCLE_PROJECT_USERNAME\}/\$\{CIRCLE_PROJECT_REPONAME\}", slug_of) is not None
    project = ProjectSlug.parse(slug_of) if "$" not in slug_of else None
    is_own |= project is not None and project == own
    job = request.parameters.get("CIRCLE_JOB", "")
    workflow = "JOB" if "$" in job else job
    sent = {slug(workflow): "true"} if workflow or is_own else {}
    for name, value in request.parameters.items():
        if name != "CIRCLE_JOB":  # API v1 makes variables of them, which are texts
            sent[slug(name).replace("-", "_")] = '"VALUE"' if "<<" in value else f'"{value}"'
    if is_own:
        return Trigger("", "this project", (), workflow, sent)
    branch = request.branch if request.branch and "$" not in request.branch else "BRANCH"
    name, project_of = slug(project.project if project else "other"), str(project or "gh/ORG/PROJECT")
    line = f"  {name}: {{project: {scalar(project_of)}, branch: {scalar(branch)}}}"
    return Trigger(name, project_of, ("targets:", line), workflow, {**sent, "deploy_key": "${deploy.key}"})


def builds_for(request: Request, sent: Trigger, holds: Condition) -> Condition:
    """The builds of a condition for which a rule can send what they send by a call. Raises Uncertain where none can."""
    values, holds = list(request.parameters.values()), holds if sent.to else holds._replace(tag=(), no_tag=())
    is_known = request.endpoint in ("tree", "trigger", "build") and request.is_whole and sent.workflow != "JOB"
    if sent.to:
        is_known &= re.fullmatch(r"[^$]+", request.branch) is not None and "/ORG/" not in sent.project
        is_known &= not request.revision and all(map(_VALUE.fullmatch, values))
    else:
        is_known &= len(values) == 1 and bool(sent.workflow) and request.branch == "${CIRCLE_BRANCH}"
        is_known &= request.revision in ("", "${CIRCLE_SHA1}")
    if not is_known or request.tag or not (holds.branch or holds.tag):
        raise Uncertain
    return holds


def of_call(
    request: Request, place: tuple[str, int, int], own: ProjectSlug | None, by_hand: str, holds: Condition | None
) -> Finding:
    """What there is to say of a call; `by_hand` is why it is not rewritten, and `holds` the builds where it is."""
    kind = "call" if request.is_doomed else "config-run" if request.endpoint == "config" else "v2-call"
    project = f" of {request.project}" if request.project and "$" not in request.project else ""
    does, until, how = _DOES[request.endpoint], "works until 1 February 2027; then it answers HTTP 410", list[str]()
    if kind == "v2-call":
        does, until = "triggers a pipeline", "does not end; a rule with to: or workflow: could send it"
    elif kind == "config-run":
        how = ["run it with the CLI:  circleci local execute"]
    elif request.endpoint in ("retry", "ssh"):
        how = ["by hand, because a rerun is no deploy: POST /api/v2/workflow/ID/rerun reruns a whole workflow"]
    else:
        how = [f"by hand, because {by_hand}:"] if by_hand else []
        how += _advised(request, own, holds, is_step=place[0].endswith((".yml", ".yaml")))
    what = f"call of API {request.api} that {does}{project}"
    return Finding(kind, request.endpoint, *place, what, until, tuple(how), not by_hand)


def _advised(request: Request, own: ProjectSlug | None, holds: Condition | None, *, is_step: bool) -> list[str]:
    """What to write for a call in a step or a script: the rule, and what the config that it starts needs."""
    sent = trigger_for(request, own)
    first, when, *rest = Rule(slug(sent.workflow or sent.to), holds or Condition(("BRANCH",)), sent).lines()
    when += "" if when[-1] == ":" else f"  # {'' if holds else 'a placeholder for '}the builds that send it today"
    lines = ["in the rule file:", *(f" {line}" for line in sent.targets), " rules:"]
    lines += [*(f"  {line}" for line in (first, when, *rest)), f"in config.yml of {sent.project}:", " parameters:"]
    variables = {slug(name).replace("-", "_"): name for name in request.parameters if name != "CIRCLE_JOB"}
    for name, value in sent.parameters.items():
        kind = "boolean, default: false" if value in ("true", "false") else 'string, default: ""'
        gives = f"  # environment: {{{variables.get(name)}: << pipeline.parameters.{name} >>}} where it is read"
        lines.append(f"  {name}: {{type: {kind}}}{gives if name in variables else ''}")
    if sent.workflow:
        gate = f"<< pipeline.parameters.{slug(sent.workflow)} >>"
        lines += [" workflows:", f"  {sent.workflow}: {{when: {gate}, jobs: [{sent.workflow}]}}"]
        lines += [f"  # in each other workflow:  unless: {gate}"]
    return [*lines, "in the place of the call:", f" {'- run: ' * is_step}{run(request.token)}"]


def run(token: str, options: str = "") -> str:
    """The command that takes the place of calls with the token in this variable."""
    is_named = token.strip("_") and token not in TOKEN_VARIABLES
    return f"deploystep run{options}{f' --token-env {token}' if is_named else ''}"


def after(sent: Trigger | None) -> tuple[str, ...]:
    """What is left to do, and what is no longer as it was, once the rules are written."""
    lines = [
        'install deploystep before these steps:  - run: pip install "git+https://HOST/deploystep.git@COMMIT"',
        "  an image without Python 3.10 or newer, or without pip: docs/install.md",
    ]
    if sent:
        lines += ["a personal API token, for API v2 takes no project token; to see that it works:  deploystep doctor"]
        lines += ["a commit that was deployed is not deployed again, by a rerun or a schedule; --again REASON does it"]
    if sent and sent.to:
        lines += [f"first add what is shown above to config.yml of {sent.project}: it refuses what it does not declare"]
    return (
        *lines,
        "to see that it fits:  deploystep check",
        "a build of a fork does not deploy, unless the rule says  fork: true",
        "a build whose branch has moved on is superseded: nothing is executed or sent",
        "a build whose branch was rebased or force-pushed ends with 5 after 30 seconds, where the old step was green",
    )


def file_with(source: SourceFile | None, root: Map, rules: Sequence[Rule]) -> str | None:
    """The rule file with more rules; None where nothing can be added to the one that there is."""
    heading = next((rule.trigger.targets for rule in rules if rule.trigger), ())
    added = [line for rule in rules for line in rule.lines()]
    if source is None:
        return "\n".join(["version: 1", *heading, "rules:", *(f"  {line}" for line in added)]) + "\n"
    items, lines, key = at(root, "rules"), source.text.split("\n"), key_line(root, "rules")
    first = items.line if isinstance(items, Items) else 0
    found = re.match(r"( *)- ", lines[first - 1]) if first > key > 0 else None
    if found is None or (heading and at(root, "targets") is not None):
        return None
    edits = [insert(end_of(root, key, lines), [found[1] + line for line in added])]
    return apply(source.text, [*edits, insert(key, list(heading))] if heading else edits)
