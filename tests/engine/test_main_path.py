"""A run from its trigger to its end, and what people hear of it."""


async def test_a_transform_starts_only_after_every_extract_has_succeeded(shop):
    shop["tap"].hold = True
    async with shop.hub() as hub:
        run = await hub.trigger("shop")
        await hub.until(lambda: len(hub["tap"].running()) == 2)
        hub["tap"].end("orders")
        await hub.at(run, "orders", "succeeded")
        await hub.rest()
        assert hub["mill"].calls == []
        hub["tap"].end("stripe")
        ended = await hub.ended(run)
    assert ended.run.state == "succeeded"
    assert [call.verb for call in shop["mill"].calls][:2] == ["prepare", "start"]


async def test_extracts_run_side_by_side(shop):
    shop["tap"].hold = True
    async with shop.hub() as hub:
        await hub.trigger("shop")
        await hub.until(lambda: len(hub["tap"].running()) == 2)


async def test_what_is_running_is_asked_after_in_one_question(shop):
    shop["tap"].hold = True
    async with shop.hub() as hub:
        await hub.trigger("shop")
        await hub.until(lambda: hub["tap"].count("poll", "2"))


async def test_a_failure_blocks_what_needs_it_and_ends_the_run(shop):
    from engine.played import FAILED

    shop["tap"].outcomes["orders"].append(FAILED)
    async with shop.hub() as hub:
        ended = await hub.ended(await hub.trigger("shop"))
        await hub.told()
    states = {name: step.state.value for name, step in ended.steps.items()}
    assert states == {"orders": "failed", "stripe": "succeeded", "marts": "upstream_failed"}
    assert ended.run.state == "failed"
    assert shop["mill"].calls == []
