"""Bash, read far enough to tell which commands a script holds, under which conditions, and with which words.

Source: Bash Reference Manual, "Shell Syntax" and "Shell Commands". Nothing is executed, and words stay as written. Rare
grammar is Uncertain: whoever asks leaves such a script as it is.
"""

import re
from typing import Final, NamedTuple

#: A value that CircleCI fills in before a shell sees it; `<<` alone begins a here-document.
TAG: Final = re.compile(r"<<\s*(?:pipeline|parameters|matrix|orb)\.[\w.-]+\s*>>")
ASSIGNMENT: Final = re.compile(r"([A-Za-z_]\w*)(\[[^\]]*\])?(\+?)=")
_REDIRECTION: Final = re.compile(r"(?![<>]\()\d*(?:<<<|\\?<<-?|<>|>>|>\||[<>]&?|&>>?)")
_OPERATOR: Final = re.compile(r"&&|\|\||\|&?|&|;(?![;&])|(?=[\n);]|\Z)")
_BLANK: Final = re.compile(r"(?:[ \t\r]|\\\n)+|#[^\n]*")
_PIECE: Final = re.compile(rf"{TAG.pattern}|\\(?s:.)|'[^']*'|\$'|[$<>=]\(|\$\{{|(?s:.)")
_IN_QUOTES: Final = re.compile(rf"{TAG.pattern}|\\(?s:.)|\$[({{]|(?s:.)")
_BARE: Final = re.compile(r"[()]|[^\s;&|()<>]*")
_CLOSING: Final = {"(": ")", "{": "}", "if": "fi", **dict.fromkeys(("for", "select", "while", "until"), "done")}
_RESERVED: Final = frozenset({*_CLOSING.values(), "then", "elif", "else", "do", "esac"})


class Uncertain(Exception):
    """The text is no bash that can be read here, or what it means as a rule is not certain."""


class Word(NamedTuple):
    """A word as it is written, or the text of a here-document, and where it begins."""

    raw: str
    start: int


class Command(NamedTuple):
    """A command of a list. Its words are the word of a `case`, the name of a function, or assignments and words."""

    kind: str  # simple, function, `;&` (a `case` that falls through), or its first word
    start: int
    words: tuple[Word, ...] = ()  # of `[[ … ]]` and `((…))`: two
    sections: tuple["List", ...] = ()
    redirections: tuple[Word, ...] = ()
    heredocs: tuple[Word, ...] = ()
    operator: str = ";"  # before it: `;`, `&&`, `||` or `|`
    is_negated: bool = False  # by a `!` before it
    has_more: bool = False  # `&` or, behind a compound command, a redirection follows

    @property
    def first(self) -> str:
        return self.words[0].raw if self.kind == "simple" and self.words else ""


class List(NamedTuple):
    """Commands, where their text begins and ends, and what is before them: a reserved word, or a `case`'s patterns."""

    items: tuple[Command, ...]
    start: int
    end: int
    heading: tuple[str, ...] = ()


