"""What a project has that CircleCI takes away, what to write instead, and the changed files.

Only what certainly means what the old lines did is written; everything else is told with what to write by hand.
"""

import json
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from posixpath import normpath
from shlex import quote
from typing import Final, NamedTuple

from deploystep.core.build import ProjectSlug
from deploystep.core.frozen import dataclass, replace
from deploystep.core.source import Diagnostic, Pos, Severity, SourceFile, Span
from deploystep.core.text import shown, visible
from deploystep.migrate import advice, edits, gating, rules, scripts
from deploystep.migrate.advice import Finding
from deploystep.migrate.calls import Call, in_text
from deploystep.migrate.certain import examine as examine_script
from deploystep.migrate.conditions import ALWAYS, Condition, Holds, Uncertain, When, when
from deploystep.migrate.edits import Edit
from deploystep.migrate.rules import Rule, Trigger
from deploystep.migrate.shell import TAG, Group, Node, Script, Simple, Unreadable, nodes, parse
from deploystep.migrate.steps import Step, Written, steps, written
from deploystep.project.reading import ConfigUnreadable, Map, Text, at, read_yaml, texts_of, under
from deploystep.rulefile import yaml_reader
from deploystep.rulefile.load import examine
from deploystep.rulefile.yaml_nodes import Report, Stopped

Read = Callable[[str], "str | None"]
Place = Callable[[int], tuple[int, int]]  # line and column of an offset

_RULES: Final = ".circleci/deploy.yml"
#: A path from the root or a folder that is not known: `./t.sh`, `.ci/t.sh`, `$DIR/t.sh`, `$(dirname "$0")/t.sh`.
_SCRIPT: Final = re.compile(r"(?<![\w./~-])(?:\.{1,2}/|~/project/|\$(?:\w+|\{\w+\}|\([^()]*\))\"?/)*(\.?[\w-][\w./-]*)")
_FOLDER: Final = re.compile(r"\b(?:cd|pushd)\s+[\"']?(?:\./|~/project/)?([\w./-]+)")
#: What a tool reads without being told the name.
_TOOLS: Final = {
    r"make": ("Makefile", "makefile", "GNUmakefile"),
    r"(?:npm|yarn|pnpm|bun)": ("package.json",),
    r"rake": ("Rakefile",),
    r"fastlane": ("fastlane/Fastfile",),
    r"just": ("justfile",),
    r"task": ("Taskfile.yml",),
    r"gradlew?": ("build.gradle", "build.gradle.kts"),
    r"(?:inv|invoke)": ("tasks.py",),
}
_IMPLIED: Final = {name.rpartition("/")[2] for names in _TOOLS.values() for name in names}
_MODULE: Final = re.compile(r"\bpython[\d.]*\s+-m\s+([\w.]+)")
_SCRIPT_IN_JSON: Final = re.compile(r":\s*(\"(?:[^\"\\\n]|\\.)*\")")
_INTERPRETED: Final = r"\b(?:(?:ba|da|z|k)?sh|source|ruby|node|perl|php)\s+(?:-\w+\s+)*[\"']?(?:\./)*{}(?![\w/.-])"
#: Languages of scripts by the endings of their names; other files are no scripts, unless they begin with `#!`.
_LANGUAGES: Final = {
    "py": "python",
    **dict.fromkeys(("sh", "bash", "ksh", "zsh"), "shell"),
    **dict.fromkeys(
        ("js", "mjs", "cjs", "ts", "rb", "php", "pl", "groovy", "ps1", "go", "java", "kt", "cs", "swift"), ""
    ),
}
_MOST_SCRIPTS: Final = 200
_MOST_DEEP: Final = 2  # scripts that scripts name
_SHELL: Final = "bash -eo pipefail"  # CircleCI docs, "Configuration reference", "Default shell options"
#: A bash that ends at the first failure, with options under which a test means what it means without them.
_LIFTS: Final = re.compile(r"(?:/usr/bin/env +|(?:/usr)?/bin/)?bash(?=.* -[lxo]*e)(?: +(?:--login|-[elxo]+|pipefail))*")
_IS_SHELL: Final = re.compile(r"(?:/usr/bin/env +|(?:/usr)?/bin/)?(?:ba)?sh(?: +[\w+-]+)*")
_HALTS: Final = re.compile(r"\bcircleci(?:-agent)?\s+step\s+halt\b")
_BEGINS: Final = re.compile(rf"(?m)^\s*{TAG.pattern}")
#: Values that hold no quotes (CircleCI docs, "Pipeline values and parameters"), and texts that hold none either and
#: are words of one command wherever they stand.
_SAFE: Final = re.compile(r"pipeline\.(?:id|number|git\.(?:base_)?revision)")
_CALM: Final = re.compile(r"(?:[\w ./:@%+=,~-]|\$\w+|\$\{\w+\})*")
_OLD_STEP: Final = "deprecated by CircleCI, which has named no day for its end"
_MARK: Final = "# deploystep: the condition in this script could not be read for certain, so it stays here"
_RUNS_MORE: Final = re.compile(r"\$\(|`|[<>]\(")
_EVERY_BUILD: Final = When(((Holds("branch", "**"),), (Holds("tag", "**"),)), ())


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
        self.steps = steps(root)
        self.edits: list[Edit] = []
        self.commands: dict[tuple[int, int], str] = {}  # what was planned for a command, by its place

    def written(self, step: Step) -> Written | None:
        return written(step.command, self.lines) if step.command is not None else None

    def calmed(self, text: str, known: frozenset[str] = frozenset()) -> str:
        """A text without the values that CircleCI fills in, where this config tells that all of them are calm."""

        def word(tag: re.Match[str]) -> str:
            name = tag[0].strip("<> ")
            if name in known:
                return "x"
            declared = at(self.root, *name.split(".")[1:]) if name.startswith("pipeline.parameters.") else None
            values = texts_of(at(declared, "enum")) if str(at(declared, "type")) == "enum" else list[Text]()
            if name.startswith("parameters.") and at(self.root, "workflows") is not None:
                values = list(under(self.root, name.removeprefix("parameters."), frozenset({"description"})))
            is_typed = str(at(declared, "type")) in ("boolean", "integer") or _SAFE.fullmatch(name)
            is_calm = values and all(_CALM.fullmatch(self.calmed(value, known | {name})) for value in values)
            return "x" if is_typed or is_calm else tag[0]

        return TAG.sub(word, text)

    def is_shared(self, place: tuple[int, int]) -> bool:
        """Whether a `run` step has its command there too."""
        commands = (step.command for step in self.steps if step.key == "run")
        return any((c.line, c.column) == place for c in commands if c is not None)


