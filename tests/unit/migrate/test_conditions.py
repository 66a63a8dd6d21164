"""Conditions of scripts: real bash, with the variables of a build, decides as the rule does that is made of them."""

import shlex
import subprocess
from collections.abc import Callable

import pytest

from deploystep.core.decide import Verdict, decide
from deploystep.core.facts import Facts
from deploystep.core.source import SourceFile
from deploystep.migrate import rules, shell
from deploystep.migrate.conditions import ALWAYS, Condition, Part, divide
from deploystep.project.reading import Map
from deploystep.rulefile.given import read_given
from deploystep.rulefile.load import load

BUILDS: list[dict[str, str]] = [
    *({"CIRCLE_BRANCH": name} for name in (
        "main", "master", "develop", "release/1", "release/1/2", "feature/x", "feature-x", "hotfix-1", "xmainx", "v1.0",
    )),
    *({"CIRCLE_TAG": name} for name in ("v1.0", "v2", "main", "1.0")),
]  # fmt: skip

CERTAIN = [
    'if [ "${CIRCLE_BRANCH}" == "master" ]; then\n  D\nelse\n  echo no\nfi',
    "if [[ $CIRCLE_BRANCH == master ]]; then D; fi",
    'if [ "$CIRCLE_BRANCH" = main ] && [ -z "$CIRCLE_TAG" ]; then D; fi',
    "[[ -n $CIRCLE_TAG ]] && D",
    'if [ -n "$CIRCLE_TAG" ]; then D; elif [ "$CIRCLE_BRANCH" = develop ]; then D 2; else echo; fi',
    'case "$CIRCLE_BRANCH" in\n  main|master) D 1 ;;\n  release/*) D 2 ;;\n  *) echo nothing ;;\nesac',
    "case $CIRCLE_BRANCH in\n  main) D 1 ;;\n  *) D 3 ;;\nesac",
    'case "${CIRCLE_TAG:-}" in\n  "") D branch ;;\n  v[0-9]*) D version ;;\nesac',
    'if test "$CIRCLE_BRANCH" != "main"; then D; fi',
    "if [ -z $CIRCLE_TAG ]; then D; fi",
    'if [[ "$CIRCLE_TAG" == v* && -z "$CIRCLE_BRANCH" ]]; then D; fi',
    'if ! [ "$CIRCLE_BRANCH" = main ]; then D; fi',
    'if [ "main" = "$CIRCLE_BRANCH" ]; then D; fi',
    'if [ "$CIRCLE_BRANCH" == main ] || [[ -n "$CIRCLE_TAG" ]]; then D; fi',
    'if [[ "${CIRCLE_TAG:-}" = "" ]]; then D; fi',
    "if [[ $CIRCLE_BRANCH == feature-* ]]; then D 1; elif [[ $CIRCLE_BRANCH != hotfix* ]]; then D 2; fi",
    'if [ "$CIRCLE_BRANCH" = main ]; then echo no; else echo "$(D 7)"; fi',
    'if [[ $CIRCLE_BRANCH == release/* ]]; then\n  echo a\n  if [ "$CIRCLE_BRANCH" != release/1 ]; then D; else exit 0; fi\nfi',
    'if [ "$CIRCLE_BRANCH" != main ]; then if [ "$CIRCLE_BRANCH" = develop ]; then exit 0; fi; D 1; else [ -n "" ] || D 2; fi',
    'if [ "$CIRCLE_BRANCH" = main ]; then D > /dev/stderr; D 9 >&1; fi',
    'case "$CIRCLE_TAG" in v1) D 1;; **) D 2;; esac',
    "case $CIRCLE_BRANCH in main) [[ -z $CIRCLE_TAG ]] && D 1;; (v* | *mai*) D 2; D || true;; esac",
    'if [[ $CIRCLE_BRANCH == release/* ]]; then declare A=1; D "$(cat <<EOF\n$A\nEOF\n)"; set -u; D 2 | cat >&2; fi',
    'set -e; echo "a" >&2; [ -n "$CIRCLE_BRANCH" ] && [[ $CIRCLE_BRANCH == feature* || main == $CIRCLE_BRANCH ]] && D',
    'if [ "$CIRCLE_BRANCH" != develop ] || [ "$CIRCLE_BRANCH" = main ]; then D; fi',
    "if [[ $CIRCLE_BRANCH == release/* || -n $CIRCLE_TAG || $CIRCLE_BRANCH == release/1 ]]; then D; fi",
    'if [ "$CIRCLE_BRANCH" = main ]; then D; else echo ${V:?}; fi',
    '[ "$CIRCLE_BRANCH" = main ] && cat <<EOF\nx\nEOF',
]  # fmt: skip

