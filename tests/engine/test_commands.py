"""What people ask for is kept before it is obeyed, and obeyed once."""

import re

import anyio
import pytest
import sqlalchemy as sa
from engine.far_end import FAILED
from engine.house import House
from engine.lives import every_death

from stackhub.engine.commands import Command, kept, watch_inbox
from stackhub.errors import Refused
from stackhub.model.ids import Ids
from stackhub.store import tables as t
from stackhub.store.transaction import Transaction

IDS = Ids()


async def keep(store, house, kind, **args) -> str:
    """Keep a command as the command line does where no daemon runs."""
    now = house.clock.now()
    command = Command(id=IDS.make(now), kind=kind, args=args, by="bob")
    await store.apply(Transaction().add(kept(command, t.micros(now))))
    return command.id


async def commands(hub):
    query = sa.select(t.command.c.kind, t.command.c.done_at, t.command.c.error).order_by(t.command.c.id)
    return await hub.store.read(lambda connection: [tuple(row) for row in connection.execute(query)])


async def test_what_was_kept_without_a_daemon_is_obeyed_at_the_next_start_once(line):
    async with line.store() as store:
        made = await keep(store, line, "trigger", pipeline="line")
        async with line.hub(store=store) as hub:
            await hub.ended(made)
        async with line.hub(store=store) as hub:
            await hub.rest()
            assert [run.id for run in await hub.runs()] == [made]
            assert [error for _, _, error in await commands(hub)] == [None]


async def test_what_is_put_into_the_inbox_of_a_running_hub_is_obeyed(line):
    async with line.hub() as hub, anyio.create_task_group() as group:
        group.start_soon(watch_inbox, hub.engine.commands, 0.01)
        made = await keep(hub.store, line, "trigger", pipeline="line")
        await hub.ended(made)
        group.cancel_scope.cancel()


async def test_the_inbox_never_obeys_what_is_being_obeyed(line):
    async with line.hub() as hub, anyio.create_task_group() as group:
        group.start_soon(watch_inbox, hub.engine.commands, 0.0001)
        made = [await hub.trigger("line") for _ in range(10)]
        await hub.until(lambda: not hub.engine.board.runs())
        assert sorted(run.id for run in await hub.runs()) == sorted(made)
        assert {error for _, _, error in await commands(hub)} == {None}
        group.cancel_scope.cancel()


async def test_a_command_whose_obeying_was_cut_is_obeyed_once(line):
    async with line.hub() as hub:
        with anyio.move_on_after(0) as scope:
            scope.cancel()
            await hub.trigger("line")
        async with anyio.create_task_group() as group:
            group.start_soon(hub.trigger, "line")
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        await hub.rest()
        await hub.engine.commands.obey_kept()
        await hub.until(lambda: not hub.engine.board.runs())
        kept_now = await commands(hub)
        assert len(await hub.runs()) == len(kept_now)
        assert all(done is not None for _, done, _ in kept_now)


async def test_a_wish_that_makes_no_sense_stops_nobody(line):
    async with line.store() as store:
        await keep(store, line, "trigger", pipelin="line")
        await keep(store, line, "sing")
        made = await keep(store, line, "trigger", pipeline="line")
        async with line.hub(store=store) as hub:
            await hub.ended(made)
            assert [error is None for _, _, error in await commands(hub)] == [False, False, True]


@pytest.mark.parametrize(
    ("kind", "args", "why"),
    [
        ("trigger", {"pipeline": "nix"}, "no pipeline 'nix'; there are: line"),
        ("trigger", {"pipeline": "line", "only": ["nix"]}, "no task 'nix'"),
        ("trigger", {"pipeline": "line", "with": {"nix": {}}}, "no task 'nix'"),
        (
            "trigger",
            {"pipeline": "line", "with": {"marts": {"selekt": "x"}}},
            "--with marts.selekt: unknown key 'selekt': did you mean 'select'?",
        ),
        ("trigger", {"pipeline": "line", "with": {"load": {"connection": 7}}}, "--with load.connection: should be"),
        ("trigger", {"pipeline": "line", "with": {"marts": {"select": "${NIX}"}}}, "the variable NIX is not set"),
        ("cancel", {"run": "nix"}, "no run 'nix'"),
        ("retry", {"run": "nix"}, "no run 'nix'"),
        ("skip", {"run": "nix", "task": "load", "reason": " "}, "a skip needs a reason"),
        ("pause", {"pipeline": "nix"}, "no pipeline 'nix'"),
        ("close", {"incident": "nix"}, "no open incident 'nix'"),
        ("test", {}, "there is no route to test"),
        ("test", {"pipeline": "nix"}, "no pipeline 'nix'"),
        ("sing", {}, "unknown command 'sing'"),
    ],
)
async def test_what_cannot_be_done_is_refused_and_changes_nothing(line, kind, args, why):
    async with line.hub() as hub:
        with pytest.raises(Refused, match=re.escape(why)):
            await hub.submit(kind, **args)
        assert await hub.runs() == []


