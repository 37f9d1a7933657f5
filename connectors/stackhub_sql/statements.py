r"""A text of SQL, cut into statements, with the parameters they name: pure, and the same for every database.

``:name`` outside quotes and comments is a parameter. ``::`` is a cast, ``\:`` a colon, and so is one right after a
word, a bracket or a quote (``part[1:n]``, ``{'a':b}``, ``payload:field``). Quotes are those of the standard,
PostgreSQL's ``E'\''`` and ``$tag$``, and backticks; comments in ``/* */`` may be nested.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

_TOKEN: Final = re.compile(
    r"""
      (?P<line>--[^\n]*)
    | (?P<block>/\*)
    | (?P<quoted>(?<!\w)[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*`)
    | (?P<dollar>(?<![\w$])\$(?P<tag>[A-Za-z_]\w*|)\$.*?\$(?P=tag)\$)
    | (?P<open>['"`] | (?<![\w$])\$(?:[A-Za-z_]\w*)?\$)
    | (?P<cast>::+)
    | (?P<colon>\\:)
    | (?<![\w:\])}"'`]):(?P<name>[A-Za-z_]\w*)
    | (?P<word>[A-Za-z_][\w$]*)
    | (?P<end>;)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT: Final = re.compile(r"/\*|\*/")
_NAMES: Final = re.compile(r"\{\{\s*((?:run|task|interval|trigger)\.\w+)")
_BODIES: Final = frozenset({"trigger", "function", "procedure"})
_BLOCKS: Final = frozenset({"if", "loop", "while", "repeat", "for"})  # whose END is not the body's
BOUNDS: Final = frozenset({"begin", "start", "commit", "end", "rollback", "abort"})  # of transactions


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: text, name, text, name, ..., text."""

    parts: tuple[str, ...]
    verb: str  # its first word, in lower case

    @property
    def names(self) -> tuple[str, ...]:
        """Return the parameters it names, in order, repetitions included."""
        return self.parts[1::2]


class _Draft:
    """A statement on its way."""

    def __init__(self) -> None:
        self.parts: list[str] = [""]
        self.words: list[str] = []
        self.empty = True  # but for blanks and comments
        self.depth = 0  # of blocks within a body, where a semicolon ends nothing

    def add(self, text: str, *, comment: bool = False) -> None:
        self.parts[-1] += text
        self.empty &= comment or not text.strip()

    def bind(self, name: str) -> None:
        self.parts += [name, ""]
        self.empty = False

    def hear(self, word: str) -> None:
        """Take note of a word: some open or close a block of a body."""
        before = self.words[-1] if self.words else ""
        self.words.append(word)
        if self.words[0] != "create" or not _BODIES.intersection(self.words):
            return
        if before == "end":
            self.depth += word in _BLOCKS  # taken back: it closed what was never counted
        elif word in {"begin", "case"}:
            self.depth += 1
        if word == "end":
            self.depth -= 1

    def made(self) -> Statement | None:
        """Return it; None where there is nothing but blanks and comments."""
        first, *rest = self.parts
        if self.empty:
            return None
        parts = (first.lstrip(), *rest[:-1], rest[-1].rstrip()) if rest else (first.strip(),)
        return Statement(parts, self.words[0] if self.words else "")


def split(text: str) -> tuple[Statement, ...]:
    """Cut a text into its statements.

    Raises:
        ValueError: a quote or a comment is not closed; the text says in which line it begins.
    """
    found: list[Statement | None] = []
    draft, at = _Draft(), 0
    while token := _TOKEN.search(text, at):
        draft.add(text[at : token.start()])
        at = token.end()
        if token["open"]:
            raise ValueError(f"{token[0]} in line {_line(text, token.start())} is not closed")
        if token["block"]:
            at = _past_comment(text, token.start())
            draft.add(text[token.start() : at], comment=True)
        elif token["line"]:
            draft.add(token[0], comment=True)
        elif token["end"] and draft.depth <= 0:
            found.append(draft.made())
            draft = _Draft()
        elif token["name"]:
            draft.bind(token["name"])
        elif token["colon"]:
            draft.add(":")
        else:
            draft.add(token[0])
            if token["word"]:
                draft.hear(token["word"].lower())
    draft.add(text[at:])
    return tuple(one for one in (*found, draft.made()) if one is not None)


def checked(texts: Iterable[str], params: Mapping[str, object], own: Iterable[str]) -> tuple[Statement, ...]:
    """Cut texts into statements, and see that they go with the task's ``params`` and with the run's ``own``.

    Raises:
        ValueError: there is none; a parameter is named that nobody gives, or given and never named; ``{{ }}``.
    """
    texts = tuple(texts)
    for text in texts:
        if pasted := _NAMES.search(text):
            name = pasted[1]
            way = f"params: {{x: '{{{{ {name} }}}}'}}, and :x" if name.startswith("trigger.") else f":{_own(name)}"
            raise ValueError(f"nothing is put into the text of SQL: for {{{{ {name} }}}} write {way}")
    statements = tuple(statement for text in texts for statement in split(text))
    if not statements:
        raise ValueError("there is no statement in it")
    named = {name for statement in statements for name in statement.names}
    known = {*params, *own}
    for name in sorted(named - known):
        near = get_close_matches(name, known, 1)
        mean = f"did you mean :{near[0]}? " if near else ""
        raise ValueError(f"nobody gives :{name}: {mean}give it under params, or write \\:{name} for a plain colon")
    for name in params:
        if name not in named:
            raise ValueError(f"params: :{name} is never used")
    return statements


def _own(name: str) -> str:
    """Return the parameter that stands for one of the run's names."""
    return name.replace(".", "_")


def _past_comment(text: str, start: int) -> int:
    """Return where the comment that begins at ``start`` is over."""
    depth = 0
    for mark in _COMMENT.finditer(text, start):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    raise ValueError(f"/* in line {_line(text, start)} is not closed")


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
