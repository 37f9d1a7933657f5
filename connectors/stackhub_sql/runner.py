"""Carries out statements, or one check, in a process of its own that outlives the hub.

Reads what to do from standard input, so that neither the database's URL nor the SQL passes a process list or a file,
and leaves in the file ``answer`` what came of it: ``{"result"}``, or ``{"error", "again"}``; ``again`` says whether a
second try repeats nothing and could help. SIGTERM cancels the statement at the database, where its driver can.
"""

import contextlib
import json
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, Final

from stackhub_sql.doors import Door, Failed, hiding, open_any, open_file, rendered, value_of
from stackhub_sql.verdict import COUNTED, verdict

MOST: Final = 2000  # characters of an error
AGAIN: Final = 0.5  # seconds until a cancel is repeated: one that came before its statement did nothing
ATOMIC: Final = frozenset({"postgresql", "sqlite", "duckdb", "mssql"})  # where even DDL is undone with its transaction
LOOK: Final = "look before you run it again"


class Work:
    """One job: statements, or a check."""

    def __init__(self, asked: Mapping[str, Any], ring: Callable[[], object]) -> None:
        self.asked = asked
        self._ring = ring
        self.url: str = asked["url"]
        self.reads = asked["wanted"] is not None
        self.alone = not self.reads and not asked["transaction"]
        self.door: Door | None = None
        self.stopping = False
        self.done = threading.Event()
        self.answer: dict[str, Any] = {"error": "it ended without a word", "again": False}
        self._begun = False
        self._after = 0  # statements that have been carried out
        self._committing = False

    def go(self) -> None:
        """Do it, and note what came of it."""
        try:
            self.answer = {"result": self._all()}
        except Failed as err:
            self.answer = {"error": str(err), "again": err.again}
        except Exception as err:  # noqa: BLE001 - a driver may raise whatever it likes
            self.answer = {"error": self._said(err), "again": self.reads}
        finally:
            self.done.set()
            self._ring()

    def stop(self) -> None:
        """Cancel what the database is doing; where nothing has begun there, or nothing can be cancelled, leave."""
        connection = self.door.connection if self.door and self._begun else None
        for name in ("cancel_safe", "interrupt", "cancel"):  # of psycopg; SQLite and DuckDB; others
            if hasattr(connection, name):
                with contextlib.suppress(Exception):  # it repeats
                    getattr(connection, name)(**({"timeout": 5} if name == "cancel_safe" else {}))
                return
        if connection is None:
            self.answer = {"error": "stopped before anything was asked", "again": True}
        else:
            self.answer = {
                "error": f"may have run: it was stopped, and its driver knows no cancel; {LOOK}",
                "again": False,
            }
        self.done.set()

    def _all(self) -> dict[str, Any]:
        try:
            self.door = door = self._opened()
        except Failed:
            raise
        except Exception as err:  # noqa: BLE001 - a driver may raise whatever it likes
            raise Failed(f"no connection: {self._said(err)}", again=True) from None
        values = {name: value_of(held, door.kind) for name, held in self.asked["params"].items()}
        try:
            door.begin()
            self._begun = True
            found = self._check(door, values) if self.reads else self._run(door, values)
            self._end(door)
        except Failed as err:
            self._undo(door)
            raise self._partly(str(err)) if self._lasting(door) else err from None
        except Exception as err:  # noqa: BLE001 - as above
            failed = self._judged(door, err)
            self._undo(door)
            raise failed from None
        return found

    def _end(self, door: Door) -> None:
        """Let what was done stay, unless it is to stop."""
        if self.stopping:
            raise Failed("cancelled", again=True)
        self._committing = True
        if self.reads:
            door.connection.rollback()
        elif not self.alone:
            door.connection.commit()

    def _opened(self) -> Door:
        scheme = self.url.partition(":")[0]
        if scheme in {"sqlite", "sqlite+pysqlite", "duckdb"}:
            return open_file(self.url, reads=self.reads, alone=self.alone)
        url = "postgresql" + self.url.removeprefix("postgres") if scheme == "postgres" else self.url
        return open_any(url, reads=self.reads, alone=self.alone, who=self.asked["who"])

    def _run(self, door: Door, values: Mapping[str, Any]) -> dict[str, Any]:
        statements = self.asked["statements"]
        changed = 0
        for at, (verb, parts) in enumerate(statements, start=1):
            if self.stopping:
                raise Failed("cancelled", again=True)
            began = monotonic()
            cursor = door.cursor()
            self._execute(cursor, door, parts, values)
            rows = affected(cursor, door)
            self._after = at
            changed += rows or 0
            many = "" if rows is None else f", {rows:,} rows"
            say(f"{at} of {len(statements)}: {verb.upper()}{many}, {monotonic() - began:.1f} s")
        return {"statements": len(statements), "rows": changed}

    def _check(self, door: Door, values: Mapping[str, Any]) -> dict[str, Any]:
        wanted = self.asked["wanted"]
        [(_, parts)] = self.asked["statements"]
        cursor = door.cursor()
        self._execute(cursor, door, parts, values)
        if cursor.description is None:
            raise Failed("it returns no rows: a check is a query")
        kept: list[Sequence[object]] = []
        count = 0
        while count <= COUNTED and (batch := cursor.fetchmany(500)):
            kept += batch[: max(1, wanted["show"]) - len(kept)]
            count += len(batch)
        found, wrong = verdict(wanted, [column[0] for column in cursor.description], kept, count)
        if wrong:
            raise Failed(wrong, again=True)
        return found

    def _execute(self, cursor: Any, door: Door, parts: Sequence[str], values: Mapping[str, Any]) -> None:
        sql, bound = rendered(parts, door.style, values)
        if bound is None:
            cursor.execute(sql)
        else:
            cursor.execute(sql, bound)

    def _judged(self, door: Door, err: Exception) -> Failed:
        """Say what an error leaves behind."""
        said = self._said(err)
        lost = door.lost(err)
        if not self.reads and lost and (self._committing or self.alone or door.kind not in ATOMIC):
            when = "while it was committed" if self._committing else "on the way"
            return Failed(f"may have run: the connection was lost {when}: {said}; {LOOK}")
        passing = lost or isinstance(err, passing_errors(door))
        if self._lasting(door):
            return self._partly(said)
        at = f"statement {self._after + 1}: " if len(self.asked["statements"]) > 1 and not self._committing else ""
        return Failed(f"{at}{said}{hint(err, said, alone=self.alone or self.reads)}", again=passing)

    def _lasting(self, door: Door) -> bool:
        """Whether something of what was done stays done."""
        return bool(self._after) and not self.reads and (self.alone or door.kind not in ATOMIC)

    def _partly(self, said: str) -> Failed:
        done = "statement 1 has" if self._after == 1 else f"statements 1 to {self._after} have"
        return Failed(f"statement {self._after + 1}: {said}\n{done} taken effect; {LOOK}")

    def _undo(self, door: Door) -> None:
        if not self.alone:
            with contextlib.suppress(Exception):  # it is undone with the connection
                door.connection.rollback()

    def _said(self, err: Exception) -> str:
        if self.stopping:
            return "cancelled"
        return str(err).strip() or type(err).__name__


