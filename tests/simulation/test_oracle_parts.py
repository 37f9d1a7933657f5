"""The oracle can fail in each part that only some worlds have: a hub or a database breaks it, and is caught."""

from datetime import timedelta

import pytest
import structlog
from simulation.test_oracle import LINE, at, caught, world
from simulation.world import live

from stackhub.decide import asked, owed, partial
from stackhub.decide import backfill as decide_backfill
from stackhub.decide import incident as decide_incident
from stackhub.decide.days import Days as Kept
from stackhub.decide.triggers import Said
from stackhub.engine import forecasts, incidents, reminders, required, scheduler, triggers
from stackhub.engine.backfilling import Backfilling
from stackhub.store import watermarks

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


@pytest.fixture(autouse=True)
def silence(monkeypatch):
    monkeypatch.setattr("simulation.world.PATIENCE", timedelta(hours=3))  # nobody here waits for ever in earnest
    with structlog.testing.capture_logs():
        yield


# --- what begins because data has come in ---

BUILD = {"build": {"uses": "mill.build", "with": {"select": "s0"}}}
BOTH = {"pipeline": "both", "triggers": [{"landed": ["tap:c0", "tap:c1"]}], "tasks": BUILD}
LOADS = [
    {"at": at, "instance": "tap", "what": what, "turn": {"seconds": 60}}
    for at, what in ((1200, "c0"), (1500, "c1"), (2400, "c0"), (2700, "c1"))
]


def landing(pipeline=BOTH, **more):
    return world(pipelines=[pipeline], others=LOADS, lists=True, **more)


def requiring(**more):
    schedule = {"cron": "20 12 * * *", "require": ["tap:c0"], **more}
    return world(pipelines=[{**LINE, "schedule": schedule}], lists=True)


def test_nothing_is_caught_where_data_comes_in_as_it_should():
    assert live(landing()).runs == 2
    assert live(requiring(not_later_than="12:40")).runs == 1
    assert live(requiring(not_later_than="12:40", otherwise="skip")).runs == 0


def test_a_run_that_does_not_wait_for_all_of_its_data(monkeypatch):
    fires = triggers.fires
    monkeypatch.setattr(triggers, "fires", lambda marks, **_: fires(marks, enough=True))
    caught(landing(), 8, match="had landed, and all of")


def test_data_that_begins_one_run_after_another(monkeypatch):
    monkeypatch.setattr(watermarks, "taken", lambda *_: [])
    caught(landing(), 8, match="and took")


def test_data_that_begins_nothing(monkeypatch):
    monkeypatch.setattr(triggers, "fires", lambda *_, **__: ())
    caught(landing(), 0, match="has not taken what landed")


def test_a_mark_that_goes_back():
    sql = "UPDATE watermark SET mark = '000000000' WHERE connection = 'c0'"
    caught(landing(), 8, prepare=at(50 * 60, sql), match="is set back")


def test_a_tick_that_does_not_wait_for_its_data(monkeypatch):
    monkeypatch.setattr(required, "required", lambda *_, **__: (Said.RUN, "why not"))
    caught(requiring(), 8, match="began run")


def test_a_tick_that_waits_past_its_time():
    sql = "UPDATE tick SET until = until + 86400000000 WHERE verdict = 'wait'"
    caught(requiring(not_later_than="12:40"), 8, prepare=at(25 * 60, sql), match="and was to until")


def test_a_tick_that_is_told_to_wait_for_ever(monkeypatch):
    monkeypatch.setattr(scheduler, "waits_until", lambda *_: None)
    caught(requiring(not_later_than="12:40"), 8, match="waits until None")


def test_a_tick_that_gives_up_before_its_time(monkeypatch):
    monkeypatch.setattr(required, "required", lambda *_, **__: (Said.SKIP, "no"))
    caught(requiring(not_later_than="12:40"), 8, match="is skipped at")


# --- the past ---

PAST = {"pipeline": "line", "from": "2026-10-20", "until": "2026-10-23", "every": 86400}


def asking(*more, pipeline=LINE, **what):
    tasks = {"build": {"uses": "mill.build", "with": {"select": "s0"}, "retries": {"attempts": 1}}}
    people = [{"at": 60, "wish": "backfill", "what": {**PAST, **what}}, *more]
    return world(pipelines=[{**pipeline, "tasks": tasks}], people=people, turns={"mill:s0": [{"seconds": 240}]})


