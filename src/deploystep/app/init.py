"""Writes a first rule file from what the clone and its config tell, and the lines that the config needs for it.

A gate that is there is used. Else a job that deploys stays where it is, for `gate` to judge. Else the lines make a
workflow for deploys. A config that tells nothing gets none: an example is shown, to be adapted by hand.
"""

import json
import re
from collections.abc import Iterator
from itertools import chain, count
from typing import Final

from deploystep.core.build import Branch
from deploystep.core.facts import Answer
from deploystep.core.frozen import Frozen
from deploystep.core.parameters import Scalar
from deploystep.core.patterns import is_legal_ref
from deploystep.core.patterns.proofs import witness
from deploystep.core.source import SourceFile
from deploystep.project.conditions import matches, regex_of
from deploystep.project.config import DEPLOYS, RUN, Config, Job, JobSteps, Read, WorkflowRuns, read_config
from deploystep.project.reading import ConfigUnreadable, Items, Map, Node, at, map_of, read_yaml, texts_of, under

_PLAIN: Final = re.compile(r"(?!(?:true|false|yes|no|on|off|null)\Z)[A-Za-z_][\w./-]*", re.ASCII | re.IGNORECASE)
#: v2 OpenAPI, `triggerPipelineRun` and `triggerPipeline`: neither serves projects that are integrated with GitLab.
NO_GITLAB: Final = "no API starts a pipeline of a GitLab project: send to a target elsewhere, or deploy in its job"
_SHA: Final = "4f2c1aa000000000000000000000000000000000"
_REVISIONS: Final = frozenset({"sha", "sha1", "git_sha", "commit_sha", "commit", "revision"})
_VERSION: Final = "version: 2.1\n"  # begins a whole example, which is shown where no lines can be added
_TEST: Final = "  test: {docker: [{image: cimg/base:current}], steps: [checkout, {run: ./run-tests.sh}]}\n"
_EXAMPLE: Final = f"{_VERSION}jobs:\n{_TEST}workflows: {{build: {{jobs: [test]}}}}\n"
_INSTALL: Final = '- run: pip install "git+https://HOST/deploystep.git@COMMIT" # a commit that you have reviewed'
_STEP: Final = f"""\
  {{step}}:
    docker: [{{{{image: cimg/python:3.12}}}}]
    steps:
      - checkout
      {_INSTALL}
      - run: deploystep run{{o}}
"""
_PARAMETERS: Final = '  {deploy}: {{type: boolean, default: false}}\n  {sha}: {{type: string, default: ""}}\n'
_JOB: Final = """\
  {deploy}:
    docker: [{{image: cimg/base:current}}]
    environment: {{SHA: << pipeline.parameters.{sha} >>}}
    steps:
      - checkout
      - run: git checkout --detach "$SHA"
      - run: ./deploy.sh
"""
_OPENS: Final = "opens the gate of the workflow, which a push leaves closed"
_COMMIT: Final = "${CIRCLE_SHA1}", "the commit that was tested, for the deploy to check out"
_RULES: Final = """\
# Which builds{of} deploy{sent}.
# After a change:  deploystep check{o} && deploystep test{o} && deploystep plan{o}
version: 1

rules:
  - name: production
    # All of these must hold. Others are tag{tags}, paths, pull_request, merged_into, user, env ...
    when: {when}
    # unless:
    #   - message_contains: "[skip deploy]"
{deploy}

# What must happen, for  deploystep test{o}
cases:
{cases}"""
_CASE: Final = "  - name: {name}\n    given: {{{given}}}\n    expect: {{fire: {expect}}}\n"
_GATE: Final = "    # No deploy: here. The job runs  deploystep gate production{o} -- COMMAND , and nothing is sent."
_DEPLOY: Final = """\
    deploy:
      # The workflow that this starts, in {path}, and the parameters that it is sent.
      workflow: {workflow}
      parameters:
{parameters}"""