def passing_errors(door: Door) -> tuple[type[Exception], ...]:
    """Return the errors of a driver that may be over by another time; DuckDB's has not all that DB-API names."""
    found = (getattr(door.driver, name, None) for name in ("OperationalError", "InterfaceError"))
    return tuple(kind for kind in found if kind is not None)


def affected(cursor: Any, door: Door) -> int | None:
    """Return how many rows a statement has changed; None where nobody knows."""
    if door.kind != "duckdb":
        return cursor.rowcount if cursor.rowcount >= 0 and cursor.description is None else None
    names = [column[0] for column in cursor.description or ()]
    row = cursor.fetchone() if names == ["Count"] else None  # of a CREATE there is none
    return int(row[0]) if row else None


def hint(err: Exception, said: str, *, alone: bool) -> str:
    """Name the way out of the one error that the option of ours brings about."""
    within = (
        getattr(err, "sqlstate", None) == "25001" or "within a transaction" in said or "inside a transaction" in said
    )
    return "\nsay transaction: false" if within and not alone else ""


def say(text: str) -> None:
    """Write to the log at once."""
    with contextlib.suppress(OSError):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def main() -> None:
    """Do what standard input asks."""
    asked = json.loads(sys.stdin.buffer.read().decode("utf-8"))
    bell, ringer = os.pipe()
    os.set_blocking(ringer, False)
    signal.set_wakeup_fd(ringer)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    work = Work(asked, lambda: os.write(ringer, b"\0"))
    hide = hiding(work.url)
    threading.Thread(target=work.go, daemon=True).start()
    while not work.done.is_set():
        if select.select([bell], [], [], AGAIN if work.stopping else None)[0]:
            work.stopping |= any(os.read(bell, 64))  # a signal's number
        if work.stopping and not work.done.is_set():
            work.stop()
    answer = work.answer
    if "error" in answer:
        answer["error"] = hide(answer["error"])[:MOST]
        say(answer["error"])
    try:
        with open(asked["answer"], "w", encoding="utf-8") as file:  # noqa: PTH123 - one import less
            json.dump(answer, file, default=str)
    except OSError as err:
        say(f"stackhub: what came of it could not be kept: {err}")
    os._exit(1 if "error" in answer else 0)  # whatever a driver's threads still do


if __name__ == "__main__":
    main()
