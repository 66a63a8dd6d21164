"""Which commit did a rule deploy last? By its key, recomputed for each run's commit; and by its workflow."""

from typing import Any

import pytest
from builds import OTHER_SHA, PIPELINE, SHA, build, fork_environ, rules, tag_build
from fakes import Event, RoutedTransport, answer, client, config
from triggers import LIST, ago, listing, pipeline, workflow, workflows

from deploystep.app.earlier_runs import last_deployed
from deploystep.core.build import Branch, BuildContext, Tag
from deploystep.core.deploy import api_ref, deploy_key
from deploystep.core.facts import Base, ChangedSince, Unavailable

RULES = rules(
    """
    version: 1
    targets: {t: {project: gh/acme/deployer, branch: main}}
    rules:
      - name: api
        when: {branch: "**", paths: {only: api/**, since: last-deploy}, env: {REGION: "*"}}
        deploy: {workflow: deploy, parameters: {what: api, region: "${REGION}", deploy_key: "${deploy.key}"}}
      - name: web
        when: {branch: "**", paths: {only: web/**, since: last-deploy}}
        deploy: {workflow: deploy, parameters: {what: web, deploy_key: "${deploy.key}"}}
    """
)
SHAS = [f"{n:040x}" for n in range(9)]
BUILD, TAGGED = build(REGION="eu"), tag_build("v2", REGION="eu")
FORK = BuildContext.from_environ(fork_environ(7, REGION="eu"))
NO_SLUG = {"CIRCLE_BUILD_URL": None, "CIRCLE_REPOSITORY_URL": None, "REGION": "eu"}
WELL, NO_KEY = workflows("success"), "version: 2"


def key(rule: int, revision: str, of: BuildContext = BUILD, ref: Branch | Tag | None = None, once: str = "") -> str:
    return deploy_key(RULES.rules[rule], of, ref, revision, once=once)


def reran(*statuses: str) -> Event:
    """One workflow, run again each hour."""
    return workflows(*(workflow(status, created_at=ago(-3600.0 * n)) for n, status in enumerate(statuses)))


Told = tuple[int, Any, Any, dict[str, Any]]  # number (its commit is SHAS of that), configuration, workflows, changes


def run(number: int, text: Any = NO_KEY, standing: Any = WELL, **changes: Any) -> Told:
    return number, text, standing, changes


OLDER = run(3, key(0, SHAS[3]))


def asked(
    *runs: Told, of: BuildContext = BUILD, rule: str = "api", workflow: str | None = "deploy", also: Any = None
) -> object:
    """The commit that is compared with, else why there is none. Runs are listed newest first."""
    routes: dict[str, Any] = {}
    listed = []
    for number, text, standing, changes in runs:
        said = {"sha": SHAS[number], "ref": {} if of is TAGGED else {"branch": api_ref(of).name}, **changes}
        listed.append(pipeline(f"run-{number}", number, **said))
        routes[f"GET /run-{number}/config"] = config(text) if isinstance(text, str) else text
        routes[f"GET /run-{number}/workflow"] = standing
    routes[LIST] = answer(200, {"items": listed, "next_page_token": None})
    transport = RoutedTransport({**routes, **(also or {})})
    found = last_deployed(ChangedSince(Base.LAST_DEPLOY, workflow=workflow, rule=rule), RULES, of, client(transport))
    lists = [dict(request.query) for request in transport.sent if request.path.endswith("/shop/pipeline")]
    assert lists[:1] in ([], [{} if of is TAGGED else {"branch": api_ref(of).name}])
    if isinstance(found, Unavailable):
        assert (found.code, bool(found.cure)) == ("U101", True)
        return found.reason.removeprefix("cannot tell which files changed since the last deploy: ")
    return found