class _Planner:
    def __init__(self, rule_file: SourceFile | None, rule_path: str, read: Read, own: ProjectSlug | None) -> None:
        self.rule_file = rule_file
        self.rule_path = rule_path
        self.option = "" if rule_path.endswith(_RULES) else f" --rules {quote(rule_path)}"
        self.read = read
        self.own = own
        self.names, self.has_deploys = rules.names_in(rule_file)
        self.rules: list[Rule] = []
        self.findings: list[Finding] = []
        self.problems: list[Problem] = []
        self.scripts: set[str] = set()
        self.sent: set[tuple[str, int, int]] = set()  # where calls stand that are told where they are sent

    def plan(self, sources: list[SourceFile]) -> Migration:
        configs = [config for source in sources if (config := self._config(source)) is not None]
        found = [(config, step, self._calls(config, step)) for config in configs for step in config.steps]
        senders = sum(any(call.request.is_doomed for call in calls) for _, _, calls in found)
        for config, step, calls in found:
            # `deploystep run` sends whatever is due: with a second step that sends, it would send that one's deploy too
            is_sole = senders == 1 and not self.has_deploys and config.is_exact
            self._step(config, step, calls, is_sole=is_sole)
        for _, step, _ in found:
            self._named(step)
        changes = [
            Change(c.source.path, c.source.text, edits.apply(c.source.text, c.edits), edits.replaced_lines(c.edits))
            for c in configs
            if c.edits
        ]
        told = [finding for finding in self.findings if (finding.path, finding.line, finding.column) not in self.sent]
        findings = tuple(sorted(told, key=lambda f: (f.path, f.line, f.column, f.kind)))
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
        return Migration(findings, tuple(changes), tuple(self.problems), read, advice.after(self.rules))

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

    def _calls(self, config: _Config, step: Step) -> list[Call]:
        found = config.written(step)
        return in_text(found.text, step.language, step.values, self.read) if found else []

    # --- one step

    def _step(self, config: _Config, step: Step, calls: list[Call], *, is_sole: bool) -> None:
        command = config.written(step)
        conditions = _conditions(command.text, calls) if command else {}
        is_run = command is not None and is_sole and self._send(config, step, command, calls, conditions)
        if step.key == "deploy" and not is_run:
            self._deploy(config, step, command, calls)
        if command is None:
            return
        for call in calls:
            by_hand = "the step does more than send it, sends variables to its own project, or is not certain"
            if not is_sole:
                by_hand = "another step or rule sends too, or this config cannot be changed"
            elif not call.is_plain:
                by_hand = "it stands in a loop, a function or another command, or not all that it sends is known"
            by_hand = "" if is_run and call.request.is_doomed else by_hand
            holds = _builds(conditions[call.offset]) if call.is_plain and call.offset in conditions else None
            self._call(call, config.source.path, command.place, by_hand, holds)

    def _deploy(self, config: _Config, step: Step, command: Written | None, calls: list[Call]) -> None:
        why = self._unfit(config, step, command)
        lines = [f"by hand, because {why}:", "- run: deploystep gate RULE -- COMMAND"]
        if command is not None and not why:
            new = self._gate(config, step, command).split("\n")
            lines = [f"- run: {new[0]}"] if len(new) == 1 else ["- run: |", *(f"    {line}" for line in new)]
        if at(config.root, "jobs", step.owner, "parallelism") is not None:
            lines.append("and a context with CIRCLE_TOKEN for the job: gate asks with it for the other nodes")
        told = tuple(_masked(line, calls) for line in lines)
        place = (config.source.path, step.key.line, step.key.column)
        self.findings.append(Finding("deploy-step", "", *place, _title(step), _OLD_STEP, told, not why))

    def _call(self, call: Call, path: str, place: Place, by_hand: str, holds: When | None = None) -> None:
        if by_hand and call.varies:
            by_hand += ", and what it sends varies: this is one case, and each needs a rule"
        found = advice.of_call(call.request, (path, *place(call.offset)), self.own, by_hand=by_hand, holds=holds)
        if call.sent_at:
            file, offset = call.sent_at
            at_it = (file, *_place(self.read(file) or "", offset)) if file else (path, *place(offset))
            self.sent.add(at_it)
            found = replace(found, what=f"{found.what}, sent at {at_it[0]}:{at_it[1]}:{at_it[2]}")
        secrets = tuple(
            f"by hand, because the value of {visible(name)} looks like a secret: put it into a context as "
            f"{call.request.parameters[name][2:-1]}, and revoke the one that stands here"
            for name in call.request.secrets
        )
        self.findings.append(replace(found, advice=(*secrets, *found.advice)))

    def _unfit(self, config: _Config, step: Step, command: Written | None) -> str:
        """Why `deploystep gate` cannot be put before the command of a step; empty where it can."""
        if command is None:
            return "it has no command of its own"
        calm = config.calmed(command.text)
        is_open = any(_is_open(config.calmed(words)) for _, _, words in self._gated(step, command)[0])
        place = (command.node.line, command.node.column)
        reasons = (
            (not config.is_exact, "this config cannot be read as it is"),
            (not _IS_SHELL.fullmatch(step.shell or _SHELL), f"its shell is {visible(step.shell)}"),
            (_HALTS.search(calm), "it halts its job, which must not hang on whether gate carries it out"),
            (_BEGINS.search(calm), "a parameter in it is a command, whose quotes nobody knows here"),
            (is_open, "nobody knows here which quotes a parameter in it holds"),
            (config.is_shared(place), "a run step uses its command too"),
        )
        return next((why for holds, why in reasons if holds), "")

    def _gate(self, config: _Config, step: Step, command: Written) -> str:
        """Plan `deploystep gate` in the place of a deploy step, and its rules; the new command."""
        key, place = (step.key.line, step.key.column), (command.node.line, command.node.column)
        config.edits.append(Edit(key, step.key.end, "run"))
        if place in config.commands:
            return config.commands[place]  # of an alias, which another step has used before
        gated, new, is_kept = self._gated(step, command)
        note = f"{visible(config.source.path)}:{key[0]}: {_title(step)}"
        for condition, above, words in gated:
            name = self._rule(when(condition) or _EVERY_BUILD, None, note)
            new += above
            new.append(f"deploystep gate {name}{self.option} -- {words}")
        config.commands[place] = "\n".join(new)
        config.edits += edits.command(command, config.commands[place], config.lines)
        before = config.lines[key[0] - 1][: key[1] - 1]
        if is_kept and re.fullmatch(r"\s*-\s+", before):
            config.edits.append(edits.before(key[0], [before[: before.index("-")] + _MARK]))
        return config.commands[place]

    def _gated(self, step: Step, command: Written) -> tuple[list[tuple[Condition, list[str], str]], list[str], bool]:
        """The conditions, comments and words of each `gate`, the comments beside them, and whether conditions stay."""
        text, shell = command.text.rstrip(), step.shell or _SHELL
        try:
            script: Script | None = parse(text)
        except Unreadable:
            script = None
        found, is_kept = _divided(script, text, shell)
        comments = script.comments if script else ()
        beside = [text[a:b] for a, b in comments if not any(part.start <= a < part.end for part in found)]
        return [(part.condition, *_executed(part.text(text), shell)) for part in found], beside, is_kept

    def _send(
        self, config: _Config, step: Step, command: Written, calls: list[Call], conditions: Mapping[int, Condition]
    ) -> bool:
        """Plan `deploystep run` in the place of a step that does nothing but send triggers; whether it can be."""
        tokens = {call.request.token for call in calls}
        sent = {call.offset: call.request for call in calls if call.is_plain and call.request.is_doomed}
        places = [(s.command.line, s.command.column) for s in config.steps if s.command is not None]
        if not len(calls) == len(sent) > 0 or len(tokens) != 1 or conditions.keys() != sent.keys():
            return False
        if places.count((command.node.line, command.node.column)) > 1:
            return False
        try:
            script = parse(command.text)
            _only_sends(script, command.text, sent.keys())
            found = [advice.trigger_of(sent[offset], self.own, holds) for offset, holds in conditions.items()]
            planned = [(holds, trigger) for holds, trigger in found if holds]
            own = [trigger for _, trigger in planned if trigger.target is None]
            new = gating.edits_for(own, config.root, config.lines)
        except Uncertain:
            return False
        # a parameter that not every build has is not valid, for example
        if not _is_valid(rules.file_with(None, [Rule(f"r{i}", *each, ()) for i, each in enumerate(planned)])):
            return False
        for holds, trigger in planned:
            name = rules.slug(trigger.workflow or (trigger.target.name if trigger.target else ""))
            self._rule(holds, trigger, f"{visible(config.source.path)}:{step.key.line}: call of API v1.1", name)
        config.edits += [Edit((step.key.line, step.key.column), step.key.end, "run")] if step.key == "deploy" else []
        lines = [*(command.text[a:b] for a, b in script.comments), advice.run(tokens.pop(), self.option)]
        config.edits += [*edits.command(command, "\n".join(lines), config.lines), *new]
        return True

    def _rule(self, holds: When, sent: Trigger | None, note: str, base: str = "") -> str:
        """The name of a rule that says so: one that there is, or a new one."""
        for i, known in enumerate(self.rules):
            if (known.when, known.trigger) == (holds, sent):
                self.rules[i] = known._replace(notes=(*known.notes, note))
                return known.name
        name = base or rules.slug(f"deploy {rules.called(holds)}")
        taken = self.names | {rule.name for rule in self.rules}
        name = next(n for n in (name, *(f"{name[:60]}-{i}" for i in range(2, 999))) if n not in taken)
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
            names = dict.fromkeys([*_SCRIPT.findall(text), *_implied(text)])
            for path in dict.fromkeys(normpath(f"{each}/{name}").lstrip("/") for name in names for each in folders):
                is_known = path in self.scripts or len(self.scripts) >= _MOST_SCRIPTS
                script = None if is_known else self.read(path)
                if script is not None:
                    self.scripts.add(path)
                    self._script(path, script, text, step.values)
                    waiting += [(script, path.rpartition("/")[0], depth + 1)] if depth < _MOST_DEEP else []

    def _script(self, path: str, text: str, named_in: str, values: Mapping[str, str]) -> None:
        name, first = path.rpartition("/")[2], text.partition("\n")[0]
        language = _LANGUAGES.get(name.rpartition(".")[2])
        if first.startswith("#!"):
            language = "python" if "python" in first else "shell" if re.search(r"sh\b", first) else ""
        elif name.lower().endswith(("makefile", "justfile")):
            text, language = _recipes(text), "shell"
        elif name == "package.json":
            calls = [
                call._replace(offset=found.start(1))
                for found in _SCRIPT_IN_JSON.finditer(text)
                for call in in_text(_unescaped(found[1]), "shell", values, self.read)
            ]
            return self._in_script(path, text, calls)
        elif language is None and name in _IMPLIED:
            language = ""
        elif language is None and re.search(_INTERPRETED.format(re.escape(path)), named_in):
            language = "shell"
        found = [] if language is None else in_text(text, language, values, self.read, path)
        return self._in_script(path, text, found)

    def _in_script(self, path: str, text: str, calls: Iterable[Call]) -> None:
        for call in calls:
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
    found = report.within(stripped)
    return found[0] if found else Diagnostic("E001", error.why, Span(Pos(error.line, error.column)))


