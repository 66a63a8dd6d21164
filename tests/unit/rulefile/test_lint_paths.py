"""Patterns of paths beside the files that git tracks."""

from __future__ import annotations

import pytest

from deploystep.core.source import SourceFile
from deploystep.rulefile.lint import check_paths
from deploystep.rulefile.load import load
from deploystep.rulefile.yaml_nodes import Report

FILES = ("README.md", "services/api/main.py", "services/web/app.js")
RULES = """\
version: 1
rules:
  - name: a
    when: {{branch: main, paths: {{only: {}, since: previous-commit}}}}
    deploy: {{workflow: x, parameters: {{d: true}}}}
"""


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("services/**", None),
        ("*.md", None),
        ("service/api/**", "did you mean 'services/api/**'?"),
        ("services/ap", "did you mean 'services/api/**'?"),
        ("READM.md", "did you mean 'README.md'?"),
        ("nothing-like-it/at-all/**", "is the path spelt as git has it?"),
        ("**/*.rs", "is the path spelt as git has it?"),
    ],
)
def test_a_pattern_that_matches_no_file_is_told_with_the_nearest(pattern: str, hint: str | None) -> None:
    source, report = SourceFile("deploy.yml", RULES.format(f'"{pattern}"')), Report()
    check_paths(load(source), FILES, report)
    found = [(d.code, d.message, d.hint) for d in report.within(source)]
    assert found == ([("W705", f"no file of this repository matches '{pattern}'", hint)] if hint else [])
