"""What becomes of a config: the findings, the rules, and the lines."""

from __future__ import annotations

import re
from textwrap import dedent

import pytest
import yaml
from circleci_schema import CIRCLECI

from deploystep.core.build import ProjectSlug
from deploystep.core.source import SourceFile
from deploystep.migrate.plan import Migration, plan
from deploystep.project.config import read_config
from deploystep.project.wiring import Project, compare
from deploystep.rulefile.load import examine

PATH, RULES = ".circleci/config.yml", ".circleci/deploy.yml"
OWN = ProjectSlug.parse("gh/acme/shop")
HEAD = "version: 2.1\njobs:\n  build:\n    docker: [{image: cimg/base:current}]\n    steps:\n      - checkout\n"
TAIL = "workflows:\n  ci:\n    jobs: [build]\n"


def config(steps: str, head: str = HEAD, tail: str = TAIL) -> str:
    return head + "".join(f"      {line}\n" if line else "\n" for line in dedent(steps).strip("\n").split("\n")) + tail


def migrated(text: str, rules: str | None = None, files: dict[str, str] | None = None) -> Migration:
    old = None if rules is None else SourceFile(RULES, rules)
    return plan([SourceFile(PATH, text)], old, RULES, (files or {}).get, OWN)


def after(found: Migration, path: str = PATH) -> str:
    return next(change.new for change in found.changes if change.path == path)


def check(found: Migration) -> list[str]:
    """Codes of what `check` says of the new files; the config must be one that CircleCI takes."""
    file = SourceFile(RULES, after(found, RULES))
    examined = examine(file)
    assert examined.rules is not None, examined.diagnostics
    new = after(found)
    assert [error.message for error in CIRCLECI.iter_errors(yaml.safe_load(new))] == []
    beside = compare(examined.rules, Project(read_config(PATH, new), {}, None, lambda _: None))
    return [d.code for d in (*examined.diagnostics, *beside) if d.is_error]


# --- deploy steps


STEPS = [
    ("- deploy: ./ship.sh  # now", "- run: deploystep gate deploy -- ./ship.sh  # now"),
    (
        "- deploy:\n    name: Ship\n    # careful\n    command: ./ship.sh $CIRCLE_TAG\n    when: always",
        "- run:\n    name: Ship\n    # careful\n    command: deploystep gate deploy -- ./ship.sh $CIRCLE_TAG\n    when: always",
    ),
    ("- deploy: {name: Ship, command: ./ship.sh}", "- run: {name: Ship, command: 'deploystep gate deploy -- ./ship.sh'}"),
    (
        '- deploy:\n    command: |\n      if [ "$CIRCLE_BRANCH" = main ]; then\n        ./ship.sh\n      else\n        echo no\n      fi',
        "- run:\n    command: |\n      deploystep gate deploy-main -- ./ship.sh",
    ),
    (
        "- deploy:\n    command: |\n      # first\n      ./a.sh\n      ./b.sh 'x'",
        "- run:\n    command: |\n      deploystep gate deploy -- bash -eo pipefail -c '\n      # first\n      ./a.sh\n"
        "      ./b.sh '\\''x'\\''\n      '",
    ),
    (
        '- deploy:\n    command: >-\n      if [ "$CIRCLE_BRANCH" = main ];\n      then ./ship.sh; fi',
        "- run:\n    command: |-\n      deploystep gate deploy-main -- ./ship.sh",
    ),
    (
        '- deploy:\n    command: "./a.sh && ./b.sh"',
        "- run:\n    command: deploystep gate deploy -- bash -eo pipefail -c './a.sh && ./b.sh'",
    ),
    (
        "- deploy:\n    command: ./ship.sh $(cat version)",
        "- run:\n    command: deploystep gate deploy -- bash -eo pipefail -c './ship.sh $(cat version)'",
    ),
    (
        "- deploy:\n    shell: /bin/sh -e\n    command: cd web && ./ship.sh",
        "- run:\n    shell: /bin/sh -e\n    command: deploystep gate deploy -- /bin/sh -e -c 'cd web && ./ship.sh'",
    ),
    (
        "- deploy:\n    command: |\n      case $CIRCLE_BRANCH in\n        main) ./ship.sh production ;;  # live\n        develop)\n"
        "          export E=staging\n          ./ship.sh $E ;;\n      esac",
        "- run:\n    command: |\n      # live\n      deploystep gate deploy-main -- ./ship.sh production\n"
        "      deploystep gate deploy-develop -- bash -eo pipefail -c '\n          export E=staging\n          ./ship.sh $E\n      '",
    ),
    (
        "- deploy: |\n    # first\n    if [ $CIRCLE_BRANCH = main ]; then  # only main\n      # one\n      ./ship.sh one  # two\n    else\n"
        "      # three\n      ./other.sh\n    fi  # four",
        "- run: |\n    # first\n    # four\n    # only main\n    # one\n    # two\n    deploystep gate deploy-main -- ./ship.sh one\n"
        "    # three\n    deploystep gate deploy -- ./other.sh",
    ),
    (
        "- deploy: |\n    if [[ $CIRCLE_TAG ]]; then find . -exec rm {} \\; ; else find . -exec ls {} \\;\n    fi",
        "- run: |\n    deploystep gate deploy-tag -- bash -eo pipefail -c 'find . -exec rm {} \\; ;'\n"
        "    deploystep gate deploy-branch -- bash -eo pipefail -c 'find . -exec ls {} \\;'",
    ),
    (
        "- deploy:\n    command: |2\n        cat <<EOF\n      EOF\n    name: x",
        "- run:\n    command: |2\n      deploystep gate deploy -- bash -eo pipefail -c '\n        cat <<EOF\n      EOF\n      '\n    name: x",
    ),
    ("- deploy: |\n    # why\n    ./ship.sh", "- run: |\n    # why\n    deploystep gate deploy -- ./ship.sh"),
    (
        '- deploy:\n    command: |\n      if [ "x$CIRCLE_BRANCH" = xmain ]; then ./ship.sh; fi',
        "# deploystep: the condition in this script could not be read for certain, so it stays here\n"
        "- run:\n    command: |\n      deploystep gate deploy -- bash -eo pipefail -c 'if [ \"x$CIRCLE_BRANCH\" = xmain ]; then "
        "./ship.sh; fi'",
    ),
    *(
        (
            f'- deploy:\n    shell: {shell}\n    command: |-\n      if [ "$CIRCLE_BRANCH" = main ]; then ./ship.sh; fi',
            "# deploystep: the condition in this script could not be read for certain, so it stays here\n"
            f"- run:\n    shell: {shell}\n    command: |-\n      deploystep gate deploy -- {shell} -c "
            "'if [ \"$CIRCLE_BRANCH\" = main ]; then ./ship.sh; fi'",
        )
        for shell in ("/bin/sh -e", "/bin/bash", "bash -eu")
    ),
    *(
        (f"- deploy: |-\n    ./ship.sh {word}", f"- run: |-\n    deploystep gate deploy -- bash -eo pipefail -c './ship.sh {word}'")
        for word in ("<(./b.sh)", '"${PROD_TOKEN:?missing}"', "${X:=y}", "`date`", "$((i++))")
    ),
    (
        '- when:\n    condition: true\n    steps:\n      - deploy: "[ \\"$CIRCLE_TAG\\" ] && ./ship.sh"',
        "- when:\n    condition: true\n    steps:\n      - run: deploystep gate deploy-tag -- ./ship.sh",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), STEPS)
