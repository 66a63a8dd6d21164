"""What a call becomes: what a rule sends in its place, and what is to be written where that is not certain."""

import re
from collections.abc import Sequence
from typing import Final

from deploystep.core.build import ProjectSlug
from deploystep.core.frozen import dataclass
from deploystep.core.parameters import TOKEN_VARIABLES
from deploystep.migrate import rules
from deploystep.migrate.conditions import Condition, Holds, Not, Uncertain, When, every, when
from deploystep.migrate.requests import ENDS, Request
from deploystep.migrate.rules import Rule, Target, Trigger, condition

_GONE: Final = f"works until {ENDS}; then it answers HTTP 410"
_DOES: Final = {
    "tree": "triggers a build of a branch",
    "trigger": "triggers a build",
    "build": "triggers a build of a project",
    "retry": "runs a build again",
    "ssh": "runs a build again with SSH",
    "config": "runs a config that it sends, which is no deploy",
}
_VALUE: Final = re.compile(r"(?:[\w./:@+-]|\$\{[A-Z_][A-Z0-9_]*\})*")


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


def of_call(
    request: Request,
    place: tuple[str, int, int],
    own: ProjectSlug | None,
    *,
    by_hand: str,
    holds: When | None = None,
) -> Finding:
    """What there is to say of a call; `by_hand` is why it is not rewritten, empty where it is.

    `holds` are the builds that send it, where that could be read.
    """
    kind = "call" if request.is_doomed else "config-run" if request.endpoint == "config" else "v2-call"
    project = f" of {request.project}" if request.project and "$" not in request.project else ""
    does = "triggers a pipeline" if kind == "v2-call" else _DOES[request.endpoint]
    until = "does not end; a rule could send it" if kind == "v2-call" else _GONE
    is_step = place[0].endswith((".yml", ".yaml"))
    how = ["run it with the CLI:  circleci local execute"]
    if kind != "config-run":
        how = advised(request, own, holds, is_step=is_step)
    if kind == "call" and by_hand and not how[0].startswith("by hand"):
        named = " (JOB is a placeholder)" if "$" in request.parameters.get("CIRCLE_JOB", "") else ""
        how.insert(0, f"by hand, because {by_hand}{named}:")
    what = f"call of API {request.api} that {does}{project}"
    return Finding(kind, request.endpoint, *place, what, until, tuple(how), not by_hand)


def trigger_of(request: Request, own: ProjectSlug | None, holds: Condition) -> tuple[When | None, Trigger]:
    """What a rule sends for a call that builds send of which a condition holds, and for which of them it does.

    Raises Uncertain where that cannot be read.
    """
    if request.endpoint not in ("tree", "trigger", "build") or not request.is_whole or request.tag:
        raise Uncertain
    project, is_own = _project(request, own)
    branch = request.branch
    job = request.parameters.get("CIRCLE_JOB", "")
    if "$" in job or (request.revision not in ("", "${CIRCLE_SHA1}")):
        raise Uncertain
    others = {name: value for name, value in request.parameters.items() if name != "CIRCLE_JOB"}
    if is_own and branch == "${CIRCLE_BRANCH}" and job and not others:
        return when(every(holds, Holds("branch", "**"))), Trigger(None, job, {rules.slug(job): True})
    if is_own and branch and "$" not in branch and job and not others and request.revision:
        if when(every(holds, Not(Holds("branch", branch)))):
            raise Uncertain  # builds of other branches send it too
        return when(holds), Trigger(None, job, {rules.slug(job): True})
    if project is None or is_own or not branch or "$" in branch or request.revision:
        raise Uncertain
    sent: dict[str, str | bool] = {rules.slug(job): True} if job else {}
    for name, value in others.items():
        if not _VALUE.fullmatch(value) or "${_}" in value:
            raise Uncertain
        sent[rules.slug(name).replace("-", "_")] = str.__str__(value)
    target = Target(rules.slug(project.project), str(project), branch)
    return when(holds), Trigger(target, job, {**sent, "deploy_key": "${deploy.key}"})


def _project(request: Request, own: ProjectSlug | None) -> tuple[ProjectSlug | None, bool]:
    """The project of a call, and whether it is this one."""
    slug = request.project if request.api != "v1" else f"gh/{request.project}"
    if re.fullmatch(r"[\w${}]+/\$\{CIRCLE_PROJECT_USERNAME\}/\$\{CIRCLE_PROJECT_REPONAME\}", slug):
        return own, True
    found = ProjectSlug.parse(slug) if "$" not in slug else None
    return found, found is not None and found == own


