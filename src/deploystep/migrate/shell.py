"""Bash, read far enough to tell which commands a script holds, under which conditions, and with which words.

Source: Bash Reference Manual, "Shell Syntax" and "Shell Commands". Nothing is executed, and words stay as written.
"""

import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: A value that CircleCI fills in before a shell sees it; `<<` alone begins a here-document.
TAG: Final = re.compile(r"<<\s*(?:pipeline|parameters|matrix|orb)\.[\w.-]+\s*>>")
_ASSIGNMENT: Final = re.compile(r"([A-Za-z_]\w*)(\[[^\]]*\])?(\+?)=")
_REDIRECTION: Final = re.compile(r"\d*(?:<<<|\\?<<-?|<>|>>|>\||[<>]&?|&>>?)")
_BARE: Final = re.compile(r"[^\s;&|()<>]+")
_RESERVED: Final = frozenset({"then", "elif", "else", "fi", "do", "done", "esac", "}", "]]"})
_END: Final = " \t\n;&|()<>"


class Unreadable(Exception):
    """The text is no bash that can be read here."""


class Word(NamedTuple):
    """A word as it is written, quotes included, and where it begins."""

    raw: str
    start: int


class Heredoc:
    """The text that a command is given as its standard input; known once its line has ended."""

    def __init__(self, delimiter: str, *, is_indented: bool) -> None:
        self.delimiter = delimiter
        self.is_indented = is_indented
        self.start, self.body = 0, ""


class Assignment(NamedTuple):
    """`NAME=value`; with `adds`, `NAME+=value`."""

    name: str
    value: Word
    adds: bool


class Simple(NamedTuple):
    """A command with its words; without words it only assigns."""

    assignments: tuple[Assignment, ...]
    words: tuple[Word, ...]
    redirections: tuple[Word, ...]
    heredocs: tuple[Heredoc, ...]
    start: int
    end: int


class Test(NamedTuple):
    """`[[ … ]]` or `(( … ))`: `kind` is how it begins, `inner` what stands within."""

    kind: str
    inner: str
    start: int
    end: int


class If(NamedTuple):
    """`if`: conditions with what follows each, and what follows none."""

    branches: tuple[tuple["List", "List"], ...]
    otherwise: "List | None"
    start: int
    end: int


class Case(NamedTuple):
    """`case`: a word, and for each arm its patterns and commands; `falls` where an arm goes on to the next."""

    word: Word
    arms: tuple[tuple[tuple[str, ...], "List"], ...]
    falls: bool
    start: int
    end: int


class Loop(NamedTuple):
    """`for` (with its variable and words), `while` or `until`."""

    variable: str
    words: tuple[Word, ...]
    body: "List"
    start: int
    end: int


class Group(NamedTuple):
    """`{ … }` or `( … )`; with a name, the body of a function."""

    name: str
    body: "List"
    start: int
    end: int


Node: TypeAlias = Simple | Test | If | Case | Loop | Group


class Item(NamedTuple):
    """A command of a list, the operator before it (`;`, `&&`, `||` or `|`), and whether `!` stands before it.

    `has_more` where `&` or, behind a compound command, a redirection follows.
    """

    operator: str
    is_negated: bool
    node: Node
    has_more: bool


class List(NamedTuple):
    """Commands in their order, and where the text begins and ends in which they stand."""

    items: tuple[Item, ...]
    start: int = 0
    end: int = 0


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
        body = parser.commands(())
    except (RecursionError, IndexError):
        raise Unreadable from None
    if parser.at < len(text):
        raise Unreadable
    return Script(body, tuple(parser.comments))


