"""Every exit code that this version can reach, by the process that a build would run."""

from __future__ import annotations

from typing import Any

import pytest
from acceptance.process import RULES, TOKEN, Project, sandbox, triggers
from builds import RUN, SHA

from deploystep.sandbox import Sandbox, Workflow, parse_fault

DOCUMENT = {"schema", "command", "mode", "build", "now", "rules", "triggers", "exit", "error"}


def test_triggered_and_confirmed(project: Project, circleci: Sandbox) -> None:
    ended = project.step(circleci)
    assert ended.code == 0
    assert set(ended.json) == DOCUMENT
    (trigger,) = ended.json["triggers"]
    assert trigger["outcome"] == "triggered"
    assert trigger["request"] == {
        "method": "POST",
        "url": f"{circleci.url}/api/v2/project/gh/acme/shop/pipeline/run",
        "body": {
            "config": {"branch": "main"},
            "checkout": {"branch": "main"},
            "parameters": {"deploy": True, "sha": SHA, "retries": 3},
        },
    }
    (run,) = circleci.runs
    assert (trigger["id"], trigger["number"], trigger["revision"]) == (run.id, run.number, SHA)
    assert trigger["workflows"] == [{"name": "deploy", "status": "running"}]
    assert ended.json["exit"] == {"code": 0, "name": "ok"}
    assert ended.json["error"] is None
    assert ended.json["build"] == {
        "project": "gh/acme/shop",
        "branch": "main",
        "tag": None,
        "revision": SHA,
        "node": {"index": 0, "total": 1},
        "pull_request": None,
        "fork": False,
        "user": "anna",
    }
    (received,) = triggers(circleci)
    assert received.body == trigger["request"]["body"]
    assert received.headers["authorization"] == "Bearer ***"
    assert received.headers["content-type"] == "application/json"


def test_what_people_read(project: Project, circleci: Sandbox) -> None:
    ended = project.call("run", "--confirm", "1s", server=circleci)
    assert ended.code == 0
    head, fire, *rest = ended.out.splitlines()
    assert head.startswith(".circleci/deploy.yml · branch main @ 4f2c1aa · ")
    assert fire.split() == ["fire", "production", "branch", "main", "(line", "5)"]
    assert any("= triggered: " in line for line in rest)
    assert any(line.endswith("workflow deploy: running") for line in rest)
    assert "\ntriggered production: " in ended.err


def test_no_rule_fires(project: Project, circleci: Sandbox) -> None:
    ended = project.call("run", server=circleci, CIRCLE_BRANCH="feature/x")
    assert ended.code == 0
    assert "production  line 5: branch feature/x does not match main" in ended.out
    assert ended.out.endswith("no rule fires: there is nothing to deploy\n")
    assert circleci.requests == ()


def test_nothing_is_asked_for_where_no_rule_fires(project: Project) -> None:
    """A build that has nothing to deploy needs no token."""
    ended = project.step(None, CIRCLE_TOKEN=None, CIRCLE_BRANCH="feature/x")
    assert (ended.code, ended.json["triggers"]) == (0, [])


def test_dry_run_and_live_run_judge_alike(project: Project, circleci: Sandbox) -> None:
    dry = project.step(circleci, "--dry-run", "--now", "2026-06-16 10:02")
    assert circleci.requests == ()
    live = project.step(circleci, "--now", "2026-06-16 10:02")
    assert dry.json["rules"] == live.json["rules"]
    assert dry.json["triggers"][0]["request"] == live.json["triggers"][0]["request"]
    assert (dry.json["mode"], live.json["mode"]) == ("dry-run", "live")
    assert (dry.outcomes, live.outcomes) == (["planned"], ["triggered"])
    assert (dry.code, live.code) == (0, 0)


@pytest.mark.parametrize("arguments", [["--bogus"], ["--host", "http://circleci.example"]])
def test_usage(project: Project, arguments: list[str]) -> None:
    """More of these in tests/unit/cli."""
    ended = project.step(None, *arguments)
    assert ended.code == 2
    assert ended.json["exit"] == {"code": 2, "name": "usage"}
    assert ended.json["error"]["hints"]
    assert ended.json["triggers"] == []
    assert set(ended.json) == DOCUMENT


def test_usage_without_a_command(project: Project) -> None:
    ended = project.call("--json")
    assert (ended.code, ended.json["command"], ended.json["exit"]["name"]) == (2, "", "usage")


def test_rules_that_are_wrong_are_told_all_at_once(project: Project, circleci: Sandbox) -> None:
    project.write(RULES.replace("branch", "brnch").replace("workflow", "worklow"))
    ended = project.step(circleci)
    assert ended.code == 3
    assert [(d["line"], d["code"]) for d in ended.json["error"]["diagnostics"]] == [(5, "E102"), (6, "E102")]
    assert circleci.requests == ()


