"""What a config runs for a ref, and how its text is read."""

from pathlib import Path
from textwrap import dedent

import pytest

from deploystep.core.build import Branch, Tag
from deploystep.project.conditions import Trigger
from deploystep.project.config import RUN, Config, JobSteps, read_config
from deploystep.project.reading import ConfigUnreadable

PUBLIC = sorted((Path(__file__).resolve().parents[4] / "shared" / "configs").glob("*.yml"))
#: Public versions that CircleCI refused too: a tab indents a line.
BROKEN = {"mozilla__normandy__2.yml": 238, "DOI-ONRR__nrrd__2.yml": 536}


def config(text: str) -> Config:
    return read_config(".circleci/config.yml", dedent(text))


def anyhow(ref: Branch | Tag) -> Trigger:
    return Trigger(ref, by_api=None, parameters={})


def jobs(text: str, ref: str) -> str:
    """The jobs of the one workflow: `a yes, b no 7` with the deciding line."""
    found = config(f"workflows:\n  w:\n    jobs:\n{text}")
    made = Tag(ref.removeprefix("tag ")) if ref.startswith("tag ") else Branch(ref)
    (runs,) = found.runs(found.trigger(made, {}))
    return ", ".join(f"{j.alias} {r.answer.value}{f' {r.line}' if r.line else ''}" for j, r in runs.jobs)


@pytest.mark.parametrize(
    ("filters", "runs"),
    [
        # docs, "branches": only, ignore, neither; a regex for the whole name
        ("{branches: {only: main}}", "main yes; release/1 no; tag v1 no"),
        ("{branches: {only: [main, /release\\/.*/]}}", "main yes; release/1 yes; tag v1 no"),
        ("{branches: {only: /release/}}", "main no; release/1 no; tag v1 no"),
        ("{branches: {ignore: main}}", "main no; release/1 yes; tag v1 no"),
        ("{branches: {only: /ma.*/, ignore: main}}", "main unknown; release/1 unknown; tag v1 no"),
        ("{branches: {only: << pipeline.git.branch >>}}", "main unknown; release/1 unknown; tag v1 no"),
        ("{branches: {only: [x, [main]]}}", "main unknown; release/1 unknown; tag v1 no"),
        ("{branches: main}", "main unknown; release/1 unknown; tag v1 no"),
        ("{branches: {only: /^(?!x).*$/}}", "main unknown; release/1 unknown; tag v1 no"),
        # docs, "tags": never without a filter for tags
        ("{tags: {only: /v.*/}}", "main yes; release/1 yes; tag v1 yes"),
        ("{tags: {ignore: /v.*/}}", "main yes; release/1 yes; tag v1 no"),
        ("{tags: {}}", "main yes; release/1 yes; tag v1 no"),
        ("{tags: {only: /v.*/}, branches: {ignore: /.*/}}", "main no; release/1 no; tag v1 yes"),
        # docs, "Expression-based job filters"
        ('pipeline.git.branch == "main"', "main yes; release/1 no; tag v1 no"),
        ('pipeline.git.branch != "main"', "main no; release/1 yes; tag v1 no"),
        ('pipeline.git.branch == "main" or pipeline.git.tag starts-with "v"', "main yes; release/1 no; tag v1 yes"),
        ("pipeline.git.branch or pipeline.git.tag", "main yes; release/1 yes; tag v1 yes"),
        ("pipeline.git.branch starts-with", "main unknown; release/1 unknown; tag v1 unknown"),
    ],
)
def test_the_filters_of_a_job(filters: str, runs: str) -> None:
    text = f"      - a: {{filters: {filters if filters.startswith('{') else repr(filters)}}}\n"
    assert "; ".join(f"{ref} {jobs(text, ref).split()[1]}" for ref in ("main", "release/1", "tag v1")) == runs


