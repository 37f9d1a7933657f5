"""What a tick does when a run of its pipeline is still going."""

from dataclasses import replace
from datetime import timedelta

import pytest
from decide.cron_oracle import utc

from stackhub.decide.overlap import Clash, Meeting, clash
from stackhub.model.pipeline import Catchup, Overlap
from stackhub.model.run import Interval, Run, RunState, Trigger


def going(
    run_id: str, *, state=RunState.RUNNING, trigger=Trigger.SCHEDULE, tick="2026-07-01T06:00", late=timedelta(), **more
):
    at = utc(tick)
    return Run(
        id=run_id,
        pipeline="revenue",
        trigger=trigger,
        interval=Interval(start=at - timedelta(hours=1), end=at),
        state=state,
        created_at=at + late,
        tick=at,
        **more,
    )


@pytest.mark.parametrize("overlap", Overlap)
@pytest.mark.parametrize("catchup", Catchup)
def test_a_tick_that_meets_nobody_runs(overlap, catchup):
    ended = [going("A", state=state) for state in RunState if state not in (RunState.QUEUED, RunState.RUNNING)]
    assert clash(overlap, ended, catchup=catchup, missed=True) == Clash(meeting=Meeting.RUN)


def test_a_tick_that_meets_runs_still_going_does_as_overlap_says_and_names_the_last():
    runs = [going("B", tick="2026-07-01T07:00", state=RunState.QUEUED), going("C")]
    assert clash(Overlap.SKIP, runs) == Clash(meeting=Meeting.SKIP, reason="run B is still going: overlap is skip")
    assert clash(Overlap.QUEUE, runs) == Clash(meeting=Meeting.QUEUE, reason="run B is to end first: overlap is queue")
    assert clash(Overlap.CANCEL, runs) == Clash(
        meeting=Meeting.CANCEL, reason="takes the place of run B: overlap is cancel", cancel=("C", "B")
    )


def test_a_run_is_asked_to_end_once_and_is_waited_for_all_the_same():
    asked = going("A", cancel_at=utc("2026-07-01T06:30"))
    assert clash(Overlap.CANCEL, [asked]) == Clash(
        meeting=Meeting.CANCEL, reason="takes the place of run A: overlap is cancel", cancel=()
    )


@pytest.mark.parametrize("overlap", Overlap)
def test_under_catchup_all_a_backlog_queues_and_so_does_the_tick_behind_it(overlap):
    backlog = [going("A", late=timedelta(hours=3)), going("B", tick="2026-07-01T07:00", late=timedelta(hours=2))]
    queued = Clash(meeting=Meeting.QUEUE, reason="run B is to end first: catchup is all")
    assert clash(overlap, backlog, catchup=Catchup.ALL, missed=True) == queued
    assert clash(overlap, backlog, catchup=Catchup.ALL) == queued
    slow = replace(backlog[1], created_at=backlog[1].tick)
    assert clash(overlap, [backlog[0], slow], catchup=Catchup.ALL).reason.endswith(f"overlap is {overlap}")
    assert clash(overlap, [backlog[0], slow], catchup=Catchup.ALL, missed=True).meeting is Meeting.QUEUE
    retry = replace(backlog[1], trigger=Trigger.RETRY)
    assert clash(overlap, [retry], catchup=Catchup.ALL).reason.endswith(f"overlap is {overlap}")
    assert clash(overlap, backlog, catchup=Catchup.LAST, missed=True).reason.endswith(f"overlap is {overlap}")
