"""The outcome as lines for bash, for a file such as the one that `$BASH_ENV` names: later steps of the job read it."""

from shlex import quote

from deploystep.app.report import Report
from deploystep.core.decide import Verdict


def lines(report: Report) -> str:
    """An `export` for each variable, whatever its value holds. The second trigger's names end in `_2`, and so on."""
    told = [(_outcome(report), report.gated.rule if report.gated else "", "", "")] if not report.triggers else []
    for trigger in report.triggers:
        run = (trigger.created.id or "", trigger.created.url) if trigger.created else ("", "")
        told.append((trigger.outcome.value, trigger.spec.rule, *run))
    found = ""
    for number, values in enumerate(told, start=1):
        suffix = f"_{number}" if number > 1 else ""
        for name, value in zip(("OUTCOME", "RULE", "RUN_ID", "RUN_URL"), values, strict=True):
            found += f"export DEPLOYSTEP_{name}{suffix}={quote(value)}\n"
    return found.replace("\0", "")


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
