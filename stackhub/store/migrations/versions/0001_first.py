"""The first tables."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _where(condition: str) -> dict[str, Any]:
    """Return what makes an index partial."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:  # noqa: PLR0915 - a statement for each table and index
    op.create_table(
        "stackhub_schema",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("oldest_reader", sa.Integer, nullable=False),
        sa.Column("written_by", sa.Text, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "lane",
        sa.Column("instance", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=True),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("lease_until", sa.BigInteger, nullable=True),
        sa.Column("not_before", sa.BigInteger, nullable=True),
        sa.Column("tokens", sa.Float, nullable=False),
        sa.Column("circuit", sa.Text, nullable=False),
        sa.Column("next_sweep", sa.BigInteger, nullable=True),
    )
    op.create_table(
        "revision",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("applied_at", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
    )
    op.create_table(
        "pipeline",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("snapshot", sa.Text, nullable=False),
        sa.Column("retired", sa.Integer, nullable=False),
        sa.Column("paused_at", sa.BigInteger, nullable=True),
        sa.Column("paused_reason", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("turn", sa.Integer, nullable=False, server_default="0"),
    )
    op.create_table(
        "snapshot",
        sa.Column("hash", sa.Text, primary_key=True),
        sa.Column("definition", sa.Text, nullable=False),
    )
    op.create_table(
        "schedule",
        sa.Column("pipeline", sa.Text, primary_key=True),
        sa.Column("spec", sa.Text, primary_key=True),
        sa.Column("anchor", sa.BigInteger, nullable=False),
        sa.Column("next_at", sa.BigInteger, nullable=True),
    )
    op.create_index("schedule_due", "schedule", ["next_at"], **_where("next_at IS NOT NULL"))
    op.create_table(
        "tick",
        sa.Column("pipeline", sa.Text, primary_key=True),
        sa.Column("spec", sa.Text, primary_key=True),
        sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=True),
        sa.Column("start", sa.BigInteger, nullable=True),
        sa.Column("until", sa.BigInteger, nullable=True),
    )
    op.create_index("tick_waits", "tick", ["pipeline"], **_where("verdict = 'wait'"))
    op.create_table(
        "deadline",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("pipeline", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("covers", sa.BigInteger, nullable=True),
        sa.Column("shadow", sa.Integer, nullable=False),
    )
    op.create_index("deadline_open", "deadline", ["at"], **_where("state = 'open'"))
    op.create_table(
        "run",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("pipeline", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("snapshot", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=True),
        sa.Column("retry_of", sa.Text, nullable=False),
        sa.Column("backfill", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
    )
    op.create_index("run_ended", "run", ["ended_at"], **_where("ended_at IS NOT NULL"))
    op.create_index("run_of_pipeline", "run", ["pipeline", "id"])
    op.create_index("run_open", "run", ["pipeline"], **_where("state IN ('queued', 'running')"))
    op.create_index(
        "run_retry", "run", ["retry_of"], unique=True, **_where("retry_of <> '' AND state IN ('queued', 'running')")
    )
    op.create_table(
        "step",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("task", sa.Text, primary_key=True),
        sa.Column("instance", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("began_at", sa.BigInteger, nullable=True),
        sa.Column("ended_at", sa.BigInteger, nullable=True),
        sa.Column("data", sa.Text, nullable=False),
    )
    op.create_index(
        "step_open",
        "step",
        ["instance"],
        **_where("state IN ('waiting', 'ready', 'starting', 'running', 'deferred', 'retrying')"),
    )
    op.create_table(
        "node",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("task", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
    )
    op.create_table(
        "landing",
        sa.Column("instance", sa.Text, primary_key=True),
        sa.Column("connection", sa.Text, primary_key=True),
        sa.Column("mark", sa.Text, primary_key=True),
        sa.Column("ended_at", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("run", sa.Text, nullable=True),
        sa.Column("rows", sa.BigInteger, nullable=True),
    )
    op.create_index("landing_newest", "landing", ["instance", "connection", "ended_at"])
    op.create_table(
        "connection",
        sa.Column("instance", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("data", sa.Text, nullable=False),
    )
    op.create_table(
        "consumed",
        sa.Column("pipeline", sa.Text, primary_key=True),
        sa.Column("task", sa.Text, primary_key=True),
        sa.Column("instance", sa.Text, primary_key=True),
        sa.Column("connection", sa.Text, primary_key=True),
        sa.Column("mark", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
    )
    op.create_table(
        "watermark",
        sa.Column("pipeline", sa.Text, primary_key=True),
        sa.Column("trigger", sa.Text, primary_key=True),
        sa.Column("instance", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("connection", sa.Text, nullable=True),
        sa.Column("mark", sa.Text, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
    )
    op.create_index("watermark_of", "watermark", ["instance", "connection"])
    op.create_table(
        "filed",
        sa.Column("pipeline", sa.Text, primary_key=True),
        sa.Column("trigger", sa.Text, primary_key=True),
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("mark", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
    )
    op.create_table(
        "hook",
        sa.Column("pipeline", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "duration",
        sa.Column("instance", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("ended_at", sa.BigInteger, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
    )
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("pipeline", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
    )
    op.create_index("event_of_run", "event", ["run", "id"])
    op.create_table(
        "incident",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("resolved_at", sa.BigInteger, nullable=True),
        sa.Column("data", sa.Text, nullable=False),
    )
    op.create_index("incident_open", "incident", ["key"], unique=True, **_where("resolved_at IS NULL"))
    op.create_index("run_of_backfill", "run", ["backfill"], **_where("backfill <> ''"))
    op.create_table(
        "backfill",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("pipeline", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=True),
        sa.Column("data", sa.Text, nullable=False),
    )
    op.create_index("backfill_key", "backfill", ["key"], unique=True)
    op.create_index("backfill_open", "backfill", ["id"], **_where("state IN ('running', 'cancelling')"))
    op.create_table(
        "backfill_part",
        sa.Column("backfill", sa.Text, primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("start_at", sa.BigInteger, nullable=False),
        sa.Column("end_at", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=True),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("incident", sa.Text, nullable=False),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("instance", sa.Text, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("part", sa.Text, nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("due", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("doubt", sa.Integer, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("sent_at", sa.BigInteger, nullable=True),
    )
    op.create_index("outbox_of_incident", "outbox", ["incident", "route"])
    op.create_index("outbox_pending", "outbox", ["instance", "due"], **_where("state = 'pending'"))
    op.create_table(
        "receipt",
        sa.Column("incident", sa.Text, primary_key=True),
        sa.Column("route", sa.Text, primary_key=True),
        sa.Column("receipt", sa.Text, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "mute",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=True),
        sa.Column("ended_by", sa.Text, nullable=False),
    )
    op.create_index("mute_open", "mute", ["key"], unique=True, **_where("ended_at IS NULL"))
    op.create_table(
        "command",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("args", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("done_at", sa.BigInteger, nullable=True),
        sa.Column("result", sa.Text, nullable=True),
        sa.Column("error", sa.Text, nullable=True),
    )
    op.create_index("command_open", "command", ["id"], **_where("done_at IS NULL"))
    op.create_table(
        "inference",
        sa.Column("pipeline", sa.Text, primary_key=True),
        sa.Column("task", sa.Text, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
    )
    op.create_table(
        "project",
        sa.Column("instance", sa.Text, primary_key=True),
        sa.Column("manifest", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
    )
    op.create_table(
        "owed",
        sa.Column("pipeline", sa.Text, primary_key=True),
        sa.Column("task", sa.Text, primary_key=True),
        sa.Column("node", sa.Text, primary_key=True),
        sa.Column("extract", sa.Text, primary_key=True),
        sa.Column("instance", sa.Text, nullable=False),
        sa.Column("connection", sa.Text, nullable=False),
        sa.Column("since", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("interval_start", sa.BigInteger, nullable=False),
        sa.Column("interval_end", sa.BigInteger, nullable=False),
        sa.Column("newer_than", sa.BigInteger, nullable=True),
        sa.Column("landed_at", sa.BigInteger, nullable=True),
        sa.Column("tried", sa.Text, nullable=False),
        sa.Column("paid_by", sa.Text, nullable=False),
        sa.Column("paid_at", sa.BigInteger, nullable=True),
    )
    op.create_index("owed_open", "owed", ["pipeline"], **_where("paid_by = ''"))
    op.execute(
        "INSERT INTO stackhub_schema (id, version, oldest_reader, written_by) VALUES (1, 1, 1, '')"
        " ON CONFLICT (id) DO UPDATE SET version = 1, oldest_reader = 1"
    )
