"""Calls of CircleCI's API in scripts: each shape is found where it stands, and what only looks like one is not."""

import pytest

from deploystep.migrate.calls import Call, in_text

V1 = "https://circleci.com/api/v1.1/project/github/acme/shop"


def found(text: str, values: dict[str, str] | None = None, *, is_shell: bool = True) -> list[Call]:
    return in_text(text, values or {}, is_shell=is_shell)


#: A script, and of each call the line (from 0), endpoint and what else is read.
SHAPES: list[tuple[str, int, str, dict[str, object]]] = [
    (f"curl -u $TOKEN: -d build_parameters[CIRCLE_JOB]=ship {V1}/tree/main", 0, "tree",
     {"branch": "main", "token": "TOKEN", "parameters": {"CIRCLE_JOB": "ship"}}),
    (f'curl -u "$TOKEN" \\\n  --request POST --url {V1}/tree/main', 0, "tree", {"branch": "main"}),
    (f'curl -X POST -H "Circle-Token: ${{T}}" {V1}/build', 0, "build", {"token": "T"}),
    (f"curl -XPOST '{V1}/build?circle-token='$T", 0, "build", {"token": "T"}),
    (f"echo a\ncurl -sSX POST {V1}/$CIRCLE_BUILD_NUM/retry", 1, "retry", {}),
    (f"curl -X POST {V1} -d tag=$CIRCLE_TAG", 0, "trigger", {"tag": "${CIRCLE_TAG}"}),
    ("curl -X POST https://circleci.com/api/v1/project/acme/shop?circle-token=$T", 0, "trigger", {}),
    ("curl -X POST https://circleci.com/api/v1/project/acme/shop/tree/x?circle-token=$T", 0, "tree", {}),
    (f"curl {V1}/tree/main -H 'Content-Type: application/json' "
     '-d \'{"revision": "abc", "build_parameters": {"CIRCLE_JOB": "ship", "DRY": true}}\'', 0, "tree",
     {"revision": "abc", "parameters": {"CIRCLE_JOB": "ship", "DRY": "true"}}),
    (f'curl -d "{{\\"build_parameters\\": {{\\"CIRCLE_JOB\\": \\"$JOB\\"}}}}" {V1}/tree/main', 0, "tree",
     {"parameters": {"CIRCLE_JOB": "${JOB}"}}),
    (f'curl {V1}/tree/main -d @- \\<<EOF\n{{"build_parameters": {{"A": "1"}}}}\nEOF', 0, "tree", {"parameters": {"A": "1"}}),
    (f'D=$(cat <<EOF\n{{"build_parameters": {{"A": "$B"}}}}\nEOF\n)\ncurl -d "$D" {V1}/tree/main', 4, "tree",
     {"parameters": {"A": "${B}"}}),
    (f'D=$(cat <<EOF\n{{"build_parameters": {{"A": "$B"}}}}\nEOF)\ncurl -d "${{D}}" {V1}/tree/main', 3, "tree",
     {"parameters": {"A": "${B}"}}),  # what CircleCI's own page on nightly builds had
    ("for R in ${NAMES[@]}; do\n  U=https://circleci.com/api/v1/project/$O/$R/tree/master?circle-token=$T\n"
     "  if x; then\n    curl --request POST --data '{}' $U\n  fi\ndone", 3, "tree", {"project": "${O}/${R}"}),
    (f"$CURL -X POST {V1}/build", 0, "build", {}),
    (f'cat > b.json <<EOF\n{{"build_parameters": {{"A": "1"}}}}\nEOF\ncurl -d @b.json {V1}/tree/main', 3, "tree",
     {"parameters": {"A": "1"}}),
    ('B="https://circleci.com/api/v1.1/project/github"\nP="acme/shop/build"\ncurl -X POST $B/$P?circle-token=$T', 2,
     "build", {"project": "github/acme/shop"}),
    ('curl -u $T: -d build_parameters[CIRCLE_JOB]=x "$URL"', 0, "trigger", {}),
    ('curl -u $T: -d revision=$CIRCLE_SHA1 "$API/project/github/$U/$R/tree/$CIRCLE_BRANCH"', 0, "tree", {}),
    (f'A=(-X POST -u "$T:")\nA+=(-d revision=x)\ncurl "${{A[@]}}" {V1}/tree/main', 2, "tree", {"revision": "x"}),
    (f'cmd="curl -X POST {V1}/9/retry"\necho $cmd\n$cmd', 2, "retry", {}),
    (f'for J in a b; do\n  R=$(curl -u $T: -d "build_parameters[CIRCLE_JOB]=$J" {V1}/tree/main)\ndone', 1, "tree", {}),
    ('post() {\n  curl -X POST "https://circleci.com/api/v1.1/$1"\n}\npost project/gh/acme/shop/build', 1, "build", {}),
    ('post() {\n  local path=$1\n  curl -X POST "$API/$path"\n}\nAPI=https://circleci.com/api/v1.1/project/gh/a/b\n'
     "post 7/cancel\npost tree/main", 2, "tree", {"project": "gh/a/b"}),
    (f'bash -c "curl -X POST {V1}/build"', 0, "build", {}),
    (f"sudo retry 3 curl -X POST {V1}/build", 0, "build", {}),
    (f"circle_post {V1}/build", 0, "build", {}),
    (f"wget -qO- --post-data='revision=x' {V1}/tree/main", 0, "tree", {"revision": "x"}),
    (f"curl --data= {V1}/tree/main", 0, "tree", {"branch": "main"}),
    (f"node <<'EOF'\nfetch('{V1}/tree/main', {{method: 'POST'}})\nEOF", 1, "tree", {"branch": "main"}),
    (f"http POST {V1}/tree/main circle-token:$T", 0, "tree", {}),
    (f'if [ -n "$T" ]; then\n  curl -X POST {V1}/build | jq . || exit 1\nfi', 1, "build", {}),
    (f'python3 - <<EOF\nimport requests\nrequests.post("{V1}/tree/main", json={{}})\nEOF', 2, "tree", {}),
    (f"echo ((\ncurl -X POST {V1}/build", 1, "build", {}),  # no bash, and still a call
]  # fmt: skip