def test_a_deploy_step_becomes_a_gate(old: str, new: str) -> None:
    found = migrated(config(old))

    assert after(found) == config(new)
    assert check(found) == []
    assert [f.is_written for f in found.findings if f.kind == "deploy-step"] == [True]
    assert not any(f.is_alarm for f in migrated(after(found), after(found, RULES)).findings)


@pytest.mark.parametrize(
    ("test", "name"),
    [
        ('"$CIRCLE_BRANCH" = main', "deploy-main"),
        ('"$CIRCLE_BRANCH" = feature/JIRA-1', "deploy-feature-jira-1"),
        ('"$CIRCLE_BRANCH" == release/*', "deploy-release"),
        (r'"$CIRCLE_TAG" =~ ^v[0-9]+\.[0-9]+(-rc[a-z]{1,3})?$', "deploy-tag"),
        (r'"$CIRCLE_TAG" =~ ^prod-[0-9]+$ || "$CIRCLE_TAG" == v*', "deploy-prod-tag"),
        ('"$CIRCLE_BRANCH" = main || "$CIRCLE_BRANCH" = develop || "$CIRCLE_BRANCH" = x', "deploy-develop-main"),
        ('"$CIRCLE_BRANCH" == *-staging || "$CIRCLE_BRANCH" == @(qa|uat)/*', "deploy-branch-staging"),
        ('-n "$CIRCLE_TAG"', "deploy-tag"),
        ('-n "$CIRCLE_BRANCH"', "deploy-branch"),
        ('-n "$FOO"', "deploy"),
    ],
)
def test_a_rule_has_a_short_name(test: str, name: str) -> None:
    found = migrated(config(f"- deploy: |\n    if [[ {test} ]]; then ./ship.sh --version 1.4.2; fi"))

    assert f"- run: |\n          deploystep gate {name} -- ./ship.sh" in after(found)
    assert check(found) == []


BY_HAND = [
    ("- deploy:\n    shell: python3\n    command: print(1)", "its shell is python3"),
    ("- deploy:\n  command: ./ship.sh", "it has no command of its own"),
    (
        '- deploy: |\n    if [ "$CIRCLE_BRANCH" != main ]; then circleci-agent step halt; fi',
        "it halts its job, which must not hang on whether gate carries it out",
    ),
    ("- deploy: << parameters.ship >>", "a parameter in it is a command, whose quotes nobody knows here"),
    ("- deploy: {shell: zsh, command: ./ship.sh}", "its shell is zsh"),
    ("- deploy: ./ship.sh '<< parameters.msg >>' && true", "nobody knows here which quotes a parameter in it holds"),
    ("- deploy: ./ship.sh << parameters.msg >>", "nobody knows here which quotes a parameter in it holds"),
    ("- run: &x {command: ./ship.sh}\n- deploy: *x", "a run step uses its command too"),
]


def test_a_condition_that_stays_is_marked() -> None:
    steps = "- deploy: |\n    if git diff --name-only HEAD~1 | grep -q '^infra/'; then\n      terraform apply\n    fi"

    assert "# deploystep: the condition in this script could not be read" in after(migrated(config(steps)))


@pytest.mark.parametrize(("steps", "why"), BY_HAND)
def test_what_cannot_be_rewritten_is_told(steps: str, why: str) -> None:
    found = migrated(config(steps))

    assert found.changes == ()
    assert [f.advice[0] for f in found.findings] == [f"by hand, because {why}:"]
    assert all(f.is_alarm and not f.is_written for f in found.findings)


