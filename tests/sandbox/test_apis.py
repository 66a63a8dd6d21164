"""What the API versions accept, create and tell, on a clock that the test owns."""

import base64
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sandbox.calls import MAIN, PIPELINE, RUN, SHA, SHOP, START, TREE, V3_RUNS, Clock, call, get, trigger, v3_body

from deploystep.sandbox import Pace, Sandbox, TriggerBody, Workflow, parse_fault

BUILDS, TILL, OTHER = TREE.removesuffix("/tree/main"), RUN.replace("shop", "till"), "b" * 40
DEFINITION = str(uuid4())


def _basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


BEARERS = [{"Authorization": "Bearer abc"}, {"authorization": "bearer abc"}]
GOOD = [*BEARERS, {"Circle-Token": "abc"}, _basic("abc:"), _basic("abc")]
BAD = [{}, *({"Authorization": text} for text in ("Bearer ", "abc", "Basic !!!")), {"Circle-Token": ""}, _basic(":abc")]
PATHS = [("POST", RUN), ("GET", PIPELINE), ("GET", "/api/v2/me"), ("POST", TREE), ("GET", TREE), ("POST", V3_RUNS)]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_good_and_bad_credentials(sandbox: Sandbox, method: str, path: str) -> None:
    sandbox.projects = [SHOP]
    body: Any = (v3_body() if path == V3_RUNS else {}) if method == "POST" else None
    for headers in (*GOOD, *BAD):
        answer = call(sandbox, method, path, body, headers=headers, token=None)
        if headers in (BEARERS if path == V3_RUNS else GOOD):
            assert answer.status in {200, 201}, headers
        else:
            words = "Invalid token provided." if path == RUN else "You must log in first."
            assert (answer.status, words in answer.text) == (401, True), headers
    answer = call(sandbox, method, f"{path}?circle-token=abc")
    assert (answer.status, "query parameter" in answer.text) == (401, True), "even beside a good one"


def test_only_the_token_that_was_set_is_good(sandbox: Sandbox) -> None:
    sandbox.token = "right"
    wrong = ("wrong", "righ", "right2", "ri\u00fcght".encode().decode("latin-1"))
    assert [trigger(sandbox, token=token).status for token in ("right", *wrong)] == [201, 401, 401, 401, 401]
    assert len(sandbox.runs) == 1


def test_a_token_is_never_kept(sandbox: Sandbox) -> None:
    secret = "s3cret-token-0123"
    for headers in ({"Authorization": f"Bearer {secret}"}, _basic(secret), {"Circle-Token": secret}):
        trigger(sandbox, headers=headers, token=None)
    call(sandbox, "GET", f"/api/v2/me?circle-token={secret}", token=secret)
    for text in (repr(sandbox.requests), call(sandbox, "GET", "/sandbox/requests").text):
        assert not any(part in text for part in (secret, *_basic(secret).values()))


# What is created


def test_the_commit_is_the_first_that_somebody_knows(sandbox: Sandbox) -> None:
    def revision(branch: str, **parameters: object) -> str:
        assert trigger(sandbox, {"config": {"branch": branch}, "parameters": parameters}).status == 201
        return sandbox.runs[-1].revision

    sandbox.moved["main"], sandbox.head_of = SHA, {"known": "c" * 40}.get
    assert [revision("main", sha=OTHER), revision("known", n=1, short="abc", sha=OTHER)] == [SHA, OTHER]
    assert revision("known") == "c" * 40
    assert revision("unknown") == revision("unknown") != revision("other")
    sandbox.moved["main"] = ""
    for branch in ("main", "pull/5", ""):
        answer = trigger(sandbox, {"config": {"branch": branch}})
        assert (answer.status, answer.json) == (400, {"message": "Branch not found"})
    assert call(sandbox, "POST", TREE.replace("main", "pull%2F5"), {}).status == 200, "v1.1 names it like this"


