"""The pages in headless Chromium: nothing wrong for axe-core, no error, nothing wider than the screen, no script."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptance.process import Clone, sandbox
from browser import Browser, chromium

from deploystep.core.html import STYLE, badge, element, page

HOSTILE = "<img/src=x/onerror=alert(1)>\"'"
RULES = """
    version: 1
    timezone: Europe/Berlin
    windows: {office-hours: Mon-Thu 09:00-16:00}
    freezes:
      - {name: sale, from: 2026-06-18 18:00, until: 2026-06-21 09:00, reason: "<b>no</b>"}
    never:
      - {name: bots, when: {branch: [dependabot/**, renovate/**]}}
    rules:
      - name: production
        environment: production
        when: {branch: [main, "**"]}
        unless: [{message_contains: "[skip deploy]"}, {branch: wip/**}]
        deploy: {workflow: deploy, parameters: {deploy: true, sha: "${CIRCLE_SHA1}"}}
      - name: a-rule-whose-name-is-as-long-as-any-that-a-rule-can-have-64-here
        when: {tag: '/v\\d+(\\.\\d+)*/', merged_into: main}
        during: office-hours
        deploy: {workflow: release}
    cases:
      - name: <script>alert(1)</script> a case
        given: {branch: main, message: x}
        expect: {fire: [production]}
    """
CONFIG = """
    version: 2.1
    parameters: {deploy: {type: boolean, default: false}, sha: {type: string, default: ""}}
    jobs:
      <u>ship</u>:
        steps: [{run: "echo '</pre><script>alert(1)</script>' && a-very-long-command --with --many --words"}]
    workflows: {deploy: {when: << pipeline.parameters.deploy >>, jobs: ["<u>ship</u>"]}}
    """
NAMES = ("matrix", "run", "failed", "sandbox", "list")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Every kind of page by its name, as real processes and a real server make it."""
    folder = tmp_path_factory.mktemp("pages") / "clone"
    folder.mkdir()
    clone = Clone(folder)
    clone.write(RULES)
    revision = clone.commit()
    clone.push()
    clone.git("update-ref", f"refs/remotes/origin/{HOSTILE}", "HEAD")
    clone.git("tag", "v1.4.0")
    with sandbox(heads={"main": revision}) as server:
        server.set_config("gh/acme/shop", CONFIG)
        build = {"CIRCLE_SHA1": revision}
        made = clone.run(("matrix", "--now", "2026-06-16 08:00", "--html", "matrix.html"), {}, ci=False)
        assert made.code == 0, made.err
        deployed = clone.step(server, "--report", "run.html", **build)
        assert deployed.code == 0, deployed.err
        wrong = clone.step(server, "--report", "failed.html", "--rules", "nowhere.yml", **build)
        assert wrong.code == 3
        found = {name: (folder / f"{name}.html").as_uri() for name in NAMES[:3]}
        address = deployed.json["triggers"][0]["url"]
        yield {**found, "sandbox": address, "list": address.rpartition("/")[0]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_right_for_everybody(
    browser: Browser, pages: dict[str, str], name: str, width: int, scheme: str
) -> None:
    browser.open(pages[name], width, scheme)
    assert browser.problems == []
    assert browser.js("document.documentElement.scrollWidth") <= width, "it scrolls sideways"
    assert browser.js(
        "[document.images.length, document.scripts.length, document.querySelectorAll('u,b,[onerror]').length]"
    ) == [0, 0, 0]
    dark = browser.js("getComputedStyle(document.body).backgroundColor !== 'rgb(255, 255, 255)'")
    assert dark is (scheme == "dark")
    assert browser.axe() == []


def test_hostile_names_are_read_as_they_are(browser: Browser, pages: dict[str, str]) -> None:
    browser.open(pages["matrix"], 1280, "light")
    text = browser.js("document.body.innerText")
    assert HOSTILE in text
    assert "<script>alert(1)</script> a case" in text
    browser.open(pages["sandbox"], 1280, "light")
    assert "echo '</pre><script>alert(1)</script>'" in browser.js("document.querySelector('pre').innerText")


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_printed_whole(browser: Browser, pages: dict[str, str], name: str) -> None:
    browser.open(pages[name], 718, "light")
    browser.call("Emulation.setEmulatedMedia", media="print")
    try:
        assert (
            browser.js("Math.max(...[...document.querySelectorAll('*')].map(e => e.getBoundingClientRect().right))")
            <= 718
        )
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")


@pytest.mark.parametrize(("scheme", "pale"), [("light", "#bbb"), ("dark", "#444")])
def test_the_contrast_of_every_colour_is_judged(browser: Browser, tmp_path: Path, scheme: str, pale: str) -> None:
    colours = sorted(set(re.findall(r"[{;]color:var\((--\w+)\)", STYLE)))
    kinds = [element("p", badge(kind)) for kind in ("fire", "held", "unknown", "failed", "no")]
    (tmp_path / "page.html").write_text(page("Colours", *kinds, element("article", *kinds)), encoding="utf-8")
    browser.open((tmp_path / "page.html").as_uri(), 360, scheme)
    assert browser.axe() == []
    for colour in colours:
        browser.js(f"document.documentElement.style.setProperty('{colour}', '{pale}')")
        assert [line for line in browser.axe() if re.match(r"color-contrast: .*<", line)], colour
        browser.js(f"document.documentElement.style.removeProperty('{colour}')")
    assert len(colours) == 5


def test_what_is_wrong_is_found(browser: Browser) -> None:
    """The same looks at a page that is wrong in each of these ways."""
    words = "<p style='width:900px;color:%23ccc;background:%23fff'>some words"
    browser.open(f"data:text/html,{words}<script>console.error(1)</script>", 360, "light")
    assert browser.problems
    assert browser.js("document.documentElement.scrollWidth") > 360
    assert any(line.startswith("color-contrast") for line in browser.axe())