def advised(request: Request, own: ProjectSlug | None, holds: When | None, *, is_step: bool) -> list[str]:
    """What to write for a call in a step or a script: the rule, and what the config that it starts needs."""
    if request.endpoint in ("retry", "ssh"):
        ends = "" if request.endpoint == "ssh" else ": POST /api/v2/workflow/ID/rerun reruns a whole workflow"
        return [f"by hand, because a rerun is no deploy{ends}"]
    project, is_own = _project(request, own)
    job = request.parameters.get("CIRCLE_JOB", "")
    workflow = "" if request.api == "v2" or not job else "JOB" if "$" in job else job
    target = None
    if not is_own:
        branch = request.branch if request.branch and "$" not in request.branch else "BRANCH"
        target = Target(rules.slug(project.project if project else "other"), str(project or "gh/ORG/PROJECT"), branch)
    sent: dict[str, str | bool] = {rules.slug(workflow): True} if workflow else {"deploy": True} if is_own else {}
    others = [n for n in request.parameters if n != "CIRCLE_JOB" and re.fullmatch(r"[\w-]+", n)]
    names = {n: n if request.api == "v2" else rules.slug(n).replace("-", "_") for n in others}
    # API v1 makes variables of them, which are texts; `<< … >>` is filled in in config.yml alone
    given = {name: "VALUE" if "<<" in value else value for name, value in request.parameters.items()}
    sent |= {name: given[n] if request.api == "v2" else str.__str__(given[n]) for n, name in names.items()}
    sent |= {} if is_own else {"deploy_key": "${deploy.key}"}
    name = rules.slug(workflow or (target.name if target else "deploy"))
    lines = ["in the rule file:", *([" targets:", f"  {rules.target(target)}"] if target else []), " rules:"]
    when = condition(holds) if holds else ["when: {branch: BRANCH}  # a placeholder for the builds that send it today"]
    when[0] += "  # the builds that send it today" if holds and len(when) == 1 else ""
    lines += [f"  - name: {name}", *(f"    {line}" for line in when)]
    lines += [f"    {line}" for line in rules.trigger(Trigger(target, workflow, sent))]
    new = [n for n in sent if request.api != "v2" or n == "deploy_key"]
    lines += (
        [f"in config.yml of {'this project' if is_own else project or 'that project'}:", " parameters:"] if new else []
    )
    lines += [f"  {rules.declared(n, sent[n])}" for n in new]
    read = ", ".join(f"{n}: << pipeline.parameters.{name} >>" for n, name in names.items() if name in new)
    lines += [f"  # in each job that reads them:  environment: {{{read}}}"] if read else []
    if workflow:
        gate = f"<< pipeline.parameters.{rules.slug(workflow)} >>"
        lines += [" workflows:", f"  {rules.gated(workflow)}", f"  # in each other workflow:  unless: {gate}"]
    return [*lines, "in the place of the call:", f" {'- run: ' * is_step}{run(request.token)}"]


def run(token: str, options: str = "") -> str:
    """The command that takes the place of calls with the token in this variable."""
    is_named = token.strip("_") and token not in TOKEN_VARIABLES
    return f"deploystep run{options}{f' --token-env {token}' if is_named else ''}"


def after(written: Sequence[Rule]) -> tuple[str, ...]:
    """What is left to do, and what is no longer as it was, once these rules are written."""
    install = 'install deploystep before these steps:  - run: pip install "git+https://HOST/deploystep.git@COMMIT"'
    lines = [install, "  an image without Python 3.10 or newer, or without pip: docs/install.md"]
    sent = [rule.trigger for rule in written if rule.trigger]
    if sent:
        lines.append(
            "a personal API token, for API v2 takes no project token; to see that it works:  deploystep doctor"
        )
        lines.append(
            "a commit that was deployed is not deployed again, by a rerun or a schedule; --again REASON does it"
        )
    targets = dict.fromkeys(each.target.project for each in sent if each.target)
    lines += [
        f"first add what is shown above to config.yml of {project}: CircleCI refuses what it does not declare"
        for project in targets
    ]
    return (
        *lines,
        "to see that it fits:  deploystep check",
        "a build of a fork does not deploy, unless the rule says  fork: true",
        "a build whose branch has moved on is superseded: nothing is executed or sent",
        "a build whose branch was rebased or force-pushed ends with 5 after 30 seconds, where the old step was green",
    )
