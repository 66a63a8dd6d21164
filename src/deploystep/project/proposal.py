"""What a config needs to take part: a gate that it has already, or the lines that make one and run the step.

Lines are added to the text as it stands. Only a list or map that is written on one line is written out first.
"""

import json
import re
from collections.abc import Container, Iterator
from itertools import chain, count
from typing import Final, TypeAlias

from deploystep.core.build import Branch
from deploystep.core.frozen import dataclass, replace
from deploystep.core.parameters import Scalar
from deploystep.core.patterns import is_legal_ref
from deploystep.core.trace import Answer
from deploystep.project.config import Config, Job, Workflow, WorkflowRuns, read_config
from deploystep.project.expressions import pattern_of
from deploystep.project.reading import Items, Map, Node, Text, at, items_of, key_line, map_of, texts_of, under
from deploystep.project.staying import DEPLOYS, Staying, command_of, deploys, is_gateable, staying
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
_CONTEXT: Final = "deploy-token"
_STEP: Final = "deploystep"
_DEPLOY: Final = "deploy"
_INSTALL: Final = '- run: pip install "git+https://HOST/deploystep.git@COMMIT"'
_PLAIN: Final = re.compile(r"[\w./<][\w./<> -]*", re.ASCII)
Keys: TypeAlias = tuple[str, ...]  #: from the top of a config to a place in it


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
class Setting:
    """The branch to deploy, the files of the clone, and options with which commands find the rules, as ` --rules X`.

    `untriggered` is why no workflow of this project can be started, where none can.
    """

    branch: str
    read: Read
    options: str = ""
    untriggered: str = ""


def propose(path: str, text: str, setting: Setting, only: frozenset[Keys] | None = None) -> Proposal:
    """What is missing in a config for deploys of a branch. Raises ConfigUnreadable.

    `only` are the keys whose lists and maps are written out where they stand on one line; else all are.
    """
    original = read_config(path, text)
    whole, opened = _written_out(path, text, original, only)
    found = _Proposing(original, read_config(path, whole), whole, setting)
    proposal = found.proposal()
    changed = frozenset(filter(found.has_changed, opened))
    if changed != opened:  # what gets no line stays as it is
        return propose(path, text, setting, changed)
    return proposal if found.added else replace(proposal, text=text)


