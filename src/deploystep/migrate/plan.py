"""What a project has that CircleCI takes away, what to write instead, and the changed files.

Only what certainly means what the old lines did is written; everything else is told with what to write by hand.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from difflib import SequenceMatcher
from posixpath import normpath
from shlex import quote
from typing import Final, NamedTuple

from deploystep.core.build import ProjectSlug
from deploystep.core.frozen import Frozen, replace
from deploystep.core.source import Diagnostic, Pos, Severity, SourceFile, Span, shown, visible
from deploystep.migrate import config as files
from deploystep.migrate import rules
from deploystep.migrate.calls import Call, in_text
from deploystep.migrate.conditions import ALWAYS, Condition, Part, divide, is_quiet
from deploystep.migrate.config import Edit, Step, Written
from deploystep.migrate.rules import Finding, Rule, Trigger
from deploystep.migrate.shell import TAG, Uncertain, parse
from deploystep.project.config import Read
from deploystep.project.reading import ConfigUnreadable, Map, Text, at, items_of, map_of, read_yaml
from deploystep.rulefile.load import examine

#: A path from the root or a folder that is not known: `./t.sh`, `.ci/t.sh`, `$DIR/t.sh`, `$(dirname "$0")/t.sh`.
_SCRIPT: Final = re.compile(
    r"(?<![\w./~-])(?:\.{1,2}/|~/project/|\$(?:\w+|\{[^{}]*\}|\([^()]*\))\"?/)*(\.?[\w-][\w./-]*)"
)
_FOLDER: Final = re.compile(r"\b(?:cd|pushd)\s+[\"']?(?:\./|~/project/)?([\w./-]+)")
#: What a tool reads without being told the name.
_TOOLS: Final = {"make": "Makefile", "npm": "package.json", "yarn": "package.json", "pnpm": "package.json"}
#: Names of scripts; other files are none, unless they begin with `#!`.
_SHELLS: Final = re.compile(r".*\.(?:sh|bash|ksh|zsh)")
_OTHERS: Final = re.compile(
    r".*\.(?:py|[mc]?js|ts|rb|php|pl|groovy|ps1|go|java|kt|cs|swift)|(?:.*/)?(?:package\.json|Makefile)"
)
_MOST_SCRIPTS: Final = 200
_SHELL: Final = "bash -eo pipefail"  # CircleCI docs, "Configuration reference", "Default shell options"
_IS_BASH: Final = re.compile(r"|(?:/usr/bin/env +|(?:/usr)?/bin/)?bash(?: --login)? -eo pipefail")
_DECIDES: Final = re.compile(r"(?m)(?:^|[;&|!{(']|\b(?:then|else|do)\b)\s*(?:if|case|while|until|\[\[?|test)\s")
#: What only a shell can do, or only one that a profile has prepared.
_BUILT_IN: Final = re.compile(
    r"export|set|shopt|declare|readonly|unset|\.|source|cd|eval|exec|exit|test|pushd|popd|read|shift|trap|ulimit|umask"
    r"|let|u?n?alias|wait|type|command|builtin|time|nvm|rvm|sdk|conda"
)
_WORD: Final = r"[\w./:=@,+%~-]|\$\w+\b|\$\{\w+\}"
_HALTS: Final = re.compile(r"\bcircleci(?:-agent)?\s+step\s+halt\b")
_OLD_STEP: Final = "deprecated by CircleCI, which has named no day for its end"
_MARK: Final = "# deploystep: the condition in this script could not be read for certain, so it stays here"


class Problem(NamedTuple):
    """Why a file could not be read or changed: fatal as an error, else it was looked through with tabs as blanks."""

    source: SourceFile
    why: Diagnostic


class Change(NamedTuple):
    """A file before (None where it is new) and after."""

    path: str
    old: str | None
    new: str

    @property
    def replaced(self) -> frozenset[int]:
        """The lines of before that are changed or taken away, from 1."""
        old = [] if self.old is None else self.old.split("\n")
        codes = SequenceMatcher(None, old, self.new.split("\n"), autojunk=False).get_opcodes()
        return frozenset(line for kind, a, b, _, _ in codes if kind != "equal" for line in range(a + 1, b + 1))


class Migration(Frozen):
    """What was found, the changed files, what could not be read or changed, what was looked through, what is next."""

    findings: tuple[Finding, ...]
    changes: tuple[Change, ...]
    problems: tuple[Problem, ...] = ()
    read: tuple[str, ...] = ()
    next: tuple[str, ...] = ()


class _Config:
    """A config with its steps and the changes planned for it; where it is not `is_exact`, none can be."""

    def __init__(self, source: SourceFile, root: Map, *, is_exact: bool = True) -> None:
        self.source, self.root, self.lines = source, root, source.text.split("\n")
        self.is_exact = is_exact and len(self.lines) - (not self.lines[-1]) == len(source.text.splitlines())
        self.values = files.values(root)
        self.edits: list[Edit] = []
        self.steps: list[tuple[Step, Written | None, list[Call]]] = []
        for step in files.steps(root):
            command = files.written(step.command, self.lines) if step.command is not None else None
            is_shell = not step.shell or re.search(r"\b(?:ba|z|da|a|k)?sh\b", step.shell) is not None
            calls = in_text(command.text, self.values, is_shell=is_shell) if command else []
            self.steps.append((step, command, calls))


def plan(
    configs: Iterable[SourceFile], rule_file: SourceFile | None, rule_path: str, read: Read, own: ProjectSlug | None
) -> Migration:
    """Plan the changes of configs. `read` gives a script that they name by its path; `own` is this project, or None."""
    planner = _Planner(rule_file, rule_path, read, own)
    found = [config for source in configs if (config := planner.config(source)) is not None]
    # `deploystep run` sends whatever is due: with a second step that sends, it would send that one's deploy too
    senders = [calls for config in found for _, _, calls in config.steps if any(c.request.is_doomed for c in calls)]
    is_sole = len(senders) == 1 and not planner.sends
    for config in found:
        for step, command, calls in config.steps:
            can_send = is_sole and config.is_exact and command is not None and command.can_change
            planner.step(config, step, command, calls, can_send=can_send)
            planner.scripts_of(config, step)
    changes = [Change(c.source.path, c.source.text, files.apply(c.source.text, c.edits)) for c in found if c.edits]
    unique = {(f.path, f.line, f.column, f.kind, f.endpoint): f for f in reversed(planner.findings)}
    findings = tuple(unique[place] for place in sorted(unique))
    text = rules.file_with(rule_file, planner.root, planner.rules) if changes else ""
    if changes and not _is_valid(text):
        hint = "write rules: as a list with an item a line, correct what check reports, or name another --rules"
        why = Diagnostic("E001", "no rules can be added to it as it is", Span(Pos(1, 1)), hint)
        planner.problems.append(Problem(rule_file or found[0].source, why))
        findings, changes = tuple(replace(finding, is_written=False) for finding in findings), []
    elif text:
        changes.insert(0, Change(rule_path, rule_file.text if rule_file else None, text))
    sent = next((rule.trigger for rule in planner.rules if rule.trigger), None)
    looked = (*(config.source.path for config in found), *sorted(planner.scripts))
    return Migration(findings, tuple(changes), tuple(planner.problems), looked, rules.after(sent))


class _Planner:
    def __init__(self, rule_file: SourceFile | None, rule_path: str, read: Read, own: ProjectSlug | None) -> None:
        self.option = "" if rule_path.endswith(".circleci/deploy.yml") else f" --rules {quote(rule_path)}"
        self.read, self.own = read, own
        self.root = Map()
        with suppress(ConfigUnreadable):  # else nothing can be added to it
            self.root = map_of(read_yaml(rule_file.text)) if rule_file else Map()
        listed = items_of(at(self.root, "rules"))
        self.names = {*(str(at(rule, "name")) for rule in listed), *map(str, map_of(at(self.root, "targets")))}
        self.sends = any(at(rule, "deploy") is not None for rule in listed)
        self.rules: list[Rule] = []
        self.findings: list[Finding] = []
        self.problems: list[Problem] = []
        self.scripts: set[str] = set()

    def config(self, source: SourceFile) -> _Config | None:
        """The config. One that YAML cannot read is looked through with its tabs as blanks, and not changed."""
        try:
            root = read_yaml(source.text)
            return _Config(source, root) if isinstance(root, Map) else None
        except ConfigUnreadable as error:
            why = Diagnostic("E001", error.why, Span(Pos(error.line, error.column)))
        with suppress(ConfigUnreadable):
            root = map_of(read_yaml(source.text.expandtabs(8)))
            what = f"it will not be changed: {why.message}"
            self.problems.append(Problem(source, replace(why, message=what, severity=Severity.WARNING)))
            return _Config(source, root, is_exact=False)
        self.problems += [Problem(source, why)] if source.text.strip() else []
        return None

    def step(self, config: _Config, step: Step, command: Written | None, calls: list[Call], *, can_send: bool) -> None:
        """Tell of a step and of the calls in it, and plan its change."""
        sent: Condition | None = None
        if command is not None and can_send and len(calls) == 1:
            with suppress(Uncertain):
                sent = self._send(config, step, command, calls[0])
        if step.key == "deploy" and sent is None:
            self._deploy(config, step, command, calls)
        for call in calls:
            by_hand = "the step does more than send it once, or not all that it sends is certain"
            by_hand = by_hand if can_send else "another step or rule sends too, or this config cannot be changed"
            by_hand = "a value in it looks like a secret" if call.request.has_secret else by_hand if not sent else ""
            place = (config.source.path, *(command.place(call.offset) if command else (0, 0)))
            self.findings.append(rules.of_call(call.request, place, self.own, by_hand, sent))

    def _deploy(self, config: _Config, step: Step, command: Written | None, calls: list[Call]) -> None:
        why = self._unfit(config, step, command, calls)
        lines = [f"by hand, because {why}:", "- run: deploystep gate RULE -- COMMAND"]
        (line, column), name = (step.key.line, step.key.column), at(step.value, "name")
        title = f"deploy step{f' {shown(name)}' if isinstance(name, Text) and name else ''}"
        title += f" of {visible(step.owner)}" if step.owner else ""
        if command is not None and not why:
            parts, new = self._gated(command.text.rstrip(), step.shell or _SHELL)
            for condition, words in parts:
                base = " ".join(condition.branch) or "tag"
                rule = self._rule(condition, None, f"{visible(config.source.path)}:{line}: {title}", f"deploy {base}")
                new += f"deploystep gate {rule}{self.option} -- {words}".split("\n")
            config.edits += [Edit((line, column), step.key.end, "run"), files.rewritten(command, new)]
            before = config.lines[line - 1][: column - 1]
            if any(_DECIDES.search(words) for _, words in parts) and re.fullmatch(r"\s*-\s+", before):
                config.edits.append(files.insert(line, [before[: before.index("-")] + _MARK]))
            lines = [f"- run: {new[0]}"] if len(new) == 1 else ["- run: |", *(f"    {text}" for text in new)]
        place = (config.source.path, line, column)
        self.findings.append(Finding("deploy-step", "", *place, title, _OLD_STEP, tuple(lines), not why))

    @staticmethod
    def _unfit(config: _Config, step: Step, command: Written | None, calls: list[Call]) -> str:
        """Why `deploystep gate` cannot be put before the command of a step; empty where it can."""
        if command is None:
            return "it has no command of its own"
        starts = [each.start for _, each, _ in config.steps if each is not None]
        reasons = (
            (not config.is_exact, "this config cannot be read as it is"),
            (not command.can_change, "its command stands neither in a block | nor on one line, or has an anchor"),
            (not _IS_BASH.fullmatch(step.shell), f"its shell is {visible(step.shell)}"),
            (_HALTS.search(command.text), "it halts its job, which must not hang on whether gate carries it out"),
            (TAG.search(command.text), "CircleCI fills in a value in it, which may hold quotes"),
            (starts.count(command.start) > 1, "another step uses its command too"),
            (any(call.request.has_secret for call in calls), "a value in it looks like a secret"),
        )
        return next((why for holds, why in reasons if holds), "")

    @staticmethod
    def _gated(text: str, shell: str) -> tuple[list[tuple[Condition, str]], list[str]]:
        """The conditions and words of each `gate`, and the comments beside them."""
        found, beside = [Part(ALWAYS, (), 0, len(text))], list[str]()
        with suppress(Uncertain):
            body, comments = parse(text)
            parts = divide(body, text)
            made = [Rule(f"r{i}", part.condition) for i, part in enumerate(parts)]
            found = parts if _is_valid(rules.file_with(None, Map(), made)) else found
            beside = [text[a:b] for a, b in comments if not any(part.start <= a < part.end for part in found)]
        return [(part.condition, _executed(part.text(text), shell)) for part in found], beside

    def _send(self, config: _Config, step: Step, command: Written, call: Call) -> Condition | None:
        """Plan `deploystep run` in place of a step that only sends a trigger; for which builds. Raises Uncertain."""
        body, comments = parse(command.text)
        part, *others = divide(body, command.text, frozenset({call.request.token}))
        lasts = [item for item in part.items if not is_quiet(item) or item.first == "exit"]
        is_alone = lasts[0].start == call.offset and (lasts[0] is part.items[0] or lasts[0].operator == ";")
        is_alone &= call.is_plain and call.request.is_doomed
        if lasts[1:] or others or lasts[0].has_more or lasts[0].is_negated or lasts[0].redirections or not is_alone:
            return None
        sent = rules.trigger_for(call.request, self.own)
        holds = rules.builds_for(call.request, sent, part.condition)
        flag = rules.slug(sent.workflow)
        edits = [] if sent.to else files.gated_workflow(flag, sent.workflow, config.root, config.lines)
        # a parameter that not every build has is not valid, for example
        if not _is_valid(rules.file_with(None, Map(), [Rule("r", holds, sent)])):
            return None
        note = f"{visible(config.source.path)}:{step.key.line}: call of API v1.1"
        self._rule(holds, sent, note, sent.workflow or sent.to)
        lines = [command.text[a:b] for a, b in comments] + [rules.run(call.request.token, self.option)]
        config.edits += [files.rewritten(command, lines), *edits]
        config.edits += [Edit((step.key.line, step.key.column), step.key.end, "run")] if step.key == "deploy" else []
        return holds

    def _rule(self, holds: Condition, sent: Trigger | None, note: str, base: str) -> str:
        """The name of a rule that says so: one that there is, or a new one."""
        for i, known in enumerate(self.rules):
            if (known.when, known.trigger) == (holds, sent):
                self.rules[i] = known._replace(notes=(*known.notes, note))
                return known.name
        taken, base = self.names | {rule.name for rule in self.rules}, rules.slug(base)
        name = next(n for n in (base, *(f"{base[:60]}-{i}" for i in range(2, 999))) if n not in taken)
        self.rules.append(Rule(name, holds, sent, (note,)))
        return name

    def scripts_of(self, config: _Config, step: Step) -> None:
        """Look for calls in the scripts that a step names, and in those that they name."""
        start = re.sub(r"^(?:\./|~/project/?)+|/$", "", str(at(step.value, "working_directory") or ""))
        waiting = [(str(step.command or ""), start)]
        while waiting:
            text, folder = waiting.pop()
            folders = ["", folder, *(each.rstrip("/") for each in _FOLDER.findall(text))]
            tools = [_TOOLS[name] for name in re.findall(rf"(?<![\w.-])({'|'.join(_TOOLS)})(?![\w./-])", text)]
            names = dict.fromkeys([*_SCRIPT.findall(text), *tools])
            paths = {normpath(f"{each}/{name}").lstrip("/"): name for name in names for each in folders}
            for path, name in paths.items():
                is_known = path in self.scripts or len(self.scripts) >= _MOST_SCRIPTS
                script = None if is_known else self.read(path)
                if script is not None:
                    self.scripts.add(path)
                    by_shell = re.search(rf"\b(?:ba|z|da|k)?sh (?:-\S+ )*\S*{re.escape(name)}(?!\S)", text)
                    if self._is_script(config, path, script, is_shell=by_shell is not None):
                        waiting.append((script, path.rpartition("/")[0]))

    def _is_script(self, config: _Config, path: str, text: str, *, is_shell: bool) -> bool:
        """Whether a file is a script; then tell of the calls in it."""
        first = text.partition("\n")[0]
        is_shell |= bool(re.search(r"sh\b", first) if first.startswith("#!") else _SHELLS.fullmatch(path))
        if not (is_shell or first.startswith("#!") or _OTHERS.fullmatch(path)):
            return False
        for call in in_text(text, config.values, is_shell=is_shell):
            place = (path, text.count("\n", 0, call.offset) + 1, call.offset - text.rfind("\n", 0, call.offset))
            self.findings.append(rules.of_call(call.request, place, self.own, "it stands in a script", None))
        return True


def _is_valid(rule_file: str | None) -> bool:
    return rule_file is not None and not any(d.is_error for d in examine(SourceFile("", rule_file)).diagnostics)


def _executed(body: str, shell: str) -> str:
    """The words with which `gate` carries out a text: one command that needs no shell of its own, or by its shell."""
    stripped = re.sub(r"\s*(?<!\\);\Z", "", body.strip())
    found = re.fullmatch(rf"((?:~/)?[\w./+@-]+)(?: +(?:{_WORD}|\"(?:{_WORD}|[ '*?#()<>|&;!])*\")+)*", stripped)
    if found and not _BUILT_IN.fullmatch(found[1]):
        return stripped
    quoted = (body if "\n" in stripped else stripped).replace("'", "'\\''")
    return f"{shell} -c '\n{quoted}\n'" if "\n" in quoted else f"{shell} -c '{quoted}'"
