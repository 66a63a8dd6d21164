"""`doctor` as a process: a line for each thing, in a build and on a laptop, whatever the server does.

The lines of every scenario are in `tests/golden/doctor.out`, written with UPDATE_GOLDEN=1.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from acceptance.process import TOKEN, Clone, Ended, Project, ahead, sandbox
from acceptance.server import Answer, ScriptedServer
from builds import DEFINITION, OTHER_SHA, RUN, environ, fork_environ, oidc

GOLDEN = Path(__file__).parents[1] / "golden/doctor.out"
ME = {"id": RUN, "login": "anna", "name": "Anna A."}
SHOP = {"id": OTHER_SHA, "slug": "gh/acme/shop", "vcs_info": {"provider": "GitHub", "default_branch": "main"}}
AT = "GET /api/v2/project/gh/acme/shop"
LIST = f"GET /api/v2/projects/{OTHER_SHA}/pipeline-definitions"
DEFINITIONS = {"items": [{"id": DEFINITION, "name": "build", "config_source": {"provider": "github_app"}}]}
GITLAB = {"items": [{"id": DEFINITION, "name": "build", "config_source": {"provider": "gitlab"}}]}
FOUND: Mapping[str, Answer] = {
    "GET /api/v2/me": Answer(200, ME),
    AT: Answer(200, SHOP),
    LIST: Answer(200, DEFINITIONS),
    f"{AT}/settings": Answer(200, {"advanced": {"autocancel_builds": True}}),
}
CONFIG = """
    version: 2.1
    parameters:
      deploy: {type: boolean, default: false}
      sha: {type: string, default: ""}
      retries: {type: integer, default: 1}
    jobs:
      decide: {docker: [], steps: [checkout, {run: deploystep run}]}
      deploy:
        environment: {SHA: << pipeline.parameters.sha >>, RETRIES: << pipeline.parameters.retries >>}
        steps: [checkout, {run: ./deploy.sh}]
    workflows:
      build: {unless: << pipeline.parameters.deploy >>, jobs: [decide: {context: deploy-token}]}
      deploy: {when: << pipeline.parameters.deploy >>, jobs: [deploy]}
    """
WRONG = "version: 1\nrules:\n  - name: production\n    when: {brunch: main}\n    deploy: {}\n"
JOB = "version: 1\nrules:\n  - {name: a, when: {branch: main}, deploy: {job: deploy}}\n"
PREVIEW = "version: 1\nrules:\n  - {name: a, when: {branch: feature/*}, deploy: {workflow: deploy}}\n"
TARGET = """
    version: 1
    targets: {other: {project: gh/acme/shop, branch: main}}
    rules:
      - {name: a, when: {branch: main}, deploy: {to: other, parameters: {deploy_key: "${deploy.key}"}}}
    """
TARGET3 = TARGET.replace("branch: main}}", f"branch: main, api: v3, definition: {DEFINITION}}}}}")
V3 = "version: 1\napi: v3\nrules:\n  - {name: a, when: {branch: main}, deploy: {workflow: deploy}}\n"
HTML = Answer(200, b"<html>log in to the wifi</html>", {"Content-Type": "text/html"})

#: Name, what the server answers besides FOUND (or None: connection refused), rule file, variables, exit code.
SCENARIOS: tuple[tuple[str, Mapping[str, Answer] | None, str, dict[str, str | None], int], ...] = (
    ("all is well", {}, "", {}, 0),
    ("connection refused", None, "", {}, 4),
    ("a token that is not valid, echoed", {"GET /api/v2/me": Answer(401, {"message": f"no {TOKEN}"})}, "", {}, 6),
    ("a project token", {"GET /api/v2/me": Answer(403, {"message": "Permission denied."})}, "", {}, 6),
    ("429", {"GET /api/v2/me": Answer(429, {"message": "slow"}, {"Retry-After": "600"})}, "", {}, 4),
    ("404 of another server", {"GET /api/v2/me": Answer(404, b"<html>not here</html>")}, "", {}, 4),
    ("an answer of another form", {"GET /api/v2/me": Answer(200, [{"id": 7}])}, "", {}, 4),
    ("a redirect", {"GET /api/v2/me": Answer(302, None, {"Location": "http://127.0.0.1:1/"})}, "", {}, 4),
    ("no project", {AT: Answer(404, {"message": "Project not found"})}, "", {}, 6),
    ("garbage for a project", {AT: HTML}, "", {}, 4),
    (
        "nothing but the project is told",
        {LIST: Answer(404, {"message": "x"}), f"{AT}/settings": HTML, AT: Answer(200, {"id": OTHER_SHA})},
        "", {}, 0,
    ),
    ("a GitLab project by its definitions", {LIST: Answer(200, GITLAB)}, "", {}, 4),
    ("another definition", {}, "", {"CIRCLE_OIDC_TOKEN": oidc(pipeline_definition_id=RUN)}, 4),
    ("auto-cancel beside the default branch", {}, PREVIEW, {}, 4),
    ("a target without a definition", {}, TARGET, {}, 0),
    ("API v1.1", {}, JOB, {}, 4),
    ("API v3 on another server", {}, V3, {}, 4),
    ("a target's API v3 on another server", {}, TARGET3, {}, 4),
    ("a wrong clock", {"GET /api/v2/me": Answer(200, ME, {"Date": "Mon, 01 Jan 2024 00:00:00 GMT"})}, "", {}, 0),
    ("no date", {"GET /api/v2/me": Answer(200, ME, {"Date": ""})}, "", {}, 0),
    ("a wrong rule file", {}, WRONG, {}, 4),
    ("no token", None, "", {"CIRCLE_TOKEN": None}, 4),
    ("a token with a line end", None, "", {"CIRCLE_TOKEN": f"{TOKEN}\n"}, 4),
    ("no token in a fork", None, "", {**fork_environ(), "CIRCLE_TOKEN": None, "CIRCLE_BRANCH": "pull/7"}, 0),
    ("an environment of no build", {}, "", {"CIRCLE_SHA1": "abc", "CIRCLE_BRANCH": None}, 4),
    ("wrong in both ways", {AT: Answer(404, {"message": "Project not found"})}, WRONG, {}, 4),
)  # fmt: skip


def normal(ended: Ended) -> str:
    text = re.sub(r"Python [\d.]+\w*, deploystep [\w.]+", "Python 3, deploystep 0", ended.out)
    text = re.sub(r"git \d[\w.() -]*", "git 2", text)
    text = re.sub(r"is \d{6,} s ahead", "is many s ahead", text)
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:1", f"{text}{ended.err}")


def play(
    project: Project, answers: Mapping[str, Answer] | None, rules: str, variables: dict[str, str | None], *more: str
) -> Ended:
    if rules:
        project.write(rules)
    project.write(CONFIG, ".circleci/config.yml")
    if answers is None:
        return project.call("doctor", *more, server="http://127.0.0.1:1", **variables)
    with ScriptedServer({**FOUND, **answers}) as server:
        ended = project.call("doctor", *more, server=server.url, **variables)
    assert {request.method for request in server.requests} <= {"GET"}, "it changes nothing"
    return ended


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from ahead(request, lambda row: play(Project(tmp_path_factory.mktemp("row")), *row[1:4]))


@pytest.mark.parametrize("row", SCENARIOS, ids=lambda row: row[0])
def test_every_scenario(row: Any, played: Callable[[Any], Ended]) -> None:
    name, *_, code = row
    ended = played(row)
    lines = [line for line in ended.out.splitlines() if line]

    assert ended.code == code, ended
    assert all(re.match(r"(ok|warning|error)\s+[a-z-]+\s+\S", line) for line in lines)
    assert all(" — " in line for line in lines if not line.startswith("ok")), "each has its cure"
    assert sum("unreachable" in line for line in lines) <= 1
    compare(name, normal(ended))


def compare(name: str, found: str) -> None:
    """With its part of the golden file, or write it there."""
    text = GOLDEN.read_text(encoding="utf-8") if GOLDEN.exists() else ""
    parts = dict(part.split("\n", 1) for part in text.split("## ") if part)
    if os.environ.get("UPDATE_GOLDEN"):
        parts[name] = f"{found}\n"
        written = "".join(f"## {row[0]}\n{parts[row[0]]}" for row in SCENARIOS if row[0] in parts)
        GOLDEN.write_text(written, encoding="utf-8")
    assert f"{found}\n" == parts[name]


def test_a_server_that_does_not_answer_is_not_waited_for(project: Project) -> None:
    short = project.without_waits("import deploystep.adapters.transport as t\nt.CONNECT_TIMEOUT = 0.3\n")
    ended = play(project, {"GET /api/v2/me": Answer(200, ME, delay=1.5)}, "", dict(short))

    assert ended.code == 4
    assert "is unreachable (no whole answer within 0 s)" in ended.out


def test_json_has_the_same(project: Project) -> None:
    ended = play(project, {}, "", {}, "--json")

    assert ended.json["exit"] == {"code": 0, "name": "ok"}
    assert [finding["grade"] for finding in ended.json["findings"]] == ["ok"] * len(ended.json["findings"])
    assert {"name": "project", "grade": "ok", "cure": ""}.items() <= ended.json["findings"][8].items()
    refused = play(project, {"GET /api/v2/me": Answer(401, {"message": TOKEN})}, "", {}, "--json")
    assert (refused.code, refused.json["error"]["code"]) == (6, "refused")


def test_a_laptop_against_the_sandbox(clone: Clone) -> None:
    """On a detached head of a shallow clone, in a subfolder; the origin there names no project."""
    clone.commit()
    clone.commit()
    clone.push()
    clone.git("remote", "set-head", "origin", "main")
    shallow = Clone.__new__(Clone)
    shallow.folder = clone.folder.parent / "shallow"
    clone.git("clone", "--quiet", "--depth=1", clone.git("remote", "get-url", "origin"), str(shallow.folder))
    shallow.git("checkout", "--quiet", "--detach")
    (shallow.folder / "deep").mkdir()
    shallow.folder = shallow.folder / "deep"
    with sandbox() as server:
        ended = shallow.run(("doctor",), {"HOME": str(clone.folder)}, server=server, ci=False)

    assert ended.code == 0, ended
    lines = {line.split()[1]: line for line in ended.out.splitlines()}
    assert "this clone is shallow" in lines["git"]
    assert "branch main @" in lines["build"]
    assert "this is not a CircleCI build" in lines["build"]
    assert "nothing tells which project this is" in lines["project"]
    assert lines["clock"].startswith("ok")


def test_in_no_clone_and_without_git(project: Project) -> None:
    ended = project.run(("doctor",), {"PATH": "/nonexistent"}, ci=False)

    assert ended.code == 4
    assert "error    git          git cannot be run here" in ended.out
    assert "error    build        git cannot be run here, and no build's environment is set" in ended.out
    assert "not asked" in ended.out


def test_no_rule_file_and_a_setup_config(project: Project) -> None:
    project.write("setup: true\n", ".circleci/config.yml")
    setup = project.call("doctor", "--sandbox")
    (project.folder / ".circleci/deploy.yml").unlink()
    none = project.call("doctor", "--sandbox")

    assert "warning  config       not compared with the rules — it cannot be read, or is a setup config" in setup.out
    assert "error    rules        there is no rule file .circleci/deploy.yml in " in none.out
    assert " — is there a checkout step before this one?" in none.out
    assert (setup.code, none.code) == (0, 4)


def test_an_old_git(project: Project) -> None:
    project.write("#!/bin/sh\necho git version 2.30.2\n", "bin/git")
    (project.folder / "bin/git").chmod(0o755)
    ended = project.run(("doctor",), {**environ(), "PATH": f"{project.folder}/bin:{os.environ['PATH']}"}, ci=False)
    assert "warning  git          git 2.30.2 — install git 2.38 or newer" in ended.out


def test_a_host_that_no_request_may_go_to(project: Project) -> None:
    assert project.call("doctor", server="http://circleci.acme.dev").code == 2
    from_build = project.call("doctor", CIRCLE_BUILD_URL="http://circleci.acme.dev/gh/acme/shop/12")
    assert from_build.code == 4
    assert "error    api          CIRCLE_BUILD_URL names the host" in from_build.out


@pytest.mark.parametrize(("more", "total", "code"), [("", "1", 0), ("", "2", 4), (", requires: [test]", "1", 4)])
def test_a_token_is_needed_only_by_what_asks(project: Project, more: str, total: str, code: int) -> None:
    project.write(f"version: 1\nrules:\n  - {{name: production, when: {{branch: main}}{more}}}\n")
    ended = project.call("doctor", CIRCLE_TOKEN=None, CIRCLE_NODE_TOTAL=total)
    line = next(line for line in ended.out.splitlines() if line.split()[1] == "token")
    assert (ended.code, line.split()[0]) == (code, "error" if code else "warning")
