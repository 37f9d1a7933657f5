"""Where Alembic begins. The connection is handed in, inside the one transaction that all steps share."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
