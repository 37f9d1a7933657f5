"""A hub on a network of its own: a real one (Linux's network namespaces), whose cable can be pulled and put back.

Nothing leaves this machine: the cable's one end is in the hub's network, the other in ours, where relays pass on what
comes to the vendors and the database. A pulled cable answers nothing: no refusal, no end, just silence.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import anyio
from anyio.abc import SocketAttribute, SocketStream

RANGE = "198.18"  # of addresses for tests of devices: nobody's (RFC 2544)


class NotPermitted(Exception):
    """No network can be made here; says why."""


@dataclass(frozen=True, slots=True)
class Cable:
    """What joins the two networks."""

    name: str  # of our end
    here: str  # our address, as the other network sees it
    process: int  # that keeps the other network

    @property
    def inside(self) -> Sequence[str]:
        """What stands before a command that is to run in the other network."""
        return ("nsenter", f"--net=/proc/{self.process}/ns/net", "--")

    async def pull(self) -> None:
        """Cut it off."""
        await said("ip", "link", "set", self.name, "down")

    async def mend(self) -> None:
        """Put it back."""
        await said("ip", "link", "set", self.name, "up")


@asynccontextmanager
async def another_network() -> AsyncIterator[Cable]:
    """Make a network that is joined to ours by a cable; both are gone afterwards.

    Raises:
        NotPermitted: this machine, or this user, cannot.
    """
    pid = os.getpid()
    base, at = f"{RANGE}.{pid >> 6 & 255}", (pid & 63) << 2
    ours, theirs, name = f"{base}.{at + 1}", f"{base}.{at + 2}", f"sh{pid}"
    keeper = await _began("unshare", "-n", "cat")  # which ends with its standard input, so in any case with us
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    try:
        keeper.stdin.write(b"\n")
        if await keeper.stdout.readline() != b"\n":
            raise NotPermitted("a network namespace is not permitted here")
        cable = Cable(name=name, here=ours, process=keeper.pid)
        await said("ip", "link", "add", name, "type", "veth", "peer", "name", "out", "netns", str(keeper.pid))
        await said("ip", "address", "add", f"{ours}/30", "dev", name)
        await said("ip", "link", "set", name, "up")
        for words in (f"address add {theirs}/30 dev out", "link set out up", "link set lo up"):
            await said(*cable.inside, "ip", *words.split())
        yield cable
    finally:
        keeper.stdin.close()
        await keeper.wait()


@asynccontextmanager
async def relay(to: Callable[[], Awaitable[SocketStream]], address: str) -> AsyncIterator[int]:
    """Pass on whatever comes to an address of ours; yields the port."""

    async def carry(source: SocketStream, sink: SocketStream) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for data in source:
                await sink.send(data)
        with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            await sink.send_eof()

    async def serve(client: SocketStream) -> None:
        async with client, await to() as there, anyio.create_task_group() as group:
            group.start_soon(carry, client, there)
            group.start_soon(carry, there, client)

    async with await anyio.create_tcp_listener(local_host=address) as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        yield listener.extra(SocketAttribute.local_port)
        group.cancel_scope.cancel()


async def said(*command: str) -> None:
    """Run a command that is over at once. Raises `NotPermitted` with its words where it fails."""
    process = await _began(*command)
    out, _ = await process.communicate()
    if process.returncode:
        raise NotPermitted(f"{' '.join(command)}: {out.decode().strip()}")


async def _began(*command: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    try:
        return await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    except FileNotFoundError as err:
        raise NotPermitted(f"there is no {command[0]}") from err
