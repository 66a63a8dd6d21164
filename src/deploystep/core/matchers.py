"""Whether one matcher holds: the words of each, and what it needs to know."""

from collections.abc import Iterable
from typing import Final, cast

from deploystep.core.build import FORK_VARIABLES, BuildContext
from deploystep.core.closed import assert_never
from deploystep.core.facts import AuthorOf, Cost, Facts, IsMergedInto, Known, MessageOf, Question, Unavailable
from deploystep.core.parameters import PUBLIC_VARIABLES
from deploystep.core.paths import PathIndex
from deploystep.core.patterns import Pattern
from deploystep.core.rules import EnvIs, FlagIs, Matcher, MergedInto, MessageContains, NameIs, PathsChanged, Patterns
from deploystep.core.source import Diagnostic, Severity, Span, Spanned
from deploystep.core.trace import Answer, Reason, Trace, all_of, any_of, leaf, unanswered


def cost(matcher: Matcher) -> Cost:
    """How expensive the matcher's fact is; cheap ones are judged first, because they often settle it."""
    if isinstance(matcher, MessageContains) or (isinstance(matcher, NameIs) and matcher.word == "author"):
        return Cost.COMMIT
    if isinstance(matcher, MergedInto):
        return Cost.ANCESTRY
    return Cost.PATHS if isinstance(matcher, PathsChanged) else Cost.ENVIRONMENT


def match(  # noqa: RET503 - a line for each kind
    matcher: Matcher, facts: Facts, index: PathIndex | None = None, *, stops: bool = False
) -> Trace:
    """Whether one matcher holds; `index` holds it among the path filters that are used together with it.

    `stops`: it keeps a rule from firing, so what is blank must not be taken for something else.
    """
    if isinstance(matcher, NameIs):
        return _name(matcher, facts, stops=stops)
    if isinstance(matcher, FlagIs):
        return _flag(matcher, facts.build)
    if isinstance(matcher, EnvIs):
        parts = tuple(_variable(name.value, patterns, name.span, facts.build) for name, patterns in matcher.variables)
        return all_of("env " + ", ".join(name.value for name, _ in matcher.variables), parts, matcher.span)
    if isinstance(matcher, MessageContains):
        return _message(matcher, facts)
    if isinstance(matcher, MergedInto):
        parts = tuple(_merged_into(branch, facts) for branch in matcher.branches)
        return any_of("merged_into " + _listed(matcher.branches), parts, matcher.span)
    if isinstance(matcher, PathsChanged):
        return _paths(matcher, facts, index or PathIndex((matcher,)))
    assert_never(matcher)


def _name(matcher: NameIs, facts: Facts, *, stops: bool) -> Trace:
    word, build = matcher.word, facts.build
    claim = f"{word} {_listed(matcher.patterns)}"
    if word == "author":
        answer = asked(claim, AuthorOf(), matcher.span, facts)
        if isinstance(answer, Trace):
            return answer
        value = cast("str | None", answer.value)
    else:
        value = {"branch": build.branch, "tag": build.tag, "user": build.user}[word]
    if not value and word == "user" and stops:
        what = "cannot tell who started this build: CIRCLE_USERNAME is not set, as for bots and schedules"
        cure = "use author: or a branch pattern, such as branch: dependabot/**, instead of user:"
        return unanswered(claim, Diagnostic("U107", what, matcher.span, cure, Severity.UNDECIDED))
    if not value:
        blank = "it is empty" if value == "" else _BLANK[word]
        return leaf(claim, f"{word} — {blank}", matcher.span, holds=False)
    found = next((p for p in matcher.patterns if p.value.matches(value)), None)
    if found is None:
        return leaf(claim, _near_miss(word, value, matcher.patterns), matcher.span, holds=False)
    because = f"{word} {value}" + ("" if found.value.text == value else f" matches {found.value.text}")
    return leaf(claim, because, found.span, holds=True)


_BLANK: Final = {
    "branch": "this is a tag build",
    "tag": "this is a branch build",
    "user": "CIRCLE_USERNAME is not set",
    "author": "it is empty",
}


def _listed(values: Iterable[Spanned[Pattern] | Spanned[str]]) -> str:
    return " or ".join(v.value if isinstance(v.value, str) else v.value.text for v in values)


def _near_miss(word: str, value: str, patterns: Patterns) -> str:
    said = f"{word} {value} does not match {_listed(patterns)}"
    if any(p.value.text.casefold() == value.casefold() for p in patterns):
        return f"{said}; upper and lower case differ"
    if len(patterns) > 1 or not patterns[0].value.text.startswith("/"):
        return said
    prefix = patterns[0].value.viable_prefix(value)
    return f"{said}; it matches up to `{prefix}`" if prefix else said