def substitutions(word: str) -> list[tuple[int, str]]:
    """The commands in `$(…)` and backquotes of a word, with their offsets; none where single quotes hide them."""
    parser, found, at, is_double = _Parser(word), list[tuple[int, str]](), 0, False
    while at < len(word):
        if word[at] == "\\":
            at += 1
        elif word[at] == '"':
            is_double = not is_double
        elif word[at] == "'" and not is_double:
            at = word.find("'", at + 1) if "'" in word[at + 1 :] else len(word)
        elif word.startswith("$(", at) and not word.startswith("$((", at):
            end = parser.bracket(at + 1)
            found.append((at + 2, word[at + 2 : end - 1]))
            at = end - 1
        elif word[at] == "`":
            end = word.find("`", at + 1)
            found.append((at + 1, word[at + 1 : end if end > 0 else len(word)]))
            at = end if end > 0 else len(word)
        at += 1
    return found


def nodes(body: List) -> "Iterator[Node]":
    """Every command of a list, and those within them."""
    for item in body.items:
        node = item.node
        yield node
        inner: list[List] = []
        if isinstance(node, If):
            inner = [each for branch in node.branches for each in branch] + ([node.otherwise] if node.otherwise else [])
        elif isinstance(node, Case):
            inner = [arm for _, arm in node.arms]
        elif isinstance(node, Loop | Group):
            inner = [node.body]
        for each in inner:
            yield from nodes(each)


def first(node: Node) -> str:
    """The first word of a simple command, or nothing."""
    return node.words[0].raw if isinstance(node, Simple) and node.words else ""


