"""Facts that stand for a build, in the form of `given:` in `cases:`. YAML or JSON."""

from contextlib import suppress
from typing import Final

from deploystep.core.build import Branch, BuildContext, ParallelNode, Tag, Variables, is_fork, is_request, request_of
from deploystep.core.cases import Given
from deploystep.core.source import SourceFile, Spanned
from deploystep.core.times import read_now, zone
from deploystep.rulefile import fields as f
from deploystep.rulefile import yaml_reader
from deploystep.rulefile.field_types import Fields
from deploystep.rulefile.yaml_nodes import Report, Stopped

MAX_BYTES: Final = 64 * 1024 * 1024  # the changed files of a large repository
REVISION: Final = "0123456789abcdef0123456789abcdef01234567"


def read_given(source: SourceFile) -> Given:
    """Read the facts. Raises RuleFileInvalid with everything that is wrong with them."""
    report, given = Report(), None
    if "\t" in source.text and source.text.lstrip("\ufeff \t\r\n").startswith("{"):
        import json  # noqa: PLC0415 - few state their facts in it

        with suppress(ValueError, RecursionError):
            json.loads(source.text.lstrip("\ufeff"))
            # JSON may be indented with tabs; inside of its texts they cannot stand
            source = SourceFile(source.path, source.text.replace("\t", " "))
    with suppress(Stopped):
        node = yaml_reader.read(source, report, f.GIVEN_BRANCH.example, most=MAX_BYTES)
        facts = f.FACTS.read(node, "the build", report)
        given = facts_of(facts, report) if facts is not None else None
    if given is None or report.errors:
        raise report.refusal(source)
    return given


def facts_of(facts: Fields, report: Report) -> Given | None:
    """The facts in a map whose keys have been read; None after a report."""
    before = report.errors
    branch, tag, now = facts.get(f.GIVEN_BRANCH), facts.get(f.GIVEN_TAG), facts.get(f.NOW)
    author, message, jobs = facts.get(f.GIVEN_AUTHOR), facts.get(f.MESSAGE), facts.get(f.JOBS)
    if branch and branch.value and tag and tag.value and (at := facts.both(f.GIVEN_BRANCH, f.GIVEN_TAG)):
        report.error("E301", "a CircleCI build has a branch or a tag, never both", at, "remove one")
    elif branch is None and tag is None and not facts.is_broken and facts.is_clean:
        report.error("E103", "this build has no 'branch' or 'tag'", facts.span, "for example  branch: main")
    try:
        if now is not None:  # in which zone it is meant, its reader decides
            read_now(now.value, zone("UTC"))
    except ValueError as error:
        what, _, hint = str(error).partition(": expected ")
        report.error("E403", what, now.span if now else facts.span, f"write {hint}" if hint else "")
    if report.errors > before or not facts.is_clean:
        return None
    # an empty branch beside a tag, as CircleCI sets it, is none
    ref = Tag(tag.value) if tag and (tag.value or branch is None) else Branch(branch.value if branch else "")
    return Given(
        build=_build(facts, ref),
        now=now,
        changed=_values(facts.get(f.CHANGED)),
        merged_into=_values(facts.get(f.GIVEN_MERGED)),
        author=author.value if author else None,
        message=message.value if message else None,
        jobs=None if jobs is None else {name.value: status.value for name, status in jobs},
    )


def _build(facts: Fields, ref: Branch | Tag) -> BuildContext:
    sha, user, stated = facts.get(f.GIVEN_SHA), facts.get(f.GIVEN_USER), facts.get(f.GIVEN_PR)
    revision, fork = sha.value.lower() if sha else REVISION, facts.get(f.GIVEN_FORK)
    environ = {name.value: text.value for name, text in facts.get(f.GIVEN_ENV) or ()}
    environ |= {
        "CIRCLE_SHA1": revision,
        "CIRCLE_BRANCH": ref.name if isinstance(ref, Branch) else "",
        "CIRCLE_TAG": ref.name if isinstance(ref, Tag) else "",
        **({"CIRCLE_USERNAME": user.value} if user else {}),
    }
    variables = Variables(environ)
    number = int(stated.value.replace("false", "0")) if stated else request_of(ref)
    return BuildContext(
        project=None,
        ref=ref,
        revision=revision,
        node=ParallelNode(0, 1),
        pull_requests=(number,) if number else (),
        fork=is_fork(variables, ref) if fork is None else fork or is_request(ref),
        user=variables.get("CIRCLE_USERNAME"),
        variables=variables,
    )


def _values(texts: tuple[Spanned[str], ...] | None) -> tuple[str, ...] | None:
    return None if texts is None else tuple(text.value for text in texts)
