"""The fake vendors on one port, with the demo's connections, until Ctrl-C."""

import signal
from datetime import UTC, datetime

import anyio

from stackhub import registry
from stackhub.cli import exits
from stackhub.cli.where import Where, made
from stackhub.sandbox.desk import playbill
from stackhub.sandbox.mount import open_stage, serve
from stackhub.sandbox.shop import FEEDS, Shop


def sandbox(where: Where, *, port: int) -> int:
    """Play until told to stop."""
    return anyio.run(_play, where, port)


async def _play(where: Where, port: int) -> int:
    shop = Shop(directory=made(where.hub().state_dir / "shop"), now=lambda: datetime.now(UTC))
    connectors = [registry.load(name) for name in registry.installed()]
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with open_stage(connectors, feeds=FEEDS, land=shop.land) as stage, serve(stage, port) as url:
            print(playbill(stage, url), flush=True)
            exits.say(f"playing at {url}; rows land in {shop.directory}. Ctrl-C ends it")
            async for _ in signals:
                break
    return exits.OK
