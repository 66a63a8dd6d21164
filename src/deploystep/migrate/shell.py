"""Bash, read far enough to tell which commands a script holds, under which conditions, and with which words.

Source: Bash Reference Manual, "Shell Syntax" and "Shell Commands". Nothing is executed, and words stay as written.
"""

import re
from typing import Final, NamedTuple

#: A value that CircleCI fills in before a shell sees it; `<<` alone begins a here-document.
TAG: Final = re.compile(r"<<\s*(?:pipeline|parameters|matrix|orb)\.[\w.-]+\s*>>")
_ASSIGNMENT: Final = re.compile(r"([A-Za-z_]\w*)(\[[^\]]*\])?(\+?)=")
_REDIRECTION: Final = re.compile(r"\d*(?:<<<|\\?<<-?|<>|>>|>\||[<>]&?|&>>?)")
_OPERATOR: Final = re.compile(r"&&|\|\||\|&?|;;&?|;&|[;&\n)]")
_BARE: Final = re.compile(r"[^\s;&|()<>]+")
_RESERVED: Final = frozenset({"then", "elif", "else", "fi", "do", "done", "esac", "}"})
_END: Final = " \t\n;&|()<>"


class Unreadable(Exception):
    """The text is no bash that can be read here."""


class Word(NamedTuple):
    """A word as it is written, or the text of a here-document, and where it begins.

    `inner` are the commands in its `$(…)` and backquotes, and where they begin.
    """

    raw: str
    start: int
    inner: tuple[tuple[int, str], ...] = ()


class Assignment(NamedTuple):
    """`NAME=value`; with `adds`, `NAME+=value`."""

    name: str
    value: Word
    adds: bool


class Command(NamedTuple):
    """A command of a list: `kind` is simple, if, case, loop, group or function, or `;&`: a `case` that falls through.

    `words` are those of a simple command, of which `[[ … ]]` and `((…))` have two, the word of a `case`, the variable
    and words of a `for`, or the name of a function. Before it stand an operator (`;`, `&&`, `||` or `|`), and `!` where
    it `is_negated`; it `has_more` where `&` or, behind a compound command, a redirection follows.
    """

    kind: str
    start: int
    words: tuple[Word, ...] = ()
    branches: tuple["Branch", ...] = ()
    assignments: tuple[Assignment, ...] = ()
    redirections: tuple[Word, ...] = ()
    heredocs: tuple[Word, ...] = ()
    operator: str = ";"
    is_negated: bool = False
    has_more: bool = False

    @property
    def first(self) -> str:
        """The first word of a simple command, or nothing."""
        return self.words[0].raw if self.kind == "simple" and self.words else ""


class Branch(NamedTuple):
    """Commands within a compound one, with what is asked before them: a list of commands, or patterns of a `case`."""

    test: "List | None"
    patterns: tuple[str, ...]
    body: "List"


class List(NamedTuple):
    """Commands in their order, and where the text begins and ends in which they stand."""

    items: tuple[Command, ...]
    start: int
    end: int


class Script(NamedTuple):
    """A whole script: its commands, and where its comments begin and end."""

    body: List
    comments: tuple[tuple[int, int], ...]

    def code(self, text: str) -> str:
        """The text of the script without its comments."""
        for start, end in reversed(self.comments):
            text = text[:start] + text[end:]
        return text


