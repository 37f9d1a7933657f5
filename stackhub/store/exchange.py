"""One exchange with a database: statements, and what is expected of each answer.

A file answers at once. A server is told everything in one breath (a pipeline of the driver), and its answers are looked
at together: five statements that wait for each other's would be five ways there and back.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeAlias

import sqlalchemy as sa
from sqlalchemy import exc

from stackhub.store.compiled import Compiled, Question, Row
from stackhub.store.transaction import Statement

TIMED: Final = 170_000  # from this version on a server ends a transaction that takes too long
IN_TIME: Final = "SET LOCAL transaction_timeout = '30s'"
COUNTED: Final = {"preserve_rowcount": True}  # psycopg's count of inserted rows is dropped otherwise
Count: TypeAlias = Callable[[int], None]
Found: TypeAlias = Callable[[Sequence[Sequence[Any]]], None]


class Exchange(Protocol):
    """Statements of one transaction. What is expected of their answers has been heard when `finish` returns."""

    def execute(self, statement: Statement, rows: Sequence[Row], expect: Count | None = None) -> None:
        """Carry a statement out for each row; ``expect`` hears how many rows of the table it touched."""
        ...

    def ask(self, question: Question, values: Sequence[Any], expect: Found) -> None:
        """Ask for what a query finds for these values; ``expect`` hears it."""
        ...

    def finish(self) -> None:
        """Have every answer. Raises what ``expect`` does, and what the database says."""
        ...


def begin(connection: sa.Connection, compiled: Compiled) -> Exchange:
    """Begin an exchange on a connection in a transaction."""
    if connection.dialect.name == "postgresql":
        return Piped(connection, compiled)
    return AtOnce(connection, compiled)


class AtOnce:
    """An `Exchange` with a file."""

    def __init__(self, connection: sa.Connection, compiled: Compiled) -> None:
        self._connection = connection
        self._compiled = compiled

    def execute(self, statement: Statement, rows: Sequence[Row], expect: Count | None = None) -> None:
        """See `Exchange`."""
        touched = 0
        for sql, values in self._compiled.said(statement, rows):
            touched += self._connection.exec_driver_sql(sql, values, execution_options=COUNTED).rowcount
        if expect is not None:
            expect(touched)

    def ask(self, question: Question, values: Sequence[Any], expect: Found) -> None:
        """See `Exchange`."""
        sql, arranged = self._compiled.asked(question, values)
        expect(self._connection.exec_driver_sql(sql, arranged).all())

    def finish(self) -> None:
        """See `Exchange`."""


class Piped:
    """An `Exchange` with a server: nothing is said before `finish`."""

    def __init__(self, connection: sa.Connection, compiled: Compiled) -> None:
        self._connection = connection
        self._compiled = compiled
        self._said: list[tuple[str, Any, Callable[[Any], None] | None]] = []

    def execute(self, statement: Statement, rows: Sequence[Row], expect: Count | None = None) -> None:
        """See `Exchange`. Only of a statement that is said once for all rows can the count be expected."""
        texts = self._compiled.said(statement, rows)
        counted = None if expect is None else (lambda cursor: expect(cursor.rowcount))
        self._said += [(sql, values, counted) for sql, values in texts]

    def ask(self, question: Question, values: Sequence[Any], expect: Found) -> None:
        """See `Exchange`."""
        sql, arranged = self._compiled.asked(question, values)
        self._said.append((sql, arranged, lambda cursor: expect(cursor.fetchall())))

    def finish(self) -> None:
        """See `Exchange`. What was expected of earlier answers comes before the error of a later one."""
        driver: Any = self._connection.connection.driver_connection
        dialect: Any = self._connection.dialect
        failed: Exception | None = None
        answers: list[Any] = []
        try:
            with driver.pipeline() as pipeline:
                pipeline._exit_gen = partial(_end, pipeline)  # noqa: SLF001 - there is no other way to end it so
                if driver.info.server_version >= TIMED:  # for a hub that is stopped before the sync
                    driver.execute(IN_TIME)
                for sql, values, _ in self._said:
                    answers.append(driver.cursor())
                    say = answers[-1].executemany if isinstance(values, list) else answers[-1].execute
                    say(sql, values)
        except dialect.loaded_dbapi.Error as err:
            failed = err
        for cursor, (_, _, expect) in zip(answers, self._said, strict=False):
            if expect is not None and cursor.pgresult is not None:
                expect(cursor)
        if failed is not None:
            gone = dialect.is_disconnect(failed, driver, None)
            raise exc.DBAPIError.instance(
                None, None, failed, dialect.loaded_dbapi.Error, connection_invalidated=gone, dialect=dialect
            ) from failed


def _end(pipeline: Any) -> Iterator[Any]:
    """End a pipeline as the driver does (3.3), but for the request to flush that it sends behind the sync.

    A server that hears more after a sync stops counting how long the transaction idles: what a hub that is stopped
    before its COMMIT has locked would stay locked. What the line has not taken yet is sent all the same: a server that
    has not heard all answers nothing.
    """
    from psycopg.generators import send

    try:
        pipeline._enqueue_sync()  # noqa: SLF001
        yield from pipeline._communicate_gen()  # noqa: SLF001
    finally:
        yield from send(pipeline.pgconn)
        yield from pipeline._fetch_gen(flush=False)  # noqa: SLF001
