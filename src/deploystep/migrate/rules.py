"""What a migration says and writes: rules in the place of steps and calls, as text, and what is left to do."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from deploystep.core.build import ProjectSlug
from deploystep.core.frozen import dataclass
from deploystep.core.parameters import TOKEN_VARIABLES
from deploystep.core.source import SourceFile
from deploystep.core.text import visible
from deploystep.migrate.conditions import ALWAYS, Condition, Refs, Uncertain, both, negated
from deploystep.migrate.config import apply, end_of, insert, scalar
from deploystep.migrate.requests import ENDS, Bare, Request
from deploystep.project.reading import ConfigUnreadable, Items, Map, at, key_line, map_of, read_yaml

_LONGEST_NAME: Final = 64
_KEY: Final = "${deploy.key}"
_VALUE: Final = re.compile(r"(?:[\w./:@+-]|\$\{[A-Z][A-Z0-9_]*\})*")
_DOES: Final = {
    "tree": "triggers a build of a branch",
    "trigger": "triggers a build",
    "build": "triggers a build of a project",
    "retry": "runs a build again",
    "ssh": "runs a build again with SSH",
    "config": "runs a config that it sends, which is no deploy",
}
_SOME_BRANCH: Final = Condition(Refs(("BRANCH",)), Refs())
_quoted: Final = partial(scalar, is_flow=True)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found, at its place (from 1).

    `kind` is deploy-step, call, or for what is no alarm v2-call or config-run; `advice` are lines to write;
    `is_written` tells whether the changed files do it.
    """

    kind: str
    endpoint: str
    path: str
    line: int
    column: int
    what: str
    until: str
    advice: tuple[str, ...]
    is_written: bool = False

    @property
    def is_alarm(self) -> bool:
        """Whether it stops working, or is deprecated, and a deploy depends on it."""
        return self.kind in ("deploy-step", "call")


class Target(NamedTuple):
    """Another project that a rule sends to."""

    name: str
    project: str
    branch: str

    def line(self) -> str:
        """The line that describes it."""
        return f"{self.name}: {{project: {_quoted(self.project)}, branch: {_quoted(self.branch)}}}"


class Trigger(NamedTuple):
    """What a rule sends; without a target, to this project."""

    target: Target | None
    workflow: str
    parameters: Mapping[str, str | bool]

    def lines(self) -> list[str]:
        """The lines `deploy:`."""
        lines = ["deploy:", *([f"  to: {self.target.name}"] if self.target else [])]
        lines += [f"  workflow: {_quoted(self.workflow)}"] if self.workflow else []
        lines += ["  parameters:"] if self.parameters else []
        for key, value in self.parameters.items():
            text = value if value == _KEY or isinstance(value, Bare) else f'"{value}"'
            lines.append(f"    {key}: {'true' if value is True else text}")
        return lines


class Rule(NamedTuple):
    """A rule to be added; without a trigger it is for `gate` alone. `notes` stand above it as comments."""

    name: str
    when: Condition
    trigger: Trigger | None
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """It as an item of a list."""
        (branch, no_branch), (tag, no_tag), given = self.when
        env = f", env: {{{', '.join(f'{name}: {_patterns([text])}' for name, text in given)}}}" if given else ""
        lines = [f"name: {self.name}", *_matchers("when", [("branch", branch), ("tag", tag)], env)]
        lines += _matchers("unless", [("branch", no_branch), ("tag", no_tag)])
        lines += self.trigger.lines() if self.trigger else []
        if self.when == ALWAYS:
            lines.append("ignore: [P04]  # the filters of its job hold too")
        return [*(f"# {note}" for note in self.notes), f"- {lines[0]}", *(f"  {line}" for line in lines[1:])]


