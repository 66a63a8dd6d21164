"""One good pair of rules and config, and every mistake in it that was tried: caught, or named as not to be caught."""

import re
from pathlib import Path
from textwrap import dedent
from typing import Final

import pytest

from deploystep.core.build import Branch, Tag
from deploystep.core.source import SourceFile
from deploystep.project.config import read_config, would_run
from deploystep.project.reading import ConfigUnreadable
from deploystep.project.wiring import Project, compare
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


OPENS: Final = "    when: << pipeline.parameters.deploy >>\n"
CLOSES: Final = "    unless: << pipeline.parameters.deploy >>\n"
STEP: Final = "{run: deploystep run}"
ALONE: Final = "version: 1\nrules: [{name: production, when: {branch: main}}]\n"
GATE: Final = "deploystep gate production -- ./deploy.sh"
GATES: Final = ("deploystep run", GATE)
UNNAMED: Final = ("      workflow: deploy\n", "")
JOB: Final = RULES[: RULES.index("workflow")] + "job: release\n"
TAGGED: Final = (
    CONFIG.replace("- test\n", "- test: {filters: &all {tags: {only: /.*/}}}\n      - lint: {filters: *all}\n")
    .replace("requires: [test]", "filters: *all, requires: [test, lint]")
    .replace("[release]", "[test: {filters: *all}, release: {filters: *all, requires: [test]}]")
    .replace("  test: {steps", "  lint: {steps: []}\n  test: {steps")
)
TAGS: Final = RULES.replace("branch: main", "tag: v*").replace("when:", "requires: lint\n    when:")
#: Files that hide how the step is run.
FILES: Final = {"Makefile": "deploy:\n\tdeploystep run\n", "ci/decide.sh": "set -e\ndeploystep run --wait\n"}


def found(text: str, rules: str, files: dict[str, str] | None = None, **targets: str) -> list[str]:
    others = {name: read_config(f"{name}.yml", target) for name, target in targets.items()}
    project = Project(read_config("config.yml", text), others, tuple(files or ()), (files or {}).get)
    diagnostics = compare(load(SourceFile("deploy.yml", rules)), project)
    return [f"{d.code} {d.severity.value} {d.span.line} {d.message} — {d.hint}" for d in diagnostics]


def changed(text: str, old: str, new: str) -> str:
    assert old in text, old
    return text.replace(old, new, 1)


