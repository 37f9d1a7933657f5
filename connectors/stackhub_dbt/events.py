"""dbt's JSON log, read as it grows: lines -> nodes. Pure; decides by event names and data, never by a message's text.

v1 (1.10 to 1.12) and v2 (2.0) write the same envelope, {"info": {name, level, ts, msg, ...}, "data": {...}}, and the
same names for what matters here; v2 leaves many fields out. An unknown name or field means nothing. Recorded from
1.11.16, 2.0.0-alpha.4 and 2.0.0-preview.196 in 2026-11.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from stackhub.contract import Node, NodeState

STARTS: Final = frozenset({"LogHookStartLine", "LogStartLine", "NodeStart"})
ENDS: Final = frozenset(
    {
        "LogFreshnessResult",
        "LogFunctionResult",
        "LogHookEndLine",
        "LogModelResult",
        "LogNodeNoOpResult",
        "LogNodeResult",
        "LogSeedResult",
        "LogSkipBecauseError",
        "LogSnapshotResult",
        "LogTestResult",
        "NodeFinished",
        "SkippingDetails",
    }
)
WORDS: Final = frozenset({"RunResultError", "RunResultWarningMessage"})  # v1, at the end: what a node's end was about
HOOK: Final = "operation"  # the kind of on-run-start and on-run-end, which dbt numbers apart

# dbt's words (dbt/artifacts/schemas/results.py of 1.11; v2's `reused`: an unchanged node was left as it is).
STATES: Final[Mapping[str, NodeState]] = {
    "started": NodeState.RUNNING,
    "compiling": NodeState.RUNNING,
    "executing": NodeState.RUNNING,
    "success": NodeState.SUCCEEDED,
    "pass": NodeState.SUCCEEDED,
    "no-op": NodeState.SUCCEEDED,
    "reused": NodeState.SUCCEEDED,
    "warn": NodeState.WARNED,
    "error": NodeState.FAILED,
    "fail": NodeState.FAILED,
    "runtime error": NodeState.FAILED,
    "partial success": NodeState.FAILED,  # of a microbatch model: some of its batches
    "skipped": NodeState.SKIPPED,
}

_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_BACKTRACE: Final = re.compile(r"\n\s+0: [\s\S]*")  # v2 builds append one
_TAG: Final = re.compile(r"^\[(?:error|warning)\] ")
_LONGEST: Final = 2**20  # bytes without a line's end: no event of dbt's is as long


def state_of(status: str) -> NodeState:
    """Bring dbt's word down to ours; one that nobody has heard of is never success."""
    return STATES.get(status.lower().replace("_", " "), STATES.get(status.lower(), NodeState.UNKNOWN))


def plain(text: str) -> str:
    """Return a message as people read it: without colours, and without v2's tag and backtrace."""
    return _TAG.sub("", _BACKTRACE.sub("", _COLOURS.sub("", text))).strip()


def time_of(value: Any) -> datetime | None:
    """Read one of dbt's times; v1 leaves the zone out and means UTC."""
    try:
        read = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def event_of(line: bytes) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Read one line as (info, data); None when it is no event."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(info := found.get("info"), dict):
        return None
    return info, _object(found.get("data"))


