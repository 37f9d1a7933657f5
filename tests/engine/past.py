"""Backfills of a small shop, asked for and waited for."""

from datetime import UTC, datetime

from stackhub.store import backfills as rows

SHOP = """
pipeline: shop
{top}
defaults: {{retries: {{attempts: 1}}}}
tasks:
  orders: {{uses: tap.sync, with: {{connection: orders}}}}
  marts: {{uses: mill.build, with: {{select: "{{{{ interval.start_date }}}}"}}}}
"""
AFTER = "pipeline: after\ntriggers: [{pipeline: shop}]\ntasks: {x: {uses: mill.build}}\n"
THREE = {"pipeline": "shop", "from": "2026-10-01", "to": "2026-10-04", "every": 86400}


def shop(house, top="", **settings):
    house.scheduled = True
    house.instances("tap", "bell").write("mill.env", "".join(f"MILL_{k.upper()}={v}\n" for k, v in settings.items()))
    return house.pipeline(SHOP.format(top=top))


def day(number, month=10, hour=0):
    return datetime(2026, month, number, hour, tzinfo=UTC)


async def ask(hub, **more):
    return await hub.submit("backfill", **{**THREE, **more})


async def one(hub, backfill):
    return await hub.store.read(lambda connection: rows.backfill(connection, backfill))


async def states(hub, backfill):
    return [part.state.value for part in await hub.store.read(lambda connection: rows.parts(connection, backfill))]


async def over(hub, backfill, **more):
    """Wait until a backfill has ended; return how."""

    async def ended():
        found = await one(hub, backfill)
        hub.engine.backfills.bell.ring()
        return found.ended_at is not None and found

    found = await hub.until(ended, **more)
    await hub.rest()
    return found.state.value
