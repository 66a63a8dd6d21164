"""What the pages show is what the product does: tables, output, rule files, configs, links."""

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from builds import environ
from circleci_schema import CIRCLECI
from pages import ROOT, sections, text_of

from deploystep.core.build import BuildContext
from deploystep.core.errors import EnvironmentInvalid, ExitCode
from deploystep.core.source import SourceFile
from deploystep.rulefile.load import examine

PAGES = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "examples/README.md")
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
FENCE = re.compile(r"^```yaml([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks() -> Iterator[tuple[str, str, str]]:
    for page, text in TEXTS.items():
        for fence in FENCE.finditer(text):
            line = text.count("\n", 0, fence.start()) + 1
            yield f"{of(page)}:{line}", fence[1].strip(), textwrap.dedent(fence[2])


def is_rules(text: str) -> bool:
    return re.match(r"(#.*\n)*(version: 1$|- name:|(never|targets|windows|freezes):)", text, re.MULTILINE) is not None


def as_file(text: str) -> str:
    """A whole rule file, around what a page shows of one."""
    if text.startswith("version:"):
        return text
    if text.startswith("- name:"):
        return f"version: 1\nrules:\n{text}"
    sends = "to: deployer" if text.startswith("targets:") else "workflow: deploy"
    return f"version: 1\n{text}rules: [{{name: a, when: {{branch: main}}, deploy: {{{sends}}}}}]\n"


def as_config(text: str) -> str:
    """A whole CircleCI config, around what a page shows of one."""
    text = text.removeprefix("# before\n").removeprefix("# after\n")
    if text.startswith("version:"):
        return text
    if text.startswith("jobs:"):
        return "version: 2.1\n" + text
    steps = text if text.startswith("steps:") else "steps:\n" + textwrap.indent(text, "  ")
    job = "docker: [{image: cimg/base:current}]\n" + steps
    return "version: 2.1\njobs:\n  test:\n" + textwrap.indent(job, "    ")


YAML = tuple(blocks())
RULES = [pytest.param(info, text, id=where) for where, info, text in YAML if is_rules(text)]
CONFIGS = [pytest.param(text, id=where) for where, info, text in YAML if not is_rules(text) and info != "pre-commit"]


@pytest.mark.parametrize(("info", "text"), RULES)
def test_a_rule_file_in_a_page_is_right_or_is_marked_as_wrong(info: str, text: str) -> None:
    examined = examine(SourceFile("deploy.yml", as_file(text)))
    assert (examined.rules is None) is (info == "wrong"), examined.diagnostics


@pytest.mark.parametrize("text", CONFIGS)
def test_a_config_in_a_page_is_one_that_circleci_takes(text: str) -> None:
    assert [error.message for error in CIRCLECI.iter_errors(yaml.safe_load(as_config(text)))] == []


def test_the_pages_hold_rule_files_and_configs() -> None:
    """An expression that finds no block would make every test above pass."""
    assert (len(RULES) > 10, len(CONFIGS) > 3) == (True, True)
    assert all(yaml.safe_load(text) for _, _, text in YAML)


@pytest.mark.parametrize("page", [p for p in PAGES if re.search("<!-- generated|```console", TEXTS[p])], ids=of)
def test_tables_and_output_in_a_page_are_current(page: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts/docs.py"), str(page)]
    ran = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("page", PAGES, ids=of)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for name, heading in re.findall(r"\]\((?!https://)([^)\s#]*)(?:#([^)\s]*))?\)", TEXTS[page]):
        target = (page.parent / name) if name else page
        assert target.exists(), name
        assert not heading or heading in headings(target.read_text(encoding="utf-8")), (name, heading)


def headings(text: str) -> set[str]:
    return {re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in HEADING.findall(text)}


def test_the_architecture_names_modules_that_are_there() -> None:
    text = text_of("docs/architecture.md")
    named = re.findall(r"`((?:cli|app|circleci|core|rulefile|project|adapters|render|sandbox)/\w+)(?:\.py)?`", text)
    assert len(named) > 30
    source = ROOT / "src/deploystep"
    assert [name for name in named if not ((source / f"{name}.py").exists() or (source / name).is_dir())] == []
    places = re.findall(r"`(\w+)` in `([\w/.]+\.py)`", text)
    files = {name: (source if (source / name).exists() else ROOT) / name for _, name in places}
    assert len(places) >= 3
    assert [word for word, name in places if not re.search(rf"\b{word}\b", files[name].read_text("utf-8"))] == []


# The page for the night has every exit code, and says the same of each

OPERATOR = text_of("docs/operator.md")
CODES = {f"{int(code)}: {code.label}": code for code in ExitCode}


def test_every_code_has_a_section_in_the_order_of_the_numbers() -> None:
    assert list(sections(OPERATOR)) == list(CODES)


@pytest.mark.parametrize("heading", CODES)
def test_a_section_says_what_a_code_means_why_what_to_do_and_what_not(heading: str) -> None:
    section, code = sections(OPERATOR)[heading], CODES[heading]
    assert f"**{code.label}**: {code.meaning}" in section
    for word in ("cause", "first", "cure", "not") if code is not ExitCode.OK else ():
        assert re.search(rf"\*\*{word}\*\*", section, re.IGNORECASE), word
    # the table says whether anything was triggered
    assert re.search(rf"^\|.*\[{int(code)}\]\(#{int(code)}-{code.label}\).*\|.+\|.+\|$", OPERATOR, re.MULTILINE)


# The page about the build's environment: every variable has its row, and what it says is read is read

LINES = re.findall(r"^\| `.*$", text_of("docs/environment.md"), re.MULTILINE)
ROWS = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in LINES]


@pytest.mark.parametrize(("variables", "expected"), [(row[0], row[1]) for row in ROWS if "=" in row[0]])
def test_what_is_believed(variables: str, expected: str) -> None:
    wanted = dict(word.split("=", 1) for word in expected.split())
    found = {"exit": "4"}
    try:
        build = BuildContext.from_environ(environ(**dict(word.split("=", 1) for word in variables.split())))
    except EnvironmentInvalid:
        assert wanted == found
        return
    found = {
        "fork": {True: "true", False: "false", None: "unknown"}[build.fork],
        "pull_request": "none" if build.pull_request is None else str(build.pull_request),
        "user": build.user or "none",
        "project": "asked" if build.project is None else str(build.project),
        "host": build.host,
    }
    assert wanted.items() <= found.items()
    assert wanted


def test_every_variable_that_is_read_has_its_row() -> None:
    """Those of the page are those that the code reads (`tests/house`)."""
    named = {row[0]: row for row in ROWS if "=" not in row[0]}
    used = re.findall(r"^\| `(CIRCLE\w+)` \|", text_of("docs/commands.md"), re.MULTILINE)
    assert sorted(named) == sorted(used)
    assert all(len(row) == 7 and re.search(r"\w", row[6]) for row in named.values())