class Story:
    """What a dbt process has said so far. Feed it the log in pieces, cut anywhere."""

    def __init__(self, hide: Callable[[str], str] = str) -> None:
        self._hide = hide  # blots secrets out of what people will read
        self.nodes: dict[str, Node] = {}  # by unique id, in the order of their start
        self.ended: set[str] = set()  # whose end was told
        self.total: int | None = None
        self.version = ""  # "1.11.16"
        self.planned = False  # dbt has read the project and chosen its nodes: an error is the warehouse's from here on
        self.errors: list[str] = []  # dbt's words for what was wrong with the whole run
        self.text: list[str] = []  # lines that are no events
        self._torn = b""

    @property
    def done(self) -> int:
        """How many nodes have ended, well or not; hooks are not in dbt's total either."""
        return sum(self.nodes[node].kind != HOOK for node in self.ended)

    def feed(self, data: bytes) -> tuple[Node, ...]:
        """Take in the next bytes; return the nodes that they changed. A line without its end waits for the rest."""
        *lines, self._torn = (self._torn + data).split(b"\n")
        if len(self._torn) > _LONGEST:
            self._torn = b""
        changed: dict[str, None] = {}
        for line in lines:
            for node in self._line(line):
                changed[node] = None
        return tuple(self.nodes[node] for node in changed)

    def _line(self, line: bytes) -> Iterator[str]:
        event = event_of(line)
        if event is None:
            if text := plain(line.decode("utf-8", "replace")):
                self.text.append(self._hide(text))
            return
        info, data = event
        name = _word(info.get("name"))
        if name in STARTS or name in ENDS:
            yield from self._node(info, data, ends=name in ENDS)
        elif name == "ConcurrencyLine":
            self._count(data.get("node_count"))
            self.planned = True
        elif name == "MainReportVersion":
            self.version = str(data.get("version", "")).lstrip("=")
        elif name == "ArtifactWritten":
            self.planned = self.planned or self._is_v2  # which has no ConcurrencyLine, and writes once it has parsed
        elif name == "MainEncounteredError":
            self._error(str(data.get("exc") or ""))
        elif name in WORDS or (name == "Generic" and info.get("level") == "error"):
            yield from self._words(info, data)

    @property
    def _is_v2(self) -> bool:
        return bool(self.version) and not self.version.startswith(("0.", "1."))

    def _node(self, info: dict[str, Any], data: dict[str, Any], *, ends: bool) -> Iterator[str]:
        said = _object(data.get("node_info"))
        unique = _word(said.get("unique_id"))
        if not unique:
            return
        self.planned = True
        before = self.nodes.get(unique)
        node = _beginning(before, unique, said)
        if ends:
            node = _end(node, info, data)
            node = replace(node, message=self._hide(node.message))
            self.ended.add(unique)
        if node.kind != HOOK:
            self._count(data.get("total"))
        self.nodes[unique] = node
        if node != before:
            yield unique

    def _words(self, info: dict[str, Any], data: dict[str, Any]) -> Iterator[str]:
        """Keep an error's own words: with its node, or as the whole run's."""
        words = self._hide(plain(str(data.get("msg") or info.get("msg") or "")))
        unique = _word(_object(data.get("node_info")).get("unique_id"))
        if not unique:
            self._error(words)
        elif words and (node := self.nodes.get(unique)) is not None and node.message != words:
            self.nodes[unique] = replace(node, message=words)
            yield unique

    def _error(self, words: str) -> None:
        if (words := self._hide(plain(words))) and words not in self.errors:
            self.errors.append(words)

    def _count(self, value: Any) -> None:
        if type(value) is int and value > 0:
            self.total = value


def _beginning(before: Node | None, unique: str, said: dict[str, Any]) -> Node:
    """Return the node as its beginning shows it, keeping what is known of it."""
    node = before or Node(
        id=unique,
        name=str(said.get("node_name") or unique),
        kind=str(said.get("resource_type") or unique.partition(".")[0]),
        state=NodeState.RUNNING,
        status="started",
    )
    relation = _object(said.get("node_relation")).get("relation_name")
    return replace(
        node,
        started_at=node.started_at or time_of(said.get("node_started_at")),
        relation=node.relation or str(relation or ""),
        owner=node.owner or _named(_object(said.get("meta"))),
    )


def _end(node: Node, info: dict[str, Any], data: dict[str, Any]) -> Node:
    """Return the node as its end leaves it."""
    result = _object(data.get("run_result"))
    said = _object(data.get("node_info"))
    skipped = "skipped" if _word(info.get("name")) in {"SkippingDetails", "LogSkipBecauseError"} else ""
    # `status` beside a v1 model's node_info is what the adapter answered ("SELECT 5"): it comes last.
    status = str(result.get("status") or skipped or said.get("node_status") or data.get("status") or "")
    state = state_of(status)
    failures = data.get("num_failures") or result.get("num_failures")
    return replace(
        node,
        state=NodeState.UNKNOWN if state is NodeState.RUNNING else state,
        status=status,
        message="" if state is NodeState.SUCCEEDED else words_of(result.get("message"), failures) or node.message,
        seconds=_number(result.get("execution_time"), data.get("execution_time"), node.seconds),
        rows=rows_of(result.get("adapter_response")) or node.rows,
        owner=node.owner or owner_of(_object(data.get("group")).get("owner")),  # what a node's own meta says is nearer
    )


def words_of(message: Any, failures: Any) -> str:
    """Return what a node's end says of itself; v2 says of a test "Error", and how many rows were found."""
    if isinstance(message, str) and " " in (said := plain(message)):
        return said
    return f"Got {failures} results" if isinstance(failures, int) and failures else ""


def rows_of(response: Any) -> int | None:
    """Return how many rows an adapter says it wrote; most say nothing."""
    rows = _object(response).get("rows_affected")
    return int(rows) if isinstance(rows, int | float) and 0 <= rows < math.inf else None


def owner_of(owner: Any) -> str:
    """Return whom to tell: the name of a group's owner, else the address; in ``meta`` people write either."""
    if isinstance(owner, dict):
        return str(owner.get("name") or owner.get("email") or "")
    return owner if isinstance(owner, str) else ""


def _named(meta: dict[str, Any]) -> str:
    """Return whom a node's meta names: under ``stackhub``, else as people have it for other tools."""
    return owner_of(_object(meta.get("stackhub")).get("owner")) or owner_of(meta.get("owner"))


def _number(*values: Any) -> float | None:
    return next((float(value) for value in values if isinstance(value, int | float) and value > 0), None)


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
