"""Whose a lane is: owner, epoch and lease. Every function is one `Store.call`.

A hub that holds the file's lock is alone: its lanes are its own for as long as it lives, and their leases are endless.
Several hubs on one PostgreSQL hold lanes by lease. What is compared there is the database's clock alone, so that the
clocks of the hubs may differ as they like.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from stackhub.store import tables as t
from stackhub.store.tables import maybe_instant, micros, micros_of
from stackhub.store.transaction import LANE

HOST: Final = "@host:"  # how the lane of a host is named, whose hub alone judges the processes there
TIME: Final = "@time"  # the lane of whoever lets ticks fall, judges deadlines, begins what is queued
NOBODYS: Final = {  # a lane as it is before anybody has taken it
    "owner": None,
    "epoch": 0,
    "lease_until": None,
    "not_before": None,
    "tokens": 0.0,
    "circuit": "",
    "next_sweep": None,
}

# Made once: a hub among several says these every few seconds.
_ON_FILE: Final = (
    sa.select(t.lane).where(t.lane.c.instance.in_(sa.bindparam("names", expanding=True))).order_by(t.lane.c.instance)
)
_ON_SERVER: Final = _ON_FILE.with_for_update()
_RENEWED: Final = sa.update(t.lane).where(t.lane.c.instance.in_(sa.bindparam("ours", expanding=True)))
_CHANGED: Final = sa.update(t.lane).where(t.lane.c.instance == sa.bindparam("its"))
_HOSTS: Final = sa.select(t.lane.c.instance, t.lane.c.lease_until).where(t.lane.c.instance.startswith(HOST))


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A lane that was taken just now, as its last owner left it."""

    epoch: int
    not_before: datetime | None
    tokens: float  # 0 when its last owner died; endless where there was none before us
    circuit: str


def take(
    connection: sa.Connection, names: Collection[str], owner: str, now: datetime, *, lease: timedelta | None
) -> dict[str, Taken]:
    """Take what is free: its epoch grows, so that whoever held it before is refused from now on.

    Free is what nobody owns, what we owned in a life before this one, and what its owner let lapse; and all, for a hub
    that is alone: ``lease`` None. ``now`` is believed on SQLite only.
    """
    at = _clock(connection, now)
    found = _locked(connection, names)
    missing = sorted(set(names) - found.keys())
    if missing:
        connection.execute(LANE.sql, [{**NOBODYS, "instance": name} for name in missing])
        found = _locked(connection, names)
    taken: dict[str, Taken] = {}
    for name, row in found.items():
        lapsed = row.lease_until is None or row.lease_until <= at  # None: from a file that one hub had for itself
        if not (lease is None or row.owner in (None, owner) or lapsed):
            continue
        until = None if lease is None else at + micros_of(lease)
        values = {"owner": owner, "epoch": row.epoch + 1, "tokens": 0.0, "lease_until": until}
        connection.execute(_CHANGED, {"its": name, **values})
        left = math.inf if row.epoch == 0 else row.tokens if row.owner is None else 0.0
        taken[name] = Taken(
            epoch=row.epoch + 1, not_before=maybe_instant(row.not_before), tokens=left, circuit=row.circuit
        )
    return taken


def renew(connection: sa.Connection, epochs: Mapping[str, int], now: datetime, *, lease: timedelta) -> set[str]:
    """Hold lanes for one lease more; returns those that are ours still."""
    until = _clock(connection, now) + micros_of(lease)
    ours = {name for name, row in _locked(connection, epochs).items() if row.epoch == epochs[name]}
    connection.execute(_RENEWED, {"ours": sorted(ours), "lease_until": until})
    return ours


def give_back(connection: sa.Connection, epochs: Mapping[str, int], tokens: Mapping[str, float]) -> None:
    """Give lanes back, with what is left of their rate."""
    for name, epoch in epochs.items():
        left = {"owner": None, "lease_until": None, "tokens": max(tokens.get(name, 0.0), 0.0)}
        mine = (t.lane.c.instance == name, t.lane.c.epoch == epoch)
        connection.execute(sa.update(t.lane).where(*mine).values(left))


def silent(connection: sa.Connection, now: datetime) -> dict[str, timedelta]:
    """Return the hosts whose hub has let its lease lapse or left, and for how long it has lapsed."""
    at = _clock(connection, now)
    return {
        row.instance.removeprefix(HOST): timedelta(microseconds=at - (row.lease_until or 0))
        for row in connection.execute(_HOSTS)
        if row.lease_until is None or row.lease_until <= at
    }


def _locked(connection: sa.Connection, names: Collection[str]) -> dict[str, sa.Row[tuple[object, ...]]]:
    query = _ON_FILE if connection.dialect.name == "sqlite" else _ON_SERVER
    return {row.instance: row for row in connection.execute(query, {"names": sorted(names)})}


def _clock(connection: sa.Connection, now: datetime) -> int:
    """Return the database's time in microseconds; on SQLite there is only ours."""
    if connection.dialect.name == "sqlite":
        return micros(now)
    sql = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"
    return int(connection.execute(sa.text(sql)).scalar_one())
