"""What becomes of a config: the findings, the rules, and the lines."""

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
    ("- deploy: {name: Ship, command: ./ship.sh}", "- run: {name: Ship, command: deploystep gate deploy -- ./ship.sh}"),
    (
        "- deploy:\n    command: |\n      # first\n      ./a.sh\n      ./b.sh 'x'",
        "- run:\n    command: |\n      deploystep gate deploy -- bash -eo pipefail -c '\n      # first\n      ./a.sh\n"
        "      ./b.sh '\\''x'\\''\n      '",
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
        "- run: |\n    # first\n    # four\n    deploystep gate deploy-main -- bash -eo pipefail -c '\n      # only main\n      # one\n"
        "      ./ship.sh one  # two\n    '\n    deploystep gate deploy -- bash -eo pipefail -c '\n      # three\n      ./other.sh\n    '",
    ),
    (
        '- deploy: |\n    if [[ "$CIRCLE_BRANCH" = feature/JIRA-1 || -n $CIRCLE_TAG ]]; then ./ship.sh; fi',
        "- run: |\n    deploystep gate deploy-feature-jira-1 -- ./ship.sh",
    ),
    (
        '- deploy:\n    command: |\n      if [ "x$CIRCLE_BRANCH" = xmain ]; then ./ship.sh; fi',
        "# deploystep: the condition in this script could not be read for certain, so it stays here\n"
        "- run:\n    command: |\n      deploystep gate deploy -- bash -eo pipefail -c 'if [ \"x$CIRCLE_BRANCH\" = xmain ]; then "
        "./ship.sh; fi'",
    ),
    (
        "- deploy:\n    shell: /bin/bash --login -eo pipefail\n    command: |\n      set -eo pipefail\n      [[ $CIRCLE_TAG ]] && ./a.sh",
        "- run:\n    shell: /bin/bash --login -eo pipefail\n    command: |\n      deploystep gate deploy-tag -- ./a.sh",
    ),
    *(
        (f"- deploy: |-\n    ./ship.sh {word}", f"- run: |-\n    deploystep gate deploy -- bash -eo pipefail -c './ship.sh {word}'")
        for word in ("<(./b.sh)", '"${PROD_TOKEN:?missing}"', "${X:=y}", "`date`", "$((i++))", "$(cat v)", "&& ./b.sh", "> x", "&")
    ),
    ("- deploy: export A=1", "- run: deploystep gate deploy -- bash -eo pipefail -c 'export A=1'"),
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


QUOTES = "CircleCI fills in a value in it, which may hold quotes"
FORM = "its command stands neither in a block | nor on one line, or has an anchor"
BY_HAND = [
    ("- deploy: {shell: /bin/sh -e, command: ./ship.sh}", "its shell is /bin/sh -e"),
    ("- deploy:\n    shell: python3\n    command: print(1)", "its shell is python3"),
    ("- deploy:\n  command: ./ship.sh", "it has no command of its own"),
    (
        "- deploy: |\n    if [ x != main ]; then circleci-agent step halt; fi",
        "it halts its job, which must not hang on whether gate carries it out",
    ),
    *((f"- deploy: {text}", QUOTES) for text in ("<< parameters.ship >>", "./a.sh -n<< pipeline.number >>")),
    *(
        (f"- deploy: {text}", FORM)
        for text in (">-\n    ./a.sh\n    b", "&x ./a.sh", '"./a.sh\n    b"', "|2\n      a\n    b")
    ),
    ("- run: &x {command: ./ship.sh}\n- deploy: *x", "another step uses its command too"),
    ("- deploy: &y {command: ./a.sh}\n- deploy: {<<: *y, name: Again}", "another step uses its command too"),
]


@pytest.mark.parametrize(("steps", "why"), BY_HAND)
def test_what_cannot_be_rewritten_is_told(steps: str, why: str) -> None:
    found = migrated(config(steps))

    assert found.changes == ()
    assert {f.advice[0] for f in found.findings} == {f"by hand, because {why}:"}
    assert all(f.is_alarm and not f.is_written for f in found.findings)


