"""The commands about what is wrong: `connections`, and those under `alerts`: who was told, silence for a while."""

from typing import Annotated

import typer

from stackhub.cli.declare import LOOK, AnyPipeline, Context, Json, Run, command, group, where

alerts_app = group("alerts", LOOK, bare=True)
Muted = Annotated[
    str,
    typer.Argument(metavar="WHAT", help="A pipeline, an instance, INSTANCE/CONNECTION, or the key of an incident."),
]


@command("connections fivetran", LOOK)
def connections(
    context: Context,
    instance: Annotated[str, typer.Argument(metavar="[INSTANCE]", help="One account; all of them without it.")] = "",
    live: Annotated[bool, typer.Option("--live", help="Ask the accounts now.")] = False,
    as_json: Json = False,
) -> int:
    """List the connections of each account: how each is, when it last landed, who uses it.

    As the daemon last saw them, which looks at accounts that pipelines use; with --live as they are now.
    """
    from stackhub.cli import connections as accounts

    return accounts.connections(where(context), instance, live=live, as_json=as_json)


@alerts_app.callback()
def alerts(context: Context, as_json: Json = False) -> None:
    """List open incidents, mutes, and what could not be told; mute, explain, test, close."""
    if context.invoked_subcommand is None:
        alerts_list(context, as_json)


@command("alerts list --json", name="list", to=alerts_app)
def alerts_list(context: Context, as_json: Json = False) -> int:
    """List open incidents, mutes, and what could not be told."""
    from stackhub.cli import alerts as told

    return told.alerts(where(context), as_json=as_json)


@command("alerts explain last", name="explain", to=alerts_app)
def alerts_explain(context: Context, run: Run, as_json: Json = False) -> int:
    """Say of each route what it was told of a run's problems, or why nothing.

    For each route: whether it heard and why or why not, each message with what became of it, and what the far side
    answered.
    """
    from stackhub.cli import alerts_explain as explaining

    return explaining.explain(where(context), run, as_json=as_json)


@command('alerts mute shop --until 2h --reason "the vendor knows"', name="mute", to=alerts_app)
def alerts_mute(
    context: Context,
    what: Muted,
    until: Annotated[
        str, typer.Option("--until", metavar="WHEN", help="2h, 18:00, 2026-11-23, 2026-11-23T08:00 or with a zone.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept in the history.")],
) -> int:
    """Tell nobody of a pipeline, an account or a connection for a while.

    What happens meanwhile is kept. When the mute ends, what still lasts is told; what is over by then is not. Whoever
    knew of a problem before hears its end at once.
    """
    from stackhub.cli import mutes

    return mutes.mute(where(context), what, until=until, reason=reason)


@command("alerts unmute shop", name="unmute", to=alerts_app)
def alerts_unmute(context: Context, what: Muted) -> int:
    """End a mute: what it has held back, and lasts, is told at once."""
    from stackhub.cli import mutes

    return mutes.unmute(where(context), what)


@command("alerts test shop", name="test", to=alerts_app)
def alerts_test(context: Context, pipeline: AnyPipeline = "", as_json: Json = False) -> int:
    """Send a test down each route of a pipeline, or down the default ones, and say what arrived."""
    from stackhub.cli import alerts as told

    return told.test(where(context), pipeline, as_json=as_json)


@command('alerts close pipeline:shop --reason "fixed by hand"', name="close", to=alerts_app)
def alerts_close(
    context: Context,
    incident: Annotated[str, typer.Argument(metavar="INCIDENT", help="Its id, or its key: pipeline:shop.")],
    reason: Annotated[str, typer.Option("--reason", help="Told to whoever heard of it.")] = "",
) -> int:
    """Close an incident by hand."""
    from stackhub.cli import alerts as told

    return told.close(where(context), incident, reason=reason)
