"""Parameters of a deploy: texts with `${…}`, filled in from the build; names are a closed list."""

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

from deploystep.core.build import BuildContext
from deploystep.core.frozen import Frozen
from deploystep.core.source import Problem

MAX_PARAMETERS: Final = 100  # CircleCI docs, "Pipeline values and parameters"; a key has 128 characters
MAX_VALUE: Final = 512  # characters
MAX_SLUG: Final = 40

#: Public built-in variables that a parameter may name. The OIDC tokens and CircleCI's internals are not here.
PUBLIC_VARIABLES: Final = frozenset({
    "CIRCLE_BRANCH", "CIRCLE_BUILD_NUM", "CIRCLE_BUILD_URL", "CIRCLE_JOB", "CIRCLE_NODE_INDEX",
    "CIRCLE_NODE_TOTAL", "CIRCLE_ORGANIZATION_ID", "CIRCLE_PIPELINE_ID", "CIRCLE_PR_NUMBER",
    "CIRCLE_PR_REPONAME", "CIRCLE_PR_USERNAME", "CIRCLE_PREVIOUS_BUILD_NUM", "CIRCLE_PROJECT_ID",
    "CIRCLE_PROJECT_REPONAME", "CIRCLE_PROJECT_USERNAME", "CIRCLE_PULL_REQUEST", "CIRCLE_PULL_REQUESTS",
    "CIRCLE_REPOSITORY_URL", "CIRCLE_SHA1", "CIRCLE_TAG", "CIRCLE_USERNAME", "CIRCLE_WORKFLOW_ID",
    "CIRCLE_WORKFLOW_JOB_ID", "CIRCLE_WORKFLOW_WORKSPACE_ID", "CIRCLE_WORKING_DIRECTORY",
})  # fmt: skip

#: Where a token may be found, in this order. No parameter may name one of them.
TOKEN_VARIABLES: Final = ("CIRCLE_TOKEN", "CIRCLE_API_USER_TOKEN", "CIRCLE_API_TOKEN", "CIRCLECI_TOKEN")

#: Variables that no rule may read or send: tokens, and what CircleCI keeps for itself.
SECRET_VARIABLES: Final = frozenset(TOKEN_VARIABLES) | {
    "CIRCLE_OIDC_TOKEN", "CIRCLE_OIDC_TOKEN_V2", "CIRCLE_INTERNAL_TASK_DATA", "CIRCLE_CONTINUATION_KEY",
}  # fmt: skip

#: What a text must not hold, where none before it fits: a regex, code, message and hint with the NAME behind a $.
_FAULTS: Final = (
    (r"<<.*?(?:>>|\Z)", "E505", "<< >> is only filled in by CircleCI in config.yml",
     "write ${CIRCLE_SHA1} and the like"),
    (r"\$\(.*?(?:\)|\Z)|`.*?(?:`|\Z)", "E504", "no shell commands here",
     "a parameter is a text with ${…}; compute it in the config that is triggered"),
    (r"\$[A-Za-z_][A-Za-z0-9_]*", "E503", "$NAME is not filled in", "write ${NAME}"),
    (r"\$\{.*?(?:\}|\Z)", "E506", "cannot read what follows ${", "write ${CIRCLE_SHA1}, one name between ${ and }"),
    (r"\$", "E503", "a lone $ is not filled in", "write $$ for the character itself"),
)  # fmt: skip


class Reference(Frozen):
    """One `${name}` at `offset` characters into the text, `width` characters wide."""

    name: str
    offset: int
    width: int


class Template(Frozen):
    """A text in which some stretches are filled in from the build."""

    text: str
    parts: tuple[str | Reference, ...]

    @property
    def references(self) -> tuple[Reference, ...]:
        """The names that must be filled in, in the order written."""
        return tuple(p for p in self.parts if isinstance(p, Reference))


Scalar: TypeAlias = str | int | bool
Value: TypeAlias = Template | int | bool


def parse_template(text: str) -> Template | tuple[Problem, ...]:
    """Read a text with `${…}`; every problem in it, where there is one."""
    parts, problems, faults = list[str | Reference](), list[Problem](), "|".join(f"({regex})" for regex, *_ in _FAULTS)
    for token in re.finditer(rf"\$\$|\$\{{([^{{}}]*)\}}|{faults}|[^$`<]+|<", text, re.DOTALL):
        written, at, kind = token[0], token.start(), token.lastindex or 0
        if kind > 1:
            _, code, *words = _FAULTS[kind - 2]
            what, hint = (word.replace("NAME", written[1:]) for word in words)
            problems.append(Problem(code, what, hint, at, len(written)))
        else:
            parts.append(Reference(token[1], at, len(written)) if kind else "$" if written == "$$" else written)
    return tuple(problems) or Template(text, tuple(parts))


def is_variable(name: str) -> bool:
    """Whether `${name}` means an environment variable rather than a derived value."""
    return name.isascii() and name.isidentifier() and name == name.upper()


#: Derived names, in the order in which `values_of` gives them.
DERIVED: Final = "sha.short", "branch.slug", "pr.number", "tag.version", "rule.name", "rule.environment", "deploy.key"


def values_of(build: BuildContext, rule: str, environment: str | None, key: str) -> Mapping[str, str | None]:
    """What each `${name}` stands for in this build, for a rule and its deploy key; None or absent where it is unset."""
    branch, tag, sha, request = build.branch, build.tag, build.revision, build.pull_request
    version, number = re.sub(r"\Av(?=[0-9])", "", tag or ""), None if request is None else str(request)
    derived = (sha[:7], slug(branch) if branch else None, number, version, rule, environment, key)
    # the build's own facts win over the raw variables, so that a dry run with options shows what a run sends
    own = {"CIRCLE_BRANCH": branch, "CIRCLE_TAG": tag, "CIRCLE_SHA1": sha, "CIRCLE_USERNAME": build.user}
    return {**build.variables, **own, **dict(zip(DERIVED, derived, strict=True))}


def is_safe(value: str) -> bool:
    """Whether a value holds only characters that no shell interprets: the config that gets it may paste it there."""
    return re.fullmatch(r"[A-Za-z0-9_./:@+-]+", value) is not None


def slug(name: str) -> str:
    """A DNS label from any name: lower case, at most 40 characters, with a hash wherever something was lost."""
    label = re.sub(r"[^A-Za-z0-9-]+", "-", name.replace("/", "-")).strip("-").lower()
    if label == name.replace("/", "-") and len(label) <= MAX_SLUG:
        return label
    from hashlib import sha256  # noqa: PLC0415 - few builds need it

    digest = sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:7]
    kept = label[: MAX_SLUG - len(digest) - 1].strip("-")
    return f"{kept}-{digest}" if kept else digest
