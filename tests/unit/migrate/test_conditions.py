"""Conditions of scripts: real bash, with the variables of a build, decides as the rule does that is made of them."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from deploystep.core.decide import Verdict, decide
from deploystep.core.facts import Facts
from deploystep.core.source import SourceFile
from deploystep.migrate import rules, scripts, shell
from deploystep.migrate.conditions import ALWAYS, Uncertain, When, when
from deploystep.rulefile.given import read_given
from deploystep.rulefile.load import load

if TYPE_CHECKING:
    from collections.abc import Callable

BUILDS: list[dict[str, str]] = [
    *({"CIRCLE_BRANCH": name} for name in (
        "main", "master", "develop", "release/1", "release/1/2", "feature/x", "feature-x", "hotfix-1", "xmainx", "v1.0",
    )),
    *({"CIRCLE_TAG": name} for name in ("v1.0", "v2", "main", "1.0")),
]  # fmt: skip
MORE: list[dict[str, str]] = [{}, {"FOO": "1"}, {"BAR": "1"}, {"CIRCLE_PROJECT_USERNAME": "acme"}]
ALL = [{**build, **more} for build in BUILDS for more in MORE]

CERTAIN = [
    'if [ "${CIRCLE_BRANCH}" == "master" ]; then\n  D\nelse\n  echo no\nfi',
    "if [[ $CIRCLE_BRANCH == master ]]; then D; fi",
    'if [ "$CIRCLE_BRANCH" = main ] && [ -z "$CIRCLE_TAG" ]; then D; fi',
    'if [[ "$CIRCLE_BRANCH" =~ ^release/.*$ || "$CIRCLE_BRANCH" == "main" ]]; then D; fi',
    'if [ "$CIRCLE_BRANCH" != "master" ]; then echo skip; exit 0; fi\nD',
    '[ "$CIRCLE_BRANCH" = master ] || exit 0\nD',
    "[[ -n $CIRCLE_TAG ]] && D",
    'if [ -n "$CIRCLE_TAG" ]; then D; elif [ "$CIRCLE_BRANCH" = develop ]; then D 2; else echo; fi',
    'case "$CIRCLE_BRANCH" in\n  main|master) D 1 ;;\n  release/*) D 2 ;;\n  *) echo nothing ;;\nesac',
    "case $CIRCLE_BRANCH in\n  main) D 1 ;;\n  *) D 3 ;;\nesac",
    'case "${CIRCLE_TAG:-}" in\n  "") D branch ;;\n  v[0-9]*) D version ;;\nesac',
    'if test "$CIRCLE_BRANCH" != "main"; then D; fi',
    "if [ $CIRCLE_BRANCH != main ]; then D; fi",  # an error of `[` on a tag, and so false
    "if [ -n $CIRCLE_TAG ]; then D; fi",  # always true: `-n` is the only word there is on a branch
    "if [ -z $CIRCLE_TAG ]; then D; fi",
    'if [ "$CIRCLE_BRANCH" == "main" -o "$CIRCLE_BRANCH" = "develop" ]; then D; fi',
    'if [[ ! "$CIRCLE_BRANCH" =~ (feature|fix)/ ]]; then D; fi',
    r"if [[ $CIRCLE_TAG =~ ^v[0-9]+\.[0-9]+$ ]]; then D; fi",
    "if [[ $CIRCLE_TAG =~ ^v[[:digit:]]+$|^1 ]]; then D; fi",
    'if [[ "$CIRCLE_TAG" == v* && -z "$CIRCLE_BRANCH" ]]; then D; fi',
    "BRANCH=$CIRCLE_BRANCH\nif [ \"$BRANCH\" = main ]; then\n  # don't forget\n  D\nfi",
    'if [ "$CIRCLE_PROJECT_USERNAME" == "acme" ] && [ "$CIRCLE_BRANCH" == "main" ]; then D; fi',
    'if [[ "$CIRCLE_BRANCH" == "main" && ( -n "$FOO" || "$BAR" == 1 ) ]]; then D; fi',
    'if [ -z "$FOO" ]; then D; fi',
    'if [ "<< pipeline.git.branch >>" = "main" ]; then D; fi',
    'if ! [ "$CIRCLE_BRANCH" = main ]; then D; fi',
    'if [ "main" = "$CIRCLE_BRANCH" ]; then D; fi',
    "if [[ $CIRCLE_BRANCH = @(main|develop) ]]; then D; fi",
    'if [ "$CIRCLE_BRANCH" == main ] || [[ -n "$CIRCLE_TAG" ]]; then D; fi',
    'if [ "$CIRCLE_NODE_INDEX" = 0 ] && [ "$CIRCLE_BRANCH" = main ]; then D; fi',
    'if [[ "${CIRCLE_TAG:-}" = "" ]]; then D; fi',
    "if [[ $CIRCLE_BRANCH =~ main ]]; then D; fi",
    'if [ "$CIRCLE_BRANCH" = main ]; then D 1; fi\nif [ "$CIRCLE_BRANCH" = develop ]; then D 2; fi',
    "if [[ $CIRCLE_BRANCH == feature-* ]]; then D 1; elif [[ $CIRCLE_BRANCH != hotfix* ]]; then D 2; fi",
    '{ [ "$CIRCLE_BRANCH" = main ] || [ "$CIRCLE_BRANCH" = develop ]; } && D || true',
    "if [[ true ]]; then D; fi",
    "set -e\nexport A=1\nif [ \"$CIRCLE_BRANCH\" = 'main' ]; then D; fi;",
    'if [ "$CIRCLE_BRANCH" = main ]; then echo no; else echo "$(D 7)"; fi',
    '[ "$CIRCLE_BRANCH" = main ] || exit\nD 8',
    'if [ "$CIRCLE_BRANCH" = main ]; then D > /dev/stderr; D 9 >&1; fi',
    'f() { D "$@"; }\nif [ "$CIRCLE_BRANCH" = main ]; then D 5; fi',
    'A=$CIRCLE_BRANCH; B=$A; if [ "$B" = main ]; then D; fi',
    'if [[ "$CIRCLE_TAG" =~ ^(v.*|)$ ]]; then D; fi',
    'if [[ "$CIRCLE_TAG" =~ .* ]]; then D; fi',
    'if [[ "$CIRCLE_TAG" =~ v* ]]; then D; fi',
    'if [[ "$CIRCLE_TAG" == * ]]; then D; fi',
    'if [[ "$CIRCLE_BRANCH" = @(main|) ]]; then D; fi',
    'case "$CIRCLE_TAG" in v1) D 1;; **) D 2;; esac',
    'if [[ "$CIRCLE_TAG" =~ ^v?.*$ && "$CIRCLE_BRANCH" == @(main|x) ]]; then D; fi',
    'if [ "$FOO" = "/1/" ]; then D; fi',
    'if [ "$CIRCLE_BRANCH" != develop ] || [ "$CIRCLE_BRANCH" = main ]; then D; fi',
    "if [[ $CIRCLE_BRANCH == release/* || -n $CIRCLE_TAG || $CIRCLE_BRANCH == release/1 ]]; then D; fi",
    'if [ "$FOO" = 1 ] && [ -n "$FOO" ] || [ -n "$CIRCLE_BRANCH" ]; then D; fi',
    'if [ "$FOO" = "*" ]; then D; fi',
    'if [ "$CIRCLE_BRANCH" = main ]; then D; fi; exit 0',
    'if [ "$CIRCLE_BRANCH" != main ]; then exit 0; fi\ndeclare A=1\nD "$(cat <<EOF\n$A\nEOF\n)"\nset -u\nD 2 | cat > /dev/null',
    '[ "$CIRCLE_BRANCH" = main ] || exit 0; test() { D 3; }; test; read x <<< 1; D $x',
]  # fmt: skip

UNCERTAIN = [
    "if git log -1 | grep foo; then D; fi",
    'if [ "x$CIRCLE_BRANCH" = xmain ]; then D; fi',
    'if [ "${CIRCLE_BRANCH:0:4}" = main ]; then D; fi',
    'if [ "$CIRCLE_BRANCH" = "$DEPLOY_BRANCH" ]; then D; fi',
    'CIRCLE_BRANCH=${CIRCLE_BRANCH:-main}\nif [ "$CIRCLE_BRANCH" = main ]; then D; fi',
    'if [ "$CIRCLE_BRANCH" = main ]; then D; fi\nD again',
    'case "$CIRCLE_BRANCH" in main) D;& develop) D 2;; esac',
    'case "$CIRCLE_BRANCH" in\n  main) E=prod ;;\nesac\nD $E',
    "if [ $CIRCLE_BRANCH = main -o $CIRCLE_BRANCH = develop ]; then D; fi",
    'if [ -f deploy ] && [ "$CIRCLE_BRANCH" = main ]; then D; fi',
    'if [ "$CIRCLE_BRANCH" = main ]; then D; else echo wrong; exit 1; fi',
    'if [ "$CIRCLE_TAG" = v1 ] && [ "$CIRCLE_BRANCH" = main ]; then D; fi',
    r'if [[ "$CIRCLE_BRANCH" =~ \bmain ]]; then D; fi',
    '[ "$CIRCLE_BRANCH" = main ] && D || D 2',
    'if ! [[ "$CIRCLE_TAG" =~ .* ]]; then D; fi',
    'if [[ "$CIRCLE_BRANCH" != * ]]; then D; fi',
    'if [ "<< pipeline.git.tag >>" = v1 ] || [ << pipeline.git.branch >> != main ]; then D; fi',
    'if [[ "$CIRCLE_BRANCH" =~ ^ma+?in$ ]]; then D; fi',
    'if [[ "$CIRCLE_BRANCH" =~ ^[\\w]+$ ]]; then D; fi',
    "if [ $FOO != 1 ]; then D; fi",
    "if [ ! $CIRCLE_BRANCH = main ]; then D; fi",
    'case "$CIRCLE_BRANCH" in @(main|x)) D;; esac',  # no pattern without `shopt -s extglob`
    "if [ -n $FOO ]; then D; fi",
    "if [ -z $FOO ]; then D; fi",
    *(
        f'{before}\nif [ "$CIRCLE_BRANCH" = main ]; then D; fi'
        for before in (
            ': "${CIRCLE_BRANCH:=main}"',
            "printf -v CIRCLE_BRANCH main",
            "read CIRCLE_BRANCH < file",
            "declare A=1",
            "local A=1",
            "eval A=1",
            "source ./x",
            ". ./x",
            "shopt -s nocasematch",
            "set -f",
            "set +e",
            "set -u",
            "set -euo pipefail",
            "export V=$(./b.sh)",
            'V="$(./b.sh fail)"',
            "V=${PROD:?}",
            "echo ${V:?}",
            "IFS=i",
            "echo &",
            "echo <(D)",
            "test() { true; }",
            "[() { true; }",
            "function echo { D; }",
            "true && exit 0",
            "unset A",
            "A=1 >&2 &",
            "f() { D; } > out",
            "cat <<EOF\nx\nEOF",
        )
    ),
    *(
        f'if [ "$CIRCLE_BRANCH" = main ]; then {after}'
        for after in (
            'D "$(cat)"; fi <<< hello',
            "D; fi &",
            "D; fi > out.txt",
            "D; fi | cat",
            "D && D 2; fi; exit 0",
            "fi",
            "set +e; D; fi; exit 0",
            "D; ! false; fi; echo",
            "D; else echo ${V:?}; fi",
            'D 1; elif [ -n "$FOO" ]; then exit 0; fi\n[ "$CIRCLE_TAG" = v2 ] && D 2',
            "true || exit 0; fi\nD",
        )
    ),
    'f() { B=$CIRCLE_BRANCH; }\nif [ "$B" = main ]; then D; fi',
    'if [ "$B" = main ]; then exit 0; fi\nB=$CIRCLE_BRANCH\nD',
    'if [[ "$CIRCLE_BRANCH" = main ]] > out; then D; fi',
    '[ "$CIRCLE_BRANCH" = main ] && ! D',
    'if [ "$CIRCLE_BRANCH" = "**" ] || [ "$CIRCLE_BRANCH" = main ]; then D; fi',
    "if [[ $FOO =~ ^(1)?$ ]]; then D; fi",
    '[ "$CIRCLE_BRANCH" = main ] && cat <<EOF\nx\nEOF',
    'set -u\nif [ "$CIRCLE_BRANCH" != main ]; then exit 0; fi\nD',
    '[ "$CIRCLE_BRANCH" = main ] && D || exit 0\n[ "$CIRCLE_TAG" = v2 ] && D 2',
    *(
        f'if [ "${name}" = 0 ]; then D; fi'
        for name in ("UID", "HOSTNAME", "PWD", "BASH_VERSION", "RANDOM", "_", "SHLVL")
    ),
]


def parts(script: str) -> list[tuple[scripts.Part, When | None]]:
    return [(part, when(part.condition)) for part in scripts.parts(shell.parse(script), script)]


def bash(scripts_of: Callable[[int], list[str]]) -> list[list[str]]:
    """What D is called with in each build, by real bash with the options that CircleCI gives it."""
    text = 'D() { echo "D $*"; }\n'
    for number, build in enumerate(ALL):
        text += f"echo == {number}\n"
        for script in scripts_of(number):
            filled = script.replace("<< pipeline.git.branch >>", build.get("CIRCLE_BRANCH", ""))
            sets = "; ".join(f"export {name}={shlex.quote(value)}" for name, value in build.items())
            text += f"( {sets}; set -eo pipefail; eval {shlex.quote(filled)} )\n"
    environ = {"PATH": "/usr/bin:/bin", "CIRCLE_NODE_INDEX": "0"}
    ran = subprocess.run(["bash"], input=text, env=environ, capture_output=True, text=True, check=False)
    chunks = ran.stdout.split("== ")[1:]
    assert len(chunks) == len(ALL), ran.stderr
    return [sorted(line for line in chunk.splitlines() if line.startswith("D")) for chunk in chunks]


@pytest.mark.parametrize("script", CERTAIN)
def test_a_rule_decides_as_bash_does(script: str) -> None:
    found = parts(script)
    made = [rules.Rule(f"part-{i}", holds, None, ()) for i, (_, holds) in enumerate(found) if holds]
    text = rules.file_with(None, made)
    assert text is not None
    assert len(made) == len(found)
    file = load(SourceFile("deploy.yml", text))

    fired = []
    for build in ALL:
        stated = ", ".join(f"{k}: '{v}'" for k, v in build.items() if k not in ("CIRCLE_BRANCH", "CIRCLE_TAG"))
        ref = f"branch: {build['CIRCLE_BRANCH']}" if "CIRCLE_BRANCH" in build else f"tag: '{build['CIRCLE_TAG']}'"
        given = read_given(SourceFile("given", f"{{{ref}, env: {{{stated}}}}}"))
        decision = decide(file, Facts(given.build))
        fired.append({j.rule.name.value for j in decision.judgements if j.verdict is Verdict.FIRE})

    def of_rules(number: int) -> list[str]:
        return [part.text(script) for i, (part, _) in enumerate(found) if f"part-{i}" in fired[number]]

    assert dict(enumerate(bash(of_rules))) == dict(enumerate(bash(lambda _: [script])))


@pytest.mark.parametrize("script", UNCERTAIN)
def test_what_is_not_certain_is_not_translated(script: str) -> None:
    try:
        conditions = [part.condition for part, _ in parts(script)]
    except (Uncertain, shell.Unreadable):
        return
    assert conditions == [ALWAYS]


@pytest.mark.parametrize("script", [script for script in CERTAIN if "CIRCLE_BRANCH" in script])
def test_a_script_that_asks_for_a_branch_is_one_that_asks(script: str) -> None:
    assert scripts.asks(script)
