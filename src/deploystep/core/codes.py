"""Every code of a diagnostic about rules: what it says, how it comes about, and what to do.

E is an error in the rule file, P a fault between the rules and the project's config.yml, U a fact that could not be
learned, W something suspicious, C a case that failed. Codes keep their meaning: a number that is gone is not used again.
"""

from typing import Final, NamedTuple


class Code(NamedTuple):
    """What a code says, how it comes about, and what to do."""

    meaning: str
    cause: str
    cure: str


_ROWS: Final = """
C101 | a case asks for a fact that it does not state | a rule consults git, CircleCI or the clock, and in a case those are unknown | state the fact under given:, or write the rule so that it does not ask
C102 | other rules fire, or are held, than expected | expect: fire: and held: name exactly the rules that must fire and be held | correct the rule or the case; the reason stands below the message
C103 | a parameter is sent with another value than expected | expect: parameters: shows what a rule must send | correct the parameter or the case
C104 | a rule that fires could not be sent | in the case's build a value is unset or not allowed, or two rules send the same request | state the fact in the case, or correct the rule
E001 | the file is not YAML | wrong indentation, a bracket or quote that is not closed, or a text that must be quoted | look at the place; YAML's own words are in the message
E002 | a value begins with * and is not quoted | YAML takes *name for a reference | quote it: "*.md"
E003 | a backslash in double quotes | in double quotes YAML reads it as an escape | use single quotes, or none, around a regex
E004 | a tab where YAML wants spaces | the editor indents with tabs | indent with spaces
E005 | ${…} inside { } or [ ] is not quoted | YAML takes its braces for a map | quote it: "${CIRCLE_SHA1}"
E006 | a list item without a space | '-name' is a key in YAML | write '- name'
E007 | a character that does not show, or shows as another | copied text, or a text made to display differently from what it says | remove it, or write the escape that the message names
E008 | the file is too large | over 1 MiB | split it, or shorten lists of patterns
E009 | nested too deeply | over 40 levels | write it flatter
E010 | a value begins with ! | YAML takes it for a tag; patterns are not negated here | quote it, or use unless: or ignore:
E012 | a merge key (<<) | places in merged maps are ambiguous | write the keys out, or use targets:
E013 | more than one YAML document | a line --- or ... in the file | keep one document
E014 | the file is empty | nothing but comments | begin with version: 1
E015 | an alias that cannot be followed | it repeats itself, or too much | write it out
E017 | a bracket that is never closed | what follows on later lines is read as part of its list or map | close it
E101 | the wrong kind of value | a text, list or map is written where another is wanted | write it as the example in the message
E102 | an unknown key | a slip, or a word of another system | take the key that the message proposes
E103 | a required key is missing | every map has keys that it needs | add it as the example shows
E104 | an unknown word or value | the field takes a few words, or one form | take one of the known ones
E105 | a key is given twice | YAML would let the last one win silently | keep one
E106 | two rules have one name | names tell rules apart in messages and cases | rename one
E107 | not a name | names have letters, digits, '.', '_' and '-' | write another
E108 | a key without a value | nothing, null or ~ after the ':' | write a value, or quote the word
E109 | not true or false | yes, on and quoted words are no booleans here | write true or false
E110 | an expression where matchers are wanted | when: takes a map, not CircleCI's expressions | write it as the message shows
E113 | and, or, not as keys | a map means all of these, a list any one of these | write a list of maps, or unless:
E114 | too many items | limits keep a check fast | split the file
E115 | too many patterns in a rule | over 200 | write wider patterns, or several rules
E116 | a code that cannot be ignored | ignore: takes codes P… and W… | correct the error, or the code
E201 | a pattern that cannot be read | a wildcard of another system, or a path that does not start at the root | write it as the message shows
E202 | a regex that cannot be read | lookaround, backreferences and the like are not supported | name what to leave out under unless:
E203 | a pattern or list that never matches | it is empty | write a pattern
E205 | a regex that matches one text alone | it must match the whole name | add .* where more may follow
E206 | a full ref name | the bare name is compared | write main, not refs/heads/main
E207 | a name that git does not allow | no branch or tag can be called so | correct the pattern
E301 | branch and tag in one condition | a build has one of them | write two list items, or tag: with merged_into:
E302 | a condition without branch or tag | every rule says which refs it is for | add branch: "**" or tag: "**"
E303 | two conditions in one map of unless | it is easy to misread as either | write a list, an item for each reason to stop
E304 | a comparison in which nothing ever changes | the default branch, or a tag, is compared with itself | write since: as the message shows
E305 | a rule that can never fire | its unless covers its when | correct one of them
E306 | an alternative that adds nothing | an earlier one holds whenever it does | remove it
E310 | two rules whose runs cannot be told apart, and both fire for one build | they start the same workflow or job without a deploy key | give each its own workflow, or send ${deploy.key} with both
E311 | since: last-deploy in a rule without deploy: | gate knows no earlier deploys | write since: previous-commit or since: {ref: NAME}
E401 | an unknown time zone | a slip, or no IANA name | write for example Europe/Berlin
E402 | a window that cannot be read | it has days, and two times with minutes | write Mon-Thu 09:00-17:00
E403 | a time that cannot be read | a date, a time and perhaps a zone | write 2026-12-18 18:00
E404 | an unknown window | during: names one that windows: has not | correct the name
E405 | a freeze that ends before it begins | until: is not after from: | swap or correct them
E406 | a freeze or case names an unknown environment | no rule deploys to it | correct the name
E407 | a freeze or case names an unknown rule | it was renamed, or a slip | correct the name
E501 | not the name of a parameter | CircleCI takes letters, digits, '_' and '-' | rename it
E502 | a value that YAML versions read differently | 1.10, 0777, 22:30, dates | quote it
E503 | a $ that is not filled in | $NAME and lone dollars mean nothing here | write ${NAME}, or $$ for the character
E504 | a shell command in a parameter | nothing is executed | compute it in the config that is triggered
E505 | << >> in a parameter | only CircleCI fills that in, in config.yml | write ${CIRCLE_SHA1} and the like
E506 | an unknown ${name} | the list of names is closed | take the proposed name, or name the variable under env: of the rule
E507 | a ${name} that is never set for this rule | ${CIRCLE_TAG} in a rule for branches, and the like | leave it out, or split the rule
E508 | a ${name} that is not set in this build | the rule fired without that fact | ask for the fact in when:
E509 | a value with characters that are not allowed | the receiving config pastes it into a shell | send ${branch.slug} or ${CIRCLE_SHA1} instead
E510 | a value that is too long | CircleCI takes 512 characters | send less
E511 | a secret | tokens are never read or sent | name another variable
E601 | an unknown target | to: names one that targets: has not | correct the name, or describe it
E602 | job: for a tag | API v1.1 triggers a job on a branch | use workflow:
E603 | not the id of a pipeline definition | it is a UUID | copy it from Project Settings, Pipelines
E604 | not the slug of a project | gh/ORG/REPO, bb/ORG/REPO or circleci/ORG-ID/PROJECT-ID | copy it from the project's settings
E606 | a target at a branch and at a tag | it is at one | remove one
E607 | job: beside workflow: | API v1.1 starts one job | remove one
E608 | two rules that fire send the same request | the second would be a second deploy | give them different parameters, or join them
E609 | API v3 cannot send this | it does not take what the rule needs | use a target with api: v2
E610 | API v3 needs a pipeline definition | the OIDC token names none | name it under targets:, or use api: v2
E701 | a required job that the workflow has not | misspelt, or filtered out | correct the name
E702 | a rule requires the job that runs the step | it has not succeeded while it runs | leave it out: what the job did before has succeeded
P01 | the trigger starts no workflow, not the named one, or that without the job that deploys | the gate asks for another parameter or value, filters leave the ref out, a job lacks a tag filter, the workflow runs by schedule alone, the config has version 2 or names or requires a job that is not there | correct the line of config.yml that the message names
P02 | the deploy's workflow, or its job that deploys, runs for every push | it has no gate, or one that the defaults open; the job was left in another workflow | give it when: with the parameter that the rule sends
P03 | what the trigger starts runs the step again | the workflow with the step is not kept out; a warning where a recognised run ends it after one round | give that workflow unless: with the parameter that the rule sends
P04 | the step never runs for what the rule is for | its job is filtered out, is in no workflow, or only plans | let the job run there
P05 | the job of the step lacks something | no context with the token, no checkout before the step, or tests that it does not require | add what the message names
P06 | a parameter that is sent is not used | nothing in the config mentions it, or conditions alone, which leave no mark in the run | use it in the job that deploys, or do not send it
P07 | a parameter that CircleCI refuses | not declared, of another type, not in the enum; one without a default, or with one that does not fit | declare and send it alike
P08 | a job or parameter that this config cannot be sent | job: with a version 2.1 config or an unknown job; a parameter that setup and continuation both declare | use workflow:, or rename the parameter
P09 | two workflows run for one trigger | the gates let both through | let the gate of one keep it out
P10 | gate names a rule that the file has not | misspelt, or the rule was renamed | correct the name in config.yml
P11 | a rule is both sent and gated | config.yml runs deploystep run, and deploystep gate for a rule with deploy: | remove deploy: from the rule, or one of the steps
U101 | which files changed is not known | a shallow clone, or the commit to compare with is missing | git fetch --unshallow, or another since:
U102 | whether the commit was merged is not known | the branch is not fetched, or the clone is shallow | git fetch origin BRANCH, or --fetch
U103 | the commit cannot be read | it is not in this clone | use CircleCI's checkout step
U104 | the time is not known | stated facts name none | add now: to given
U105 | the jobs of the workflow are not known | no token, no workflow, or CircleCI did not answer | state them with --given, or run it in a build
U106 | whether this is a fork is not known | the variables contradict each other | see the message
U107 | who started the build is not known | bots and schedules have no CircleCI account | use author: or a branch pattern
U108 | which branch is the default one is not known | neither the rule file nor origin/HEAD of the clone tells | write default_branch: in the file
W301 | two rules of one environment can both fire | their conditions overlap | name the case under unless: of one, if it is not meant
W302 | '*' as a branch | it matches names without a slash | write "**" for every branch
W303 | '.' in a regex between digits | it stands for any character | write \\. for a dot
W304 | a letter of another script | it looks like a Latin one | write the Latin letter
W306 | author: in a production rule | anyone can set the author of a commit | use user: for who may deploy
W307 | paths: in unless: | it stops the rule when any such file changed | write ignore: under paths: in when:
W308 | a rule that no case expects | the file has cases, for other rules | add a case in which it fires
W309 | a freeze in which no window opens | it holds nothing back | list the rule under except:, or remove it
W310 | two rules whose runs cannot be told apart | they start the same workflow or job for some refs | give each its own workflow, or send ${deploy.key} with both
W311 | runs that do not tell for which variables they were sent | a variable outside CIRCLE_* is sent, and no deploy key | send ${deploy.key}
W312 | a bot as user: | bots have no CircleCI account, so it never matches | use author: or a branch pattern
W313 | not all of the file is compared | it holds very many or very large patterns | write fewer or simpler patterns, or split the rules
W401 | a time in UTC | neither it nor the file names a zone | write timezone: in the file
W601 | API v1.1 | its triggers end on 1 February 2027 | gate a workflow on a parameter and use workflow:
W701 | something that no case shows | --coverage was asked for | add a case
W702 | a required job that is not in the workflow of the step, or does not run there | misspelt, renamed or filtered out in config.yml | correct the name, or let the job run
W705 | a path pattern that matches no file | misspelt, or the files were moved | correct the path
"""

CODES: Final = {code: Code(*rest) for code, *rest in (row.split(" | ") for row in _ROWS.strip().split("\n"))}
#: Those that a rule or a file may switch off: nothing about them keeps the file from being used.
IGNORABLE: Final = frozenset(code for code in CODES if code[0] in "PW")


def explained(code: str) -> str:
    """The page of a code, for `check --explain`. Raises KeyError."""
    found = CODES[code]
    off = f"\n\nTo switch it off, write  ignore: [{code}]  in the rule or at the top of the file." * (code in IGNORABLE)
    return f"{code}: {found.meaning}\n\nCause: {found.cause}.\nCure: {found.cure}.{off}"