def _flag(matcher: FlagIs, build: BuildContext) -> Trace:
    claim = f"{matcher.word} {str(matcher.wanted).lower()}"
    if matcher.word == "fork":
        if build.fork is None:
            return unclear_fork(claim, matcher.span, build)
        is_so, because = build.fork, "this is a fork build" if build.fork else "fork — this is not a fork build"
    else:
        is_so = build.pull_request is not None
        others = "".join(f"; {url} is of another repository" for url in build.foreign_requests)
        because = f"pull request {build.pull_request}" if is_so else f"pull_request — there is none{others}"
    return leaf(claim, because, matcher.span, holds=is_so is matcher.wanted)


def unclear_fork(claim: str, span: Span, build: BuildContext) -> Trace:
    """A claim about forks where the variables contradict one another."""
    name = next(name for name in FORK_VARIABLES if build.variables.get(name) is not None)
    ref = f"tag {build.tag}" if build.tag else f"branch {build.branch}"
    what = f"cannot tell whether this is a fork build: {name} is set, and {ref} is no pull request's"
    cure = f"CircleCI sets {name} only for forks: take it out of the project's settings, contexts and config"
    return unanswered(claim, Diagnostic("U106", what, span, cure, Severity.UNDECIDED))


def _variable(name: str, patterns: Patterns, span: Span, build: BuildContext) -> Trace:
    """One variable's claim. Its value is shown only where CircleCI itself sets it: others can hold secrets."""
    value = build.variables.get(name)
    claim = f"env {name} {_listed(patterns)}"
    if value is None:
        return leaf(claim, f"env {name} — it is not set", span, holds=False)
    shown = f" {value}" if name in PUBLIC_VARIABLES else ""
    found = next((p for p in patterns if p.value.matches(value)), None)
    if found is None:
        return leaf(claim, f"env {name}{shown} does not match {_listed(patterns)}", span, holds=False)
    return leaf(claim, f"env {name}{shown} matches {found.value.text}", found.span, holds=True)


def _message(matcher: MessageContains, facts: Facts) -> Trace:
    claim = f"message_contains {_listed(matcher.texts)}"
    answer = asked(claim, MessageOf(), matcher.span, facts)
    if isinstance(answer, Trace):
        return answer
    message = cast("str", answer.value)
    found = next((text for text in matcher.texts if text.value in message), None)
    if found is None:
        because = f"the commit message does not contain {' or '.join(repr(t.value) for t in matcher.texts)}"
        return leaf(claim, because, matcher.span, holds=False)
    return leaf(claim, f"the commit message contains {found.value!r}", found.span, holds=True)


def _merged_into(branch: Spanned[str], facts: Facts) -> Trace:
    claim = f"merged_into {branch.value}"
    answer = asked(claim, IsMergedInto(branch.value), branch.span, facts)
    if isinstance(answer, Trace):
        return answer
    is_merged = answer.value is True
    short = facts.build.revision[:7]
    return leaf(claim, f"{short} is {'' if is_merged else 'not '}on {branch.value}", branch.span, holds=is_merged)


def _paths(matcher: PathsChanged, facts: Facts, index: PathIndex) -> Trace:
    claim = "paths " + (_listed(matcher.only) or "**")
    answer = asked(claim, matcher.since, matcher.span, facts)
    if isinstance(answer, Trace):
        return answer
    changed = cast("tuple[str, ...]", answer.value)
    found = index.count_of(matcher, changed)
    files, match_ = ("file", "matches") if len(changed) == 1 else ("files", "match")
    total = f"{len(changed)} changed {files} {match_}"
    note = f" ({answer.note})" if answer.note else ""
    if not found.count:
        because = f"none of {total}{note}" if changed else "no files changed"
        return leaf(claim, because, matcher.span, holds=False)
    more = f" and {found.count - 1} more" if found.count > 1 else ""
    return leaf(claim, f"{found.count} of {total}: {found.first}{more}{note}", matcher.span, holds=True)


def asked(claim: str, question: Question, span: Span, facts: Facts) -> Known[object] | Trace:
    """The answer to a question, or the trace of a claim that has none."""
    answer = facts.answers.get(question)
    if answer is None:
        return Trace(claim, Answer.UNKNOWN, (Reason(f"{claim} — not asked", span.line),), span, wants=(question,))
    if isinstance(answer, Unavailable):
        return unanswered(claim, Diagnostic(answer.code, answer.reason, span, answer.cure, Severity.UNDECIDED))
    return answer