class _Proposing:
    """One config, and the lines that have been added to it so far."""

    def __init__(self, original: Config, config: Config, text: str, setting: Setting) -> None:
        self.original = original  # its lines are those that people see
        self.config = config
        self.setting = setting
        self.ref = Branch(setting.branch)
        self.command = f"deploystep run{setting.options}"
        self.gate = f"deploystep gate production{setting.options} --"
        self.lines = text.splitlines()
        self.added: dict[int, list[list[str]]] = {}
        self.gone: set[int] = set()
        self.remarks: list[str] = []

    def has_changed(self, keys: Keys) -> bool:
        """Whether lines below a key were added or taken away."""
        line = key_line(map_of(at(self.config.root, *keys[:-1])), keys[-1])
        below, depth = range(line, _end(self.lines, line) + 1), _depth(self.lines[line - 1])
        is_deeper = (_depth(block[0]) > depth for number in below for block in self.added.get(number, ()))
        return any(is_deeper) or not self.gone.isdisjoint(below[1:])

    def proposal(self) -> Proposal:
        config = self.config
        pushed = [w for w in config.runs(config.trigger(self.ref, {}, by_api=False)) if w.runs.answer is not Answer.NO]
        build = next((w.workflow for w in pushed), None)
        gates = [] if self.setting.untriggered else sorted(self._gates({w.workflow.name for w in pushed}))
        branches: tuple[str, ...] = ()
        gated: Workflow | None = None
        if gates:
            *others, (_, workflow, name, value) = gates
            more = ", ".join(f"{other} by {n}: {str(v).lower()}" for _, other, n, v in others if other != workflow)
            self.remarks += [f"a rule of its own can start each of these too: {more}"] if more else []
            flag: tuple[str, Scalar] = (name, value)
            sha = next((n for n, d in config.parameters.items() if n in _REVISIONS and d.type == "string"), None)
            if sha is None:
                self.remarks.append(f"workflow {workflow} is sent no commit: the run is of the branch's head")
            replaced = None
        else:
            flag, sha = (self._free("deploy", "boolean"), True), self._free("sha", "string")
            rest = [w.workflow for w in pushed if w.workflow.name != _DEPLOY]
            is_two = bool(rest) and not self.setting.untriggered
            gated = next((w.workflow for w in pushed if is_two and w.workflow.name == _DEPLOY and _is_open(w)), None)
            build = rest[0] if gated else build
            found = staying(self.original, build.name if build else "", self.setting.read, self.setting.untriggered)
            stays = [] if gated else list(found)
            kept, jobs = {stay.job.alias for stay in stays}, build.jobs if build and not gated else ()
            moving = [job for job in jobs if deploys(job) and job.alias not in kept]
            # the step takes the place of the job, which becomes one of the deploy's workflow
            replaced = min(moving, key=lambda job: job.key != _DEPLOY, default=None)
            for stay in stays:
                what = f"job {stay.job.alias} (line {stay.job.line}) deploys, and is not moved: {stay.why}"
                self.remarks += [what] if what not in self.remarks else []
            if stays and replaced is None:
                built = build.name if build else None
                return self._gate(min(stays, key=lambda s: (s.workflow.name != built, "prod" not in s.job.alias)))
            if self.setting.untriggered:
                remark = f"no job here deploys, as far as names tell: let the one that does run  {self.gate} COMMAND"
                return Proposal(None, ("", True), None, None, self._text(), remarks=(remark,))
            branches = _patterns(replaced, "branches")
            workflow = self._deploy(flag[0], sha, gated, replaced)
            moved = replaced or next(iter(gated.jobs if gated else ()), None)
            self._tell_scope(moved.alias if moved else "", branches)
        if not any(self._runs_step(job) for w in pushed for job in w.workflow.jobs):
            self._add_step(next((w for w in pushed if w.workflow is build), None), replaced)
            self._tell_apart(build, [w.workflow.name for w in pushed if w.workflow not in (build, gated)])
        key = "deploy_key" if "deploy_key" in config.parameters else None
        return Proposal(workflow, flag, sha, key, self._text(), branches, (), tuple(self.remarks))

    def _tell_scope(self, alias: str, branches: tuple[str, ...], tags: tuple[str, ...] = ()) -> None:
        """Say that a deploy was of more branches than the rule is for."""
        other = self.original.runs(self.original.trigger(Branch("another-branch"), {}, by_api=False))
        if not branches and any(job.alias == alias for w in other for job in w.certain):
            named = f"tag {tags[0]}" if tags else f"branch {self.ref.name}"
            self.remarks.append(f"job {alias} ran for every branch until now; the rule is for {named} alone")

    def _tell_apart(self, build: Workflow | None, others: list[str]) -> None:
        """Say that the step waits for the jobs of its own workflow alone."""
        if build is not None and others:
            names = f"workflow{'s' * (len(others) > 1)} {' and '.join(others)}"
            what = f"a push also runs {names}, for whose jobs a deploystep in workflow {build.name} does not wait"
            self.remarks.append(what)

    # --- a deploy that stays where it is

    def _gate(self, stay: Staying) -> Proposal:
        """Let `gate` judge the deploy in its job: in its line where that is certain, else in words."""
        job, command = stay.job, command_of(self.config, stay.job)
        steps = runs_step(self.config, job, self.setting.read)
        line = self.lines[command.line - 1] if command is not None else ""
        if command is None:
            how = f"gate needs a run step: write what job {job.alias} does in steps of this config, as  "
            how += f"{self.gate} COMMAND"
        elif is_gateable(self.config, job, command, line) and not steps.calls:
            self.gone.add(command.line)
            self._add(command.line, [f"{line[: command.column - 1]}{self.gate} {line[command.column - 1 :]}"])
            how = f"in job {job.key},  {self.gate}  stands before its last command: is that the one that deploys?"
        else:
            last = (command_of(self.original, job) or command).line
            how = f"in job {job.key} (last command: line {last}), write  {self.gate}  before the command that deploys"
            how += f", or  {self.gate} bash -eo pipefail -c '...'  where it needs a shell"
        self.remarks.append(how)
        uses = dict.fromkeys(other.alias for other in self.config.jobs if other.key == job.key)
        if len(uses) > 1:
            each = "write a rule for each, and give its name to gate in a parameter of the job"
            self.remarks.append(f"{' and '.join(uses)} run the same steps: {each}")
        if not steps.calls:
            self.remarks.append(f"the job needs deploystep before that: {_INSTALL}, or another way of docs/install.md")
        if steps.workspace and steps.otherwise.has_checkout is not Answer.YES:
            self.remarks.append(f"job {job.key} has no checkout: add one, unless its workspace holds the whole clone")
        branches, tags = _patterns(job, "branches"), _patterns(job, "tags")
        self._tell_scope(job.alias, branches, tags)
        return Proposal(None, ("", True), None, None, self._text(), branches, tags, tuple(self.remarks))

    # --- a gate that is there

    def _gates(self, pushed: set[str]) -> Iterator[tuple[bool, str, str, Scalar]]:
        """Workflows that one parameter starts alone and a push does not, with the value; production sorts last."""
        config = self.config
        compared = {str(t) for w in config.workflows for t in under(w.fields, "equal") if "<<" not in t}
        for name, declared in config.parameters.items():
            texts = declared.values if declared.type == "enum" else sorted(compared)
            values: tuple[Scalar, ...] = (
                (declared.default is not True,) if declared.type == "boolean"
                else tuple(t for t in texts if t != declared.default) if declared.type in ("enum", "string") else ()
            )  # fmt: skip
            for value in values:
                runs = [w for w in config.runs(config.trigger(self.ref, {name: value})) if w.runs.answer is Answer.YES]
                alone = runs[0].workflow if len(runs) == 1 else None
                if alone is None or alone.name in pushed or any(map(self._runs_step, alone.jobs)):
                    continue
                if any(DEPLOYS.search(word) for word in (alone.name, name, str(value))):
                    yield "prod" in f"{alone.name}{value}", alone.name, name, value

    def _runs_step(self, job: Job) -> bool:
        return runs_step(self.config, job, self.setting.read).of(RUN).answer is Answer.YES

    # --- the lines of one that is not

    def _deploy(self, flag: str, sha: str, gated: Workflow | None, job: Job | None) -> str:
        """Declare the parameters, gate a workflow for deploys and keep the others out of its runs."""
        config, gate = self.config, f"<< pipeline.parameters.{flag} >>"
        if config.version != "2.1":
            self._replace("version", ["version: 2.1"])
            self.remarks.append("version 2.1 reads << in commands as the beginning of an expression: write \\<< there")
        new = {flag: ("boolean", "false"), sha: ("string", '""')}
        texts = [
            line
            for name, (kind, default) in new.items() if name not in config.parameters
            for line in (f"{name}:", f"  type: {kind}", f"  default: {default}")
        ]  # fmt: skip
        self._into("parameters", texts, at_top=True)
        by_api = config.runs(config.trigger(self.ref, {flag: True}))
        for found in (w for w in by_api if w.runs.answer is not Answer.NO and w.workflow is not gated):
            if _is_open(found):
                self._insert(found.workflow.line, [f"unless: {gate}"])
            else:
                self._narrow(found.workflow, gate)
        if gated is not None:
            self._insert(gated.line, [f"when: {gate}"])
            jobs = [j for j in gated.jobs if DEPLOYS.search(j.alias)] or list(gated.jobs)
            self._check_out(jobs[0].key if jobs else "", sha)
            return gated.name
        name = _unused(_DEPLOY, [w.name for w in config.workflows])
        key = job.key if job else self._orphan() or self._stub(sha)
        if key in map_of(at(config.root, "jobs")):
            self._check_out(key, sha)
        kept = {k: v for k, v in (job.fields if job else Map()).items() if k not in ("requires", "filters")}
        entry = [f"{key}:", *(f"    {_plain(k)}: {_flow(v)}" for k, v in kept.items())] if kept else [key]
        self._into("workflows", [f"{name}:", f"  when: {gate}", "  jobs:", *_item(entry, "    ")])
        return name

    def _narrow(self, workflow: Workflow, gate: str) -> None:
        """Let the condition of a workflow be false in the deploy's run too."""
        fields, whole = workflow.fields, range(workflow.line, _end(self.lines, workflow.line) + 1)
        words = [word for word in ("when", "unless") if at(fields, word) is not None]
        node, line = at(fields, words[0]), key_line(fields, words[0])
        is_clear = isinstance(node, Map) or (isinstance(node, Text) and "pipeline." in node)
        if not is_clear or node is None or len(words) > 1 or line not in whole:
            what = f"workflow {workflow.name} (line {workflow.line}) has a condition"
            self.remarks.append(f"{what}: let it be false too where {gate} is true")
            return
        both = (
            f"{{and: [{_flow(node)}, {{not: {gate}}}]}}" if words[0] == "when" else f"{{or: [{_flow(node)}, {gate}]}}"
        )
        if isinstance(node, Text) and not node.startswith("<<"):  # an expression, which no map of conditions takes
            one = f"({node})" if words[0] == "when" and " or " in node else node
            more = f"and not {gate[3:-3]}" if words[0] == "when" else f"or {gate[3:-3]}"
            both = _flow(Text(f"{one} {more}", is_plain=node.is_plain))
        self.gone |= set(range(line, _end(self.lines, line) + 1))
        self._add(line, [f"{self._indent(line)}{words[0]}: {both}"])

    def _orphan(self) -> str | None:
        """A job for deploys that no workflow has: those that API v1.1 starts."""
        jobs, used = map_of(at(self.config.root, "jobs")), {job.key for job in self.config.jobs}
        keys = [str(key) for key in jobs if key not in used and DEPLOYS.search(key)]
        return min((k for k in keys if at(jobs, k, "parameters") is None), key=lambda k: k != _DEPLOY, default=None)

    def _stub(self, sha: str) -> str:
        key = _unused(_DEPLOY, map_of(at(self.config.root, "jobs")))
        checkout = f"environment: {{SHA: << pipeline.parameters.{sha} >>}}"
        steps = ["- checkout", '- run: git checkout --detach "$SHA"', "- run: ./deploy.sh"]
        docker = "docker: [{image: cimg/base:current}]"
        self._into("jobs", [f"{key}:", *(f"  {t}" for t in (docker, checkout, "steps:")), *(f"    {s}" for s in steps)])
        return key

    def _check_out(self, key: str, sha: str) -> None:
        """Let a job check out the commit that is sent, where one is."""
        steps = items_of(at(self.config.root, "jobs", key, "steps"))
        line = next((s.line for s in steps if isinstance(s, Text) and s == "checkout"), 0)
        if not line or not re.fullmatch(r"\s*-\s+checkout\s*(?:#.*)?", self.lines[line - 1]):
            self.remarks.append(f"let job {key or 'that deploys'} check out << pipeline.parameters.{sha} >>")
            return
        run = [
            "- run:",
            "    name: Check out the commit that was tested",
            '    command: test -z "$SHA" || git checkout --detach "$SHA"',
            f"    environment: {{SHA: << pipeline.parameters.{sha} >>}}",
        ]
        self._add(line, [f"{self._indent(line)}{text}" for text in run])

    # --- the step

    def _add_step(self, pushed: WorkflowRuns | None, replaced: Job | None) -> None:
        """A job of its own after all others, or in the place of the one that deployed."""
        if pushed is None or not pushed.jobs:
            self.remarks.append(f"no workflow runs for a push to {self.ref.name}: let one run  {self.command}")
            return
        key = _unused(_STEP, map_of(at(self.config.root, "jobs")))
        build = pushed.workflow
        after = [job for job in build.jobs if deploys(job)]  # no deploy waits for another one, or for what follows it
        for one in after:
            after += [job for job in build.jobs if one in build.required(job) and job not in after]
        needed = {id(other) for job in build.jobs if job not in after for other in build.required(job)}
        needed |= set(map(id, build.all_required(replaced))) if replaced else set()
        leaves = [
            job.alias for job, runs in pushed.jobs
            if runs.answer is not Answer.NO and not job.is_approval and job not in after and id(job) not in needed
        ]  # fmt: skip
        before = at(replaced.fields, "requires") if replaced else None
        known = replaced.requires if replaced else []
        requires = [*(items_of(before) or texts_of(before))]
        requires += [Text(name, is_plain=True) for name in leaves if name not in known]
        kept = [f"requires: [{', '.join(map(_flow, requires))}]"] if requires else []
        filters = at(replaced.fields, "filters") if replaced else None
        kept += [f"filters: {_flow(filters)}"] if filters is not None else []
        last = _end(self.lines, replaced.line if replaced else build.jobs[-1].line)
        self.gone |= set(range(replaced.line, last + 1)) if replaced else set()
        indent = self._indent(build.jobs[-1].line)
        entry = _item(
            [f"{key}:", *(f"    {line}" for line in (*kept, f"context: {_CONTEXT} # holds CIRCLE_TOKEN"))], indent
        )
        self._add(last, entry)
        steps = ["- checkout", _INSTALL, f"- run: {self.command}"]
        image = "docker: [{image: cimg/python:3.12}]"
        self._into("jobs", [f"{key}:", f"  {image}", "  steps:", *(f"    {step}" for step in steps)])

    # --- text

    def _free(self, name: str, kind: str) -> str:
        """A name that no parameter has, unless that one is of this type and empty or false until it is sent."""
        declared = self.config.parameters.items()
        return _unused(name, [n for n, d in declared if d.type != kind or d.default not in (False, "")])

    def _indent(self, line: int) -> str:
        return " " * _depth(self.lines[line - 1])

    def _insert(self, line: int, texts: list[str], after: int = 0) -> None:
        """Add lines to what is below a line, as its first or after another line."""
        first = next(
            n for n, text in enumerate(self.lines[line:], line + 1) if text.strip() and text.lstrip()[0] != "#"
        )
        self._add(after or line, [f"{self._indent(first)}{text}" for text in texts])

    def _replace(self, key: str, texts: list[str], line: int = 0) -> None:
        """Write a key of the config anew; where it is not there, after a line."""
        if at(self.config.root, key) is not None:
            line = key_line(self.config.root, key)
            self.gone.add(line)
        self._add(line, texts)

    def _add(self, line: int, texts: list[str]) -> None:
        self.added.setdefault(line, []).append(texts)

    def _into(self, key: str, texts: list[str], *, at_top: bool = False) -> None:
        """Add lines below a key of the config, or the key too where it is not there."""
        root, written = self.config.root, f"{key}:"
        if not texts:
            return
        if map_of(at(root, key)):
            line = key_line(root, key)
            self._insert(line, texts, _end(self.lines, line))
            return
        last = max((n for n, text in enumerate(self.lines, 1) if text.strip()), default=0)
        line = last if not at_top else key_line(root, "version") if at(root, "version") is not None else 0
        indented = [f"  {text}" for text in texts]
        begun = next((block for blocks in self.added.values() for block in blocks if written in block), None)
        if begun is not None:
            begun.extend(indented)
        else:
            is_apart = line > 0 and not (at_top and "".join(self.lines[line : line + 1]).strip())
            self._replace(key, [*([""] if is_apart else []), written, *indented], line)

    def _text(self) -> str:
        lines: list[str] = []
        for number, line in enumerate(["", *self.lines]):
            lines += [line] if number and number not in self.gone else []
            blocks = sorted(self.added.get(number, []), key=lambda block: -_depth(block[0]))
            lines += [text for block in blocks for text in block]  # what is deeper belongs to what stands before
        return "\n".join(lines) + "\n"