def check(rules: str, edits: list[tuple[str, str]], told: str | None) -> None:
    """Change rules or config, and find what is told: nothing for the empty text, and None with files that hide it."""
    text = TAGGED if rules == TAGS else CONFIG
    for old, new in edits:
        rules, text = (changed(rules, old, new), text) if old in rules else (rules, changed(text, old, new))
    all_of = found(text, rules, FILES if told is None else None)
    assert any(re.match(told, each) for each in all_of) if told else all_of == [], "\n".join(all_of)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        # P01: the trigger starts no workflow, or not the named one
        (OPENS, OPENS.replace("deploy >>", "deplyo >>"), "P01 error 6 config.yml:21: workflow 'deploy' does not run for this trigger on branch 'main': CircleCI refuses this config: parameter 'deplyo' is not declared"),
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
        ("[release]", "[{ok: {type: approval}}, {release: {filters: {branches: {ignore: [main]}}, requires: [ok]}}, {tell: {requires: [release]}}]\nx:\n  tell: {}", "P01 error 6 config.yml:22: .* CircleCI refuses this config: there is no job 'tell' — correct the name there"),
        ("[release]", "[{ok: {type: approval}}, {release: {filters: {branches: {ignore: [main]}}, requires: [ok]}}]", "P01 warning 6 config.yml:22: .* without job 'release'"),
        ("[release]", "[test, {release: {filters: 'pipeline.git.branch == \"develop\"'}}]", "P01 warning 6 config.yml:22: .* without job 'release'"),
        ("{run: ./deploy.sh}", "{run: './deploy.sh << pipeline.parameters.shaa >>'}", "P01 error 6 config.yml:13: .* CircleCI refuses this config: parameter 'shaa' is not declared — declare it"),
        ("{run: ./deploy.sh}", "{run: './deploy.sh pipeline.parameters.shaa \\\\<< pipeline.parameters.shab >>'}", ""),
        ("requires: [test]", "requires: [tets]", "P01 error 6 config.yml:19: .* CircleCI refuses this config: job 'decide' requires 'tets', which workflow 'build' has not — correct the name there"),
        # P02: every push deploys
        (OPENS, "", "P02 error 6 config.yml:20: workflow 'deploy' also runs for every push to branch 'main'"),
        (OPENS, "    when: << pipeline.parameters.env >>\n", "P02 error 6 config.yml:20:"),
        (OPENS, OPENS.replace("when", "unless"), "P02 error 6 config.yml:20:"),
        ("boolean, default: false", "boolean, default: true", "P02 error 6 config.yml:20: .* — give parameter 'deploy'  default: false"),
        ("- decide:", "- release: {requires: [test], filters: {branches: {only: x}}}\n      - decide:", ""),
        ("- decide:", "- release: {requires: [test]}\n      - decide:", "P02 warning 6 config.yml:19: job 'release' of the deploy also runs for every push to branch 'main' — remove it from workflow 'build'"),
        ("- decide:", "- release: {requires: [test], to: staging}\n      - decide:", ""),
        ("- decide:", "- ok: {type: approval}\n      - release: {requires: [ok]}\n      - decide:", ""),
        # P03: the loop, which a recognised run ends
        (CLOSES, "", "P03 warning 6 config.yml:18: what this trigger starts on branch 'main' runs this step again .*workflow 'build', job 'decide'.* — give workflow 'build'  unless: << pipeline.parameters.deploy >>"),
        ("./deploy.sh", "deploystep run", "P03 warning 6 config.yml:22:"),
        # P04: the step never runs for the rule
        ("decide: {requires", "decide: {filters: {branches: {only: develop}}, requires", "P04 warning 3 config.yml:19: the step never runs on branch 'main': job 'decide' does not run: its filters: branch main — let the filters there allow branch main, or keep it out of the rule"),
        ("      - decide: {requires: [test], context: deploy-token}\n", "", "P04 warning 3 config.yml:10: .* job 'decide' is in no workflow"),
        ("deploystep run", "echo", "P04 warning 3 config.yml: .* no job of this config runs it"),
        ("deploystep run", "deploystep plan", "P04 warning 3 config.yml:10: .* it only plans here"),
        ("deploystep run", "deploystep run --dry-run", "P04 warning 3 config.yml:10: .* it only plans here"),
        ("deploystep run", "deploystep run --sandbox", "P04 warning 3 config.yml:10: .* it only plans here"),
        # a job that cannot run the step, whatever fills in its commands, hides none of that
        ("{run: deploystep run}", "{run: ./x << parameters.y >> || echo << pipeline.number >>}", "P04 warning 3 config.yml: .* no job of this config runs it"),
        ("decide: {steps: [checkout, {run: deploystep run}]}", "decide: {steps: [checkout, {unless: {condition: true, steps: [{run: deploystep run}]}}]}", "P04 warning 3 config.yml: .* no job of this config runs it"),
        ("decide: {steps: [checkout, {run: deploystep run}]}", "decide: {steps: [checkout, {when: {condition: false, steps: [{run: deploystep run}]}}]}", "P04 warning 3 config.yml: .* no job of this config runs it"),
        # P05: what the job lacks
        (", context: deploy-token", "", "P05 warning 3 config.yml:19: job 'decide' names no context.* project's environment variables.*ignore"),
        ("decide: {steps: [checkout, ", "decide: {steps: [", "P05 warning 3 config.yml:10: job 'decide' runs the step before any checkout"),
        ("requires: [test], ", "", r"P05 warning 3 config.yml:19: job 'decide' does not require 'test' — add  requires: \[test\]"),
        # P06: a parameter that is sent and not used
        ("SHA: << pipeline.parameters.sha >>, ", "", "P06 warning 7 config.yml:4: parameter 'sha' is not used outside of conditions"),
        (", KEY: << pipeline.parameters.key >>", "", "P06 warning 7 config.yml:5: parameter 'key' is not used outside of conditions"),
        ("when: << pipeline.parameters.deploy >>\n    jobs", "when: {or: [<< pipeline.parameters.deploy >>, << pipeline.parameters.key >>]}\n    jobs", ""),
        # P07: a parameter that CircleCI refuses
        ('  sha: {type: string, default: ""}\n', "", "P07 error 7 config.yml does not declare the parameter 'sha'"),
        ("deploy: {type: boolean, default: false}", "deploy: {type: string, default: ''}", "P07 error 7 config.yml:3: 'deploy' is declared as string, which true is not"),
        ('sha: {type: string, default: ""}', "sha: {type: string}", "P07 error 5 config.yml:4: parameter 'sha' has no default"),
        ("{type: integer, default: 1}", "{type: int, default: 1}", "P07 error 5 config.yml:7: parameter 'count' has a default that type 'int' does not allow — write string, boolean, integer or enum"),
        ("default: 1}", "default: '1'}", "P07 error 5 config.yml:7: parameter 'count' has a default that type 'integer' does not allow — write a whole number"),
        ("default: none", "default: nil", "P07 error 5 config.yml:6: parameter 'env' has a default that type 'enum' does not allow — known: none, staging"),
        # P09: two workflows
        ("jobs: [release]", "jobs: [release]\n  other: {when: << pipeline.parameters.deploy >>, jobs: [test]}", "P09 warning 6 config.yml:23: workflows 'deploy' and 'other' both run"),
        ("deploy: true", "deploy: false", "P01 error 6 config.yml:21: .* deploy is false"),
        ("deploy: true", "env: none", "P01 error 6 .* — send what it asks for, or send a parameter whose default is another, such as deploy: true, and give"),
        ("deploy: true, ", "", "P01 error 6 config.yml:21: .* deploy is false"),
        ("{branch: main}", "{tag: v*}", "P01 error 6 config.yml:22: .* on tag 'v': a job without a filter for tags"),
        ("{branch: main}", "[{branch: main}, {tag: v1}]", "P04 warning 3 config.yml:19: the step never runs on tag 'v1': .* — add to the job, and to all that it requires,  filters"),
        ("deploy: true", "deplyo: true", "P07 error 7 config.yml does not declare the parameter 'deplyo' — did you mean 'deploy'?"),
        ("deploy: true", 'deploy: "true"', "P07 error 7 config.yml:3: 'deploy' is declared as boolean, which 'true' is not — write true or false"),
        ("deploy: true", "deploy: true, env: prod", "P07 error 7 config.yml:6: 'env' is declared as enum, which 'prod' is not — known: none, staging"),
        ("deploy: true", 'deploy: true, count: "2"', "P07 error 7 config.yml:7: 'count' is declared as integer, which '2' is not"),
        ("deploy: true", "deploy: true, env: staging", "P06 warning 7 config.yml:6: parameter 'env' is not used in this config"),
        ("when: {branch: main}", "when: {branch: main}\n    requires: [release]", "W702 warning 5 no workflow with the step has a job 'release' — known: decide, test"),
        ("when: {branch: main}", "when: {branch: main}\n    requires: [tset]", "W702 warning 5 no workflow with the step has a job 'tset' — did you mean 'test'?"),
        ("when: {branch: main}", "when: {branch: main}\n    requires: decide", "E702 error 5 job 'decide' runs this step"),
    ],
)  # fmt: skip
def test_a_mistake(old: str, new: str, told: str) -> None:
    check(RULES, [(old, new)], told)