PARAMETERS = """\
    version: 2.1
    parameters:
      stage: {type: enum, enum: [qa, live], default: qa}
      odd: {type: enum, enum: [qa, "it's"], default: qa}
      n: {type: integer, default: 1}
      text: {type: string, default: x}
    commands:
      ship:
        parameters:
          env: {type: string, description: where it's going, default: "${ENV} x"}
          msg: {type: string, default: hello}
          two: {type: string, default: a}
          own: {type: string, default: a}
        steps:
          - deploy: STEP
    jobs:
      build:
        docker: [{image: cimg/base:current}]
        steps: [ship: {env: live, msg: it's}, ship: {env: << pipeline.parameters.stage >>, two: "a; b", own: << parameters.own >>}]
    workflows:
      ci: {jobs: [build]}
    """


@pytest.mark.parametrize(
    ("step", "new"),
    [
        ("./a << parameters.env >>", "./a << parameters.env >>"),
        ("./a << parameters.own >>", "./a << parameters.own >>"),
        ('cd w && ./a "<< parameters.env >>"', "bash -eo pipefail -c 'cd w && ./a \"<< parameters.env >>\"'"),
        ("<< parameters.env >>", "bash -eo pipefail -c '<< parameters.env >>'"),
        ("./a -n<< pipeline.parameters.n >> << pipeline.number >>", "./a -n<< pipeline.parameters.n >> << pipeline.number >>"),
        ('cd w; ./a "<< pipeline.parameters.stage >>"', "bash -eo pipefail -c 'cd w; ./a \"<< pipeline.parameters.stage >>\"'"),
        ('./a "<< parameters.msg >>"', './a "<< parameters.msg >>"'),
        ('./a "<< pipeline.parameters.text >>"', './a "<< pipeline.parameters.text >>"'),
        *(
            (f"{do} << {name} >>", None)
            for do in ("./a", "cd w && ./a")
            for name in ("parameters.msg", "parameters.two", "parameters.no", "pipeline.parameters.text", "pipeline.parameters.odd")
        ),
        ('cd w && ./a "<< parameters.msg >>"', None),
    ],
)  # fmt: skip
def test_a_value_that_circleci_fills_in_stays_what_it_is(step: str, new: str | None) -> None:
    found = migrated(dedent(PARAMETERS).replace("STEP", f"|-\n          {step}"))

    (finding,) = found.findings
    assert finding.is_written is (new is not None)
    assert new is None or f"- run: |-\n          deploystep gate deploy -- {new}\njobs" in after(found)


def test_a_parallel_job_is_told_of_its_token() -> None:
    head = HEAD.replace("    docker", "    parallelism: 2\n    docker")
    found = migrated(config("- deploy: ./ship.sh", head))
    rules = examine(SourceFile(RULES, after(found, RULES))).rules
    assert rules is not None
    said = compare(rules, Project(read_config(PATH, after(found)), {}, None, lambda _: None))

    assert [d.message for d in said if d.code == "P05"] == [
        f"{PATH}:11: job 'build' names no context, and nothing here sets CIRCLE_TOKEN"
    ]
    assert "nodes" in found.findings[0].advice[-1]
    assert "CIRCLE_TOKEN" in found.findings[0].advice[-1]
    assert not any("CIRCLE_TOKEN" in line for line in migrated(config("- deploy: ./ship.sh")).findings[0].advice)


def test_an_anchor_is_rewritten_once() -> None:
    text = "x: &ship\n  command: |\n    ./ship.sh\n" + config(
        "- deploy: *ship\n- deploy:\n    <<: *ship\n    name: Again"
    )
    found = migrated(text)

    assert after(found).startswith("x: &ship\n  command: |\n    deploystep gate deploy -- ./ship.sh\n")
    assert "- run: *ship\n      - run:\n          <<: *ship" in after(found)


def test_only_steps_are_steps() -> None:
    tail = "  deploy:\n    docker: [{image: a}]\n    steps: [checkout]\nworkflows:\n  ci:\n    jobs:\n      - build\n"
    tail += "      - deploy:\n          requires: [build]\n      - deploy\n"
    commands = "commands:\n  deploy:\n    parameters: {command: {type: string}}\n    steps: [checkout]\n"

    assert migrated(config("- run: echo", tail=tail)).findings == ()
    assert migrated(commands + config("# - deploy: ./x.sh\n- deploy: {command: x}")).findings == ()
    assert len(migrated(commands + config("- deploy: ./x.sh\n- deploy: {command: x, name: y}")).findings) == 2
    after = "- ship:\n    after:\n      - deploy: ./x.sh\n    requires: [deploy: success, {deploy: [failed]}]"
    assert [f.line for f in migrated(config(after)).findings] == [9]
    orb = "orbs:\n  own:\n    commands:\n      ship:\n        steps:\n          - deploy: ./ship.sh\n"
    assert [f.line for f in migrated(orb + config("- own/ship")).findings] == [6]


def test_rules_join_those_that_there_are() -> None:
    rules = "version: 1\n# mine\nrules:\n- name: deploy\n  when: {branch: x}\n\n# the end\ncases: []\n"
    found = migrated(config("- deploy: ./a.sh"), rules)

    assert after(found, RULES) == dedent("""\
        version: 1
        # mine
        rules:
        - name: deploy
          when: {branch: x}
        # .circleci/config.yml:7: deploy step of build
        - name: deploy-2
          when:
            - branch: "**"
            - tag: "**"
          ignore: [P04]  # of all builds, it judges those for which its job runs

        # the end
        cases: []
        """)


@pytest.mark.parametrize(
    "rules", ["version: 1\nrules: [{name: a, when: {branch: x}}]\n", "version: 1\nrules:\n  - oops: 1\n"]
)
def test_a_rule_file_that_takes_no_rules_stays_as_it_is(rules: str) -> None:
    found = migrated(config("- deploy: ./a.sh"), rules)

    assert found.changes == ()
    assert [p.why.is_error for p in found.problems] == [True]
    assert [f.is_written for f in found.findings] == [False]


