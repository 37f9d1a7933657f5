"""Statements in a database's own words, made once; after that only rows go to the driver.

SQLAlchemy looks at a statement anew each time, and at each of its rows, which takes longer than a short write itself.
And a driver is asked for one row after the other, holding the interpreter in between; so statements that can take many
rows at once do: half of the work, and the event loop goes on meanwhile.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from stackhub.store.transaction import Shape, Statement

SIZES: Final = (256, 64, 16, 4)  # rows of one statement of SQLite: few texts, so that its cache of plans holds them all
Row: TypeAlias = Mapping[str, Any]
Question: TypeAlias = Callable[[Sequence[sa.BindParameter[Any]]], sa.Select[Any]]
"""Makes a query for some values, of which no more is said than how many there are."""
_Arranged: TypeAlias = Callable[[Row], Any]  # a row as the driver wants it


class Compiled:
    """The statements of one database. All rows given for one name the same columns, in the same order."""

    def __init__(self, dialect: sa.Dialect) -> None:
        self._dialect = dialect
        self._one: dict[tuple[Statement, tuple[str, ...]], tuple[str, _Arranged]] = {}
        self._many: dict[tuple[Statement, int], str] = {}
        self._asked: dict[tuple[Question, int], tuple[str, _Arranged]] = {}

    def said(self, statement: Statement, rows: Sequence[Row]) -> list[tuple[str, Any]]:
        """Return the texts that carry a statement out for each row, with their values: a list of many is one by one."""
        if statement.shape is None:
            return [self._each(statement, rows)]
        if self._dialect.name == "postgresql":
            columns = zip(*map(itemgetter(*statement.shape.names), rows), strict=True)
            return [(self._many_of(statement, statement.shape, 0), tuple([list(column) for column in columns]))]
        texts: list[tuple[str, Any]] = []
        arranged = itemgetter(*statement.shape.names)
        for size, part in _parts(rows):
            values = tuple(chain.from_iterable(map(arranged, part)))
            texts.append((self._many_of(statement, statement.shape, size), values))
        left = rows[len(rows) - len(rows) % SIZES[-1] :]
        return [*texts, self._each(statement, left)] if left else texts

    def asked(self, question: Question, values: Sequence[Any]) -> tuple[str, Any]:
        """Return the text of a query for these values, and them as the driver wants them."""
        names = [f"v{nth}" for nth in range(len(values))]
        found = self._asked.get((question, len(values)))
        if found is None:
            query = question([sa.bindparam(name, type_=sa.Text) for name in names])
            found = self._asked[question, len(values)] = _compiled(query, names, self._dialect)
        sql, arranged = found
        return sql, arranged(dict(zip(names, values, strict=True)))

    def _each(self, statement: Statement, rows: Sequence[Row]) -> tuple[str, Any]:
        columns = statement.shape.names if statement.shape else tuple(rows[0])
        found = self._one.get((statement, columns))
        if found is None:
            found = self._one[statement, columns] = _compiled(statement.sql, columns, self._dialect)
        sql, arranged = found
        return sql, [arranged(row) for row in rows]

    def _many_of(self, statement: Statement, shape: Shape, size: int) -> str:
        found = self._many.get((statement, size))
        if found is None:
            found = self._many[statement, size] = _for_many(shape, size, self._dialect)
        return found


def _parts(rows: Sequence[Row]) -> Iterator[tuple[int, Sequence[Row]]]:
    """Cut rows into parts of known sizes; what is left over is smaller than the smallest."""
    at = 0
    for size in SIZES:
        while len(rows) - at >= size:
            yield size, rows[at : at + size]
            at += size


def _compiled(
    sql: sa.Insert | sa.Update | sa.TextClause | sa.Select[Any], columns: Sequence[str], dialect: sa.Dialect
) -> tuple[str, _Arranged]:
    """Compile for one row. The tables hold texts and numbers alone, which no driver wants converted."""
    made = sql.compile(dialect=dialect, column_keys=list(columns))
    names: Sequence[str] | None = made.positiontup  # None where the driver wants them by name
    if names is None:
        return str(made), dict
    return str(made), lambda row: tuple([row[name] for name in names])


def _for_many(shape: Shape, size: int, dialect: sa.Dialect) -> str:
    """Say an INSERT, or an UPDATE by key, for so many rows at once.

    SQLite takes them one after the other, as many as are said. PostgreSQL takes each column as an array, so that one
    text does for any number, and is parsed and planned once: psycopg reads one with many values anew each time, which
    took longer than all the rest; and in binary form, in which no quotation mark is escaped.
    """
    quote = dialect.identifier_preparer.quote
    columns = [shape.table.c[name] for name in (*shape.changed, *shape.keys)]
    new = [f"column{nth}" for nth in range(1, len(columns) + 1)]  # as SQLite calls them
    if dialect.name == "sqlite":
        values = "VALUES " + ", ".join([f"({', '.join('?' for _ in columns)})"] * size)
        rows = f"({values}) AS new"
    else:
        arrays = ", ".join(f"CAST(%b AS {column.type.compile(dialect)}[])" for column in columns)
        rows = f"unnest({arrays}) AS new({', '.join(new)})"
        values = f"SELECT {', '.join(new)} FROM {rows}"  # noqa: S608 - names of ours, marks for values
    table, names = quote(shape.table.name), [quote(column.name) for column in columns]
    if not shape.keys:
        return f"INSERT INTO {table} ({', '.join(names)}) {values}"
    count = len(shape.changed)
    changes = ", ".join(f"{name} = new.{value}" for name, value in zip(names[:count], new, strict=False))
    which = " AND ".join(f"{table}.{name} = new.{key}" for name, key in zip(names[count:], new[count:], strict=True))
    return f"UPDATE {table} SET {changes} FROM {rows} WHERE {which}"  # noqa: S608 - likewise