def test_branch_and_tag(sandbox: Sandbox) -> None:
    tag = {"tag": "v1"}
    for body, ref in (
        ({}, {"branch": "main"}),
        ({"config": tag, "checkout": tag}, tag),
        ({"config": {"branch": "main"}, "checkout": tag}, tag),
        ({"config": {"branch": "pull/5/head"}}, {"branch": "pull/5/head"}),
    ):
        run = trigger(sandbox, body).json["id"]
        in_v3 = get(sandbox, f"{V3_RUNS}/{run.upper()}")["data"]["references"]["event"]["attributes"]["vcs"]
        for shown in (get(sandbox, f"/api/v2/pipeline/{run}")["vcs"], in_v3):
            assert {name: shown[name] for name in ("branch", "tag") if name in shown} == ref
            assert shown["origin_repository_url"] == "https://github.com/acme/shop"
    run = call(sandbox, "POST", RUN.replace(SHOP, "circleci/abc/def"), {**MAIN, "parameters": {"sha": SHA}}).json["id"]
    pipeline = get(sandbox, f"/api/v2/pipeline/{run}")  # of a GitHub App project
    told = {"git": {"branch": "main", "checkout_sha": SHA}}
    assert (pipeline["trigger_parameters"], "vcs" in pipeline) == (told, False)


#: What is asked for, and the status.
ROUTES = {
    "POST v2/project/github/acme/shop/pipeline/run": 201,
    "POST v2/project/bb/acme/shop/pipeline/run": 201,
    "POST v2/project/gh%2Facme%2Fshop/pipeline/run": 404,
    "POST v2/project/gh/acme/shop%2Fx/pipeline/run": 404,
    "POST v2/project/gitlab/acme/shop/pipeline/run": 404,
    "POST v2/project/gh/acme/shop/pipeline": 201,
    "POST v2/project/circleci/abc/def/pipeline": 404,
    "GET v2/project/gh/acme/shop/pipeline/run": 405,
    "DELETE v2/me": 405,
    "POST v1.1/project/github/acme/shop/tree/feature/x": 404,
}


@pytest.mark.parametrize("route", ROUTES)
def test_paths(sandbox: Sandbox, route: str) -> None:
    method, path = route.split()
    answer = call(sandbox, method, f"/api/{path}", {} if method == "POST" else None)
    assert (answer.status, "message" in answer.json) == (ROUTES[route], ROUTES[route] != 201)
    assert sandbox.requests[0].path == f"/api/{path}"


def test_only_the_projects_that_were_named_exist() -> None:
    with Sandbox(projects=["github/acme/shop"]) as sandbox:
        for method, path in (row for row in PATHS if "shop" in row[1]):
            answer = call(sandbox, method, path.replace("shop", "x"), {} if method == "POST" else None)
            words = "Project does not exist." if path == RUN else "Project not found"
            assert (answer.status, answer.json) == (404, {"message": words})
        assert get(sandbox, "/api/v3/projects?filter[slug]=gh/acme/till")["data"] == []
    with pytest.raises(ValueError, match="`acme/shop` is not a project slug"):
        Sandbox(projects=["acme/shop"])


