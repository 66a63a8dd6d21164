"""Builds, rules and triggers to try things on."""

import base64
import json
from textwrap import dedent
from typing import Any

from deploystep.circleci.errors import TriggerContext
from deploystep.core.build import Branch, BuildContext, ProjectSlug
from deploystep.core.deploy import TriggerSpec
from deploystep.core.rules import ApiVersion, RuleSet
from deploystep.core.source import SourceFile
from deploystep.rulefile.load import load

SHA = "4f2c1aa0b3d5e7f9a1b2c3d4e5f60718293a4b5c"
OTHER_SHA = SHA[:-1] + "d"
PIPELINE = "5034460f-c7c4-4c43-9457-de07e2029e7b"
RUN = "8b3f7c1e-2a4d-4a6b-9c1d-0e5f6a7b8c9d"
WORKFLOW = "fda08377-fe7e-46b1-8992-3a7aaecac9c3"
DEFINITION = "2338d0ae-5541-4bbf-88a2-55e9f7281f80"
SHOP, DEPLOYER = ProjectSlug("gh", "acme", "shop"), ProjectSlug("gh", "acme", "deployer")
KEY, OTHER_KEY = "ds-0123456789abcdef01234567", "ds-fedcba9876543210fedcba98"
AGAIN = KEY[:19] + "ffffffff"  # of this deploy, when it was wanted again
SHARED, REGIONAL = {"sharing": ("staging",)}, {"own_variables": ("REGION",)}

# fmt: off
ENVIRON = {
    "CI": "true", "CIRCLECI": "true", "CIRCLE_NODE_INDEX": "0", "CIRCLE_NODE_TOTAL": "1",
    "CIRCLE_SHA1": SHA, "CIRCLE_BRANCH": "main", "CIRCLE_USERNAME": "anna",
    "CIRCLE_PROJECT_USERNAME": "acme", "CIRCLE_PROJECT_REPONAME": "shop",
    "CIRCLE_REPOSITORY_URL": "git@github.com:acme/shop.git",
    "CIRCLE_BUILD_URL": "https://circleci.com/gh/acme/shop/12", "CIRCLE_BUILD_NUM": "12",
    "CIRCLE_PIPELINE_ID": PIPELINE, "CIRCLE_WORKFLOW_ID": WORKFLOW,
}
# fmt: on


def environ(**changes: str | None) -> dict[str, str]:
    """A build of main; None takes a variable away."""
    return {name: value for name, value in {**ENVIRON, **changes}.items() if value is not None}


def tag_environ(tag: str, **changes: str | None) -> dict[str, str]:
    return environ(CIRCLE_BRANCH=None, CIRCLE_TAG=tag, **changes)


def build(**changes: str | None) -> BuildContext:
    return BuildContext.from_environ(environ(**changes))


def tag_build(tag: str, **changes: str | None) -> BuildContext:
    return BuildContext.from_environ(tag_environ(tag, **changes))


def fork_environ(number: int = 7, **changes: str | None) -> dict[str, str]:
    forked = {"CIRCLE_BRANCH": f"pull/{number}", "CIRCLE_PR_NUMBER": f"{number}", "CIRCLE_PR_USERNAME": "mallory"}
    return environ(**{**forked, "CIRCLE_PR_REPONAME": "shop", **changes})


def oidc(**claims: Any) -> str:
    """A token as CircleCI makes them; the signature is nobody's."""
    payload = {f"oidc.circleci.com/{name.replace('_', '-')}": value for name, value in claims.items()}
    middle = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJSUzI1NiJ9.{middle}.c2lnbmF0dXJl"


def rules(text: str) -> RuleSet:
    return load(SourceFile(".circleci/deploy.yml", dedent(text)))


def spec(**changes: Any) -> TriggerSpec:
    usual: dict[str, Any] = {"rule": "production", "api": ApiVersion.V2_RUN, "project": None, "ref": Branch("main")}
    usual |= {"revision": SHA, "definition": None, "job": None, "workflow": "deploy", "parameters": {}}
    return TriggerSpec(**{**usual, **changes})


def keyed(**changes: Any) -> TriggerSpec:
    """A deploy of this project that sends its key."""
    return spec(**{"key": KEY, "parameters": {"deploy_key": KEY}, **changes})


def to_target(**changes: Any) -> TriggerSpec:
    return keyed(**{"project": DEPLOYER, "revision": None, **changes})


def context(**changes: Any) -> TriggerContext:
    usual: dict[str, Any] = {"rule": "production", "project": SHOP, "ref": Branch("main"), "api": ApiVersion.V2_RUN}
    usual |= {"host": "https://circleci.com", "app": "https://app.circleci.com"}
    return TriggerContext(**{**usual, "token_name": "CIRCLE_TOKEN", "has_parameters": True, **changes})
