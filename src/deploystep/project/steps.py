"""Whether a job runs this step, followed through the commands and scripts that are at hand."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from deploystep.core.facts import Answer, kleene_or
from deploystep.core.frozen import dataclass
from deploystep.project.config import Config, Job
from deploystep.project.reading import Items, Node, Text, at, items_of, map_of, typed

Read = Callable[[str], str | None]  #: the text of a file of the repository; None where there is none

_STEP: Final = re.compile(r"\bdeploystep(?:\.pyz)?\s+(run|gate|plan)\b((?:(?!\bdeploystep\s)(?:\\\n|[^\n]))*)")
_COMMENT: Final = re.compile(r"(?:^|(?<=\s))#[^\n]*", re.MULTILINE)
_IDLE: Final = re.compile(r"--(?:dry-run|sandbox)\b")
_FILE: Final = re.compile(r"(?<![\w./-])(?:\./)?([\w-][\w./-]*)")
_BUILT_IN: Final = frozenset({
    "checkout", "run", "when", "unless", "save_cache", "restore_cache", "setup_remote_docker", "store_artifacts",
    "store_test_results", "persist_to_workspace", "add_ssh_keys", "deploy",
})  # fmt: skip
_MOST_DEEP: Final = 8  # commands and conditions in each other
#: A value that is filled in where the shell expects a command, or the name of a script.
_MAY_RUN: Final = re.compile(
    r"(?:^|[;&|(`]|(?<!\S)(?:then|do|else|bash|sh|zsh|source|\.|eval|exec|sudo|env|xargs|time|nohup|deploystep)\s)"
    r"\s*(?:-\w+\s+)*[\"']?[\w./-]*<<[^<>]*>>",
    re.MULTILINE,
)
_END: Final = re.compile(r" -- |[;&|]")
RUN: Final = "run "  #: stands for `deploystep run`; no rule is called so


@dataclass(frozen=True, slots=True)
class Call:
    """A call of this step: whether it is made, on which line, and whether the repository has been checked out by then.

    `words` has `RUN`, or the words among which `gate` has the name of its rule.
    """

    answer: Answer
    line: int
    has_checkout: Answer = Answer.UNKNOWN
    words: tuple[str, ...] = ()


def runs_step(config: Config, job: Job, read: Read) -> "JobSteps":
    """Look at the steps of a job in their order, with `pre-steps` and `post-steps` of its workflow.

    Another job may stand in for one with `override-with`, where its orb has that.
    """
    found = JobSteps(config, read, job.line)
    definition = None if at(job.fields, "override-with") else at(config.root, "jobs", job.key)
    ours = _of_orb(job.key, job.fields, config) if definition is None else ()
    found.calls += [Call(Answer.YES, job.line, words=words) for words in ours]
    if not job.is_approval and not ours:
        found.answer = Answer.UNKNOWN if definition is None else Answer.NO
        for node in (at(job.fields, "pre-steps"), at(definition, "steps"), at(job.fields, "post-steps")):
            found.follow(items_of(node), Answer.YES, 0)
    return found


def _of_orb(name: str, fields: Node | None, config: Config) -> tuple[tuple[str, ...], ...]:
    """What a job or command calls where it is that of an orb for this step; nothing where it is not."""
    orb, _, command = name.partition("/")
    source, rule = at(config.root, "orbs", orb), at(fields, "rule")
    if "deploystep" not in (f"{orb} {source}" if isinstance(source, Text) else orb) or command not in ("run", "gate"):
        return ()
    return ((RUN,) if command == "run" else (rule,) if isinstance(rule, Text) else ("$",),)


class JobSteps:
    """What the steps of a job do; `answer` is NO until one of them may run anything.

    `calls` are those of this step; `idle` is the line of one that does nothing, 0 where there is none.
    """

    def __init__(self, config: Config, read: Read, line: int) -> None:
        self.config, self.read, self.line = config, read, line
        self.answer = self.checkout = Answer.NO
        self.calls: list[Call] = []
        self.idle = 0

    def of(self, *names: str) -> Call:
        """The first call for one of the names: `RUN`, or a rule that `gate` judges; else whether there may be one."""
        meant = [call for call in self.calls if not {*names}.isdisjoint(call.words)]
        may_be = any("$" in word or "<<" in word for call in self.calls for word in call.words) and names != (RUN,)
        if meant:
            return next((call for call in meant if call.answer is Answer.YES), meant[0])
        return Call(Answer.UNKNOWN if may_be else self.answer, self.line, self.checkout)

    def follow(self, steps: Sequence[Node], certain: Answer, depth: int) -> None:
        """Follow steps, which are run for certain or perhaps, into commands and conditions."""
        commands = map_of(at(self.config.root, "commands"))
        for node in steps:
            name = node if isinstance(node, Text) else next(iter(map_of(node)), Text(""))
            fields = at(node, name)
            if depth > _MOST_DEEP or isinstance(node, Items) or "<<" in name:
                self.is_open()
            elif name == "checkout":
                self.checkout = kleene_or((self.checkout, certain))
            elif name in ("run", "deploy"):
                command = fields if isinstance(fields, Text) else at(fields, "command")
                self.run(command, certain) if isinstance(command, Text) else self.is_open()
            elif name in ("when", "unless"):
                condition = at(fields, "condition")
                holds = typed(condition) if isinstance(condition, Text) else None
                if holds is not (name == "unless"):
                    is_known = certain if isinstance(holds, bool) else Answer.UNKNOWN
                    self.follow(items_of(at(fields, "steps")), is_known, depth + 1)
            elif name in commands:
                self.follow(items_of(at(commands, name, "steps")), certain, depth + 1)
            elif name not in _BUILT_IN:
                ours = _of_orb(name, fields, self.config)
                self.calls += [Call(certain, name.line, self.checkout, words) for words in ours]
                self.is_open()

    def is_open(self) -> None:
        """Something is done that is not known."""
        self.answer, self.checkout = Answer.UNKNOWN, kleene_or((self.checkout, Answer.UNKNOWN))

    def run(self, command: Text, certain: Answer) -> None:
        """Look at a shell command, and the scripts of the repository that it names."""
        texts: list[str] = [command]
        texts += [text for name in dict.fromkeys(_FILE.findall(command)) if (text := self.read(name)) is not None]
        if any("git clone" in text or "git fetch" in text for text in texts):
            self.checkout = kleene_or((self.checkout, certain))
        found = [(m[1], m[2]) for text in texts for m in _STEP.finditer(_COMMENT.sub("", text))]
        for word, rest in found:
            if word == "plan" or _IDLE.search(rest):
                self.idle = self.idle or command.line
                continue
            options = _END.split(rest)[0].replace("\\\n", " ")
            named = [w.strip("'\";)") for w in options.split() if not w.startswith("-")]  # or an option's value
            words = (RUN,) if word == "run" else tuple(named) or ("$",)
            self.calls.append(Call(Answer.UNKNOWN if "<<" in options else certain, command.line, self.checkout, words))
        if not found and _MAY_RUN.search(command):
            self.is_open()
