"""A shop that fails, and who is told of it."""

from datetime import timedelta

from engine.far_end import FAILED
from engine.house import House

STRIDE = timedelta(seconds=5)
TWICE = """
pipeline: shop
defaults: {{retries: {{attempts: 1}}}}
tasks:
  orders: {{uses: tap.sync, with: {{connection: orders}}}}
  stripe: {{uses: tap.sync, with: {{connection: stripe}}}}
{alerts}
"""


def told_by(house, *notifiers, alerts="", hub="") -> House:
    """A shop that fails once; whoever has an env file is told, in this order."""
    house.instances("tap", *notifiers).pipeline(TWICE.format(alerts=alerts))
    house.write("stackhub.env", f"STACKHUB_GRACE=1s\n{hub}")
    house.thorough = True
    house["tap"].outcomes["orders"].append(FAILED)
    return house


async def fail(hub):
    await hub.ended(await hub.trigger("shop"))


def order(house, name):
    return [(part, event) for part, event, _ in house[name].order]


async def states(hub, instance=None):
    return [one.state for one in await hub.messages() if instance in (None, one.instance)]
