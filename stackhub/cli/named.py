"""Which run is meant: its id, a unique beginning or end of it, ``last``, or a pipeline's name for its newest run."""

from collections.abc import Iterable
from functools import partial
from typing import Final

import sqlalchemy as sa

from stackhub.errors import Refused
from stackhub.model.ids import LENGTH
from stackhub.model.run import OpenRun
from stackhub.store import queries
from stackhub.store import tables as t
from stackhub.store.reading import Reader

LAST: Final = "last"
NOTHING: Final = "nothing has run yet: `stackhub run PIPELINE` makes a first run, `stackhub serve` keeps the schedules"
SHORTEST: Final = 4  # characters of an id


def there(reader: Reader | None) -> Reader:
    """Return what can be asked.

    Raises:
        Refused: there is no store yet.
    """
    if reader is None:
        raise Refused(NOTHING)
    return reader


def pipeline(typed: str, known: Iterable[str]) -> None:
    """Refuse a pipeline that there is not.

    Raises:
        Refused: with those that there are.
    """
    names = sorted(known)
    if typed not in names:
        raise Refused(f"no pipeline {typed!r}; there are: {', '.join(names) or 'none'}")


def split(typed: str) -> tuple[str, str]:
    """Take ``RUN.TASK`` apart; no name, and no id, holds a dot."""
    run, _, task = typed.strip().partition(".")
    return run, task


def run_id(reader: Reader, typed: str) -> str:
    """Return the id of the run that is meant.

    Raises:
        Refused: no run is, or several may be; names them.
    """
    if typed == LAST:
        found = reader(partial(queries.runs, limit=1))
        if not found:
            raise Refused(NOTHING)
        return found[0].id
    newest = reader(partial(queries.last_run, pipeline=typed))
    if newest is not None:
        return newest.id
    if len(typed) < SHORTEST:
        raise Refused(f"no pipeline has run that is called {typed!r}, and of an id {SHORTEST} characters are needed")
    ids = reader(partial(queries.run_ids, beginning=typed))
    if len(ids) > 1:
        raise Refused(f"{typed!r} may be any of these runs: {', '.join(ids)}")
    if not ids:
        raise Refused(_nothing(reader, typed))
    return ids[0]


def run(reader: Reader, typed: str) -> OpenRun:
    """Return the run that is meant, with its steps. Raises as `run_id` does."""
    wanted = run_id(reader, typed)
    found = reader(partial(queries.run, run_id=wanted))
    if found is None:  # swept away between the two questions
        raise Refused(f"no run {wanted}")
    return found


def step(reader: Reader, typed: str) -> tuple[OpenRun, str]:
    """Return the run of ``RUN`` or ``RUN.TASK``, and the task, "" where none is named.

    Raises:
        Refused: as `run_id`, or the run has no such task.
    """
    wanted, task = split(typed)
    found = run(reader, wanted)
    if task and task not in found.steps:
        raise Refused(f"run {found.run.id} has no task {task!r}; there are: {', '.join(found.steps)}")
    return found, task


def _nothing(reader: Reader, typed: str) -> str:
    if len(typed) == LENGTH and reader(partial(_kept, command_id=typed.upper())):
        return f"run {typed} is kept, and is made when a daemon starts: stackhub serve"
    names = sorted(name for name, known in reader(queries.pipelines).items() if not known.retired)
    return f"no run {typed!r}: `stackhub runs` lists them; pipelines are {', '.join(names) or 'none'}"


def _kept(connection: sa.Connection, command_id: str) -> bool:
    where = (t.command.c.id == command_id, t.command.c.done_at.is_(None))
    return connection.scalar(sa.select(t.command.c.id).where(*where)) is not None