def statements(body: List) -> list[list[Item]]:
    """The commands, with those together that `&&`, `||` or `|` joins."""
    found: list[list[Item]] = []
    for item in body.items:
        if item.operator == ";" or not found:
            found.append([])
        found[-1].append(item)
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.comments: list[tuple[int, int]] = []
        self.heredocs: list[Heredoc] = []

    # --- characters

    def blank(self, *, lines: bool = False) -> None:
        """Skip blanks and comments; with `lines`, also line ends."""
        text = self.text
        while self.at < len(text):
            if text[self.at] in " \t\r" or text.startswith("\\\n", self.at):
                self.at += 2 if text[self.at] == "\\" else 1
            elif text[self.at] == "#":
                end = text.find("\n", self.at)
                self.comments.append((self.at, end if end >= 0 else len(text)))
                self.at = end if end >= 0 else len(text)
            elif lines and text[self.at] == "\n":
                self.newline()
            else:
                return

    def newline(self) -> None:
        """Skip a line end, and the here-documents that begin behind it."""
        self.at += 1
        for each in self.heredocs:
            each.start, lines = self.at, []
            while self.at < len(self.text):
                end = self.text.find("\n", self.at)
                line = self.text[self.at : end if end >= 0 else len(self.text)]
                self.at += len(line) + 1
                if (line.lstrip("\t") if each.is_indented else line).rstrip("\r") == each.delimiter:
                    break
                lines.append(line)
            else:
                raise Unreadable
            each.body = "\n".join(lines)
            self.at = min(self.at, len(self.text))
        self.heredocs = []

    def bracket(self, at: int) -> int:
        """The place behind the bracket that closes the one at a place; quotes are skipped."""
        opening, closing = self.text[at], {"(": ")", "{": "}"}[self.text[at]]
        depth = 0
        while at < len(self.text):
            character = self.text[at]
            if character in "\\'\"`":
                at = self.quoted(at)
                continue
            depth += (character == opening) - (character == closing)
            at += 1
            if not depth:
                return at
        raise Unreadable

    def quoted(self, at: int) -> int:
        """The place behind a quoted part."""
        quote = self.text[at]
        if quote == "\\":
            return at + 2
        is_ansi = quote == "'" and at > 0 and self.text[at - 1] == "$"
        at += 1
        while at < len(self.text) and self.text[at] != quote:
            if self.text[at] == "\\" and (quote != "'" or is_ansi):
                at += 2
            elif quote == '"' and self.text.startswith(("$(", "${"), at):
                at = self.bracket(at + 1)
            elif quote == '"' and self.text[at] == "`":
                at = self.quoted(at)
            else:
                at += 1
        if at >= len(self.text):
            raise Unreadable
        return at + 1

    def word(self) -> Word:
        """The word that begins here."""
        start = at = self.at
        text = self.text
        while at < len(text):
            tag = TAG.match(text, at)
            if tag:
                at = tag.end()
            elif text.startswith("\\<<", at):
                break
            elif text[at] in "\\'\"`":
                at = self.quoted(at)
            elif text.startswith(("$(", "${"), at) or text.startswith(("<(", ">("), at):
                at = self.bracket(at + 1)
            elif text[at] == "(" and (_ASSIGNMENT.fullmatch(text, start, at) or self._is_extended(at)):
                at = self.bracket(at)
            elif text[at] in _END:
                break
            else:
                at += 1
        if at == start or at > len(text):
            raise Unreadable
        self.at = at
        return Word(text[start:at], start)

    def _is_extended(self, at: int) -> bool:
        """Whether a bracket begins an extended pattern, which a script must have asked for."""
        return self.text[at - 1 : at] in tuple("@?*+!") and "extglob" in self.text

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

    def commands(self, ends: tuple[str, ...]) -> List:
        """Commands up to one of these reserved words or signs, which is left there."""
        items, start, operator = list[Item](), self.at, ";"
        while True:
            self.blank(lines=True)
            rest = self.text[self.at : self.at + 2]
            if (ends and self.peek() in ends) or (rest and rest[0] in ends) or rest in (";;", ";&"):
                break
            if not rest:
                if ends:
                    raise Unreadable
                break
            is_negated = self.peek() == "!"
            if is_negated:
                self.at += 1
                self.blank()
            node = self.command()
            has_more = not isinstance(node, Simple) and bool(self._redirections([], []))
            self.blank()
            rest = self.text[self.at : self.at + 2]
            has_more |= rest[:1] == "&" and rest != "&&"
            items.append(Item(operator, is_negated, node, has_more))
            if rest in ("&&", "||", "|&"):
                operator = rest[: 1 if rest == "|&" else 2]
                self.at += 2
            elif rest[:1] in ("|", ";", "&", "\n") and rest not in (";;", ";&"):
                operator = "|" if rest[0] == "|" else ";"
                self.at += rest[0] != "\n"
            elif rest and rest[0] not in ends and rest not in (";;", ";&"):
                raise Unreadable
            else:
                operator = ";"
        if operator != ";" or (not items and ends not in ((), ("esac",))):
            raise Unreadable
        return List(tuple(items), start, self.at)

    def command(self) -> Node:
        start, word = self.at, self.peek()
        compounds: dict[str, Callable[[int], Node]] = {
            "if": self._if, "case": self._case, "for": self._for, "select": self._for, "while": self._while,
            "until": self._while, "{": self._group, "function": self._function,
        }  # fmt: skip
        compound = compounds.get(word)
        if self.text.startswith("((", start) or word == "[[":
            node: Node = self._test(start)
        elif self.text.startswith("(", start):
            node = self._group(start)
        elif compound:
            node = compound(start)
        else:
            node = self._simple(start)
        return node

    def _test(self, start: int) -> Test:
        kind = self.text[start : start + 2]
        at = start + 2
        end = re.compile(r"(?<=\s)\]\]" if kind == "[[" else r"\)\)")
        while not end.match(self.text, at):
            at = self.quoted(at) if self.text[at] in "\\'\"`" else at + 1
        self.at = at + 2
        return Test(kind, self.text[start + 2 : at], start, self.at)

    def _if(self, start: int) -> If:
        branches, otherwise = [], None
        word = self.take("if")
        while word != "fi":
            if word == "else":
                otherwise = self.commands(("fi",))
            else:
                condition = self.commands(("then",))
                self.take("then")
                branches.append((condition, self.commands(("elif", "else", "fi"))))
            word = self.take("elif", "else", "fi")
        return If(tuple(branches), otherwise, start, self.at)

    def _case(self, start: int) -> Case:
        self.take("case")
        self.blank()
        word, falls = self.word(), False
        self.take("in")
        arms = []
        while True:
            self.blank(lines=True)
            if self.peek() == "esac":
                break
            self.at += self.text[self.at] == "("
            patterns = []
            while True:
                self.blank()
                patterns.append(self.word().raw)
                self.blank()
                self.at += 1
                if self.text[self.at - 1] == ")":
                    break
                if self.text[self.at - 1] != "|":
                    raise Unreadable
            arms.append((tuple(patterns), self.commands(("esac",))))
            end = re.compile(r";;&?|;&").match(self.text, self.at)
            falls |= bool(end and end[0] != ";;")
            self.at = end.end() if end else self.at
        self.take("esac")
        return Case(word, tuple(arms), falls, start, self.at)

    def _for(self, start: int) -> Loop:
        self.take("for", "select")
        self.blank()
        variable, words = "", list[Word]()
        if self.text.startswith("((", self.at):
            self._test(self.at)
        else:
            variable = self.word().raw
            self.blank(lines=True)
            if self.peek() == "in":
                self.take("in")
                self.blank()
                while self.text[self.at] not in ";\n":
                    words.append(self.word())
                    self.blank()
        self.blank()
        self.at += self.text[self.at] == ";"
        return self._body(start, variable, tuple(words))

    def _while(self, start: int) -> Loop:
        self.take("while", "until")
        condition = self.commands(("do",))
        loop = self._body(start, "", ())
        return Loop("", (), List((*condition.items, *loop.body.items)), start, self.at)

    def _body(self, start: int, variable: str, words: tuple[Word, ...]) -> Loop:
        self.take("do")
        body = self.commands(("done",))
        self.take("done")
        return Loop(variable, words, body, start, self.at)

    def _group(self, start: int, name: str = "") -> Group:
        self.blank(lines=True)
        end = {"{": "}", "(": ")"}.get(self.text[self.at])
        if end is None:
            raise Unreadable
        self.at += 1
        body = self.commands((end,))
        self.at += 1
        return Group(name, body, start, self.at)

    def _function(self, start: int) -> Group:
        self.take("function")
        self.blank()
        name = self.word().raw
        self.blank()
        self.at += 2 * self.text.startswith("()", self.at)
        return self._group(start, name)

    def _redirections(self, to: list[Word], heredocs: list[Heredoc]) -> int:
        """Read what follows a command or stands in it; the place behind the last of them, 0 where there is none."""
        end = 0
        while True:
            self.blank()
            found = None if TAG.match(self.text, self.at) else _REDIRECTION.match(self.text, self.at)
            if found is None or (self.text.startswith(("<(", ">("), self.at)):
                return end
            self.at = found.end()
            self.blank()
            target = self.word()
            if found[0].strip("0123456789\\") in ("<<", "<<-"):
                heredocs.append(Heredoc(re.sub(r"[\\'\"]", "", target.raw), is_indented=found[0].endswith("-")))
                self.heredocs.append(heredocs[-1])
            else:
                to.append(target)
            end = self.at

    def _simple(self, start: int) -> Node:
        assignments, words, to, heredocs = list[Assignment](), list[Word](), list[Word](), list[Heredoc]()
        end = start
        while True:
            end = self._redirections(to, heredocs) or end
            if self.at >= len(self.text) or self.text[self.at] in "\n;&|)":
                break
            if len(words) == 1 and not assignments and re.compile(r"\(\s*\)").match(self.text, self.at):
                self.at = self.text.index(")", self.at) + 1
                return self._group(start, words[0].raw)
            word = self.word()
            if not (words or assignments) and word.raw in _RESERVED:
                raise Unreadable
            found = _ASSIGNMENT.match(word.raw)
            if found and not words:
                value = Word(word.raw[found.end() :], word.start + found.end())
                assignments.append(Assignment(found[1], value, bool(found[3])))
            else:
                words.append(word)
            end = self.at
        if not (assignments or words or to or heredocs):
            raise Unreadable
        return Simple(tuple(assignments), tuple(words), tuple(to), tuple(heredocs), start, max(end, start + 1))
