"""The commands about the installation: check, connectors, schema, sandbox, db, version."""

from pathlib import Path
from typing import Annotated

import typer

from stackhub.cli.declare import SET_UP, Context, Json, Port, command, group, where


@command("check --live", SET_UP)
def check(
    context: Context,
    live: Annotated[
        bool, typer.Option("--live", help="Try every credential, permission and connection as well.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Check the configuration as a compiler would: every error at once, with file, line and column."""
    from stackhub.cli import check as checks

    return checks.check(where(context), live=live, as_json=as_json)


@command("connectors fivetran", SET_UP)
def connectors(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="One connector; all of them without it.")] = "",
    as_json: Json = False,
) -> int:
    """List the connectors: what each can do, and the variables of its env file."""
    from stackhub.cli import admin

    return admin.connectors(name, as_json=as_json)


@command("schema > pipeline.schema.json", SET_UP)
def schema() -> int:
    """Print the JSON Schema of a pipeline file, for editors."""
    from stackhub.cli import admin

    return admin.schema()


@command("compile revenue.py > pipelines/revenue.yaml", SET_UP, name="compile")
def compile_script(
    context: Context,
    script: Annotated[Path, typer.Argument(metavar="FILE", help="A Python file.")],
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="Write every pipeline to a file of its own in here.")
    ] = None,
) -> int:
    """Turn pipelines written in Python into the files that the hub reads; the script runs in a process of its own."""
    from stackhub.cli import compiling

    return compiling.write(script, to, where(context).environ)


@command("sandbox --port 8788", SET_UP)
def sandbox(context: Context, port: Port = 8788) -> int:
    """Play Fivetran, Airbyte, Slack and PagerDuty on one port, and print the env lines that point there."""
    from stackhub.cli import sandbox as stage

    return stage.sandbox(where(context), port=port)


db_app = group("db", SET_UP)


@command("db upgrade", name="upgrade", to=db_app)
def db_upgrade(context: Context) -> int:
    """Bring the tables up to date, after a backup; the daemon must not be running."""
    from stackhub.cli import db as databases

    return databases.upgrade(where(context))


@command("db backup /backups/stackhub.db", name="backup", to=db_app)
def db_backup(
    context: Context, file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that is not there yet.")]
) -> int:
    """Copy the database to a file, while it is in use."""
    from stackhub.cli import db as databases

    return databases.backup(where(context), file)


@command("db copy .stackhub/stackhub.db", name="copy", to=db_app)
def db_copy(
    context: Context, file: Annotated[Path, typer.Argument(metavar="FILE", help="The SQLite file to copy from.")]
) -> int:
    """Copy a file's whole store into the database that STACKHUB_DATABASE_URL names now, which must be empty.

    From SQLite to PostgreSQL: stop the hub, set STACKHUB_DATABASE_URL in stackhub.env, copy, start. All of it is
    copied, or nothing.
    """
    from stackhub.cli import db as databases

    return databases.copy(where(context), file)


@db_app.callback()
def db() -> None:
    """Upgrade, back up or move the database."""


@command("version", SET_UP)
def version() -> int:
    """Print the version."""
    from stackhub import __version__

    print(f"stackhub {__version__}")
    return 0
