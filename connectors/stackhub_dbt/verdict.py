"""What a dbt process's end amounts to. Pure.

    code 0               well; with a warning when nothing was selected
    code 1               some nodes failed (v2: also a refused configuration, or a cancel)
    code 2               dbt itself failed: usage, configuration, the warehouse before the first node, an interrupt
    a signal, no record  killed: what had been built stays built

Exit codes: https://docs.getdbt.com/reference/exit-codes (read 2026-11), and as run with 1.11.16 and 2.0.0-alpha.4.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from signal import SIGINT
from typing import Final

from stackhub.contract import DONE, Finished, Node, NodeState, Outcome
from stackhub.launch import Ended
from stackhub_dbt.events import HOOK, Story
from stackhub_dbt.revision import changed
from stackhub_dbt.transient import by_words

LONGEST: Final = 600  # characters of a note's quotations
NOTHING: Final = "nothing was selected: dbt ran no node"
SILENT: Final = frozenset({"docs"})  # of which v2 tells no node
UNRUNNABLE: Final = frozenset({126, 127})  # what the launcher says of a program that could not be run


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What an end is judged by, besides the nodes."""

    ended: Ended
    operation: str
    cancelled: bool = False  # we asked it to stop
    rest: bool = False  # it was to run what an earlier attempt had left: not to select anything is no success
    settled: tuple[Node, ...] = ()  # what failed for good in an earlier attempt, and was left alone in this one


def judge(facts: Facts, story: Story, nodes: tuple[Node, ...]) -> Finished:
    """Say how the job ended."""
    ended = facts.ended
    counts = Counter(node.state for node in nodes)
    result = {
        "exit_code": ended.code,
        "dbt": story.version,
        **{str(state): count for state, count in sorted(counts.items())},
    }
    bad = [node for node in nodes if node.state is NodeState.FAILED]
    if ended.ok and not bad and not facts.settled:
        return _well(facts, nodes, result)
    if facts.cancelled:
        how = ended.how if ended.signal else f"ended by {SIGINT.name}"
        note = f"cancelled: {how}; {_so_far(nodes)}"
        return Finished(outcome=Outcome.CANCELLED, note=note, nodes=nodes, result=result)
    if ended.signal:
        note = f"dbt was {ended.how}; {_so_far(nodes)}"
        return Finished(outcome=Outcome.FAILED, note=note, nodes=nodes, result=result)
    if bad or (facts.settled and ended.code in {0, 1}):
        note = _failures(story, nodes, (*facts.settled, *bad))
        open_ended = any(node.state is NodeState.UNKNOWN for node in nodes)
        again = open_ended or any(node.passing is not False for node in bad)
        return Finished(outcome=Outcome.FAILED, note=note, retryable=again, nodes=nodes, result=result)
    said = "\n".join(story.errors or story.text[-5:])
    words, may_pass = _short(said or "it gave no reason"), by_words(said)
    return Finished(
        outcome=Outcome.FAILED,
        note=f"dbt ended with code {ended.code}: {words}",
        retryable=ended.code not in UNRUNNABLE and may_pass is not False and (story.planned or may_pass is True),
        nodes=nodes,
        result=result,
    )


def noted(end: Finished, before: str, after: str) -> Finished:
    """Add to an end which revision of the project was read, and that it is another one by now."""
    if not before:
        return end
    warning = "; ".join(filter(None, (end.warning, changed(before, after))))
    return replace(end, result={**end.result, "revision": before}, warning=warning)


def lost(note: str, nodes: tuple[Node, ...]) -> Finished:
    """Judge a process that is gone with nobody having seen its end; a retry goes on where it stopped."""
    return Finished(outcome=Outcome.FAILED, note=f"dbt was lost: {note}; {_so_far(nodes)}", nodes=nodes)


def _well(facts: Facts, nodes: tuple[Node, ...], result: dict[str, int | str | None]) -> Finished:
    if not nodes and facts.rest:
        note = "dbt found none of the nodes that an earlier attempt had left: the project has changed since"
        return Finished(outcome=Outcome.FAILED, note=note, retryable=False, result=result)
    odd = [node for node in nodes if node.state is NodeState.UNKNOWN]
    warning = "" if nodes or facts.operation in SILENT else NOTHING
    if odd:
        said = f"how {odd[0].id} ended is not known ({odd[0].status!r})"
        warning = f"dbt ended well, but {said}; not counted as built: {len(odd)}"
    note = f"{sum(node.state in DONE for node in nodes)} of {len(nodes)} nodes done"
    return Finished(outcome=Outcome.OK, note=note, nodes=nodes, warning=warning, result=result)


def given_up(settled: Sequence[Node]) -> Finished:
    """Say the end of a try that has nothing to do: all that is left failed for good, or hangs on what did."""
    note = f"nothing is left that another try would help: {_told(settled)}"
    return Finished(outcome=Outcome.FAILED, note=note, retryable=False)


def _failures(story: Story, nodes: Sequence[Node], bad: Sequence[Node]) -> str:
    """Say how many nodes failed, and of the first why, in its own words: what may pass by itself comes last."""
    before = [node for node in bad if node not in nodes]
    total = max(story.total or 0, sum(node.kind != HOOK for node in nodes)) + len(before)
    earlier = f" ({len(before)} in an earlier try)" if before else ""
    return f"{len(bad)} of {total} nodes failed{earlier}: {_told(bad)}"


def _told(bad: Sequence[Node]) -> str:
    ranked = sorted(bad, key=lambda node: node.passing is True)
    first = next((node for node in ranked if node.message), ranked[0])
    why = _short(first.message or first.status)
    others = ", ".join(
        f"{node.id}, which may pass" if node.passing else node.id for node in ranked if node is not first
    )
    return f"{first.id}: {why}{_short(f' (and {others})') if others else ''}"


def _so_far(nodes: Sequence[Node]) -> str:
    return f"{sum(node.state in DONE for node in nodes)} nodes had been built"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