def test_nothing_is_caught_where_the_past_is_done_as_it_should_be():
    assert live(asking()).runs == 2 + 3
    assert live(asking(parallel=2, newest_first=True)).runs == 2 + 3
    assert live(asking({"at": 200, "wish": "cancel_backfill"}, {"at": 900, "wish": "backfill", "what": PAST})).runs == 6


@pytest.mark.parametrize(
    ("sql", "match"),
    [
        ("UPDATE backfill_part SET state = 'waiting' WHERE state = 'succeeded'", "was done, and is waiting"),
        ("UPDATE backfill_part SET state = 'succeeded' WHERE state = 'running'", "and its run is"),
        ("UPDATE backfill SET state = 'succeeded', ended_at = 1", "is succeeded"),
    ],
)
def test_an_interval_that_is_not_what_its_run_is(sql, match):
    caught(asking(), 9, prepare=at(420, sql), match=match)


def test_intervals_that_begin_in_no_order_or_too_many_at_once(monkeypatch):
    monkeypatch.setattr(decide_backfill, "in_order", lambda _, parts: sorted(parts, key=lambda part: -part.seq))
    caught(asking(), 9, match="begins before")
    monkeypatch.setattr(decide_backfill, "due", lambda *_, **__: tuple(_[1]) if _[1][0].state == "waiting" else ())
    caught(asking(), 9, match="at once")


def test_intervals_that_are_in_the_way_of_a_run(monkeypatch):
    due = decide_backfill.due
    monkeypatch.setattr(decide_backfill, "due", lambda *given, **_: due(*given, busy=False))
    caught(asking(pipeline={**LINE, "schedule": {"cron": "3 12 * * *"}}), 9, match="was going")


def test_intervals_with_a_gap(monkeypatch):
    by_distance = asked.by_distance
    monkeypatch.setattr(asked, "by_distance", lambda *given: by_distance(*given)[::2])
    caught(asking(), 9, match="has a gap")


def test_a_retry_that_does_an_interval_beside_its_backfill(monkeypatch):
    """As it was once: a retry of an old run, while the interval was about to be done again."""

    async def nothing(*_):
        return []

    monkeypatch.setattr(Backfilling, "taken_up", nothing)
    again = [
        {"at": 120, "wish": "cancel_backfill"},
        {"at": 600, "wish": "backfill", "what": PAST},
        {"at": 660, "wish": "retry", "what": {"from_start": True}},
    ]
    live(asking(*again[:2]))
    caught(asking(*again), 9, match="done by")


# --- days ---


def keeping(**schedule):
    calendars = {"odd": ["2026-11-02"]}
    return world(pipelines=[{**LINE, "calendars": calendars, "schedule": {"every": "25m", **schedule}}])


def test_nothing_is_caught_where_days_are_left_out():
    assert live(keeping(only=["odd"])).runs == 2
    assert live(keeping(**{"except": ["odd"]})).runs == 0


def test_a_day_that_is_to_be_left_out_and_is_not(monkeypatch):
    monkeypatch.setattr(Kept, "refused", lambda *_: "")
    caught(keeping(**{"except": ["odd"]}), 5, match="is on a day left out")


def test_a_day_that_is_left_out_and_is_not_to_be(monkeypatch):
    def forget(_):
        monkeypatch.setattr(Kept, "refused", lambda *_: "calendar odd")

    caught(keeping(only=["odd"]), 5, prepare=forget, match="is on a day that is kept")


# --- what is told, and when ---

SLOW = {"tap:c0": [{"seconds": 600}], "mill:s0": [{"seconds": 1200}]}


def foreseeing(**more):
    line = {**LINE, "sla": {"max_duration": "20m", "at_risk": 0.5}}
    lasted = {"line/load": [600.0] * 9, "line/build": [1200.0] * 9}
    return world(pipelines=[line], turns=SLOW, lasted=lasted, **more)


def test_nothing_is_caught_where_a_warning_comes_to_pass():
    told = live(foreseeing())
    assert told.messages > 3


def test_a_warning_that_comes_too_late(monkeypatch):
    due_by, known, gone = forecasts.due_by, [], []

    def ever_due(connection, **given):
        found = due_by(connection, **given)
        (known if found else gone).extend(found or known)
        return found or known

    monkeypatch.setattr(forecasts, "due_by", ever_due)
    monkeypatch.setattr(forecasts.forecast, "at_risk", lambda *_, **__: bool(gone))
    caught(foreseeing(), 4, prepare=at(26 * 60, "UPDATE deadline SET state = 'met'"), match="no deadline is ahead")