def _unused(name: str, taken: Container[str]) -> str:
    """The name, with a number where it is taken."""
    return next(n for n in chain((name,), (f"{name}_{n}" for n in count(2))) if n not in taken)


def _patterns(job: Job | None, word: str) -> tuple[str, ...]:
    """The branches or tags that a job's filters name, where a rule can name them too."""
    names = tuple(str(text) for text in texts_of(at(job.fields, "filters", word, "only"))) if job else ()
    known = all(pattern_of(name) if name[:1] == "/" else is_legal_ref(name) and "*" not in name for name in names)
    return names if known else ()


def _is_open(found: WorkflowRuns) -> bool:
    return at(found.workflow.fields, "when") is None and at(found.workflow.fields, "unless") is None


# --- text


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _end(lines: list[str], line: int) -> int:
    """The last line of what begins on a line; lists may stand as far left as their key."""
    start = lines[line - 1]
    depth, is_item, end = _depth(start), start.lstrip().startswith("-"), line
    for number, text in enumerate(lines[line:], line + 1):
        bare = text.lstrip()
        if not bare or bare.startswith("#"):
            continue
        if _depth(text) < depth or (_depth(text) == depth and (is_item or not bare.startswith("- "))):
            break
        end = number
    return end


def _item(lines: list[str], indent: str) -> list[str]:
    return [f"{indent}- {lines[0]}", *(f"{indent}{line}" for line in lines[1:])]


