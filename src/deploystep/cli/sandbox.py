"""Starts the mock CircleCI server: for `run --sandbox`, and as a command of its own."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from deploystep.adapters.clock import SystemClock
from deploystep.adapters.console import Console
from deploystep.adapters.git import GitRepository
from deploystep.app.options import Options
from deploystep.core.build import Branch, BuildContext, Tag
from deploystep.core.deploy import TriggerSpec
from deploystep.core.errors import UsageError
from deploystep.core.facts import Answer
from deploystep.core.secret import Address, Secret, read_address
from deploystep.project.config import Config, would_run
from deploystep.sandbox import Sandbox, TriggerBody, Workflow, parse_fault


@contextmanager
def started(
    build: BuildContext, specs: tuple[TriggerSpec, ...], token: Secret, console: Console, config: Config | None
) -> Iterator[Address]:
    """A sandbox that knows this build: its project and config, where its branch is, and workflows that are to start."""
    heads = {spec.ref.name: spec.revision for spec in specs if spec.revision}
    # as if the config gated each named workflow on the parameters of its trigger
    workflows = tuple(Workflow(spec.workflow, spec.parameters) for spec in specs if spec.workflow)
    with Sandbox(token=token.reveal(), heads=heads, workflows=workflows or (Workflow("deploy"),)) as sandbox:
        if build.pipeline_id and build.project:
            sandbox.add_build(build.pipeline_id, str(build.project), branch=build.branch, revision=build.revision)
        if build.build_num and build.project:
            nodes = ["running", *["success"] * (build.node.total - 1)]
            sandbox.set_job(str(build.project), build.build_num, parallel_runs=nodes)
        console.info(f"sandbox: a mock CircleCI server at {sandbox.url} while this runs; nothing leaves this machine")
        if config is not None and build.project:
            starts = None if config.setup else partial(_starts, config, console)
            if config.setup:
                console.info(f"sandbox: {config.path}:{config.setup}: a setup config: what continues it is not known")
            defaults = {n: p.default for n, p in config.parameters.items() if isinstance(p.default, (str, int))}
            sandbox.set_config(str(build.project), config.text, defaults=defaults, starts=starts)
        yield read_address(sandbox.url)


def _starts(config: Config, console: Console, body: TriggerBody) -> list[Workflow]:
    """The workflows that the config starts, or may start. Raises ValueError where one of both is refused."""
    if config.refused:
        raise ValueError(config.refused.why)
    if unexpected := [name for name in body.parameters if name not in config.parameters]:
        raise ValueError(f"Unexpected argument(s): {', '.join(unexpected)}")
    found = would_run(config, Branch(body.branch or "") if body.tag is None else Tag(body.tag), body.parameters)
    if not found.workflows:
        console.info(f"sandbox: would run: {found.text}")
    for each in (w for w in found.workflows if w.runs.answer is Answer.UNKNOWN):
        why = f"{config.path}:{each.runs.line}: {each.runs.why}" if each.runs.line else config.path
        console.info(f"sandbox: workflow {each.workflow.name} starts, which is not certain on CircleCI: {why}")
    return [Workflow(each.workflow.name) for each in found.workflows]


def serve(options: Options, token: str | None, repository: GitRepository, console: Console, clock: SystemClock) -> None:
    """Run the server until a signal ends it; with `token` it takes no other."""
    sandbox = Sandbox(port=options.port, token=token, projects=options.project, heads=options.head)
    sandbox.head_of, sandbox.workflows = repository.resolve, tuple(map(Workflow, options.workflow or ("deploy",)))
    try:
        for fault in [parse_fault(text) for text in options.fault]:
            sandbox.add_fault(fault)
        sandbox.start()
    except ValueError as error:
        raise UsageError("fault", f"--fault: {error}", "write for example --fault 500-after-create") from None
    except OSError as error:
        what = f"{options.written('port')}: cannot listen there: {error.strerror}"
        raise UsageError("port", what, "leave --port out for a free one") from None
    words = f"""\
sandbox: a mock CircleCI server at {sandbox.url} (Ctrl-C ends it)
try it in a clone that holds .circleci/deploy.yml:
  CIRCLE_TOKEN=any-token deploystep run --outside-ci --host {sandbox.url}
see what arrived:  curl {sandbox.url}/sandbox/requests"""
    try:
        console.result(json.dumps({"schema": 1, "command": "sandbox", "url": sandbox.url}) if options.json else words)
        while True:
            clock.sleep(3600.0)
    finally:
        sandbox.stop()