def test_a_node_that_holds_itself_is_looked_at_once() -> None:
    text = HEAD + "      - &a {deploy: ./a.sh}\n      - when: &w {condition: true, steps: [*w, *w, *a]}\n" + TAIL

    assert [f.line for f in migrated(text).findings] == [7]
    bomb = "".join(f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]\n" for i in range(1, 30))
    assert migrated("x0: &x0 [a]\n" + bomb + config("- deploy: ./a.sh")).changes


def test_another_rule_file_is_named() -> None:
    found = plan([SourceFile(PATH, config("- deploy: ./a.sh"))], None, "ci/my rules.yml", lambda _: None, OWN)

    assert "- run: deploystep gate deploy --rules 'ci/my rules.yml' -- ./a.sh\n" in after(found)


def test_line_ends_stay() -> None:
    found = migrated(config("- deploy:\n    command: |\n      ./a.sh\n      ./b.sh").replace("\n", "\r\n"))

    assert "\n" not in after(found).replace("\r\n", "")
    assert "-c '\r\n            ./a.sh\r\n" in after(found)


def test_a_config_with_tabs_is_looked_through_and_not_changed() -> None:
    found = migrated(
        f"{HEAD}      - deploy: ./a.sh\n      - run:\n          command: |\n            echo a\n\t    echo b\n{TAIL}"
    )

    assert [(f.line, f.is_written) for f in found.findings] == [(7, False)]
    ((source, why),) = found.problems
    assert (source.path, why.span.start, why.is_error) == (PATH, (11, 1), False)
    assert why.message == "it will not be changed: a tab where YAML wants spaces"


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        (f"{HEAD}      - deploy: echo a: b\n", 7, 23, "a second ': ' in one value"),
        (f"{HEAD}      - deploy: echo a: b  # ü\t\n", 7, 23, "a second ': ' in one value"),
        (f"{HEAD}     - deploy: x\n", 7, 6, "this line is not indented as the lines above it say"),
        ("jobs: {a: [}", 1, 12, "expected , or ] here"),
        ("jobs: [", 1, 7, "this [ is never closed"),
        ("jobs:\n  a: *b\n", 2, 6, "YAML cannot read it: found undefined alias 'b'"),
        ("# nothing\n", 1, 1, "the file is empty"),
    ],
)
def test_a_config_that_yaml_cannot_read_is_told_where(text: str, line: int, column: int, message: str) -> None:
    ((_, why),) = migrated(text).problems

    assert (why.span.start, why.message, why.is_error) == ((line, column), message, True)


# --- calls


CALL = """\
    curl --user ${CIRCLE_API_USER_TOKEN}: \\
      --data build_parameters[CIRCLE_JOB]=deploy_docker \\
      --data revision=$CIRCLE_SHA1 \\
      https://circleci.com/api/v1.1/project/github/$CIRCLE_PROJECT_USERNAME/$CIRCLE_PROJECT_REPONAME/tree/$CIRCLE_BRANCH
"""
OWN_TREE = "https://circleci.com/api/v1.1/project/github/acme/shop/tree/$CIRCLE_BRANCH"
JOB = "  deploy_docker:\n    docker: [{image: cimg/base:current}]\n    steps: [checkout]\n"


def recipe(word: str, branch: str = "main") -> str:
    body = dedent(CALL).replace("\n", "\n      ").rstrip()
    return f'- {word}:\n    command: |\n      # ship it\n      if [ "$CIRCLE_BRANCH" = "{branch}" ]; then\n      {body}\n      fi'


@pytest.mark.parametrize("word", ["deploy", "run"])
def test_the_old_recipe_becomes_a_rule_and_a_gated_workflow(word: str) -> None:
    head = HEAD.replace("2.1", "2")
    found = migrated(config(recipe(word), head, JOB))

    assert after(found, RULES) == dedent("""\
        version: 1
        rules:
          # .circleci/config.yml:7: call of API v1.1
          - name: deploy-docker
            when: {branch: main}
            deploy:
              workflow: deploy_docker
              parameters:
                deploy-docker: true
        """)
    new_head = HEAD.replace("2.1\n", "2.1\nparameters:\n  deploy-docker: {type: boolean, default: false}\n")
    workflows = dedent("""\
        workflows:
          build:
            unless: << pipeline.parameters.deploy-docker >>
            jobs:
              - build
          deploy_docker:
            when: << pipeline.parameters.deploy-docker >>
            jobs:
              - deploy_docker
        """)
    assert after(found) == config(
        "- run:\n    command: |\n      # ship it\n      deploystep run", new_head, JOB + workflows
    )
    assert check(found) == []
    assert all(f.is_written for f in found.findings)


def test_workflows_that_there_are_are_kept_shut_for_the_new_one() -> None:
    tail = JOB + "workflows:\n  version: 2\n  ci:\n    # all\n    jobs:\n      - build\n\n# the end\n"
    found = migrated("# top\n" + config(recipe("run"), tail=tail))

    assert after(found).endswith(
        dedent("""\
        workflows:
          version: 2
          ci:
            # all
            unless: << pipeline.parameters.deploy-docker >>
            jobs:
              - build
          deploy_docker:
            when: << pipeline.parameters.deploy-docker >>
            jobs:
              - deploy_docker

        # the end
        """)
    )
    assert check(found) == []


