"""Backfills as JSON documents: the API answers with them, and so does ``--json``. Pure."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from stackhub.decide.backfill import in_order
from stackhub.model.backfill import GOING, RESYNC, Backfill, Part, PartState
from stackhub.server.views import View, moment, seconds


def backfill_view(backfill: Backfill, many: Mapping[PartState, int], usual: timedelta | None) -> View:
    """Show a backfill. ``left`` is how long it takes if each interval takes as long as those that are done did."""
    total, done = sum(many.values()), many.get(PartState.SUCCEEDED, 0)
    left: timedelta | None = None
    if backfill.state in GOING and usual is not None:
        left = usual * (total - done) / backfill.parallel
    return {
        "id": backfill.id,
        "pipeline": backfill.pipeline,
        "state": backfill.state.value,
        "from": moment(backfill.start),
        "to": moment(backfill.end),
        "how": backfill.how,
        "intervals": total,
        "done": done,
        "by_state": {state.value: number for state, number in many.items()},
        "left": seconds(left),
        "parallel": backfill.parallel,
        "newest_first": backfill.newest_first,
        "keep_going": backfill.keep_going,
        "resync_first": backfill.resync_first,
        "extracts": backfill.extracts,
        "only": list(backfill.only),
        "by": backfill.by,
        "created_at": moment(backfill.created_at),
        "ended_at": moment(backfill.ended_at),
        "reason": backfill.reason,
    }


def parts_view(backfill: Backfill, parts: Sequence[Part]) -> list[View]:
    """Show the intervals of a backfill in the order in which they are done."""
    return [
        {
            "interval": {"start": moment(part.interval.start), "end": moment(part.interval.end)},
            "state": part.state.value,
            "run": part.run or None,
            "resync": part.seq == RESYNC,
        }
        for part in in_order(backfill, parts)
    ]
