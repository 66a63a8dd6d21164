"""What a config needs to take part: a gate that it has already, `gate` in a job that deploys, or a workflow for it.

Lines are added to the text as it stands, each below the key that it belongs to, and what comes of it is read again:
where a trigger would not start the deploy, or a push would, no lines are proposed at all.
"""

import json
import re
from collections.abc import Container, Iterator
from itertools import chain, count
from typing import Final

from deploystep.core.build import Branch
from deploystep.core.facts import Answer
from deploystep.core.frozen import dataclass
from deploystep.core.parameters import Scalar
from deploystep.core.patterns import is_legal_ref
from deploystep.project import reading
from deploystep.project.conditions import pattern_of
from deploystep.project.config import DEPLOYS, Config, Job, Workflow, WorkflowRuns, read_config
from deploystep.project.reading import ConfigUnreadable, Map, Text, at, items_of, key_line, map_of
from deploystep.project.steps import RUN, Read, runs_step

#: The smallest config with both workflows, for a project that has none.
TEMPLATE: Final = """\
version: 2.1

jobs:
  test:
    docker: [{image: cimg/base:current}]
    steps:
      - checkout
      - run: ./run-tests.sh

workflows:
  build:
    jobs:
      - test
"""
_REVISIONS: Final = frozenset({"sha", "sha1", "git_sha", "commit_sha", "commit", "revision"})
_INSTALL: Final = '- run: pip install "git+https://HOST/deploystep.git@COMMIT"'
_NAME: Final = re.compile(r"[A-Za-z_][\w./-]*")  # one that needs no quotes
_PLAIN: Final = re.compile(r"[\w./-]+(?: [\w./:=@+<> -]+)?")  # a command in which nothing is for a shell


@dataclass(frozen=True, slots=True)
class Proposal:
    """The workflow that deploys, what opens its gate, which parameter takes the commit and which the deploy key.

    No workflow: the deploy stays in its job, for `gate` to judge, and nothing is sent. `text` is the config with the
    lines that are missing. `branches` and `tags` are names and `/regular expressions/` of which the deploy was until
    now; none where the config does not tell. `remarks` are what the lines cannot do.
    """

    workflow: str | None
    flag: tuple[str, Scalar]
    sha: str | None
    key: str | None
    text: str
    branches: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


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


def propose(config: Config, clone: Clone, read: Read, taken: Container[str] = ()) -> Proposal:
    """What is missing in a config for deploys of the default branch; new names are none of those that are taken.

    Raises ConfigUnreadable where no line can be added.
    """
    if config.setup:
        raise ConfigUnreadable(config.setup, "it is a setup config, which another one continues")
    if not config.has_workflows and config.workflows:
        text = f"{config.text.rstrip()}\n\nworkflows:\n  build:\n    jobs:\n      - build\n"
        config = read_config(config.path, text)
    found = _Proposing(config, clone, read)
    gate = max(found.gates(), default=None) if not clone.is_gitlab else None
    if gate is not None:
        return found.behind(*gate[1:])
    is_there = clone.is_gitlab or any(job.deploys for job in config.jobs)
    return found.in_place() if is_there else found.second(taken)


def _runs(config: Config, branch: str, sent: dict[str, Scalar] | None) -> list[WorkflowRuns]:
    """What a push of the branch runs or may run, or a trigger that sends something."""
    found = config.runs(config.trigger(Branch(branch), sent or {}, by_api=sent is not None))
    return [w for w in found if w.runs.answer is not Answer.NO]


def _unused(name: str, *taken: Container[str]) -> str:
    """The name, with a number where it is taken."""
    names = chain((name,), (f"{name}_{n}" for n in count(2)))
    return next(name for name in names if not any(name in each for each in taken))