async def test_options_that_fit_are_the_runs_own(line):
    async with line.hub() as hub:
        run = await hub.trigger("line", **{"with": {"marts": {"select": "{{ run.id }}"}}})
        await hub.ended(run)
    assert line["mill"].job(run).what == run


async def test_a_run_that_is_going_is_not_retried(line):
    line["tap"].hold = True
    async with line.hub() as hub:
        run = await hub.trigger("line")
        with pytest.raises(Refused, match="still going"):
            await hub.submit("retry", run=run)


async def test_a_run_that_did_everything_is_not_retried(line):
    async with line.hub() as hub:
        run = await hub.trigger("line")
        await hub.ended(run)
        with pytest.raises(Refused, match="nothing left to do"):
            await hub.submit("retry", run=run)
        with pytest.raises(Refused, match="is succeeded already"):
            await hub.submit("cancel", run=run)


async def test_an_incident_is_closed_by_hand_and_everyone_hears_it(shop):
    shop["tap"].outcomes["orders"].append(FAILED)
    async with shop.hub() as hub:
        await hub.ended(await hub.trigger("shop"))
        await hub.told()
        await hub.submit("close", incident="pipeline:shop", reason="known")
        await hub.told()
        (incident,) = await hub.incidents()
        assert incident.resolution == "closed by ada: known"
        assert hub.engine.incidents.open == {}
    assert [event for _, event, _ in shop["bell"].order] == ["opened", "resolved", "resolved"]


# --- deaths ----------------------------------------------------------------------------------------------------------


def line_house(root) -> House:
    from engine.conftest import LINE

    house = House(root).instances("tap", "mill").pipeline(LINE)
    house["tap"].hold = True
    return house


async def test_a_cancel_is_obeyed_whatever_dies_when(tmp_path):
    async def story(hub):
        if not await hub.runs():
            await hub.trigger("line")
        (run,) = await hub.runs()
        if run.ended_at is None:
            await hub.until(lambda: hub["tap"].running() or hub.engine.board.get(run.id) is None)
            if run.cancel_at is None:
                await hub.submit("cancel", run=run.id)
        await hub.ended(run.id)

    async def check(hub):
        (run,) = await hub.runs()
        assert run.state == "cancelled"
        assert len(hub["tap"].jobs) == 1
        assert hub["mill"].jobs == []
        assert all(done is not None for _, done, _ in await commands(hub))

    points = await every_death(tmp_path, line_house, story, check)
    assert {"tap cancel orders: before", "tap cancel orders: after", "commit COMMAND: after"} <= points


async def test_a_retry_is_made_once_whatever_dies_when(tmp_path):
    def furnish(root):
        house = line_house(root)
        house["tap"].hold = False
        house["tap"].outcomes["orders"].append(FAILED)
        return house

    async def story(hub):
        if not await hub.runs():
            await hub.trigger("line")
        (first,) = [run for run in await hub.runs() if not run.retry_of]
        await hub.ended(first.id)
        if len(await hub.runs()) == 1:
            await hub.submit("retry", run=first.id)
        (again,) = [run for run in await hub.runs() if run.retry_of]
        await hub.ended(again.id)

    async def check(hub):
        first, retry = sorted(await hub.runs(), key=lambda run: run.retry_of)
        assert (first.state, retry.state) == ("failed", "succeeded")
        assert len(hub["tap"].jobs) == 2
        assert len(hub["mill"].jobs) == 1

    points = await every_death(tmp_path, furnish, story, check, about=("COMMAND", "RUN ", "start"))
    assert "commit COMMAND: after" in points


async def test_a_command_about_a_lane_that_was_lost_stays_kept(line):
    line["tap"].hold = True
    async with line.hub() as hub:
        run = await hub.trigger("line")
        await hub.at(run, "load", "running")
        await hub.store.call(lambda connection: connection.execute(sa.update(t.lane).values(epoch=99)))
        await keep(hub.store, line, "cancel", run=run)
        await hub.engine.commands.obey_kept()
        assert [done for _, done, _ in await commands(hub)][-1] is None
    async with line.hub() as hub:
        assert (await hub.ended(run)).run.state == "cancelled"