@pytest.mark.parametrize(
    ("text", "ref", "runs"),
    [
        ("- a: {filters: {branches: {only: x}}}\n- b: {requires: [a]}", "main", "a no 4, b no 4"),
        ("- a: {filters: {branches: {only: x}}}\n- c\n- b: {requires: [a, c]}", "main", "a no 4, c yes, b yes 4"),
        ("- a: {filters: {tags: {only: /.*/}}}\n- b: {requires: [a]}", "tag v1", "a yes 4, b no 5"),
        ("- a\n- b: {requires: [a], filters: {tags: {only: /.*/}}}", "tag v1", "a no 4, b no 4"),
        ("- a: {requires: [b]}\n- b: {requires: [a]}", "main", "a yes, b yes"),
        # docs, "requires": "a required job that must attain the specified status"
        ("- a\n- b: {requires: [{a: [failed, canceled]}]}", "main", "a yes, b unknown 5"),
        ("- a\n- c\n- b: {requires: [{a: [failed, success]}, {c: terminal}]}", "main", "a yes, c yes, b yes"),
        ("- a: {requires: [{b: [failed]}]}\n- b: {filters: {branches: {only: x}}}", "main", "a no 5, b no 5"),
        ("- a: {matrix: {alias: all, parameters: {v: [1, 2]}}, filters: {branches: {only: x}}}\n- b: {requires: [all]}",
         "main", "all no 4, b no 4"),
        ("- a\n- b: {requires: [aa]}", "main", "a no 5, b no 5"),
        ("- a\n- a\n- b: {requires: [a-1]}", "main", "a yes, a yes, b unknown 6"),
        # a matrix of one value is required by the name of its job too; a name from a matrix may be any that begins so
        ("- a: {matrix: {parameters: {v: [1]}}, filters: {branches: {only: x}}}\n- b: {requires: [a]}",
         "main", "a no 4, b no 4"),
        ("- a: {name: a<< matrix.v >>, matrix: {parameters: {v: 1}}, filters: NO}\n- b: {requires: [a<< matrix.v >>]}",
         "main", "a no 4, b no 4"),
        ("- a: {filters: {branches: {only: x}}}\n- aa\n- b: {requires: [a<< matrix.v >>]}", "main",
         "a no 4, aa yes, b unknown 6"),
        ("- a\n- aa: {filters: TAGS}\n- b: {requires: [a<< matrix.v >>], filters: TAGS}", "tag v1",
         "a no 4, aa yes 5, b unknown 6"),
        ("- a\n- aa: {filters: TAGS}\n- b: {requires: [a, aa], filters: TAGS}", "tag v1", "a no 4, aa yes 5, b no 4"),
    ],
)  # fmt: skip
def test_a_job_needs_one_of_those_that_it_requires(text: str, ref: str, runs: str) -> None:
    lines = text.replace("NO", "{branches: {only: x}}").replace("TAGS", "{tags: {only: /.*/}}").split("\n")
    assert jobs("".join(f"      {line}\n" for line in lines), ref) == runs


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        ("test", ["test"]),
        ("{test: {name: unit}}", ["unit"]),
        ("{test: {matrix: {parameters: {v: ['3.10', '3.11']}}}}", ["test-3.10", "test-3.11"]),
        ("{test: {name: t-<< matrix.v >>, matrix: {parameters: {v: [1, 2, 3], w: [a]}}}}",
         ["t-1", "t-2", "t-3"]),
        ("{test: {matrix: {parameters: {a: [1], b: [x]}}}}", ["test-<<"]),
        ("{test: {matrix: {parameters: {v: << pipeline.parameters.x >>}}}}", ["test-<<"]),
        ("{test: {matrix: {parameters: {v: [1, << pipeline.number >>]}}}}", ["test-1", "test-<< pipeline.number >>"]),
        ("{test: {name: r-<< pipeline.number >>}}", ["r-<< pipeline.number >>"]),
        ("{test: {matrix: {parameters: {v: [1, 2, 3, 4], w: []}}}}", ["test-<<"]),
        ("{test: {matrix: {alias: all, parameters: {}}, name: t}}", ["t"]),
        ("[test]", []),
    ],
)  # fmt: skip
def test_what_a_job_is_called(entry: str, names: list[str]) -> None:
    assert [n for job in config(f"workflows: {{w: {{jobs: [{entry}]}}}}").jobs for n in job.names] == names


BUILD = "version: 2\njobs: {build: {steps: [checkout]}, other: {}}\n"  # it runs without workflows
NIGHTLY = "workflows: {w: {triggers: [{schedule: {cron: 0 0 * * *}}], jobs: [a]}}\n"
CHAIN = "".join(f"{{j{n}: {{requires: [j{n + 1}]}}}}, " for n in range(2000))
AB = "orbs: {o: x/o@1}\njobs: {a: {}, b: {}}\nworkflows: {w: {jobs: "


