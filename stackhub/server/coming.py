"""What a pause holds back, as a JSON document: for the API and for ``--json``. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from stackhub.decide.preview import Fate, InForce, resumed
from stackhub.decide.schedule import upcoming
from stackhub.model.run import Run
from stackhub.server.views import View, moment
from stackhub.store.configure import Scheduled
from stackhub.store.queries import Known

COMING: Final = 5  # ticks of each schedule that are shown


def preview(known: Known, scheduled: Sequence[Scheduled], going: Sequence[Run], now: datetime) -> View:
    """Show what resuming a pipeline would do at this moment, and what fires after that."""
    pipeline = known.pipeline
    fates: Sequence[Fate] = ()
    if known.paused_at is not None:
        held = [InForce(schedule=one.schedule, anchor=one.anchor, next_at=one.next_at) for one in scheduled]
        fates = resumed(pipeline, held, going, now, known.paused_at)
    coming = sorted(
        (tick for one in scheduled for tick in upcoming(one.schedule, now, one.anchor, COMING, pipeline.calendars)),
        key=lambda tick: tick.at,
    )
    return {
        "pipeline": pipeline.name,
        "paused": known.paused_at is not None,
        "paused_at": moment(known.paused_at),
        "catchup": pipeline.catchup.value,
        "ticks": [_fate(fate) for fate in fates],
        "next": [{"at": moment(tick.at), "local": tick.label} for tick in coming[:COMING]],
    }


def _fate(fate: Fate) -> View:
    tick = fate.due.tick
    return {
        "at": moment(tick.at),
        "local": tick.label,
        "becomes": fate.meeting.value,
        "reason": fate.reason,
        "folded": fate.due.folded,
    }
