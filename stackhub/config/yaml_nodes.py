"""A YAML file to plain data and the place of every key and value in it.

Built on PyYAML's events rather than its node graph: the depth is bounded while the file is read, an alias inside its
own anchor is seen at once, and no YAML 1.1 resolver stands in between. A file that is not what it should be gives
a problem with line and column, never another exception.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from stackhub.config.findings import Loc, dotted
from stackhub.config.scalars import plain
from stackhub.errors import ConfigError, Problem

MOST_BYTES: Final = 1_000_000
_DEEPEST: Final = 40
_MOST_TEXT: Final = 4_000_000  # characters, each alias counted as what it stands for
_A_NODE: Final = 20  # what one value costs beside its characters
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one parses 17 times faster
_UNPRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_UNUSABLE: Final = re.compile("[\x00\ud800-\udfff]")  # neither JSON, nor argv, nor PostgreSQL takes these


@dataclass(frozen=True, slots=True)
class Mark:
    """Where something stands in its file, counted from 1."""

    line: int
    column: int


@dataclass(slots=True)
class Document:
    """One YAML file: its data, and where each part of it was written."""

    name: str  # "pipelines/revenue.yaml"
    data: Any = None
    keys: dict[Loc, Mark] = field(default_factory=dict)
    values: dict[Loc, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)  # the file could be read all the same
    broken: set[Loc] = field(default_factory=set)  # the values they are about: nothing more is said of these

    def place(self, loc: Loc, *, key: bool = False) -> str:
        """Return ``file:line:column`` of the value at ``loc``, or of its key.

        What was not written has the place of what it is missing from: its key, where there is one.
        """
        known, whole = self.trace(loc)
        mark = self.keys.get(known) if key or not whole else None
        mark = mark or self.values.get(known) or Mark(1, 1)
        return f"{self.name}:{mark.line}:{mark.column}"

    def holds(self, loc: Loc) -> bool:
        """Say whether something was written there."""
        return self.trace(loc)[1]

    def trace(self, loc: Loc) -> tuple[Loc, bool]:
        """Follow ``loc`` as far as the file goes, and say whether that was the whole way.

        An index where the file has none is passed over: a lone schedule is read as a list of one.
        """
        at: Loc = ()
        for part in loc:
            if (*at, part) in self.values:
                at = (*at, part)
            elif not isinstance(part, int):
                return at, False
        return at, True


def load(raw: bytes, name: str) -> Document:
    """Read one file. Duplicate keys and doubtful numbers are found all at once, in ``problems``.

    Raises:
        ConfigError: with one problem: no YAML 1.2, two documents, a tag, a bad alias, too large, too deep.
    """
    if len(raw) > MOST_BYTES:
        raise ConfigError(Problem(name, f"is larger than {MOST_BYTES // 1000} KB: a pipeline file is a few of them"))
    text = _text(raw, name)
    try:
        return _Reader(text, name).read()
    except yaml.MarkedYAMLError as error:
        raise _syntax(error, text, name) from None
    except yaml.YAMLError as error:
        raise ConfigError(Problem(f"{name}:1:1", f"cannot be read as YAML: {error}")) from None


class _Reader:
    """One pass over the events of one file."""

    def __init__(self, text: str, name: str) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=_LOADER)
        self._document = Document(name)
        self._anchors: dict[str, _Node | None] = {}  # None while the anchor's own node is being read
        self._left = _MOST_TEXT

    def read(self) -> Document:
        next(self._events)  # the stream's start
        start = next(self._events)
        if isinstance(start, yaml.StreamEndEvent):
            raise ConfigError(
                Problem(f"{self._document.name}:1:1", "is empty: a pipeline file begins with `pipeline:`")
            )
        if isinstance(start, yaml.DocumentStartEvent) and start.version not in (None, (1, 2)):
            raise self._wrong(start, "files are read as YAML 1.2: take the %YAML line out")
        root = self._node(next(self._events), depth=1)
        next(self._events)  # the document's end
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise self._wrong(after, "a second document begins here: one pipeline per file")
        self._document.data = self._data(root, ())
        return self._document

    def _node(self, event: Any, depth: int) -> "_Node":
        if depth > _DEEPEST:
            raise self._wrong(event, f"nested more than {_DEEPEST} deep")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if event.tag is not None:
            raise self._wrong(event, f"tags such as {event.tag.replace('tag:yaml.org,2002:', '!!')} are not read")
        anchor = event.anchor
        if anchor is not None:
            self._anchors[anchor] = None
        node = self._children(event, depth) if not isinstance(event, yaml.ScalarEvent) else self._scalar(event)
        if anchor is not None:
            self._anchors[anchor] = node
        return node

    def _alias(self, event: Any) -> "_Node":
        if event.anchor not in self._anchors:
            raise self._wrong(event, f"*{event.anchor} stands for nothing: no &{event.anchor} before it")
        node = self._anchors[event.anchor]
        if node is None:
            raise self._wrong(event, f"*{event.anchor} stands inside its own &{event.anchor}")
        return node

    def _scalar(self, event: Any) -> "_Node":
        if _UNUSABLE.search(event.value):
            raise self._wrong(event, "holds a character that cannot be used in text (NUL, or half of a pair)")
        return _Node(_mark(event), "scalar", event.value, quoted=not event.implicit[0])

    def _children(self, event: Any, depth: int) -> "_Node":
        node = _Node(_mark(event), "list" if isinstance(event, yaml.SequenceStartEvent) else "mapping")
        while not isinstance(inner := next(self._events), yaml.SequenceEndEvent | yaml.MappingEndEvent):
            child = self._node(inner, depth + 1)
            if node.kind == "list":
                node.items.append((None, child))
                continue
            key = _Key(child, _mark(inner))
            if child.kind != "scalar":
                raise self._wrong(inner, "a key must be a word")
            if child.text == "<<" and not child.quoted:
                raise self._wrong(
                    inner,
                    "`<<` is YAML 1.1: write the keys out, or use `defaults:` for what all tasks share",
                )
            node.items.append((key, self._node(next(self._events), depth + 1)))
        return node

    def _data(self, node: "_Node", loc: Loc) -> Any:
        self._left -= len(node.text) + _A_NODE
        if self._left < 0:
            raise ConfigError(Problem(f"{self._document.name}:1:1", "its aliases make it too large"))
        self._document.values[loc] = node.mark
        if node.kind == "scalar":
            if node.text == "" and not node.quoted:  # nothing was written: the key is what can be pointed at
                self._document.values[loc] = self._document.keys.get(loc, node.mark)
            return self._read(node, loc)
        if node.kind == "list":
            return [self._data(child, (*loc, at)) for at, (_, child) in enumerate(node.items)]
        data: dict[str, Any] = {}
        for key, child in node.items:
            if key is None:  # pragma: no cover - only lists have such
                continue
            here = (*loc, key.node.text)
            first = self._document.keys.get(here)
            if first is not None:
                text = f"{key.node.text!r} stands here twice: first in line {first.line}, column {first.column}"
                self._note(key.mark, text)
                continue
            self._document.keys[here] = key.mark
            data[key.node.text] = self._data(child, here)
        return data

    def _read(self, node: "_Node", loc: Loc) -> Any:
        if node.quoted:
            return node.text
        try:
            return plain(node.text)
        except ValueError as error:
            self._note(node.mark, f"{dotted(loc)}: {error}")
            self._document.broken.add(loc)
            return node.text

    def _note(self, mark: Mark, text: str) -> None:
        self._document.problems.append(Problem(f"{self._document.name}:{mark.line}:{mark.column}", text))

    def _wrong(self, event: Any, text: str) -> ConfigError:
        mark = _mark(event)
        return ConfigError(Problem(f"{self._document.name}:{mark.line}:{mark.column}", text))


@dataclass(slots=True)
class _Node:
    mark: Mark
    kind: str  # "scalar", "list", "mapping"
    text: str = ""
    quoted: bool = False
    items: list[tuple["_Key | None", "_Node"]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Key:
    node: _Node
    mark: Mark  # its own place, which for an alias is not the anchor's


def _mark(event: Any) -> Mark:
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)


def _text(raw: bytes, name: str) -> str:
    """Decode UTF-8, with or without a byte order mark."""
    body = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        before = body[: error.start].decode()
        place = _place(before, len(before), name)
        raise ConfigError(Problem(place, "is not UTF-8: save the file as UTF-8")) from None
    odd = _UNPRINTABLE.search(text)
    if odd:
        raise ConfigError(Problem(_place(text, odd.start(), name), f"the character {odd[0]!r} cannot be in YAML"))
    return text


def _place(text: str, at: int, name: str) -> str:
    line_start = text.rfind("\n", 0, at) + 1
    return f"{name}:{text.count(chr(10), 0, at) + 1}:{at - line_start + 1}"


def _syntax(error: yaml.MarkedYAMLError, text: str, name: str) -> ConfigError:
    """Put a syntax error into a sentence; a tab, which YAML forbids and editors hide, gets one of its own."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    lines = text.splitlines() or [""]
    shown = lines[line] if line < len(lines) else ""
    tab = re.match(r" *(\t)", shown)
    if tab or shown[column : column + 1] == "\t":
        at = tab.start(1) if tab else column
        return ConfigError(Problem(f"{name}:{line + 1}:{at + 1}", "a tab: YAML is indented with spaces"))
    words = " ".join(part for part in (error.context, error.problem) if part)
    opened = error.context_mark
    since = f" (begun in line {opened.line + 1})" if opened is not None and opened.line != line else ""
    return ConfigError(Problem(f"{name}:{line + 1}:{column + 1}", f"cannot be read as YAML: {words}{since}"))
