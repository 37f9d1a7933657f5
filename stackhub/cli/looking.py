"""The commands that look: runs, show, logs, why, next, plan. All but logs --follow end at once."""

from typing import Annotated

import typer

from stackhub.cli.declare import (
    CONFIG,
    LOOK,
    AnyPipeline,
    Context,
    Json,
    Pipeline,
    Run,
    RunOrStep,
    command,
    group,
    where,
)


@command("runs --pipeline shop --state failed", LOOK)
def runs(
    context: Context,
    pipeline: Annotated[str, typer.Option("--pipeline", "-p", metavar="PIPELINE", help="Of one pipeline.")] = "",
    state: Annotated[
        str, typer.Option("--state", "-s", help="queued, running, succeeded, partial, failed or cancelled.")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most so many.")] = 20,
    as_json: Json = False,
) -> int:
    """List runs, newest first."""
    from stackhub.cli import history

    return history.runs(where(context), pipeline=pipeline, state=state, limit=limit, as_json=as_json)


@command("show last", LOOK)
def show(context: Context, run: Run, as_json: Json = False) -> int:
    """Show a run: every step, how long it took, what failed and why, and the way on."""
    from stackhub.cli import history

    return history.show(where(context), run, as_json=as_json)


@command("nodes last --state failed", LOOK)
def nodes(
    context: Context,
    step: RunOrStep,
    state: Annotated[
        str, typer.Option("--state", "-s", help="failed, running, succeeded, warned, skipped or unknown.")
    ] = "",
    limit: Annotated[
        int | None, typer.Option("--number", "-n", min=1, help="At most so many: else 100, with --json all.")
    ] = None,
    as_json: Json = False,
) -> int:
    """List the dbt nodes of a run, or of a step: what failed first, then the slowest, with rows, owner and error."""
    from stackhub.cli import nodes as listing

    return listing.nodes(where(context), step, state=state, limit=limit, as_json=as_json)


@command("logs last.marts --follow", LOOK)
def logs(
    context: Context,
    step: RunOrStep,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Stay until the run has ended.")] = False,
    as_json: Json = False,
) -> int:
    """Print what a run's jobs said, or one step's; a step without a log shows its history."""
    from stackhub.cli import logs as reading

    return reading.logs(where(context), step, stay=follow, as_json=as_json)


@command("why orders_daily", LOOK)
def why(
    context: Context,
    of: Annotated[
        str,
        typer.Argument(
            metavar="RUN[.TASK[.MODEL]]|PIPELINE|MODEL|INSTANCE:CONNECTION",
            help="A run, a step or a node of it; a pipeline; a dbt model; a connection.",
        ),
    ],
    as_json: Json = False,
) -> int:
    """Say why a run, a step, a model, a connection is as it is: what it waits for, what ended it, what is owed."""
    from stackhub.cli import history

    return history.why(where(context), of, as_json=as_json)


@command("next shop -n 3", LOOK, name="next")
def following(
    context: Context,
    pipeline: AnyPipeline = "",
    many: Annotated[int, typer.Option("--number", "-n", min=1, max=1000, help="So many.")] = 5,
    turned: Annotated[
        bool, typer.Option("--around-dst", help="Around the next turns of each schedule's clock, so many on each side.")
    ] = False,
    as_json: Json = False,
) -> int:
    """List what will fire, soonest first, in UTC and in the schedule's own zone."""
    from stackhub.cli import coming

    show = coming.around_dst if turned else coming.following
    return show(where(context), pipeline, many=many, as_json=as_json)


backfills_app = group("backfills", LOOK, bare=True)
Backfill = Annotated[str, typer.Argument(metavar="BACKFILL", help="Its id, one end of it, or 'last'.")]


@backfills_app.callback()
def backfills(context: Context, as_json: Json = False) -> None:
    """List backfills and how far they are; show and cancel one."""
    if context.invoked_subcommand is None:
        backfills_list(context, "", 20, as_json)


@command("backfills list --json", name="list", to=backfills_app)
def backfills_list(
    context: Context,
    pipeline: Annotated[str, typer.Option("--pipeline", "-p", metavar="PIPELINE", help="Of one pipeline.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most so many.")] = 20,
    as_json: Json = False,
) -> int:
    """List backfills, newest first."""
    from stackhub.cli import backfilling

    return backfilling.backfills(where(context), pipeline=pipeline, limit=limit, as_json=as_json)


@command("backfills show last", name="show", to=backfills_app)
def backfills_show(context: Context, backfill: Backfill, as_json: Json = False) -> int:
    """Show a backfill: each interval, how it stands, and its run."""
    from stackhub.cli import backfilling

    return backfilling.show(where(context), backfill, as_json=as_json)


@command('backfills cancel last --reason "wrong month"', name="cancel", to=backfills_app)
def backfills_cancel(
    context: Context,
    backfill: Backfill,
    reason: Annotated[str, typer.Option("--reason", help="Stands in the history.")] = "",
) -> int:
    """End a backfill: what is running is asked to end, what waits does not begin."""
    from stackhub.cli import backfilling

    return backfilling.cancel(where(context), backfill, reason=reason)


@command("owed shop", LOOK)
def owed(context: Context, pipeline: AnyPipeline = "", as_json: Json = False) -> int:
    """List what is owed: nodes that were left because an input had not landed, built as soon as it has."""
    from stackhub.cli import owed as owing

    return owing.owed(where(context), pipeline, as_json=as_json)


@command("plan shop", LOOK)
def plan(
    context: Context,
    pipeline: AnyPipeline = "",
    as_json: Json = False,
    mermaid: Annotated[
        bool, typer.Option("--mermaid", help="A Mermaid flowchart; edges nobody wrote are dotted.")
    ] = False,
    live: Annotated[bool, typer.Option("--live", help="Ask dbt and the vendors which connection feeds what.")] = False,
    check: Annotated[bool, typer.Option("--check", help="As --live; exit 1 when nobody loads a source.")] = False,
) -> int:
    """Draw the graph that will run, and say why each edge is there, when it starts and who is told.

    What feeds a dbt task is shown as the hub has found it out, as long as the project's files are the same; --live
    asks dbt and the accounts now, and lists every source with who loads it.
    """
    from stackhub.cli import plan as plans

    return plans.plan(where(context), pipeline, as_json=as_json, mermaid=mermaid, live=live or check, check=check)


@command("rehearse shop --fail orders", LOOK)
def rehearse(
    context: Context,
    pipeline: Pipeline,
    fail: Annotated[
        list[str], typer.Option("--fail", metavar="TASK", help="This task fails; may be given again.")
    ] = [],  # noqa: B006 - typer copies it
    late: Annotated[
        list[str],
        typer.Option("--late", metavar="TASK[=1h]", help="This task takes so much longer; may be given again."),
    ] = [],  # noqa: B006 - likewise
    speed: Annotated[
        float,
        typer.Option("--speed", min=0, help="Print the lines so many times as quickly as they would come; 0: at once."),
    ] = 0,
    as_json: Json = False,
) -> int:
    """Play a pipeline's next run on a stage, in no time: what it would do and say; nothing is started, nobody told."""
    from stackhub.cli import rehearsing

    return rehearsing.rehearsal(where(context), pipeline, fail, late, speed, as_json=as_json)


@command("replay --since 30d --config staging/", LOOK)
def replay(
    context: Context,
    since: Annotated[
        str, typer.Option("--since", metavar="30d|DATE", help="From then on, as far back as history is kept.")
    ] = "30d",
    config: Annotated[
        str, typer.Option(CONFIG, metavar="DIR", help="Another configuration, to play the same history under.")
    ] = "",
    pipeline: Annotated[
        list[str], typer.Option("--pipeline", "-p", metavar="PIPELINE", help="Sum up this one; may be given again.")
    ] = [],  # noqa: B006 - typer copies it
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Tell what runs in shadow would have begun, beside what really landed.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Play recorded history again, also under another configuration: misses, messages, API calls, side by side."""
    from stackhub.cli import replaying, shadowing

    if shadow:
        return shadowing.shadows(where(context), since, config, pipeline, as_json=as_json)
    return replaying.replayed(where(context), since, config, pipeline, as_json=as_json)