def test_a_call_for_another_project_becomes_a_target() -> None:
    steps = """\
        - run:
            command: |
              if [[ $CIRCLE_BRANCH == master ]]; then
                if [ -n "${METRICS_TOKEN}" ]; then
                  curl -u ${METRICS_TOKEN}: -d build_parameters[CIRCLE_JOB]=bench -d build_parameters[SHA]=$CIRCLE_SHA1 \\
                    https://circleci.com/api/v1.1/project/github/acme/metrics/tree/master
                else
                  echo "no token"
                fi
              fi
        """
    found = migrated(config(steps))

    assert after(found, RULES) == dedent("""\
        version: 1
        targets:
          metrics: {project: gh/acme/metrics, branch: master}
        rules:
          # .circleci/config.yml:7: call of API v1.1
          - name: bench
            when: {branch: master}
            deploy:
              to: metrics
              workflow: bench
              parameters:
                bench: true
                sha: "${CIRCLE_SHA1}"
                deploy_key: ${deploy.key}
        """)
    assert "command: |\n            deploystep run --token-env METRICS_TOKEN\n" in after(found)
    assert check(found) == []
    assert any("is shown above to config.yml of gh/acme/metrics" in line for line in found.next)
    assert any("not deployed again" in line for line in found.next)
    assert any("personal API token" in line for line in found.next)
    (finding,) = found.findings
    assert finding.until == "works until 1 February 2027; then it answers HTTP 410"
    assert "in config.yml of gh/acme/metrics:" in finding.advice


ONE_CALL = "- run: |\n    curl -u $T: -d build_parameters[CIRCLE_JOB]=bench $A/project/gh/acme/metrics/tree/master"
GATED = "rules:\n  - {name: inline, when: {tag: v1}}\n"


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (f"version: 1\n{GATED}", "targets:\n  metrics: {project: gh/acme/metrics, branch: master}\nrules:\n"),
        (f"version: 1\ntargets: {{other: {{project: gh/acme/other, branch: main}}}}\n{GATED}", None),
        (f"version: 1\n{GATED}# the end\n", "  - {name: inline, when: {tag: v1}}\n  # .circleci/config.yml:"),
        ("version: 1\nrules: [{name: inline, when: {tag: v1}}]\n", None),
    ],
)
def test_rules_and_targets_are_added_to_those_that_there_are(before: str, expected: str | None) -> None:
    steps = ONE_CALL.replace("$A", "https://circleci.com/api/v1.1")
    found = migrated(config(steps), rules=before)

    if expected is None:
        assert found.changes == ()
        assert [problem.source.path for problem in found.problems] == [RULES]
        return
    new = after(found, RULES)
    assert expected in new
    kept = iter(new.splitlines())
    assert all(line in kept for line in before.splitlines()), "no line is lost, and their order stays"
    assert [code for code in check(found) if code != "W602"] == []


@pytest.mark.parametrize("names", [("deploy_a", "deploy-a"), ("2024", "b")])
def test_jobs_of_which_no_parameters_can_be_made_are_left(names: tuple[str, str]) -> None:
    call = f"curl -u $T: -d revision=$CIRCLE_SHA1 -d build_parameters[CIRCLE_JOB]=J {OWN_TREE}"
    calls = "\n    ".join(call.replace("=J", f"={name}") for name in names)
    found = migrated(
        config(
            f"- run: |\n    {calls}", tail="".join(JOB.replace("deploy_docker", f"'{name}'") for name in names) + TAIL
        )
    )

    assert found.changes == ()
    assert len(found.findings) == 2


def test_two_steps_that_send_are_left_alone() -> None:
    """`deploystep run` sends whatever is due: in the first of the two it would send what the second one does."""
    found = migrated(config(f"{recipe('run')}\n{recipe('run', 'develop')}", tail=JOB + TAIL))

    assert found.changes == ()
    assert [(f.kind, f.is_written) for f in found.findings] == [("call", False)] * 2


SENDS = "curl -u $T: -d build_parameters[CIRCLE_JOB]=x https://circleci.com/api/v1.1/project/gh/acme/other/tree"


@pytest.mark.parametrize(
    "steps",
    [
        "- run: |\n    for j in a b; do\n      curl -u $T: -d build_parameters[CIRCLE_JOB]=$j $A/project/gh/a/b/tree/main\n    done",
        "- run: |\n    ./test.sh\n    curl -X POST https://circleci.com/api/v1.1/project/gh/acme/other/tree/main",
        "- run: curl -X POST https://circleci.com/api/v1.1/project/gh/acme/other/build",
        f"- run: '{SENDS.replace('other', 'shop')}/main -d revision=$CIRCLE_SHA1'",
        f"- run: {{environment: {{B: main}}, command: '{SENDS}/$B'}}",
        f"- when: {{condition: 1, parameters: {{b: {{default: main}}}}, steps: [run: '{SENDS}/<< parameters.b >>']}}",
    ],
)
def test_a_call_that_cannot_be_read_whole_is_told(steps: str) -> None:
    found = migrated(config(steps))

    assert found.changes == ()
    (finding,) = found.findings
    assert finding.is_alarm
    assert finding.advice[0].startswith("by hand, because ")


def test_the_builds_that_send_a_call_are_those_of_its_condition() -> None:
    call = f'if [ "$CIRCLE_BRANCH" = master ]; then {BUILD.strip()}; fi'
    (read,) = migrated(config(f"- run: |\n    {call}")).findings
    (unread,) = migrated(config(f"- run: |\n    for i in a b; do {call}; done")).findings

    assert "    when: {branch: master}  # the builds that send it today" in read.advice
    assert "    when: {branch: BRANCH}  # a placeholder for the builds that send it today" in unread.advice