def test_only_steps_are_steps() -> None:
    tail = "  deploy:\n    docker: [{image: a}]\n    steps: [checkout]\nworkflows:\n  ci:\n    jobs:\n      - build\n"
    tail += "      - deploy:\n          requires: [build]\n      - deploy: {command: ./x.sh}\n      - deploy\n"
    commands = "commands:\n  deploy:\n    parameters: {command: {type: string}}\n    steps: [checkout]\n"

    assert migrated(config("- run: echo", tail=tail)).findings == ()
    assert migrated(commands + config("# - deploy: ./x.sh\n- deploy: {command: x}")).findings == ()
    assert len(migrated(commands + config("- deploy: ./x.sh\n- deploy: {command: x, name: y}")).findings) == 2
    after = "- ship:\n    after:\n      - deploy: ./x.sh\n    requires: [deploy: success, {deploy: [failed]}]"
    assert [f.line for f in migrated(config(after)).findings] == [9]
    orb = "orbs:\n  own:\n    commands:\n      ship:\n        steps:\n          - deploy: ./ship.sh\n"
    assert [f.line for f in migrated(orb + config("- own/ship")).findings] == [6]


def test_a_node_that_holds_itself_is_looked_at_once() -> None:
    bomb = "".join(f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]\n" for i in range(1, 30))
    steps = "- &a {deploy: ./a.sh}\n- when: &w {condition: true, steps: [*w, *w, *a]}"
    assert [f.line for f in migrated("x0: &x0 [a]\n" + bomb + config(steps)).findings] == [37]


def test_another_rule_file_is_named() -> None:
    found = plan([SourceFile(PATH, config("- deploy: ./a.sh"))], None, "ci/my rules.yml", lambda _: None, OWN)

    assert "- run: deploystep gate deploy --rules 'ci/my rules.yml' -- ./a.sh\n" in after(found)


def test_line_ends_stay() -> None:
    found = migrated(config("- deploy:\n    command: |\n      ./a.sh\n      ./b.sh").replace("\n", "\r\n"))

    assert "\n" not in after(found).replace("\r\n", "")
    assert "-c '\r\n            ./a.sh\r\n" in after(found)


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


GATE = "<< pipeline.parameters.deploy-docker >>"
SHIP = f"  deploy_docker:\n    when: {GATE}\n    jobs:\n      - deploy_docker\n"


@pytest.mark.parametrize(
    ("word", "version", "tail", "new_tail"),
    [
        ("deploy", "2", "", f"workflows:\n  build:\n    unless: {GATE}\n    jobs:\n      - build\n{SHIP}"),
        (
            "run",
            "2.1",
            "workflows:\n  version: 2\n  ci:\n    # all\n    jobs:\n      - build\n\n# the end\n",
            f"workflows:\n  version: 2\n  ci:\n    # all\n    unless: {GATE}\n    jobs:\n      - build\n{SHIP}\n# the end\n",
        ),
    ],
)
def test_the_old_recipe_becomes_a_rule_and_a_gated_workflow(word: str, version: str, tail: str, new_tail: str) -> None:
    found = migrated(config(recipe(word), HEAD.replace("2.1", version), JOB + tail))

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
    steps = "- run:\n    command: |\n      # ship it\n      deploystep run"
    assert after(found) == config(steps, new_head, JOB + new_tail)
    assert check(found) == []
    assert all(f.is_written for f in found.findings)


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


SEND = (
    "curl -u $T: -d build_parameters[CIRCLE_JOB]=ship -d build_parameters[MODE]=live "
    "https://circleci.com/api/v1.1/project/gh/acme/other/tree/main"
)
ONE_CALL = f"- run: |\n    {SEND.replace('=ship', '=bench')}"
GATED = "rules:\n  - {name: inline, when: {tag: v1}}\n"


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (f"version: 1\n{GATED}", "targets:\n  other: {project: gh/acme/other, branch: main}\nrules:\n"),
        (f"version: 1\n{GATED}# the end\n", "  - {name: inline, when: {tag: v1}}\n  # .circleci/config.yml:"),
        (
            "version: 1\n# mine\nrules:\n- name: bench\n  when: {branch: x}\n\n# the end\ncases: []\n",
            "\n  when: {branch: x}\n# .circleci/config.yml:7: call of API v1.1\n- name: bench-2\n  when:\n    - branch: ",
        ),
        (f"version: 1\ntargets: {{more: {{project: gh/acme/more, branch: main}}}}\n{GATED}", None),
        ("version: 1\nrules: [{name: inline, when: {tag: v1}}]\n", None),
        ("version: 1\nrules:\n  - oops: 1\n", None),
    ],
)
def test_rules_and_targets_are_added_to_those_that_there_are(before: str, expected: str | None) -> None:
    found = migrated(config(ONE_CALL), rules=before)

    if expected is None:
        assert (found.changes, [f.is_written for f in found.findings]) == ((), [False])
        assert [(problem.source.path, problem.why.is_error) for problem in found.problems] == [(RULES, True)]
        return
    new = after(found, RULES)
    assert expected in new
    kept = iter(new.splitlines())
    assert all(line in kept for line in before.splitlines()), "no line is lost, and their order stays"
    assert check(found) == []