def parse(text: str) -> Script:
    """Read a script. Raises Unreadable."""
    parser = _Parser(text)
    try:
        body = parser.commands(may_be_empty=True)
    except (RecursionError, IndexError, ValueError):
        raise Unreadable from None
    if parser.at < len(text):
        raise Unreadable
    return Script(body, tuple(parser.comments))


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.comments: list[tuple[int, int]] = []
        self.inner: list[tuple[int, str]] = []
        self.heredocs: tuple[int, int] | None = None  # where those of this line begin and end

    # --- characters

    def blank(self, *, lines: bool = False) -> None:
        """Skip blanks and comments; with `lines`, also line ends and the here-documents behind them."""
        text = self.text
        while self.at < len(text):
            if text[self.at] in " \t\r":
                self.at += 1
            elif text.startswith("\\\n", self.at):
                self.at += 2
            elif text[self.at] == "#":
                end = text.find("\n", self.at)
                self.comments.append((self.at, end if end >= 0 else len(text)))
                self.at = self.comments[-1][1]
            elif lines and text[self.at] == "\n":
                self.at += 1
                if self.heredocs:
                    begin, end = self.heredocs
                    if begin != self.at:
                        raise Unreadable
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
            raise Unreadable
        self.heredocs = (self.heredocs[0] if self.heredocs else begin, min(found.end() + 1, len(self.text)))
        return Word(self.text[begin : max(found.start() - 1, begin)], begin)

    def skip(self, at: int) -> int:
        """The place behind a character, or behind what is quoted or put in from there on."""
        text = self.text
        if text[at] == "\\":
            return at + 2
        if text[at] == "'":
            return text.index("'", at + 1) + 1
        if text.startswith("$'", at):
            at += 2
            while text[at] != "'":
                at += 2 if text[at] == "\\" else 1
            return at + 1
        if text[at] == '"':
            at += 1
            while text[at] != '"':
                at = self.skip(at) if text[at] in "\\`" or text.startswith(("$(", "${"), at) else at + 1
            return at + 1
        if text[at] == "`":
            end = text.index("`", at + 1)
            self.inner.append((at + 1, text[at + 1 : end]))
            return end + 1
        return self.bracket(at + 1) if text.startswith(("$(", "${", "<(", ">("), at) else at + 1

    def bracket(self, start: int) -> int:
        """The place behind the bracket that closes the one at a place."""
        at, depth = start, 0
        while depth or at == start:
            depth += (self.text[at] == self.text[start]) - (self.text[at] == {"(": ")", "{": "}"}[self.text[start]])
            at = self.skip(at)
        if self.text[start - 1 : start + 1] == "$(" and self.text[start + 1] != "(":
            self.inner.append((start + 1, self.text[start + 1 : at - 1]))
        return at

    def word(self) -> Word:
        """The word that begins here."""
        start = at = self.at
        text, self.inner = self.text, []
        while at < len(text):
            tag, is_process = TAG.match(text, at), text.startswith(("<(", ">("), at)
            if tag:
                at = tag.end()
            elif text[at] == "(" and (_ASSIGNMENT.fullmatch(text, start, at) or text[at - 1 : at] in tuple("@?*+!")):
                at = self.bracket(at)  # a list, or an extended pattern
            elif text[at] in _END and not is_process:
                break
            else:
                at = self.skip(at)
        if at == start or at > len(text):
            raise Unreadable
        self.at = at
        return Word(text[start:at], start, tuple(self.inner))

    def peek(self) -> str:
        """The plain word that begins here, if one does."""
        found = _BARE.match(self.text, self.at)
        return found[0] if found else ""

    def take(self, *expected: str) -> str:
        """Skip a reserved word."""
        self.blank(lines=True)
        word = self.peek()
        if word not in expected:
            raise Unreadable
        self.at += len(word)
        return word

    # --- commands

    def commands(self, *, may_be_empty: bool = False) -> List:
        """Commands up to a reserved word or sign that ends them, which is left there."""
        items, start, operator = list[Command](), self.at, ";"
        while True:
            self.blank(lines=True)
            is_end = self.at >= len(self.text) or self.text.startswith((";;", ";&", ")"), self.at)
            if is_end or self.peek() in _RESERVED:
                break
            begin, is_negated = self.at, self.peek() == "!"
            if is_negated:
                self.at += 1
                self.blank()
            found = self.command()
            has_more = found.kind != "simple" and self.redirections([], [])
            self.blank()
            end = _OPERATOR.match(self.text, self.at)
            sign = end[0] if end else ""
            if not end and self.at < len(self.text):
                raise Unreadable
            has_more |= sign == "&"
            items.append(found._replace(operator=operator, is_negated=is_negated, has_more=has_more, start=begin))
            operator = sign if sign in ("&&", "||") else "|" if sign[:1] == "|" else ";"
            self.at += len(sign) if operator != ";" or sign in (";", "&") else 0
        if operator != ";" or not (items or may_be_empty):
            raise Unreadable
        return List(tuple(items), start, self.at)

    def command(self) -> Command:
        start, word = self.at, self.peek()
        if word == "[[" or self.text.startswith("((", start):
            return self.bracketed(start)
        if word == "function":
            self.take("function")
            self.blank()
            name = self.word()
            self.blank()
            self.at += 2 * self.text.startswith("()", self.at)
            return self.group(start, name)
        if word == "{" or self.text.startswith("(", start):
            return self.group(start)
        compound = {"if": self.conditional, "case": self.case, "for": self.loop, "select": self.loop}.get(word)
        compound = self.loop if word in ("while", "until") else compound
        return compound(start) if compound else self.simple(start)

    def bracketed(self, start: int) -> Command:
        """`[[ … ]]` or `((…))`."""
        kind, at, self.inner = self.text[start : start + 2], start + 2, []
        end = re.compile(r"(?<=\s)\]\]" if kind == "[[" else r"\)\)")
        while not end.match(self.text, at):
            at = self.skip(at)
        self.at = at + 2
        words = (Word(kind, start), Word(self.text[start + 2 : at], start + 2, tuple(self.inner)))
        return Command("simple", start, words)

    def conditional(self, start: int) -> Command:
        branches, word = list[Branch](), self.take("if")
        while word != "fi":
            test = None
            if word != "else":
                test = self.commands()
                self.take("then")
            branches.append(Branch(test, (), self.commands()))
            word = self.take("fi") if test is None else self.take("elif", "else", "fi")
        return Command("if", start, (), tuple(branches))

    def case(self, start: int) -> Command:
        self.take("case")
        self.blank()
        word, kind, arms = self.word(), "case", list[Branch]()
        self.take("in")
        while True:
            self.blank(lines=True)
            if self.peek() == "esac":
                break
            self.at += self.text[self.at] == "("
            patterns, sign = list[str](), "|"
            while sign == "|":
                self.blank()
                patterns.append(self.word().raw)
                self.blank()
                sign = self.text[self.at]
                self.at += 1
            if sign != ")":
                raise Unreadable
            arms.append(Branch(None, tuple(patterns), self.commands(may_be_empty=True)))
            end = re.compile(r";;&?|;&").match(self.text, self.at)
            kind = ";&" if end and end[0] != ";;" else kind
            self.at = end.end() if end else self.at
        self.take("esac")
        return Command(kind, start, (word,), tuple(arms))

    def loop(self, start: int) -> Command:
        words, test = list[Word](), None
        if self.take("for", "select", "while", "until") in ("while", "until"):
            test = self.commands()
        else:
            self.blank()
            if self.text.startswith("((", self.at):
                self.bracketed(self.at)
            else:
                words.append(self.word())
                self.blank(lines=True)
                if self.peek() == "in":
                    self.take("in")
                    self.blank()
                    while self.text[self.at] not in ";\n":
                        words.append(self.word())
                        self.blank()
            self.blank()
            self.at += self.text[self.at] == ";"
        self.take("do")
        body = self.commands()
        self.take("done")
        return Command("loop", start, tuple(words), (Branch(test, (), body),))

    def group(self, start: int, name: Word | None = None) -> Command:
        self.blank(lines=True)
        end = {"{": "}", "(": ")"}.get(self.text[self.at])
        self.at += 1
        body = self.commands()
        if end is None or self.text[self.at] != end:
            raise Unreadable
        self.at += 1
        return Command("function" if name else "group", start, (name,) if name else (), (Branch(None, (), body),))

    def redirections(self, to: list[Word], heredocs: list[Word]) -> bool:
        """Read what follows a command or stands in it; whether there is any."""
        is_any = False
        while True:
            self.blank()
            found = None if TAG.match(self.text, self.at) else _REDIRECTION.match(self.text, self.at)
            if found is None or (self.text.startswith(("<(", ">("), self.at)):
                return is_any
            self.at = found.end()
            self.blank()
            target, is_any = self.word(), True
            if found[0].strip("0123456789\\") in ("<<", "<<-"):
                delimiter = re.sub(r"[\\'\"]", "", target.raw)
                heredocs.append(self.heredoc(delimiter, is_indented=found[0].endswith("-")))
            else:
                to.append(target)

    def simple(self, start: int) -> Command:
        assignments, words, to, heredocs = list[Assignment](), list[Word](), list[Word](), list[Word]()
        while True:
            self.redirections(to, heredocs)
            if self.at >= len(self.text) or self.text[self.at] in "\n;&|)":
                break
            if len(words) == 1 and not assignments and re.compile(r"\(\s*\)").match(self.text, self.at):
                self.at = self.text.index(")", self.at) + 1
                return self.group(start, words[0])
            word = self.word()
            found = _ASSIGNMENT.match(word.raw)
            if found and not words:
                value = Word(word.raw[found.end() :], word.start + found.end(), word.inner)
                assignments.append(Assignment(found[1], value, bool(found[3])))
            else:
                words.append(word)
        if not (assignments or words or to or heredocs):
            raise Unreadable
        return Command("simple", start, tuple(words), (), tuple(assignments), tuple(to), tuple(heredocs))
