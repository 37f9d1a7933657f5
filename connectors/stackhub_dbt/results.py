"""What dbt leaves behind at its end: run_results.json, or sources.json of a freshness check. Pure but for the reading.

The log decides, these confirm: they name the nodes the log has lost, and give words, rows and times where it is silent.
They do not overrule it, since v2 interrupted by a signal writes there that every node failed with "Compilation Error",
those that it has built before among them (2.0.0-alpha.4, run 2026-11).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from stackhub.contract import Node, NodeState
from stackhub_dbt.events import plain, rows_of, state_of, time_of, words_of

FILES: Final = ("run_results.json", "sources.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One node's entry."""

    id: str
    state: NodeState
    status: str
    message: str
    started_at: datetime | None
    seconds: float | None
    rows: int | None
    relation: str


def read_results(target: Path, hide: Callable[[str], str] = str) -> tuple[Result, ...]:
    """Read what a job left in its target path; nothing when it was killed before it wrote, or wrote by halves."""
    for name in FILES:
        try:
            found = json.loads((target / name).read_bytes())
        except (OSError, ValueError, RecursionError):
            continue
        return tuple(replace(result, message=hide(result.message)) for result in results_in(found))
    return ()


def results_in(found: Any) -> tuple[Result, ...]:
    """Read the entries of either file (schemas run-results/v6 and sources/v3), passing over what is none.

    v2 says of every table it builds that no rows were affected: that is no number (DuckDB, 2.0.0-alpha.4, run 2026-11).
    """
    entries = found.get("results") if isinstance(found, dict) else None
    if not isinstance(entries, list):
        return ()
    metadata = found.get("metadata")
    counted = not (isinstance(metadata, dict) and str(metadata.get("dbt_version")).startswith("2."))
    return tuple(
        _result(entry, counted=counted)
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("unique_id"), str)
    )


def _result(entry: dict[str, Any], *, counted: bool) -> Result:
    status = str(entry.get("status") or "")
    state = state_of(status)
    seconds = entry.get("execution_time")
    rows = rows_of(entry.get("adapter_response"))
    return Result(
        id=entry["unique_id"],
        state=NodeState.UNKNOWN if state is NodeState.RUNNING else state,
        status=status,
        message=""
        if state is NodeState.SUCCEEDED
        else words_of(entry.get("message"), entry.get("failures")) or _aged(entry),
        started_at=_began(entry.get("timing")),
        seconds=float(seconds) if isinstance(seconds, int | float) and seconds > 0 else None,
        rows=rows if rows or counted else None,
        relation=str(entry.get("relation_name") or ""),
    )


def _began(timing: Any) -> datetime | None:
    steps = timing if isinstance(timing, list) else ()
    return next((time_of(step.get("started_at")) for step in steps if isinstance(step, dict)), None)


def _aged(entry: dict[str, Any]) -> str:
    """Say of a source what was wrong with it: the check's error, or how old its data are."""
    if isinstance(error := entry.get("error"), str) and error:
        return plain(error)
    loaded = entry.get("max_loaded_at")
    return f"last loaded at {loaded}" if loaded else ""


def reconcile(told: Mapping[str, Node], ended: frozenset[str], results: tuple[Result, ...]) -> tuple[Node, ...]:
    """Return every node as it was left: as the log told its end, else as the results have it.

    A node whose end nobody knows (dbt was killed) is left UNKNOWN, which is never done: a retry builds it again.
    """
    by_id = {result.id: result for result in results}
    nodes = [_left(node, by_id.get(node.id), told_end=node.id in ended) for node in told.values()]
    return (*nodes, *(_unheard(result) for result in results if result.id not in told))


def _left(node: Node, result: Result | None, *, told_end: bool) -> Node:
    if result is None:
        return (
            node if told_end else replace(node, state=NodeState.UNKNOWN, message=node.message or "its end was not told")
        )
    if not told_end:
        node = replace(node, state=result.state, status=result.status)
    if node.state is not result.state:
        return node
    return replace(
        node,
        message=node.message or result.message,
        started_at=node.started_at or result.started_at,
        seconds=result.seconds or node.seconds,
        rows=node.rows if result.rows is None else result.rows,
        relation=result.relation or node.relation,
    )


def _unheard(result: Result) -> Node:
    kind, _, rest = result.id.partition(".")
    return Node(
        id=result.id,
        name=rest.partition(".")[2] or result.id,
        kind=kind,
        state=result.state,
        status=result.status,
        message=result.message,
        started_at=result.started_at,
        seconds=result.seconds,
        rows=result.rows,
        relation=result.relation,
    )