def slug(text: str, otherwise: str = "deploy") -> str:
    """A text as a name of a rule, a target or a parameter."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_LONGEST_NAME].strip("-") or otherwise


def called(holds: Condition) -> str:
    """What to call builds: the names of their refs, how a pattern begins, or branch or tag; all have no name."""
    refs = [(word, text) for word, of in (("branch", holds.branches), ("tag", holds.tags)) for text in of.some]
    begins = ((word, text, re.findall(r"\A/[^\w\[]*([A-Za-z-]{3,})", text)) for word, text in refs if text != "**")
    names = dict.fromkeys(text if text[0] != "/" else found[0] if found else word for word, text, found in begins)
    return " ".join([*names][:2]) or (refs[0][0] if len(refs) == 1 else "")


def _matchers(key: str, refs: Sequence[tuple[str, Sequence[str]]], env: str = "") -> list[str]:
    """The lines `when:` or `unless:`."""
    entries = [f"{word}: {_patterns(texts)}{env}" for word, texts in refs if texts]
    if len(entries) == 1:
        return [f"{key}: {{{entries[0]}}}"]
    return [f"{key}:", *(f"  - {{{entry}}}" if env else f"  - {entry}" for entry in entries)] if entries else []


def _patterns(texts: Sequence[str]) -> str:
    found = [f'"{text}"' if text in ("*", "**") else _quoted(text) for text in texts]
    return found[0] if len(found) == 1 else f"[{', '.join(found)}]"


# --- what a call becomes


def trigger_for(request: Request, own: ProjectSlug | None) -> Trigger:
    """What a rule sends for a call; what cannot be read is a placeholder: JOB, BRANCH, VALUE."""
    project, is_own = _project(request, own)
    job = request.parameters.get("CIRCLE_JOB", "")
    workflow = "" if request.api == "v2" else "JOB" if "$" in job else job
    sent: dict[str, str | bool] = {slug(workflow): True} if workflow else {"deploy": True} if is_own else {}
    for name, value in request.parameters.items():
        given = "VALUE" if "<<" in value else value  # `<< … >>` is filled in in config.yml alone
        if request.api == "v2" and re.fullmatch(r"[\w-]+", name):
            sent[name] = given
        elif request.api != "v2" and name != "CIRCLE_JOB":
            sent[_parameter(name)] = str.__str__(given)  # API v1 makes variables of them, which are texts
    if is_own:
        return Trigger(None, workflow, sent)
    branch = request.branch if request.branch and "$" not in request.branch else "BRANCH"
    target = Target(slug(project.project if project else "other"), str(project or "gh/ORG/PROJECT"), branch)
    return Trigger(target, workflow, {**sent, "deploy_key": _KEY})


def builds_for(request: Request, own: ProjectSlug | None, holds: Condition) -> Condition:
    """The builds for which a rule can send what builds of this condition send by a call.

    Raises Uncertain where a rule cannot.
    """
    project, is_own = _project(request, own)
    job, branch, revision = request.parameters.get("CIRCLE_JOB", ""), request.branch, request.revision
    if request.endpoint not in ("tree", "trigger", "build") or not request.is_whole or request.tag or "$" in job:
        raise Uncertain
    is_open = not branch or "$" in branch
    if is_own:
        if not job or len(request.parameters) > 1 or revision not in ("", "${CIRCLE_SHA1}"):
            raise Uncertain
        if branch == "${CIRCLE_BRANCH}":
            return holds._replace(tags=Refs())
        if is_open or not revision or not both(holds, negated(Condition(Refs((branch,)), Refs()))).is_never:
            raise Uncertain  # builds of other branches send it too
        return holds
    values = (value for name, value in request.parameters.items() if name != "CIRCLE_JOB")
    if project is None or is_open or revision or not all(map(_VALUE.fullmatch, values)):
        raise Uncertain
    return holds


def _parameter(name: str) -> str:
    return slug(name).replace("-", "_")


def _project(request: Request, own: ProjectSlug | None) -> tuple[ProjectSlug | None, bool]:
    """The project of a call, and whether it is this one."""
    project = request.project if request.api != "v1" else f"gh/{request.project}"
    if re.fullmatch(r"[\w${}]+/\$\{CIRCLE_PROJECT_USERNAME\}/\$\{CIRCLE_PROJECT_REPONAME\}", project):
        return own, True
    found = ProjectSlug.parse(project) if "$" not in project else None
    return found, found is not None and found == own


def of_call(
    request: Request, place: tuple[str, int, int], own: ProjectSlug | None, by_hand: str, holds: Condition | None
) -> Finding:
    """What there is to say of a call; `by_hand` is why it is not rewritten, empty where it is.

    `holds` are the builds that send it, where that could be read.
    """
    kind = "call" if request.is_doomed else "config-run" if request.endpoint == "config" else "v2-call"
    project = f" of {request.project}" if request.project and "$" not in request.project else ""
    does, until = _DOES[request.endpoint], f"works until {ENDS}; then it answers HTTP 410"
    if kind == "v2-call":
        does, until = "triggers a pipeline", "does not end; a rule could send it"
    if kind == "config-run":
        how = ["run it with the CLI:  circleci local execute"]
    elif request.endpoint in ("retry", "ssh"):
        ends = "" if request.endpoint == "ssh" else ": POST /api/v2/workflow/ID/rerun reruns a whole workflow"
        how = [f"by hand, because a rerun is no deploy{ends}"]
    else:
        how = _advised(request, own, holds, is_step=place[0].endswith((".yml", ".yaml")))
        named = " (JOB is a placeholder)" if "$" in request.parameters.get("CIRCLE_JOB", "") else ""
        how = [*([f"by hand, because {by_hand}{named}:"] if by_hand and kind == "call" else []), *how]
    how[:0] = [
        f"by hand, because the value of {visible(name)} looks like a secret: put it into a context as "
        f"{request.parameters[name][2:-1]}, and revoke the one that stands here"
        for name in request.secrets
    ]
    what = f"call of API {request.api} that {does}{project}"
    return Finding(kind, request.endpoint, *place, what, until, tuple(how), not by_hand)


def _advised(request: Request, own: ProjectSlug | None, holds: Condition | None, *, is_step: bool) -> list[str]:
    """What to write for a call in a step or a script: the rule, and what the config that it starts needs."""
    sent = trigger_for(request, own)
    target, workflow = sent.target, sent.workflow
    name = slug(workflow or (target.name if target else "deploy"))
    lines = ["in the rule file:", *([" targets:", f"  {target.line()}"] if target else []), " rules:"]
    first, when, *rest = Rule(name, holds or _SOME_BRANCH, sent).lines()
    when += "" if when[-1] == ":" else f"  # {'' if holds else 'a placeholder for '}the builds that send it today"
    lines += [f"  {line}" for line in (first, when, *rest)]
    new = {n: value for n, value in sent.parameters.items() if request.api != "v2" or n == "deploy_key"}
    where = "this project" if target is None else "that project" if "/ORG/" in target.project else target.project
    lines += [f"in config.yml of {where}:", " parameters:"] if new else []
    for parameter, value in new.items():
        about = "type: boolean, default: false" if value is True else 'type: string, default: ""'
        lines.append(f"  {parameter}: {{{about}}}")
    others = [n for n in request.parameters if request.api != "v2" and n != "CIRCLE_JOB"]
    read = ", ".join(f"{n}: << pipeline.parameters.{_parameter(n)} >>" for n in others)
    lines += [f"  # in each job that reads them:  environment: {{{read}}}"] if read else []
    if workflow:
        gate = f"<< pipeline.parameters.{slug(workflow)} >>"
        lines += [" workflows:", f"  {workflow}: {{when: {gate}, jobs: [{workflow}]}}"]
        lines += [f"  # in each other workflow:  unless: {gate}"]
    return [*lines, "in the place of the call:", f" {'- run: ' * is_step}{run(request.token)}"]


def run(token: str, options: str = "") -> str:
    """The command that takes the place of calls with the token in this variable."""
    is_named = token.strip("_") and token not in TOKEN_VARIABLES
    return f"deploystep run{options}{f' --token-env {token}' if is_named else ''}"


def after(written: Sequence[Rule]) -> tuple[str, ...]:
    """What is left to do, and what is no longer as it was, once these rules are written."""
    sent = [rule.trigger for rule in written if rule.trigger]
    of_sent = (
        "a personal API token, for API v2 takes no project token; to see that it works:  deploystep doctor",
        "a commit that was deployed is not deployed again, by a rerun or a schedule; --again REASON does it",
    )
    return (
        'install deploystep before these steps:  - run: pip install "git+https://HOST/deploystep.git@COMMIT"',
        "  an image without Python 3.10 or newer, or without pip: docs/install.md",
        *(of_sent if sent else ()),
        *(
            f"first add what is shown above to config.yml of {project}: CircleCI refuses what it does not declare"
            for project in dict.fromkeys(each.target.project for each in sent if each.target)
        ),
        "to see that it fits:  deploystep check",
        "a build of a fork does not deploy, unless the rule says  fork: true",
        "a build whose branch has moved on is superseded: nothing is executed or sent",
        "a build whose branch was rebased or force-pushed ends with 5 after 30 seconds, where the old step was green",
    )


# --- the rule file


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


def file_with(source: SourceFile | None, rules: Sequence[Rule]) -> str | None:
    """The rule file with more rules; None where nothing can be added to the one that there is."""
    targets = dict.fromkeys(rule.trigger.target for rule in rules if rule.trigger and rule.trigger.target)
    heading = ["targets:", *(f"  {target.line()}" for target in targets)] if targets else []
    added = [line for rule in rules for line in rule.lines()]
    if source is None:
        return "\n".join(["version: 1", *heading, "rules:", *(f"  {line}" for line in added)]) + "\n"
    try:
        root = read_yaml(source.text)
    except ConfigUnreadable:
        return None
    items, lines = at(root, "rules"), source.text.split("\n")
    key = key_line(root, "rules") if isinstance(root, Map) else 0
    first = items.line if isinstance(items, Items) else 0
    found = re.match(r"( *)- ", lines[first - 1]) if first > key > 0 else None
    if not isinstance(root, Map) or found is None or (targets and at(root, "targets") is not None):
        return None
    edits = [insert(end_of(root, key, lines), [found[1] + line for line in added])]
    return apply(source.text, [*edits, insert(key, heading)] if heading else edits)
