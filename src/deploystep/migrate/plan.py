"""What a project has that CircleCI takes away, what to write instead, and the changed files.

Only what certainly means what the old lines did is written; everything else is told with what to write by hand.
"""

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from posixpath import normpath
from shlex import quote
from typing import Final, NamedTuple

from deploystep.core.build import ProjectSlug
from deploystep.core.frozen import dataclass, replace
from deploystep.core.source import Diagnostic, Pos, Severity, SourceFile, Span, in_order
from deploystep.core.text import shown, visible
from deploystep.migrate import conditions as bash
from deploystep.migrate import config as files
from deploystep.migrate import rules
from deploystep.migrate.calls import Call, in_text
from deploystep.migrate.conditions import ALWAYS, Condition, Part, Uncertain
from deploystep.migrate.config import Edit, Step, Written
from deploystep.migrate.rules import Finding, Rule, Trigger
from deploystep.migrate.shell import TAG, Unreadable, parse
from deploystep.project.reading import ConfigUnreadable, Map, at, read_yaml
from deploystep.rulefile import yaml_reader
from deploystep.rulefile.load import examine
from deploystep.rulefile.yaml_reader import Report, Stopped

Read = Callable[[str], "str | None"]
Place = Callable[[int], tuple[int, int]]  # line and column of an offset

_RULES: Final = ".circleci/deploy.yml"
#: A path from the root or a folder that is not known: `./t.sh`, `.ci/t.sh`, `$DIR/t.sh`, `$(dirname "$0")/t.sh`.
_SCRIPT: Final = re.compile(r"(?<![\w./~-])(?:\.{1,2}/|~/project/|\$(?:\w+|\{\w+\}|\([^()]*\))\"?/)*(\.?[\w-][\w./-]*)")
_FOLDER: Final = re.compile(r"\b(?:cd|pushd)\s+[\"']?(?:\./|~/project/)?([\w./-]+)")
#: What a tool reads without being told the name.
_TOOLS: Final = {
    r"make": ("Makefile", "makefile", "GNUmakefile"),
    r"just": ("justfile",),
    r"(?:npm|yarn|pnpm|bun)": ("package.json",),
    r"rake": ("Rakefile",),
    r"fastlane": ("fastlane/Fastfile",),
}
_MODULE: Final = re.compile(r"\bpython[\d.]*\s+-m\s+([\w.]+)")
#: Endings of scripts; other files are none, unless they begin with `#!` or a shell is told to read them.
_SHELLS: Final = frozenset({"sh", "bash", "ksh", "zsh"})
_OTHERS: Final = frozenset({
    "py", "js", "mjs", "cjs", "ts", "rb", "php", "pl", "groovy", "ps1", "go", "java", "kt", "cs", "swift",
    "package.json", "Rakefile", "Fastfile",
})  # fmt: skip
_MOST_SCRIPTS: Final = 200
_MOST_DEEP: Final = 2  # scripts that scripts name
_SHELL: Final = "bash -eo pipefail"  # CircleCI docs, "Configuration reference", "Default shell options"
#: A bash that ends at the first failure, also in a pipe, with options under which a test means what it means anyway.
_LIFTS: Final = re.compile(
    r"(?:/usr/bin/env +|(?:/usr)?/bin/)?bash(?=.* -[lxo]*e)(?=.*o pipefail)(?: +(?:--login|-[elxo]+|pipefail))*"
)
_IS_SHELL: Final = re.compile(r"(?:/usr/bin/env +|(?:/usr)?/bin/)?(?:ba)?sh(?: +[\w+-]+)*")
_HALTS: Final = re.compile(r"\bcircleci(?:-agent)?\s+step\s+halt\b")
_BEGINS: Final = re.compile(rf"(?m)^\s*{TAG.pattern}")
#: Values that hold no quotes (CircleCI docs, "Pipeline values and parameters"), with the types of parameters.
_SAFE: Final = re.compile(r"pipeline\.(?:(?:id|number|git\.(?:base_)?revision) .*|parameters\..* (?:boolean|integer))")
_OLD_STEP: Final = "deprecated by CircleCI, which has named no day for its end"
_MARK: Final = "# deploystep: the condition in this script could not be read for certain, so it stays here"


class Problem(NamedTuple):
    """Why a file could not be read or changed: fatal as an error, else it was looked through with tabs as blanks."""

    source: SourceFile
    why: Diagnostic