NO_JSON = [b"{", b"\xff", b"{} {}", b'{"parameters": {"a": NaN}}', b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"]
OF_V1_1: list[Any] = [[], {"build_parameters": []}, {"build_parameters": "x"}, {"revision": 7}]
#: Bodies that v3 refuses, and what it says of each.
V3_WRONG: list[tuple[Any, str]] = [
    ([], "the body must be an object"),
    ({}, "`data`"),
    ({"data": {"attributes": {}}}, "`data/references`"),
    ({**v3_body(), "pipeline_id": DEFINITION}, "`pipeline_id`"),
    (v3_body(definition="main"), "`data/references/pipeline/id`"),
    (v3_body({"config": {"tag": "v1"}}), "`data/attributes/config/tag`"),
    (v3_body({"checkout": {"branch": "main", "revision": SHA}}), "`data/attributes/checkout/revision`"),
    (v3_body({"parameters": {"a": None}}), "`data/attributes/parameters`"),
    (v3_body({"checkout": {"branch": ""}}), "Branch not found"),
]


@pytest.mark.parametrize("path", [RUN, PIPELINE, TREE, V3_RUNS])
def test_bodies_that_are_refused(sandbox: Sandbox, path: str) -> None:
    sandbox.projects = [SHOP]
    for body in (*NO_JSON, *(OF_V1_1 if path == TREE else ())):
        assert call(sandbox, "POST", path, body).status == 400, body
    plain = {"Content-Type": "text/plain"}
    assert path == TREE or call(sandbox, "POST", path, v3_body(), headers=plain).status == 400
    for body, words in V3_WRONG if path == V3_RUNS else ():
        answer = call(sandbox, "POST", path, body)
        assert (answer.status, answer.json["error"]["type"]) == (400, "validation_error"), body
        assert words in answer.json["error"]["detail"]
    assert sandbox.runs == ()


def test_a_definition_is_of_the_only_project_that_is_known(sandbox: Sandbox) -> None:
    assert call(sandbox, "POST", V3_RUNS, v3_body()).status == 404
    trigger(sandbox)
    assert call(sandbox, "POST", V3_RUNS, v3_body()).status == 201
    call(sandbox, "POST", TILL, MAIN)
    assert call(sandbox, "POST", V3_RUNS, v3_body()).status == 404


def test_what_was_asked_is_kept_with_the_run(sandbox: Sandbox) -> None:
    sandbox.projects = [SHOP]
    declared = {"Content-Type": "application/json; charset=utf-8"}
    body = {**MAIN, "definition_id": DEFINITION.upper(), "parameters": {"a": True}}
    assert trigger(sandbox, body, headers=declared).status == 201
    call(sandbox, "POST", V3_RUNS, v3_body({"parameters": {"a": "b"}}))
    job = {"CIRCLE_JOB": "deploy", "A": True, "B": 3, "C": None, "D": 1.5}
    started = call(sandbox, "POST", TREE, {"build_parameters": job, "revision": OTHER})
    answer, texts = started.json, {"CIRCLE_JOB": "deploy", "A": "true", "B": "3", "C": "", "D": "1.5"}
    asked = [("v2", {"a": True}), ("v3", {"a": "b"}), ("v1.1", texts)]
    assert [(run.api, run.parameters) for run in sandbox.runs] == asked
    assert (answer["job_name"], answer["vcs_revision"], answer["build_parameters"]) == ("deploy", OTHER, texts)
    assert started.headers["Sunset"] == "Mon, 01 Feb 2027 00:00:00 GMT"
    edn = sandbox.respond("GET", TREE, "", {"Circle-Token": "abc"})
    assert edn.content_type == "application/edn", "v1.1 gives JSON only to who asks for it"


def test_workflows_start_where_their_parameters_match_in_type_too(sandbox: Sandbox, clock: Clock) -> None:
    when: dict[str, Any] = {"always": {}, "production": {"environment": "production"}, "flag": {"deploy": True}}
    sandbox.workflows = [Workflow(name, when=pairs) for name, pairs in when.items()]
    for parameters in ({}, {"deploy": True}, {"deploy": 1}, {"deploy": True, "environment": "production"}):
        trigger(sandbox, {**MAIN, "parameters": parameters})
    clock.passes(1)
    started = [[workflow.name for workflow in run.workflows] for run in sandbox.runs]
    assert started == [["always"], ["always", "flag"], ["always"], ["always", "production", "flag"]]


def test_a_config_is_compiled_once_the_run_has_formed(sandbox: Sandbox, clock: Clock) -> None:
    def starts(body: TriggerBody) -> list[Workflow]:
        if "x" in body.parameters:
            raise ValueError("Unexpected argument(s): x")
        return [Workflow(str(body.branch))]

    def compiled(run: str) -> tuple[str, str]:
        read = get(sandbox, f"/api/v2/pipeline/{run}/config")
        return read["source"], read["compiled"]

    uses = (f"<< pipeline.{name} >>" for name in ("parameters.deploy_key", "parameters.go", "number"))
    config = f"# {' '.join(uses)} <<pipeline.parameters.go>>\n"
    sandbox.set_config("github/acme/shop", config, defaults={"go": False, "deploy_key": ""}, starts=starts)
    run = trigger(sandbox, {**MAIN, "parameters": {"deploy_key": "ds-1", "unused": "y"}}).json["id"]
    refused = trigger(sandbox, {"parameters": {"x": 1}}).json["id"]
    other = call(sandbox, "POST", TILL, {"parameters": {"a": "ds-2", "b": 7}}).json["id"]
    assert compiled(run) == (config, "")
    clock.passes(1)
    assert compiled(run) == (config, "# ds-1 false << pipeline.number >> false\n")
    assert compiled(refused) == (config, "")
    started = [([w.name for w in run.workflows], run.errors) for run in sandbox.runs]
    assert started[:2] == [(["main"], ()), ([], ("Unexpected argument(s): x",))]
    source, text = compiled(other)  # of a config that uses each parameter once
    assert all(source.count(f"<< pipeline.parameters.{name} >>") == 1 for name in "ab")
    assert ("PARAMETER_1: ds-2" in text, "PARAMETER_2: 7" in text) == (True, True)


def test_a_lone_surrogate_does_no_harm(sandbox: Sandbox) -> None:
    assert trigger(sandbox, b'{"config": {"branch": "\\ud800"}}').status == 201
    assert get(sandbox, "/sandbox/runs")["runs"][0]["branch"] == "\ud800"


def test_fifty_at_once_get_fifty_numbers(sandbox: Sandbox) -> None:
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: trigger(sandbox).json, range(50)))
    assert sorted(answer["number"] for answer in answers) == list(range(1, 51))
    assert len({answer["id"] for answer in answers}) == 50
    assert [entry.status for entry in sandbox.requests] == [201] * 50