def test_what_is_to_be_written_by_hand_is_whole() -> None:
    """The variables that API v1 made, what keeps other workflows shut, and the token."""
    script = """
        if [ "$CIRCLE_BRANCH" = main ]; then JOB=live; else JOB=staging; fi
        curl -u $BOT: -d "build_parameters[CIRCLE_JOB]=$JOB" -d "build_parameters[TARGET_ENV]=eu" \\
          -d revision=$CIRCLE_SHA1 https://circleci.com/api/v1.1/project/gh/acme/shop/tree/$CIRCLE_BRANCH"""
    (finding,) = migrated(config("- run: ci/go.sh"), files={"ci/go.sh": f"#!/bin/bash{dedent(script)}\n"}).findings

    assert finding.advice[0] == "by hand, because it stands in a script:"
    assert "    when: {branch: BRANCH}  # a placeholder for the builds that send it today" in finding.advice
    assert finding.advice[-7:] == (
        "  staging: {type: boolean, default: false}",
        '  target_env: {type: string, default: ""}  # environment: {TARGET_ENV: << pipeline.parameters.target_env >>} '
        "where it is read",
        " workflows:",
        "  staging: {when: << pipeline.parameters.staging >>, jobs: [staging]}",
        "  # in each other workflow:  unless: << pipeline.parameters.staging >>",
        "in the place of the call:",
        " deploystep run --token-env BOT",
    )


@pytest.mark.parametrize("word", ["run", "deploy"])
def test_each_call_is_told_where_it_stands_also_in_a_gate(word: str) -> None:
    call = f"curl -X POST {V1}/build"
    for step in (
        rf'- {word}: "./a.sh\n\t{call}\necho \"b\\nc\"\n{call}"',
        f"- {word}: |\n    echo 'a' > b\n    {call}\n    {call}",
    ):
        text, rules = config(step), None
        found = migrated(text)
        if word == "deploy":
            text, rules = after(found), after(found, RULES)
        lines = text.split("\n")
        calls = [f for f in migrated(text, rules).findings if f.kind == "call"]
        assert [lines[f.line - 1][f.column - 1 :].partition("\\n")[0].strip('"') for f in calls] == [call] * 2


V1 = "https://circleci.com/api/v1.1/project/gh/acme/other"
BUILD = f"curl -X POST {V1}/build\n"
F = f"f() {{\n  {BUILD}}}\n"
PY = f"import requests\nrequests.post('{V1}/build')\n"
#: A step, the files of the project, and where its call is told.
SCRIPTS: list[tuple[str, dict[str, str], list[tuple[str, int, int]]]] = [
    *(
        (command, {path: BUILD}, [(path, 1, 1)])
        for command, path in (
            ("bash -x ./.circleci/t.sh", ".circleci/t.sh"), (".buildkite/t.sh main", ".buildkite/t.sh"),
            ('"$CIRCLE_WORKING_DIRECTORY/.github/t.sh"', ".github/t.sh"), ("~/project/.ci/t.sh", ".ci/t.sh"),
            ("$(pwd)/.ci/t.sh", ".ci/t.sh"), ("cd .ci && ./t.sh", ".ci/t.sh"), ("cd . && ./t.sh", "t.sh"),
        )
    ),
    ("./t", {"t": f"#!/bin/sh\n{BUILD}"}, [("t", 2, 1)]),
    ("bash -x ci/t main", {"ci/t": BUILD}, [("ci/t", 1, 1)]),
    ("cat README.md links.txt NOTES", dict.fromkeys(("README.md", "links.txt", "NOTES"), BUILD), []),
    ("python3 web/x.py", {"web/x.py": PY}, [("web/x.py", 2, 36)]),
    ("cd web && make -s x", {"web/Makefile": f"x: test\n\t{BUILD}"}, [("web/Makefile", 2, 35)]),
    ("npm run t", {"package.json": f'{{"scripts": {{\n"t": "curl -d \\"a=b\\" {V1}/tree/x"}}}}'}, [("package.json", 2, 43)]),
    (".ci/t.sh", {".ci/t.sh": '#!/bin/sh\nbash "$(dirname "$0")/u.sh"\n', ".ci/u.sh": BUILD}, [(".ci/u.sh", 1, 1)]),
    (F, {}, [(PATH, 9, 13)]),
    (f"{F}f\nif x; then f; fi\ng() {{ f; }}", {}, [(PATH, 9, 13)]),
    (f"bash -c '\necho '\\''x'\\''\n{F}f'", {}, [(PATH, 11, 13)]),
    (". ./lib.sh\nf", {"lib.sh": f"# f\n{F}"}, [("lib.sh", 3, 3)]),
    *(
        ("ci/a.sh", {"ci/a.sh": f'D="$(cd "$(dirname "$0")" && pwd)"\n. {lib}\nf', "ci/lib.sh": F}, [("ci/lib.sh", 2, 3)])
        for lib in ('"$(dirname "$0")/lib.sh"', '"${BASH_SOURCE%/*}/lib.sh"', "$D/lib.sh")
    ),
]  # fmt: skip


