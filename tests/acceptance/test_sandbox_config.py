"""`run --sandbox` beside a config: what starts there is what the config says, as `plan` foretells it."""

from pathlib import Path

import pytest
from acceptance.process import Project

CONFIG = """
    version: 2.1
    parameters:
      deploy: {type: boolean, default: false}
      sha: {type: string, default: ""}
      retries: {type: integer, default: 1}
    jobs:
      release: {steps: [{run: ./deploy.sh}]}
    workflows:
      deploy:
        GATE
        jobs: [release]
      other:
        unless: << pipeline.parameters.deploy >>
        jobs: [release]
    """
OPEN = "when: << pipeline.parameters.deploy >>"
STARTS = [
    (OPEN, 0, "", "workflow deploy: release"),
    ('when: pipeline.git.branch == "main" and pipeline.parameters.retries > 2', 0, "", "workflow deploy: release"),
    ("when: << pipeline.number >>", 0, "is not certain on CircleCI: .circleci/config.yml:10: its when:",
     "perhaps workflow deploy: release"),
    ("unless: {equal: [api, << pipeline.trigger.type >>]}", 10, "its unless: it is triggered through the API",
     "nothing: deploy"),
    ("when: {equal: [4, << pipeline.parameters.retries >>]}", 10,
     "sandbox: would run: nothing: deploy (.circleci/config.yml:10: its when: retries is 3)", "nothing: deploy"),
    ("unless: << pipeline.parameters.deploy >>", 10, "its unless: deploy is true", "nothing: deploy"),
    ("triggers: [{schedule: {cron: '0 0 * * *'}}]", 10, "runs by its schedule alone", "nothing: deploy"),
]  # fmt: skip


@pytest.mark.parametrize(("gate", "code", "said", "foretold"), STARTS)
def test_what_starts_is_what_plan_foretells(tmp_path: Path, gate: str, code: int, said: str, foretold: str) -> None:
    project = Project(tmp_path)
    project.write(CONFIG.replace("GATE", gate), ".circleci/config.yml")
    ended = project.step(None, "--sandbox")
    assert (ended.code, ended.outcomes) == (code, ["triggered" if code == 0 else "nothing-runs"]), ended.err
    assert said in ended.err
    assert ("sandbox: w" in ended.err) is bool(said)
    planned = project.call("plan", "--json").json["triggers"][0]["would_run"]["text"]
    assert planned.startswith(foretold)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("retries:", "tries:", "Unexpected argument(s): retries"),
        ("jobs: [release]", "jobs: [relaese]", "CircleCI refuses this config: there is no job 'relaese'"),
    ],
)
def test_what_circleci_refuses_ends_as_there(tmp_path: Path, old: str, new: str, said: str) -> None:
    project = Project(tmp_path)
    project.write(CONFIG.replace(old, new).replace("GATE", OPEN), ".circleci/config.yml")
    ended = project.step(None, "--sandbox")
    assert (ended.code, ended.json["error"]["code"]) == (10, "errored")
    assert said in ended.err


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("setup: true\n", "sandbox: .circleci/config.yml:1: a setup config: what continues it is not known"),
        ("jobs: {\n", "warning: .circleci/config.yml:2: this config is passed over"),
        (None, "nothing leaves this machine"),
    ],
)
def test_where_no_config_tells_the_workflows_that_rules_name_start(
    tmp_path: Path, config: str | None, said: str
) -> None:
    project = Project(tmp_path)
    if config is not None:
        project.write(config, ".circleci/config.yml")
    ended = project.step(None, "--sandbox")
    assert (ended.code, ended.outcomes) == (0, ["triggered"]), ended.err
    assert said in ended.err