class Clone(Frozen):
    """What a clone tells. `options` are those with which commands find the rules, as ` --rules X`."""

    project: str | None  # where its remote names one
    branch: str  # its default one
    tags: tuple[str, ...]
    config_path: str
    config: str | None
    is_gitlab: bool = False  # no API of CircleCI starts a project of its remote
    options: str = ""


def _merged(old: Node | None, new: Node) -> Node:
    """A config with lines added: below keys that both have, maps and lists become one."""
    if isinstance(old, Map) and isinstance(new, Map):
        made = Map(old | {key: _merged(old.get(key), value) for key, value in new.items()})
        made.line = old.line
        return made
    return Items([*old, *new]) if isinstance(old, Items) and isinstance(new, Items) else new


class Start:
    """A first rule file in `rules`, and the lines that the config needs, with a `heading` that says what to do.

    `workflow` deploys; without one the deploy stays in its job. `config` has the lines, and is None where not known.
    """

    def __init__(self, clone: Clone, read: Read) -> None:
        from deploystep.migrate.plan import plan  # noqa: PLC0415 - doctor imports this module and not that one

        self.clone, self.read, self.options = clone, read, clone.options
        own: Config | None = None
        path, why = clone.config_path, f"there is no {clone.config_path} yet: write this to it"
        try:
            own = read_config(path, clone.config) if clone.config is not None else None
        except ConfigUnreadable as problem:
            why = f"{path}:{problem.line} is left as it is ({problem.why}): apply this example by hand"
        if own is not None and own.setup:
            why = f"{path}:{own.setup}: a setup config: apply this by hand to the one that continues it, and declare "
            own, why = None, f"{why}what is sent here too, by other names (P08)"
        self.own, self.known = own, own or read_config(path, _EXAMPLE)
        self.words: dict[str, tuple[str, ...]] = {"branch": (clone.branch,)}  # what the rule is for
        self.sent, self.workflows = dict[str, tuple[str, str]](), dict[str, str]()  # a value in YAML, and why; lines
        self.workflow, self.head, self.parts = "", "", {"parameters": "", "jobs": "" if own else _TEST}
        findings = plan([SourceFile(path, clone.config or "")], None, "", read, None).findings
        twice = "it deploys already, and this rule would too: delete this rule file, and  deploystep migrate"
        alarms = (f"{path}:{a.line}: {a.what}: {twice}{clone.options}  writes another" for a in findings if a.is_alarm)
        self.remarks, self.pushed = [*alarms][:1], self._runs(None)
        gate = max(self._gates(), default=None) if not clone.is_gitlab else None
        if gate is not None:
            self._behind(*gate[1:])
        elif clone.is_gitlab or any(job.deploys for job in self.known.jobs):
            self._in_place()
        else:
            self._second()
        self.remarks += [NO_GITLAB] if clone.is_gitlab else []
        if not self.workflow:
            self.remarks.append("gate knows no earlier deploy of a commit: a rerun or another build deploys it again")
        self.parts["workflows"] = "".join(f"  {_yaml(name)}:\n{lines}" for name, lines in self.workflows.items())
        self.lines = self.head + "".join(f"{key}:\n{text}" for key, text in self.parts.items() if text)
        self.heading, self.config = f"{path} needs these lines, below the keys that it has" if own else why, own
        if not self.lines:
            self.heading = f"{path} is left as it is"
        elif own or clone.config is None:
            self.config = read_config(path, self.lines, _merged(own.root if own else Map(), read_yaml(self.lines)))
        # a branch or tag that is named, or that a regular expression between slashes matches: a known one if it can be
        self.examples = {}
        for word, names in self.words.items():
            pattern = regex_of(names[0]) if names[0][:1] == "/" else None
            known = (name for name in clone.tags * (word == "tag") if _has(names, name))
            self.examples[word] = next(known, (pattern and witness(pattern, ())) or names[0])
        self.about = ", ".join(f"{word} {names[0]}" for word, names in self.words.items())
        self.sends, self.rules = bool(self.workflow), _rules(self)
        tag = self.examples.get("tag")  # one that is not there cannot be planned
        self.tag = tag if tag in clone.tags and "branch" not in self.examples else None
        self.branch = None if self.tag else self.examples.get("branch", clone.branch)

    def _runs(self, sent: dict[str, Scalar] | None) -> list[WorkflowRuns]:
        """What a push of the branch runs or may run, or a trigger that sends something."""
        trigger = self.known.trigger(Branch(self.clone.branch), sent or {}, by_api=sent is not None)
        return [w for w in self.known.runs(trigger) if w.runs.answer is not Answer.NO]

    def _gates(self) -> Iterator[tuple[bool, str, str, Scalar]]:
        """Workflows that one parameter starts alone and a push does not, with the value; production sorts last."""
        pushed = [w.workflow for w in self.pushed]
        texts = sorted({str(t) for w in self.known.workflows for t in under(w.fields, "equal") if "<<" not in t})
        for name, declared in self.known.parameters.items():
            values: list[Scalar] = [*(declared.values or texts)] if declared.type != "integer" else []
            for value in [declared.default is not True] if declared.type == "boolean" else values:
                runs = self._runs({name: value}) if value != declared.default else []
                started = [w.workflow for w in runs if w.runs.answer is Answer.YES]
                workflow = started[0].name if len(started) == 1 and started[0] not in pushed else ""
                if workflow and any(map(DEPLOYS.search, (workflow, name, str(value)))):
                    yield "prod" in f"{workflow}{value}", workflow, name, value

    def _behind(self, workflow: str, name: str, value: Scalar) -> None:
        """Let the rule open a gate that is there, and a job run the step."""
        declared, self.workflow, self.sent = self.known.parameters, workflow, {name: (_yaml(value), _OPENS)}
        self.sent |= {n: _COMMIT for n, each in declared.items() if n in _REVISIONS and each.type == "string"}
        if _COMMIT not in self.sent.values():
            self.remarks.append(f"workflow {workflow} is sent no commit: the run is of the branch's head")
        if "deploy_key" in declared:
            self.sent["deploy_key"] = "${deploy.key}", "by which a rerun recognises the deploy"
        self._add_step("deploystep")

    def _in_place(self) -> None:
        """Let `gate` judge a deploy in its job."""
        self.parts["jobs"], command = "", f"deploystep gate production{self.options} -- COMMAND"
        deploying = sorted((job for job in self.known.jobs if job.deploys), key=lambda job: "prod" not in job.alias)
        for job in deploying[:1]:
            what = f"job {job.alias} (line {job.line}) deploys, and stays where it is: write there  {command}"
            self.remarks.append(what)
            if job.key in map_of(at(self.known.root, "jobs")) and not JobSteps(self.known, job, self.read).calls:
                steps = f"      {_INSTALL}\n      - run: {command} # in place of the one that deploys\n"
                self.parts["jobs"] = f"  {_yaml(job.key)}:\n    steps:\n{steps}"
            self.words = {word: names for word in ("branch", "tag") if (names := _named(job, word))} or self.words

    def _second(self) -> None:
        """Declare the parameters, gate a workflow for deploys, and keep the others out of its runs."""
        taken = {key for part in (*self.parts, "workflows") for key in map_of(at(self.known.root, part))}
        names = (chain((name,), (f"{name}_{n}" for n in count(2))) for name in ("deploy", "sha", "deploystep"))
        self.workflow, sha, step = (next(name for name in each if name not in taken) for each in names)
        gate, self.sent = f"<< pipeline.parameters.{self.workflow} >>", {self.workflow: ("true", _OPENS), sha: _COMMIT}
        self._add_step(step)
        for w in self._runs({}):
            name, fields = w.workflow.name, w.workflow.fields
            if at(fields, "when") is None and at(fields, "unless") is None:
                self.workflows[name] = f"    unless: {gate}\n{self.workflows.get(name, '')}"
        self.workflows[self.workflow] = f"    when: {gate}\n    jobs: [{self.workflow}]\n"
        self.head, self.parts["parameters"] = _VERSION, _PARAMETERS.format(deploy=self.workflow, sha=sha)
        self.parts["jobs"] += _JOB.format(deploy=self.workflow, sha=sha)

    def _add_step(self, name: str) -> None:
        """Add a job that runs the step, after all others of what a push runs, unless one does."""
        build = next((w for w in self.pushed if w.jobs), None)
        steps = (JobSteps(self.known, job, self.read) for w in self.pushed for job in w.workflow.jobs)
        if build is None:
            self.remarks.append(f"no workflow runs for a push to {self.clone.branch}: let one run  deploystep run")
        if build is None or any(each.of(RUN).answer is Answer.YES for each in steps):
            return
        jobs = build.workflow.jobs
        required = [id(other) for job in jobs for other in build.workflow.required(job)]
        run = (job for job, runs in build.jobs if runs.answer is not Answer.NO and not job.is_approval)
        leaves = [_yaml(job.alias) for job in run if id(job) not in required]
        needs = f"          requires: [{', '.join(leaves)}]\n" if leaves else ""
        first = "" if self.own and self.own.has_workflows else f"      - {jobs[0].key}\n"
        context = "          context: deploy-token # holds a personal API token as CIRCLE_TOKEN\n"
        self.workflows[build.workflow.name] = f"    jobs:\n{first}      - {name}:\n{needs}{context}"
        self.parts["jobs"] += _STEP.format(step=name, o=self.clone.options)