@dataclass(frozen=True, slots=True)
class Change:
    """A file before (None where it is new) and after, and the lines of before that are replaced."""

    path: str
    old: str | None
    new: str
    replaced: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Migration:
    """All that was found, the changed files, and what could not be read or changed.

    `read` are the paths of what was looked through; `next` is what to do where the changes are written.
    """

    findings: tuple[Finding, ...]
    changes: tuple[Change, ...]
    problems: tuple[Problem, ...] = ()
    read: tuple[str, ...] = ()
    next: tuple[str, ...] = ()


def plan(
    configs: Iterable[SourceFile], rule_file: SourceFile | None, rule_path: str, read: Read, own: ProjectSlug | None
) -> Migration:
    """Look through configs and the scripts that their steps name, and plan the changes.

    `read` gives a file of the repository by its path; `own` is this project, where it is known.
    """
    return _Planner(rule_file, rule_path, read, own).plan(list(configs))


class _Config:
    """A config with its steps and the changes planned for it; where it is not `is_exact`, none can be."""

    def __init__(self, source: SourceFile, root: Map, *, is_exact: bool) -> None:
        self.source = source
        self.root = root
        self.is_exact = is_exact
        self.lines = source.text.split("\n")
        commands = [(step, step.command) for step in files.steps(root)]
        self.steps = [(step, files.written(text, self.lines) if text is not None else None) for step, text in commands]
        self.edits: list[Edit] = []

    def is_open(self, words: str) -> bool:
        """Whether a value that CircleCI fills in may end a quoted text, or stands in no quotes."""
        is_quoted = re.search(r" -c '", words) is not None
        tags = TAG.findall(words if is_quoted else re.sub(r"\"[^\"]*\"|'[^']*'", "", words))
        names = [tag.strip("<> ") for tag in tags]
        types = [str(at(self.root, *name.split(".")[1:], "type")) for name in names]
        return not all(_SAFE.fullmatch(f"{name} {kind}") for name, kind in zip(names, types, strict=True))

    def is_shared(self, command: Written) -> bool:
        """Whether another step has its command there too, through an alias."""
        nodes = [each.node for _, each in self.steps if each is not None]
        return [(node.line, node.column) for node in nodes].count((command.node.line, command.node.column)) > 1