def test_a_warning_that_is_told_over_and_over(monkeypatch):
    monkeypatch.setattr(forecasts.Forecasts, "_warned", lambda *_: None)
    caught(foreseeing(), 4, match="told again to be at risk")


def test_a_warning_that_stands_beside_what_it_warned_of(monkeypatch):
    monkeypatch.setattr(decide_incident, "BEYOND", frozenset())
    caught(foreseeing(), 4, match="what has come to pass")


def telling(route=None, **more):
    line = {**LINE, "alerts": [{"to": "bell", **(route or {})}]}
    return world(pipelines=[line], turns={"mill:s0": [{"seconds": 60, "ends": "fatal"}]}, **more)


MUTE = [{"at": 60, "wish": "mute", "what": {"target": "line", "minutes": 58}}]


def test_nothing_is_caught_where_people_are_told_when_they_want_to_be():
    live(telling({"renotify": "20m"}))
    live(telling(people=MUTE))


def test_something_muted_that_is_told(monkeypatch):
    monkeypatch.setattr(incidents, "muting", lambda *_: None)
    caught(telling(people=MUTE), 4, match="while it was muted")


def test_something_that_lasts_beyond_its_mute_and_is_not_told(monkeypatch):
    monkeypatch.setattr(reminders.Reminders, "_due", lambda *_: False)
    caught(telling(people=MUTE), 4, match="nothing mutes it, and nobody was told")


def test_a_reminder_that_never_comes(monkeypatch):
    monkeypatch.setattr(reminders, "reminded_at", lambda *_: None)
    spec = telling({"renotify": "20m"}, hours=2.0)
    spec.pipelines[0]["schedule"] = {"cron": "5 12 * * *"}
    live(spec.model_copy(update={"pipelines": [{**spec.pipelines[0], "alerts": [{"to": "bell"}]}]}))
    caught(spec, 4, match="is to be reminded after")


def test_reminders_that_come_too_often(monkeypatch):
    again = decide_incident._again

    def soon(incident, ear):
        at = again(incident, ear)
        return at and at - timedelta(minutes=12)

    monkeypatch.setattr(decide_incident, "_again", soon)
    caught(telling({"renotify": "20m"}), 4, match="within less than")


# --- a part now, the rest when it lands ---

PART = {
    "pipeline": "line",
    "schedule": {"cron": "5 12 * * *"},
    "tasks": {
        "c0": {"uses": "tap.sync", "with": {"connection": "c0"}, "retries": {"attempts": 1}},
        "c1": {"uses": "tap.sync", "with": {"connection": "c1"}, "retries": {"attempts": 1}},
        "part": {"uses": "press.build", "with": {"partial": True}, "retries": {"attempts": 1}},
    },
}


def leaving(**more):
    return world(
        pipelines=[PART],
        instances={"tap": {}, "press": {}, "bell": {}},
        models={"a": ["crm.c0"], "b": ["crm.c1"], "both": ["a", "b"], "static": []},
        turns={"tap:c1": [{"seconds": 60, "ends": "fatal"}]},
        lists=True,
        **more,
    )


def test_nothing_is_caught_where_a_part_is_built_and_the_rest_when_it_has_landed():
    assert live(leaving()).runs == 2


def test_something_that_is_built_on_what_has_not_landed(monkeypatch):
    monkeypatch.setattr(partial, "sources", lambda *_: ())
    caught(leaving(), 7, match="which it reads, is failed")


def test_something_owed_that_is_built_before_its_input_has_landed(monkeypatch):
    monkeypatch.setattr(owed, "payable", lambda debts: {"part": tuple({debt.node for debt in debts})} if debts else {})
    monkeypatch.setattr(owed, "covered", lambda debts, _: list(debts))
    caught(leaving(), 7, match="has not landed")


def test_something_owed_that_is_never_built(monkeypatch):
    monkeypatch.setattr(owed, "payable", lambda _: {})
    caught(leaving(), 0, match="is owed")


def test_something_owed_that_is_said_to_be_built():
    sql = "UPDATE owed SET paid_by = run WHERE paid_by = ''"
    caught(leaving(), 7, prepare=at(30 * 60, sql), match="which has not built it")
