"""Pages: elements whose texts cannot become markup, and one style sheet for all of them.

A page is read without scripts and loads nothing: its Content Security Policy allows the style sheet in it, and no more.
"""

import re
from collections.abc import Callable
from html import escape
from typing import Final, TypeAlias

from deploystep.core.frozen import dataclass
from deploystep.core.text import visible

_VOID: Final = frozenset({"meta", "br"})
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a page; a child that is a text is shown as it is, whatever it holds."""

    tag: str
    attributes: tuple[tuple[str, str], ...]
    children: tuple["Node", ...]


Node: TypeAlias = Element | str


def element(tag: str, *children: Node, **attributes: str) -> Element:
    """An element; `class_` and `aria_label` stand for `class` and `aria-label`."""
    named = tuple((name.rstrip("_").replace("_", "-"), value) for name, value in attributes.items())
    return Element(tag, named, children)


def link(url: str, text: str = "") -> Node:
    """A link where the address is one of the web; the text alone where it is none, such as `javascript:`."""
    is_safe = re.match(r"https?://|/(?![/\\\s])", url, re.IGNORECASE) is not None
    return element("a", text or url, href=url, rel="noreferrer") if is_safe else text or url


def badge(word: str, kind: str = "") -> Element:
    """A word for a verdict or a state, in the colour of its kind."""
    return element("strong", word, class_=f"badge {kind or word}")


def facts(*pairs: tuple[str, Node]) -> Element:
    """A list of names with their values; an empty value is left out."""
    rows = [element("div", element("dt", name), element("dd", value)) for name, value in pairs if value != ""]
    return element("dl", *rows)


def table(label: str, head: tuple[str, ...], rows: tuple[tuple[Node, ...], ...]) -> Element:
    """A table whose first column names the rows; on a narrow screen and on paper each row is a block of its own.

    The roles say again what the tags say, as a browser forgets that for tags that are shown as blocks.
    """
    top = [element("th", name, scope="col", role="columnheader") for name in head]
    lines = []
    for first, *rest in rows:
        named = [element("td", cell, role="cell", data_name=name) for name, cell in zip(head[1:], rest, strict=True)]
        lines.append(element("tr", element("th", first, scope="row", role="rowheader"), *named, role="row"))
    body = (
        element("thead", element("tr", *top, role="row"), role="rowgroup"),
        element("tbody", *lines, role="rowgroup"),
    )
    return scrolled(label, element("table", *body, role="table", aria_label=label))


def scrolled(label: str, wide: Element) -> Element:
    """What may be wider than the page: it alone is scrolled, with the keyboard too."""
    return element("div", wide, class_="wide", role="region", aria_label=label, tabindex="0")


def page(title: str, *body: Node, mask: Callable[[str], str] = str) -> str:
    """A whole document; `mask` is applied to each text and attribute, before anything else, to hide secrets in them."""
    head = (
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        Element("meta", (("http-equiv", "Content-Security-Policy"), ("content", _POLICY)), ()),
        element("title", title),
    )
    parts = "".join(_markup(part, mask) for part in head)
    main = _markup(element("main", element("h1", title), *body), mask)
    return f'<!doctype html>\n<html lang="en"><head>{parts}<style>{STYLE}</style></head><body>{main}</body></html>\n'


def _markup(node: Node, mask: Callable[[str], str]) -> str:
    if isinstance(node, str):
        return _escaped(mask(node))
    attributes = "".join(f' {name}="{_escaped(mask(value))}"' for name, value in node.attributes)
    if node.tag in _VOID:
        return f"<{node.tag}{attributes}>"
    return f"<{node.tag}{attributes}>{''.join(_markup(child, mask) for child in node.children)}</{node.tag}>"


def _escaped(text: str) -> str:
    """A text as a page shows it: nothing in it is markup, invisible or turned around; lines and tabs stay."""
    return escape(re.sub(r"[^\n\t]+", lambda part: visible(part[0]), text))


#: On a narrow screen and on paper each row of a table is a block.
STYLE: Final = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1b2430;--soft:#545e6d;--edge:#d3d9e1;--panel:#f4f6f9;--link:#0a54a0;
--fire:#0a6638;--held:#7d4a00;--open:#6337a0;--bad:#a81f18;--bar:#3f8f63;--ice:#4f83c4}
@media(prefers-color-scheme:dark){:root{--paper:#12171e;--ink:#e3e8ee;--soft:#a3adba;--edge:#333d49;--panel:#1a2129;
--link:#8ab8f5;--fire:#66d19a;--held:#f0b45c;--open:#c3a3f5;--bad:#ff9a91;--bar:#3c9668;--ice:#5b8fd0}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
main{max-width:76rem;margin:0 auto;padding:1.5rem 1rem 3rem}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .5rem}
h2{font-size:1.2rem;margin:2.2rem 0 .6rem}
h3{font-size:1rem}
h3,article>h2{margin:0 0 .3rem}
p,ul{margin:.4rem 0}
ul{padding-left:1.2rem}
li{margin:.2rem 0}
ul.tree,ul.tree ul{list-style:none;padding-left:0}
ul.tree ul{margin-left:.7rem;padding-left:.9rem;border-left:1px solid var(--edge)}
a{color:var(--link)}
small,.soft,dt{color:var(--soft)}
small,.soft{font-size:.875rem}
code,pre{font:.875rem/1.5 ui-monospace,monospace}
pre{margin:0;padding:.8rem 1rem;white-space:pre;overflow-wrap:normal}
article,.wide{border:1px solid var(--edge);border-radius:8px;margin:.7rem 0}
article{background:var(--panel);padding:.8rem 1rem}
.wide{overflow-x:auto}
:focus-visible{outline:2px solid var(--link);outline-offset:2px}
.badge{display:inline-block;min-width:3.2rem;padding:0 .5rem;border:1px solid;border-radius:99px;text-align:center;
font-size:.8125rem;font-weight:600;color:var(--soft);white-space:nowrap}
.fire,.yes,.success,.triggered,.already-triggered,.ok,.created{color:var(--fire)}
.held,.running,.on_hold,.planned,.superseded,.pending,.setup{color:var(--held)}
.unknown,.uncertain,.not-sent{color:var(--open)}
.failed,.error,.errored,.refused,.unreachable,.stopped,.nothing-runs,.bad{color:var(--bad)}
dl{margin:.5rem 0;display:grid;gap:.2rem}
dl>div{display:grid;grid-template-columns:9rem 1fr;gap:.8rem}
dd{margin:0}
table{border-collapse:collapse;width:100%}
th,td{padding:.5rem .7rem;border-bottom:1px solid var(--edge);text-align:left;vertical-align:top;min-width:9rem}
tbody tr:last-child>*{border-bottom:0}
th{background:var(--panel)}
td small,th small,.lane small{display:block;font-weight:400}
.lane{display:grid;grid-template-columns:14rem 1fr;gap:.2rem 1rem;align-items:start;margin:.6rem 0}
.week,.days{position:relative;height:1.5rem;border-radius:4px}
.week{background:repeating-linear-gradient(to right,var(--edge) 0 1px,transparent 1px calc(100%/7)),var(--panel);
border:1px solid var(--edge);overflow:hidden}
.week i{position:absolute;top:0;bottom:0;min-width:2px;background:var(--bar)}
.week i.freeze{background:var(--ice)}
.week i.now{background:var(--ink);z-index:1}
.days{display:grid;grid-template-columns:repeat(7,1fr);font-size:.75rem;color:var(--soft);white-space:nowrap}
@media(max-width:44rem){dl>div,.lane{grid-template-columns:1fr;gap:0}}
@media print,(max-width:44rem){.wide:has(table){overflow:visible;border:0}
table,tbody,tr,th,td{display:block;min-width:0}
thead{position:absolute;clip-path:inset(50%);height:1px;width:1px;overflow:hidden}
tr{border:1px solid var(--edge);border-radius:8px;margin:.6rem 0}
td{display:grid;grid-template-columns:minmax(6rem,1fr) auto;gap:0 .6rem;align-items:center;break-inside:avoid}
td::before{content:attr(data-name);color:var(--soft);font-size:.875rem}
td>div{display:contents}
td .badge{grid-column:2;justify-self:end}
td small{grid-column:1/-1}}
@media print{:root{color-scheme:light}main{max-width:none;padding:0}article,.lane{break-inside:avoid}
.wide{overflow:visible}pre{white-space:pre-wrap}.week,.week i,.badge{print-color-adjust:exact}}
""".replace("\n", "")
