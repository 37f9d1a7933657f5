"""pause and resume, and what they hold back or let go."""

from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import anyio

from stackhub.cli import asking, exits, words
from stackhub.cli.commands import part
from stackhub.cli.where import Where
from stackhub.model.run import RUN_OPEN
from stackhub.server.coming import preview
from stackhub.store import configure, queries

SHOWN: Final = 8  # ticks of a pause
COMING: Final = 3  # ticks to come
BECOMES: Final = {
    "run": "runs at once",
    "queue": "waits its turn",
    "skip": "is skipped",
    "cancel": "takes the place of a run",
}


def pause(where: Where, pipeline: str, *, reason: str, dry_run: bool) -> int:
    """Let a pipeline's schedules start nothing."""
    if dry_run:
        _will_wait(where, pipeline)
        return exits.OK
    wish = asking.of_pipeline("pause", pipeline, reason=reason)
    done = anyio.run(asking.ask, where, wish, partial(_known, where, pipeline))
    already = "already " if done.result.get("already") else ""
    exits.say(done.told or f"{pipeline} is {already}paused: its schedules wait until `stackhub resume {pipeline}`")
    if not done.told:
        _will_wait(where, pipeline)
    return exits.OK


def resume(where: Where, pipeline: str, *, dry_run: bool, as_json: bool) -> int:
    """Let a pipeline's schedules go on."""
    view = _preview(where, pipeline)
    if dry_run:
        if as_json:
            words.document(view)
            return exits.OK
        if view is None or not view["paused"]:
            _known(where, pipeline)
            exits.say(f"{pipeline} is not paused")
        _tell(view)
        return exits.OK
    done = anyio.run(asking.ask, where, asking.of_pipeline("resume", pipeline), partial(_known, where, pipeline))
    already = " already" if done.result.get("already") else ""
    exits.say(done.told or f"{pipeline} is{already} no longer paused: `stackhub next {pipeline}` shows what comes")
    if not done.result.get("already") and not done.kept:
        _tell(view)
    return exits.OK


def _preview(where: Where, pipeline: str) -> dict[str, Any] | None:
    """Say what resuming a pipeline would do now, and what fires then; None where nothing was ever in force."""
    with where.reader() as reader:
        if reader is None:
            return None
        known = {name: one for name, one in reader(queries.pipelines).items() if not one.retired}
        if pipeline not in known:
            return None
        scheduled = [one for one in reader(configure.schedules) if one.pipeline == pipeline]
        going = [
            run for state in RUN_OPEN for run in reader(partial(queries.runs, pipeline=pipeline, state=state.value))
        ]
        return preview(known[pipeline], scheduled, going, datetime.now(UTC))


def _tell(view: dict[str, Any] | None) -> None:
    """Say what becomes of the ticks of a pause when it ends, and what fires next."""
    if view is None:
        return
    ticks = view["ticks"]
    if len(ticks) > SHOWN:
        exits.say(f"  {words.counted(len(ticks) - SHOWN, 'tick')} before these: the same catchup, {view['catchup']}")
    for tick in ticks[-SHOWN:]:
        exits.say(f"  {tick['local']} {BECOMES[tick['becomes']]}: {tick['reason']}")
    for tick in view["next"][:COMING]:
        exits.say(f"  {tick['local']} fires next")


def _will_wait(where: Where, pipeline: str) -> None:
    view = _preview(where, pipeline)
    if view is None:
        _known(where, pipeline)
        return
    for tick in view["next"][:COMING]:
        exits.say(f"  {tick['local']} waits")
    exits.say(
        f"  what becomes of them is catchup's to say, which is {view['catchup']}: stackhub resume {pipeline} --dry-run"
    )


def _known(where: Where, pipeline: str) -> None:
    part(where.configuration(), pipeline, (), {}, where.environ)