UNCERTAIN = [
    # tests that are not read
    "if git log -1 | grep foo; then D; fi",
    "if [[ true ]]; then D; fi",
    'if [ "$CIRCLE_BRANCH" != main ]; then exit 0; fi\nD',
    '[ "$CIRCLE_BRANCH" = master ] || exit 0\nD',
    'if [ "$CIRCLE_PROJECT_USERNAME" = acme ]; then D; fi',
    'test() { D 3; }; if test "$CIRCLE_BRANCH" = main; then D; fi',
    *(
        f"if [ {test} ]; then D; fi"
        for test in (
            '"x$CIRCLE_BRANCH" = xmain', '"${CIRCLE_BRANCH:0:4}" = main', '"$CIRCLE_BRANCH" = "$DEPLOY_BRANCH"', '-z "$FOO"',
            '"$CIRCLE_BRANCH" == main -o "$CIRCLE_BRANCH" = x', "$CIRCLE_BRANCH = main -a -n x", "! $CIRCLE_BRANCH = main",
            '-f x ] && [ "$CIRCLE_BRANCH" = main', '"$CIRCLE_TAG" = v1 ] && [ "$CIRCLE_BRANCH" = main', "-n $FOO", "-z $FOO",
            '"<< pipeline.git.tag >>" = v1', "$CIRCLE_BRANCH != main", "-n $CIRCLE_TAG", '$CIRCLE_TAG = ""', "$CIRCLE_BRANCH = v*",
            '"$CIRCLE_BRANCH" = "**" ] || [ "$CIRCLE_BRANCH" = main', '"$CIRCLE_BRANCH" = "feature/*"', '"$CIRCLE_TOKEN" = 1',
            '"$CIRCLE_BRANCH" = refs/heads/main', '"$CIRCLE_BRANCH" = /main/', '"$UID" = 0', '"$CIRCLE_USERNAME" != x', '-z "$CIRCLE_USERNAME"',
        )
    ),
    *(
        f"if [[ $CIRCLE_BRANCH {test} ]]; then D; fi"
        for test in (
            "= @(main|develop)", "!= *", "=~ ^main$", "= main && ( -n $CIRCLE_TAG || -z $CIRCLE_TAG )",
            "== release/* && $CIRCLE_BRANCH == *1 && $CIRCLE_BRANCH == r*1",
        )
    ),
    'case "$CIRCLE_BRANCH" in main) D;& develop) D 2;; esac',
    'case "$CIRCLE_BRANCH" in @(main|x)) D;; esac',  # no pattern without `shopt -s extglob`
    "if [[ $CIRCLE_BRANCH == release/* && $CIRCLE_BRANCH != release/1 ]]; then D 1; else D 2; fi",
    # something else that lasts
    'if [ "$CIRCLE_BRANCH" = main ]; then D; fi\nD again',
    'case "$CIRCLE_BRANCH" in\n  main) E=prod ;;\nesac\nD $E',
    '[ "$CIRCLE_BRANCH" = main ] && D || exit 0\n[ "$CIRCLE_TAG" = v2 ] && D 2',
    'if [ "$CIRCLE_BRANCH" = main ]; then D 1; fi\nif [ "$CIRCLE_BRANCH" = develop ]; then D 2; fi',
    *(
        f'{before}\nif [ "$CIRCLE_BRANCH" = main ]; then D; fi'
        for before in (
            ': "${CIRCLE_BRANCH:=main}"', "printf -v CIRCLE_BRANCH main", "read CIRCLE_BRANCH < file", "source ./x", "set +e",
            "set -u", "CIRCLE_BRANCH=${CIRCLE_BRANCH:-main}", "export A=1", "echo ${V:?}", "echo $(D)", "echo > out", "echo &",
            "echo <(D)", "test() { true; }", "true && exit 0", "A=1", "exit 0", "cat <<EOF\nx\nEOF",
        )
    ),
    # another end than the script's
    '[ "$CIRCLE_BRANCH" = main ] || exit\nD 8',
    'if [ "$CIRCLE_BRANCH" = main ]; then exit 0; fi &\nD',
    '[ "$CIRCLE_BRANCH" = main ] && D || D 2',
    '[ "$CIRCLE_BRANCH" = main ] && ! D',
    '[ "$CIRCLE_BRANCH" = main ] && D &',
    'if [[ "$CIRCLE_BRANCH" = main ]] > out; then D; fi',
    *(
        f'if [ "$CIRCLE_BRANCH" = main ]; then {after}'
        for after in (
            'D "$(cat)"; fi <<< hello', "D; fi &", "D; fi > out.txt", "D; fi | cat", "D && D 2; fi; exit 0", "D; ! false; fi; echo",
            "fi", "D; else echo wrong; exit 1; fi", "true || exit 0; fi\nD", "cat <<EOF; fi\nx\nEOF",
        )
    ),
]  # fmt: skip


