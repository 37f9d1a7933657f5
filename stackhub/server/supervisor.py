"""What the hub tells those who watch it: systemd through its socket, and a heartbeat address.

systemd's protocol is one datagram of lines to ``$NOTIFY_SOCKET`` (sd_notify(3), systemd 257, read 2026-11).
"""

import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Final

import anyio
import httpx
import structlog

log = structlog.get_logger()
BEAT: Final = 60.0  # seconds between calls of the heartbeat address
PATIENCE: Final = 10.0  # seconds for one
LEAST: Final = 0.05  # seconds between signs of life


class Supervisor:
    """Speaks to systemd; says nothing where there is none."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog = _microseconds(environ)

    def ready(self, status: str) -> None:
        """Say that the hub serves."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Say that the configuration is being read again; `ready` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the hub is leaving."""
        self._send("STOPPING=1", "STATUS=leaving; jobs go on")

    async def watched(self, alive: Callable[[], bool]) -> None:
        """Give signs of life as often as systemd asked for, while ``alive``, until cancelled."""
        if self._watchdog is None:
            return
        while True:
            if alive():
                self._send("WATCHDOG=1")
            await anyio.sleep(self._watchdog)

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.setblocking(False)
                line.sendto("\n".join(lines).encode(), self._address)
        except OSError as err:  # systemd will notice; the hub's work goes on
            log.warning("systemd cannot be told", error=str(err))


def _microseconds(environ: Mapping[str, str]) -> float | None:
    """Return the seconds between signs of life: half of what systemd waits; None when it waits for none, or not us."""
    asked, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not asked.isdecimal() or int(asked) == 0 or pid not in ("", str(os.getpid())):
        return None
    return max(int(asked) / 2_000_000, LEAST)


async def heartbeat(
    url: Callable[[], str | None],
    unready: Callable[[], str],
    *,
    every: float = BEAT,
    transport: httpx.AsyncBaseTransport | None = None,
) -> None:
    """Call an address every minute while the hub is ready, until cancelled; that it cannot be reached is said once.

    The address is a secret: whoever knows it can pretend that the hub is well.
    """
    failing = False
    async with httpx.AsyncClient(transport=transport, timeout=PATIENCE) as client:
        while True:
            address = url()
            if address is not None and not unready():
                error = await _beat(client, address)
                if error and not failing:
                    log.warning("the heartbeat address cannot be reached", error=error)
                elif failing and not error:
                    log.info("the heartbeat address is reached again")
                failing = bool(error)
            await anyio.sleep(every)


async def _beat(client: httpx.AsyncClient, address: str) -> str:
    try:
        with anyio.fail_after(PATIENCE):
            answer = await client.get(address)
    except TimeoutError:
        return f"no answer within {PATIENCE:g} s"
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as err:
        return type(err).__name__  # its text may hold the address
    return "" if answer.is_success or answer.is_redirect else f"answered {answer.status_code}"