def _named(job: Job, word: str) -> tuple[str, ...]:
    """The branches or tags that a job's filters name, where a rule can name them too."""
    names = tuple(map(str, texts_of(at(job.fields, "filters", "branches" if word == "branch" else "tags", "only"))))
    known = all(regex_of(name) if name[:1] == "/" else is_legal_ref(name) and "*" not in name for name in names)
    return names if known else ()


def _rules(start: Start) -> str:
    clone, deploy, expected = start.clone, _GATE.format(o=start.options), ""
    if start.workflow:
        parameters = "\n".join(f"        {_yaml(name)}: {value} # {why}" for name, (value, why) in start.sent.items())
        deploy = _DEPLOY.format(path=clone.config_path, workflow=_yaml(start.workflow), parameters=parameters)
        sent = {_yaml(n): value.replace("${CIRCLE_SHA1}", f'"{_SHA}"') for n, (value, _) in start.sent.items()}
        shown = ", ".join(f"{name}: {value}" for name, value in sent.items() if "$" not in value)
        expected = f", parameters: {{production: {{{shown}}}}}"
    cases = []
    for word, name in start.examples.items():
        what, given = _yaml(f"{name} deploys the commit that was tested"), f"{word}: {_yaml(name)}, sha: {_SHA}"
        cases.append(_CASE.format(name=what, given=given, expect=f"[production]{expected}"))
    for word, name in (("branch", "feature/login"), ("tag", "v1.4.0")):
        if not _has(start.words.get(word, ()), name):
            what = f"{'another' if word in start.words else 'a'} {word} deploys nothing"
            cases.append(_CASE.format(name=what, given=f"{word}: {name}", expect="[]"))
    of, tags = f" of {clone.project}" if clone.project else "", f" (such as {clone.tags[-1]})" if clone.tags else ""
    sends, o = ", and what is sent to CircleCI then" if start.workflow else "", start.options
    when = _listed([f"{{{word}: {_listed([*map(_yaml, names)])}}}" for word, names in start.words.items()])
    return _RULES.format(of=of, sent=sends, o=o, tags=tags, when=when, deploy=deploy, cases="".join(cases))


def _listed(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def _has(texts: tuple[str, ...], name: str) -> bool:
    return any(text == name or (text[:1] == "/" and matches(text, name) is Answer.YES) for text in texts)


def _yaml(value: Scalar) -> str:
    """A value as YAML reads it."""
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)
