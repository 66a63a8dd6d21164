"""Rules beside the project they stand in: what is missing there is told, what cannot be known is not."""

from textwrap import dedent

import pytest

from deploystep.core.source import SourceFile
from deploystep.rulefile.load import load
from deploystep.rulefile.project import Project, ProjectConfig, compare, read_config

CONFIG = """\
    version: 2.1
    parameters:
      deploy: {type: boolean, default: false}
      sha: {type: string, default: ""}
      count: {type: integer, default: 1}
      env: {type: enum, enum: [staging, production], default: staging}
      plain: {}
      runner: {type: executor}
    workflows:
      build:
        jobs: [test, {package: {name: build-image, requires: [test]}}]
      deploy:
        when: << pipeline.parameters.deploy >>
        jobs: [release]
    """
GOOD = "deploy: true, sha: '${CIRCLE_SHA1}', count: 2, env: staging"


def config(text: str = CONFIG) -> ProjectConfig | None:
    return read_config(".circleci/config.yml", dedent(text))


def warnings(
    parameters: str = GOOD,
    *,
    workflow: str = "deploy",
    more: str = "requires: [test]",
    when: str = "{branch: main}",
    project: Project | None = None,
) -> list[str]:
    rules = dedent(f"""\
        version: 1
        targets: {{deployer: {{project: gh/acme/deployer, branch: main}}}}
        rules:
          - name: a
            when: {when}
            {more}
            deploy: {{workflow: {workflow}, parameters: {{{parameters}}}}}
        """)
    loaded = load(SourceFile("deploy.yml", rules))
    found = compare(loaded, project or Project(config(), {}, None))
    return [f"{d.span.line}:{d.span.start.column} {d.code} {d.message} — {d.hint}" for d in found]


def test_what_fits_is_not_mentioned() -> None:
    assert warnings() == []
    assert warnings("sha: abc, runner: 1, plain: x") == []


def test_a_job_that_no_workflow_has() -> None:
    assert warnings(more="requires: [tset, build-image]") == [
        "6:16 W702 no workflow of .circleci/config.yml has a job 'tset' — did you mean 'test'?"
    ]


def test_a_renamed_job_goes_by_its_new_name() -> None:
    assert warnings(more="requires: package")[0].startswith("6:15 W702")


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("deploystep run --wait", True),
        ("{name: deploy, command: 'make; deploystep run'}", True),
        ("deploystep plan", False),
        ("'# deploystep run'", False),
        ("deploystep run --dry-run", False),
    ],
)
def test_a_job_that_runs_the_step_has_never_succeeded_when_it_asks(step: str, told: bool) -> None:  # noqa: FBT001
    steps = f"[checkout, {{run: make test}}, {{run: {step}}}]"
    text = dedent(CONFIG) + f"jobs: {{test: {{steps: {steps}}}, package: {{steps: [{{run: deploystep check}}]}}}}\n"
    found = warnings(more="requires: [test, build-image]", project=Project(config(text), {}, None))
    expected = (
        "6:16 E702 job 'test' runs this step, so it has never succeeded when the step asks"
        " — leave it out: what the job did before the step has succeeded"
    )
    assert found == ([expected] if told else [])


def test_jobs_of_a_matrix_are_not_claimed_to_be_absent() -> None:
    text = CONFIG.replace("[release]", "[{release: {matrix: {parameters: {v: [1, 2]}}}}]")
    assert warnings(more="requires: release-1", project=Project(config(text), {}, None)) == []


def test_jobs_named_by_a_parameter_are_not_claimed_to_be_absent() -> None:
    text = CONFIG.replace("[release]", "[{release: {name: r-<< pipeline.number >>}}]")
    assert warnings(more="requires: release-1", project=Project(config(text), {}, None)) == []


def test_a_job_is_no_workflow_and_has_build_parameters() -> None:
    rules = "version: 1\nrules: [{name: a, when: {branch: main}, deploy: {job: x, parameters: {A: b}}}]\n"
    assert list(compare(load(SourceFile("deploy.yml", rules)), Project(config(), {}, None))) == []


