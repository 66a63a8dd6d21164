"""Pages that load nothing: elements whose texts cannot become markup, and one style sheet for all of them."""

import re
from collections.abc import Callable
from html import escape
from typing import Final, TypeAlias

from deploystep.core.frozen import Frozen
from deploystep.core.source import visible


class Element(Frozen):
    """An element of a page; a child that is a text is shown as it is, whatever it holds."""

    tag: str
    attributes: tuple[tuple[str, str], ...]
    children: tuple["Node", ...]


Node: TypeAlias = Element | str


def element(tag: str, *children: Node, **attributes: str) -> Element:
    """An element; `class_` and `aria_label` stand for `class` and `aria-label`."""
    return Element(tag, tuple((name.rstrip("_").replace("_", "-"), v) for name, v in attributes.items()), children)


def link(url: str, text: str = "") -> Node:
    """A link where the address is one of the web; the text alone where it is none, such as `javascript:`."""
    is_safe = re.match(r"https?://|/(?![/\\\s])", url, re.IGNORECASE)
    return element("a", text or url, href=url, rel="noreferrer") if is_safe else text or url


def badge(word: str, kind: str = "") -> Element:
    """A word for a verdict or a state, in the colour of its kind."""
    return element("strong", word, class_=f"badge {kind or word}")


def facts(*pairs: tuple[str, Node]) -> Element:
    """Names with their values, in columns as far as the screen has room; an empty value is left out."""
    return element("dl", *(element("div", element("dt", k), element("dd", v)) for k, v in pairs if v != ""))


def table(label: str, head: tuple[str, ...], rows: tuple[tuple[Node, ...], ...]) -> Element:
    """A table."""
    top = element("tr", *(element("th", name, scope="col") for name in head))
    lines = (element("tr", *(element("td", cell) for cell in row)) for row in rows)
    return scrolled(label, element("table", element("thead", top), element("tbody", *lines)))


def scrolled(label: str, wide: Element) -> Element:
    """What may be wider than the page: it alone is scrolled, with the keyboard too."""
    return element("div", wide, class_="wide", role="region", aria_label=label, tabindex="0")


def page(title: str, *body: Node, mask: Callable[[str], str] = str) -> str:
    """A whole document; `mask` is applied to each text and attribute, before anything else, to hide secrets in them."""

    def markup(node: Node) -> str:
        if isinstance(node, str):  # nothing in it is markup, invisible or turned around; lines and tabs stay
            return escape(re.sub(r"[^\n\t]+", lambda part: visible(part[0]), mask(node)))
        start = node.tag + "".join(f' {name}="{markup(value)}"' for name, value in node.attributes)
        return f"<{start}>{''.join(map(markup, node.children))}</{node.tag}>"

    named, main = markup(element("title", title)), markup(element("main", element("h1", title), *body))
    return f"{_BEGIN}{named}<style>{STYLE}</style></head><body>{main}</body></html>\n"


_BEGIN: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">\
<meta name="referrer" content="no-referrer"><meta http-equiv="Content-Security-Policy" content="default-src \
&#x27;none&#x27;; style-src &#x27;unsafe-inline&#x27;; base-uri &#x27;none&#x27;; form-action &#x27;none&#x27;">"""
STYLE: Final = """
:root{color-scheme:light dark;--soft:#545e6d;--edge:#d3d9e1;--panel:#f4f6f9;--fire:#0a6638;--held:#7d4a00;
--open:#6337a0;--bad:#a81f18}
@media screen and (prefers-color-scheme:dark){:root{--soft:#a3adba;--edge:#333d49;--panel:#1a2129;--fire:#66d19a;
--held:#f0b45c;--open:#c3a3f5;--bad:#ff9a91}}
*{box-sizing:border-box}
body{margin:0;background:Canvas;font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
main{max-width:76rem;margin:0 auto;padding:1rem}
h3,article>h2,p,ul,li{margin:.3rem 0}
small,.soft,dt{color:var(--soft);font-size:.875rem}
pre{padding:0 1rem;overflow-wrap:normal}
article,.wide{border:1px solid var(--edge);border-radius:8px;margin:.7rem 0;overflow-x:auto}
article{background:var(--panel);padding:.5rem 1rem}
.badge{display:inline-block;padding:0 .5rem;border:1px solid;border-radius:99px;font-size:.875rem;color:var(--soft)}
.fire,.yes,.success,.triggered,.already-triggered,.ok,.created{color:var(--fire)}
.held,.running,.on_hold,.planned,.superseded,.pending,.setup{color:var(--held)}
.unknown,.uncertain,.not-sent{color:var(--open)}
.failed,.error,.errored,.refused,.unreachable,.stopped,.nothing-runs,.bad{color:var(--bad)}
dl{margin:.5rem 0;display:grid;gap:.4rem 1rem;grid-template-columns:repeat(auto-fill,minmax(9rem,1fr))}
dd{margin:0}
dd small,.lane small{display:block}
table{border-collapse:collapse;width:100%}
th,td{padding:.5rem .7rem;text-align:left;vertical-align:top;min-width:6rem}
.lane{display:grid;grid-template-columns:repeat(auto-fit,minmax(14rem,1fr));gap:.2rem 1rem;margin:.6rem 0}
.week{position:relative;height:1.5rem;border:1px solid var(--edge);overflow:hidden;
background:repeating-linear-gradient(to right,var(--edge) 0 1px,transparent 1px calc(100%/7)),var(--panel)}
.week i{position:absolute;top:0;bottom:0;min-width:2px;background:#3f9063}.week i.freeze{background:#5388c8}
.week i.now{background:CanvasText}
@media print{:root{color-scheme:light}main{max-width:none;padding:0}article,.lane{break-inside:avoid}
.wide{overflow:visible}pre{white-space:pre-wrap}.week,.week i,.badge{print-color-adjust:exact}}
""".replace("\n", "")