def test_what_is_to_be_written_by_hand_is_whole() -> None:
    """The variables that API v1 made, what keeps other workflows shut, the token, and that there are other cases."""
    script = """
        if [ "$CIRCLE_BRANCH" = main ]; then JOB=live; else JOB=staging; fi
        curl -u $BOT: -d "build_parameters[CIRCLE_JOB]=$JOB" -d "build_parameters[TARGET_ENV]=eu" \\
          -d revision=$CIRCLE_SHA1 https://circleci.com/api/v1.1/project/gh/acme/shop/tree/$CIRCLE_BRANCH"""
    (finding,) = migrated(config("- run: ci/go.sh"), files={"ci/go.sh": f"#!/bin/bash{dedent(script)}\n"}).findings

    assert finding.advice[0] == (
        "by hand, because it stands in a script, and what it sends varies: this is one case, and each needs a rule:"
    )
    assert finding.advice[-8:] == (
        "  staging: {type: boolean, default: false}",
        '  target_env: {type: string, default: ""}',
        "  # in each job that reads them:  environment: {TARGET_ENV: << pipeline.parameters.target_env >>}",
        " workflows:",
        "  staging: {when: << pipeline.parameters.staging >>, jobs: [staging]}",
        "  # in each other workflow:  unless: << pipeline.parameters.staging >>",
        "in the place of the call:",
        " deploystep run --token-env BOT",
    )


def test_json_keeps_its_types() -> None:
    body = '{"branch": "main", "parameters": {"e2e": true, "n": 3, "s": "3", "t": "<< pipeline.number >>"}}'
    url = "https://circleci.com/api/v2/project/gh/a/b/pipeline"
    (finding,) = migrated(config(f"- run: |\n    curl -X POST -d '{body}' {url}")).findings

    assert {"        e2e: true", "        n: 3", '        s: "3"', '        t: "VALUE"'} <= set(finding.advice)


def test_a_gate_keeps_a_call_that_is_not_rewritten() -> None:
    steps = "- deploy: |\n    ./ship.sh\n    curl -X POST https://circleci.com/api/v1.1/project/gh/acme/other/build"
    found = migrated(config(steps))

    assert [(f.kind, f.is_written) for f in found.findings] == [("deploy-step", True), ("call", False)]


def test_calls_after_escaped_ends_of_lines_are_told_apart() -> None:
    call = "curl -X POST https://circleci.com/api/v1.1/project/gh/acme/other/build"
    text = config(rf'- run: "./a.sh\n\t{call}\necho \"b\\nc\"\n{call}"')
    found = migrated(text)

    lines = text.split("\n")
    assert [lines[f.line - 1][f.column - 1 :].partition("\\n")[0].strip('"') for f in found.findings] == [call] * 2


def test_a_call_in_a_gate_is_found_on_its_line() -> None:
    call = "curl -X POST https://circleci.com/api/v1.1/project/gh/acme/other/build"
    found = migrated(config(f"- deploy: |\n    echo 'a' > b\n    {call}\n    {call}"))
    again = migrated(after(found), after(found, RULES))

    lines = after(found).split("\n")
    assert [(f.kind, lines[f.line - 1][f.column - 1 :]) for f in again.findings] == [("call", call)] * 2


def test_scripts_that_steps_name_are_looked_through() -> None:
    files = {
        "ci/go.sh": "#!/bin/sh\n./ci/more.sh\ncurl -X POST https://circleci.com/api/v1.1/project/gh/a/b/build\n",
        "ci/more.sh": "curl -X POST $BASE/project/gh/a/b/tree/main\n",
        "web/x.py": "import requests\nrequests.post('https://circleci.com/api/v1.1/project/gh/a/b/build')\n",
        "Makefile": "ship:\n\t@curl -X POST https://circleci.com/api/v1.1/project/gh/a/$(NAME)/build\n",
        "README.md": "curl -X POST https://circleci.com/api/v1.1/project/gh/a/b/build\n",
        "links.txt": "POST https://circleci.com/api/v1.1/project/gh/a/b/build\n",
        "NOTES": "curl -X POST https://circleci.com/api/v1.1/project/gh/a/b/build\n",
    }
    steps = "- run: bash ci/go.sh\n- run: {command: python x.py, working_directory: web}\n- run: cat README.md links.txt NOTES; make -f Makefile ship"
    base = HEAD.replace("    steps:", "    environment: {BASE: https://circleci.com/api/v1.1}\n    steps:")
    found = migrated(config(steps, base), files=files)

    assert [(f.path, f.line, f.endpoint) for f in found.findings] == [
        ("Makefile", 2, "build"),
        ("ci/go.sh", 3, "build"),
        ("ci/more.sh", 1, "tree"),
        ("web/x.py", 2, "build"),
    ]


BUILD = "curl -X POST https://circleci.com/api/v1.1/project/gh/acme/other/build\n"


@pytest.mark.parametrize(
    ("command", "path"),
    [
        (".circleci/t.sh", ".circleci/t.sh"),
        ("bash -x ./.circleci/t.sh", ".circleci/t.sh"),
        (".circleci/scripts/t.sh", ".circleci/scripts/t.sh"),
        (".buildkite/t.sh main", ".buildkite/t.sh"),
        ('"$CIRCLE_WORKING_DIRECTORY/.github/t.sh"', ".github/t.sh"),
        ("~/project/.ci/t.sh", ".ci/t.sh"),
        ("$(pwd)/.ci/t.sh", ".ci/t.sh"),
        ("cd .ci && ./t.sh", ".ci/t.sh"),
        ("cd . && ./t.sh", "t.sh"),
        ("{command: ./t.sh, working_directory: .ci}", ".ci/t.sh"),
        ("{command: ./t.sh, working_directory: ~/project/.ci/}", ".ci/t.sh"),
    ],
)
def test_a_script_in_a_hidden_folder_is_read(command: str, path: str) -> None:
    found = migrated(
        config(f"- run: {command}" if command[0] == "{" else f"- run: |\n    {command}"), files={path: BUILD}
    )

    assert [(f.path, f.line, f.is_alarm) for f in found.findings] == [(path, 1, True)]


