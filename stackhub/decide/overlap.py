"""What a tick does when a run of its pipeline is still going. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from stackhub.decide.missed import PROMPT
from stackhub.model.pipeline import Catchup, Overlap
from stackhub.model.run import RUN_OPEN, Run, Trigger


class Meeting(StrEnum):
    """What a tick does when it may meet a run of its pipeline that is still going."""

    RUN = "run"
    QUEUE = "queue"
    SKIP = "skip"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """How a tick gets on with the runs that are still going."""

    meeting: Meeting
    reason: str = ""
    cancel: tuple[str, ...] = ()  # runs to ask to end; the tick's own run is queued behind them


def clash(
    overlap: Overlap, open_runs: Sequence[Run], *, catchup: Catchup = Catchup.LAST, missed: bool = False
) -> Clash:
    """Say what a tick does, given the runs of its pipeline that are still going. Leave out backfills.

    ``missed`` is the tick's own `Due.missed`. Under catchup all, missed ticks queue whatever ``overlap`` says, and so
    does a tick that meets nothing but them: a backlog that was asked for tick by tick is no run that takes too long.
    """
    going = sorted((run for run in open_runs if run.state in RUN_OPEN), key=lambda run: (run.created_at, run.id))
    paying = [run for run in going if run.trigger is Trigger.OWED]
    going = [run for run in going if run.trigger is not Trigger.OWED]
    if not going and paying:  # no run takes too long for that: the tick only waits its turn
        return Clash(meeting=Meeting.QUEUE, reason=f"run {paying[-1].id} is to end first: it builds what was owed")
    if not going:
        return Clash(meeting=Meeting.RUN)
    last = going[-1].id
    if catchup is Catchup.ALL and (missed or all(_caught_up(run) for run in going)):
        return Clash(meeting=Meeting.QUEUE, reason=f"run {last} is to end first: catchup is all")
    match overlap:
        case Overlap.SKIP:
            return Clash(meeting=Meeting.SKIP, reason=f"run {last} is still going: overlap is skip")
        case Overlap.QUEUE:
            return Clash(meeting=Meeting.QUEUE, reason=f"run {last} is to end first: overlap is queue")
        case Overlap.CANCEL:
            return Clash(
                meeting=Meeting.CANCEL,
                reason=f"takes the place of run {last}: overlap is cancel",
                cancel=tuple(run.id for run in going if run.cancel_at is None),
            )


def _caught_up(run: Run) -> bool:
    return run.trigger is Trigger.SCHEDULE and run.tick is not None and run.created_at - run.tick > PROMPT