def test_rules_that_are_missing(project: Project) -> None:
    ended = project.step(None, "--rules", "nowhere.yml")
    assert (ended.code, ended.json["exit"]["name"]) == (3, "rules")
    assert "nowhere.yml" in ended.json["error"]["message"]


def test_an_unsafe_parameter_is_not_sent(project: Project, circleci: Sandbox) -> None:
    project.write(RULES.replace("branch: main", 'branch: "**"').replace("CIRCLE_SHA1", "CIRCLE_BRANCH"))
    ended = project.step(circleci, CIRCLE_BRANCH="x;curl$(id)")
    assert ended.code == 3
    assert [d["code"] for d in ended.json["error"]["diagnostics"]] == ["E509"]
    assert triggers(circleci) == []


def test_outside_of_a_build(project: Project) -> None:
    ended = project.step(None, CIRCLECI=None)
    assert (ended.code, ended.json["error"]["code"]) == (4, "not-in-a-build")


def test_every_variable_that_is_wrong(project: Project) -> None:
    ended = project.step(None, CIRCLE_BRANCH=None, CIRCLE_SHA1="4f2c", CIRCLE_NODE_TOTAL="many")
    assert ended.code == 4
    problems = [d["message"] for d in ended.json["error"]["diagnostics"]]
    assert [p.split()[0] for p in problems] == ["CIRCLE_BRANCH", "CIRCLE_SHA1", "CIRCLE_NODE_TOTAL"]


def test_no_token(project: Project, circleci: Sandbox) -> None:
    ended = project.step(circleci, CIRCLE_TOKEN=None)
    assert (ended.code, ended.json["error"]["code"]) == (4, "no-token")
    assert circleci.requests == ()


def test_a_token_that_cannot_be_one(project: Project, circleci: Sandbox) -> None:
    ended = project.step(circleci, CIRCLE_TOKEN=f"{TOKEN}\n")
    assert (ended.code, ended.json["error"]["code"]) == (4, "token-malformed")
    assert circleci.requests == ()


def test_undecided_where_the_project_cannot_be_learned(project: Project, circleci: Sandbox) -> None:
    ended = project.step(circleci, CIRCLE_BUILD_URL=None, CIRCLE_REPOSITORY_URL=None, CIRCLE_PIPELINE_ID=RUN)
    assert (ended.code, ended.json["error"]["code"]) == (5, "project-unknown")
    assert triggers(circleci) == []


def test_the_project_is_asked_for_where_no_variable_tells_it(project: Project) -> None:
    with sandbox(projects=["circleci/9YytKzouJxzu4TjCRFqAoD/44n9wujWcTnVZ2b5S8Fnat"]) as server:
        server.add_build(RUN, "circleci/9YytKzouJxzu4TjCRFqAoD/44n9wujWcTnVZ2b5S8Fnat")
        ended = project.step(server, CIRCLE_BUILD_URL=None, CIRCLE_REPOSITORY_URL=None, CIRCLE_PIPELINE_ID=RUN)
    assert ended.code == 0, ended.err
    (received,) = triggers(server)
    assert received.path == "/api/v2/project/circleci/9YytKzouJxzu4TjCRFqAoD/44n9wujWcTnVZ2b5S8Fnat/pipeline/run"


def test_a_deploy_to_another_project_needs_no_project_of_its_own(project: Project, circleci: Sandbox) -> None:
    project.write(
        """
        version: 1
        targets:
          shop: {project: gh/acme/shop, branch: main}
        rules:
          - name: production
            when: {branch: main}
            deploy: {to: shop, workflow: deploy, parameters: {deploy: true}}
        """
    )
    ended = project.step(circleci, CIRCLE_BUILD_URL=None, CIRCLE_REPOSITORY_URL=None, CIRCLE_PIPELINE_ID=None)
    assert (ended.code, ended.outcomes) == (0, ["triggered"]), ended.err


def test_refused_for_a_token_that_is_none(project: Project, circleci: Sandbox) -> None:
    ended = project.step(circleci, CIRCLE_TOKEN="invalid-0123456789")
    assert (ended.code, ended.json["error"]["code"]) == (6, "refused-401")
    assert "CIRCLE_TOKEN" in " ".join(ended.json["error"]["hints"])


def test_unreachable(project: Project) -> None:
    with sandbox() as server:
        url = server.url
    ended = project.run(("run", "--json", "--host", url), {**project.without_waits()})
    assert (ended.code, ended.outcomes) == (7, ["unreachable"])
    assert ended.last_line == "exit 7 (unreachable): nothing was triggered"


