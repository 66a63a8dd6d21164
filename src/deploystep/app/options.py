"""What was asked for, by the command line and by DEPLOYSTEP_ variables, as one value."""

from collections.abc import Mapping
from typing import Final

from deploystep.core.frozen import dataclass, field

#: Commands that deploy: by a trigger, or by a command of the job.
ACTING: Final = ("run", "gate")
RULES: Final = ".circleci/deploy.yml"


@dataclass(frozen=True, slots=True)
class Options:
    """Every option by its name, with what holds where it is not given. Durations are in seconds."""

    command: str
    rules: str = RULES
    rules_ref: str | None = None
    now: str | None = None
    dry_run: bool = False
    confirm: float = 60.0
    host: str | None = None
    token_env: str | None = None
    sandbox: bool = False
    outside_ci: bool = False
    allow_ssh: bool = False
    nodes: str = "all"
    nodes_timeout: float = 1800.0
    wait: float | None = None
    cancel_on_interrupt: bool = False
    again: str | None = None
    fetch: bool = False
    held: str = "pass"
    export: str | None = None
    rule: str = ""
    execute: tuple[str, ...] = ()
    branch: str | None = None
    tag: str | None = None
    sha: str | None = None
    node_index: str | None = None
    node_total: str | None = None
    changed: tuple[str, ...] = ()
    pull_request: str | None = None
    fork: bool = False
    user: str | None = None
    author: str | None = None
    message: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    env_file: str | None = None
    given: str | None = None
    config: tuple[str, ...] = ()
    strict: bool = False
    explain: str | None = None
    format: str = "text"
    coverage: bool = False
    junit: str | None = None
    html: str | None = None
    report: str | None = None
    port: int = 0
    project: tuple[str, ...] = ()
    head: Mapping[str, str] = field(default_factory=dict)
    workflow: tuple[str, ...] = ()
    fault: tuple[str, ...] = ()
    accept_token_env: str | None = None
    path: tuple[str, ...] = ()
    write: bool = False
    force: bool = False
    check: bool = False
    diff: bool = False
    shell: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    color: str = "auto"
    from_variables: frozenset[str] = frozenset()

    def written(self, name: str) -> str:
        """How this option was given: `--now`, or `DEPLOYSTEP_NOW`."""
        return f"DEPLOYSTEP_{name.upper()}" if name in self.from_variables else f"--{name.replace('_', '-')}"

    @property
    def is_dry(self) -> bool:
        """Whether nothing is to be sent."""
        return self.dry_run or not self.acts

    @property
    def acts(self) -> bool:
        """Whether the command deploys: in a build, by what CircleCI and the repository's host tell now."""
        return self.command in ACTING
