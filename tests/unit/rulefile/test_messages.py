"""Each message of the language's list comes in exactly these words, at exactly this place."""

from collections.abc import Callable

import pytest

HEAD = "version: 1\nrules:\n"


def rule(*lines: str, deploy: str = "deploy: {workflow: d, parameters: {x: true}}") -> str:
    """A rule whose `when:` is on line 5, and these lines below it."""
    body = "".join(f"      {line}\n" for line in lines)
    return f"{HEAD}  - name: a\n    environment: e\n    when:\n{body}    {deploy}\n"


def sending(value: str, line: int) -> str:
    """A file whose parameter `value` is on this line."""
    head = f"{HEAD}  - name: a\n    when: {{branch: main}}\n    deploy:\n      workflow: d\n      parameters:\n"
    fill = "".join(f"        p{n}: true\n" for n in range(head.count("\n") + 1, line))
    return f"{head}{fill}        {value}\n"


DEPLOY = "    deploy: {workflow: d, parameters: {x: true}}\n"

BELOW = f"rules:\n  - name: a\n    environment: e\n    when: {{branch: main}}\n{DEPLOY}"

MESSAGES = [
    (
        rule("branch: f/**", "paths: services/api/"),
        "deploy.yml:7:26: error[E201]: pattern ends with '/' in 'services/api/' — write services/api/**",
    ),
    (
        rule("branch: f/**", 'paths: "**.md"'),
        ("deploy.yml:7:15: error[E201]: ** must stand alone between slashes in '**.md' — write **/*.md for any depth"),
    ),
    (
        (
            f"version: 1\nwindows: {{office-hours: Mon-Thu 09:00-17:00}}\nrules:\n  - name: a\n"
            f"    environment: e\n    when: {{branch: main}}\n    during: ofice-hours\n{DEPLOY}"
        ),
        "deploy.yml:7:13: error[E404]: no window is called 'ofice-hours' — did you mean 'office-hours'?",
    ),
    (
        f"version: 1\ndefault_branch: main\nwindows: {{o: Mon-Fri 9-17}}\n{BELOW}",
        (
            "deploy.yml:3:14: error[E402]: cannot read the window 'Mon-Fri 9-17'"
            " — write for example  Mon-Thu 09:00-17:00  or  Fri 22:00-06:00 Europe/Berlin"
        ),
    ),
    (
        (
            "version: 1\ndefault_branch: main\nfreezes:\n"
            f"  - {{name: f, from: 2026-12-18 18:00, until: 2026-12-18 09:00}}\n{BELOW}"
        ),
        "deploy.yml:4:46: error[E405]: 'until' is not after 'from'",
    ),
    (
        rule("branch: main", "paths: services/**"),
        (
            "deploy.yml:7:7: error[E304]: 'paths' on branch 'main' needs 'since'"
            " — write since: last-deploy, since: previous-commit or since: {ref: NAME}"
        ),
    ),
    (
        rule("branch: f/**", "paths: ./services/**"),
        ("deploy.yml:7:14: error[E201]: paths start at the repository root, without './' — write services/**"),
    ),
    (
        rule("brnch: main"),
        "deploy.yml:6:7: error[E102]: unknown matcher 'brnch' — did you mean 'branch'?",
    ),
    (
        rule("branches: main"),
        "deploy.yml:6:7: error[E102]: unknown matcher 'branches' — did you mean 'branch'?",
    ),
    (
        f"{HEAD}  - name: a\n    environment: e\n    when: {{branch: main}}\n    needs: [test]\n{DEPLOY}",
        "deploy.yml:6:5: error[E102]: unknown rule key 'needs' — did you mean 'requires'?",
    ),
    (
        f'{HEAD}  - name: a\n    environment: e\n    when: branch == "main" and not tag\n{DEPLOY}',
        "deploy.yml:5:11: error[E110]: expected matchers, found an expression — for example  when: {branch: main}",
    ),
    (
        rule("or: [{branch: main}]"),
        (
            "deploy.yml:6:7: error[E113]: there is no 'or' here"
            " — a map means all of these; a list of maps means any one of these"
        ),
    ),
    (
        rule("branch: main", "tag: v*"),
        (
            "deploy.yml:7:7: error[E301]: a CircleCI build has a branch or a tag, never both, so this can never"
            " be true — for 'either', write two list items; for 'a tag on main', use tag: with merged_into: main"
        ),
    ),
    (
        rule("user: anna"),
        (
            "deploy.yml:6:7: error[E302]: this does not say which branches or tags it is for"
            ' — add branch: "**" or tag: "**"'
        ),
    ),
    (
        (
            f"{HEAD}  - name: a\n    environment: e\n    when: {{branch: main}}\n"
            f"    unless: {{user: anna, fork: true}}\n{DEPLOY}"
        ),
        (
            "deploy.yml:6:13: error[E303]: two conditions in one 'unless' map are easy to misread"
            " — write a list: one item for each reason to stop"
        ),
    ),
    (
        rule("branch: *"),
        'deploy.yml:6:15: error[E002]: a value that begins with * must be quoted — write "*"',
    ),
    (
        rule("branch: !main"),
        (
            "deploy.yml:6:15: error[E010]: '!main' is read by YAML as a tag — quote it: '!main';"
            " patterns are not negated with ! here, use unless: or ignore:"
        ),
    ),
    (
        rule("tag: v[0-9]*"),
        (
            "deploy.yml:6:13: error[E201]: '[' is not a wildcard here in 'v[0-9]*'"
            r" — write \[ for the character itself, or use a /regex/"
        ),
    ),
    (
        rule("tag: /^v/"),
        (
            "deploy.yml:6:12: error[E205]: a regex must match the whole name: /^v/ matches only 'v' itself"
            " — write /^v.*/ for 'starts with'"
        ),
    ),
    (
        rule(r'tag: "/^v\d+$/"'),
        (
            "deploy.yml:6:17: error[E003]: a backslash in double quotes is a YAML escape"
            " — use single quotes or none around a regex"
        ),
    ),
    (
        rule("tag: /^(?!rc).*/"),
        (
            "deploy.yml:6:14: error[E202]: lookahead is not supported in '/^(?!rc).*/'"
            " — name what to leave out under unless:"
        ),
    ),
    (
        rule(r"tag: /^v(\d+/"),
        r"deploy.yml:6:15: error[E202]: missing ) in '/^v(\d+/'",
    ),
    (
        rule("branch: refs/heads/main"),
        "deploy.yml:6:15: error[E206]: write the bare name, not 'refs/heads/main' — main",
    ),
    (
        f"{HEAD}  - name: a\n    environment: e\n    when:\n      branch: main\n      pull_request: yes\n{DEPLOY}",
        "deploy.yml:7:21: error[E109]: expected true or false, got 'yes'",
    ),
    (
        rule("branch: main", "branch: dev"),
        "deploy.yml:7:7: error[E105]: 'branch' is given twice — first on line 6",
    ),
    (
        "version: 1\n\ntimezone: Europe/Berln\nrules:\n  - name: a\n    when: {branch: main}\n" + DEPLOY,
        "deploy.yml:3:11: error[E401]: unknown time zone 'Europe/Berln' — did you mean 'Europe/Berlin'?",
    ),
    (
        (
            "version: 1\ntargets: {d: {project: gh/a/b, branch: main}}\nrules:\n  - name: a\n"
            "    when: {branch: main}\n    deploy:\n      to: deployer\n"
        ),
        "deploy.yml:7:11: error[E601]: no target is called 'deployer' — known: d",
    ),
    (
        sending("sha: $CIRCLE_SHA1", 9),
        "deploy.yml:9:14: error[E503]: $CIRCLE_SHA1 is not filled in — write ${CIRCLE_SHA1}",
    ),
    (
        sending("who: ${CIRCLE_USRNAME}", 12),
        "deploy.yml:12:14: error[E506]: unknown value ${CIRCLE_USRNAME} — did you mean ${CIRCLE_USERNAME}?",
    ),
    (
        sending("tag: ${CIRCLE_TAG}", 10),
        "deploy.yml:10:14: error[E507]: ${CIRCLE_TAG} is always unset in a rule for branches",
    ),
    (
        sending("sha: << pipeline.git.revision >>", 11),
        (
            "deploy.yml:11:14: error[E505]: << >> is only filled in by CircleCI in config.yml"
            " — write ${CIRCLE_SHA1} and the like"
        ),
    ),
    (
        sending("x: $(git rev-parse HEAD)", 13),
        "deploy.yml:13:12: error[E504]: no shell commands here",
    ),
    (
        sending("x: 1.10", 15),
        'deploy.yml:15:12: error[E502]: 1.10 means different things in different YAML versions — quote it: "1.10"',
    ),
    (
        (
            f"{HEAD}  - name: a\n    environment: e\n    when: {{branch: main}}\n    deploy:\n"
            "      workflow: d\n      parameters: {sha: ${CIRCLE_SHA1}}\n"
        ),
        "deploy.yml:8:25: error[E005]: ${…} inside { } or [ ] must be quoted",
    ),
    (
        f"{HEAD}  - name: a\n\twhen: {{branch: main}}\n",
        "deploy.yml:4:1: error[E004]: a tab where YAML wants spaces",
    ),
    (
        f'version: 1\nrules:\n  - name: a\n    environment: e\n    when: {{branch: ""}}\n{DEPLOY}',
        "deploy.yml:5:20: error[E203]: an empty pattern can never match",
    ),
    (
        "version: 1\n\nrules:\n  staging: {when: {branch: main}}\n",
        "deploy.yml:4:3: error[E101]: rules must be a list (each item starts with '- name:')",
    ),
    (
        (
            "# preview\n" * 26 + f"{HEAD}  - name: preview\n"
            '    when:\n      branch: "feature/**"\n      fork: false\n      user: anna\n'
            f'    unless:\n      - user: bjorn\n      - branch: "**"\n{DEPLOY}'
        ),
        (
            "deploy.yml:31:7: error[E305]: rule 'preview' can never fire: its unless (line 36, branch \"**\")"
            " covers its when"
        ),
    ),
    (
        rule("branch: release..1"),
        "deploy.yml:6:15: error[E207]: no branch can be called 'release..1' (git does not allow '..')",
    ),
    (
        "version: 1\n\nrules:\n  - name: a\n    environment: e\n    when:\n      branch: main\n    deploy: {job: d}\n",
        (
            "deploy.yml:8:5: warning[W601]: 'job' uses API v1.1, whose triggers CircleCI removes on"
            " 1 February 2027 — gate a workflow on a parameter and use workflow:"
        ),
    ),
]


@pytest.mark.parametrize(("text", "message"), MESSAGES, ids=[m[1].split(": ")[1] for m in MESSAGES])
def test_message_is_exact_and_alone(text: str, message: str, said: Callable[[str], list[str]]) -> None:
    assert said(text) == [message]