@pytest.mark.parametrize(
    ("rules", "edits", "told"),
    [
        (RULES, [], ""),
        (TAGS, [], ""),
        # docs, "tags": "you must specify tag filters for those jobs" that it requires
        (TAGS, [("release: {filters: *all, ", "release: {")], "P01 warning 7 config.yml:24: .*on tag 'v' without job 'release': .* — add to the job, and to all that it requires"),
        (TAGS, [("release: {filters: *all, requires: [test]", "hold: {type: approval}, release: {filters: *all, requires: [hold, test]")], "P01 warning 7 config.yml:24: workflow 'deploy' runs .* on tag 'v' without job 'release': it requires 'hold': a job without a filter for tags never runs for a tag — add"),
        (TAGS, [("- test: {filters: &all {tags: {only: /.*/}}}\n      - lint: {filters: *all}", "- test\n      - lint: {filters: &all {tags: {only: /.*/}}}")], "P04 warning 3 config.yml:19: the step never runs on tag 'v': job 'decide' does not run: it requires 'test': a job without a filter .* — add"),
        (TAGS, [("release: {filters: *all", "release: {filters: {tags: {only: /v1.*/}}")], "P01 warning 7 config.yml:24: .*on tag 'v' without job 'release': its filters: tag v"),
        # how the step may run without being seen
        (RULES, [("deploystep run", "make deploy")], None),
        (RULES, [(STEP, "deploy/now")], None),
        (RULES, [(STEP, "{when: {condition: true, steps: [{run: deploystep run}]}}")], None),
        (RULES, [("deploystep run", "./ci/decide.sh")], None),
        (RULES, [("deploystep run", "./ci/<< parameters.script >>.sh")], None),
        (RULES, [("deploystep run", "set -e; sudo << pipeline.parameters.sha >>")], None),
        (RULES, [(STEP, "{run: './ci/<< parameters.x >>cide.sh'}")], None),
        (RULES, [(STEP, "round")], None),
        (RULES, [(STEP, "with")], None),
        (RULES, [(STEP, "{with: {flags: << parameters.x >>}}"), (", context: deploy-token", "")], None),
        (RULES, [(STEP, "{with: {flags: --wait}}"), ("{flags: {default: --wait}}", "{}"), (", context: deploy-token", "")], None),
        (RULES, [("[checkout, {run: deploystep run}]", "[attach_workspace, {run: deploystep run}]")], None),
        (RULES, [("requires: [test], context", "override-with: other/decide, requires: [test], context")], None),
        (RULES, [("decide: {requires", "decide: {post-steps: [{run: deploystep run}], requires"), (STEP, "{run: echo}"), ("workflows:\n", "workflows:\n  early: {when: false, jobs: [decide]}\n")], None),
        (RULES, [(STEP, "deploystep/run")], None),
        # another job of the workflow deploys
        (RULES, [("[release]", "[{release: {name: ship-a, filters: {branches: {only: x}}}}, {release: {name: ship-b}}]")], None),
        (RULES, [("[release]", "[release, {test: {requires: [release], filters: {branches: {only: x}}}}]")], None),
        (RULES, [("- decide:", "- release: {requires: [test]}\n      - decide:"), ("{run: ./deploy.sh}", "{when: {condition: << pipeline.parameters.deploy >>, steps: [{run: ./deploy.sh}]}}")], None),
        # a step on a condition, a group of jobs, a matrix
        (RULES, [("./deploy.sh}]", "./deploy.sh}, {unless: {condition: << pipeline.parameters.deploy >>, steps: [{run: deploystep run}]}}]")], None),
        (RULES, [("jobs: [release]", "jobs: [g]\njob-groups: {g: {jobs: [release]}}")], None),
        (RULES, [("decide: {requires: [test]", "decide: {requires: [tests]"), ("- test\n", "- test: {matrix: {alias: tests, parameters: {v: [1]}}}\n")], None),
        # a gate that is not known
        (RULES, [(OPENS, '    when: {matches: {pattern: "^(?!x).*", value: << pipeline.git.branch >>}}\n')], None),
        (RULES, [(OPENS, "    when: {equal: [api, << pipeline.trigger_source >>]}\n")], None),
        # a push that runs the workflow, and deploys only where a step or a person says so
        (RULES, [(OPENS, ""), ("{run: ./deploy.sh}", "{when: {condition: << pipeline.parameters.deploy >>, steps: [{run: ./deploy.sh}]}}")], None),
        (RULES, [(OPENS + "    jobs: [release]", "    jobs: [release, {ok: {type: approval}}]")], None),
        (RULES, [(OPENS + "    jobs: [release]", '    jobs: [{release: {filters: "pipeline.parameters.deploy"}}, test]')], None),
        (RULES, [("{run: ./deploy.sh}", "{when: {condition: << pipeline.parameters.deploy >>, steps: [{run: ./deploy.sh}]}}")], None),
        (TAGS, [("- lint: {filters: *all}", "- lint: {filters: {branches: {only: x}}}")], "W702 warning 4 config.yml:20: job 'lint' does not run on tag 'v': a job without a filter for tags"),
        # `unless:` with the value of one rule would leave the others in the loop
        (RULES, [("deploy: true", "deploy: true, env: staging"), (CLOSES, "    when: true\n")], "P03 .* — give workflow 'build'  unless: << pipeline.parameters.deploy >>"),
        (RULES, [("deploy: true", "env: staging"), (CLOSES, "    when: true\n")], r"P03 .* — give workflow 'build'  when: {equal: \[\"none\", << pipeline.parameters.env >>\]}"),
        (RULES, [UNNAMED, (', key: "${deploy.key}"', ""), (CLOSES, "")], "P03 error 5 .*that ends never"),
        (RULES, [UNNAMED, (CLOSES, "")], "P03 warning 5 .*after one more round"),
        (RULES, [UNNAMED, (OPENS, "")], "P02 error 5 config.yml:20:"),
        (RULES, [(", KEY: << pipeline.parameters.key >>", ""), (OPENS, "    when: {or: [<< pipeline.parameters.deploy >>, << pipeline.parameters.key >>]}\n")], "P06 warning 7 config.yml:5: parameter 'key' is not used outside of conditions"),
        # a name that a matrix may make
        (RULES, [("    when:", "    requires: test-3\n    when:"), ("- test\n", "- test: {matrix: {parameters: {v: [3]}}}\n")], ""),
        (RULES, [("    when:", "    requires: test-4\n    when:"), ("- test\n", "- test: {matrix: {parameters: {v: [3]}}}\n")], "W702 warning 4 no workflow with the step has a job 'test-4' — did you mean 'test-3'"),
        (RULES, [("    when:", "    requires: test\n    when:"), ("- test\n", "- test: {matrix: {parameters: {v: [3]}}}\n")], "W702 warning 4 .* 'test' — did you mean 'test-3'"),
        (RULES, [("    when:", "    requires: test-4\n    when:"), ("- test\n", "- test: {matrix: {parameters: {v: << pipeline.parameters.env >>}}}\n")], ""),
        (RULES, [("    when:", "    requires: decide-1\n    when:"), ("- decide: {", "- decide: {matrix: {parameters: {v: [1, 2]}}, ")], "E702 error 4 job 'decide-1' runs this step"),
        (RULES, [("    when:", "    requires: tset-3\n    when:"), ("- test\n", "- test: {matrix: {parameters: {v: [3]}}}\n")], "W702 warning 4 no workflow with the step has a job 'tset-3'"),
        # a wildcard of which one branch is left out; branches that the rule leaves out are not tried
        (RULES, [("branch: main", 'branch: "**"'), ("decide: {requires", "decide: {filters: {branches: {only: main}}, requires")], ""),
        (RULES, [("branch: main", 'branch: "**"'), ("[release]", "[{release: {filters: {branches: {only: main}}}}]")], "P01 warning 6 config.yml:22: .*its filters"),
        (RULES, [("{branch: main}\n", '{branch: "ma*"}\n    unless: {branch: ma}\n'), ("[release]", "[{release: {filters: {branches: {only: /ma.+/}}}}]")], ""),
        (RULES, [("branch: main", 'branch: "**"'), ("decide: {steps: [checkout, ", "decide: {steps: ["), ("context: deploy-token", "context: deploy-token, filters: {branches: {only: master}}")], "P05 warning 3 config.yml:10: .* before any checkout"),
        (RULES, [("    deploy:\n", "    ignore: [P05]\n    deploy:\n"), (", context: deploy-token", "")], ""),
        # a call in a command or job of this file, whose parameters are given there or declared
        (RULES, [(STEP, "{with: {flags: << pipeline.parameters.sha >>}}"), (", context: deploy-token", "")], ""),
        (ALONE, [("decide: {steps: [checkout, {run: deploystep run}]}", "decide: {parameters: {rule: {type: string}}, steps: [checkout, {run: deploystep gate << parameters.rule >> -- x}]}"), ("decide: {requires", "decide: {matrix: {parameters: {rule: [production, prod]}}, requires")], ""),
        # P08: a job that API v1.1 cannot start
        (JOB, [], "P08 error 6 config.yml:1: API v1.1 starts a job of a version 2 config"),
        (JOB, [("job: release", "job: relaese"), ("version: 2.1", "version: 2")], "P08 error 6 config.yml has no job 'relaese' — did you mean 'release'?"),
        # a rule for gate alone starts nothing, whatever the workflows are gated by: there is no second pipeline
        (ALONE, [GATES, (OPENS, "")], ""),
        (ALONE, [("deploystep run", "deploystep gate --nodes first production -- ./deploy.sh")], ""),
        (ALONE, [("deploystep run", "deploystep gate $RULE -- ./deploy.sh")], ""),
        (ALONE, [("deploystep run", "if deploystep gate production; then ./deploy.sh; fi")], ""),
        (ALONE, [("deploystep run", "echo")], "P04 warning 2 config.yml: the step never runs on branch 'main'.* — run  deploystep gate production  in a job that runs for what this rule is for"),
        (ALONE, [], "P04 warning 2 config.yml: the step never runs on branch 'main'"),
        (ALONE, [("deploystep run", "deploystep gate production --dry-run -- x")], "P04 warning 2 .* it only plans here"),
        (ALONE, [GATES, ("when:", "requires: decide, when:")], "E702"),
        (ALONE, [("deploystep run", "deploystep gate productoin -- ./deploy.sh")], r"P10 error 2 config.yml:10: gate names rule 'productoin', which there is not — did you mean 'production'\?"),
        (ALONE, [("deploystep run", "deploystep gate --rules=other.yml else -- x && deploystep gate production")], ""),
        (ALONE, [(STEP, "{deploystep/gate: {rule: else, rules: other.yml}}")], ""),
        (ALONE, [(STEP, "{deploystep/gate: {rule: else}}")], "P10 error 2 config.yml:10: gate names rule 'else'"),
        (ALONE, [GATES, ("when:", "requires: test, when:"), (CLOSES, "    unless: {equal: [main, << pipeline.git.branch >>]}\n")], "W702 .* its unless: branch main — let it run for branch 'main'"),
        # gate needs a token only where it asks
        (ALONE, [GATES, (", context: deploy-token", "")], ""),
        (ALONE, [GATES, (", context: deploy-token", ""), ("decide: {steps", "decide: {parallelism: 2, steps")], "P05 warning 2 config.yml:19: job 'decide' names no context"),
        (ALONE, [GATES, (", context: deploy-token", ""), ("when:", "requires: test, when:")], "P05 warning 2"),
        # a rule that is gated, and not sent
        (RULES, [GATES, (OPENS, "")], ""),
        (RULES, [("deploystep run", f"{GATE} && deploystep run"), (OPENS, "")], "P02 error 6"),
        (RULES, [("deploystep run", f"{GATE} && deploystep run"), (OPENS, "")], r"P11 warning 3 config.yml:10: this step gates the rule, and run \(line 10\) sends it: two deploys"),
    ],
)  # fmt: skip
def test_rules_and_config_together(rules: str, edits: list[tuple[str, str]], told: str | None) -> None:
    check(rules, edits, told)


