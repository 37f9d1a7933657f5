"""How a backfill goes on."""

from dataclasses import replace
from datetime import timedelta

import pytest
from decide.cron_oracle import utc
from hypothesis import given, settings
from hypothesis import strategies as st

from stackhub.decide.backfill import again, due, ended_as, run_of, settled, told
from stackhub.model.backfill import RESYNC, Backfill, BackfillState, Part, PartState
from stackhub.model.incident import Facet
from stackhub.model.pipeline import Need, Pipeline, Task, Told
from stackhub.model.run import Interval, RunState
from stackhub.model.words import Severity

START = utc("2026-03-01")
DAY = timedelta(days=1)
W, R, S, F, C = PartState
LETTERS = {"w": W, "r": R, "s": S, "f": F, "c": C}


def backfill(**more):
    return Backfill(
        id="01B", pipeline="shop", start=START, end=START + 9 * DAY, how="every 1d", created_at=START, **more
    )


def parts(letters, first=1):
    return [
        Part(seq=seq, interval=Interval(start=START + seq * DAY, end=START + (seq + 1) * DAY), state=LETTERS[letter])
        for seq, letter in enumerate(letters, start=first)
    ]


@pytest.mark.parametrize(
    ("letters", "options", "begins"),
    [
        ("www", {}, [1]),
        ("www", {"newest_first": True}, [3]),
        ("www", {"parallel": 2}, [1, 2]),
        ("www", {"parallel": 2, "newest_first": True}, [3, 2]),
        ("srww", {"parallel": 2}, [3]),
        ("srw", {}, []),
        ("sfw", {}, []),
        ("sfw", {"keep_going": True}, [3]),
        ("scw", {}, [3]),
        ("sss", {}, []),
        ("www", {"state": BackfillState.CANCELLING}, []),
        ("www", {"state": BackfillState.FAILED}, []),
    ],
)
def test_what_begins(letters, options, begins):
    assert [part.seq for part in due(backfill(**options), parts(letters), busy=False)] == begins
    assert due(backfill(**options), parts(letters), busy=True) == ()


@pytest.mark.parametrize(("letters", "begins"), [("www", [0]), ("rww", []), ("sww", [1]), ("fww", []), ("cww", [])])
def test_loading_anew_comes_alone_before_all_others(letters, begins):
    assert [part.seq for part in due(backfill(keep_going=True), parts(letters, RESYNC), busy=False)] == begins


@pytest.mark.parametrize(
    ("letters", "options", "state", "reason"),
    [
        ("sss", {}, "succeeded", "every interval is done"),
        ("ssr", {}, None, ""),
        ("ssw", {}, None, ""),
        ("sfw", {}, "failed", "1 failed, 1 of 3 intervals are done; the same command goes on"),
        ("sfr", {}, None, ""),
        ("sfw", {"keep_going": True}, None, ""),
        ("sfs", {"keep_going": True}, "failed", "1 failed, 2 of 3 intervals are done; the same command goes on"),
        ("scs", {}, "cancelled", "1 cancelled, 2 of 3 intervals are done; the same command goes on"),
        ("scw", {}, None, ""),
        ("srw", {"state": BackfillState.CANCELLING, "reason": "cancelled: enough"}, None, ""),
        ("scw", {"state": BackfillState.CANCELLING, "reason": "cancelled: enough"}, "cancelled", "cancelled: enough"),
        ("sfw", {"state": BackfillState.FAILED}, None, ""),
        ("sss", {"state": BackfillState.FAILED}, "succeeded", "every interval is done"),  # by retries
        ("sss", {"state": BackfillState.SUCCEEDED}, None, ""),
    ],
)
def test_how_it_has_ended(letters, options, state, reason):
    found = settled(backfill(**options), parts(letters))
    assert found == ((BackfillState(state), reason) if state else None)


def test_nothing_follows_a_load_that_has_failed():
    assert settled(backfill(keep_going=True), parts("fww", RESYNC))[0] is BackfillState.FAILED
    assert settled(backfill(), parts("cww", RESYNC))[0] is BackfillState.CANCELLED