def test_a_workflow_that_is_not_there() -> None:
    assert warnings(workflow="deplyo") == [
        "7:24 W703 .circleci/config.yml has no workflow 'deplyo' — did you mean 'deploy'?"
    ]


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ("deplyo: true", "does not declare the parameter 'deplyo' — did you mean 'deploy'?"),
        ('deploy: "true"', "declares 'deploy' as boolean, and this is a text — write true or false"),
        ("plain: 5", "declares 'plain' as string, and this is a number — quote it"),
        ("sha: 5", "declares 'sha' as string, and this is a number — quote it"),
        ("sha: true", "declares 'sha' as string, and this is true or false — quote it"),
        ('count: "2"', "declares 'count' as integer, and this is a text — write a whole number, without quotes"),
        ("count: true", "declares 'count' as integer, and this is true or false"),
        ("env: prodution", "does not allow 'prodution' for 'env' — did you mean 'production'?"),
    ],
)
def test_parameters_are_compared_with_their_declaration(parameters: str, told: str) -> None:
    (found,) = warnings(parameters)
    assert f"W704 .circleci/config.yml {told}" in found


def test_a_config_without_parameters_is_said_to_lack_them() -> None:
    bare = config("version: 2.1\nworkflows: {version: 2, deploy: {jobs: [test]}}\n")
    (found,) = warnings("sha: a", project=Project(bare, {}, None))
    assert found.endswith("does not declare the parameter 'sha' — declare it under parameters: there")
    assert "known: deploy" in warnings("sha: a", workflow="qqq", project=Project(bare, {}, None))[0]


def test_an_enum_filled_in_by_the_build_is_not_judged() -> None:
    assert warnings("env: '${CIRCLE_BRANCH}'") == []


@pytest.mark.parametrize("text", ["setup: true\n", "{", "- a\n", "", "version: 2.1\nsetup: << x >>\n"])
def test_nothing_is_claimed_of_a_config_that_says_nothing_certain(text: str) -> None:
    assert config(text) is None
    assert warnings(workflow="x", project=Project(None, {}, None)) == []


def test_a_target_is_compared_with_its_own_config_only() -> None:
    deployer = read_config("deployer.yml", "version: 2.1\nparameters: {version: {type: string}}\n")
    assert deployer is not None
    rules = dedent("""\
        version: 1
        targets: {deployer: {project: gh/acme/deployer, branch: main}}
        rules:
          - {name: a, when: {branch: main}, deploy: {to: deployer, parameters: {verion: x}}}
        """)
    loaded = load(SourceFile("deploy.yml", rules))
    assert list(compare(loaded, Project(config(), {}, None))) == []
    (found,) = compare(loaded, Project(config(), {"deployer": deployer}, None))
    assert found.message == "deployer.yml does not declare the parameter 'verion'"
    assert found.hint == "did you mean 'version'?"


def test_a_path_pattern_that_matches_no_file() -> None:
    files = ("services/api/app.py", "docs/a.md")
    when = "{branch: f/**, paths: {only: [service/**, services/**], ignore: '**/*.md'}}"
    assert warnings(when=when, project=Project(None, {}, files)) == [
        "5:41 W705 no file of this repository matches 'service/**' — did you mean 'services/**'?"
    ]


@pytest.mark.parametrize(
    ("only", "hint"),
    [
        ("dosc/**", "did you mean 'docs/**'?"),
        ("docs", "did you mean 'docs/**'?"),
        ("docs/b.md", "did you mean 'docs/a.md'?"),
        ("dosc/*.md", "did you mean 'docs/*.md'?"),
        ("'**/zz'", "is the path spelt as git has it?"),
    ],
)
def test_a_path_is_compared_by_its_beginning(only: str, hint: str) -> None:
    unless = f"unless: {{paths: {{only: a, ignore: {only}, since: previous-commit}}}}"
    (found,) = warnings(more=unless, project=Project(None, {}, ("a", "docs/a.md")))
    assert found.endswith(hint)


def test_without_a_clone_no_path_is_doubted() -> None:
    when = "{branch: f/**, paths: nowhere/**}"
    assert warnings(when=when, project=Project(None, {}, None)) == []
    assert warnings(when=when, project=Project(None, {}, ())) == []