def test_what_is_wrong_with_the_config_alone_is_told_once() -> None:
    rules = RULES + RULES[RULES.index("  - name") :].replace("production", "again").replace("main", "other")
    text = CONFIG.replace('sha: {type: string, default: ""}', "sha: {type: string}").replace(
        ", context: deploy-token", ""
    )
    told = found(text, rules)
    assert [each[:4] for each in told if "no default" in each or "no context" in each] == ["P05 ", "P07 "]


def test_a_job_that_runs_the_step_and_is_required_is_told_of_once() -> None:
    text = changed(CONFIG, "decide: {requires", "decide: {filters: {branches: {only: x}}, requires")
    told = found(text, changed(RULES, "    when:", "    requires: decide\n    when:"))
    assert [each[:4] for each in told] == ["E702", "P04 "]


def test_a_parameter_that_setup_and_continuation_declare() -> None:
    setup = CONFIG.replace("version: 2.1", "version: 2.1\nsetup: true")
    beside = {".circleci/main.yml": "parameters: {sha: {type: string}}\n", ".circleci/x.yml": "["}
    (told,) = found(setup, RULES, beside)
    assert told.startswith("P08 error 7 config.yml:5: the setup config declares 'sha', and .circleci/main.yml")
    assert found(setup, RULES) == []


