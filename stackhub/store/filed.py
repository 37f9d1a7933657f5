"""The files that each trigger has taken. A row without a path says that it is in force, and counts its turns."""

from collections.abc import Iterable

import sqlalchemy as sa

from stackhub.contract import File
from stackhub.model.codec import dump
from stackhub.model.pipeline import Files, Pipeline
from stackhub.store import tables as t
from stackhub.store import transaction as tx
from stackhub.store.transaction import Op


def spec(files: Files) -> str:
    """Name a trigger by what it looks at; how often is of no account."""
    return dump([files.url, files.instance])


def apply(connection: sa.Connection, pipeline: Pipeline) -> None:
    """Forget what was taken by triggers that are not configured any more."""
    wanted = [spec(files) for files in pipeline.files]
    where = (t.filed.c.pipeline == pipeline.name, t.filed.c.trigger.not_in(wanted))
    connection.execute(sa.delete(t.filed).where(*where))


def forget(connection: sa.Connection, pipeline: str) -> None:
    """Forget what a pipeline's triggers have taken."""
    connection.execute(sa.delete(t.filed).where(t.filed.c.pipeline == pipeline))


def taken(connection: sa.Connection, pipeline: str, trigger: str) -> dict[str, str]:
    """Return the mark of each file that was taken, by path; nothing at all where the trigger is not in force yet."""
    where = (t.filed.c.pipeline == pipeline, t.filed.c.trigger == trigger)
    return {row.path: row.mark for row in connection.execute(sa.select(t.filed.c.path, t.filed.c.mark).where(*where))}


def take(
    pipeline: str, trigger: str, turn: str | None, files: Iterable[File], gone: Iterable[str], run: str = ""
) -> list[Op]:
    """Note that files were taken: by a run, or, where the trigger is put in force (``turn`` None), by nobody.

    `StaleRun` where somebody else has had a turn since.
    """
    mine = {"pipeline": pipeline, "trigger": trigger}
    ops = [Op(tx.FILED, {**mine, "path": file.path, "mark": file.mark, "run": run}) for file in files]
    ops += [Op(tx.FILE_GONE, {**mine, "path": path}) for path in gone]
    if turn is None:
        return [*ops, Op(tx.FILED, {**mine, "path": "", "mark": "0", "run": ""})]
    where = {"b_pipeline": pipeline, "b_trigger": trigger, "b_path": "", "b_mark": turn}
    return [Op(tx.FILES_TURN, {**where, "n_mark": str(int(turn) + 1)}), *ops]
