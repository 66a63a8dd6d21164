"""Starts the mock CircleCI server: for `run --sandbox`, and as a command of its own."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from deploystep.adapters.clock import SystemClock
from deploystep.adapters.console import Console
from deploystep.adapters.git import GitRepository
from deploystep.app.options import Options
from deploystep.core.address import Address, read_address
from deploystep.core.build import BuildContext
from deploystep.core.deploy import TriggerSpec
from deploystep.core.errors import UsageError
from deploystep.core.secret import Secret
from deploystep.sandbox import Fault, FaultError, Sandbox, Workflow, parse_fault

_HEARTBEAT: Final = 3600.0


@contextmanager
def started_for(
    build: BuildContext, specs: tuple[TriggerSpec, ...], token: Secret, console: Console
) -> Iterator[Address]:
    """A sandbox that knows this build: its project, where its branch is, and the workflows that are to start."""
    heads = {spec.ref.name: spec.revision for spec in specs if spec.revision}
    # as if the config gated each named workflow on the parameters of its trigger
    workflows = tuple(Workflow(spec.workflow, spec.parameters) for spec in specs if spec.workflow)
    with Sandbox(token=token.reveal(), heads=heads, workflows=workflows or (Workflow("deploy"),)) as sandbox:
        if build.pipeline_id and build.project:
            sandbox.add_build(build.pipeline_id, str(build.project), branch=build.branch, revision=build.revision)
        if build.build_num and build.project:
            nodes = ["running", *["success"] * (build.node.total - 1)]
            sandbox.set_job(str(build.project), build.build_num, parallel_runs=nodes)
        console.info(f"sandbox: a mock CircleCI server at {sandbox.url}; nothing leaves this machine")
        yield read_address(sandbox.url)


def serve(options: Options, token: str | None, repository: GitRepository, console: Console, clock: SystemClock) -> None:
    """Run the server until a signal ends it; with `token` it takes no other."""
    sandbox = Sandbox(
        port=options.port,
        token=token,
        projects=options.project,
        heads=options.head,
        head_of=repository.resolve,
        workflows=tuple(Workflow(name) for name in options.workflow) or (Workflow("deploy"),),
    )
    for fault in map(_fault, options.fault):
        sandbox.add_fault(fault)
    with _started(sandbox, options.written("port")):
        console.result(_greeting(sandbox.url, is_json=options.json))
        while True:
            clock.sleep(_HEARTBEAT)


@contextmanager
def _started(sandbox: Sandbox, option: str) -> Iterator[None]:
    try:
        sandbox.start()
    except OSError as error:
        raise UsageError(
            "port", f"{option}: cannot listen there: {error.strerror}", "leave --port out for a free one"
        ) from None
    try:
        yield
    finally:
        sandbox.stop()


def _fault(text: str) -> Fault:
    try:
        return parse_fault(text)
    except FaultError as error:
        raise UsageError("fault", f"--fault {text!r}: {error}", "write for example --fault 500-after-create") from None


def _greeting(url: str, *, is_json: bool) -> str:
    if is_json:
        return json.dumps({"schema": 1, "command": "sandbox", "url": url})
    return "\n".join(
        (
            f"sandbox: a mock CircleCI server at {url} (Ctrl-C ends it)",
            "try it in a clone that holds .circleci/deploy.yml:",
            f"  CIRCLE_TOKEN=any-token deploystep run --outside-ci --host {url}",
            f"see what arrived:  curl {url}/sandbox/requests",
        )
    )
