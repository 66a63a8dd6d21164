"""What goes wrong on the way, through real sockets: how the step ends, and that it sent its trigger once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from acceptance.process import RULES, TOKEN, sandbox, triggers
from builds import DEFINITION, oidc

from deploystep.sandbox import parse_fault

if TYPE_CHECKING:
    from acceptance.process import Project

DEPLOYER = "gh/acme/deployer"
KEYED = RULES.replace("retries: 3", 'deploy_key: "${deploy.key}"')
RULES_OF = {
    "v2": RULES,
    "v3": RULES.replace("version: 1", "version: 1\n    api: v3"),
    "v1.1": "version: 1\nrules:\n  - {name: docker, when: {branch: main}, deploy: {job: deploy_docker}}\n",
    "key": KEYED,
    "target": KEYED.replace("workflow: deploy", "to: deployer, workflow: deploy").replace(
        "version: 1", f"version: 1\n    targets: {{deployer: {{project: {DEPLOYER}, branch: main}}}}"
    ),
}
CONFIG = """
    version: 2.1
    parameters: {deploy: {type: boolean}, sha: {type: string}, deploy_key: {type: string}}
    jobs: {deploy: {docker: [{image: x}], steps: [{run: "./deploy.sh << pipeline.parameters.deploy_key >>"}]}}
    workflows: {deploy: {jobs: [deploy]}}
    """
LOOKS = "looking for what it created"


@pytest.mark.parametrize(
    ("rules", "fault", "end", "says"),
    [
        ("v2", f"status:422:we do not know {TOKEN}", (6, "refused", 0), "answered 422: we do not know ***"),
        ("v2", "503", (8, "uncertain", 0), "no run of it was found in 10 s"),
        # a token in a header is sent nowhere, nor shown
        ("v2", f"redirect:307:http://127.0.0.1:1/?{TOKEN}", (8, "uncertain", 0), "no run of it was found in 10 s"),
        # nobody knows what came of these until it is looked for
        *(("v2", fault, (0, "triggered", 1), LOOKS) for fault in ("503-after-create", "close-after-create", "cut")),
        ("v2", "garbage", (0, "triggered", 1), LOOKS),
        ("key", "close-after-create", (0, "triggered", 1), LOOKS),
        ("v3", "close-after-create", (0, "triggered", 1), LOOKS),
        # certainly not received, and so the one that is sent again
        ("v2", "429:1", (0, "triggered", 1), "again in 1 s"),
        ("v2", "unauthorized", (10, "nothing-runs", 1), "unauthorized"),
        ("v2", "moved", (9, "stopped", 1), "it was cancelled"),
        ("v3", "moved", (9, "stopped", 1), "it was cancelled"),
        ("v3", "errored:bad", (10, "nothing-runs", 1), "errored: bad"),
        ("v1.1", "status:410:This endpoint has been removed", (6, "refused", 0), "and use workflow:"),
        ("v1.1", "message:Your config file has errors", (6, "refused", 0), "Your config file has errors"),
    ],
)
def test_a_fault(project: Project, rules: str, fault: str, end: tuple[int, str, int], says: str) -> None:
    """The exit code, the outcome, and how many runs are created."""
    project.write(RULES_OF[rules])
    variables = {} if "429" in fault else project.without_waits()
    with sandbox() as server:
        server.add_fault(parse_fault(fault))
        if rules == "key":
            server.set_config("gh/acme/shop", CONFIG)
        ended = project.step(server, CIRCLE_OIDC_TOKEN=oidc(pipeline_definition_id=DEFINITION), **variables)
        assert server.faults == [], "the fault must have been met"
        sent = triggers(server)
        assert (ended.code, *ended.outcomes, len(server.runs)) == end, ended.err
    assert says in ended.err
    assert len(sent) == (2 if "429" in fault else 1)
    if "429" in fault:
        assert (sent[1].at - sent[0].at).total_seconds() >= 0.95, "it waits as long as it was asked to"
    if "stopped" in end:
        assert [w.status for run in server.runs for w in run.workflows] == ["canceled"]