@pytest.mark.parametrize(("script", "line", "endpoint", "more"), SHAPES)
def test_a_call_is_found_where_it_stands(script: str, line: int, endpoint: str, more: dict[str, object]) -> None:
    (call,) = found(script)

    assert (script.count("\n", 0, call.offset), call.request.endpoint) == (line, endpoint)
    assert call.request.is_doomed
    assert {name: getattr(call.request, name) for name in more} == more


A = "https://circleci.com/api/v1.1"
U = f"{A}/project/gh/a/b"
OTHERS = [
    (f"import requests\nrequests.post('{U}/build', json={{}})", ["build"]),
    (f'B = "{A}"\n# post\nu = B + "/project/"\nu += f"gh/{{X}}/build"\nrequests.post(u)', ["trigger"]),
    (f'B = "{A}"\nrequests.get(f"{{B}}/project/gh/a/b/tree/main")', []),
    (f"fetch(`{U}/tree/${{x}}`, {{\n  method: 'POST'\n}})", ["tree"]),
    (f"request(`{A}/project/${{ vcs }}/${{ user }}/${{ name }}/tree/${{ b }}`)", []),
    (f"# Net::HTTP.post {U}/build", []),
    (f'HTTParty.post("{A}/project/gh/#{{org}}/#{{name}}/#{{n}}/retry")', ["retry"]),
    (f"curl_setopt($c, CURLOPT_URL, '{U}/build');", ["build"]),
    (f"JSON.parse(Net::HTTP.get(URI('{U}/tree/x')))", []),
    (f'Invoke-RestMethod -Method Post -Uri "{U}/tree/main"', ["tree"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "endpoints"), OTHERS)
def test_other_languages_are_read_by_shape(text: str, endpoints: list[str]) -> None:
    assert [call.request.endpoint for call in found(text, is_shell=False)] == endpoints


FALSE_FRIENDS = [
    f"# curl -X POST {V1}/build", f"true # curl -X POST {V1}/build", f"echo 'curl -X POST {V1}/build'",
    f"deploystep gate x -- echo curl -X POST {V1}/build", f"cat <<EOF\ncurl -X POST {V1}/build\nEOF",
    f"curl -u $T: {V1}/tree/main", f"curl -X GET -d limit=1 {V1}/tree/main", f"curl -G -d limit=1 {V1}/tree/main",
    f"curl -I {V1}/tree/main", f"curl {V1}/latest/artifacts?branch=main", f"curl -o a.json {V1}/12/artifacts",
    *(
        f"curl -X POST {V1}/{path}"
        for path in ("7/cancel?circle-token=$T", "follow", "envvar -d '{}'", "checkout-key", "ssh-key -d x=1")
    ),
    f"curl -X DELETE {V1}/build-cache",
    "curl -X POST https://circleci.com/api/v1.1/project/$SLUG/envvar -d '{}'",
    "curl -X POST https://circleci.com/api/v2/project/gh/acme/shop/schedule -d '{}'",
    "curl -X POST https://circleci.com/api/v2/workflow/$ID/cancel",
    "curl -X POST https://circleci.com/api/v2/pipeline/continue -d '{\"parameters\": {}}'",
    'curl -X POST -d \'{"text": "done"}\' "$SLACK_HOOK"', 'curl -X POST -d a=b "$HOST/project/x/build"',
    "curl -X POST https://sonar.acme.dev/api/v1/project/acme/shop/build", f"LINK={V1}/tree/main",
    'curl -X POST https://api.github.com/repos/acme/shop/dispatches -d \'{"event_type": "build"}\'',
    'xargs -n4 curl -u "$1:" -o "$3" "https://circleci.com/api/v1.1/project/$SLUG/tree/$B?limit=100"',
    "open https://circleci.com/gh/acme/shop/tree/main",
]  # fmt: skip


@pytest.mark.parametrize("script", FALSE_FRIENDS)
def test_what_only_looks_like_a_call_is_none(script: str) -> None:
    assert [call for call in found(script) if call.request.is_doomed] == []


V2 = "https://circleci.com/api/v2/project/gh/acme/shop/pipeline"


@pytest.mark.parametrize(
    ("script", "api", "endpoint"),
    [
        (f"curl --user $T: --form config=@config.yml --form notify=false {V1}/tree/main", "v1.1", "config"),
        (f'curl -X POST --url {V2} --header "Circle-Token: $K" --data \'{{"branch": "main"}}\'', "v2", "trigger"),
        (f"curl -X POST {V2}/run -d '{{}}'", "v2", "trigger"),
        ("curl -u $T: -d '{\"parameters\": {\"TAG\": ${R:-$CIRCLE_TAG}}}' ${ENDPOINT}/${PROJECT}/pipeline", "v2", "trigger"),
    ],
)  # fmt: skip
def test_what_does_not_end_or_is_no_deploy_is_told_apart(script: str, api: str, endpoint: str) -> None:
    (call,) = found(script)

    assert (call.request.api, call.request.endpoint, call.request.is_doomed) == (api, endpoint, False)


def test_values_come_from_the_config_too() -> None:
    (call,) = found("curl -X POST $API/project/gh/a/b/build", {"API": "https://circleci.acme.dev/api/v1.1"})
    (other,) = found("curl -X POST << parameters.url >>", {"parameters.url": f"{V1}/build"})

    assert {call.request.endpoint, other.request.endpoint} == {"build"}


@pytest.mark.parametrize(
    ("script", "is_plain"),
    [
        (f"curl -X POST {V1}/build", True),
        (f"if x; then curl -X POST {V1}/build; fi", True),
        (f"while x; do curl -X POST {V1}/build; done", False),
        (f"for B in a; do x; done\ncurl -X POST {V1}/tree/$B", False),
        (f"f() {{ g() {{ curl -X POST {V1}/build; }}; }}", False),
        (f"curl -X POST << parameters.x >> {V1}/build", False),
        (f"curl -X POST -H @<(x) {V1}/build", False),
        (f"f() {{ curl -X POST {V1}/build; }}", False),
        (f"R=$(curl -X POST {V1}/build)", False),
        (f"B=${{X:-main}}\ncurl -X POST {V1}/tree/$B", False),
        (f"if x; then B=a; else B=b; fi\ncurl -X POST {V1}/tree/$B", False),
    ],
)
def test_what_is_guessed_is_not_plain(script: str, is_plain: bool) -> None:  # noqa: FBT001
    assert [call.is_plain for call in found(script)] == [is_plain]


def test_a_script_without_end_ends() -> None:
    assert found("f() { f; curl -X POST $1; }\nf x\n" + "f y\n" * 300) == []
