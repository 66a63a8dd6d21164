"""Facts that stand for a build, in the form of `given:` in `cases:`. YAML or JSON."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from deploystep.core.build import (
    CLOUD,
    Branch,
    BuildContext,
    Claims,
    ParallelNode,
    Tag,
    Variables,
    is_fork,
)
from deploystep.core.cases import Given
from deploystep.core.source import SourceFile, Spanned
from deploystep.core.times import read_now, zone
from deploystep.rulefile import fields as f
from deploystep.rulefile import reader
from deploystep.rulefile.nodes import Node, Report
from deploystep.rulefile.shapes import Field, Fields
from deploystep.rulefile.verdicts import inside, invalid

REVISION: Final = "0123456789abcdef0123456789abcdef01234567"
_PULL: Final = "pull/"


def read_given(source: SourceFile) -> Given:
    """Read the facts. Raises RuleFileInvalid with everything that is wrong with them."""
    report = Report()
    node = reader.read(_without_json_tabs(source), report, f.GIVEN_BRANCH.example)
    given = read_facts(node, report) if node is not None else None
    if given is None or report.errors:
        raise invalid(source, inside(source, report.diagnostics))
    return given


def _without_json_tabs(source: SourceFile) -> SourceFile:
    """JSON may be indented with tabs; inside of its texts they cannot stand."""
    if "\t" not in source.text or not source.text.lstrip("\ufeff \t\r\n").startswith("{"):
        return source
    import json  # noqa: PLC0415 - few state their facts in it

    try:
        json.loads(source.text.lstrip("\ufeff"))
    except (ValueError, RecursionError):
        return source
    return SourceFile(source.path, source.text.replace("\t", " "))


def read_facts(node: Node, report: Report) -> Given | None:
    """The facts in a map; None after a report."""
    before = report.errors
    facts = f.FACTS.read(node, "given", report)
    given = facts_of(facts, report) if facts else None
    return given if report.errors == before else None


def facts_of(facts: Fields, report: Report) -> Given | None:
    """The facts in a map whose keys have been read; None after a report."""
    before = report.errors
    ref = _ref(facts, report)
    _check_now(facts.get(f.NOW), report)
    if ref is None or report.errors > before:
        return None
    return Given(
        build=_build(facts, ref),
        now=facts.get(f.NOW),
        changed=_texts(facts, f.CHANGED),
        merged_into=_texts(facts, f.GIVEN_MERGED),
        author=_text(facts, f.GIVEN_AUTHOR),
        message=_text(facts, f.MESSAGE),
        jobs=_mapping(facts, f.JOBS),
    )


def _ref(facts: Fields, report: Report) -> Branch | Tag | None:
    branch, tag = facts.get(f.GIVEN_BRANCH), facts.get(f.GIVEN_TAG)
    if branch is not None and branch.value and tag is not None and tag.value:
        report.error(
            "E301",
            "a CircleCI build has a branch or a tag, never both",
            max(facts.at(f.GIVEN_BRANCH), facts.at(f.GIVEN_TAG)),
            "remove one",
        )
    elif branch is None and tag is None and not facts.is_broken and facts.is_clean:
        report.error("E103", "this build has no 'branch' or 'tag'", facts.span, "for example  branch: main")
    if tag is not None and (tag.value or branch is None):
        return Tag(tag.value)
    return None if branch is None else Branch(branch.value)


def _check_now(now: Spanned[str] | None, report: Report) -> None:
    """Whether the time can be read; in which zone, its reader decides."""
    if now is None:
        return
    try:
        read_now(now.value, zone("UTC"))
    except ValueError as error:
        message, _, hint = str(error).partition(": expected ")
        report.error("E403", message, now.span, f"write {hint}" if hint else "")


def _build(facts: Fields, ref: Branch | Tag) -> BuildContext:
    stated = dict(_mapping(facts, f.GIVEN_ENV) or {})
    fork = facts.get(f.GIVEN_FORK)
    revision = (_text(facts, f.GIVEN_SHA) or REVISION).lower()
    user = facts.get(f.GIVEN_USER)
    variables = Variables(
        {
            **stated,
            "CIRCLE_SHA1": revision,
            "CIRCLE_BRANCH": ref.name if isinstance(ref, Branch) else "",
            "CIRCLE_TAG": ref.name if isinstance(ref, Tag) else "",
            "CIRCLE_USERNAME": user.value if user else stated.get("CIRCLE_USERNAME", ""),
        }
    )
    return BuildContext(
        project=None,
        ref=ref,
        revision=revision,
        node=ParallelNode(0, 1),
        pull_requests=_pull_requests(facts, ref),
        fork=is_fork(variables, ref) or (fork is not None and fork.value),
        user=variables.get("CIRCLE_USERNAME"),
        host=CLOUD,
        pipeline_id=None,
        workflow_id=None,
        build_num=None,
        claims=Claims(),
        variables=variables,
    )


def _pull_requests(facts: Fields, ref: Branch | Tag) -> tuple[int, ...]:
    """As stated; else what a fork's branch says by its name."""
    stated = facts.get(f.GIVEN_PR)
    if stated is not None:
        return (stated.value,) if stated.value else ()
    number = ref.name.removeprefix(_PULL)
    is_pull = isinstance(ref, Branch) and ref.name.startswith(_PULL) and number.isascii() and number.isdigit()
    # more digits than any pull request has are only a name
    return (int(number),) if is_pull and len(number) < 19 else ()  # noqa: PLR2004 - fits 64 bits


def _text(facts: Fields, known: Field[Spanned[str]]) -> str | None:
    found = facts.get(known)
    return None if found is None else found.value


def _texts(facts: Fields, known: Field[tuple[Spanned[str], ...]]) -> tuple[str, ...] | None:
    found = facts.get(known)
    return None if found is None else tuple(text.value for text in found)


def _mapping(facts: Fields, known: Field[tuple[tuple[Spanned[str], Spanned[str]], ...]]) -> Mapping[str, str] | None:
    found = facts.get(known)
    return None if found is None else MappingProxyType({name.value: text.value for name, text in found})
