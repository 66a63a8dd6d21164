"""What `--export` writes: bash reads each value as it is, whatever it holds."""

import subprocess
from pathlib import Path

import pytest
from builds import spec
from fakes import HOST
from hypothesis import given, settings
from hypothesis import strategies as st
from reports import outcome, report

from deploystep.app.report import Report, TriggerEntry
from deploystep.core.deploy import Outcome
from deploystep.core.errors import UsageError
from deploystep.core.runs import Created
from deploystep.render.text import exports as lines


def read(text: str, folder: Path) -> dict[str, str]:
    """The variables as bash has them that reads the lines, and executes nothing else."""
    (folder / "env").write_bytes(text.encode("utf-8", "replace"))
    shows = 'for n in ${!DEPLOYSTEP_*}; do printf "%s=%s\\0" "$n" "${!n}"; done'
    environ = {"BASH_ENV": str(folder / "env"), "LC_ALL": "C"}
    done = subprocess.run(["bash", "-c", shows], env=environ, capture_output=True, check=True)
    assert done.stderr == b""
    return dict(part.split("=", 1) for part in done.stdout.decode().split("\0")[:-1])


@settings(max_examples=25, deadline=None)
@given(value=st.text(st.sampled_from("a'\"$`\\\n;|&!#(){}*\0é \r\t"), max_size=20), name=st.text(max_size=5))
def test_hostile_values(value: str, name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    made = outcome(Outcome.TRIGGERED, Created(value, 1, f"https://{name}{value}"))
    folder = tmp_path_factory.mktemp("env")
    found = read(lines(made), folder)
    assert found["DEPLOYSTEP_RUN_ID"] == value.replace("\0", "")
    assert found["DEPLOYSTEP_RUN_URL"].startswith("https://")
    assert len(found) == 4


def test_several_triggers_are_numbered_and_a_failure_is_named() -> None:
    made = outcome(Outcome.TRIGGERED, Created("1", 1, "u"))
    made.triggers.append(TriggerEntry(spec(rule="second"), HOST, made.triggers[0].request, Outcome.NOT_SENT))
    second = ("OUTCOME_2=not-sent", "RULE_2=second", "RUN_ID_2=''", "RUN_URL_2=''")
    assert lines(made).splitlines()[4:] == [f"export DEPLOYSTEP_{line}" for line in second]
    failed = Report("run")
    failed.fail(UsageError("x", "y", "z"))
    assert lines(failed).startswith("export DEPLOYSTEP_OUTCOME=usage\nexport DEPLOYSTEP_RULE=''\n")
    assert lines(report()).startswith("export DEPLOYSTEP_OUTCOME=planned\nexport DEPLOYSTEP_RULE=staging\n")
