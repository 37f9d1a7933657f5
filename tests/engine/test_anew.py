"""What a hub reads anew is never older than what it holds, however long it is on its way."""

from datetime import timedelta
from functools import partial

import anyio
from engine import test_partial
from engine.house import NOON

from stackhub.decide import facets
from stackhub.engine.anew import Anew
from stackhub.store import projects

KEY = "config:shop"
HOUR = timedelta(hours=1)


class Slow:
    """A store whose answers take their time: what is committed meanwhile is not in them."""

    def __init__(self, store, meanwhile):
        self._store, self._meanwhile = store, [meanwhile]

    async def read(self, what):
        found = await self._store.read(what)
        if self._meanwhile:
            await self._meanwhile.pop()()
        return found

    def __getattr__(self, name):
        return getattr(self._store, name)


async def test_an_incident_that_is_opened_while_all_are_read_is_not_forgotten(house):
    async with house.hub() as hub:
        incidents, store = hub.engine.incidents, hub.store

        def build(transaction):
            return [incidents.observe(KEY, facets.trouble("trouble", "no", "mend it", NOON), transaction)]

        await incidents.reload(Slow(store, lambda: incidents.keep([KEY], build, store)))
        assert KEY in incidents.open
        await incidents.reload(Slow(store, lambda: incidents.close(KEY, "mended", store)))
        assert KEY not in incidents.open


async def test_a_tick_that_falls_while_schedules_are_read_is_not_due_again(house):
    house.scheduled = True
    house.instances("tap").pipeline(
        "pipeline: hourly\nschedule: {cron: '0 * * * *'}\ntasks: {load: {uses: tap.sync, with: {connection: orders}}}\n"
    )
    async with house.hub() as hub:
        scheduler = hub.engine.scheduler
        [due] = scheduler.schedules()
        scheduler._store = Slow(hub.store, lambda: scheduler.fall(due, due.next_at))
        await scheduler.load()
        assert [one.next_at - due.next_at for one in scheduler.schedules()] == [HOUR]


async def test_what_is_found_out_while_all_is_read_anew_is_not_forgotten(house):
    test_partial.furnish(house)
    async with house.hub() as hub:
        await test_partial.known(hub)
        inference = hub.engine.inference

        async def find_out():
            house["press"].project.edit(reach=["crm.orders"])
            await inference.refresh()

        inference.store = Slow(hub.store, find_out)
        await inference.reload()
        assert inference.known["shop", "marts"].project == "files-2"
        assert inference.graphs == await hub.store.read(partial(projects.newer, known={}))


class Answers:
    """A store that answers when it is told to."""

    def __init__(self):
        self.now, self.asked = 0, []

    async def read(self, what):
        found, answer = what(self.now), anyio.Event()
        self.asked.append(answer)
        await answer.wait()
        return found


async def test_of_two_who_read_at_once_the_last_has_what_is_newest():
    anew, store, held = Anew(), Answers(), []

    async def reload():
        held.append(await anew.read(store, lambda now: now))

    async with anyio.create_task_group() as group:
        for moment in (1, 2):
            store.now = moment
            group.start_soon(reload)
            await anyio.wait_all_tasks_blocked()
        while len(held) < 2:
            store.asked[-1].set()
            await anyio.wait_all_tasks_blocked()
    assert held == [1, 2]