def _implied(text: str) -> Iterator[str]:
    """The files that tools in a script read without being told their names."""
    for tool, names in _TOOLS.items():
        if re.search(rf"(?<![\w.-]){tool}(?![\w./-])", text):
            yield from names
    for module in _MODULE.findall(text):
        path = module.replace(".", "/")
        yield from (f"{path}.py", f"{path}/__main__.py")


def _recipes(text: str) -> str:
    """A Makefile as shell: its variables set, its recipes without their marks."""
    text = re.sub(r"(?m)^(\w+)[ \t]*[:?]?=[ \t]*([^\s\"'\\][^\n\"\\]*)$", r'\1="\2"', text)
    return re.sub(r"\$\((\w+)\)", r"${\1}", re.sub(r"(?m)^\t[@+-]+", "\t", text)).replace("$$", "$")


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        return ""


def _title(step: Step) -> str:
    name = f" {shown(step.name)}" if step.name else ""
    return f"deploy step{name}{f' of {visible(step.owner)}' if step.owner else ''}"


def _conditions(text: str, calls: list[Call]) -> dict[int, Condition]:
    """What must hold for each command that does something lasting, by its offset; none where that cannot be read."""
    with suppress(Unreadable, Uncertain):
        script = parse(text)
        scope = scripts.scope_of(script.body, frozenset(call.request.token for call in calls))
        return {simple.start: holds for holds, simple in scripts.commands(script.body, scope)} if calls else {}
    return {}


