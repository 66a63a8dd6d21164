"""The outcome as lines for bash, for a file such as the one that `$BASH_ENV` names: later steps of the job read it."""

from shlex import quote

from deploystep.app.report import Report
from deploystep.core.decide import Verdict


def lines(report: Report) -> str:
    """An `export` for each variable, whatever its value holds. The second trigger's names end in `_2`, and so on."""
    gated, judgements = report.gated, report.decision.deploys.judgements if report.decision else ()
    outcome = "held" if any(j.verdict is Verdict.HELD for j in judgements) else "not-due"
    if gated is not None and gated.outcome is not None:
        outcome = gated.outcome.value
    outcome = "skipped" if report.skipped else outcome
    told = [(outcome if report.exit.is_result else report.exit.label, gated.rule if gated else "", "", "")]
    for number, trigger in enumerate(report.triggers):
        run = (trigger.created.id or "", trigger.created.url) if trigger.created else ("", "")
        told[number:] = [(trigger.outcome.value, trigger.spec.rule, *run)]
    found = [
        f"export DEPLOYSTEP_{name}{f'_{number}' if number > 1 else ''}={quote(value)}\n"
        for number, values in enumerate(told, start=1)
        for name, value in zip(("OUTCOME", "RULE", "RUN_ID", "RUN_URL"), values, strict=True)
    ]
    return "".join(found).replace("\0", "")