class _Planner:
    def __init__(self, rule_file: SourceFile | None, rule_path: str, read: Read, own: ProjectSlug | None) -> None:
        self.rule_file = rule_file
        self.rule_path = rule_path
        self.option = "" if rule_path.endswith(_RULES) else f" --rules {quote(rule_path)}"
        self.read = read
        self.own = own
        self.names, self.has_deploys = rules.names_in(rule_file)
        self.rules: list[Rule] = []
        self.findings: dict[tuple[str, int, int, str, str], Finding] = {}
        self.problems: list[Problem] = []
        self.scripts: set[str] = set()

    def plan(self, sources: list[SourceFile]) -> Migration:
        configs = [config for source in sources if (config := self._config(source)) is not None]
        found = [
            (config, step, command, in_text(command.text, step.language, step.values, self.read) if command else [])
            for config in configs
            for step, command in config.steps
        ]
        senders = sum(any(call.request.is_doomed for call in each[-1]) for each in found)
        for config, step, command, calls in found:
            # `deploystep run` sends whatever is due: with a second step that sends, it would send that one's deploy too
            is_sole = senders == 1 and not self.has_deploys and config.is_exact
            if command is not None:
                self._step(config, step, command, calls, is_sole=is_sole)
            elif step.key == "deploy":
                self._deploy(config, step, None, calls)
        for _, step, _, _ in found:
            self._named(step)
        changes = [
            Change(c.source.path, c.source.text, files.apply(c.source.text, c.edits), files.replaced_lines(c.edits))
            for c in configs
            if c.edits
        ]
        findings = tuple(self.findings[place] for place in sorted(self.findings))
        text = rules.file_with(self.rule_file, self.rules) if changes else ""
        if changes and not _is_valid(text):
            what, hint = "no valid rule file can be written for it", ""
            if self.rule_file is not None:
                what = "no rules can be added to it as it is"
                hint = "write rules: as a list with an item a line, correct what check reports, or name another --rules"
            source = self.rule_file or next(c.source for c in configs if c.edits)
            self.problems.append(Problem(source, Diagnostic("E001", what, Span(Pos(1, 1)), hint)))
            findings, changes = tuple(replace(finding, is_written=False) for finding in findings), []
        elif text:
            changes.insert(0, Change(self.rule_path, self.rule_file.text if self.rule_file else None, text))
        read = (*(config.source.path for config in configs), *sorted(self.scripts))
        return Migration(findings, tuple(changes), tuple(self.problems), read, rules.after(self.rules))

    def _config(self, source: SourceFile) -> _Config | None:
        """The config. One that YAML cannot read is looked through with its tabs as blanks, and not changed."""
        why: Diagnostic | None = None
        for text in (source.text, source.text.expandtabs(8)):
            try:
                root = read_yaml(text)
            except ConfigUnreadable as error:
                why = why or _complaint(source, error)
                continue
            if why is not None:
                what = f"it will not be changed: {why.message}"
                self.problems.append(Problem(source, replace(why, message=what, severity=Severity.WARNING)))
            is_exact = why is None and len(text.splitlines()) == len(text.removesuffix("\n").split("\n"))
            return _Config(source, root, is_exact=is_exact) if isinstance(root, Map) else None
        if why is not None and source.text.strip():
            self.problems.append(Problem(source, why))
        return None

    def _add(self, finding: Finding) -> None:
        key = (finding.path, finding.line, finding.column, finding.kind, finding.endpoint)
        self.findings.setdefault(key, finding)

    # --- one step

    def _step(self, config: _Config, step: Step, command: Written, calls: list[Call], *, is_sole: bool) -> None:
        parts, is_run = list[Part](), False
        with suppress(Unreadable, Uncertain):
            tokens = frozenset(call.request.token for call in calls)
            parts = bash.divide(parse(command.text), command.text, tokens) if calls else []
            is_run = is_sole and self._send(config, step, command, calls, parts)
        conditions = dict(bash.always_reached(parts))
        if step.key == "deploy" and not is_run:
            self._deploy(config, step, command, calls)
        for call in calls:
            by_hand = "the step does more than send it once, or not all that it sends is certain"
            by_hand = by_hand if is_sole else "another step or rule sends too, or this config cannot be changed"
            by_hand = "" if is_run and call.request.is_doomed else by_hand
            holds = conditions.get(call.offset) if call.is_plain else None
            self._call(call, config.source.path, command.place, by_hand, holds)

    def _deploy(self, config: _Config, step: Step, command: Written | None, calls: list[Call]) -> None:
        gated, beside, is_kept = self._gated(step, command) if command is not None else ([], [], False)
        why = self._unfit(config, step, command, [words for _, _, words in gated])
        why = "a value in it looks like a secret" if any(call.request.secrets for call in calls) else why
        lines = [f"by hand, because {why}:", "- run: deploystep gate RULE -- COMMAND"]
        line, column = step.key.line, step.key.column
        if command is not None and not why:
            new, note = beside, f"{visible(config.source.path)}:{line}: {_title(step)}"
            for condition, above, words in gated:
                name = self._rule(condition, None, note, rules.slug(f"deploy {rules.called(condition)}"))
                new += [*above, f"deploystep gate {name}{self.option} -- {words}"]
            new = "\n".join(new).split("\n")
            config.edits += [Edit((line, column), step.key.end, "run"), *files.rewritten(command, new, config.lines)]
            before = config.lines[line - 1][: column - 1]
            if is_kept and re.fullmatch(r"\s*-\s+", before):
                config.edits.append(files.insert(line, [before[: before.index("-")] + _MARK]))
            lines = [f"- run: {new[0]}"] if len(new) == 1 else ["- run: |", *(f"    {text}" for text in new)]
        if at(config.root, "jobs", step.owner, "parallelism") is not None:
            lines.append("and a context with CIRCLE_TOKEN for the job: gate asks with it for the other nodes")
        place = (config.source.path, line, column)
        self._add(Finding("deploy-step", "", *place, _title(step), _OLD_STEP, tuple(lines), not why))

    def _call(self, call: Call, path: str, place: Place, by_hand: str, holds: Condition | None = None) -> None:
        if call.path not in ("", path):
            path, by_hand = call.path, "it stands in a script"
            place = partial(_place, self.read(path) or "")
        if by_hand and not call.is_sure:
            by_hand += ", and there may be other cases of what it sends"
        self._add(rules.of_call(call.request, (path, *place(call.offset)), self.own, by_hand, holds))

    @staticmethod
    def _unfit(config: _Config, step: Step, command: Written | None, words: list[str]) -> str:
        """Why `deploystep gate` cannot be put before the command of a step; empty where it can."""
        if command is None:
            return "it has no command of its own"
        is_open = any(map(config.is_open, words))
        reasons = (
            (not config.is_exact, "this config cannot be read as it is"),
            (not _IS_SHELL.fullmatch(step.shell or _SHELL), f"its shell is {visible(step.shell)}"),
            (_HALTS.search(command.text), "it halts its job, which must not hang on whether gate carries it out"),
            (_BEGINS.search(command.text), "a parameter in it is a command, whose quotes nobody knows here"),
            (is_open, "nobody knows here which quotes a parameter in it holds"),
            (config.is_shared(command), "another step uses its command too"),
        )
        return next((why for holds, why in reasons if holds), "")

    def _gated(self, step: Step, command: Written) -> tuple[list[tuple[Condition, list[str], str]], list[str], bool]:
        """The conditions, comments and words of each `gate`, the comments beside them, and whether conditions stay."""
        text, shell = command.text.rstrip(), step.shell or _SHELL
        found, comments, is_readable = [Part(ALWAYS, (), 0, len(text))], tuple[tuple[int, int], ...](), False
        with suppress(Unreadable):
            script = parse(text)
            comments, is_readable = script.comments, True
            parts = bash.divide(script, text) if _LIFTS.fullmatch(shell) else found
            made = [Rule(f"r{i}", part.condition, None) for i, part in enumerate(parts)]
            found = parts if _is_valid(rules.file_with(None, made)) else found
        beside = [text[a:b] for a, b in comments if not any(part.start <= a < part.end for part in found)]
        is_kept = not is_readable or any(bash.asks(part.text(text)) for part in found)
        return [(part.condition, *_executed(part.text(text), shell)) for part in found], beside, is_kept

    def _send(self, config: _Config, step: Step, command: Written, calls: list[Call], parts: list[Part]) -> bool:
        """Plan `deploystep run` in the place of a step that does nothing but send triggers; whether it can be.

        Raises Uncertain where a rule cannot send them.
        """
        tokens = {call.request.token for call in calls}
        sent = {call.offset: call.request for call in calls if call.is_plain and call.request.is_doomed}
        conditions = dict(bash.always_reached(parts))
        if not len(calls) == len(sent) > 0 or len(tokens) != 1 or not sent.keys() <= conditions.keys():
            return False
        if not bash.does_only(parts, sent):
            return False
        found = [
            (rules.builds_for(request, self.own, conditions[offset]), rules.trigger_for(request, self.own))
            for offset, request in sent.items()
        ]
        planned = [(holds, trigger) for holds, trigger in found if not holds.is_never]
        own = [trigger for _, trigger in planned if trigger.target is None]
        flags = {name: trigger.workflow for trigger in own for name in trigger.parameters}
        if len(flags) < len({trigger.workflow for trigger in own}):
            return False  # one parameter for two jobs
        new = files.gated_workflows(flags, config.root, config.lines) if flags else []
        # a parameter that not every build has is not valid, for example
        if not _is_valid(rules.file_with(None, [Rule(f"r{i}", *each) for i, each in enumerate(planned)])):
            return False
        for holds, trigger in planned:
            name = rules.slug(trigger.workflow or (trigger.target.name if trigger.target else ""))
            self._rule(holds, trigger, f"{visible(config.source.path)}:{step.key.line}: call of API v1.1", name)
        config.edits += [Edit((step.key.line, step.key.column), step.key.end, "run")] if step.key == "deploy" else []
        lines = [*(command.text[a:b] for a, b in parse(command.text).comments), rules.run(tokens.pop(), self.option)]
        config.edits += [*files.rewritten(command, lines, config.lines), *new]
        return True

    def _rule(self, holds: Condition, sent: Trigger | None, note: str, base: str) -> str:
        """The name of a rule that says so: one that there is, or a new one."""
        for i, known in enumerate(self.rules):
            if (known.when, known.trigger) == (holds, sent):
                self.rules[i] = known._replace(notes=(*known.notes, note))
                return known.name
        taken = self.names | {rule.name for rule in self.rules}
        name = next(n for n in (base, *(f"{base[:60]}-{i}" for i in range(2, 999))) if n not in taken)
        self.rules.append(Rule(name, holds, sent, (note,)))
        return name

    # --- scripts

    def _named(self, step: Step) -> None:
        """Look for calls in the scripts that a step names, and in those that they name."""
        start = re.sub(r"^(?:\./|~/project/?)+|/$", "", str(at(step.value, "working_directory") or ""))
        waiting = [(str(step.command or ""), start, 0)]
        while waiting:
            text, folder, depth = waiting.pop()
            folders = dict.fromkeys(["", folder, *(each.rstrip("/") for each in _FOLDER.findall(text))])
            used = [names for tool, names in _TOOLS.items() if re.search(rf"(?<![\w.-]){tool}(?![\w./-])", text)]
            modules = [f"{name.replace('.', '/')}.py" for name in _MODULE.findall(text)]
            names = dict.fromkeys([*_SCRIPT.findall(text), *modules, *(name for names in used for name in names)])
            for path in dict.fromkeys(normpath(f"{each}/{name}").lstrip("/") for name in names for each in folders):
                is_known = path in self.scripts or len(self.scripts) >= _MOST_SCRIPTS
                script = None if is_known else self.read(path)
                if script is not None:
                    self.scripts.add(path)
                    self._script(path, script, text, step.values)
                    waiting += [(script, path.rpartition("/")[0], depth + 1)] if depth < _MOST_DEEP else []

    def _script(self, path: str, text: str, named_in: str, values: Mapping[str, str]) -> None:
        name, first = path.rpartition("/")[2], text.partition("\n")[0]
        end = name.rpartition(".")[2]
        is_told = re.search(rf"sh\s+(?:-\w+\s+)*[\"']?(?:\./)*{re.escape(path)}(?![\w/.-])", named_in) is not None
        is_shell = re.search(r"sh\b", first) is not None if first.startswith("#!") else end in _SHELLS or is_told
        if name in (*_TOOLS["make"], *_TOOLS["just"]):  # as shell: its variables set, its recipes without their marks
            text = re.sub(r"(?m)^(\w+)[ \t]*[:?]?=[ \t]*([^\s\"'\\][^\n\"\\]*)$", r'\1="\2"', text)
            text = re.sub(r"\$\((\w+)\)", r"${\1}", re.sub(r"(?m)^\t[@+-]+", "\t", text)).replace("$$", "$")
            is_shell = True
        if is_shell or first.startswith("#!") or {end, name} & _OTHERS:
            for call in in_text(text, "shell" if is_shell else "", values, self.read, path):
                self._call(call, path, partial(_place, text), "it stands in a script")