@pytest.mark.parametrize(("runs", "found"), [
    ([run(4, key(0, SHAS[4])), OLDER], SHAS[4]),
    ([run(4, key(0, SHAS[4], once="job")), OLDER], SHAS[4]),  # it was wanted again
    ([run(4, key(0, SHA), sha=SHA)], SHA),  # this very commit
    ([run(4, key(0, OTHER_SHA), sha=SHA)], None),
    # another rule's, though of the same workflow; another region's; that of another commit
    ([run(4, key(1, SHAS[4])), OLDER], SHAS[3]),
    ([run(4, key(0, SHAS[4], build(REGION="us"))), OLDER], SHAS[3]),
    ([run(4, key(0, SHAS[3])), OLDER], SHAS[3]),
    # those that hold none are known by the workflow
    ([run(4), OLDER], SHAS[4]),
    ([run(4, "")], SHAS[4]),
    # what did not end well, whether or not it holds a key
    *(([run(4, text, standing), OLDER], SHAS[3])
      for text in (NO_KEY, key(0, SHAS[4]))
      for standing in (*map(workflows, ("running", "failed", "on_hold", "no such word")), workflows(),
                       workflows(workflow("success", "lint")), reran("success", "failed"))),
    ([run(4, NO_KEY, reran("failed", "success")), OLDER], SHAS[4]),
    # what is no deploy of this branch
    *(([run(4, **changes), OLDER], SHAS[3])
      for changes in ({"by": "webhook"}, {"state": "errored"}, {"ref": {"branch": "dev"}}, {"ref": {"tag": "v1"}})),
    ([run(4, ref={})], SHAS[4]),  # of a branch only that branch's runs are listed
    ([run(3, key(0, SHAS[3]), age=9000.0), run(4, key(0, SHAS[4]), age=60.0)], SHAS[4]),  # listed oldest first
    ([], None),
    # what may be the last deploy, and cannot be told
    ([run(4, by=None), OLDER], "run 4 does not tell how it was triggered"),
    *(([run(4, text, sha=None)], "run 4 does not tell its commit")
      for text in (NO_KEY, key(0, SHAS[4]), key(1, SHAS[4]))),
    ([run(4, answer(404)), OLDER], "the configuration of run 4 could not be read"),
    ([run(4, key(0, SHAS[4]), answer(404)), OLDER], "the workflows of run 4 could not be read"),
])  # fmt: skip
def test_the_last_deploy(runs: list[Told], found: object) -> None:
    assert asked(*runs) == found


@pytest.mark.parametrize(
    ("of", "runs", "found"),
    [
        (FORK, [run(4, key(0, SHAS[4], FORK))], SHAS[4]),  # whose runs the API lists by another name
        # a tag compares with whatever tag came before it
        (TAGGED, [run(4, key(0, SHAS[4], TAGGED, Tag("v1")), ref={"tag": "v1"})], SHAS[4]),
        (TAGGED, [run(4, key(0, SHAS[4], TAGGED, Tag("v1.1")), ref={"tag": "v1"})], None),
        (TAGGED, [run(5, ref={"branch": "main"}), run(4, ref={"tag": "v1.9"}), run(3, ref={"tag": "v1"})], SHAS[4]),
    ],
)
def test_the_last_deploy_of_other_builds(of: BuildContext, runs: list[Told], found: object) -> None:
    assert asked(*runs, of=of) == found


def test_a_rule_that_names_no_workflow_is_known_by_its_key_alone() -> None:
    assert [asked(run(4, text), workflow=None) for text in (key(0, SHAS[4]), NO_KEY)] == [SHAS[4], None]
    assert asked(rule="?", workflow=None) == "the workflow that the rule starts in this project could not be read"


def test_a_success_in_which_a_job_did_not_run_was_no_deploy() -> None:
    ran, skipped = {"name": "a", "status": "success"}, {"name": "b", "status": "not_run"}
    unread = "the jobs of run 4 could not be read"
    for came, found in ((listing(ran), SHAS[4]), (listing(ran, skipped), SHAS[3]), (answer(404), unread)):
        newer = workflows({"id": "v0", **workflow("success")})
        assert asked(run(4, key(0, SHAS[4]), newer), OLDER, also={"GET /v0/job": came}) == found


def test_a_list_that_cannot_be_read() -> None:
    assert str(asked(also={LIST: answer(404)})).startswith("the runs of gh/acme/shop could not be read (")


def test_a_hundred_runs_are_enough() -> None:
    """Of those that a trigger made: a busy branch has any number of pushes in between."""
    runs = [pipeline(f"bad-{n}") for n in range(100)] + [pipeline(f"well-{n}") for n in range(40)]
    pushes = [pipeline(f"push-{n}", by="webhook") for n in range(70)]
    items = [each for push, run in zip(pushes, runs, strict=False) for each in (push, run)] + runs[70:]
    pages = [answer(200, {"items": items[n : n + 20], "next_page_token": f"{n}"}) for n in range(0, 180, 20)]
    also: dict[str, Any] = {LIST: [*pages, AssertionError("a hundred were read")], "GET /workflow": workflows("failed")}
    also |= {f"GET /well-{n}/workflow": WELL for n in range(40)}
    assert asked(also=also) is None
    assert asked(also={**also, "GET /bad-99/workflow": WELL}) == SHA


def test_the_project_is_asked_for_where_no_variable_tells_it() -> None:
    routes = {"GET /44n/pipeline": listing(pipeline("run-4", 4, sha=SHAS[4])), "GET /workflow": WELL}
    described = answer(200, {"id": PIPELINE, "state": "created", "project_slug": "circleci/9Yy/44n"})
    unread = "the project of this build could not be read"
    for own, told, found in ((PIPELINE, described, SHAS[4]), (PIPELINE, answer(404), unread), (None, None, unread)):
        of = build(CIRCLE_PIPELINE_ID=own, **NO_SLUG)
        assert asked(of=of, also={**routes, f"GET /{PIPELINE}": told}) == found
