"""How long a request waits for the store. The engine waits for a database that is away; who asks over HTTP is told.

A command that has been taken is never cut short: the engine goes on with it, as with any other.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import anyio
import sqlalchemy as sa

from stackhub.engine.engine import Engine
from stackhub.errors import StoreUnavailable

T = TypeVar("T")
PATIENCE: Final = 5.0  # seconds


async def read(engine: Engine, work: Callable[[sa.Connection], T]) -> T:
    """Read the store.

    Raises:
        StoreUnavailable: it did not answer in time.
    """
    with anyio.move_on_after(PATIENCE):
        return await engine.store.read(work)
    raise StoreUnavailable(f"the database did not answer within {PATIENCE:g} s: {engine.store.ailing or 'it is busy'}")


async def submit(engine: Engine, kind: str, args: Mapping[str, Any], by: str) -> dict[str, Any]:
    """Have a command obeyed; raises as it does.

    Raises:
        StoreUnavailable: the database is away, and nothing was kept; or it went away meanwhile, as the words say.
    """
    if engine.store.ailing:
        raise StoreUnavailable(f"the database is away ({engine.store.ailing}): nothing was kept, ask again")
    outcome: list[dict[str, Any] | Exception] = []
    done = anyio.Event()

    async def obey() -> None:
        try:
            outcome.append(await engine.commands.submit(kind, args, by))
        except Exception as err:  # noqa: BLE001 - whatever it is, it is told to who asked, and costs nobody else anything
            outcome.append(err)
        finally:
            done.set()

    engine.group.start_soon(obey)
    while not done.is_set():
        with anyio.move_on_after(PATIENCE):
            await done.wait()
        if not done.is_set() and engine.store.ailing:
            raise StoreUnavailable(
                f"the database went away ({engine.store.ailing}): it is kept and obeyed when it is back,"
                " unless this hub ends before that"
            )
    match outcome:
        case [Exception() as err]:
            raise err
        case [dict(result)]:
            return result
        case _:  # cut short
            raise StoreUnavailable("this hub is leaving: if it was kept, the next one obeys it")