def test_the_same_request_does_what_is_left_but_nothing_twice():
    assert [part.seq for part in again(parts("sfcwr"), frozenset(), everything=False)] == [2, 3]
    assert [part.seq for part in again(parts("sfcwr"), frozenset({2}), everything=False)] == [3]
    assert [part.seq for part in again(parts("sfcwr"), frozenset(), everything=True)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("ended", "state"),
    [("succeeded", "succeeded"), ("failed", "failed"), ("partial", "failed"), ("cancelled", "cancelled")],
)
def test_an_interval_is_done_when_its_run_has_succeeded(ended, state):
    assert ended_as(RunState(ended)) == state


def test_a_run_of_it_loads_nothing_and_names_its_interval():
    tasks = (
        Task(name="load", connector="tap", operation="sync", instance="tap", extract=True),
        Task(name="build", connector="mill", operation="build", instance="mill", needs=(Need(task="load"),)),
    )
    shop, (part,) = Pipeline(name="shop", tasks=tasks), parts("w", 3)
    made = run_of(shop, backfill(), part, 9, run_id="01R", now=START)
    assert {name: step.state.value for name, step in made.steps.items()} == {"load": "skipped", "build": "waiting"}
    assert (made.run.interval, made.run.tick) == (part.interval, None)
    assert made.run.origin == {"backfill": "01B", "part": 3}
    loaded = run_of(shop, backfill(extracts=True), part, 9, run_id="01R", now=START)
    assert loaded.steps["load"].state == "waiting"
    alone = run_of(shop, backfill(only=("load",)), part, 9, run_id="01R", now=START)
    assert alone.steps["load"].state == "waiting"  # who names it means it
    changed = run_of(shop, backfill(options={"build": {"select": "x"}}), part, 9, run_id="01R", now=START)
    assert changed.pipeline.task("build").options == {"select": "x"}


def test_what_is_told_is_of_the_backfill():
    facet = Facet(kind=Told.FAILED, since=START, severity=Severity.ERROR, title="shop failed: build", covers=START)
    changed = told(facet, "01B", "shop")
    assert (changed.title, changed.covers) == ("backfill of shop failed: build", None)
    assert ("Backfill", "01B") in changed.facts


@settings(deadline=None, max_examples=150)
@given(
    st.integers(1, 8),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.lists(st.tuples(st.booleans(), st.sampled_from("sssfc")), max_size=40),
)
def test_it_ends_with_each_interval_begun_at_most_once_and_never_too_many_at_once(
    many, parallel, newest, keep_going, resync, story
):
    """Let a backfill go on as the engine does, while other runs come and go and intervals end as they like."""
    wanted = backfill(parallel=parallel, newest_first=newest, keep_going=keep_going)
    now = parts("w" * many, RESYNC if resync else 1)
    begun = []
    busy_or_not = iter([*story, *[(False, "s")] * 40])
    for busy, end in busy_or_not:
        for part in due(wanted, now, busy=busy):
            assert not busy
            assert part.seq not in begun
            begun.append(part.seq)
            now = [replace(one, state=R) if one.seq == part.seq else one for one in now]
        running = [part for part in now if part.state is R]
        assert len(running) <= parallel
        found = settled(wanted, now)
        if found is not None:
            break
        if running:
            now = [replace(one, state=LETTERS[end]) if one.seq == running[0].seq else one for one in now]
    else:
        pytest.fail("it never ended")
    state, _ = found
    assert (state is BackfillState.SUCCEEDED) == all(part.state is S for part in now)
    assert not any(part.state is R for part in now)
    rest = [seq for seq in begun if seq != RESYNC]
    assert rest == sorted(rest, reverse=newest)
    if resync:
        assert begun[0] == RESYNC
    if keep_going and not (resync and now[0].state is not S):
        assert not any(part.state is W for part in now)
