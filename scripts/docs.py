"""Keeps the generated parts of the pages, and the JSON Schema, equal to what the product says.

`docs.py [--write] [FILE...]` compares them, or writes them. A generated part is between `<!-- generated: NAME -->` and
`<!-- end -->`. Every `console` block is executed in a clone made for its page, where the rule file is the last `yaml`
block above it that begins with `version: 1`. A `yaml config` block is the clone's only config, without a rule file.
Ports, times and ids are replaced by fixed ones.
"""

import difflib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from deploystep.app.options import COMMANDS, OPTIONS, Option
from deploystep.core.codes import CODES
from deploystep.core.errors import ExitCode
from deploystep.core.parameters import DERIVED, PUBLIC_VARIABLES
from deploystep.rulefile import fields, schema
from deploystep.rulefile.field_types import Field, Table
from deploystep.sandbox import FAULTS

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
SCHEMA = ROOT / "schema/deploystep.schema.json"
GENERATED = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
BLOCK = re.compile(r"^```(yaml[^\n]*|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TIMES = (
    (re.compile(r"(?<= · )\d{4}-\d\d-\d\d \d\d:\d\d(?= )"), "2026-06-16 10:02"),
    (re.compile(r"(?<=\"now\": \")[^\"]+"), "2026-06-16T10:02:11+00:00"),
)
FIXED = (
    (re.compile(r"Python \d+\.\d+\.\S+(?=,)"), "Python 3.12.3"),
    (re.compile(r"(?<= git )\d+\.[\w.]+"), "2.43.0"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:40215"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "5034460f-c7c4-4c43-9457-de07e2029e7b"),
)
ANNA = {
    **{f"GIT_{who}_NAME": "Anna" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "anna@acme.dev" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_DATE": "2026-06-16T10:00:00+0000" for who in ("AUTHOR", "COMMITTER")},
}
PLAIN = {
    "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
    "LC_ALL": "C",
    "PYTHONUTF8": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def main(arguments: list[str]) -> int:
    """Compare the pages, or write them. Returns 1 if a page is not current."""
    is_writing = "--write" in arguments
    named = [Path(a).resolve() for a in arguments if a != "--write"]
    stale = [page for page in named or (*PAGES, SCHEMA) if not is_current(page, is_writing=is_writing)]
    for page in stale:
        sys.stdout.write(f"{page.relative_to(ROOT)}: {'written' if is_writing else 'not current: run  make docs'}\n")
    return 1 if stale and not is_writing else 0


def is_current(page: Path, *, is_writing: bool) -> bool:
    """Whether the page is current; if not, write it or show the difference."""
    old = page.read_text(encoding="utf-8")
    new = f"{schema.text()}\n" if page == SCHEMA else executed(filled(old))
    if new == old:
        return True
    if is_writing:
        page.write_text(new, encoding="utf-8")
    else:
        sys.stdout.writelines(difflib.unified_diff(old.splitlines(True), new.splitlines(True), "page", "now"))  # noqa: FBT003
    return False


# --- tables


def filled(page: str) -> str:
    """The page with every generated part as it is now."""
    return GENERATED.sub(lambda found: f"{found[1]}\n{normal(PARTS[found[2]]())}\n\n{found[3]}", page)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    names = list(head)
    lines = [names, ["---"] * len(names), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def options(command: str) -> Callable[[], str]:
    """The options of one command."""

    def row(option: Option) -> tuple[str, str, str]:
        value = f" {'|'.join(option.choices) if option.choices else option.metavar}" if option.metavar else ""
        value = value if option.flag.startswith("-") or option.choices else ""
        return f"`{option.flag}{value}`", f"`{option.variable}`" if option.has_variable else "", option.help

    return lambda: table(("Option", "Variable", "Meaning"), (row(o) for o in OPTIONS if command in o.commands))


def keys(known: Table) -> Callable[[], str]:
    """The keys of one map of the rule language."""

    def about(field: Field) -> tuple[str, str, str]:
        mark = " (required)" if field.key in known.required else ""
        return f"`{field.key}`", field.description + mark, f"`{field.example}`"

    return lambda: table(("Key", "Meaning", "Example"), map(about, known.fields))


def exits() -> str:
    """The exit codes."""
    return table(("Code", "Name", "Meaning"), ((str(int(c)), c.label, c.meaning) for c in ExitCode))


def values() -> str:
    """The variables that a parameter can use."""
    public = ", ".join(f"`{name}`" for name in sorted(PUBLIC_VARIABLES))
    derived = ", ".join(f"`${{{name}}}`" for name in DERIVED)
    return f"Variables of the build: {public}.\n\nMade from them: {derived}."


def outcomes() -> str:
    """What each fault leads to: one step meets it in the simulation of the tests."""
    sys.path.append(str(ROOT / "tests"))
    from fault_table import rows  # noqa: PLC0415 - found only now

    head = ("Met by", "Fault", "Exit", "Outcome", "Triggers sent", "Runs created", "of which deploy")
    return table(
        head,
        (
            (row.place, f"`{row.fault}`{row.often}", row.exit, row.outcome, str(row.sent), str(row.runs), str(row.live))
            for row in rows()
        ),
    )


def paths_compared() -> str:
    """Which changes the path-filtering orb and a rule see in some histories."""
    from path_filtering import rows  # noqa: PLC0415 - builds repositories with what the tests have

    return table(
        ("What was pushed", "path-filtering sets", "a rule with this `since`", "a rule with `since: {ref: deployed}`"),
        rows(),
    )


def peers() -> str:
    """How curl and pycircleci are used for the comparison."""
    from compare import CLIENT, CURL  # noqa: PLC0415 - finds the tests' modules

    return f"```bash\n{CURL}```\n\n```python\n{CLIENT}```"


def codes(letter: str) -> Callable[[], str]:
    """The codes that begin with a letter."""

    def row(code: str) -> tuple[str, ...]:
        return f"`{code}`", *(part.replace("*", "\\*").replace("<", "&lt;") for part in CODES[code])

    return lambda: table(("Code", "Meaning", "Cause", "Cure"), (row(code) for code in CODES if code[0] == letter))


def excuses() -> str:
    """The exact conditions under which a law of the simulation cannot hold."""
    sys.path.append(str(ROOT / "tests"))
    from simulation.invariants import listed  # noqa: PLC0415 - found only now

    return "\n".join(listed())


def demo() -> str:
    """What `make demo` prints on both streams. It must end well."""
    ran = subprocess.run(  # noqa: S603
        [sys.executable, ROOT / "scripts/demo.py"],
        env=PLAIN,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=True,
    )
    return f"```text\n$ make demo\n{ran.stdout.strip()}\n```"


PARTS: Mapping[str, Callable[[], str]] = {
    **{f"codes-{letter.lower()}": codes(letter) for letter in "PEWUC"},
    "demo": demo,
    "commands": lambda: table(("Command", "Does"), ((f"`deploystep {c}`", does) for c, does in COMMANDS.items())),
    **{f"options-{command}": options(command) for command in COMMANDS},
    "keys-file": keys(fields.FILE),
    "keys-rule": keys(fields.RULE),
    "keys-matchers": keys(fields.MATCHERS),
    "keys-paths": keys(fields.PATH_KEYS),
    "keys-deploy": keys(fields.DEPLOY_KEYS),
    "keys-target": keys(fields.TARGET),
    "keys-never": keys(fields.GUARD),
    "keys-freeze": keys(fields.FREEZE),
    "keys-case": keys(fields.CASE),
    "keys-expect": keys(fields.EXPECT_KEYS),
    "keys-facts": keys(fields.FACTS),
    "exits": exits,
    **{f"exit-{code.label}": f"**{code.label}**: {code.meaning}.".__str__ for code in ExitCode},
    "values": values,
    "excuses": excuses,
    "faults-outcomes": outcomes,
    "peers": peers,
    "paths-compared": paths_compared,
    "faults": lambda: table(("Fault", "What happens"), ((f"`{k.form}`", k.meaning) for k in FAULTS.values())),
}


# --- commands


def executed(page: str) -> str:
    """The page with every command's output as it is now."""
    if "```console" not in page:
        return page
    with tempfile.TemporaryDirectory() as folder:
        clone = prepared(Path(folder) / "shop")

        def again(block: re.Match[str]) -> str:
            if block[1] == "console":
                return f"```console\n{console(block[2], clone)}```"
            if block[1] == "yaml config":
                (clone / ".circleci/config.yml").write_text(block[2], encoding="utf-8")
                (clone / ".circleci/deploy.yml").unlink(missing_ok=True)
                commit(clone)
            if block[2].startswith("version: 1\n"):
                (clone / ".circleci/deploy.yml").write_text(block[2], encoding="utf-8")
            return block[0]

        return BLOCK.sub(again, page)


def prepared(clone: Path) -> Path:
    """A clone of gh/acme/shop: one commit on main, with the smallest rule file, always of the same revision."""
    rules = (ROOT / "examples/minimal/.circleci/deploy.yml").read_text(encoding="utf-8")
    (clone / ".circleci").mkdir(parents=True)
    (clone / ".circleci/deploy.yml").write_text(rules, encoding="utf-8")
    for command in (
        ("init", "--quiet", "--initial-branch=main"),
        ("remote", "add", "origin", "git@github.com:acme/shop.git"),
        ("add", "."),
        ("commit", "--quiet", "--message", "Add the shop"),
        ("update-ref", "refs/remotes/origin/main", "HEAD"),
        ("tag", "v1.4.0"),
    ):
        subprocess.run(["git", *command], cwd=clone, env=PLAIN | ANNA, check=True)  # noqa: S603
    return clone


def commit(clone: Path) -> None:
    """Commit whatever is there."""
    for command in (("add", "--all"), ("commit", "--quiet", "--message", "Change the shop")):
        subprocess.run(["git", *command], cwd=clone, env=PLAIN | ANNA, check=True)  # noqa: S603


def console(block: str, clone: Path) -> str:
    """Every command of a block with its output on both streams."""
    commands = [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
    return "\n".join(f"$ {command}\n{printed(command, clone)}" for command in commands)


def printed(command: str, clone: Path) -> str:
    """The output of a command; parts that differ from run to run are replaced by fixed ones."""
    ran = subprocess.run(  # noqa: S603
        ["/bin/sh", "-c", command],
        cwd=clone,
        env=PLAIN,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    states_the_time = "now:" in command or "--now" in command
    return normal(ran.stdout, FIXED if states_the_time else (*TIMES, *FIXED))


def normal(text: str, replaced: Iterable[tuple[re.Pattern[str], str]] = (*TIMES, *FIXED)) -> str:
    """Output with fixed ports, times and ids."""
    for pattern, fixed in replaced:
        text = pattern.sub(fixed, text)
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
