"""About the database: upgraded, backed up, moved to another one."""

from contextlib import ExitStack
from pathlib import Path

import anyio

from stackhub.cli import asking, exits, words
from stackhub.cli.where import Where
from stackhub.config.settings import HubSettings
from stackhub.errors import Refused
from stackhub.store import copying, database
from stackhub.store import tables as t
from stackhub.store.lock import HubLock, holder
from stackhub.store.store import open_store


def upgrade(where: Where) -> int:
    """Make the database, or bring its tables up to date."""
    anyio.run(_upgrade, where.hub())
    exits.say(f"the database has tables of version {t.VERSION}, as this stackhub needs them")
    return exits.OK


async def _upgrade(hub: HubSettings) -> None:
    url = hub.database_url.get_secret_value()
    async with open_store(url, hub.state_dir, written_by=asking.WRITTEN_BY, migrate=True):
        pass


def backup(where: Where, to: Path) -> int:
    """Copy the database to a file, while it is in use."""
    url = where.hub().database_url.get_secret_value()
    path = database.path_of(url)
    if path is not None and not path.exists():
        raise Refused(f"there is no database yet: {path}")
    made = database.engine(url)
    try:
        written = database.backup(made, to)
    finally:
        made.dispose()
    exits.say(f"{written.stat().st_size} bytes, as of now; to restore it, put it in place of {path}")
    print(written)
    return exits.OK


def copy(where: Where, source: Path) -> int:
    """Copy a file's whole store into the database that is configured now.

    The new one is not named on the command line: its URL may hold a password, and everyone on a machine can read that.
    """
    hub = where.hub()
    url = hub.database_url.get_secret_value()
    to = database.path_of(url)
    if not source.is_file():
        raise Refused(f"there is no file {source}")
    if to is not None and to.exists() and to.samefile(source):
        raise Refused(f"{source} is the database in use: set STACKHUB_DATABASE_URL to the new one first")
    made = database.engine(url)
    try:
        with ExitStack() as held:
            for lock in _locks(source, hub.state_dir):
                held.callback(HubLock.take(lock).release)
            copied = copying.copy(source, made, asking.WRITTEN_BY)
    finally:
        made.dispose()
    words.table(words.console(), ("table", "rows"), [(name, str(rows)) for name, rows in copied.items()])
    exits.say(f"all of {source} is in {database.named(made)} now; the file is as it was, and is needed no more")
    return exits.OK


def _locks(source: Path, state: Path) -> list[Path]:
    """Return the locks that keep hubs from the file, and from this directory.

    Raises:
        Refused: a hub works on the file.
    """
    names = {path.parent / asking.LOCK for path in (source, source.resolve())}
    names |= {path.with_name(f"{path.name}.lock") for path in (source, source.resolve())}
    found = {path.resolve() for path in names if path.exists()}
    for path in found:
        process = holder(path)
        if process is not None:
            raise Refused(f"process {process} works on {source}: stop it first, or what it writes now would be missing")
    return sorted(found | {(state / asking.LOCK).resolve()})