@pytest.mark.parametrize(("command", "files", "told"), SCRIPTS)
def test_scripts_that_steps_name_are_looked_through(
    command: str, files: dict[str, str], told: list[tuple[str, int, int]]
) -> None:
    found = migrated(config("- run: |\n" + "".join(f"    {line}\n" for line in command.split("\n"))), files=files)

    assert [(f.path, f.line, f.column) for f in found.findings] == told
    assert all(f.is_alarm and f.advice[0].startswith("by hand, because") for f in found.findings)


def test_values_and_folders_of_a_job_are_those_of_its_scripts() -> None:
    base = HEAD.replace("    steps:", "    environment: {BASE: https://circleci.com/api/v1.1}\n    steps:")
    found = migrated(
        config("- run: {command: ./t.sh, working_directory: ~/project/.ci/}", base),
        files={".ci/t.sh": "curl -X POST $BASE/project/gh/a/b/tree/main\n"},
    )
    assert [(f.path, f.endpoint) for f in found.findings] == [(".ci/t.sh", "tree")]


def test_what_is_no_alarm_is_told_apart() -> None:
    steps = """\
        - run: "curl -X POST -d '{}' https://circleci.com/api/v2/project/gh/a/b/pipeline"
        - run: "curl --form config=@.circleci/config.yml https://circleci.com/api/v1.1/project/gh/a/b/tree/main"
        """
    found = migrated(config(steps))

    assert [(f.kind, f.is_alarm) for f in found.findings] == [("v2-call", False), ("config-run", False)]


def sending(script: str) -> Migration:
    return migrated(config("- run: |\n" + "\n".join(f"    {line}" for line in script.split("\n"))))


@pytest.mark.parametrize("script", [SEND, f"set -e\n{SEND}", f"# `it`\n{SEND} --fail -sS || echo no"])
def test_a_call_that_is_all_a_step_does_is_rewritten(script: str) -> None:
    assert "deploystep run --token-env T" in after(sending(script))


@pytest.mark.parametrize(
    "script",
    [
        SEND.replace("other", "shop"),
        f"for j in a b; do\n  {SEND}\ndone",
        f"./test.sh\n{SEND}",
        f"{SEND}\n{SEND}",
        SEND.replace("/tree/main", "/build"),
        f"if x; then {SEND}; fi",
        f"exit 0\n{SEND}",
        f"! {SEND}",
        f"{SEND} &",
        f"https_proxy=$P {SEND}",
        *(f"{before}\n{SEND}" for before in ("T=s3cr3t", "T=$(vault read x)", "NUM=1", "f() { ./x; }", "read T")),
        *(
            SEND.replace(old, new)
            for old, new in (
                ("$T:", "me:$T"), ("$T:", "${T%x}:"), ("-u $T: ", ""), ("-u $T:", "-H 'Circle-Token: a-$T'"),
                ("circleci.com", "circleci.example.com"), ("=live", "=${X:-live}"), ("=live", "=a,b"), ("=live", "=live -d '{\"a\": $B}'"),
            )
        ),
        *(
            f"{SEND}{more}"
            for more in (
                "?circle-token=$U", " > resp.json", " -o out.json", " -sSoout.json", " --dump-header heads",
                " --next https://example.com", " https://example.com", " -d x=$(./side-effect.sh)", " -d parallel=4", " -d revision=abc",
                " -H @<(./side-effect.sh)", " -H @file", " | tee resp.json", "\nexport NUM=1",
            )
        ),
        f'case "$CIRCLE_BRANCH" in main) {SEND};; *) {SEND};; esac',
    ],
)  # fmt: skip
def test_a_call_with_more_than_can_be_sent_by_a_rule_is_left(script: str) -> None:
    is_left(sending(script))


