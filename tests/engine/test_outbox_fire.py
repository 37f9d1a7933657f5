"""The outbox under fire: notifiers that are slow, down, refuse, lose answers; many incidents, and a hub killed.

What is told is told in order for each incident and route. Where the far end takes our key, or can be searched for it,
nothing is told twice; where it cannot, one lost answer is one repetition and no more.
"""

import json
from collections import Counter, defaultdict
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import groupby

import httpx
import pytest
from engine.far_end import Lost, Stuck

from stackhub import registry
from stackhub.contract import Rejected, Unavailable, Unsure
from stackhub.contract.sandbox import Breaks, Fault, World
from stackhub.model.incident import Facet
from stackhub.model.pipeline import Told
from stackhub.model.words import Severity

SECOND = timedelta(seconds=1)
STRIDE = timedelta(seconds=5)
MANY = 60
WIDTH = 8  # messages under way at once
SHOP = "pipeline: shop\ntasks: {{load: {{uses: tap.sync, with: {{connection: orders}}}}}}\nalerts: [{}]\n"


def told_by(house, *notifiers, alerts="", hub=""):
    """A house whose pipeline `shop` tells these, or as ``alerts`` says."""
    house.instances("tap")
    for name in notifiers:
        house.write(f"{name}.env", f"{name.upper()}_WIDTH={WIDTH}\n")
    house.pipeline(SHOP.format(alerts or ", ".join(f"{{to: {name}}}" for name in notifiers)))
    return house.write("stackhub.env", f"STACKHUB_GRACE=1s\n{hub}")


async def storm(hub, many=MANY, *, over=False, first=0):
    """Open so many incidents in one moment, told by the routes of `shop`; ``over``: end them. No pipeline is needed."""
    known = hub.engine.incidents
    keys = [f"connection:p{nth:03}" for nth in range(first, first + many)]
    routes = hub.engine.in_force.routes("shop")

    def build(transaction):
        if over:
            return [known.cease(key, [Told.FAILED], transaction, f"{key} is well again") for key in keys]
        now = hub.house.clock.now()
        facets = [Facet(kind=Told.FAILED, since=now, severity=Severity.ERROR, title=f"{key} failed") for key in keys]
        told = zip(keys, facets, strict=True)
        return [known.observe(key, facet, transaction, routes=routes) for key, facet in told]

    await known.keep(keys, build, hub.store)
    hub.engine.lanes.ring_outboxes()


def heard(house, name):
    """Return what was said of each incident, in the order in which it had its effect."""
    found = defaultdict(list)
    for part, event, title in house[name].order:
        found[title].append((part, event))
    return found


async def states(hub, instance):
    return Counter(one.state for one in await hub.messages() if one.instance == instance)


async def all_told(hub, **more):
    """Wait until nothing waits to be told, however late it is due."""

    async def none():
        return not await hub.messages(state="pending")

    await hub.until(none, **{"step": STRIDE, **more})


# --- every promise ----------------------------------------------------------------------------------------------------