F = f"f() {{\n  {BUILD}}}\n"


@pytest.mark.parametrize(
    ("script", "files", "told"),
    [
        (f"{F}f", {}, [(PATH, 11, 11, f"{PATH}:9:13")]),
        (f"{F}f\nif x; then f; fi", {}, [(PATH, 11, 11, f"{PATH}:9:13"), (PATH, 12, 22, f"{PATH}:9:13")]),
        (F, {}, [(PATH, 9, 13, "")]),
        (f"{F}g() {{ f; }}\ng", {}, [(PATH, 12, 11, f"{PATH}:9:13")]),
        (f"{F}g() {{ f; }}", {}, [(PATH, 11, 17, f"{PATH}:9:13")]),
        (
            f"f() {{\n  {BUILD}  {BUILD}}}\nf",
            {},
            [(PATH, 12, 11, f"{PATH}:9:13"), (PATH, 12, 11, f"{PATH}:10:13")],
        ),
        (f"bash -c '\necho '\\''x'\\''\n{F}f'", {}, [(PATH, 13, 11, f"{PATH}:11:13")]),
        (". ./lib.sh\nf", {"lib.sh": f"# f\n{F}"}, [(PATH, 9, 11, "lib.sh:3:3")]),
        ("source ci/lib.sh", {"ci/lib.sh": BUILD}, [(PATH, 8, 11, "ci/lib.sh:1:1")]),
        ("source ci/lib.sh", {"ci/lib.sh": F}, [("ci/lib.sh", 2, 3, "")]),
        ("./a.sh", {"a.sh": ". lib.sh\nf\n", "lib.sh": F}, [("a.sh", 2, 1, "lib.sh:2:3")]),
        ("./lib.sh; ./a.sh", {"a.sh": ". lib.sh\nf\n", "lib.sh": F}, [("a.sh", 2, 1, "lib.sh:2:3")]),
        ("./a.sh", {"a.sh": f"{F}f\n"}, [("a.sh", 4, 1, "a.sh:2:3")]),
        *(
            (
                "ci/a.sh",
                {"ci/a.sh": f'D="$(cd "$(dirname "$0")" && pwd)"\n. {lib}\nf', "ci/lib.sh": F},
                [("ci/a.sh", 3, 1, "ci/lib.sh:2:3")],
            )
            for lib in ('"$(dirname "$0")/lib.sh"', '"${BASH_SOURCE%/*}/lib.sh"', "$D/lib.sh")
        ),
    ],
)
def test_a_call_in_a_function_is_told_once_where_it_is_called(
    script: str, files: dict[str, str], told: list[tuple[str, int, int, str]]
) -> None:
    found = migrated(config("- run: |\n" + "".join(f"    {line}\n" for line in script.split("\n"))), files=files)

    assert [(f.path, f.line, f.column, f.what.partition(", sent at ")[2]) for f in found.findings] == told
    assert all(f.is_alarm for f in found.findings)


def test_a_script_names_others_from_its_own_folder() -> None:
    files = {".circleci/t.sh": '#!/bin/sh\nbash "$(dirname "$0")/u.sh"\n', ".circleci/u.sh": BUILD}

    assert [f.path for f in migrated(config("- run: .circleci/t.sh"), files=files).findings] == [".circleci/u.sh"]


@pytest.mark.parametrize(
    ("command", "path", "text", "line"),
    [
        ("make trigger", "Makefile", f"trigger:\n\t@{BUILD}", 2),
        ("cd web && make -s trigger", "web/Makefile", f"trigger: test\n\t{BUILD}", 2),
        ("make x", "Makefile", "A = https://circleci.com/api/v1.1\nx:\n\tcurl -X POST $(A)/project/gh/a/b/build\n", 3),
        (
            "make x",
            "Makefile",
            "ifeq ($(C),1)\nA := 1\nendif\nx:\n\t@if true; then \\\n\t  " + BUILD.strip() + "; \\\n\tfi\n",
            6,
        ),
        ("npm run trigger", "package.json", '{"scripts": {\n  "trigger": "' + BUILD.strip() + '"}}', 2),
        (
            "yarn trigger",
            "package.json",
            '{"scripts": {\n"t": "curl -d \\"a=b\\" https://circleci.com/api/v1.1/project/gh/a/b/tree/x"}}',
            2,
        ),
        ("pnpm run t", "tools/t.js", "got.post('https://circleci.com/api/v1.1/project/gh/a/b/build')", 1),
        (
            "python3 -m tools.t",
            "tools/t.py",
            "import requests\nrequests.post('https://circleci.com/api/v1.1/project/gh/a/b/build')",
            2,
        ),
        (
            "python -m t",
            "t/__main__.py",
            "import requests\nrequests.post('https://circleci.com/api/v1.1/project/gh/a/b/build')",
            2,
        ),
        (
            "bundle exec rake ship",
            "Rakefile",
            "task(:ship) { sh 'curl -X POST https://circleci.com/api/v1.1/project/gh/a/b/build' }",
            1,
        ),
        ("bash ci/trigger", "ci/trigger", BUILD, 1),
    ],
)
def test_what_a_tool_runs_is_read(command: str, path: str, text: str, line: int) -> None:
    files = {"package.json": '{"scripts": {"t": "node tools/t.js"}}', path: text}
    found = migrated(config(f"- run: {command}"), files=files)

    assert [(f.path, f.line, f.is_alarm) for f in found.findings] == [(path, line, True)]