def _written_out(path: str, text: str, config: Config, only: frozenset[Keys] | None) -> tuple[str, frozenset[Keys]]:
    """The text with parameters, jobs and workflows, and the jobs of each workflow, in lines of their own; and which."""
    opened: set[Keys] = set()
    if not config.has_workflows and config.workflows:
        text = f"{text.rstrip()}\n\nworkflows:\n  build:\n    jobs:\n      - build\n"
        config = read_config(path, text)
    while (found := _on_one_line(config, lines := text.splitlines(), only)) is not None:
        keys, line, node = found
        opened.add(keys)
        indent = " " * _depth(lines[line - 1])
        values = (
            [f"- {_flow(v)}" for v in node]
            if isinstance(node, Items)
            else [f"{_plain(k)}: {_flow(v)}" for k, v in node.items()]
        )
        whole = [f"{indent}{_plain(keys[-1])}:", *(f"{indent}  {value}" for value in values)]
        text = "\n".join([*lines[: line - 1], *whole, *lines[_end(lines, line) :], ""])
        config = read_config(path, text)
    return text, frozenset(opened)


def _on_one_line(
    config: Config, lines: list[str], only: frozenset[Keys] | None
) -> tuple[Keys, int, Items | Map] | None:
    """The keys of a list or map that is not in lines of its own, and the line of the last of them."""
    places: list[Keys] = [("parameters",), ("jobs",), ("workflows",)]
    places += [keys for w in config.workflows for keys in (("workflows", w.name), ("workflows", w.name, "jobs"))]
    for keys in places if only is None else filter(only.__contains__, places):
        node, above = at(config.root, *keys), map_of(at(config.root, *keys[:-1]))
        line = key_line(above, keys[-1])
        if isinstance(node, Items | Map) and node and re.match(r"[^:]+:\s*[{\[*]", lines[line - 1]):
            return keys, line, node
    return None


def _flow(node: Node) -> str:
    """A node on one line."""
    if isinstance(node, Text):
        return str(node) if node.is_plain and node and not re.search(r"[,\[\]{}#]|: ", node) else json.dumps(node)
    if isinstance(node, Items):
        return f"[{', '.join(map(_flow, node))}]"
    return f"{{{', '.join(f'{_plain(key)}: {_flow(value)}' for key, value in node.items())}}}"


def _plain(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
