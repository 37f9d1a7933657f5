"""Where work that blocks is done: in the event loop's executor, which is a port that every loop has."""

import asyncio
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.lowlevel

T = TypeVar("T")
Args = TypeVarTuple("Args")


async def in_thread(work: Callable[[*Args], T], *args: *Args) -> T:
    """Run work that blocks in a thread, and wait for its end even while cancelled.

    A loop whose time is virtual does it at once, since its executor has no threads. That is why this is not
    `anyio.to_thread`, which makes threads of its own on whatever loop.
    """
    await anyio.lowlevel.checkpoint()
    with anyio.CancelScope(shield=True):
        found = await asyncio.to_thread(work, *args)
    return found  # noqa: RET504 - inside the block mypy fears that the scope swallows a cancellation