def test_rate_limited_for_longer_than_a_build_should_wait(project: Project, circleci: Sandbox) -> None:
    circleci.add_fault(parse_fault("429:600"))
    ended = project.step(circleci)
    assert (ended.code, ended.outcomes, ended.json["error"]["code"]) == (7, ["unreachable"], "rate-limited")
    assert circleci.runs == ()


def test_stopped_and_not_cancelled_says_so(project: Project, circleci: Sandbox) -> None:
    circleci.add_fault(parse_fault("moved"))
    circleci.add_fault(parse_fault("POST /api/v2/workflow/*/cancel => status:403:no*9"))
    ended = project.step(circleci)
    assert (ended.code, ended.outcomes) == (9, ["stopped"])
    assert "could NOT be cancelled" in ended.json["error"]["message"]
    assert "cancel it by hand" in ended.json["error"]["hints"][0]


def test_nothing_runs_that_the_rule_named(project: Project) -> None:
    with sandbox(workflows=[Workflow("lint")]) as server:
        ended = project.step(server)
    assert (ended.code, ended.outcomes) == (10, ["nothing-runs"])
    assert "workflow 'deploy' did not start" in ended.json["error"]["message"]
    assert ended.json["error"]["message"].endswith("has: lint")


def test_timed_out(project: Project, circleci: Sandbox) -> None:
    """What was triggered cannot be read: it was triggered all the same, and nobody may think otherwise."""
    circleci.add_fault(parse_fault("GET /api/v2/pipeline/* => status:404:Pipeline not found*99"))
    ended = project.step(circleci)
    assert (ended.code, ended.outcomes) == (12, ["triggered"])
    assert "was triggered: " in ended.last_line


def test_confirm_of_nothing_says_so(project: Project, circleci: Sandbox) -> None:
    ended = project.call("run", "--json", "--confirm", "0", server=circleci)
    assert (ended.code, ended.outcomes) == (0, ["triggered"])
    assert "not confirmed" in ended.err
    assert [r.method for r in circleci.requests] == ["GET", "POST"], "what there was before, and the trigger"


def test_a_late_answer_is_waited_for(project: Project, circleci: Sandbox) -> None:
    circleci.add_fault(parse_fault("late-after-create:0.5"))
    ended = project.step(circleci)
    assert (ended.code, ended.outcomes) == (0, ["triggered"])


def test_the_token_is_masked_wherever_it_comes_back(project: Project, circleci: Sandbox) -> None:
    """Messages, run errors, redirects: `process` looks for the token in all output, here it must have been there."""
    circleci.add_fault(parse_fault(f"errored:the token {TOKEN} is wrong"))
    ended = project.step(circleci)
    assert ended.code == 10
    assert "the token *** is wrong" in ended.json["error"]["message"]


def test_several_rules_are_sent_in_file_order(project: Project) -> None:
    project.write(THREE)
    with sandbox(workflows=[Workflow("a"), Workflow("b"), Workflow("c")]) as server:
        ended = project.step(server)
    assert (ended.code, ended.outcomes) == (0, ["triggered"] * 3)
    assert [_which(r.body) for r in triggers(server)] == ["a", "b", "c"]


def test_the_first_failure_stops_the_rest(project: Project) -> None:
    project.write(THREE)
    with sandbox(workflows=[Workflow("a"), Workflow("b"), Workflow("c")]) as server:
        server.add_fault(parse_fault("POST /api/v2/project/gh/acme/shop/pipeline/run => status:403:no"))
        server.add_fault(parse_fault("POST /api/v2/project/gh/acme/shop/pipeline/run => status:403:no"))
        ended = project.step(server)
    assert (ended.code, ended.outcomes) == (6, ["refused", "not-sent", "not-sent"])
    assert len(triggers(server)) == 1


def test_a_failure_in_between_leaves_what_was_done(project: Project) -> None:
    project.write(THREE)
    with sandbox(workflows=[Workflow("a")]) as server:
        ended = project.step(server)
    assert (ended.code, ended.outcomes) == (10, ["triggered", "nothing-runs", "not-sent"])
    assert [_which(r.body) for r in triggers(server)] == ["a", "b"]


THREE = """
    version: 1
    rules:
      - {name: one, when: {branch: main}, deploy: {workflow: a, parameters: {which: a}}}
      - {name: two, when: {branch: main}, deploy: {workflow: b, parameters: {which: b}}}
      - {name: three, when: {branch: main}, deploy: {workflow: c, parameters: {which: c}}}
    """


def _which(body: Any) -> str:
    return str(body["parameters"]["which"])