# How runs move on


def in_v2(sandbox: Sandbox, run: str) -> str:
    """The state of a run, and its workflows."""
    items = get(sandbox, f"/api/v2/pipeline/{run}/workflow")["items"]
    assert [item["tag"] for item in items] == ["setup" if item["name"] == "setup" else None for item in items]
    workflows = ", ".join(f"{item['name']} {item['status']}" for item in items)
    state = str(get(sandbox, f"/api/v2/pipeline/{run}")["state"])
    return f"{state}: {workflows}" if workflows else state


def in_v3(sandbox: Sandbox, run: str) -> str:
    """Phase and outcome of a run, and the phases of its workflows."""
    attributes = get(sandbox, f"{V3_RUNS}/{run}")["data"]["attributes"]
    listed = call(sandbox, "GET", f"/api/v3/workflows?filter[run_id]={run}")
    assert listed.status == (200 if "data" in listed.json else 404)
    shown = [workflow["attributes"] for workflow in listed.json.get("data", ())]
    for each in shown:
        assert ("outcome" in each) == (each["ended_at"] is not None) == (each["phase"] == "ended")
    stands = " ".join(attributes[name] for name in ("phase", "current_outcome") if name in attributes)
    return ": ".join([stands, *([" ".join(each["phase"] for each in shown)] if shown else [])])


def in_v1_1(sandbox: Sandbox, number: int) -> tuple[str, str, str | None]:
    """Lifecycle, status and outcome of a job."""
    build = get(sandbox, f"{BUILDS}/{number}")
    return build["lifecycle"], build["status"], build["outcome"]


WAITS, RUNS, ENDS = ("not_running",) * 2 + (None,), ("running", "running", None), ("finished", "success", "success")
DONE, DONE_V3 = "created: deploy success", "ended succeeded: ended"
#: After so many seconds: a job of v1.1, a run in v2 and v3, and in both one of a dynamic config, which is set up first.
TIMES: list[tuple[float, Any, str, str, str, str]] = [
    (0.0, WAITS, "pending", "created", "setup-pending", "created"),
    (0.1, WAITS, "created", "created", "setup", "created"),
    (0.999, WAITS, "created", "created", "setup", "created"),
    (1.0, RUNS, "created: deploy running", "started: started", "setup: setup running", "started: started"),
    (10.0, ENDS, DONE, DONE_V3, "created: setup success", "started: ended"),
    (11.0, ENDS, DONE, DONE_V3, "created: setup success, deploy running", "started: ended started"),
    (20.0, ENDS, DONE, DONE_V3, "created: setup success, deploy success", f"{DONE_V3} ended"),
]


