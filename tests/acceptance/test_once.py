"""Nothing is deployed twice, whatever goes wrong on the way, and nothing that is not wanted: through real sockets."""

import pytest
from acceptance.process import RULES, TOKEN, Clone, Project, sandbox, triggers
from builds import DEFINITION, oidc

from deploystep.sandbox import Pace, Sandbox, parse_fault

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
        ("v2", "moved", (9, "stopped", 1), "it was cancelled"),
        ("v3", "moved", (9, "stopped", 1), "it was cancelled"),
        ("v1.1", "status:410:This endpoint has been removed", (6, "refused", 0), "and use workflow:"),
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


@pytest.mark.parametrize("rules", RULES_OF)
def test_a_rerun_deploys_once_and_once_more_where_that_is_wanted(project: Project, rules: str) -> None:
    project.write(RULES_OF[rules])
    token = oidc(pipeline_definition_id=DEFINITION)
    projects = ["gh/acme/shop", DEPLOYER] if rules == "target" else ["gh/acme/shop"]
    with sandbox(projects=projects, pace=Pace(appear=0.0, finish=0.0)) as server:  # a deploy has ended by then
        if rules in ("key", "target"):
            server.set_config(projects[-1], CONFIG)
        ended = [
            project.step(server, *words, CIRCLE_OIDC_TOKEN=token, CIRCLE_BUILD_NUM=number)
            for number, words in (("12", ()), ("13", ()), ("13", ("--again", "it was rolled back")))
        ]
        assert len(server.runs) == len(triggers(server)) == 2
    outcomes = [(each.code, *each.outcomes, each.json.get("again")) for each in ended]
    assert outcomes == [(0, "triggered", None), (0, "already-triggered", None), (0, "triggered", "it was rolled back")]
    first, second, _ = (each.json["triggers"][0] for each in ended)
    assert first["url"] == second["url"]
    assert rules not in ("key", "target") or "holds the deploy key ds-" in second["because"]


def test_a_deploy_does_not_deploy_again_from_within(project: Project) -> None:
    """A config without a gate runs the step in the deploy's own pipeline: it would do so for ever."""
    with sandbox() as server:
        own = project.step(server).json["triggers"][0]["id"]
        for arguments in ((), ("--again", "always")):
            within = project.step(server, *arguments, CIRCLE_PIPELINE_ID=own)
            (rule,) = within.json["rules"]
            assert (within.code, within.outcomes, rule["verdict"]) == (0, [], "no"), within.err
            assert rule["because"].startswith("line 3: this build's own pipeline is this rule's deploy: it was trigger")
            assert rule["because"].endswith("config.yml  unless: << pipeline.parameters.deploy >>")
        assert len(triggers(server)) == 1


def test_a_push_during_the_build(clone: Clone, circleci: Sandbox) -> None:
    """A newer commit takes the place of this one, without a word where it is known; of any other nobody knows."""
    old, ours = clone.commit(), clone.commit()
    clone.push()
    clone.git("clone", "--quiet", "--depth=1", clone.git("remote", "get-url", "origin"), "checkout")
    checkout = Project(clone.folder / "checkout")
    clone.git("commit", "--quiet", "--allow-empty", "-m", "Update the changelog [skip ci]")
    clone.push()
    variables = {**checkout.without_waits(), "CIRCLE_SHA1": ours}

    ended = checkout.step(circleci, **variables)
    assert (ended.code, ended.outcomes, "looking again" in ended.err) == (0, ["superseded"], False), ended.err
    moved = f"branch main has moved on to {clone.git('rev-parse', 'HEAD')}, which is newer"
    because = ended.json["triggers"][0]["because"]
    assert because == f"{moved}; its message says [skip ci], so nothing is deployed until the next push"

    clone.git("push", "--quiet", "--force", "origin", f"{old}:main")
    ended = checkout.step(circleci, **variables)
    assert (ended.code, ended.outcomes) == (5, ["not-sent"]), ended.err
    assert f"is at {old}, which is not known to be newer" in ended.json["error"]["message"]
    assert not triggers(circleci)

    clone.git("push", "--quiet", "--force", "origin", f"{ours}:main")
    circleci.moved["main"] = ours
    assert checkout.step(circleci, **variables).outcomes == ["triggered"]
