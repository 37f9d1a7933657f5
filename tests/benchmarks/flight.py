"""P4 and P8: hubs with hundreds and thousands of syncs under way, at rest among them, and killed among them."""

import subprocess
import time
from contextlib import suppress
from typing import Final

from afloat import Account, configure, hub, memory, processor
from places import place
from row import Row

from stackhub.config.settings import HubSettings

SYNCS: Final = (500, 10_000)
PAGE: Final = 1000  # syncs of one answer
SWEEP: Final = 15.0  # seconds between sweeps of a Fivetran account
WATCHED: Final = 4  # sweeps
KILLED: Final = 1000
KILLS: Final = 3
PATIENCE: Final = 120.0  # seconds
LEASE: Final = HubSettings.model_fields["lease"].default.total_seconds()


def waiting(kind: str) -> list[Row]:
    """P4: many syncs in flight in one hub, which asks its account after all of them at once."""
    return [row for syncs in SYNCS for row in _waiting(kind, syncs)]


def _waiting(kind: str, syncs: int) -> list[Row]:
    pages = -(-syncs // PAGE)
    with Account(syncs) as account, place(kind) as where:
        configure(where, account, syncs)
        with hub(where.directory) as process:
            _await_lists(account, 2 * pages, process)
            asked, spent, start = len(account.lists), processor(process.pid), time.monotonic()
            shares = []
            for _ in range(WATCHED):
                _nap(SWEEP, process)
                now, used = time.monotonic(), processor(process.pid)
                shares.append((used - spent) / (now - start) * 100)
                spent, start = used, now
            sweeps = (len(account.lists) - asked) / pages
            held = memory(process.pid)
    name = f"{syncs:,} syncs in flight"
    requests = sweeps * pages / (WATCHED * SWEEP) * 3600
    return [
        Row("P4", f"{name}: share of a core", "%", shares, bar="30 %", database=kind),
        Row("P4", f"{name}: memory (PSS)", "MB", [held], bar="300 MB", database=kind),
        Row("P4", f"{name}: requests", "/h", [requests], pages * 3600 / SWEEP, f"{pages} a sweep", "20,000/h", kind),
    ]


def recovery(kind: str) -> list[Row]:
    """P8: kill -9 with a thousand steps in flight -> a new hub has asked after all of them; nothing is started twice."""
    spans = []
    with Account(KILLED) as account, place(kind) as where:
        configure(where, account, KILLED)
        for _ in range(KILLS):
            with hub(where.directory) as process:
                _await_lists(account, len(account.lists) + 1, process)
                process.kill()
                process.wait()
                before, start = len(account.lists), time.monotonic()
            with hub(where.directory) as process:
                _await_lists(account, before + 1, process)
                spans.append((account.lists[before] - start) * 1000)
                process.kill()
                process.wait()
        repeated = float(account.starts)
    bar = "2 s" if kind == "sqlite" else f"the lease + 2 s = {LEASE + 2:.0f} s"
    return [
        Row("P8", f"kill -9, {KILLED:,} in flight -> all asked after", "ms", spans, bar=bar, database=kind),
        Row("P8", "starts that were repeated", "", [repeated], bar="0", database=kind),
    ]


def _await_lists(account: Account, many: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while len(account.lists) < many:
        if time.monotonic() > until:
            raise RuntimeError(f"the account was asked {len(account.lists)} times in {PATIENCE:.0f} s, not {many}")
        _nap(0.005, process)


def _nap(seconds: float, process: subprocess.Popen[bytes]) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    if process.returncode is not None:
        raise RuntimeError(f"the hub ended with code {process.returncode}")