def test_a_run_is_created_before_its_workflows_are_listed(sandbox: Sandbox, clock: Clock) -> None:
    sandbox.pace = Pace(appear=1, finish=10)
    number, run = call(sandbox, "POST", TREE, {}).json["build_num"], trigger(sandbox).json["id"]
    for _ in range(2):
        sandbox.add_fault(parse_fault("setup"))
    dynamic, failed = (trigger(sandbox).json["id"] for _ in range(2))
    for seconds, v1_1, v2, v3, *set_up in TIMES:
        clock.moment = START + timedelta(seconds=seconds)
        assert (in_v1_1(sandbox, number), in_v2(sandbox, run), in_v3(sandbox, run)) == (v1_1, v2, v3), seconds
        assert [in_v2(sandbox, dynamic), in_v3(sandbox, dynamic)] == set_up, seconds
        if seconds == 1:  # what is not set up is not continued
            sandbox.set_workflow(sandbox.runs[-1].workflows[0].id, "failed")
    assert in_v2(sandbox, failed) == "setup: setup failed"


@pytest.mark.parametrize(
    ("outcomes", "stands"),
    [
        *((outcome, f"ended {outcome}") for outcome in ("failed", "canceled", "unauthorized")),
        *(("success failed", "ended failed"), ("canceled success", "ended canceled")),
        *(("failing", "started failed"), ("running failed", "started failed")),
        *((outcomes, "started") for outcomes in ("running", "running success", "on_hold queued")),
        *(("queued", "queued"), ("success", "ended succeeded")),
    ],
)
def test_a_run_sums_up_its_workflows_in_v3(sandbox: Sandbox, clock: Clock, outcomes: str, stands: str) -> None:
    sandbox.workflows = [Workflow(f"w{i}", outcome=outcome) for i, outcome in enumerate(outcomes.split())]
    run = trigger(sandbox).json["id"]
    clock.passes(60)
    assert in_v3(sandbox, run).partition(":")[0] == stands


def test_a_status_can_be_given_from_outside(sandbox: Sandbox, clock: Clock) -> None:
    sandbox.workflows = [Workflow("w", outcome="on_hold")]
    run = trigger(sandbox).json["id"]
    clock.passes(60)
    workflow = sandbox.runs[0].workflows[0].id
    for status, phase in (("running", "started"), ("quantum", "quantum"), ("success", "ended succeeded")):
        sandbox.set_workflow(workflow.upper(), status)
        assert (in_v2(sandbox, run), in_v3(sandbox, run).partition(":")[0]) == (f"created: w {status}", phase)
        assert get(sandbox, f"/api/v2/workflow/{workflow}/job")["items"][0]["status"] == status
    assert sandbox.runs[0].workflows[0].stopped_at == START + timedelta(seconds=60)


@pytest.mark.parametrize("path", ["/api/v2/workflow/{}/cancel", "/api/v3/workflows/{}/cancel", f"{BUILDS}/{{}}/cancel"])
def test_canceling_counts_only_before_the_end(sandbox: Sandbox, clock: Clock, path: str) -> None:
    for seconds, status in ((0, "canceled"), (1, "canceled"), (5, "success")):
        number = call(sandbox, "POST", TREE, {}).json["build_num"] if path.startswith(BUILDS) else 0
        run = "" if number else trigger(sandbox).json["id"]
        clock.passes(seconds or not number)
        name = number or sandbox.runs[-1].workflows[0].id.upper()
        assert call(sandbox, "POST", path.format(name)).status == (200 if number else 202)
        clock.passes(60)
        assert (in_v1_1(sandbox, number)[1] if number else in_v2(sandbox, run)).endswith(status)
    assert call(sandbox, "POST", path.format(99 if path.startswith(BUILDS) else uuid4())).status == 404


IDS = ["v2/pipeline/{}", "v2/pipeline/{}/workflow", "v2/pipeline/{}/config", "v2/workflow/{}/job", "v3/runs/{}"]