class _Proposing:
    """The lines of a config, and those that are added below some of them."""

    def __init__(self, config: Config, clone: Clone, read: Read) -> None:
        self.config, self.read, self.lines = config, read, config.text.splitlines()
        self.root, self.jobs = config.root, map_of(at(config.root, "jobs"))
        self.branch, self.options = clone.branch, clone.options
        self.pushed = _runs(config, clone.branch, None)
        self.added: dict[int, list[str]] = {}
        self.remarks: list[str] = []

    def below(self, fields: Map, key: str, texts: list[str], *, is_last: bool = False) -> None:
        """Add lines as the first or last below a key. Raises ConfigUnreadable where what is there has no own lines."""
        node, line = at(fields, key), key_line(fields, key)
        rest = enumerate(self.lines[line:], line + 1)
        first = next((n for n, text in rest if text.strip() and text.lstrip()[0] not in "#{["), 0)
        if node is None or node.line != first:
            raise ConfigUnreadable(line, f"what is below {key} has no lines of its own")
        indent = self.lines[first - 1].partition(self.lines[first - 1].lstrip())[0]
        for n, text in enumerate(self.lines[first - 1 :], first) if is_last else ():
            if text.startswith((f"{indent}-", f"{indent} ")):
                line = n
            elif text.strip() and text.lstrip()[0] != "#":
                break
        self.added.setdefault(line, []).extend(f"{indent}{text}" for text in texts)

    def into(self, key: str, texts: list[str]) -> None:
        """Add lines below a key of the whole config, or below its version the key too, where it is not there."""
        if at(self.root, key) is not None or at(self.root, "version") is None:
            self.below(self.root, key, texts)
            return
        block, head = self.added.setdefault(key_line(self.root, "version"), []), f"{key}:"
        place = block.index(head) if head in block else len(block)
        block[place : place + 1] = [head, *(f"  {text}" for text in texts)]

    def text(self) -> str:
        if not self.added and self.lines == self.config.text.splitlines():
            return self.config.text
        return "".join(f"{t}\n" for n, line in enumerate(self.lines, 1) for t in (line, *self.added.get(n, ())))

    # --- a gate that is there

    def gates(self) -> Iterator[tuple[bool, str, str, Scalar]]:
        """Workflows that one parameter starts alone and a push does not, with the value; production sorts last."""
        pushed = [w.workflow.name for w in self.pushed]
        texts = [t for w in self.config.workflows for t in reading.under(w.fields, "equal") if "<<" not in t]
        for name, declared in self.config.parameters.items():
            values: list[Scalar] = [*declared.values] or [*sorted(set(map(str, texts)))]
            values = [declared.default is not True] if declared.type == "boolean" else values
            for value in values if declared.type != "integer" else ():
                runs = _runs(self.config, self.branch, {name: value}) if value != declared.default else []
                started = [w.workflow for w in runs if w.runs.answer is Answer.YES]
                alone = started[0] if len(started) == 1 else None
                if alone is None or alone.name in pushed or self._has_step([alone]):
                    continue
                if any(map(DEPLOYS.search, (alone.name, name, str(value)))):
                    yield "prod" in f"{alone.name}{value}", alone.name, name, value

    def behind(self, workflow: str, name: str, value: Scalar) -> Proposal:
        """Let the rule open a gate that is there, and a job run the step."""
        declared = self.config.parameters
        sha = next((n for n, d in declared.items() if n in _REVISIONS and d.type == "string"), None)
        if sha is None:
            self.remarks.append(f"workflow {workflow} is sent no commit: the run is of the branch's head")
        try:
            self.add_step()
        except ConfigUnreadable as problem:
            where = f"let a job that runs for a push to {self.branch}, after the tests"
            command = f"deploystep run{self.options}"
            self.remarks.append(f"{where}, run  {command}  (line {problem.line}: {problem.why})")
            self.added = {}
        key = "deploy_key" if "deploy_key" in declared else None
        return Proposal(workflow, (name, value), sha, key, self.text(), remarks=tuple(self.remarks))

    def _has_step(self, workflows: list[Workflow]) -> bool:
        steps = (runs_step(self.config, job, self.read) for workflow in workflows for job in workflow.jobs)
        return any(found.of(RUN).answer is Answer.YES for found in steps)

    def add_step(self) -> None:
        """Add a job that runs the step, after all others of what a push runs, unless one does."""
        command, others = f"deploystep run{self.options}", [w.workflow for w in self.pushed]
        build = next((w for w in self.pushed if w.jobs), None)
        if self._has_step(others):
            return
        if build is None:
            self.remarks.append(f"no workflow runs for a push to {self.branch}: let one run  {command}")
            return
        key, w = _unused("deploystep", self.jobs), build.workflow
        required = [id(other) for job in w.jobs for other in w.required(job)]
        leaves = [
            job.alias for job, runs in build.jobs
            if runs.answer is not Answer.NO and not job.is_approval and id(job) not in required
        ]  # fmt: skip
        quoted = [name if _NAME.fullmatch(name) else json.dumps(name, ensure_ascii=False) for name in leaves]
        needs = [f"    requires: [{', '.join(quoted)}]"] if leaves else []
        entry = [f"- {key}:", *needs, "    context: deploy-token # holds CIRCLE_TOKEN"]
        self.below(w.fields, "jobs", entry, is_last=True)
        steps = ["    - checkout", f"    {_INSTALL}", f"    - run: {command}"]
        self.into("jobs", [f"{key}:", "  docker: [{image: cimg/python:3.12}]", "  steps:", *steps])
        if len(others) > 1:
            names = " and ".join(other.name for other in others if other is not w)
            what = f"a push also runs workflow {names}, for whose jobs a deploystep in workflow {w.name} does not wait"
            self.remarks.append(what)

    # --- a deploy that stays where it is

    def in_place(self) -> Proposal:
        """Let `gate` judge the deploy in its job: in its line where that is certain, else in words."""
        command, tell = f"deploystep gate production{self.options} --", self.remarks.append
        found = [job for job in self.config.jobs if job.deploys]
        job = min(found, key=lambda job: "prod" not in job.alias, default=None)
        if job is None:
            tell(f"no job here deploys, as far as names tell: let the one that does run  {command} COMMAND")
            return Proposal(None, ("", True), None, None, self.text(), remarks=tuple(self.remarks))
        calls, last = runs_step(self.config, job, self.read).calls, self._last_command(job)
        how = f"write there  {command}  before the command that deploys, or  {command} bash -eo pipefail -c '...'  "
        how += "where it needs a shell; what an orb does goes into steps of this config"
        if last is not None and not calls:
            line = self.lines[last.line - 1]
            self.lines[last.line - 1] = f"{line[: last.column - 1]}{command} {line[last.column - 1 :]}"
            how = f"{command}  stands before its last command: is that the one that deploys?"
        tell(f"job {job.alias} (line {job.line}) deploys, and stays where it is: {how}")
        if not calls:
            tell(f"the job needs deploystep before that: {_INSTALL}, or another way of docs/install.md")
        others = ", ".join(dict.fromkeys(other.alias for other in found if other.alias != job.alias))
        if others:
            tell(f"as their names tell, {others} deploy too: write a rule for each, and a gate that names it")
        branches, tags = _patterns(job, "branches"), _patterns(job, "tags")
        if not branches and not tags:
            tell(f"the filters of job {job.alias} tell no names: the rule is for branch {self.branch} alone")
        return Proposal(None, ("", True), None, None, self.text(), branches, tags, tuple(self.remarks))

    def _last_command(self, job: Job) -> Text | None:
        """The last command of a job, where it is one program on one line that no other job runs."""
        steps = (at(s, "run") for s in reversed(items_of(at(self.jobs, job.key, "steps"))))
        run = next((found for found in steps if found is not None), None)
        command = run if isinstance(run, Text) else at(run, "command")
        others = [node for key, node in self.jobs.items() if key != job.key]
        shared = (text for node in (*others, at(self.root, "commands")) for text in reading.all_texts(node))
        is_own = [other.key for other in self.config.jobs].count(job.key) == 1 and job.names == (job.alias,)
        if not isinstance(command, Text) or not command.is_plain or not is_own or not _PLAIN.fullmatch(command):
            return None
        is_here = self.lines[command.line - 1][command.column - 1 :].startswith(command)
        return command if is_here and not any(text is command for text in shared) else None

    # --- the lines of a workflow for deploys

    def second(self, taken: Container[str]) -> Proposal:
        """Declare the parameters, gate a workflow for deploys, and keep the others out of its runs."""
        config, root, jobs = self.config, self.root, self.jobs
        flag, sha = (_unused(name, config.parameters, taken) for name in ("deploy", "sha"))
        gate, name = f"<< pipeline.parameters.{flag} >>", _unused("deploy", [w.name for w in config.workflows], taken)
        if config.is_version_2:
            self.lines[key_line(root, "version") - 1] = "version: 2.1"
            self.remarks.append("version 2.1 reads << in commands as the beginning of an expression: write \\<< there")
        declared = [f"{flag}:", "  type: boolean", "  default: false", f"{sha}:", "  type: string", '  default: ""']
        self.into("parameters", declared)
        job, environment = _unused("deploy", jobs, taken), f"environment: {{SHA: << pipeline.parameters.{sha} >>}}"
        steps = ["    - checkout", '    - run: git checkout --detach "$SHA"', "    - run: ./deploy.sh"]
        image = "  docker: [{image: cimg/base:current}]"
        self.into("jobs", [f"{job}:", image, f"  {environment}", "  steps:", *steps])
        for other in (w.workflow for w in _runs(config, self.branch, {})):
            if at(other.fields, "when") is None and at(other.fields, "unless") is None:
                self.below(map_of(at(root, "workflows")), other.name, [f"unless: {gate}"])
            else:
                what = f"workflow {other.name} (line {other.line}) has a condition"
                self.remarks.append(f"{what}: let it be false too where {gate} is true")
        self.into("workflows", [f"{name}:", f"  when: {gate}", "  jobs:", f"    - {job}"])
        self.add_step()
        read = read_config(config.path, self.text())
        pushed = [w.workflow.name for w in _runs(read, self.branch, None)]
        started = [w.workflow.name for w in _runs(read, self.branch, {flag: True}) if w.runs.answer is Answer.YES]
        if name in pushed or name not in started:
            raise ConfigUnreadable(1, "with lines added it would not run as it should")
        return Proposal(name, (flag, True), sha, None, self.text(), remarks=tuple(self.remarks))


def _patterns(job: Job, word: str) -> tuple[str, ...]:
    """The branches or tags that a job's filters name, where a rule can name them too."""
    names = tuple(str(text) for text in reading.texts_of(at(job.fields, "filters", word, "only")))
    known = all(pattern_of(name) if name[:1] == "/" else is_legal_ref(name) and "*" not in name for name in names)
    return names if known else ()
