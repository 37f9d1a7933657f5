"""The store as those see it who only look: the command line, beside a hub or without one. Takes no lock."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy import exc

from stackhub.errors import StoreUnavailable, StoreUnusable
from stackhub.store import database, schema
from stackhub.store import tables as t
from stackhub.store.faults import words

T = TypeVar("T")


class Reader:
    """Runs reading functions, each in a transaction of its own: one moment's view of all tables."""

    def __init__(self, made: sa.Engine) -> None:
        self._engine = made

    def __call__(self, work: Callable[[sa.Connection], T]) -> T:
        """Run ``work``.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        try:
            with self._engine.connect() as connection, connection.begin():
                return work(connection)
        except (exc.OperationalError, exc.InterfaceError) as err:
            raise StoreUnavailable(f"the database does not answer: {words(err)}") from err


@contextmanager
def open_reader(url: str) -> Iterator[Reader | None]:
    """Open the database for looking; None where there is none yet.

    Raises:
        StoreUnusable: no stackhub database, or one of another version. StoreUnavailable: it does not answer.
    """
    path = database.path_of(url)
    if path is not None and not path.exists():
        yield None
        return
    made = database.reading(database.engine(url))
    try:
        version = schema.version_of(made)
        if version is not None and version < t.VERSION:
            raise StoreUnusable(f"the database has tables of version {version}: run `stackhub db upgrade` first")
        yield None if version is None else Reader(made)
    finally:
        made.dispose()
