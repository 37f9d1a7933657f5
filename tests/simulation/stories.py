"""Short stories, each with what must have come of it however often the hub died meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from engine.played import BROKEN, FAILED, Lost
from simulation.ground import Ground

from stackhub.contract import Pending, Unavailable

SHOP = """
pipeline: shop
tasks:
  orders: {uses: tap.sync, with: {connection: orders}, retries: {attempts: 2, wait: 1s}}
  stripe: {uses: tap.sync, with: {connection: stripe}, retries: {attempts: 2, wait: 1s}}
  marts: {uses: mill.build, retries: {attempts: 1}}
"""
LINE = """
pipeline: shop
tasks:
  orders: {uses: tap.sync, with: {connection: orders}, retries: {attempts: 2, wait: 1s}}
  marts: {uses: mill.build, retries: {attempts: 1}}
"""


@dataclass(frozen=True)
class Story:
    name: str
    furnish: Callable[[Ground], None]  # once
    begin: Callable[[Ground], None]  # before each life
    check: Callable[[Ground], None]
    pipeline: str = "shop"
    runs: int = 1  # that somebody asks for


def furnished(pipeline):
    return lambda on: on.house.instances("tap", "mill", "bell", "horn").pipeline(pipeline)


def states(on):
    return [state for (state,) in on.ask("SELECT state FROM run ORDER BY id")]


def check_jobs(on, *, runs=1, extracts=("orders", "stripe"), tries=1):
    """One job for each intent; every build after what it needs has landed."""
    tap, mill = on["tap"], on["mill"]
    for what in extracts:
        assert len(tap.of(what)) == runs * tries, f"syncs of {what}: {len(tap.of(what))}"
    assert len(mill.jobs) == runs, f"builds: {len(mill.jobs)}"
    assert len({job.key for job in (*tap.jobs, *mill.jobs)}) == len(tap.jobs) + len(mill.jobs), "a key was used twice"
    for nth, build in enumerate(mill.jobs):
        for what in extracts:
            landing = tap.of(what)[(nth + 1) * tries - 1].end.landing
            assert landing is not None, f"{what} was built upon, and never landed"
            assert int(landing.mark) < build.began, f"built before {what} had landed"


# --- stories ---------------------------------------------------------------------------------------------------------


def _pending(on):
    for what in ("orders", "stripe"):
        on["tap"].pending[what].append(Pending())


def _check_well(on):
    check_jobs(on)
    assert states(on) == ["succeeded"]
    assert on.ask("SELECT * FROM incident") == []
    assert on["bell"].sent == {}


def _check_line(on):
    check_jobs(on, extracts=("orders",))
    assert states(on) == ["succeeded"]
    assert on["bell"].sent == {}


def _fails(on):
    on["mill"].outcomes["all"].append(FAILED)


def _check_told(on):
    check_jobs(on, extracts=("orders",))
    assert states(on) == ["failed"]
    ((key, resolved),) = on.ask("SELECT key, resolved_at FROM incident")
    assert (key, resolved) == ("pipeline:shop", None)
    for name in ("bell", "horn"):
        assert [(part, event) for part, event, _ in on[name].order] == [("root", "opened")], name


def _check_recovers(on):
    check_jobs(on, runs=2, extracts=("orders",))
    assert sorted(states(on)) == ["failed", "succeeded"]
    ((resolved,),) = on.ask("SELECT resolved_at FROM incident")
    assert resolved is not None
    bell = [(part, event) for part, event, _ in on["bell"].order]
    assert bell == [("root", "opened"), ("root", "resolved"), ("entry", "resolved")], bell
    horn = [(part, event) for part, event, _ in on["horn"].order]
    assert horn[:2] == [("root", "opened"), ("root", "resolved")], horn


def _loses(on):
    on["tap"].will("start", Lost())


def _stumbles(on):
    on["tap"].outcomes["orders"].append(BROKEN)
    on["tap"].will("poll", Unavailable("busy"))
    on["mill"].outcomes["all"].append(FAILED)
    on["bell"].will("deliver", Lost())
    on["horn"].will("deliver", Unavailable("busy", retry_after=timedelta(seconds=7)))


def _check_stumbles(on):
    check_jobs(on, extracts=("orders",), tries=2)
    assert states(on) == ["failed"]
    for name in ("bell", "horn"):
        assert [(part, event) for part, event, _ in on[name].order] == [("root", "opened")], name


STORIES = (
    Story("line", furnished(LINE), lambda on: None, _check_line),
    Story("pair", furnished(SHOP), _pending, _check_well),
    Story("told", furnished(LINE), _fails, _check_told),
    Story("lost", furnished(LINE), _loses, _check_line),
    Story("stumbles", furnished(LINE), _stumbles, _check_stumbles),
    Story("recovers", furnished(LINE), _fails, _check_recovers, runs=2),
)
