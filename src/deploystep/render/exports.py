"""The outcome as lines for bash, for a file such as the one that `$BASH_ENV` names: later steps of the job read it."""

from collections.abc import Iterator
from shlex import quote

from deploystep.app.report import Report
from deploystep.core.decide import Verdict


def lines(report: Report) -> str:
    """An `export` for each variable, whatever its value holds. The second trigger's names end in `_2`, and so on."""
    found = (f"export {name}={quote(value)}\n" for name, value in _variables(report))
    return "".join(found).replace("\0", "")


def _variables(report: Report) -> Iterator[tuple[str, str]]:
    if not report.triggers:
        yield from _numbered(1, _outcome(report), report.gated.rule if report.gated else "", "", "")
    for number, trigger in enumerate(report.triggers, 1):
        created = trigger.created
        run_id, url = (created.id or "", created.url) if created else ("", "")
        yield from _numbered(number, trigger.outcome.value, trigger.spec.rule, run_id, url)


def _numbered(number: int, *values: str) -> Iterator[tuple[str, str]]:
    suffix = f"_{number}" if number > 1 else ""
    names = ("OUTCOME", "RULE", "RUN_ID", "RUN_URL")
    yield from zip((f"DEPLOYSTEP_{name}{suffix}" for name in names), values, strict=True)


def _outcome(report: Report) -> str:
    """What came of it where nothing was to be sent: a failure's name, or why not."""
    if not report.exit.is_result:
        return report.exit.label
    if report.skipped:
        return "skipped"
    if report.gated is not None and report.gated.outcome is not None:
        return report.gated.outcome.value
    held = any(j.verdict is Verdict.HELD for j in (report.decision.deploys.judgements if report.decision else ()))
    return "held" if held else "not-due"