def test_what_is_no_alarm_is_told_apart() -> None:
    steps = """\
        - run: "curl -X POST -d '{}' https://circleci.com/api/v2/project/gh/a/b/pipeline"
        - run: "curl --form config=@.circleci/config.yml https://circleci.com/api/v1.1/project/gh/a/b/tree/main"
        """
    found = migrated(config(steps))

    assert [(f.kind, f.is_alarm) for f in found.findings] == [("v2-call", False), ("config-run", False)]


SEND = (
    "curl -u $T: -d build_parameters[CIRCLE_JOB]=ship -d build_parameters[MODE]=live "
    "https://circleci.com/api/v1.1/project/gh/acme/other/tree/main"
)


def sending(script: str) -> Migration:
    return migrated(config("- run: |\n" + "\n".join(f"    {line}" for line in script.split("\n"))))


@pytest.mark.parametrize(
    "script",
    [
        f'if [ "$CIRCLE_BRANCH" = main ]; then exit 0; fi\ncase "$X" in "") {SEND}; exit 0;; *) exit 0;; esac',
        SEND,
        f"set -e\nA=1\n{SEND} > /dev/null",
        f"# `it`\n{SEND} --fail -sSo /dev/null | jq . || echo no",
    ],
)
def test_a_call_that_is_all_a_step_does_is_rewritten(script: str) -> None:
    assert "deploystep run --token-env T" in after(sending(script))


@pytest.mark.parametrize(
    "script",
    [
        f"T=$(vault read x)\n{SEND}",
        f"T=s3cr3t\n{SEND}",
        SEND.replace("$T:", "me:$T"),
        SEND.replace("$T:", "${T%x}:"),
        SEND.replace("-u $T: ", ""),
        SEND.replace("-u $T:", "-H 'Circle-Token: a-$T'"),
        f"{SEND}?circle-token=$U",
        f"{SEND} > resp.json",
        f"{SEND} -o out.json",
        f"{SEND} -sSoout.json",
        f"{SEND} --dump-header heads",
        f"{SEND} --next https://example.com",
        f"{SEND} https://example.com",
        f"{SEND} -d x=$(./side-effect.sh)",
        f"{SEND} -H @<(./side-effect.sh)",
        f"{SEND} | tee resp.json",
        f"{SEND} | jq . > resp.json",
        f"{SEND}\nexport NUM=1",
        f"NUM=1\nexport https_proxy=$P\n{SEND}",
        f"https_proxy=$P {SEND}",
        f"N=$(./side-effect.sh)\n{SEND}",
        f"f() {{ ./x; }}\n{SEND}",
        f"{SEND} -d parallel=4",
        f'if [ "$CIRCLE_BRANCH" = main ]; then {SEND}; exit 0; fi\n{SEND}',
        f'case "$CIRCLE_BRANCH" in main) echo; exit 0;; esac\n{SEND}',
        f'if [ -n "$X" ]; then if [ "$CIRCLE_BRANCH" = main ]; then exit 0; fi; fi\n{SEND}',
        f'[ "$CIRCLE_BRANCH" = main ] && {SEND} || exit 0\n{SEND}',
        SEND.replace("circleci.com", "circleci.example.com"),
    ],
)
def test_a_call_with_more_than_can_be_sent_by_a_rule_is_left(script: str) -> None:
    found = sending(script)

    assert found.changes == ()
    assert {(f.kind, f.is_written) for f in found.findings} == {("call", False)}


def test_a_call_for_which_no_rule_is_valid_is_left_alone() -> None:
    call = SEND.replace("MODE]=live", "B]=$CIRCLE_BRANCH").replace("$T: ", '"$T:" ')
    found = migrated(config(f"- deploy: ./ship.sh\n- run: {call}"))

    assert [(f.kind, f.is_written) for f in found.findings] == [("deploy-step", True), ("call", False)]
    assert found.problems == ()
    assert check(found) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KEY", "hunter2SECRET"),
        ("npm_token", "abc"),
        ("DB_PASSWORD", "x-$CIRCLE_BRANCH"),
        ("apiKey", "x9"),
        ("MODE", "ghp_9f8aK2mQ71xZpL04vBn3cR6tYw5eU8sD2jHq"),
        ("ID", "9f8a2b71-5c04-4d3e-a6b1-0c9d8e7f6a5b"),
    ],
)
def test_a_secret_in_a_call_is_not_shown_and_not_written(name: str, value: str) -> None:
    call = SEND.replace("MODE]=live", f"{name}]={value}")
    for word in ("run", "deploy"):
        found = migrated(config(f"- {word}: '{call}'"))
        shown = "\n".join(line for finding in found.findings for line in finding.advice)

        assert not re.search(rf"{name}\W+{re.escape(value.partition('$')[0])}|hunter2|9f8a", shown)
        assert f"by hand, because the value of {name} looks like a secret: put it into a context as " in shown
        assert not any(f.is_written for f in found.findings if f.kind == "call")
        assert value not in "".join(change.new for change in found.changes if change.path == RULES)


@pytest.mark.parametrize("value", ["true", "production", "eu-west-1-blue-cluster-of-2026", "web/app/releases/2026-10"])
def test_a_value_that_is_none_is_written(value: str) -> None:
    assert f'mode: "{value}"' in after(sending(SEND.replace("live", value)), RULES)
    assert 'keep_token: "true"' in after(sending(SEND.replace("MODE]=live", "KEEP_TOKEN]=true")), RULES)