@pytest.mark.parametrize("path", [*IDS, "v3/workflows?filter[run_id]={}"])
def test_ids(sandbox: Sandbox, path: str) -> None:
    for name, status in (("not-a-uuid", 400), (uuid4(), 404)):
        assert call(sandbox, "GET", "/api/" + path.format(name)).status == status


# Lists

SCOPE = {"project_ids": [str(uuid4())], "from": "2026-06-16T00:00:00Z", "to": "2026-06-16T23:59:59+02:00"}


def project_id(sandbox: Sandbox, slug: str = SHOP) -> str:
    (project,) = get(sandbox, f"/api/v3/projects?filter%5Bslug%5D={slug}")["data"]
    return str(project["id"])


def search(sandbox: Sandbox, text: str = "", **changes: Any) -> Any:
    scope, page = {**SCOPE, "project_ids": [project_id(sandbox)]}, {"cursor": "", "limit": 20}
    body = {"scope": scope, "filter": text, "order_by": "", "page": page, **changes}
    return call(sandbox, "POST", f"{V3_RUNS}/search", body)


def found(sandbox: Sandbox, text: str = "", **changes: Any) -> list[str]:
    return [run["id"] for run in search(sandbox, text, **changes).json["data"]]


@pytest.mark.parametrize(("pace", "faults"), [(Pace(listed=5), []), (Pace(), ["lag:5"] * 2)])
def test_lists_are_late_and_readings_by_id_are_not(
    sandbox: Sandbox, clock: Clock, pace: Pace, faults: list[str]
) -> None:
    def listed() -> list[list[Any]]:
        numbers = [item["number"] for item in get(sandbox, f"{PIPELINE}?branch=main")["items"]]
        return [numbers, [len(found(sandbox))], [build["build_num"] for build in get(sandbox, TREE)]]

    sandbox.pace = pace
    for fault in faults:
        sandbox.add_fault(parse_fault(fault))
    run, job = trigger(sandbox).json["id"], call(sandbox, "POST", TREE, {}).json["build_num"]
    clock.passes(4.999)
    assert listed() == [[], [0], []]
    assert (in_v2(sandbox, run), in_v1_1(sandbox, job)[1]) == (DONE, "success")
    clock.passes(0.001)
    assert listed() == [[1], [1], [job, 1]]


def test_lists_are_newest_first_and_paged_by_twenty(sandbox: Sandbox) -> None:
    """What comes in between neither repeats nor hides anything."""
    made = [trigger(sandbox).json["id"] for _ in range(45)]
    pages, token, seen, cursor = list[list[int]](), "", list[str](), ""
    for _ in range(3):
        page = get(sandbox, f"{PIPELINE}?page-token={token}")
        found = search(sandbox, page={"cursor": cursor}).json
        pages.append([item["number"] for item in page["items"]])
        seen += [entry["id"] for entry in found["data"]]
        token, cursor = page["next_page_token"], found["page"]["next"]
        trigger(sandbox)
    assert pages == [list(range(45, 25, -1)), list(range(25, 5, -1)), list(range(5, 0, -1))]
    assert (f"{token} {cursor}", seen) == ("None None", made[::-1])
    for token in ("x", "%ff", "999"):
        assert call(sandbox, "GET", f"{PIPELINE}?page-token={token}").status == 400


def test_lists_are_of_one_project_and_one_branch(sandbox: Sandbox) -> None:
    branches = ("main", 'a"b\\c and d', "main")
    main, other, last = (trigger(sandbox, {"config": {"branch": branch}}).json["id"] for branch in branches)
    till = call(sandbox, "POST", TILL, MAIN).json["id"]
    items = get(sandbox, f"{PIPELINE}?branch=a%22b%5Cc%20and%20d")["items"]
    assert [item["number"] for item in items] == [2]
    for branch in ("main", "x", "main", "main"):
        call(sandbox, "POST", TREE.replace("main", branch), {})
    assert [build["build_num"] for build in get(sandbox, f"{TREE}?limit=2&offset=1")] == [6, 4]
    assert found(sandbox) == found(sandbox, "  ") == [last, other, main]
    assert found(sandbox, 'pipeline.git.branch == "main"') == [last, main]
    assert found(sandbox, 'pipeline.git.branch == "a\\"b\\\\c and d"') == [other]
    both = [project_id(sandbox), project_id(sandbox, "github/acme/till").upper()]
    for start, end, wanted in ((-1, 1, True), (0, 0, True), (1, 2, False), (-2, -1, False)):
        times = {n: (START + timedelta(seconds=s)).isoformat() for n, s in (("from", start), ("to", end))}
        scope = {"project_ids": both, **times}
        assert found(sandbox, scope=scope) == ([till, last, other, main] if wanted else [])