def is_left(found: Migration) -> None:
    assert found.changes == ()
    assert {(f.kind, f.is_written, f.advice[0][:17]) for f in found.findings} == {("call", False, "by hand, because ")}


OWN_CALL = f"curl -u $T: -d revision=$CIRCLE_SHA1 -d build_parameters[CIRCLE_JOB]=J {OWN_TREE}"


@pytest.mark.parametrize(
    "text",
    [
        *(
            config(recipe("run"), tail=f"{JOB}{top}workflows:\n  ci:\n    {key}: x\n    jobs:\n      - build\n")
            for top, key in (("", "when"), ("", "unless"), ("setup: true\n", "a"), ("parameters: {}\n", "a"))
        ),
        config(f"- run: '{OWN_CALL.replace('$CIRCLE_BRANCH', 'main').replace('=J', '=deploy_docker')}'", tail=JOB + TAIL),
        config(recipe("run").replace("--data revision", "--data build_parameters[X]=1 --data revision"), tail=JOB + TAIL),
        # in the first of two, `deploystep run` would send what the second one does
        config(f"{recipe('run')}\n{recipe('run', 'develop')}", tail=JOB + TAIL),
        config(recipe("run").replace("$CIRCLE_SHA1", "abc"), tail=JOB + TAIL),
        config(f"{recipe('run')}\n- run: |\n    cat <<X\n    X", HEAD.replace("2.1", "2"), JOB + TAIL),
        config(f"- run: '{OWN_CALL.replace('=J', '=2024')}'", tail=JOB.replace("deploy_docker", "'2024'") + TAIL),
        config(f"- run: {{environment: {{B: main}}, command: '{SEND.removesuffix('/main')}/$B'}}"),
    ],
)  # fmt: skip
def test_a_call_for_which_no_rule_is_certain_is_left(text: str) -> None:
    is_left(migrated(text))
    is_left(migrated(config(ONE_CALL), "version: 1\nrules:\n  - {name: a, when: {branch: x}, deploy: {workflow: w}}\n"))


def test_a_call_for_its_own_branch_is_sent_by_branches_alone() -> None:
    found = migrated(config(f"- run: '{OWN_CALL.replace('=J', '=deploy_docker')}'", tail=JOB + TAIL))

    assert 'when: {branch: "**"}\n' in after(found, RULES)


def test_a_call_for_which_no_rule_is_valid_is_left_alone() -> None:
    call = SEND.replace("MODE]=live", "B]=$CIRCLE_BRANCH").replace("$T: ", '"$T:" ')
    found = migrated(config(f"- deploy: ./ship.sh\n- run: {call}"))

    assert [(f.kind, f.is_written) for f in found.findings] == [("deploy-step", True), ("call", False)]
    assert found.problems == ()
    assert check(found) == []


SECRETS = [
    ("npm_token", "abc"), ("DB_PASSWORD", "x-$CIRCLE_BRANCH"), ("apiKey", "x9"),
    ("MODE", "ghp_9f8aK2mQ71xZpL04vBn3cR6tYw5eU8sD2jHq"), ("ID", "9f8a2b71-5c04-4d3e-a6b1-0c9d8e7f6a5b"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), SECRETS)
def test_a_secret_in_a_call_is_not_shown_and_not_written(name: str, value: str) -> None:
    call = SEND.replace("MODE]=live", f"{name}]={value}")
    for word in ("run", "deploy"):
        found = migrated(config(f"- {word}: '{call}'"))
        shown = "\n".join(line for finding in found.findings for line in finding.advice)

        assert not re.search(rf"{name}\W+{re.escape(value.partition('$')[0])}|9f8a", shown)
        assert {f.advice[0] for f in found.findings} == {"by hand, because a value in it looks like a secret:"}
        assert found.changes == ()


@pytest.mark.parametrize("value", ["true", "production", "eu-west-1-blue-cluster-of-2026", "web/app/releases/2026-10"])
def test_a_value_that_is_none_is_written(value: str) -> None:
    assert f'mode: "{value}"' in after(sending(SEND.replace("live", value)), RULES)
    assert 'keep_token: "true"' in after(sending(SEND.replace("MODE]=live", "KEEP_TOKEN]=true")), RULES)
