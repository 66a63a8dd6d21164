"""Texts and attributes stay what they are: a parser finds them again, and no element that nobody wrote."""

from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from deploystep.core.html import Element, element, link, page

TEXTS = st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" \n\t"))
HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</style></title><b>"]
ANY = TEXTS | st.sampled_from([*HOSTILE, "&amp;&#60;", "']]>-->"])


class Seen(HTMLParser):
    """The elements of a document, in order, with their attributes, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def body_of(*nodes: Element | str) -> Seen:
    return Seen(page("t", *nodes).partition("</h1>")[2].partition("</main>")[0])


@given(ANY, ANY)
@settings(deadline=None)
def test_what_goes_in_as_text_comes_out_as_text(text: str, value: str) -> None:
    seen = body_of(element("p", text, element("b", value, data_x=value), class_="c"))
    assert "".join(seen.texts) == text + value
    assert seen.tags == [("p", {"class": "c"}), ("b", {"data-x": value})]


def test_what_is_invisible_or_turns_text_around_is_written_as_an_escape() -> None:
    for text in ("a\u202eb", "a\x00b", "a\x1b[31mb", "a\ud800b", "a\u200bb"):
        (shown,) = body_of(text).texts
        assert (shown.isprintable(), shown[:2]) == (True, "a\\")


WEB = ["https://circleci.com/x?a=1&b=2", "http://127.0.0.1:1/x", "/pipelines/gh/acme/shop/1"]
NOT_WEB = ["javascript:alert(1)", "JaVaScRiPt:x", "data:text/html,x", "//evil.example", "vbscript:x", " http://x", ""]
NOT_WEB += ["/\\evil.example", "/\t/evil.example"]  # a browser reads // there


def test_only_addresses_of_the_web_are_links() -> None:
    assert [body_of(link(url, "x")).tags for url in NOT_WEB] == [[] for _ in NOT_WEB]
    assert [[(tag, a["href"]) for tag, a in body_of(link(url)).tags] for url in WEB] == [[("a", url)] for url in WEB]


def test_a_secret_is_masked_wherever_it_stands() -> None:
    secret = "s3cret\"<>&'"
    text = page(secret, f"x{secret}y", element("i", data_x=secret), mask=lambda text: text.replace(secret, "***"))
    assert "s3cret" not in text
    assert text.count("***") == 4


def test_a_page_loads_nothing_and_says_what_it_is() -> None:
    seen = Seen(page("Title"))
    policy = next(a["content"] for tag, a in seen.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert str(policy).startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert {tag for tag, _ in seen.tags} == {"html", "head", "meta", "title", "style", "body", "main", "h1"}
    assert ("html", {"lang": "en"}) in seen.tags
    assert "url(" not in "".join(seen.texts)
