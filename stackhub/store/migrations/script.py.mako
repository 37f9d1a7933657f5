"""${message}."""

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    ${upgrades if upgrades else "..."}
    op.execute("UPDATE stackhub_schema SET version = ${int(up_revision)}")  # and `oldest_reader`, where an older hub must not work on it
