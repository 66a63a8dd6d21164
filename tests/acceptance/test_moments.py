"""Signals at bad moments, and the ways in which a build is special."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from acceptance.process import TOKEN, Project, triggers
from builds import OTHER_SHA, SHA

if TYPE_CHECKING:
    from deploystep.sandbox import Sandbox

SIGNALS = [
    (signal.SIGINT, 130, "interrupted"),
    (signal.SIGTERM, 143, "terminated"),
    (signal.SIGHUP, 143, "terminated"),
]


# Builds that are special


def test_a_job_of_the_old_api_at_its_revision(project: Project, circleci: Sandbox) -> None:
    project.write(
        """
        version: 1
        rules:
          - {name: docker, when: {branch: release/*}, deploy: {job: deploy_docker, parameters: {FAST: true}}}
        """
    )
    circleci.moved["release/1.0"] = OTHER_SHA
    ended = project.step(circleci, CIRCLE_BRANCH="release/1.0")
    assert (ended.code, ended.outcomes) == (0, ["triggered"])
    (received,) = triggers(circleci)
    assert received.path == "/api/v1.1/project/github/acme/shop/tree/release%2F1.0"
    assert received.body == {"revision": SHA, "build_parameters": {"CIRCLE_JOB": "deploy_docker", "FAST": "true"}}
    (run,) = circleci.runs
    assert run.revision == SHA, "the branch has moved on, and still what was tested is deployed"
    assert "CircleCI removes this endpoint (Mon, 01 Feb 2027" in ended.err


# Where the token comes from and goes to


def test_the_host_of_a_server(project: Project, circleci: Sandbox) -> None:
    url = f"{circleci.url}/gh/acme/shop/12"
    ended = project.step(None, CIRCLE_BUILD_URL=url)
    assert ended.outcomes == ["triggered"]
    assert ended.json["triggers"][0]["url"].startswith(f"{circleci.url}/pipelines/gh/acme/shop/")


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--token-env", "DEPLOY_KEY", "--confirm", "1s"),
        ("run", "--token-env", "DEPLOY_KEY", "--dry-run", "--rules-ref", "main"),
        ("run", "--token-env", "DEPLOY_KEY", "--sandbox", "--outside-ci"),
        *((command, "--rules-ref", "main") for command in ("run", "plan", "check", "test")),
    ],
    ids=" ".join,
)
def test_the_token_is_none_of_gits_business(project: Project, circleci: Sandbox, arguments: tuple[str, ...]) -> None:
    """By whatever name it goes, and under whatever second name; also where the command itself does not need it."""
    (project.folder / "bin").mkdir()
    shim = project.folder / "bin" / "git"
    shim.write_text('#!/bin/sh\nenv >> "$HOME/seen"\nexit 128\n', encoding="utf-8")
    shim.chmod(0o755)
    named = None if "--token-env" in arguments else "DEPLOY_KEY"
    path = f"{shim.parent}:{os.environ['PATH']}"
    variables: Any = {"CIRCLE_TOKEN": None, "DEPLOY_KEY": TOKEN, "COPY": TOKEN, "DEPLOYSTEP_TOKEN_ENV": named}
    ended = project.call(*arguments, server=circleci, PATH=path, **variables)
    assert ended.code == (3 if "--rules-ref" in arguments else 0), ended.err
    seen = (project.folder / "seen").read_text(encoding="utf-8")
    assert "HOME=" in seen
    assert TOKEN not in seen


def test_a_build_that_only_plays_says_so(project: Project) -> None:
    ended = project.call("run", "--sandbox", CIRCLE_TOKEN=None)
    assert ended.code == 0
    assert "warning: --sandbox: this build deploys nothing" in ended.err


# Streams that nobody reads


@pytest.mark.parametrize("streams", ["| true", ">&-", "2>&-", ">/dev/full", "2>/dev/full", ">&- 2>&- <&-"])
def test_a_stream_that_nobody_reads(project: Project, circleci: Sandbox, streams: str) -> None:
    """The trigger is confirmed all the same, and the exit code is that of what happened."""
    command = f"{sys.executable} -m deploystep run --confirm 1s {streams}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=project.folder,
        env=project.environment(circleci, {}, ci=True),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
    assert len(circleci.runs) == 1
    assert circleci.requests[-1].path.endswith("/workflow"), "it was confirmed"
