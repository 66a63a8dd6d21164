"""What to do about what runs, or does not run, for a rule: words for `config.yml` and for the rule file."""

from collections.abc import Iterable

from deploystep.core.build import Tag
from deploystep.core.parameters import Template
from deploystep.core.rules import Deploy, Parameter
from deploystep.core.source import Diagnostic, Severity, Span
from deploystep.core.text import did_you_mean, shown
from deploystep.project.conditions import Reason, Runs
from deploystep.project.config import Config
from deploystep.project.expressions import written
from deploystep.project.refs import Ref


def named(ref: Ref) -> str:
    """A ref in words."""
    return f"{'tag' if isinstance(ref, Tag) else 'branch'} {shown(ref.name)}"


def cure(runs: Runs, ref: Ref, deploy: Deploy | None) -> str:
    """How to let something run that does not."""
    filters = f"let the filters there allow {named(ref)}, or keep it out of this rule"
    tags = "add to the job, and to all that it requires,  filters: {tags: {only: /.*/}}"
    known = {
        Reason.UNDECLARED: "declare it under parameters: there, or correct its name",
        Reason.REFUSED: "correct the name there",
        Reason.NO_TAGS: tags,
        Reason.FILTERS: tags if isinstance(ref, Tag) else filters,
        Reason.SCHEDULE: "name a workflow without triggers:, or make one of the same jobs",
    }
    if runs.reason in known:
        return known[runs.reason]
    if deploy is None:
        return f"let it run for {named(ref)}, or keep that out of this rule"
    return f"send what it asks for, or {gated(deploy, 'the workflow')}"


def gated(deploy: Deploy, what: str, word: str = "when") -> str:
    """How to gate a workflow by what the rule sends."""
    flag = _flag(deploy)
    if flag is None:
        return f"send a parameter such as deploy: true, and give {what}  {word}: << pipeline.parameters.deploy >>"
    name, value = f"<< pipeline.parameters.{flag.key.value} >>", flag.value.value
    text = value.text if isinstance(value, Template) else written(value) or '""'
    return f"give {what}  {word}: {name if value is True else f'{{equal: [{text}, {name}]}}'}"


def shut(deploy: Deploy, what: str, config: Config) -> str:
    """How to keep a workflow from what the rules send: where they send several values, all but the default."""
    flag = _flag(deploy)
    found = config.parameters.get(flag.key.value) if flag else None
    if flag is None or found is None or flag.value.value is True or not isinstance(found.default, (str, int)):
        return gated(deploy, what, "unless")
    default = written(found.default) or '""'
    return f"give {what}  when: {{equal: [{default}, << pipeline.parameters.{flag.key.value} >>]}}"


def _flag(deploy: Deploy) -> Parameter | None:
    """The parameter by which a workflow is best gated: a literal, true before a text before a number."""
    literal = [p for p in deploy.parameters if not (isinstance(v := p.value.value, Template) and v.references)]
    return max(literal, key=lambda p: (p.value.value is True, isinstance(p.value.value, Template)), default=None)


def near(name: str, known: Iterable[str]) -> str:
    """The name that was probably meant, else those that there are."""
    known = sorted({each for each in known if "<<" not in each})
    return did_you_mean(name, known, f"known: {', '.join(known) or 'none'}")


def warning(code: str, message: str, span: Span, hint: str) -> Diagnostic:
    """A diagnostic that keeps nothing from running."""
    return Diagnostic(code, message, span, hint, Severity.WARNING)