def _builds(condition: Condition) -> When | None:
    with suppress(Uncertain):
        return _EVERY_BUILD if condition is ALWAYS else when(condition)
    return None


def _is_open(words: str) -> bool:
    """Whether a value that CircleCI fills in may end a quoted text, or stands in no quotes."""
    is_quoted = re.search(r" -c '", words) is not None
    return TAG.search(words if is_quoted else re.sub(r"\"[^\"]*\"|'[^']*'", "", words)) is not None


def _only_sends(script: Script, text: str, calls: Collection[int]) -> None:
    """Raise Uncertain where a script does more that lasts, or that changes its calls, which begin at these offsets."""
    examine_script(script.body, len(text))
    if _RUNS_MORE.search(script.code(text)) or not all(_is_harmless(node, calls) for node in nodes(script.body)):
        raise Uncertain


def _is_harmless(node: Node, calls: Collection[int]) -> bool:
    if not isinstance(node, Simple):
        return not isinstance(node, Group)
    first = node.words[0].raw if node.words else ""
    if first in ("tee", "export", "unset") or any(w.raw not in ("1", "2", "/dev/null") for w in node.redirections):
        return False
    is_setting = bool(node.assignments) or first in ("set", "shopt", "local", "declare", "readonly")
    return not is_setting or (not (node.assignments and node.words) and node.start < max(calls, default=0))


