"""One good pair of rules and config, and every mistake in it that was tried: caught, or named as not to be caught."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent
from typing import Final

import pytest

from deploystep.core.build import Branch, Tag
from deploystep.core.source import SourceFile
from deploystep.project.config import Config, read_config
from deploystep.project.reading import ConfigUnreadable
from deploystep.project.wiring import Project, compare
from deploystep.project.would_run import would_run
from deploystep.rulefile.load import load

PUBLIC = sorted((Path(__file__).resolve().parents[4] / "shared" / "configs").glob("*.yml"))
CONFIG: Final = dedent("""\
    version: 2.1
    parameters:
      deploy: {type: boolean, default: false}
      sha: {type: string, default: ""}
      key: {type: string, default: ""}
      env: {type: enum, enum: [none, staging], default: none}
      count: {type: integer, default: 1}
    jobs:
      test: {steps: [checkout, {run: ./test.sh}]}
      decide: {steps: [checkout, {run: deploystep run}]}
      release:
        environment: {SHA: << pipeline.parameters.sha >>, KEY: << pipeline.parameters.key >>}
        steps: [checkout, {run: git checkout $SHA}, {run: ./deploy.sh}]
    workflows:
      build:
        unless: << pipeline.parameters.deploy >>
        jobs:
          - test
          - decide: {requires: [test], context: deploy-token}
      deploy:
        when: << pipeline.parameters.deploy >>
        jobs: [release]
    commands:
      with: {parameters: {flags: {default: --wait}}, steps: [{run: deploystep run << parameters.flags >>}]}
      round: {steps: [about, about, about]}
      about: {steps: [round, round, round]}
    """)
RULES: Final = dedent("""\
    version: 1
    rules:
      - name: production
        when: {branch: main}
        deploy:
          workflow: deploy
          parameters: {deploy: true, sha: "${CIRCLE_SHA1}", key: "${deploy.key}"}
    """)


def config(text: str = CONFIG) -> Config:
    return read_config("config.yml", text)


def found(text: str = CONFIG, rules: str = RULES, files: dict[str, str] | None = None, **targets: str) -> list[str]:
    others = {name: read_config(f"{name}.yml", target) for name, target in targets.items()}
    project = Project(config(text), others, tuple(files or ()), (files or {}).get)
    diagnostics = compare(load(SourceFile("deploy.yml", rules)), project)
    return [f"{d.code} {d.severity.value} {d.span.line} {d.message} — {d.hint}" for d in diagnostics]


def changed(text: str, old: str, new: str) -> str:
    assert old in text, old
    return text.replace(old, new, 1)


def test_the_good_pair_is_good() -> None:
    assert found() == []


OPENS: Final = "    when: << pipeline.parameters.deploy >>\n"
CLOSES: Final = "    unless: << pipeline.parameters.deploy >>\n"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        # P01: the trigger starts no workflow, or not the named one
        (OPENS, OPENS.replace("deploy >>", "deplyo >>"), "P01 error 6 config.yml:21: workflow 'deploy' does not run for this trigger on branch 'main': parameter 'deplyo' is not declared"),
        (OPENS, OPENS.replace("when", "unless"), "P01 error 6 config.yml:21: .* its unless: deploy is true"),
        (OPENS, "    when: {equal: [staging, << pipeline.parameters.env >>]}\n", "P01 error 6 config.yml:21: .* its when: env is 'none'"),
        (OPENS, '    when: pipeline.parameters.env == "staging"\n', "P01 error 6 config.yml:21: .* its when: env is 'none'"),
        (OPENS, "    triggers: [{schedule: {cron: 0 0 * * *}}]\n", "P01 error 6 config.yml:21: .* by its schedule alone"),
        ("[release]", "[{release: {filters: {branches: {only: develop}}}}]", "P01 error 6 config.yml:22: .* its filters: branch main"),
        ("[release]", "[{release: {filters: 'pipeline.git.branch == \"develop\"'}}]", "P01 error 6 config.yml:22: .* its filters: branch main"),
        ("[release]", "[{release: {filters: {branches: {ignore: /.*/}}}}]", "P01 error 6 config.yml:22: .* its filters"),
        ("version: 2.1", "version: 2", "P01 error 7 config.yml:1: a config of version 2 knows no parameters"),
        ("  deploy:\n    when", "  deplyo:\n    when", "P01 error 6 config.yml has no workflow 'deploy' — did you mean 'deplyo'"),
        # … or it, without the job that deploys
        ("[release]", "[test, {release: {requires: [test], filters: {branches: {only: /mai/}}}}]", "P01 warning 6 config.yml:22: workflow 'deploy' runs for this trigger on branch 'main' without job 'release': its filters: branch main — let the filters there allow"),
        ("[release]", "[{ok: {type: approval}}, {release: {filters: {branches: {ignore: [main]}}, requires: [ok]}}, {tell: {requires: [release]}}]\nx:\n  tell: {}", "P01 error 6 config.yml:22: .* CircleCI refuses this config: there is no job 'tell'"),
        ("[release]", "[{ok: {type: approval}}, {release: {filters: {branches: {ignore: [main]}}, requires: [ok]}}]", "P01 warning 6 config.yml:22: .* without job 'release'"),
        ("[release]", "[test, {release: {filters: 'pipeline.git.branch == \"develop\"'}}]", "P01 warning 6 config.yml:22: .* without job 'release'"),
        ("{run: ./deploy.sh}", "{run: './deploy.sh << pipeline.parameters.shaa >>'}", "P01 error 6 config.yml:13: .* CircleCI refuses this config: parameter 'shaa' is not declared — declare it"),
        ("{run: ./deploy.sh}", "{run: './deploy.sh pipeline.parameters.shaa \\\\<< pipeline.parameters.shab >>'}", ""),
        ("requires: [test]", "requires: [tets]", "P01 error 6 config.yml:19: .* CircleCI refuses this config: job 'decide' requires 'tets'.* — correct the name there"),
        # P02: every push deploys
        (OPENS, "", "P02 error 6 config.yml:20: workflow 'deploy' also runs for every push to branch 'main'"),
        (OPENS, "    when: << pipeline.parameters.env >>\n", "P02 error 6 config.yml:20:"),
        (OPENS, OPENS.replace("when", "unless"), "P02 error 6 config.yml:20:"),
        ("boolean, default: false", "boolean, default: true", "P02 error 6 config.yml:20:"),
        ("- decide:", "- release: {requires: [test]}\n      - decide:", "P02 warning 6 config.yml:19: job 'release' of workflow 'deploy' also runs for every push to branch 'main', in workflow 'build' — remove it there"),
        ("- decide:", "- release: {requires: [test], filters: {branches: {only: x}}}\n      - decide:", ""),
        ("- decide:", "- release: {requires: [test], to: staging}\n      - decide:", ""),
        ("- decide:", "- ok: {type: approval}\n      - release: {requires: [ok]}\n      - decide:", ""),
        # P03: the loop, which a recognised run ends
        (CLOSES, "", "P03 warning 6 config.yml:18: what this trigger starts on branch 'main' runs this step again .*workflow 'build', job 'decide'.* — give workflow 'build'  unless: << pipeline.parameters.deploy >>"),
        ("./deploy.sh", "deploystep run", "P03 warning 6 config.yml:22:"),
        # P04: the step never runs for the rule
        ("decide: {requires", "decide: {filters: {branches: {only: develop}}, requires", "P04 warning 3 config.yml:19: the step never runs on branch 'main': job 'decide' does not run: its filters: branch main — let the filters there allow branch 'main'"),
        ("      - decide: {requires: [test], context: deploy-token}\n", "", "P04 warning 3 config.yml:10: .* job 'decide' is in no workflow"),
        ("deploystep run", "echo", "P04 warning 3 config.yml: .* no job of this config runs it"),
        ("deploystep run", "deploystep plan", "P04 warning 3 config.yml:10: .* it only plans here"),
        ("deploystep run", "deploystep run --dry-run", "P04 warning 3 config.yml:10: .* it only plans here"),
        ("deploystep run", "deploystep run --sandbox", "P04 warning 3 config.yml:10: .* it only plans here"),
        # a job that cannot run the step, whatever fills in its commands, hides none of that
        ("{run: deploystep run}", "{run: ./x << parameters.y >> || echo << pipeline.number >>}", "P04 warning 3 config.yml: .* no job of this config runs it"),
        ("decide: {steps: [checkout, {run: deploystep run}]}", "decide: {steps: [checkout, {with: {flags: --dry-run}}]}", "P04 warning 3 config.yml:24: .* it only plans here"),
        ("decide: {steps: [checkout, {run: deploystep run}]}", "decide: {parameters: {on: {default: false}}, steps: [checkout, {when: {condition: << parameters.on >>, steps: [{run: deploystep run}]}}]}", "P04 warning 3 config.yml: .* no job of this config runs it"),
        # P05: what the job lacks
        (", context: deploy-token", "", "P05 warning 3 config.yml:19: job 'decide' names no context.* project's environment variables.*ignore"),
        ("decide: {steps: [checkout, ", "decide: {steps: [", "P05 warning 3 config.yml:10: job 'decide' runs the step before any checkout"),
        ("requires: [test], ", "", r"P05 warning 3 config.yml:19: job 'decide' does not require 'test' — add  requires: \[test\]"),
        # P06: a parameter that is sent and not used
        ("SHA: << pipeline.parameters.sha >>, ", "", "P06 warning 7 config.yml:4: parameter 'sha' is never used"),
        (", KEY: << pipeline.parameters.key >>", "", "P06 warning 7 config.yml:5: parameter 'key' is never used"),
        ("when: << pipeline.parameters.deploy >>\n    jobs", "when: {or: [<< pipeline.parameters.deploy >>, << pipeline.parameters.key >>]}\n    jobs", ""),
        # P07: a parameter that CircleCI refuses
        ('  sha: {type: string, default: ""}\n', "", "P07 error 7 config.yml does not declare the parameter 'sha'"),
        ("deploy: {type: boolean, default: false}", "deploy: {type: string, default: ''}", "P07 error 7 config.yml:3: 'deploy' is declared as string, and this is true or false"),
        ('sha: {type: string, default: ""}', "sha: {type: string}", "P07 error 5 config.yml:4: parameter 'sha' has no default"),
        ("{type: integer, default: 1}", "{type: int, default: 1}", "P07 error 5 config.yml:7: parameter 'count' has type 'int' — write string, boolean, integer or enum"),
        ("default: 1}", "default: '1'}", "P07 error 5 config.yml:7: the default of parameter 'count' is no integer, so CircleCI refuses the config — write a whole number, without quotes"),
        ("default: none", "default: nil", "P07 error 5 config.yml:6: the default of parameter 'env' is not in its enum, so CircleCI refuses the config — known: none, staging"),
        # P09: two workflows
        ("jobs: [release]", "jobs: [release]\n  other: {when: << pipeline.parameters.deploy >>, jobs: [test]}", "P09 warning 6 config.yml:23: workflows 'deploy' and 'other' both run"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_config(old: str, new: str, told: str) -> None:
    _told(found(changed(CONFIG, old, new)), told)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("deploy: true", "deploy: false", "P01 error 6 config.yml:21: .* deploy is false"),
        ("deploy: true, ", "", "P01 error 6 config.yml:21: .* deploy is false"),
        ("{branch: main}", "{tag: v*}", "P01 error 6 config.yml:22: .* on tag 'v': a job without a filter for tags"),
        ("{branch: main}", "[{branch: main}, {tag: v1}]", "P04 warning 3 config.yml:19: the step never runs on tag 'v1': .* — add to the job, and to all that it requires,  filters"),
        ("deploy: true", "deplyo: true", "P07 error 7 config.yml does not declare the parameter 'deplyo' — did you mean 'deploy'?"),
        ("deploy: true", 'deploy: "true"', "P07 error 7 config.yml:3: 'deploy' is declared as boolean, and this is a text"),
        ("deploy: true", "deploy: true, env: prod", "P07 error 7 config.yml:6: 'prod' is not allowed for 'env'"),
        ("deploy: true", 'deploy: true, count: "2"', "P07 error 7 config.yml:7: 'count' is declared as integer, and this is a text"),
        ("deploy: true", "deploy: true, env: staging", "P06 warning 7 config.yml:6: parameter 'env' is never used"),
        ("when: {branch: main}", "when: {branch: main}\n    requires: [release]", "W702 warning 5 no workflow with the step has a job 'release' — known: decide, test"),
        ("when: {branch: main}", "when: {branch: main}\n    requires: [tset]", "W702 warning 5 no workflow with the step has a job 'tset' — did you mean 'test'?"),
        ("when: {branch: main}", "when: {branch: main}\n    requires: decide", "E702 error 5 job 'decide' runs this step"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_rules(old: str, new: str, told: str) -> None:
    _told(found(rules=changed(RULES, old, new)), told)


TAGGED: Final = (
    CONFIG.replace("- test\n", "- test: {filters: &all {tags: {only: /.*/}}}\n      - lint: {filters: *all}\n")
    .replace("requires: [test]", "filters: *all, requires: [test, lint]")
    .replace("[release]", "[test: {filters: *all}, release: {filters: *all, requires: [test]}]")
    .replace("  test: {steps", "  lint: {steps: []}\n  test: {steps")
)
TAGS: Final = RULES.replace("branch: main", "tag: v*").replace("when:", "requires: lint\n    when:")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("x", "x", ""),
        # docs, "tags": "you must specify tag filters for those jobs" that it requires
        ("release: {filters: *all, ", "release: {", "P01 warning 7 config.yml:24: .*on tag 'v' without job 'release': .* — add to the job, and to all that it requires"),
        ("release: {filters: *all, requires: [test]", "hold: {type: approval}, release: {filters: *all, requires: [hold, test]", "P01 warning 7 config.yml:24: workflow 'deploy' may run .* on tag 'v' without job 'release': it requires 'hold': a job without a filter for tags never runs for a tag — add"),
        ("- test: {filters: &all {tags: {only: /.*/}}}\n      - lint: {filters: *all}", "- test\n      - lint: {filters: &all {tags: {only: /.*/}}}", "P04 warning 3 config.yml:19: the step may never run on tag 'v': job 'decide': it requires 'test': a job without a filter .* — add"),
        ("release: {filters: *all", "release: {filters: {tags: {only: /v1.*/}}", "P01 warning 7 config.yml:24: .*on tag 'v' without job 'release': its filters: tag v"),
        ("- lint: {filters: *all}", "- lint: {filters: {branches: {only: x}}}", "W702 warning 4 config.yml:20: job 'lint' does not run on tag 'v': a job without a filter for tags"),
    ],
)  # fmt: skip
def test_a_mistake_in_filters_for_tags(old: str, new: str, told: str) -> None:
    _told(found(changed(TAGGED, old, new), TAGS), told)


def test_the_cure_of_a_loop_serves_all_rules() -> None:
    """`unless:` with the value of one rule would leave the others in it."""
    text = changed(CONFIG, "unless: << pipeline.parameters.deploy >>", "when: true")
    rules = RULES.replace("deploy: true", "deploy: true, env: staging")
    _told(found(text, rules), "P03 .* — give workflow 'build'  unless: << pipeline.parameters.deploy >>")
    cure = r"P03 .* — give workflow 'build'  when: {equal: \[none, << pipeline.parameters.env >>\]}"
    _told(found(text, rules.replace("deploy: true, ", "")), cure)


def test_what_another_workflow_uses_is_not_used() -> None:
    text = changed(CONFIG, "SHA: << pipeline.parameters.sha >>, ", "")
    text = changed(text, "  test: {", "  test: {environment: {SHA: << pipeline.parameters.sha >>}, ")
    _told(found(text), "P06 warning 7 config.yml:4: parameter 'sha' is not used in what this trigger starts")


def test_what_is_wrong_with_the_config_alone_is_told_once() -> None:
    rules = RULES + RULES[RULES.index("  - name") :].replace("production", "again").replace("main", "other")
    told = found(changed(CONFIG, 'sha: {type: string, default: ""}', "sha: {type: string}"), rules)
    assert [each[:4] for each in told if "no default" in each] == ["P07 "]


def test_every_push_starts_what_a_rule_without_workflow_does() -> None:
    unnamed = RULES.replace("      workflow: deploy\n", "")
    _told(found(changed(CONFIG, OPENS, ""), unnamed), "P02 error 5 config.yml:20:")


def _told(all_of: list[str], told: str) -> None:
    assert any(re.match(told, each) for each in all_of) if told else all_of == [], "\n".join(all_of)


JOB: Final = RULES[: RULES.index("workflow")] + "job: %s\n"


@pytest.mark.parametrize(
    ("text", "job", "told"),
    [
        (CONFIG, "release", "P08 error 6 config.yml:1: API v1.1 starts a job of a version 2 config"),
        (
            CONFIG.replace("2.1", "2"),
            "relaese",
            "P08 error 6 config.yml has no job 'relaese' — did you mean 'release'?",
        ),
    ],
)
def test_a_job_that_cannot_be_started(text: str, job: str, told: str) -> None:
    _told(found(text, JOB % job), told)


def test_a_parameter_that_setup_and_continuation_declare() -> None:
    setup = CONFIG.replace("version: 2.1", "version: 2.1\nsetup: true")
    files = {
        ".circleci/config.yml": setup,
        ".circleci/main.yml": "parameters: {sha: {type: string}}\n",
        ".circleci/x.yml": "[",
    }
    _told(
        found(setup, files=files), "P08 error 7 config.yml:5: the setup config declares 'sha', and .circleci/main.yml"
    )
    assert found(setup) == []


def test_nothing_stops_a_loop_without_a_workflow_or_key() -> None:
    rules = RULES.replace("workflow: deploy\n      ", "").replace(', key: "${deploy.key}"', "")
    _told(found(changed(CONFIG, CLOSES, ""), rules), "P03 error 5 .*that ends never")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # how the step may run without being seen
        ("deploystep run", "make deploy"),
        ("{run: deploystep run}", "deploy/now"),
        ("{run: deploystep run}", "{when: {condition: true, steps: [{run: deploystep run}]}}"),
        ("deploystep run", "./ci/decide.sh"),
        ("deploystep run", "./ci/<< parameters.script >>.sh"),
        ("deploystep run", "set -e; sudo << pipeline.parameters.sha >>"),
        ("{run: deploystep run}", "{run: './ci/<< parameters.x >>cide.sh'}"),
        ("{run: deploystep run}", "round"),
        ("{run: deploystep run}", "with"),
        # another job of the workflow deploys
        ("[release]", "[{release: {name: ship-a, filters: {branches: {only: x}}}}, {release: {name: ship-b}}]"),
        ("[release]", "[release, {test: {requires: [release], filters: {branches: {only: x}}}}]"),
        ("- decide:", "- release: {requires: [test]}  # when they ask\n      - decide:"),
        # a step on a condition
        (
            "./deploy.sh}]",
            "./deploy.sh}, {unless: {condition: << pipeline.parameters.deploy >>, steps: [{run: deploystep run}]}}]",
        ),
        ("jobs: [release]", "jobs: [g]\njob-groups: {g: {jobs: [release]}}"),
        ("requires: [test], context", "override-with: other/decide, requires: [test], context"),
        ("decide: {requires", "decide: {post-steps: [{run: deploystep run}], requires"),
        ("{run: deploystep run}", "deploystep/run"),
        # a gate that is not known
        (OPENS, '    when: {matches: {pattern: "^(?!x).*", value: << pipeline.git.branch >>}}\n'),
        (OPENS, "    when: {equal: [api, << pipeline.trigger_source >>]}\n"),
        # a push that runs the workflow, and deploys only where a step or a person says so
        (OPENS + "    jobs: [release]", "    jobs: [release, {ok: {type: approval}}]"),
        (OPENS + "    jobs: [release]", '    jobs: [{release: {filters: "pipeline.parameters.deploy"}}, test]'),
        ("{run: ./deploy.sh}", "{when: {condition: << pipeline.parameters.deploy >>, steps: [{run: ./deploy.sh}]}}"),
        ("[checkout, {run: deploystep run}]", "[attach_workspace, {run: deploystep run}]"),
        ("decide: {requires: [test]", "decide: {requires: [tests]"),
    ],
)
def test_what_is_not_known_raises_no_alarm(old: str, new: str) -> None:
    text = changed(CONFIG, old, new)
    text = (
        text.replace("- test\n", "- test: {matrix: {alias: tests, parameters: {v: [1]}}}\n")
        if "[tests]" in new
        else text
    )
    files = {"Makefile": "deploy:\n\tdeploystep run\n", "ci/decide.sh": "set -e\ndeploystep run --wait\n"}
    if "when they ask" in new:
        step = "{when: {condition: << pipeline.parameters.deploy >>, steps: [{run: ./deploy.sh}]}}"
        text = changed(text, "{run: ./deploy.sh}", step)
    if "post-steps" in new:  # of one of the workflows with this job
        text = changed(text, "{run: deploystep run}", "{run: echo}")
        text = changed(text, "workflows:\n", "workflows:\n  early: {when: false, jobs: [decide]}\n")
    assert found(text, files=files) == []


def test_a_wildcard_of_which_one_branch_is_left_out_is_a_warning() -> None:
    rules = changed(RULES, "branch: main", 'branch: "**"')
    text = changed(CONFIG, "[release]", "[{release: {filters: {branches: {only: main}}}}]")
    _told(found(text, rules), "P01 warning 6 config.yml:22: .*its filters")


def test_branches_that_the_rule_leaves_out_are_not_tried() -> None:
    rules = changed(RULES, "{branch: main}", "ma*")
    rules = changed(rules, "when: ma*\n", 'when: {branch: "ma*"}\n    unless: {branch: ma}\n')
    assert found(changed(CONFIG, "[release]", "[{release: {filters: {branches: {only: /ma.+/}}}}]"), rules) == []


def test_a_target_is_asked_for_its_own_ref_alone() -> None:
    rules = changed(RULES, "    deploy:\n", "    deploy:\n      to: there\n")
    rules = changed(rules, "rules:", "targets: {there: {project: gh/acme/there, tag: v1}}\nrules:")
    assert found(rules=rules) == []
    _told(found(rules=rules, there=CONFIG), "P01 error 8 there.yml:22: .* on tag 'v1': a job without a filter for tags")


def test_what_a_job_lacks_is_told_though_its_filters_leave_the_first_name_out() -> None:
    filtered = "context: deploy-token, filters: {branches: {only: master}}"
    text = changed(
        changed(CONFIG, "decide: {steps: [checkout, ", "decide: {steps: ["), "context: deploy-token", filtered
    )
    _told(found(text, changed(RULES, "main", '"**"')), "P05 warning 3 config.yml:10: .* before any checkout")


def test_a_rule_can_ignore_what_its_job_lacks() -> None:
    rules = changed(RULES, "    deploy:\n", "    ignore: [P05]\n    deploy:\n")
    assert found(changed(CONFIG, ", context: deploy-token", ""), rules) == []


@pytest.mark.parametrize(
    ("ref", "sent", "text"),
    [
        (Branch("main"), {"deploy": True}, "workflow deploy: release"),
        (Branch("main"), {}, "workflow build: test, decide"),
        (Tag("v1"), {"deploy": True}, "nothing: build (config.yml:16: its unless: deploy is true); deploy (config.yml:22: a job without a filter for tags never runs for a tag)"),
        (Branch("main"), {"deploy": True, "env": "staging"}, "workflow deploy: release, perhaps undo"),
        (Branch("main"), {"x": 1}, "nothing: config.yml does not declare parameter 'x'"),
    ],
)  # fmt: skip
def test_what_a_plan_says(ref: Branch | Tag, sent: dict[str, str | int | bool], text: str) -> None:
    undo = "[release, {test: {name: undo, requires: [{release: failed}]}}]"
    read = config(changed(CONFIG, "[release]", undo) if "undo" in text else CONFIG)
    assert would_run(read, ref, sent).text == text


def test_what_a_plan_says_of_what_is_not_known() -> None:
    perhaps = config(changed(CONFIG, OPENS, "    when: << pipeline.number >>\n"))
    assert would_run(perhaps, Branch("main"), {"deploy": True}).text == "perhaps workflow deploy: release"
    setup = config("setup: true\n")
    assert would_run(setup, Branch("main"), {}).text.startswith("not known: config.yml:1: a setup config")


@pytest.mark.skipif(not PUBLIC, reason="the public configs are kept beside this repository")
@pytest.mark.parametrize("path", PUBLIC, ids=lambda path: path.name)
def test_public_configs_give_no_false_alarm(path: Path) -> None:
    """A rule for `main` that names the first workflow: only that its parameter is not declared, and the step not there."""
    try:
        read = read_config(path.name, path.read_text(encoding="utf-8"))
    except ConfigUnreadable:
        return
    rules = changed(RULES, "      workflow: deploy\n", "")
    rules = rules[: rules.index("parameters:")] + "parameters: {deploystep_key: '${deploy.key}'}\n"
    diagnostics = compare(load(SourceFile("deploy.yml", rules)), Project(read, {}, (), lambda _: None))
    assert {d.code for d in diagnostics} <= {"P01", "P04", "P07"}
    texts = [d.message for d in diagnostics if d.code == "P01"]
    assert all("version 2 knows no parameters" in text for text in texts)


ALONE: Final = "version: 1\nrules: [{name: production, when: {branch: main}}]\n"


def test_a_rule_for_gate_alone_starts_nothing() -> None:
    """Whatever the workflows are gated by: there is no second pipeline."""
    gated = changed(changed(CONFIG, OPENS, ""), "deploystep run", "deploystep gate production -- ./deploy.sh")
    assert found(gated, ALONE) == []
    (told,) = found(changed(CONFIG, "deploystep run", "echo"), ALONE)
    assert told.startswith("P04 warning 2 config.yml: the step never runs on branch 'main'")
    assert told.endswith("— run  deploystep gate production  in a job that runs for what this rule is for")


def test_a_condition_keeps_a_required_job_from_a_rule_for_gate_alone() -> None:
    """There is no trigger that could send what it asks for."""
    text = changed(
        changed(CONFIG, CLOSES, "    unless: {equal: [main, << pipeline.git.branch >>]}\n"), "deploystep run", GATE
    )
    _told(found(text, ALONE.replace("when:", "requires: test, when:")), "W702 .* its unless: branch main — let it run")


GATE: Final = "deploystep gate production -- ./deploy.sh"


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (GATE, ""),
        ("deploystep gate --nodes first production -- ./deploy.sh", ""),
        ("deploystep gate $RULE -- ./deploy.sh", ""),
        ("if deploystep gate production; then ./deploy.sh; fi", ""),
        ("deploystep run", "P04 warning 2 config.yml: the step never runs on branch 'main'"),
        ("deploystep gate production --dry-run -- x", "P04 warning 2 .* it only plans here"),
        ("deploystep gate productoin -- ./deploy.sh", r"P10 error 2 config.yml:10: gate names rule 'productoin', which there is not — did you mean 'production'\?"),
    ],
)  # fmt: skip
def test_the_step_that_gates_a_rule(step: str, told: str) -> None:
    text = changed(CONFIG, "{run: deploystep run}", f"{{run: '{step}'}}")
    _told([f for f in found(text, ALONE) if not (told.startswith("P10") and f.startswith("P04"))], told)


def test_a_token_is_needed_by_gate_only_where_it_asks() -> None:
    text = changed(changed(CONFIG, "deploystep run", GATE), ", context: deploy-token", "")
    assert found(text, ALONE) == []
    parallel = changed(text, "decide: {steps", "decide: {parallelism: 2, steps")
    _told(found(parallel, ALONE), "P05 warning 2 config.yml:19: job 'decide' names no context")
    _told(found(text, ALONE.replace("when:", "requires: test, when:")), "P05 warning 2")


def test_a_rule_that_is_gated_and_not_sent_has_no_second_pipeline() -> None:
    text = changed(changed(CONFIG, OPENS, ""), "deploystep run", GATE)
    assert found(text) == []
    both = found(changed(text, GATE, f"{GATE} && deploystep run"))
    _told(both, "P02 error 6")
    _told(both, r"P11 warning 3 config.yml:10: this step gates the rule, and run \(line 10\) sends it: two deploys")


def test_the_job_that_gates_a_rule_cannot_be_required_by_it() -> None:
    text = changed(CONFIG, "deploystep run", GATE)
    assert [f[:4] for f in found(text, ALONE.replace("when:", "requires: decide, when:"))] == ["E702"]