def parts(script: str) -> list[tuple[Part, Condition]]:
    return [(part, part.condition) for part in divide(shell.parse(script)[0], script)]


def bash(scripts_of: Callable[[int], list[str]]) -> list[list[str]]:
    """What D is called with in each build, by real bash with the options that CircleCI gives it."""
    text = 'D() { echo "D $*"; }\n'
    for number, build in enumerate(BUILDS):
        text += f"echo == {number}\n"
        for script in scripts_of(number):
            sets = "; ".join(f"export {name}={shlex.quote(value)}" for name, value in build.items())
            text += f"( {sets}; set -eo pipefail; eval {shlex.quote(script)} )\n"
    environ = {"PATH": "/usr/bin:/bin"}
    ran = subprocess.run(["bash"], input=text, env=environ, capture_output=True, text=True, check=False)
    chunks = ran.stdout.split("== ")[1:]
    assert len(chunks) == len(BUILDS), ran.stderr
    return [sorted(line for line in chunk.splitlines() if line.startswith("D")) for chunk in chunks]


@pytest.mark.parametrize("script", CERTAIN)
def test_a_rule_decides_as_bash_does(script: str) -> None:
    found = parts(script)
    made = [rules.Rule(f"part-{i}", holds, None, ()) for i, (_, holds) in enumerate(found)]
    text = rules.file_with(None, Map(), made)
    assert text is not None
    assert [part.condition for part, _ in found] != [ALWAYS], "nothing is translated"
    file = load(SourceFile("deploy.yml", text))

    fired = []
    for build in BUILDS:
        ref = f"branch: {build['CIRCLE_BRANCH']}" if "CIRCLE_BRANCH" in build else f"tag: '{build['CIRCLE_TAG']}'"
        given = read_given(SourceFile("given", f"{{{ref}}}"))
        decision = decide(file, Facts(given.build))
        fired.append({j.rule.name.value for j in decision.judgements if j.verdict is Verdict.FIRE})

    def of_rules(number: int) -> list[str]:
        return [part.text(script) for i, (part, _) in enumerate(found) if f"part-{i}" in fired[number]]

    assert dict(enumerate(bash(of_rules))) == dict(enumerate(bash(lambda _: [script])))


@pytest.mark.parametrize("script", UNCERTAIN)
def test_what_is_not_certain_is_not_translated(script: str) -> None:
    try:
        conditions = [part.condition for part, _ in parts(script)]
    except shell.Uncertain:
        return
    assert conditions == [ALWAYS]
