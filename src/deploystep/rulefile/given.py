"""Facts that stand for a build, in the form of `given:` in `cases:`. YAML or JSON."""

from contextlib import suppress
from typing import Final

from deploystep.core.build import Branch, BuildContext, ParallelNode, Tag, Variables, is_fork, request_of
from deploystep.core.rules import Given
from deploystep.core.source import SourceFile
from deploystep.rulefile.field_types import Field, Fields
from deploystep.rulefile.fields import FACTS
from deploystep.rulefile.yaml_reader import Report, Stopped, read

MAX_BYTES: Final = 64 * 1024 * 1024  # the changed files of a large repository
REVISION: Final = "0123456789abcdef0123456789abcdef01234567"
_BUILD: Final = Field("the build", FACTS, "branch: main", "")


def read_given(source: SourceFile) -> Given:
    """Read the facts. Raises RuleFileInvalid with everything that is wrong with them."""
    report = Report()
    with suppress(Stopped):
        given = facts_of(FACTS.read(read(source, report, _BUILD.example, most=MAX_BYTES), _BUILD, report), report)
        if given and not report.errors:
            return given
    raise report.refusal(source)


def facts_of(facts: Fields, report: Report) -> Given | None:
    """The facts in a map that has been read; None where a part could not be. An empty branch beside a tag is none."""
    branch, tag = (facts[key].value if facts[key] else None for key in ("branch", "tag"))
    if branch and tag and (at := facts.both("branch", "tag")):
        report.add("E301", "a CircleCI build has a branch or a tag, never both", at, "remove one")
    elif not facts.has("branch", "tag"):
        report.add("E103", "this build has no 'branch' or 'tag'", facts.span, "for example  branch: main")
    if facts.unread:
        return None
    ref = Tag(tag or "") if tag or branch is None else Branch(branch)
    stated = {key: facts[key].value for key in ("sha", "user", "author", "message", "pull_request") if facts[key]}
    environ = {name.value: text.value for name, text in facts["env"] or ()}
    sha = stated.get("sha", REVISION).lower()
    environ |= {"CIRCLE_BRANCH": branch or "", "CIRCLE_TAG": tag or "", "CIRCLE_SHA1": sha}
    variables = Variables(environ | ({"CIRCLE_USERNAME": stated["user"]} if "user" in stated else {}))
    number = int(stated["pull_request"].replace("false", "0")) if "pull_request" in stated else request_of(ref)
    requests, user, fork = (number,) if number else (), variables.get("CIRCLE_USERNAME"), facts["fork"]
    fork = is_fork(variables, ref) if fork is None else fork or request_of(ref) is not None
    build = BuildContext(None, ref, sha, ParallelNode(0, 1), requests, fork, user, variables)
    jobs = None if facts["jobs"] is None else {name.value: status.value for name, status in facts["jobs"]}
    changed, merged = (facts[key] and tuple(text.value for text in facts[key]) for key in ("changed", "merged_into"))
    return Given(build, facts["now"], changed, merged, stated.get("author"), stated.get("message"), jobs)
