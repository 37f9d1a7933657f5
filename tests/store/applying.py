"""A hub that keeps things and says so, until it is killed. Started by `test_durability`."""

import asyncio
import sys

from store.ground import line, store_at


async def main(url: str) -> None:
    async with store_at(url) as store:

        async def keep(name: str) -> None:
            await store.apply(line(name))
            sys.stdout.write(f"{name}\n")
            sys.stdout.flush()

        for nth in range(100_000):
            await asyncio.gather(*(keep(f"{nth}.{one}") for one in range(20)))


asyncio.run(main(sys.argv[1]))
