"""Facts that stand for a build, in the form of `given:` in `cases:`. YAML or JSON."""

from contextlib import suppress
from typing import Final

from deploystep.core.build import Branch, BuildContext, ParallelNode, Tag, Variables, is_fork, is_request, request_of
from deploystep.core.rules import Given
from deploystep.core.source import SourceFile, Spanned
from deploystep.rulefile import fields as f
from deploystep.rulefile.field_types import Fields
from deploystep.rulefile.yaml_reader import Report, Stopped, read

MAX_BYTES: Final = 64 * 1024 * 1024  # the changed files of a large repository
REVISION: Final = "0123456789abcdef0123456789abcdef01234567"


def read_given(source: SourceFile) -> Given:
    """Read the facts. Raises RuleFileInvalid with everything that is wrong with them."""
    report, given = Report(), None
    with suppress(Stopped):
        node = read(source, report, f.GIVEN_BRANCH.example, most=MAX_BYTES)
        given = facts_of(f.FACTS.read(node, "the build", report), report)
    if given is None or report.errors:
        raise report.refusal(source)
    return given


def facts_of(facts: Fields, report: Report) -> Given | None:
    """The facts in a map whose keys have been read; None after a report."""
    branch, tag, sha = facts.get(f.GIVEN_BRANCH), facts.get(f.GIVEN_TAG), facts.get(f.GIVEN_SHA)
    if branch and branch.value and tag and tag.value and (at := facts.both(f.GIVEN_BRANCH, f.GIVEN_TAG)):
        report.error("E301", "a CircleCI build has a branch or a tag, never both", at, "remove one")
        return None
    if not facts.is_clean:
        return None
    if branch is None and tag is None:
        report.error("E103", "this build has no 'branch' or 'tag'", facts.span, "for example  branch: main")
        return None
    # an empty branch beside a tag, as CircleCI sets it, is none
    ref = Tag(tag.value) if tag and (tag.value or branch is None) else Branch(branch.value if branch else "")
    user, stated, fork = facts.get(f.GIVEN_USER), facts.get(f.GIVEN_PR), facts.get(f.GIVEN_FORK)
    revision = sha.value.lower() if sha else REVISION
    environ = {name.value: text.value for name, text in facts.get(f.GIVEN_ENV) or ()}
    environ |= {
        "CIRCLE_SHA1": revision,
        "CIRCLE_BRANCH": ref.name if isinstance(ref, Branch) else "",
        "CIRCLE_TAG": ref.name if isinstance(ref, Tag) else "",
        **({"CIRCLE_USERNAME": user.value} if user else {}),
    }
    variables = Variables(environ)
    number = int(stated.value.replace("false", "0")) if stated else request_of(ref)
    build = BuildContext(
        project=None,
        ref=ref,
        revision=revision,
        node=ParallelNode(0, 1),
        pull_requests=(number,) if number else (),
        fork=is_fork(variables, ref) if fork is None else fork or is_request(ref),
        user=variables.get("CIRCLE_USERNAME"),
        variables=variables,
    )
    author, message, jobs = facts.get(f.GIVEN_AUTHOR), facts.get(f.MESSAGE), facts.get(f.JOBS)
    return Given(
        build=build,
        now=facts.get(f.NOW),
        changed=_values(facts.get(f.CHANGED)),
        merged_into=_values(facts.get(f.GIVEN_MERGED)),
        author=author.value if author else None,
        message=message.value if message else None,
        jobs=None if jobs is None else {name.value: status.value for name, status in jobs},
    )


def _values(texts: tuple[Spanned[str], ...] | None) -> tuple[str, ...] | None:
    return None if texts is None else tuple(text.value for text in texts)
