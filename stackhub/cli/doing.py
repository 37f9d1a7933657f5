"""The commands that make things happen: run, serve, trigger, retry, cancel, skip, pause, resume."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from stackhub.cli.declare import (
    RUN,
    STEER,
    Context,
    Json,
    Only,
    Param,
    Pipeline,
    Run,
    RunOrStep,
    Wait,
    With,
    command,
    where,
)


@command("run shop --only marts --with marts.select=fct_orders", RUN)
def run(
    context: Context,
    pipeline: Pipeline,
    only: Only = [],  # noqa: B006 - typer copies it
    changes: With = [],  # noqa: B006 - as above
    given: Param = [],  # noqa: B006 - as above
    as_json: Json = False,
) -> int:
    """Run a pipeline once, here, with live progress.

    Needs no daemon; where one holds the store it is asked, and followed. Ctrl-C cancels the run; again, it leaves at
    once and the jobs go on. Alerts are delivered before it ends.
    """
    from stackhub.cli import run as runs

    return runs.run(where(context), pipeline, only=only, changes=changes, given=given, as_json=as_json)


@command("serve", RUN)
def serve(
    context: Context,
    migrate: Annotated[
        bool, typer.Option("--migrate", help="On PostgreSQL too, bring the tables of an older version up to date.")
    ] = False,
) -> int:
    """Run the daemon: schedules, alerts, the API and the page.

    SIGTERM ends it, SIGHUP reads the configuration again. Jobs outlive it.
    """
    import gc

    gc.disable()  # what is imported stays: looking for garbage in it took a fifth of the start
    import anyio

    from stackhub.cli.serve import serve as daemon

    gc.freeze()  # nor is it looked through ever again: that would stop all work for a tenth of a second, now and then
    gc.enable()
    here = where(context)
    return anyio.run(partial(daemon, here.directory, here.environ, migrate=migrate))


@command("demo --once", RUN)
def demo(
    once: Annotated[bool, typer.Option("--once", help="The first run alone.")] = False,
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="The fake vendors'; 0 takes any.")] = 0,
    speed: Annotated[float, typer.Option("--speed", min=0.1, max=100, help="Divides how long syncs take.")] = 1.0,
    keep: Annotated[Path | None, typer.Option("--keep", metavar="DIR", help="A new directory that stays.")] = None,
) -> int:
    """See the whole product on this machine: fake vendors, a real dbt project, the daemon and alerts."""
    from stackhub.cli.demo import demo as play

    return play(once=once, port=port, keep=keep, speed=speed)


@command("trigger shop --wait", RUN)
def trigger(
    context: Context,
    pipeline: Pipeline,
    only: Only = [],  # noqa: B006 - typer copies it
    changes: With = [],  # noqa: B006 - as above
    given: Param = [],  # noqa: B006 - as above
    wait: Wait = False,
) -> int:
    """Ask the daemon for a run, and print its id.

    It returns once the run is durably accepted. With no daemon it is kept, and obeyed when one starts.
    """
    from stackhub.cli import commands

    return commands.trigger(where(context), pipeline, only=only, changes=changes, given=given, wait=wait)


@command("backfill shop --from 2026-03-01 --to 2026-04-01 --dry-run", RUN)
def backfill(
    context: Context,
    pipeline: Pipeline,
    *,
    start: Annotated[str, typer.Option("--from", metavar="DAY", help="A day or a time; in the schedule's zone.")],
    to: Annotated[str, typer.Option("--to", metavar="DAY", help="As --from; not part of it.")],
    every: Annotated[str, typer.Option("--every", metavar="1d", help="In place of the schedule's ticks.")] = "",
    schedule: Annotated[int | None, typer.Option("--schedule", min=1, help="Which one, if there are several.")] = None,
    newest_first: Annotated[bool, typer.Option("--newest-first", help="Else the oldest interval is first.")] = False,
    parallel: Annotated[int, typer.Option("--parallel", min=1, max=100, help="Runs at once.")] = 1,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Go on although an interval has failed.")] = False,
    resync_first: Annotated[bool, typer.Option("--resync-first", help="Load everything anew once before.")] = False,
    extracts: Annotated[bool, typer.Option("--extracts", help="Run extracts in each interval as well.")] = False,
    only: Only = [],  # noqa: B006 - typer copies it
    changes: With = [],  # noqa: B006 - as above
    again: Annotated[bool, typer.Option("--again", help="Do again what is done as well.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the intervals.")] = False,
    wait: Wait = False,
    as_json: Json = False,
) -> int:
    """Run a pipeline for the past, once for each interval, and print the backfill's id.

    The same command again goes on with what is left; `stackhub backfills` shows how they stand. Runs of schedules go
    before the next interval. --json is for --dry-run.
    """
    from stackhub.cli import backfilling

    args = {
        "from": start,
        "to": to,
        "every": every,
        "schedule": schedule,
        "newest_first": newest_first,
        "parallel": parallel,
        "keep_going": keep_going,
        "resync_first": resync_first,
        "extracts": extracts,
        "only": only,
        "with": changes,
        "again": again,
    }
    return backfilling.backfill(where(context), pipeline, args, dry_run=dry_run, wait=wait, as_json=as_json)


@command("retry last --wait", RUN)
def retry(
    context: Context,
    run: Run,
    from_start: Annotated[bool, typer.Option("--from-start", help="Carry nothing over.")] = False,
    latest: Annotated[bool, typer.Option("--latest", help="Follow the pipeline as it is configured now.")] = False,
    lost: Annotated[bool, typer.Option("--lost", help="Of a run that goes on: jobs lost sight of are over.")] = False,
    wait: Wait = False,
) -> int:
    """Do again what a run did not get done, and print the new run's id.

    What succeeded is carried over, and the data's interval stays. With --lost, jobs that nobody can see any more, since
    their host is gone, are started again in the same run: say so only when you know that they have ended.
    """
    from stackhub.cli import commands

    return commands.retry(where(context), run, from_start=from_start, latest=latest, lost=lost, wait=wait)


@command('cancel last --reason "wrong day"', STEER)
def cancel(
    context: Context,
    run: Run,
    reason: Annotated[str, typer.Option("--reason", help="Stands in the history.")] = "",
    lost: Annotated[bool, typer.Option("--lost", help="Jobs that stackhub has lost sight of are over.")] = False,
) -> int:
    """End a run: its jobs are asked to stop, or let go where their tool has no cancel. Or a backfill, by its id."""
    from stackhub.cli import commands

    return commands.cancel(where(context), run, reason=reason, lost=lost)


@command('skip last.stripe --reason "vendor is down, see INC-12"', STEER)
def skip(
    context: Context,
    step: RunOrStep,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept in the history.")],
) -> int:
    """Go on without a broken step. Of a run that has failed, a retry does so."""
    from stackhub.cli import commands

    return commands.skip(where(context), step, reason=reason)


@command('pause shop --reason "warehouse upgrade"', STEER)
def pause(
    context: Context,
    pipeline: Pipeline,
    reason: Annotated[str, typer.Option("--reason", help="Shown everywhere.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would not fire.")] = False,
) -> int:
    """Let a pipeline's schedules start nothing; what goes on goes on."""
    from stackhub.cli import pausing

    return pausing.pause(where(context), pipeline, reason=reason, dry_run=dry_run)


@command("resume shop", STEER)
def resume(
    context: Context,
    pipeline: Pipeline,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would fire.")] = False,
    as_json: Json = False,
) -> int:
    """Let a pipeline's schedules go on; its catchup says what becomes of the ticks in between."""
    from stackhub.cli import pausing

    return pausing.resume(where(context), pipeline, dry_run=dry_run, as_json=as_json)
