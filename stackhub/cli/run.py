"""One run in the foreground: by the daemon where one holds the store, else by an engine of our own."""

import logging
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, NoReturn

import anyio
import structlog
from rich.console import Console
from rich.text import Text

from stackhub.cli import asking, commands, exits, named, picture, progress, words
from stackhub.cli.asking import LOCK, WRITTEN_BY, Done, Wish
from stackhub.cli.follow import How, Keys, Local, Remote, Source, follow
from stackhub.cli.where import Where
from stackhub.config.read import Configuration
from stackhub.engine.engine import Engine, attend
from stackhub.model.run import OpenRun, RunState
from stackhub.server.redact import Redactor
from stackhub.server.views import show_view
from stackhub.store import queries, shown
from stackhub.store.lock import holder
from stackhub.store.store import open_store

TELLING: Final = 30.0  # seconds for the alerts of a run


def run(where: Where, pipeline: str, *, only: list[str], changes: list[str], given: list[str], as_json: bool) -> int:
    """Make one run and stay with it."""
    options, handed = commands.changed(changes), commands.params(given)
    commands.part(where.configuration(), pipeline, only, options, where.environ)
    out = words.console(stderr=as_json)
    return anyio.run(carry_out, where, asking.trigger(pipeline, only, options, handed), pipeline, out, as_json)


async def carry_out(
    where: Where,
    wish: Wish,
    pipeline: str,
    out: Console,
    as_json: bool = False,
    accepted: Callable[[Done], None] = lambda _: None,
    keys: Keys | None = None,
) -> int:
    """Ask for a run and stay with it until it has ended: the daemon's, or where there is none our own.

    ``accepted`` hears of it before it is followed; ``keys`` are what Ctrl-C means while somebody else attends it.
    """
    hub = where.hub()
    done = await asking.obeyed(hub, wish)
    if done is None and holder(hub.state_dir / LOCK) is not None:
        done = await asking.keep(hub, wish)
    if done is None:
        configuration = where.configuration()
        with logged(out, Redactor(configuration.secrets)):
            return await _here(configuration, where.environ, wish, pipeline, out, as_json, accepted)
    accepted(done)
    out.print(Text(done.told or "a daemon has the store: it was asked, and is followed", style="dim"))
    with where.reader() as reader:
        source = Remote(hub, named.there(reader), done.run)
        return await stay(source, out, hub.timezone, pipeline, keys or Keys(cancels=True), as_json)


async def stay(source: Remote, out: Console, zone: str, pipeline: str, keys: Keys, as_json: bool) -> int:
    """Stay with a run that somebody else attends, and say how it went."""
    reader = source.reader
    usual = reader(partial(queries.usual, pipeline=pipeline))
    async with anyio.create_task_group() as group:
        await group.start(keys.listen)
        with progress.screen(out, zone, usual) as screen:
            found, how = await follow(source, screen, keys)
        group.cancel_scope.cancel()
    if found is None or how is not How.ENDED:
        return _unfinished(source, how)
    nodes = reader(partial(queries.nodes, run_id=found.run.id))
    events = reader(partial(queries.events, run_id=found.run.id))
    progress.summary(out, found, usual, picture.failures(found, nodes))
    if as_json:
        words.document(show_view(found, events, nodes, usual, datetime.now(UTC)))
    return _code(found, keys)


def _unfinished(source: Source, how: How) -> int:
    if how is How.LEFT:
        exits.say("left: the run and its jobs go on")
        return exits.INTERRUPTED
    why = source.stuck()
    exits.say(why.detail if why else "it does not end")
    return exits.FAILED


def _code(found: OpenRun, keys: Keys) -> int:
    if found.run.state is RunState.SUCCEEDED:
        return exits.OK
    return exits.INTERRUPTED if keys.pressed and found.run.state is RunState.CANCELLED else exits.FAILED


# --- with an engine of our own ---------------------------------------------------------------------------------------