def test_builds_from_outside_are_in_the_order_of_their_creation(sandbox: Sandbox, clock: Clock) -> None:
    trigger(sandbox)
    clock.passes(60)
    early, middle, late = (str(uuid4()) for _ in range(3))
    sandbox.add_build(middle, SHOP, created=START + timedelta(seconds=30))
    sandbox.add_build(late, "github/acme/shop", branch="x", revision=SHA)
    sandbox.add_build(early, SHOP, created=START - timedelta(days=1), trigger="scheduled_pipeline")
    sandbox.add_build(early, SHOP)
    items = get(sandbox, PIPELINE)["items"]
    assert [item["id"] for item in items] == [late, middle, sandbox.runs[0].id, early]
    assert [item["trigger"]["type"] for item in items] == ["webhook", "webhook", "api", "scheduled_pipeline"]
    assert (items[0]["vcs"]["branch"], items[0]["vcs"]["revision"]) == ("x", SHA)
    assert in_v2(sandbox, early) == "created: build running, build running"


FILTERS = ('branch = "main"', 'tag == "v1"', 'branch=="main"', 'branch == "a" and pipeline.git.branch == "x"')
WRONG_SEARCHES: list[tuple[dict[str, Any], str]] = [
    *(({"page": {"limit": limit}}, "`page/limit`") for limit in (0, 21)),
    ({"page": {"cursor": "x"}}, "Invalid page token"),
    *(({"order_by": "created_at"}, "`order_by`"), ({"sort": "up"}, "`sort`")),
    *(({"scope": {**SCOPE, "project_ids": ids}}, "`scope/project_ids") for ids in ([], [SHOP], [7])),
    ({"scope": {**SCOPE, "from": "yesterday"}}, "`scope/from`"),
    *(({"filter": f"pipeline.git.{text}"}, "`filter`") for text in (*FILTERS, 'branch == "a"b"', 'branch == "\\x"')),
]


def test_searches_that_are_refused(sandbox: Sandbox) -> None:
    for changes, words in WRONG_SEARCHES:
        answer = search(sandbox, **{"scope": SCOPE, **changes})
        assert (answer.status, answer.json["error"]["type"]) == (400, "validation_error"), changes
        assert words in answer.json["error"]["detail"]
    assert call(sandbox, "GET", "/api/v3/workflows?filter[run_id]=").status == 400


def test_nodes_fail_on_demand_and_stay_failed(sandbox: Sandbox) -> None:
    job = f"/api/v2/project/{SHOP}/job/7"

    def nodes() -> str:
        return " ".join(node["status"] for node in get(sandbox, job)["parallel_runs"])

    sandbox.add_fault(parse_fault("siblings:1,3:timedout"))
    assert call(sandbox, "GET", job).status == 404
    sandbox.set_job(SHOP, 7, parallel_runs=["running"] * 4)
    assert nodes() == nodes() == "running timedout running timedout"
    sandbox.add_fault(parse_fault("siblings:2"))
    assert nodes() == "running timedout failed timedout"
    details = get(sandbox, job)
    assert (details["status"], details["parallelism"]) == ("running", 4)
    assert details["project"]["id"] == project_id(sandbox)
    assert get(sandbox, PIPELINE)["items"] == [], "no list shows it"
    assert call(sandbox, "POST", TREE, {}).json["build_num"] == 8
    sandbox.set_job(SHOP, 7, parallel_runs=["success"] * 4)
    assert nodes() == "success success success success"
