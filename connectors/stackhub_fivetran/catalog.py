"""What a Fivetran account holds: its connections, how they are, which tables they fill, when they last landed."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final

from stackhub.contract import Connection, Health, Rejected, Relation, Unavailable
from stackhub_fivetran.client import Account
from stackhub_fivetran.relations import MAPPED, database, listed, named
from stackhub_fivetran.row import Odd, Row

STATES: Final = {"connected": Health.OK, "broken": Health.BROKEN, "incomplete": Health.INCOMPLETE}
MOST: Final = 50  # questions about single connections in one listing: an account bears 20,000 requests an hour


class Catalogue:
    """Lists connections; remembers what it has asked of single ones, which may be forgotten.

    Where the name of a connection tells what it fills, nothing more is asked. Of the others as many are asked in one
    listing as an account bears, the longest unasked first; until its first turn comes, nothing is said of the tables
    of a connection.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._databases: dict[str, str] = {}  # by group
        # id -> (as of which landing, tables), in the order in which they were asked
        self._tables: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {}

    async def connections(self) -> list[Connection]:
        """List every connection; one that cannot be understood is listed as it is, its health unknown."""
        found = await self._account.sweep()
        rows: dict[str, Row | Odd] = {}
        for id_, data in found.items():
            try:
                rows[id_] = Row.read(data)
            except Odd as err:
                rows[id_] = err
        await self._learn([row for row in rows.values() if isinstance(row, Row)])
        return [
            _odd(id_, found[id_], row) if isinstance(row, Odd) else self._connection(row) for id_, row in rows.items()
        ]

    async def _learn(self, rows: Sequence[Row]) -> None:
        """Ask what the list does not tell; what is refused, or fails now, costs the listing its tables only."""
        news = [row for row in rows if row.service in MAPPED and self._as_of(row) != str(row.succeeded_at)]
        try:
            for group in sorted({row.group for row in rows if row.group} - self._databases.keys()):
                self._databases[group] = database(await _if_allowed(self._account.destination(group)) or {})
            turns = {id_: turn for turn, id_ in enumerate(self._tables, 1)}
            for row in sorted(news, key=lambda row: turns.get(row.id, 0))[:MOST]:
                tables = listed(await _if_allowed(self._account.schemas(row.id)) or {})
                self._tables.pop(row.id, None)
                self._tables[row.id] = (str(row.succeeded_at), tables)
        except Unavailable:
            return

    def _as_of(self, row: Row) -> str:
        """Say as of which landing a connection's tables are known: a sync may bring new ones."""
        return self._tables.get(row.id, ("", ()))[0]

    def _connection(self, row: Row) -> Connection:
        return Connection(
            id=row.id,
            name=row.name,
            health=_health(row),
            schedule=schedule(row),
            note=row.words,
            url=row.url,
            last=row.landing,
            syncing=row.sync_state == "syncing",
            relations=self._relations(row),
        )

    def _relations(self, row: Row) -> tuple[Relation, ...]:
        _, tables = self._tables.get(row.id, ("", ()))
        where = self._databases.get(row.group, "")
        return tuple(Relation(where, schema, table) for schema, table in tables or named(row.service, row.name))


def _health(row: Row) -> Health:
    if row.paused:
        return Health.PAUSED
    found = STATES.get(row.setup_state, Health.UNKNOWN)
    return Health.BLOCKED if row.blocked and found is Health.OK else found


async def _if_allowed(asked: Awaitable[Mapping[str, Any] | None]) -> Mapping[str, Any] | None:
    try:
        return await asked
    except Rejected:
        return None


def _odd(id_: str, data: Mapping[str, Any], err: Odd) -> Connection:
    return Connection(id=id_, name=str(data.get("schema") or id_), health=Health.UNKNOWN, note=str(err))


def schedule(row: Row) -> str:
    """Put a connection's schedule into words."""
    if row.manual:
        return "manual"
    if row.frequency is None:
        return ""
    if row.daily_at:
        return f"daily at {row.daily_at} UTC"
    hours, minutes = divmod(row.frequency, 60)
    return f"every {row.frequency} min" if minutes else f"every {hours} h"
