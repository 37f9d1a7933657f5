"""What a Fivetran sync has come to: pure decisions, and the rows they are made from."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackhub.contract import Deferred, Finished, Outcome, Pending, Unknown
from stackhub_fivetran.judge import BETWEEN, CANCELLED_AFTER, LOST_AFTER, Sight, judge, see
from stackhub_fivetran.row import NEVER, Odd, Row, moment

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def a_row(sync_state="scheduled", **changes):
    status = {"setup_state": "connected", "sync_state": sync_state, "update_state": "on_schedule"}
    status |= changes.pop("status", {})
    base = {"id": "c1", "schema": "shop", "service": "google_ads", "paused": False, "schedule_type": "auto"}
    return Row.read({**base, "succeeded_at": None, "failed_at": None, "status": status, **changes})


def a_handle(operation="sync", **changes):
    base = {"connection": "c1", "name": "shop", "operation": operation, "key": "k", "joined": False}
    return {**base, "succeeded_at": None, "failed_at": None, "whole": True, "after": None, **changes}


def fresh(row):
    return see(None, row, NOON)


stamps = st.one_of(
    st.none(),
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 2)).map(lambda then: then.isoformat() + "Z"),  # noqa: DTZ001
)
rows = st.builds(
    a_row,
    st.sampled_from(["scheduled", "syncing", "paused", "rescheduled", "defenestrated", ""]),
    succeeded_at=stamps,
    failed_at=stamps,
    paused=st.booleans(),
    schedule_type=st.sampled_from(["auto", "manual", None]),
    status=st.fixed_dictionaries(
        {
            "setup_state": st.sampled_from(["connected", "broken", "incomplete", None]),
            "rescheduled_for": stamps,
            "is_historical_sync": st.booleans(),
        }
    ),
)
handles = st.builds(
    a_handle,
    st.sampled_from(["sync", "wait", "resync"]),
    succeeded_at=stamps,
    failed_at=stamps,
    after=stamps,
    joined=st.booleans(),
    whole=st.booleans(),
)
sights = st.builds(
    Sight,
    looked_at=st.just(NOON),
    syncing=st.booleans(),
    resting=st.booleans(),
    rested=st.timedeltas(timedelta(), timedelta(hours=1)),
)


@given(handles, rows, sights)
def test_success_has_a_landing_newer_than_all_that_was_before(handle, row, sight):
    answer = judge(handle, row, sight)

    if isinstance(answer, Finished) and answer.ok:
        before = [handle["after"]] if handle["operation"] == "wait" else [handle["succeeded_at"], handle["failed_at"]]
        assert row.succeeded > max(moment(stamp) for stamp in before)
        assert (answer.landing.connection, moment(answer.landing.mark)) == ("c1", answer.landing.ended_at)
        assert handle["operation"] == "wait" or row.succeeded > row.failed


@given(handles, rows, sights)
def test_nothing_that_moved_no_timestamp_ends_before_its_grace(handle, row, sight):
    moved = max(row.succeeded, row.failed) > max(moment(handle["succeeded_at"]), moment(handle["failed_at"]))
    answer = judge(handle, row, sight)

    if handle["operation"] != "wait" and not moved and isinstance(answer, Finished):
        assert not answer.ok
        assert sight.rested > CANCELLED_AFTER


@given(handles, rows, sights)
def test_a_syncing_or_unheard_of_state_is_no_end(handle, row, sight):
    quiet = {**handle, "succeeded_at": "2027-01-01T00:00:00Z", "after": "2027-01-01T00:00:00Z"}

    answer = judge(quiet, row, sight)

    if row.sync_state == "syncing":
        assert isinstance(answer, Pending)
    if row.sync_state in {"defenestrated", ""}:
        assert isinstance(answer, Unknown)
        assert repr(row.sync_state) in answer.raw
    if row.sync_state == "rescheduled":
        assert answer == Deferred(
            until=row.rescheduled_for,
            must_start_again=row.manual and handle["operation"] != "wait",
            note="put off by Fivetran",
        )


@given(st.lists(st.tuples(rows, st.timedeltas(timedelta(hours=-1), timedelta(hours=1))), min_size=1, max_size=8))
def test_rest_is_what_was_seen_of_it_without_a_break_whatever_becomes_of_the_clock(looks):
    sight, now, rested = None, NOON, timedelta()
    rests = False
    for row, passed in looks:
        now += passed
        sight = see(sight, row, now)
        before, rests = rests, row.sync_state in {"scheduled", "paused"}
        rested = rested + min(max(passed, timedelta()), BETWEEN) if before and rests else timedelta()
        assert (sight.resting, sight.rested) == (rests, rested)
    assert sight.syncing == any(row.sync_state == "syncing" for row, _ in looks)


@pytest.mark.parametrize(
    ("was", "now", "outcome"),
    [
        ((None, None), ("2026-01-01T06:00:00.000001Z", None), Outcome.OK),
        ((None, None), (None, "2026-01-01T06:00:00Z"), Outcome.FAILED),
        ((None, "2026-01-01T05:00:00Z"), ("2026-01-01T06:00:00Z", "2026-01-01T05:00:00Z"), Outcome.OK),
        (("2026-01-01T05:00:00Z", None), ("2026-01-01T06:00:00Z", "2026-01-01T06:30:00Z"), Outcome.FAILED),
        (("2026-01-01T05:00:00Z", None), ("2026-01-01T06:30:00Z", "2026-01-01T06:00:00Z"), Outcome.OK),
        (("2026-01-01T05:00:00Z", None), ("2026-01-01T05:00:00Z", "2026-01-01T06:00:00Z"), Outcome.FAILED),
        (("2026-01-01T05:00:00Z", None), ("2026-01-01T05:00:00.000Z", None), None),
        (("2026-01-01T05:00:00.5Z", None), ("2026-01-01T05:00:00.500000Z", None), None),
        (("2026-01-01T05:00:00Z", None), ("2026-01-01T05:00:00.100000Z", None), Outcome.OK),  # as text it is smaller
        (("2026-01-01T05:00:00Z", "2026-01-01T05:30:00Z"), ("2026-01-01T05:10:00Z", "2026-01-01T05:30:00Z"), None),
    ],
)
def test_the_timestamps_decide(was, now, outcome):
    row = a_row(succeeded_at=now[0], failed_at=now[1])
    answer = judge(a_handle(succeeded_at=was[0], failed_at=was[1]), row, fresh(row))

    assert (answer.outcome if isinstance(answer, Finished) else None) == outcome


@pytest.mark.parametrize(
    ("row", "joined", "seen", "rested", "ends"),
    [
        (a_row(), False, False, LOST_AFTER, None),
        (a_row(), False, False, LOST_AFTER + timedelta(seconds=1), (Outcome.FAILED, True)),
        (a_row(), False, True, CANCELLED_AFTER, None),
        (a_row(), False, True, CANCELLED_AFTER + timedelta(seconds=1), (Outcome.CANCELLED, True)),
        (a_row(), True, False, CANCELLED_AFTER + timedelta(seconds=1), (Outcome.CANCELLED, True)),
        (a_row("paused", paused=True), False, False, CANCELLED_AFTER, None),
        (a_row("paused", paused=True), False, False, CANCELLED_AFTER + timedelta(seconds=1), (Outcome.CANCELLED, True)),
        (a_row(paused=True), False, True, CANCELLED_AFTER + timedelta(seconds=1), (Outcome.CANCELLED, True)),
        (a_row(status={"setup_state": "broken"}), False, True, CANCELLED_AFTER, None),
        (
            a_row(status={"setup_state": "broken"}),
            False,
            True,
            CANCELLED_AFTER + timedelta(seconds=1),
            (Outcome.FAILED, False),
        ),
    ],
)
def test_rest_without_a_result_ends_after_its_grace(row, joined, seen, rested, ends):
    sight = Sight(looked_at=NOON, syncing=seen, resting=True, rested=rested)
    answer = judge(a_handle(joined=joined), row, sight)

    assert ((answer.outcome, answer.retryable) if isinstance(answer, Finished) else None) == ends
    assert answer.note


def test_a_failure_is_told_in_fivetrans_words_and_a_broken_connection_is_not_tried_again():
    status = {
        "setup_state": "broken",
        "tasks": [{"code": "reconnect", "message": "Reauthorize Google"}],
        "warnings": [],
    }
    row = a_row(failed_at="2026-01-01T06:00:00Z", status=status)

    answer = judge(a_handle(), row, fresh(row))

    assert (answer.outcome, answer.note, answer.retryable) == (Outcome.FAILED, "Reauthorize Google", False)


def test_a_wait_lets_fivetran_mend_a_failure_and_says_so():
    row = a_row(succeeded_at="2026-01-01T05:00:00Z", failed_at="2026-01-01T06:00:00Z")

    answer = judge(a_handle("wait", after="2026-01-01T05:00:00Z"), row, fresh(row))

    assert isinstance(answer, Pending)
    assert "failed at 2026-01-01T06:00:00Z" in answer.note


def test_a_resync_of_everything_is_not_over_while_fivetran_still_owes_it():
    row = a_row(succeeded_at="2026-01-01T06:00:00Z", status={"is_historical_sync": True})

    assert isinstance(judge(a_handle("resync", whole=True), row, fresh(row)), Pending)
    assert judge(a_handle("resync", whole=False), row, fresh(row)).ok
    assert judge(a_handle("sync"), row, fresh(row)).ok


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"id": "c1"},
        {"id": 1, "status": {"sync_state": "scheduled"}},
        {"id": "c1", "status": {}},
        {"id": "c1", "status": {"sync_state": None}},
        {"id": "c1", "status": {"sync_state": "scheduled"}, "succeeded_at": "yesterday"},
        {"id": "c1", "status": {"sync_state": "scheduled"}, "failed_at": 1767225600},
    ],
)
def test_a_row_that_is_not_as_documented_is_odd(data):
    with pytest.raises(Odd):
        Row.read(data)


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_timestamps_are_compared_as_times(one, other):
    def written(then):
        return then.isoformat().replace("+00:00", "Z")

    assert (moment(written(one)) < moment(written(other))) == (one < other)
    assert moment(written(one)) >= NEVER
