"""What the API versions accept, create and tell, on a clock that the test owns."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sandbox.calls import DEFINITION, MAIN, PIPELINE, RUN, SHA, START, TREE, V3_RUNS, Clock, call, trigger, v3_body

from deploystep.sandbox import Pace, Sandbox, TriggerBody, Workflow, parse_fault

SHOP, OTHER = "gh/acme/shop", "b" * 40
BUILDS = "/api/v1.1/project/github/acme/shop"

# Authentication


def _basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


BEARERS = [{"Authorization": "Bearer abc"}, {"authorization": "bearer abc"}]
GOOD = [*BEARERS, {"Circle-Token": "abc"}, _basic("abc:"), _basic("abc")]
BAD = [{}, *({"Authorization": text} for text in ("Bearer", "Bearer ", "abc", "Basic !!!")), {"Circle-Token": ""}]
PATHS = [("POST", RUN), ("GET", PIPELINE), ("GET", "/api/v2/me"), ("POST", TREE), ("GET", TREE), ("POST", V3_RUNS)]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_good_and_bad_credentials(method: str, path: str) -> None:
    body: Any = (v3_body() if path == V3_RUNS else {}) if method == "POST" else None
    with Sandbox(projects=[SHOP]) as sandbox:
        for headers in (*GOOD, *BAD, _basic(":abc")):
            answer = call(sandbox, method, path, body, headers=headers, token=None)
            if headers in (BEARERS if path == V3_RUNS else GOOD):
                assert answer.status in {200, 201}, headers
            else:
                words = "Invalid token provided." if path == RUN else "You must log in first."
                assert (answer.status, words in answer.text) == (401, True), headers
        answer = call(sandbox, method, f"{path}?circle-token=abc")
        assert (answer.status, "query parameter" in answer.text) == (401, True), "even beside a good one"


def test_only_the_token_that_was_set_is_good() -> None:
    with Sandbox(token="right") as sandbox:
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


def test_the_commit_is_the_first_that_somebody_knows() -> None:
    with Sandbox(heads={"main": SHA}, head_of={"known": "c" * 40}.get) as sandbox:

        def revision(branch: str, **parameters: object) -> str:
            assert trigger(sandbox, {"config": {"branch": branch}, "parameters": parameters}).status == 201
            return sandbox.runs[-1].revision

        assert [revision("main", sha=OTHER), revision("known", n=1, short="abc", sha=OTHER)] == [SHA, OTHER]
        assert revision("known") == "c" * 40
        assert revision("unknown") == revision("unknown") != revision("other")
        sandbox.moved["main"] = OTHER
        assert revision("main") == OTHER
        sandbox.moved["main"] = ""
        for branch in ("main", "pull/5", ""):
            answer = trigger(sandbox, {"config": {"branch": branch}})
            assert (answer.status, answer.json) == (400, {"message": "Branch not found"})
        assert call(sandbox, "POST", TREE.replace("main", "pull%2F5"), {}).status == 200, "v1.1 names it like this"


@pytest.mark.parametrize(
    ("body", "branch", "tag"),
    [
        ({}, "main", None),
        ({"config": {"tag": "v1"}, "checkout": {"tag": "v1"}}, None, "v1"),
        ({"config": {"branch": "main"}, "checkout": {"tag": "v1"}}, None, "v1"),
        ({"config": {"branch": "pull/5/head"}}, "pull/5/head", None),
    ],
)
def test_branch_and_tag(sandbox: Sandbox, body: object, branch: str | None, tag: str | None) -> None:
    run = trigger(sandbox, body).json["id"]
    vcs = call(sandbox, "GET", f"/api/v2/pipeline/{run}").json["vcs"]
    in_v3 = call(sandbox, "GET", f"{V3_RUNS}/{run.upper()}").json["data"]["references"]["event"]["attributes"]["vcs"]
    for shown in (vcs, in_v3):
        address = "https://github.com/acme/shop"
        assert (shown.get("branch"), shown.get("tag"), shown["origin_repository_url"]) == (branch, tag, address)


def test_a_github_app_run_has_no_vcs(sandbox: Sandbox) -> None:
    path = RUN.replace(SHOP, "circleci/abc/def")
    run = call(sandbox, "POST", path, {**MAIN, "parameters": {"sha": SHA}}).json["id"]
    pipeline = call(sandbox, "GET", f"/api/v2/pipeline/{run}").json
    told = {"git": {"branch": "main", "checkout_sha": SHA}}
    assert (pipeline["trigger_parameters"], "vcs" in pipeline) == (told, False)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/v2/project/github/acme/shop/pipeline/run", 201),
        ("POST", "/api/v2/project/bb/acme/shop/pipeline/run", 201),
        ("POST", "/api/v2/project/gh%2Facme%2Fshop/pipeline/run", 404),
        ("POST", "/api/v2/project/gh/acme/shop%2Fx/pipeline/run", 404),
        ("POST", "/api/v2/project/gitlab/acme/shop/pipeline/run", 404),
        ("POST", PIPELINE, 201),
        ("POST", "/api/v2/project/circleci/abc/def/pipeline", 404),
        ("GET", RUN, 405),
        ("DELETE", "/api/v2/me", 405),
        ("POST", "/api/v1.1/project/github/acme/shop/tree/feature/x", 404),
    ],
)
def test_paths(sandbox: Sandbox, method: str, path: str, status: int) -> None:
    answer = call(sandbox, method, path, {} if method == "POST" else None)
    assert (answer.status, "message" in answer.json) == (status, status != 201)
    assert sandbox.requests[0].path == path


def test_only_the_projects_that_were_named_exist() -> None:
    with Sandbox(projects=["github/acme/shop"]) as sandbox:
        for method, path in PATHS[:-1]:
            body: object = {} if method == "POST" else None
            if "shop" in path:
                answer = call(sandbox, method, path.replace("shop", "x"), body)
                words = "Project does not exist." if path == RUN else "Project not found"
                assert (answer.status, answer.json) == (404, {"message": words})
        assert call(sandbox, "GET", "/api/v3/projects?filter[slug]=gh/acme/till").json["data"] == []
    with pytest.raises(ValueError, match="`acme/shop` is not a project slug"):
        Sandbox(projects=["acme/shop"])


NO_JSON = [b"{", b"\xff", b"{} {}", b'{"parameters": {"a": NaN}}', b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"]


@pytest.mark.parametrize("path", [RUN, PIPELINE, TREE, V3_RUNS])
def test_bodies_that_are_refused(path: str) -> None:
    of_v1_1: list[Any] = [[], {"build_parameters": []}, {"build_parameters": "x"}, {"revision": 7}]
    with Sandbox(projects=[SHOP]) as sandbox:
        for body in (*NO_JSON, *(of_v1_1 if path == TREE else ())):
            assert call(sandbox, "POST", path, body).status == 400, body
        plain = {"Content-Type": "text/plain"}
        assert path == TREE or call(sandbox, "POST", path, v3_body(), headers=plain).status == 400
        assert sandbox.runs == ()


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


def test_bodies_that_v3_refuses() -> None:
    with Sandbox(projects=[SHOP]) as sandbox:
        for body, words in V3_WRONG:
            answer = call(sandbox, "POST", V3_RUNS, body)
            assert (answer.status, answer.json["error"]["type"]) == (400, "validation_error"), body
            assert words in answer.json["error"]["detail"]
        assert sandbox.runs == ()


def test_a_definition_is_of_the_only_project_that_is_known(sandbox: Sandbox) -> None:
    assert call(sandbox, "POST", V3_RUNS, v3_body()).status == 404
    trigger(sandbox)
    assert call(sandbox, "POST", V3_RUNS, v3_body()).status == 201
    call(sandbox, "POST", RUN.replace("shop", "till"), MAIN)
    assert call(sandbox, "POST", V3_RUNS, v3_body()).status == 404


def test_what_was_asked_is_kept_with_the_run() -> None:
    with Sandbox(projects=[SHOP]) as sandbox:
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


CONFIG = "version: 2.1\n# << pipeline.parameters.deploy_key >> <<pipeline.parameters.go>> << pipeline.number >>\n"


def test_a_config_is_compiled_once_the_run_has_formed(sandbox: Sandbox, clock: Clock) -> None:
    def starts(body: TriggerBody) -> list[Workflow]:
        if "x" in body.parameters:
            raise ValueError("Unexpected argument(s): x")
        return [Workflow(str(body.branch))]

    def config(run: str) -> tuple[str, str]:
        read = call(sandbox, "GET", f"/api/v2/pipeline/{run}/config").json
        return read["source"], read["compiled"]

    sandbox.set_config("github/acme/shop", CONFIG, defaults={"go": False, "deploy_key": ""}, starts=starts)
    run = trigger(sandbox, {**MAIN, "parameters": {"deploy_key": "ds-1", "unused": "y"}}).json["id"]
    refused = trigger(sandbox, {"parameters": {"x": 1}}).json["id"]
    path = RUN.replace("shop", "till")
    other = call(sandbox, "POST", path, {"parameters": {"a": "ds-2", "b": 7}}).json["id"]
    assert config(run) == (CONFIG, "")
    clock.passes(1)
    assert config(run) == (CONFIG, "version: 2.1\n# ds-1 false << pipeline.number >>\n")
    assert config(refused) == (CONFIG, "")
    started = [([w.name for w in run.workflows], run.errors) for run in sandbox.runs]
    assert started[:2] == [(["main"], ()), ([], ("Unexpected argument(s): x",))]
    source, compiled = config(other)
    assert all(source.count(f"<< pipeline.parameters.{name} >>") == 1 for name in "ab")
    assert ("PARAMETER_1: ds-2" in compiled, "PARAMETER_2: 7" in compiled) == (True, True)


def test_a_lone_surrogate_does_no_harm(sandbox: Sandbox) -> None:
    assert trigger(sandbox, b'{"config": {"branch": "\\ud800"}}').status == 201
    assert call(sandbox, "GET", "/sandbox/runs").json["runs"][0]["branch"] == "\ud800"


def test_fifty_at_once_get_fifty_numbers() -> None:
    with Sandbox() as sandbox, ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: trigger(sandbox).json, range(50)))
        assert sorted(answer["number"] for answer in answers) == list(range(1, 51))
        assert len({answer["id"] for answer in answers}) == 50
        assert [entry.status for entry in sandbox.requests] == [201] * 50


# How runs move on


def in_v2(sandbox: Sandbox, run: str) -> tuple[str, list[tuple[str, str]]]:
    """The state of a run, and its workflows."""
    state = call(sandbox, "GET", f"/api/v2/pipeline/{run}").json["state"]
    items = call(sandbox, "GET", f"/api/v2/pipeline/{run}/workflow").json["items"]
    return state, [(item["name"], item["status"]) for item in items]


def in_v3(sandbox: Sandbox, run: str) -> tuple[str, str | None, list[str]]:
    """Phase and outcome of a run, and the phases of its workflows."""
    attributes = call(sandbox, "GET", f"{V3_RUNS}/{run}").json["data"]["attributes"]
    listed = call(sandbox, "GET", f"/api/v3/workflows?filter[run_id]={run}")
    assert listed.status == (200 if "data" in listed.json else 404)
    shown = [workflow["attributes"] for workflow in listed.json.get("data", ())]
    for each in shown:
        assert ("outcome" in each) == (each["ended_at"] is not None) == (each["phase"] == "ended")
    return attributes["phase"], attributes.get("current_outcome"), [each["phase"] for each in shown]


def in_v1_1(sandbox: Sandbox, number: int) -> tuple[str, str, str | None]:
    """Lifecycle, status and outcome of a job."""
    build = call(sandbox, "GET", f"{BUILDS}/{number}").json
    return build["lifecycle"], build["status"], build["outcome"]


RUNNING, SUCCESS = [("deploy", "running")], [("deploy", "success")]
TIMES = [
    (0.0, ("pending", []), ("created", None, []), ("not_running", "not_running", None)),
    (0.1, ("created", []), ("created", None, []), ("not_running", "not_running", None)),
    (0.999, ("created", []), ("created", None, []), ("not_running", "not_running", None)),
    (1.0, ("created", RUNNING), ("started", None, ["started"]), ("running", "running", None)),
    (10.0, ("created", SUCCESS), ("ended", "succeeded", ["ended"]), ("finished", "success", "success")),
]


@pytest.mark.parametrize(("seconds", "v2", "v3", "v1_1"), TIMES)
def test_a_run_is_created_before_its_workflows_are_listed(  # noqa: PLR0913, PLR0917 - columns of a table
    sandbox: Sandbox, clock: Clock, seconds: float, v2: Any, v3: Any, v1_1: Any
) -> None:
    sandbox.pace = Pace(appear=1, finish=10)
    run, number = trigger(sandbox).json["id"], call(sandbox, "POST", TREE, {}).json["build_num"]
    clock.passes(seconds)
    assert (in_v2(sandbox, run), in_v3(sandbox, run), in_v1_1(sandbox, number)) == (v2, v3, v1_1)


@pytest.mark.parametrize(
    ("outcomes", "phase", "current"),
    [
        *((outcome, "ended", outcome) for outcome in ("failed", "canceled", "unauthorized")),
        *(("success failed", "ended", "failed"), ("canceled success", "ended", "canceled")),
        *(("failing", "started", "failed"), ("running failed", "started", "failed")),
        *((outcomes, "started", None) for outcomes in ("running", "running success", "on_hold queued")),
        *(("queued", "queued", None), ("success", "ended", "succeeded")),
    ],
)
def test_a_run_sums_up_its_workflows_in_v3(
    sandbox: Sandbox, clock: Clock, outcomes: str, phase: str, current: str | None
) -> None:
    sandbox.workflows = [Workflow(f"w{i}", outcome=outcome) for i, outcome in enumerate(outcomes.split())]
    run = trigger(sandbox).json["id"]
    clock.passes(60)
    assert in_v3(sandbox, run)[:2] == (phase, current)


def test_a_status_can_be_given_from_outside(sandbox: Sandbox, clock: Clock) -> None:
    sandbox.workflows = [Workflow("w", outcome="on_hold")]
    run = trigger(sandbox).json["id"]
    clock.passes(60)
    workflow = sandbox.runs[0].workflows[0].id
    for status, phase in (("running", "started"), ("quantum", "quantum"), ("success", "ended")):
        sandbox.set_workflow(workflow.upper(), status)
        assert (in_v2(sandbox, run)[1], in_v3(sandbox, run)[0]) == ([("w", status)], phase)
        assert call(sandbox, "GET", f"/api/v2/workflow/{workflow}/job").json["items"][0]["status"] == status
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
        assert (in_v1_1(sandbox, number)[1] if number else in_v2(sandbox, run)[1][0][1]) == status
    assert call(sandbox, "POST", path.format(99 if path.startswith(BUILDS) else uuid4())).status == 404


SETUP_RUNNING, SETUP_DONE = [("setup", "running")], [("setup", "success")]
SETUP_TIMES = [
    (0.0, "setup-pending", [], ("created", None, [])),
    (0.1, "setup", [], ("created", None, [])),
    (1.0, "setup", SETUP_RUNNING, ("started", None, ["started"])),
    (10.0, "created", SETUP_DONE, ("started", None, ["ended"])),
    (11.0, "created", [*SETUP_DONE, *RUNNING], ("started", None, ["ended", "started"])),
    (20.0, "created", [*SETUP_DONE, *SUCCESS], ("ended", "succeeded", ["ended", "ended"])),
]


@pytest.mark.parametrize(("seconds", "state", "workflows", "v3"), SETUP_TIMES)
def test_a_dynamic_config_is_set_up_first(  # noqa: PLR0913, PLR0917 - columns of a table
    sandbox: Sandbox, clock: Clock, seconds: float, state: str, workflows: Any, v3: Any
) -> None:
    sandbox.pace = Pace(appear=1, finish=10)
    sandbox.add_fault(parse_fault("setup"))
    run = trigger(sandbox).json["id"]
    clock.passes(seconds)
    assert (in_v2(sandbox, run), in_v3(sandbox, run)) == ((state, workflows), v3)
    items = call(sandbox, "GET", f"/api/v2/pipeline/{run}/workflow").json["items"]
    assert [item["tag"] for item in items] == ["setup", None][: len(items)]
    if workflows == SETUP_RUNNING:  # what is not set up is not continued
        sandbox.set_workflow(items[0]["id"], "failed")
        clock.passes(3600)
        assert in_v2(sandbox, run) == ("setup", [("setup", "failed")])


IDS = ["v2/pipeline/{}", "v2/pipeline/{}/workflow", "v2/pipeline/{}/config", "v2/workflow/{}/job", "v3/runs/{}"]


@pytest.mark.parametrize("path", [*IDS, "v3/workflows?filter[run_id]={}"])
def test_ids(sandbox: Sandbox, path: str) -> None:
    assert call(sandbox, "GET", "/api/" + path.format("not-a-uuid")).status == 400
    assert call(sandbox, "GET", "/api/" + path.format(uuid4())).status == 404


# Lists


def project_id(sandbox: Sandbox, slug: str = SHOP) -> str:
    (project,) = call(sandbox, "GET", f"/api/v3/projects?filter%5Bslug%5D={slug}").json["data"]
    return str(project["id"])


def search(sandbox: Sandbox, text: str = "", **changes: Any) -> Any:
    scope = {"project_ids": [project_id(sandbox)], "from": "2026-06-16T00:00:00Z", "to": "2026-06-16T23:59:59+02:00"}
    body = {"scope": scope, "filter": text, "order_by": "", "page": {"cursor": "", "limit": 20}, **changes}
    return call(sandbox, "POST", f"{V3_RUNS}/search", body)


def found(sandbox: Sandbox, text: str = "", **changes: Any) -> list[str]:
    return [run["id"] for run in search(sandbox, text, **changes).json["data"]]


@pytest.mark.parametrize(("pace", "faults"), [(Pace(listed=5), []), (Pace(), ["lag:5"] * 2)])
def test_lists_are_late_and_readings_by_id_are_not(
    sandbox: Sandbox, clock: Clock, pace: Pace, faults: list[str]
) -> None:
    def listed() -> list[list[Any]]:
        numbers = [item["number"] for item in call(sandbox, "GET", f"{PIPELINE}?branch=main").json["items"]]
        return [numbers, [len(found(sandbox))], [build["build_num"] for build in call(sandbox, "GET", TREE).json]]

    sandbox.pace = pace
    for fault in faults:
        sandbox.add_fault(parse_fault(fault))
    run, job = trigger(sandbox).json["id"], call(sandbox, "POST", TREE, {}).json["build_num"]
    clock.passes(4.999)
    assert listed() == [[], [0], []]
    assert (in_v2(sandbox, run), in_v1_1(sandbox, job)[1]) == (("created", SUCCESS), "success")
    clock.passes(0.001)
    assert listed() == [[1], [1], [job, 1]]


def test_lists_are_newest_first_and_paged_by_twenty(sandbox: Sandbox) -> None:
    """What comes in between neither repeats nor hides anything."""
    made = [trigger(sandbox).json["id"] for _ in range(45)]
    pages, token, seen, cursor = list[list[int]](), "", list[str](), ""
    for _ in range(3):
        page = call(sandbox, "GET", f"{PIPELINE}?page-token={token}").json
        found = search(sandbox, page={"cursor": cursor}).json
        pages.append([item["number"] for item in page["items"]])
        seen += [entry["id"] for entry in found["data"]]
        token, cursor = page["next_page_token"], found["page"]["next"]
        trigger(sandbox)
    assert pages == [list(range(45, 25, -1)), list(range(25, 5, -1)), list(range(5, 0, -1))]
    assert (f"{token} {cursor}", seen) == ("None None", made[::-1])
    for token in ("x", "bGVmdDp4", "%ff", "999"):
        assert call(sandbox, "GET", f"{PIPELINE}?page-token={token}").status == 400


def test_lists_are_of_one_project_and_one_branch(sandbox: Sandbox) -> None:
    odd = 'a"b\\c and d'
    main, other, last = (
        trigger(sandbox, {"config": {"branch": branch}}).json["id"] for branch in ("main", odd, "main")
    )
    till = call(sandbox, "POST", RUN.replace("shop", "till"), MAIN).json["id"]
    items = call(sandbox, "GET", f"{PIPELINE}?branch=a%22b%5Cc%20and%20d").json["items"]
    assert [item["number"] for item in items] == [2]
    for branch in ("main", "x", "main", "main"):
        call(sandbox, "POST", TREE.replace("main", branch), {})
    assert [build["build_num"] for build in call(sandbox, "GET", f"{TREE}?limit=2&offset=1").json] == [6, 4]
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
    items = call(sandbox, "GET", PIPELINE).json["items"]
    assert [item["id"] for item in items] == [late, middle, sandbox.runs[0].id, early]
    assert [item["trigger"]["type"] for item in items] == ["webhook", "webhook", "api", "scheduled_pipeline"]
    assert (items[0]["vcs"]["branch"], items[0]["vcs"]["revision"]) == ("x", SHA)
    assert in_v2(sandbox, early) == ("created", [("build", "running")] * 2)


SCOPE = {"project_ids": [str(uuid4())], "from": "2026-06-16T00:00:00Z", "to": "2026-06-16T23:59:59+02:00"}
FILTERS = ('branch = "main"', 'tag == "v1"', 'branch=="main"', 'branch == "a" and pipeline.git.branch == "x"')
WRONG_SEARCHES: list[tuple[dict[str, Any], str]] = [
    *(({"page": {"limit": limit}}, "`page/limit`") for limit in (0, 21)),
    ({"page": {"cursor": "x"}}, "Invalid page token"),
    *(({"order_by": "created_at"}, "`order_by`"), ({"sort": "up"}, "`sort`")),
    *(({"scope": {**SCOPE, "project_ids": ids}}, "`scope/project_ids") for ids in ([], [SHOP], [7])),
    ({"scope": {**SCOPE, "from": "yesterday"}}, "`scope/from`"),
    *(({"filter": f"pipeline.git.{text}"}, "`filter`") for text in (*FILTERS, 'branch == "a"b"', 'branch == "\\x"')),
]


@pytest.mark.parametrize(("changes", "words"), WRONG_SEARCHES, ids=range(len(WRONG_SEARCHES)))
def test_searches_that_are_refused(sandbox: Sandbox, changes: dict[str, Any], words: str) -> None:
    answer = search(sandbox, **{"scope": SCOPE, **changes})
    assert (answer.status, answer.json["error"]["type"]) == (400, "validation_error")
    assert words in answer.json["error"]["detail"]
    assert call(sandbox, "GET", "/api/v3/workflows?filter[run_id]=").status == 400


# Nodes


def test_nodes_fail_on_demand_and_stay_failed(sandbox: Sandbox) -> None:
    job = "/api/v2/project/gh/acme/shop/job/7"

    def nodes() -> list[str]:
        return [node["status"] for node in call(sandbox, "GET", job).json["parallel_runs"]]

    sandbox.add_fault(parse_fault("siblings:1,3:timedout"))
    assert call(sandbox, "GET", job).status == 404
    sandbox.set_job(SHOP, 7, parallel_runs=["running"] * 4)
    expected = ["running", "timedout", "running", "timedout"]
    assert [nodes(), nodes()] == [expected, expected]
    sandbox.add_fault(parse_fault("siblings:2"))
    assert nodes() == ["running", "timedout", "failed", "timedout"]
    details = call(sandbox, "GET", job).json
    assert (details["status"], details["parallelism"]) == ("running", 4)
    assert details["project"]["id"] == project_id(sandbox)
    assert call(sandbox, "GET", PIPELINE).json["items"] == [], "no list shows it"
    assert call(sandbox, "POST", TREE, {}).json["build_num"] == 8
    sandbox.set_job(SHOP, 7, parallel_runs=["success"] * 4)
    assert nodes() == ["success"] * 4