def parse(text: str) -> tuple[List, list[tuple[int, int]]]:
    """The commands of a script, and where its comments begin and end. Raises Uncertain."""
    parser = _Parser(text)
    try:
        body = parser.commands(may_be_empty=True)
    except (RecursionError, IndexError, ValueError):
        raise Uncertain from None
    if parser.at < len(text):
        raise Uncertain
    return body, parser.comments


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.comments: list[tuple[int, int]] = []
        self.heredocs: tuple[int, int] | None = None  # where those of this line begin and end

    def blank(self, *, lines: bool = False) -> None:
        """Skip blanks and comments; with `lines`, also line ends and the here-documents behind them."""
        while True:
            if found := _BLANK.match(self.text, self.at):
                self.at = found.end()
                if found[0][0] == "#":
                    self.comments.append(found.span())
            elif lines and self.text.startswith("\n", self.at):
                self.at += 1
                if self.heredocs:
                    begin, end = self.heredocs
                    if begin != self.at:
                        raise Uncertain
                    self.at, self.heredocs = end, None
            else:
                return

    def heredoc(self, delimiter: str, *, is_indented: bool) -> Word:
        """The here-document that begins on the next line, or behind the one before."""
        begin = self.heredocs[1] if self.heredocs else self.text.find("\n", self.at) + 1
        tabs = r"\t*" if is_indented else ""
        last = re.compile(rf"^{tabs}{re.escape(delimiter)}\r?$", re.MULTILINE)
        found = last.search(self.text, begin) if begin else None
        if found is None:
            raise Uncertain
        self.heredocs = (self.heredocs[0] if self.heredocs else begin, min(found.end() + 1, len(self.text)))
        return Word(self.text[begin : max(found.start() - 1, begin)], begin)

    def word(self) -> Word:
        """The word that begins here. `closing` ends what is quoted or in brackets, from the inside out."""
        start = at = self.at
        closing = ""
        while found := (_IN_QUOTES if closing[-1:] == '"' else _PIECE).match(self.text, at):
            piece, around = found[0], closing[-1:]
            if piece in ("'", "$'") and around != '"':
                raise Uncertain
            if piece == around:
                closing = closing[:-1]
            elif piece in ('"', "`"):
                closing += piece
            elif piece[-1] in "({" and (piece[0] in "$<>=" or around == _CLOSING.get(piece)):
                closing += _CLOSING[piece[-1]]
            elif not closing and piece in " \t\n;&|()<>":
                break
            at = found.end()
        if at == start or closing:
            raise Uncertain
        self.at = at
        return Word(self.text[start:at], start)

    def peek(self) -> str:
        found = _BARE.match(self.text, self.at)
        return found[0] if found else ""

    def commands(self, *, may_be_empty: bool = False) -> List:
        """Commands up to a reserved word or sign that ends them, which is left there."""
        items, start, operator = list[Command](), self.at, ";"
        while True:
            self.blank(lines=True)
            is_end = self.at >= len(self.text) or self.text.startswith((";;", ";&"), self.at)
            if is_end or self.peek() in _RESERVED:
                break
            begin, is_negated = self.at, self.peek() == "!"
            self.at += is_negated
            self.blank()
            found = self.command()
            self.blank()
            has_more = found.kind != "simple" and _REDIRECTION.match(self.text, self.at) is not None
            if has_more and self.simple(begin).words:
                raise Uncertain
            end = _OPERATOR.match(self.text, self.at)
            if end is None:
                raise Uncertain
            has_more |= end[0] == "&"
            items.append(found._replace(operator=operator, is_negated=is_negated, has_more=has_more, start=begin))
            operator = end[0] if end[0] in ("&&", "||") else end[0][:1] if end[0][:1] == "|" else ";"
            self.at = end.end()
        if operator != ";" or not (items or may_be_empty):
            raise Uncertain
        return List(tuple(items), start, self.at)

    def command(self) -> Command:
        start, word = self.at, self.peek()
        if word == "[[" or self.text.startswith("((", start):
            end = re.compile(r"\s\]\]" if word == "[[" else r"\)\)").search(self.text, start)
            if end is None:
                raise Uncertain
            self.at = end.end()
            inner = Word(self.text[start + 2 : self.at - 2], start + 2)
            return Command("simple", start, (Word(self.text[start : start + 2], start), inner))
        if word == "case":
            return self.case(start)
        return self.compound(start) if word in _CLOSING else self.simple(start)

    def compound(self, start: int) -> Command:
        """An `if`, a loop or a group; behind `for` stands what can be read as a command."""
        kind = word = self.peek()
        sections = list[List]()
        while word != _CLOSING.get(kind):
            if sections and word not in ("then", "elif", "else", "do"):
                raise Uncertain
            self.at += len(word)
            sections.append(self.commands()._replace(heading=(word,)))
            word = self.peek()
        self.at += len(word)
        return Command(kind, start, (), tuple(sections))

    def case(self, start: int) -> Command:
        self.at += len("case")
        self.blank()
        word, kind, arms, end = self.word(), "case", list[List](), re.compile(r"\s*in\s").match(self.text, self.at)
        while end is not None:
            self.at = end.end()
            self.blank(lines=True)
            if self.peek() == "esac":
                self.at += len("esac")
                return Command(kind, start, (word,), tuple(arms))
            closing = self.text.index(")", self.at + 1)
            patterns = tuple(each.strip(" (\t\n") for each in self.text[self.at : closing].split("|"))
            self.at = closing + 1
            arms.append(self.commands(may_be_empty=True)._replace(heading=patterns))
            end = re.compile(r";;&?|;&|(?=esac)").match(self.text, self.at)
            kind = ";&" if end and end[0] in (";;&", ";&") else kind
        raise Uncertain

    def simple(self, start: int) -> Command:
        words, to, heredocs = list[Word](), list[Word](), list[Word]()
        while True:
            self.blank()
            found = None if TAG.match(self.text, self.at) else _REDIRECTION.match(self.text, self.at)
            if found:
                self.at = found.end()
                self.blank()
                target = self.word()
                if found[0].strip("0123456789\\") in ("<<", "<<-"):
                    delimiter = re.sub(r"[\\'\"]", "", target.raw)
                    heredocs.append(self.heredoc(delimiter, is_indented=found[0].endswith("-")))
                else:
                    to.append(target)
            elif self.at >= len(self.text) or self.text[self.at] in "\n;&|)":
                break
            elif len(words) == 1 and self.text[self.at] == "(":
                found = re.compile(r"(?:\(\s*\))?\s*").match(self.text, self.at)
                self.at = found.end() if found else self.at
                return self.compound(start)._replace(kind="function", words=tuple(words))
            else:
                words.append(self.word())
        if not (words or to or heredocs):
            raise Uncertain
        return Command("simple", start, tuple(words), (), tuple(to), tuple(heredocs))
