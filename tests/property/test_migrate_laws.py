"""Laws of a migration: it never fails, never loses a line that it does not name, and finds nothing twice."""

from contextlib import suppress

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deploystep.core.build import ProjectSlug
from deploystep.core.source import SourceFile
from deploystep.migrate.plan import Migration, plan
from deploystep.migrate.shell import Uncertain, parse
from deploystep.rulefile.load import examine

PATH, RULES = ".circleci/config.yml", ".circleci/deploy.yml"
V1 = "https://circleci.com/api/v1.1/project/gh/acme/other"
LINES = st.sampled_from([
    "./ship.sh", "echo 'it''s'", 'if [ "$CIRCLE_BRANCH" = main ]; then', "else", "fi", "# a comment",
    "  ./ship.sh \\", 'case "$CIRCLE_TAG" in', "v*) ./ship.sh ;;", "esac", '[[ -n "$CIRCLE_TAG" ]] && ./ship.sh',
    "cat <<EOF", "EOF", "", f"curl -X POST -u $T: {V1}/tree/main", f"curl -X POST {V1}/build", "exit 0", '"',
    "for x in a b; do", "done", "ü; \t", "A=1",
])  # fmt: skip
SCRIPTS = st.lists(LINES, min_size=1, max_size=8)
STEPS = st.tuples(
    st.sampled_from(["deploy", "run"]), st.sampled_from(["|", "|-", ">", ">-", "plain", "quoted", "flow"]), SCRIPTS
)


def config(steps: list[tuple[str, str, list[str]]], end: str) -> str:
    lines = ["version: 2.1", "jobs:", "  build:  # it", "    docker: [{image: a}]", "    steps:", "      - checkout"]
    for word, style, script in steps:
        lines += [f"      # {word}", f"      - {word}:"]
        if style in ("plain", "quoted", "flow"):
            text = yaml.safe_dump("\n".join(script), width=10_000, default_style='"').strip()
            lines[-1:] = [f"      - {word}: {{command: {text}}}"] if style == "flow" else [lines[-1] + f" {text}"]
        else:
            lines += [f"          command: {style}", *(f"            {line}" for line in script)]
    return end.join([*lines, "workflows:", "  ci: {jobs: [build]}", "# the end", ""])


def migrated(text: str, rules: SourceFile | None = None) -> Migration:
    return plan([SourceFile(PATH, text)], rules, RULES, lambda _: None, ProjectSlug.parse("gh/acme/shop"))


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, min_size=1, max_size=3), st.sampled_from(["\n", "\r\n"]))
@example([("deploy", "quoted", ["./ship.sh"] * 6 + [f"curl -X POST {V1}/build"] * 2)], "\n")
@example([("deploy", ">", ["./ship.sh", '"', f"curl -X POST {V1}/build", '"'])], "\n")
def test_a_migration_keeps_every_line_that_it_does_not_name(steps: list[tuple[str, str, list[str]]], end: str) -> None:
    text = config(steps, end)
    found = migrated(text)

    for change in found.changes:
        replaced = change.replaced
        kept = [line for number, line in enumerate(text.split("\n"), 1) if number not in replaced]
        rest = iter(change.new.split("\n"))
        assert change.old is None or all(line in rest for line in kept)
    assert len({(f.kind, f.endpoint, f.line, f.column) for f in found.findings}) == len(found.findings)
    if found.changes:
        rules, new = (change.new for change in found.changes)
        assert examine(SourceFile(RULES, rules)).rules is not None
        assert yaml.safe_load(new)["jobs"].keys() == {"build"}
        again = migrated(new, SourceFile(RULES, rules))
        left = [(f.kind, f.endpoint) for f in found.findings if not f.is_written]
        assert sorted((f.kind, f.endpoint) for f in again.findings) == sorted(left)
        assert again.changes == ()


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60) | SCRIPTS.map("\n".join))
@example("if\nthen\nfi")
@example("if [ a ]; then\nfi; ./a.sh")
@example("[[ " + "! " * 2_000 + "$CIRCLE_BRANCH = main ]] && ./a.sh")
@example("case x in\n a) ;;\nesac")
def test_no_script_is_too_strange(text: str) -> None:
    with suppress(Uncertain):
        parse(text)
    migrated(f"jobs:\n  build:\n    steps:\n      - deploy: {yaml.safe_dump(text, default_style=chr(34), width=9999)}")
    migrated(text)