@pytest.mark.parametrize(
    ("text", "ref", "runs"),
    [
        (BUILD, Branch("x"), ["build yes"]),
        (BUILD, Tag("x"), ["build unknown"]),
        (NIGHTLY, Branch("x"), ["w no 1 a workflow with triggers: runs by its schedule alone"]),
        (f"{AB}[a, c]}}}}", Branch("x"), ["w no 3 CircleCI refuses this config: there is no job 'c'"]),
        (f"{AB}[a, {{b: {{requires: [o/x]}}}}, o/x, {{hold: {{type: approval}}}}]}}}}", Branch("x"), ["w yes"]),
        (f"workflows: {{w: {{jobs: [{CHAIN}j2000]}}}}", Branch("x"), ["w yes"]),  # not followed to its end
        ("setup: true\nworkflows: {w: {jobs: [a]}}\n", Branch("x"), []),
        ("setup: << pipeline.parameters.x >>\n", Branch("x"), []),
    ],
    ids=range(8),
)
def test_what_runs(text: str, ref: Branch | Tag, runs: list[str]) -> None:
    found = config(text)
    all_runs = [(w.workflow.name, w.runs) for w in found.runs(found.trigger(ref, {}))]
    assert [f"{name} {r.answer.value} {r.line or ''} {r.why}".strip() for name, r in all_runs] == runs
    by_any = [w.runs.answer.value for w in found.runs(anyhow(ref))]  # what is refused may be right by then
    expected = "unknown" if text == NIGHTLY or isinstance(ref, Tag) else "yes"
    assert by_any == [expected] * len(runs)


@pytest.mark.parametrize(
    ("kind", "default"),
    [("type: boolean", False), ("type: bool", False), ("tpye: boolean", False), ("type: string", "false")],
)
def test_the_default_of_a_parameter(kind: str, default: str | int) -> None:
    assert config(f"parameters: {{p: {{{kind}, default: false}}}}").parameters["p"].default == default


def test_the_config_is_read_as_circleci_reads_it() -> None:
    """Anchors defined twice, merge keys, a byte order mark, CRLF, tabs that do not matter, keys given twice."""
    text = dedent("""\
        \ufeffversion: 2.1
        a: &x {steps: [one]}
        b: &x
          <<: {shell: bash, steps: [none]}
          steps: [two]
        jobs:
          build: {<<: [*x, {docker: []}]}\t
        workflows: {version: 2, w: {jobs: [gone]}, w: {jobs: [build]}}
        """).replace("\n", "\r\n")
    found = config(text)
    assert found.root["jobs"] == {"build": {"shell": "bash", "steps": ["two"], "docker": []}}  # type: ignore[index]
    assert [job.names for job in found.jobs] == [("build",)]
    assert config("workflows:\n  w: {jobs: [a]}\n  w: {jobs: [b]}\n").workflows[0].line == 3


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("", 1, "it is empty"),
        ("- a\n", 1, "it is not a map"),
        ("a: 1\nb: [\n", 3, "YAML cannot read it"),
        ("a: *b\n", 1, "YAML cannot read it: found undefined alias"),
        ("a: 1\n---\nb: 1\n", 2, "YAML cannot read it: but found another document"),
        ("a: " + "[" * 3000, 1, "nest"),
        ("a: &a0 [x]\njobs:\n" + "".join(f"  a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)), 1, "large"),
    ],
)
def test_what_cannot_be_read_is_one_message_with_a_line(text: str, line: int, why: str) -> None:
    with pytest.raises(ConfigUnreadable) as caught:
        config(text)
    assert (caught.value.line, why in caught.value.why) == (line, True), caught.value.why


@pytest.mark.skipif(not PUBLIC, reason="the public configs are kept beside this repository")
@pytest.mark.parametrize("path", PUBLIC, ids=lambda path: path.name)
def test_public_configs_are_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.name in BROKEN:
        with pytest.raises(ConfigUnreadable) as caught:
            read_config(path.name, text)
        assert caught.value.line == BROKEN[path.name]
        return
    found = read_config(path.name, text)
    for ref in (Branch("main"), Branch("feature/x"), Tag("v1.0.0")):
        for trigger in (found.trigger(ref, {}), anyhow(ref)):
            for runs in found.runs(trigger):
                assert all(r.line for _, r in runs.jobs if r.answer.value == "no")
    steps = [JobSteps(found, job, lambda _: None) for w in found.workflows for job in w.jobs]
    assert not any(step.of(RUN).answer.value == "yes" for step in steps)
