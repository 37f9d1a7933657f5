"""The oracle can fail in each part that only some worlds have: a hub or a database breaks it, and is caught."""

from datetime import timedelta

import pytest
import structlog
from simulation.test_oracle import LINE, at, caught, world
from simulation.world import live

from stackhub.decide.triggers import Said
from stackhub.engine import required, scheduler, triggers
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


def test_a_tick_that_waits_past_its_time(monkeypatch):
    monkeypatch.setattr(required, "required", lambda *_, **__: (Said.WAIT, "later"))
    caught(requiring(not_later_than="12:40"), 8, match="and was to until")


def test_a_tick_that_is_told_to_wait_for_ever(monkeypatch):
    monkeypatch.setattr(scheduler, "waits_until", lambda *_: None)
    caught(requiring(not_later_than="12:40"), 8, match="waits until None")


def test_a_tick_that_gives_up_before_its_time(monkeypatch):
    monkeypatch.setattr(required, "required", lambda *_, **__: (Said.SKIP, "no"))
    caught(requiring(not_later_than="12:40"), 8, match="is skipped at")
