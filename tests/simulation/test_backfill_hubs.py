"""A backfill on several hubs: whichever keeps the time goes on with it, and each interval is done once."""

from datetime import timedelta

import pytest
import structlog
from engine.far_end import FAILED
from simulation.ground import ground
from simulation.test_hubs import Hubs

from stackhub.store import lanes
from stackhub.store.tables import micros

PAST = """
pipeline: past
defaults: {retries: {attempts: 1}}
tasks:
  marts: {uses: mill.build, with: {select: "{{ interval.start_date }}"}}
"""
ARGS = {"pipeline": "past", "from": "2026-01-01", "to": "2026-01-05", "every": 86400}
DAYS = [f"2026-01-0{number}" for number in (1, 2, 3, 4)]


@pytest.fixture(autouse=True)
def logged():
    with structlog.testing.capture_logs() as found:
        yield found


@pytest.fixture
def on(monkeypatch):
    with ground() as made:
        monkeypatch.setattr(lanes, "_clock", lambda _connection, _now: micros(made.universe.clock.now()))
        made.house.instances("tap", "mill", "bell", "horn").pipeline(PAST)
        yield made


@pytest.fixture
def hubs(on):
    return Hubs(on)


def asked(hubs, letter, kind="backfill", **args):
    wish = hubs[letter].submit(kind, **(args or ARGS))
    hubs.until(lambda: wish.done)
    assert wish.error is None, wish.error
    return wish.result


def state(on):
    return [found for (found,) in on.ask("SELECT state FROM backfill")]


@pytest.mark.parametrize("letter", ["a", "b"])
def test_whoever_is_asked_the_one_that_keeps_the_time_begins_them(hubs, on, letter):
    hubs.start("a"), hubs.start("b")
    made = asked(hubs, letter)
    hubs.until(lambda: state(on) == ["succeeded"])
    assert [job.what for job in on["mill"].jobs] == DAYS
    assert asked(hubs, "b" if letter == "a" else "a")["backfill"] == made["backfill"]


def test_when_the_one_that_kept_the_time_dies_the_other_goes_on(hubs, on):
    on["mill"].hold = True
    hubs.start("a"), hubs.start("b")
    asked(hubs, "b")
    hubs.until(on["mill"].running)
    hubs["a"].kill()
    hubs.until(lambda: hubs.owner("@time") == "b" and hubs.owner("mill") == "b")
    on["mill"].hold = False
    hubs.until(lambda: state(on) == ["succeeded"])
    assert [job.what for job in on["mill"].jobs] == DAYS


def test_what_one_hub_opened_another_resolves(hubs, on):
    on["mill"].outcomes[DAYS[1]].append(FAILED)
    hubs.start("a"), hubs.start("b")
    asked(hubs, "a")
    hubs.until(lambda: state(on) == ["failed"])
    hubs["a"].kill()
    hubs.until(lambda: hubs.owner("@time") == "b" and hubs.owner("mill") == "b")
    asked(hubs, "b")
    hubs.until(lambda: state(on) == ["succeeded"])
    hubs.let(timedelta(minutes=2))
    assert on.ask("SELECT count(*) FROM incident WHERE resolved_at IS NULL") == [(0,)]
    assert [job.what for job in on["mill"].jobs] == [DAYS[0], DAYS[1], DAYS[1], *DAYS[2:]]
