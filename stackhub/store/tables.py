"""The tables. Times are microseconds since 1970 in UTC; documents are JSON text written by `model.codec`.

Columns that stand beside a document repeat what queries filter by. Every hot query has a partial index on what is
still open, so that history costs nothing.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import sqlalchemy as sa

VERSION: Final = 1  # of these tables
OLDEST_READER: Final = 1  # the oldest version of stackhub's tables that may still work on this database

metadata = sa.MetaData()
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """Turn an aware time into what the tables keep."""
    return micros_of(at - _EPOCH)


def micros_of(span: timedelta) -> int:
    """Turn a span into what the tables keep."""
    return span // _MICROSECOND


def maybe_micros(at: datetime | None) -> int | None:
    """Turn a time that may be missing into what the tables keep."""
    return None if at is None else micros(at)


def instant(kept: int) -> datetime:
    """Turn what the tables keep into an aware time in UTC."""
    return _EPOCH + timedelta(microseconds=kept)


def maybe_instant(kept: int | None) -> datetime | None:
    """Turn what the tables keep, or nothing, into a time."""
    return None if kept is None else instant(kept)


def _id(name: str = "id") -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=True)


def _text(name: str, *, null: bool = False, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null, primary_key=key)


def _time(name: str, *, null: bool = False, key: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=null, primary_key=key, autoincrement=False)


def _count(name: str, *, key: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, primary_key=key, autoincrement=False)


def _partial(name: str, *columns: sa.Column[int] | sa.Column[str], where: str, unique: bool = False) -> sa.Index:
    return sa.Index(name, *columns, unique=unique, sqlite_where=sa.text(where))


@sa.event.listens_for(metadata, "before_create")
def _partial_on_postgresql(_: sa.MetaData, connection: sa.Connection, **_more: object) -> None:
    """Repeat the conditions for PostgreSQL; said above, they would import its whole dialect for SQLite as well."""
    if connection.dialect.name == "postgresql":
        for index in (index for table in metadata.tables.values() for index in table.indexes):
            index.dialect_kwargs["postgresql_where"] = index.dialect_options["sqlite"]["where"]


schema = sa.Table(
    "stackhub_schema", metadata, _count("id", key=True), _count("version"), _count("oldest_reader"), _text("written_by")
)
meta = sa.Table("meta", metadata, _id("key"), _text("value"))
lane = sa.Table(
    "lane",
    metadata,
    _id("instance"),
    _text("owner", null=True),
    _count("epoch"),
    _time("lease_until", null=True),
    _time("not_before", null=True),
    sa.Column("tokens", sa.Float, nullable=False),
    _text("circuit"),
    _time("next_sweep", null=True),
)
revision = sa.Table("revision", metadata, _count("id", key=True), _time("applied_at"), _text("hash"), _text("summary"))
pipeline = sa.Table(
    "pipeline",
    metadata,
    _id("name"),
    _text("snapshot"),
    _count("retired"),
    _time("paused_at", null=True),
    _text("paused_reason"),
    _count("revision"),
    sa.Column("turn", sa.Integer, nullable=False, server_default="0"),
)
snapshot = sa.Table("snapshot", metadata, _id("hash"), _text("definition"))
schedule = sa.Table(
    "schedule",
    metadata,
    _text("pipeline", key=True),
    _text("spec", key=True),
    _time("anchor"),
    _time("next_at", null=True),
)
schedule_due = _partial("schedule_due", schedule.c.next_at, where="next_at IS NOT NULL")
tick = sa.Table(
    "tick",
    metadata,
    _text("pipeline", key=True),
    _text("spec", key=True),
    _time("at", key=True),
    _text("label"),
    _text("verdict"),
    _text("reason"),
    _text("run", null=True),
    _time("start", null=True),
    _time("until", null=True),
)
tick_waits = _partial("tick_waits", tick.c.pipeline, where="verdict = 'wait'")
deadline = sa.Table(
    "deadline",
    metadata,
    _id(),
    _text("pipeline"),
    _text("run", null=True),
    _text("kind"),
    _time("at"),
    _text("text"),
    _text("state"),
    _time("covers", null=True),
    _count("shadow"),
)
deadline_open = _partial("deadline_open", deadline.c.at, where="state = 'open'")
run = sa.Table(
    "run",
    metadata,
    _id(),
    _text("pipeline"),
    _text("state"),
    _count("version"),
    _text("snapshot"),
    _time("created_at"),
    _time("ended_at", null=True),
    _text("retry_of"),
    _text("backfill"),
    _text("data"),
)
run_of_backfill = _partial("run_of_backfill", run.c.backfill, where="backfill <> ''")
run_open = _partial("run_open", run.c.pipeline, where="state IN ('queued', 'running')")
run_of_pipeline = sa.Index("run_of_pipeline", run.c.pipeline, run.c.id)
run_ended = _partial("run_ended", run.c.ended_at, where="ended_at IS NOT NULL")
run_retry = _partial(
    "run_retry", run.c.retry_of, where="retry_of <> '' AND state IN ('queued', 'running')", unique=True
)
step = sa.Table(
    "step",
    metadata,
    _text("run", key=True),
    _text("task", key=True),
    _text("instance"),
    _text("state"),
    _time("began_at", null=True),
    _time("ended_at", null=True),
    _text("data"),
)
step_open = _partial(
    "step_open",
    step.c.instance,
    where="state IN ('waiting', 'ready', 'starting', 'running', 'deferred', 'retrying')",
)
node = sa.Table(
    "node",
    metadata,
    _text("run", key=True),
    _text("task", key=True),
    _text("id", key=True),
    _count("attempt"),
    _text("data"),
)
landing = sa.Table(
    "landing",
    metadata,
    _text("instance", key=True),
    _text("connection", key=True),
    _text("mark", key=True),
    _time("ended_at"),
    _time("seen_at"),
    _text("run", null=True),
    sa.Column("rows", sa.BigInteger, nullable=True),
)
landing_newest = sa.Index("landing_newest", landing.c.instance, landing.c.connection, landing.c.ended_at)
connection = sa.Table("connection", metadata, _text("instance", key=True), _id(), _text("data"))
consumed = sa.Table(
    "consumed",
    metadata,
    _text("pipeline", key=True),
    _text("task", key=True),
    _text("instance", key=True),
    _text("connection", key=True),
    _text("mark"),
    _text("run"),
)
watermark = sa.Table(
    "watermark",
    metadata,
    _text("pipeline", key=True),
    _text("trigger", key=True),
    _text("instance", key=True),
    _text("name", key=True),
    _text("connection", null=True),
    _text("mark"),
    _time("ended_at"),
    _text("run"),
)
watermark_of = sa.Index("watermark_of", watermark.c.instance, watermark.c.connection)
filed = sa.Table(
    "filed",
    metadata,
    _text("pipeline", key=True),
    _text("trigger", key=True),
    _text("path", key=True),
    _text("mark"),
    _text("run"),
)
hook = sa.Table("hook", metadata, _text("pipeline", key=True), _id(), _text("run"), _time("at"))
duration = sa.Table(  # how long work took, the newest last: bounded, see `decide.history`
    "duration", metadata, _text("instance", key=True), _text("key", key=True), _time("ended_at"), _text("data")
)
backfill = sa.Table(
    "backfill",
    metadata,
    _id(),
    _text("key"),
    _text("pipeline"),
    _text("state"),
    _count("version"),
    _time("created_at"),
    _time("ended_at", null=True),
    _text("data"),
)
backfill_key = sa.Index("backfill_key", backfill.c.key, unique=True)
backfill_open = _partial("backfill_open", backfill.c.id, where="state IN ('running', 'cancelling')")
backfill_part = sa.Table(
    "backfill_part",
    metadata,
    _text("backfill", key=True),
    _count("seq", key=True),
    _time("start_at"),
    _time("end_at"),
    _text("state"),
    _text("run", null=True),
)
event = sa.Table(
    "event",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    _time("at"),
    _text("pipeline"),
    _text("run"),
    _text("task"),
    _text("kind"),
    _text("text"),
    _count("attempt"),
)
event_of_run = sa.Index("event_of_run", event.c.run, event.c.id)
incident = sa.Table(
    "incident",
    metadata,
    _id(),
    _text("key"),
    _count("version"),
    _time("opened_at"),
    _time("resolved_at", null=True),
    _text("data"),
)
incident_open = _partial("incident_open", incident.c.key, where="resolved_at IS NULL", unique=True)
outbox = sa.Table(
    "outbox",
    metadata,
    _id(),
    _text("incident"),
    _text("route"),
    _text("instance"),
    _count("seq"),
    _text("part"),
    _text("options"),
    _text("message"),
    _text("state"),
    _time("due"),
    _count("attempts"),
    _count("doubt"),
    _text("error"),
    _time("created_at"),
    _time("sent_at", null=True),
)
outbox_pending = _partial("outbox_pending", outbox.c.instance, outbox.c.due, where="state = 'pending'")
outbox_of_incident = sa.Index("outbox_of_incident", outbox.c.incident, outbox.c.route)
receipt = sa.Table(
    "receipt", metadata, _text("incident", key=True), _text("route", key=True), _text("receipt"), _time("updated_at")
)
mute = sa.Table(
    "mute",
    metadata,
    _id(),
    _text("key"),
    _time("until"),
    _text("reason"),
    _text("by"),
    _time("since"),
    _time("ended_at", null=True),
    _text("ended_by"),
)
mute_open = _partial("mute_open", mute.c.key, where="ended_at IS NULL", unique=True)
command = sa.Table(
    "command",
    metadata,
    _id(),
    _text("kind"),
    _text("args"),
    _text("by"),
    _time("created_at"),
    _time("done_at", null=True),
    _text("result", null=True),
    _text("error", null=True),
)
command_open = _partial("command_open", command.c.id, where="done_at IS NULL")
inference = sa.Table(
    "inference", metadata, _text("pipeline", key=True), _text("task", key=True), _time("at"), _text("data")
)
project = sa.Table("project", metadata, _id("instance"), _text("manifest"), _time("at"), _text("data"))
owed = sa.Table(
    "owed",
    metadata,
    _text("pipeline", key=True),
    _text("task", key=True),
    _text("node", key=True),
    _text("extract", key=True),
    _text("instance"),
    _text("connection"),
    _time("since", key=True),
    _text("run"),
    _time("interval_start"),
    _time("interval_end"),
    _time("newer_than", null=True),
    _time("landed_at", null=True),
    _text("tried"),
    _text("paid_by"),
    _time("paid_at", null=True),
)
owed_open = _partial("owed_open", owed.c.pipeline, where="paid_by = ''")