def test_a_target_is_asked_for_its_own_ref_alone() -> None:
    rules = changed(RULES, "    deploy:\n", "    deploy:\n      to: there\n")
    rules = changed(rules, "rules:", "targets: {there: {project: gh/acme/there, tag: v1}}\nrules:")
    assert found(CONFIG, rules) == []
    told = found(CONFIG, rules, there=CONFIG)[0]
    assert re.match("P01 error 8 there.yml:22: .* on tag 'v1': a job without a filter for tags", told)


@pytest.mark.parametrize(
    ("edit", "ref", "sent", "text"),
    [
        ("", Branch("main"), {"deploy": True}, "workflow deploy: release"),
        ("", Branch("main"), {}, "workflow build: test, decide"),
        ("", Tag("v1"), {"deploy": True}, "nothing: build (config.yml:16: its unless: deploy is true); deploy (config.yml:22: a job without a filter for tags never runs for a tag)"),
        ("[release, {test: {name: undo, requires: [{release: failed}]}}]", Branch("main"), {"deploy": True, "env": "staging"}, "workflow deploy: release, perhaps undo"),
        ("", Branch("main"), {"x": 1}, "nothing: config.yml does not declare parameter 'x'"),
        ("[release]\n    unless: << pipeline.number >>", Branch("main"), {"deploy": True}, "perhaps workflow deploy: release"),
        ("[release]\nsetup: true", Branch("main"), {}, "not known: config.yml:23: a setup config is continued by another one"),
        ("[release]\nversion: 2", Branch("main"), {"deploy": True}, "nothing: config.yml does not declare parameter 'deploy'"),
    ],
)  # fmt: skip
def test_what_a_plan_says(edit: str, ref: Branch | Tag, sent: dict[str, str | int | bool], text: str) -> None:
    read = read_config("config.yml", changed(CONFIG, "[release]", edit or "[release]"))
    assert would_run(read, ref, sent).text == text


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