FAULTS = {
    "lost answers": lambda nth: Lost(Unsure("cut")) if nth % 3 == 0 else None,
    "everything": lambda nth: (
        None,
        Lost(Unsure("cut")),
        Unavailable("503"),
        Unsure("cut"),
        KeyError("ts"),
        Lost(TimeoutError()),
    )[nth % 6],
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ["bell", "desk", "horn", "post"])
async def test_many_are_told_in_order_and_doubled_only_where_nobody_can_tell(house, name, fault):
    told_by(house, name)
    account = house[name]
    reactions = [FAULTS[fault](nth) for nth in range(MANY)]
    account.will("deliver", *reactions)
    async with house.killed() as hub:
        await storm(hub)
        await hub.until(lambda: account.count("deliver") > MANY // 2, step=SECOND)
        await storm(hub, over=True)
        await hub.until(lambda: account.count("deliver") > MANY, step=SECOND)
    async with house.hub() as hub:
        await all_told(hub)
        assert not await hub.messages(state="undeliverable")
    found = heard(house, name)
    for title, lines in found.items():
        events = [event for event, _ in groupby(event for part, event in lines if name == "post" or part == "root")]
        assert events in (["opened", "resolved"], ["resolved"]), title
    said = sum(len(lines) for lines in found.values())
    lost = sum(isinstance(one, Lost) for one in reactions)
    if name == "post":
        assert len(found) == MANY, "each line of the history is told"
        assert 2 * MANY + lost <= said <= 2 * MANY + lost + WIDTH, "one more for each lost answer, or cut by the death"
    else:
        kept = 3 if name == "horn" else 2  # an alarm is taken back once more
        assert all(len(set(lines)) == len(lines) for lines in found.values()) or name == "horn", "nothing twice"
        assert all(len(lines) <= kept + (name != "horn") for lines in found.values())


# --- an hour ----------------------------------------------------------------------------------------------------------


async def test_a_notifier_that_was_down_for_an_hour_hears_all_of_it_and_the_fallback_did_meanwhile(house):
    told_by(house, "bell", "post", alerts="{to: bell}", hub="STACKHUB_FALLBACK=post\n")
    house["bell"].broken = Unavailable("connection refused")
    half = timedelta(minutes=30)
    async with house.killed() as hub:
        await storm(hub, 40)
        await hub.pass_time(half, step=STRIDE * 3)
    async with house.hub() as hub:
        await hub.pass_time(half, step=STRIDE * 3)
        meanwhile = sorted(title for _, _, title in house["post"].order)
        assert meanwhile == [f"connection:p{nth:03} failed" for nth in range(40)], "each once"
        assert house["bell"].count("deliver") <= 40 * 24, "ever more rarely"
        house["bell"].broken = None
        await all_told(hub)
        assert list(heard(house, "bell").values()) == [[("root", "opened")]] * 40
        await storm(hub, 40, over=True)
        await all_told(hub)
        assert await states(hub, "bell") == {"sent": 3 * 40}
    for lines in heard(house, "bell").values():
        assert lines == [("root", "opened"), ("root", "resolved"), ("entry", "resolved")]
    for lines in heard(house, "post").values():
        assert lines == [("entry", "opened"), ("entry", "resolved")]


# --- a refusal ----------------------------------------------------------------------------------------------------------


async def dead_route(hub):
    found = [incident for incident in await hub.incidents() if incident.key.startswith("hub:")]
    return found[0] if found else None


async def test_a_route_that_refuses_is_one_incident_of_the_hub_told_by_the_others_until_it_takes_messages(house):
    told_by(house, "bell", "horn", "desk", alerts="{to: bell}", hub="STACKHUB_FALLBACK=desk\n")
    house["bell"].broken = Rejected("channel_not_found")
    async with house.killed() as hub:
        await storm(hub, 30)
        await hub.until(lambda: len(heard(house, "desk")) > 5, step=STRIDE)
    async with house.hub() as hub:
        await all_told(hub)
        assert await states(hub, "bell") == {"undeliverable": 30}
        dead = await dead_route(hub)
        assert (dead.key, dead.resolved_at, sorted(dead.routes)) == ("hub:bell", None, ["desk", "horn"])
        assert [one.key for one in await hub.incidents()].count("hub:bell") == 1
        lost = (await hub.messages(state="undeliverable"))[0]
        assert lost.error == "channel_not_found"
        assert Counter(len(lines) for lines in heard(house, "desk").values()) == {1: 31}, "each once, and the incident"
        assert heard(house, "horn") == {"stackhub cannot tell bell": [("root", "opened")]}
        house["bell"].broken = None
        await storm(hub, 1, first=500)
        await all_told(hub)
        assert (await dead_route(hub)).resolution == "bell was told again"
    assert heard(house, "horn")["stackhub cannot tell bell"][1:] == [("root", "resolved")] * 2
    assert heard(house, "desk")["stackhub cannot tell bell"][1:] == [("root", "resolved"), ("entry", "resolved")]


async def test_a_dead_route_that_is_configured_no_more_is_no_incident(house):
    told_by(house, "bell", "horn", alerts='{to: bell, channel: "#gone"}, {to: horn}')
    house["bell"].broken = Rejected("channel_not_found")
    async with house.hub() as hub:
        await storm(hub, 1)
        await all_told(hub)
        assert (await dead_route(hub)).resolved_at is None
        house.pipeline(SHOP.format('{to: bell, channel: "#data"}, {to: horn}'))
        await hub.engine.apply(house.read())
        assert (await dead_route(hub)).resolution == "no longer configured"


async def test_routes_that_are_all_dead_do_not_tell_each_other_for_ever(house):
    told_by(house, "bell", "horn", "post")
    for name in ("bell", "horn", "post"):
        house[name].broken = Rejected("no")
    async with house.hub() as hub:
        await storm(hub, 5)
        await all_told(hub)
        count = len(await hub.messages())
        assert count <= 3 * 5 + 3 * 2
        await hub.pass_time(timedelta(hours=2), step=timedelta(minutes=5))
        assert len(await hub.messages()) == count
        assert sorted(one.key for one in await hub.incidents() if one.key.startswith("hub:")) == [
            "hub:bell",
            "hub:horn",
            "hub:post",
        ]


# --- nobody in the way of another ----------------------------------------------------------------------------------------


async def test_a_route_that_hangs_holds_up_no_other_of_its_notifier(house):
    told_by(house, "bell", alerts='{to: bell, channel: "#slow"}, {to: bell, channel: "#quick"}')
    house["bell"].hanging["#slow"] = stuck = Stuck()
    async with house.hub() as hub:
        await storm(hub)
        await hub.now_until(lambda: len(house["bell"].order) == MANY)
        assert len(hub.engine.lanes.open["bell"].outbox.busy) <= WIDTH + 1, "and no more of it than there is room for"
        stuck.go.set()
        await all_told(hub)
    assert len(house["bell"].order) == 2 * MANY


async def test_a_storm_keeps_to_the_rate_and_another_notifier_is_not_slowed(house):
    told_by(house, "bell", "post").write("bell.env", "BELL_RATE=4\nBELL_BURST=5\n")
    house["bell"].gated = True
    async with house.hub() as hub:
        await storm(hub, 24)
        await hub.now_until(lambda: len(house["post"].order) == 24)
        assert len(house["bell"].order) <= 10
        await all_told(hub, step=timedelta(milliseconds=200))
    at = [call.at for call in house["bell"].calls]
    assert len(at) == 24
    for nth, first in enumerate(at):
        within = sum(first <= other < first + 2 * SECOND for other in at[nth:])
        assert within <= 5 + 4 * 2 + 1, "a burst, and four a second"


# --- the real ones, in front of their fakes -----------------------------------------------------------------------------


class Before:
    """A real connector whose vendor is a fake one in this process."""

    def __init__(self, connector, vendor):
        self._connector, self.vendor = connector, vendor

    def __getattr__(self, name):
        return getattr(self._connector, name)

    @asynccontextmanager
    async def open(self, settings, context):
        transport = httpx.ASGITransport(self.vendor)
        async with self._connector.open(settings, replace(context, transport=transport)) as opened:
            yield opened


def real(house, name):
    """Put a real notifier into the house."""
    connector = registry.load(name)
    vendor = connector.sandbox(World(now=house.clock.now))
    house.connectors[name] = Before(connector, vendor)
    pairs = vendor.environment(f"https://{name}.test").items()
    house.write(f"{name}.env", "".join(f'{key}="{value}"\n' for key, value in pairs))
    return vendor


def cut(vendor, *, every, times):
    """Lose answers after their effect, and refuse connections in between."""
    for nth in range(times):
        vendor.faults.append(
            Fault(breaks=Breaks.AFTER if nth % 2 else Breaks.STATUS, status=503, after=every, method="POST")
        )


async def test_pagerduty_pages_once_for_each_incident_whatever_answers_are_lost(house):
    told_by(house, alerts="{to: pagerduty}")
    vendor = real(house, "pagerduty")
    cut(vendor, every=3, times=10)
    async with house.killed() as hub:
        await storm(hub, 20)
        await hub.until(lambda: len(vendor.alerts) > 8, step=SECOND)
    async with house.hub() as hub:
        await all_told(hub, step=SECOND)
        await storm(hub, 20, over=True)
        await all_told(hub)
    assert len(vendor.alerts) == 20
    assert not any(alert.open for alert in vendor.alerts)
    assert len({alert.dedup_key for alert in vendor.alerts}) == 20


async def test_an_alert_that_a_late_trigger_raised_again_is_taken_back_a_lease_later(house):
    told_by(house, alerts="{to: pagerduty}")
    vendor = real(house, "pagerduty")
    async with house.hub() as hub:
        await storm(hub, 1)
        await hub.told()
        await storm(hub, 1, over=True)
        await hub.until(lambda: vendor.alerts and not vendor.alerts[0].open)
        over = house.clock.now()
        late = json.loads(vendor.bodies[0])  # sent by a hub that was stopped right before it, and has woken
        assert late["event_action"] == "trigger"
        vendor._take(late["dedup_key"], late)
        assert vendor.alerts[-1].open
        await hub.until(lambda: not vendor.alerts[-1].open, step=SECOND)
        assert timedelta(seconds=45) < house.clock.now() - over < timedelta(seconds=90)
        await all_told(hub)


async def test_slack_shows_each_incident_once_and_each_line_once_whatever_answers_are_lost(house):
    told_by(house, alerts='{to: slack, channel: "#data-alerts"}')
    vendor = real(house, "slack")
    async with house.killed() as hub:
        cut(vendor, every=4, times=4)
        await storm(hub, 5)
        await hub.until(lambda: len(vendor.shown()) > 2, step=SECOND)
    async with house.hub() as hub:
        await all_told(hub, step=SECOND)
        cut(vendor, every=4, times=4)
        await storm(hub, 5, over=True)
        await all_told(hub)
        assert await states(hub, "slack") == {"sent": 15}
    shown = vendor.shown()
    assert len(shown) == 5
    assert all(len(one.replies) == 1 for one in shown), "how it ended, once"