def _masked(line: str, calls: Iterable[Call]) -> str:
    """A line of a script without the secrets that its calls send."""
    for part in (p for call in calls for value in call.request.secrets.values() for p in re.split(r"\$\{.*?\}", value)):
        line = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", "****", line) if re.search(r"\w", part) else line
    return line


def _is_valid(rule_file: str | None) -> bool:
    return rule_file is not None and not any(d.is_error for d in examine(SourceFile("", rule_file)).diagnostics)


def _divided(script: Script | None, text: str, shell: str) -> tuple[list[scripts.Part], bool]:
    """The parts of a script, and whether conditions stay in it because they could not be read."""
    found: list[scripts.Part] = []
    if script is not None and _LIFTS.fullmatch(shell):
        with suppress(Uncertain):
            found = scripts.parts(script, text)
            made = [Rule(f"r{i}", when(part.condition) or _EVERY_BUILD, None, ()) for i, part in enumerate(found)]
            found = found if _is_valid(rules.file_with(None, made)) else []
    found = found or [scripts.Part(ALWAYS, 0, len(text))]
    return found, script is None or any(scripts.asks(part.text(text)) for part in found)


def _executed(body: str, shell: str) -> tuple[list[str], str]:
    """The words with which `gate` carries out a text: one command, with its comments before it, or by its shell."""
    stripped = body.strip()
    with suppress(Unreadable):
        script = parse(stripped)
        code = re.sub(r"(?<!\\);\Z", "", script.code(stripped).strip()).rstrip()
        if scripts.is_command(parse(code), code):
            return [stripped[start:end] for start, end in script.comments], code
    quoted = (body if "\n" in stripped else stripped).replace("'", "'\\''")
    return [], f"{shell} -c '\n{quoted}\n'" if "\n" in quoted else f"{shell} -c '{quoted}'"