async def _here(
    configuration: Configuration,
    environ: Mapping[str, str],
    wish: Wish,
    pipeline: str,
    out: Console,
    as_json: bool,
    accepted: Callable[[Done], None],
) -> int:
    hub, keys = configuration.hub, Keys(cancels=True)
    url = hub.database_url.get_secret_value()
    async with (
        open_store(url, hub.state_dir, written_by=WRITTEN_BY) as store,
        attend(configuration, store, environ, state=hub.state_dir, schedule=False) as engine,
        anyio.create_task_group() as group,
    ):
        await group.start(keys.listen)
        _tell_others(engine, "", out, "found open, and attended as well")
        made = await engine.commands.submit(wish.kind, wish.args, asking.somebody())
        accepted(Done(result=made))
        usual = await store.read(partial(queries.usual, pipeline=pipeline))
        source = Local(engine, made["run"], pipeline)
        keys.wake = engine.board.crier.cry
        with progress.screen(out, hub.timezone, usual) as screen:
            found, how = await follow(source, screen, keys)
        nodes = await store.read(partial(queries.nodes, run_id=source.run))
        events = await store.read(partial(queries.events, run_id=source.run))
        code = _code(found, keys) if found is not None and how is How.ENDED else _unfinished(source, how)
        if found is not None and how is not How.LEFT:
            progress.summary(out, found, usual, picture.failures(found, nodes))
            await _told(engine, out, keys)
        _tell_others(engine, source.run, out, "still open: attended again by the next hub")
        group.cancel_scope.cancel()
    if as_json and found is not None:
        words.document(show_view(found, events, nodes, usual, datetime.now(UTC)))
    return code


def _tell_others(engine: Engine, mine: str, out: Console, what: str) -> None:
    others = [one for one in engine.board.runs() if one.run.id != mine]
    if others:
        names = words.listed(f"{one.run.pipeline} {one.run.id}" for one in others)
        out.print(Text(f"{words.counted(len(others), 'other run')} {what}: {names}", style="dim"))


async def _told(engine: Engine, out: Console, keys: Keys) -> None:
    """Deliver the alerts, and say which could not be."""
    until = datetime.now(UTC) + timedelta(seconds=TELLING)
    with anyio.CancelScope() as scope:
        keys.wake = scope.cancel
        await engine.drained(TELLING)
    sent = await engine.store.read(partial(shown.outbox, state="sent"))
    heard = {one.instance: one.message for one in reversed(sent) if one.created_at >= engine.started_at}
    for instance, message in sorted(heard.items()):
        said = f"told {instance}: {message.title} ({message.event})"
        out.print(Text(words.clean(said), style="dim"))
    waiting = await engine.store.read(partial(shown.outbox, state="pending"))
    lost = await engine.store.read(partial(shown.outbox, state="undeliverable"))
    for one in [*(one for one in waiting if one.due <= until or one.attempts), *lost]:
        if one.created_at < engine.started_at:
            continue
        why = words.first_line(one.error) or "no answer yet"
        kept = "; it is kept, and told when a hub runs" if one.state == "pending" else ""
        out.print(Text(f"! {one.instance} could not be told: {one.message.title}: {why}{kept}", style="red"))


# --- what the engine logs --------------------------------------------------------------------------------------------


@contextmanager
def logged(out: Console, hide: Redactor) -> Iterator[None]:
    """Show the engine's warnings as lines, without secrets, and nothing else of its log."""

    def line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> NoReturn:
        level, text = event.pop("level", "warning"), str(event.pop("event", ""))
        said = ", ".join(
            f"{name}: {words.first_line(str(value))}" for name, value in event.items() if name != "exc_info"
        )
        whole = hide(f"! {text}{f' ({said})' if said else ''}")
        out.print(Text(words.clean(whole), style="yellow" if level == "warning" else "red"))
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.add_log_level, line],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