def _place(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _complaint(source: SourceFile, error: ConfigUnreadable) -> Diagnostic:
    """Why YAML cannot read a config, in the words for rule files where their reader finds a fault too."""
    stripped = SourceFile(source.path, "\n".join(line.rstrip() for line in source.text.split("\n")))
    report = Report()
    with suppress(Stopped):
        yaml_reader.read(stripped, report, "version: 2.1", most=sys.maxsize)
        report = Report()  # what it read to the end is not what is wrong
    found = in_order(report.diagnostics)
    return found[0] if found else Diagnostic("E001", error.why, Span(Pos(error.line, error.column)))


def _title(step: Step) -> str:
    name = f" {shown(step.name)}" if step.name else ""
    return f"deploy step{name}{f' of {visible(step.owner)}' if step.owner else ''}"


def _is_valid(rule_file: str | None) -> bool:
    return rule_file is not None and not any(d.is_error for d in examine(SourceFile("", rule_file)).diagnostics)


def _executed(body: str, shell: str) -> tuple[list[str], str]:
    """The words with which `gate` carries out a text: one command, with its comments before it, or by its shell."""
    stripped = body.strip()
    with suppress(Unreadable):
        script = parse(stripped)
        code = re.sub(r"(?<!\\);\Z", "", script.code(stripped).strip()).rstrip()
        if bash.is_command(parse(code), code):
            return [stripped[start:end] for start, end in script.comments], code
    quoted = (body if "\n" in stripped else stripped).replace("'", "'\\''")
    return [], f"{shell} -c '\n{quoted}\n'" if "\n" in quoted else f"{shell} -c '{quoted}'"
