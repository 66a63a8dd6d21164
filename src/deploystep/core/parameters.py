"""Parameters of a deploy: texts with `${…}`, filled in from the build, and nothing else.

The list of names is closed, an unset one is an error, and a value may only hold characters that no shell
interprets: the config that receives `<< pipeline.parameters.x >>` pastes it into shell.
Limits: CircleCI docs, "Pipeline values and parameters" (100 parameters, key 128, value 512 characters).
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from deploystep.core.build import BuildContext
from deploystep.core.frozen import dataclass

MAX_PARAMETERS: Final = 100
MAX_KEY: Final = 128
MAX_VALUE: Final = 512
MAX_SLUG: Final = 40

#: Public built-in variables that a parameter may name. The OIDC tokens and CircleCI's internals are not here.
PUBLIC_VARIABLES: Final = frozenset(
    {
        "CIRCLE_BRANCH", "CIRCLE_BUILD_NUM", "CIRCLE_BUILD_URL", "CIRCLE_JOB", "CIRCLE_NODE_INDEX",
        "CIRCLE_NODE_TOTAL", "CIRCLE_ORGANIZATION_ID", "CIRCLE_PIPELINE_ID", "CIRCLE_PR_NUMBER",
        "CIRCLE_PR_REPONAME", "CIRCLE_PR_USERNAME", "CIRCLE_PREVIOUS_BUILD_NUM", "CIRCLE_PROJECT_ID",
        "CIRCLE_PROJECT_REPONAME", "CIRCLE_PROJECT_USERNAME", "CIRCLE_PULL_REQUEST", "CIRCLE_PULL_REQUESTS",
        "CIRCLE_REPOSITORY_URL", "CIRCLE_SHA1", "CIRCLE_TAG", "CIRCLE_USERNAME", "CIRCLE_WORKFLOW_ID",
        "CIRCLE_WORKFLOW_JOB_ID", "CIRCLE_WORKFLOW_WORKSPACE_ID", "CIRCLE_WORKING_DIRECTORY",
    }
)  # fmt: skip

#: Where a token may be found, in this order. No parameter may name one of them.
TOKEN_VARIABLES: Final = ("CIRCLE_TOKEN", "CIRCLE_API_USER_TOKEN", "CIRCLE_API_TOKEN", "CIRCLECI_TOKEN")

#: Variables that no rule may read or send: tokens, and what CircleCI keeps for itself.
SECRET_VARIABLES: Final = frozenset(
    {
        *TOKEN_VARIABLES,
        "CIRCLE_OIDC_TOKEN",
        "CIRCLE_OIDC_TOKEN_V2",
        "CIRCLE_INTERNAL_TASK_DATA",
        "CIRCLE_CONTINUATION_KEY",
    }
)

_NAME: Final = re.compile(r"\$\{([^{}]*)\}")
_BARE_NAME: Final = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_ENV_NAME: Final = re.compile(r"[A-Z_][A-Z0-9_]*")
_SAFE: Final = re.compile(r"[A-Za-z0-9_./:@+-]+")
_UNSAFE_RUN: Final = re.compile(r"[^A-Za-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Reference:
    """One `${name}` at `offset` characters into the text, `width` characters wide."""

    name: str
    offset: int
    width: int


@dataclass(frozen=True, slots=True)
class Template:
    """A text in which some stretches are filled in from the build."""

    text: str
    parts: tuple[str | Reference, ...]

    @property
    def references(self) -> tuple[Reference, ...]:
        """The names that must be filled in, in the order written."""
        return tuple(p for p in self.parts if isinstance(p, Reference))


Scalar: TypeAlias = str | int | bool
Value: TypeAlias = Template | int | bool


@dataclass(frozen=True, slots=True)
class TemplateProblem:
    """What is wrong in a text with `${…}`, and at which character (from 0)."""

    code: str
    message: str
    hint: str
    offset: int
    width: int


@dataclass(frozen=True, slots=True)
class Subject:
    """What the derived names are taken from: the build, and the rule that fired."""

    build: BuildContext
    rule: str
    environment: str | None


def parse_template(text: str) -> Template | tuple[TemplateProblem, ...]:
    """Read a text with `${…}`; every problem in it, where there is one."""
    parts: list[str | Reference] = []
    problems: list[TemplateProblem] = []
    offset = 0
    while offset < len(text):
        part, width, problem = _next_part(text, offset)
        parts.append(part)
        if problem is not None:
            problems.append(problem)
        offset += width
    return tuple(problems) if problems else Template(text, _merged(parts))


def _next_part(text: str, offset: int) -> tuple[str | Reference, int, TemplateProblem | None]:
    """The part that begins here, how wide it is, and what is wrong with it."""
    rest = text[offset:]
    if rest.startswith("$$"):
        return "$", 2, None
    if match := _NAME.match(rest):
        return Reference(match[1], offset, len(match[0])), len(match[0]), None
    width, problem = _problem_at(rest, offset)
    if problem is not None:
        return "", width, problem
    plain = re.match(r"[^$`<]+", rest)
    width = len(plain[0]) if plain else 1
    return rest[:width], width, None


def _problem_at(rest: str, offset: int) -> tuple[int, TemplateProblem | None]:
    def problem(width: int, code: str, message: str, hint: str) -> tuple[int, TemplateProblem]:
        return width, TemplateProblem(code, message, hint, offset, width)

    if rest.startswith("<<"):
        return problem(
            _through(rest, ">>"),
            "E505",
            "<< >> is only filled in by CircleCI in config.yml",
            "write ${CIRCLE_SHA1} and the like",
        )
    if rest.startswith(("$(", "`")):
        end = ")" if rest.startswith("$(") else "`"
        return problem(
            _through(rest, end, 1),
            "E504",
            "no shell commands here",
            "a parameter is a text with ${…}; compute it in the config that is triggered",
        )
    if match := _BARE_NAME.match(rest):
        return problem(len(match[0]), "E503", f"{match[0]} is not filled in", f"write ${{{match[1]}}}")
    if rest.startswith("${"):
        return problem(
            _through(rest, "}"),
            "E506",
            "cannot read what follows ${",
            "write ${CIRCLE_SHA1}, one name between ${ and }",
        )
    if rest.startswith("$"):
        return problem(1, "E503", "a lone $ is not filled in", "write $$ for the character itself")
    return 0, None


def _through(text: str, end: str, start: int = 2) -> int:
    found = text.find(end, start)
    return len(text) if found < 0 else found + len(end)


def _merged(parts: list[str | Reference]) -> tuple[str | Reference, ...]:
    merged: list[str | Reference] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        else:
            merged.append(part)
    return tuple(merged)


def is_variable(name: str) -> bool:
    """Whether `${name}` means an environment variable rather than a derived value."""
    return _ENV_NAME.fullmatch(name) is not None


def value_of(name: str, subject: Subject) -> str | None:
    """What `${name}` stands for in this build; None where it is unset or there is no such name."""
    if is_variable(name):
        return _variable(name, subject.build)
    derive = DERIVED.get(name)
    return derive(subject) if derive else None


def _variable(name: str, build: BuildContext) -> str | None:
    # the build's own facts win over the raw variables, so that a dry run with options shows what a run sends
    known = {
        "CIRCLE_SHA1": build.revision,
        "CIRCLE_BRANCH": build.branch,
        "CIRCLE_TAG": build.tag,
        "CIRCLE_USERNAME": build.user,
    }
    return (known[name] or None) if name in known else build.variables.get(name)


def is_safe(value: str) -> bool:
    """Whether a filled-in value holds only characters that no shell interprets."""
    return _SAFE.fullmatch(value) is not None


def slug(name: str) -> str:
    """A DNS label from any name: lower case, at most 40 characters, with a hash wherever something was lost.

    >>> slug("feature/login")
    'feature-login'
    """
    label = _UNSAFE_RUN.sub("-", name.replace("/", "-")).strip("-").lower()
    if label == name.replace("/", "-") and len(label) <= MAX_SLUG:
        return label
    from hashlib import sha256  # noqa: PLC0415 - few builds need it

    digest = sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:7]
    kept = label[: MAX_SLUG - len(digest) - 1].strip("-")
    return f"{kept}-{digest}" if kept else digest


def _tag_version(subject: Subject) -> str | None:
    tag = subject.build.tag
    return tag.removeprefix("v") or None if tag else None


def _pr_number(subject: Subject) -> str | None:
    number = subject.build.pull_request
    return None if number is None else str(number)


#: Derived names and how each is made.
DERIVED: Final[Mapping[str, Callable[[Subject], str | None]]] = MappingProxyType(
    {
        "sha.short": lambda s: s.build.revision[:7] or None,
        "branch.slug": lambda s: slug(s.build.branch) if s.build.branch else None,
        "pr.number": _pr_number,
        "tag.version": _tag_version,
        "rule.name": lambda s: s.rule,
        "rule.environment": lambda s: s.environment,
    }
)
