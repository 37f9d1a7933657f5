"""What people are told: the open incidents, what could not be delivered, tests, and closing by hand."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import anyio
from rich.text import Text

from stackhub.cli import asking, exits, mutes, named, words
from stackhub.cli.run import logged
from stackhub.cli.where import Where
from stackhub.config.read import Configuration
from stackhub.decide.incident import head
from stackhub.decide.mute import muting
from stackhub.engine.engine import attend
from stackhub.errors import Refused
from stackhub.model.incident import Incident
from stackhub.model.mute import Mute
from stackhub.model.words import Severity
from stackhub.server.redact import Redactor
from stackhub.server.told import mute_view
from stackhub.server.views import incident_view, message_view
from stackhub.store import queries, shown
from stackhub.store.lock import holder
from stackhub.store.reading import Reader
from stackhub.store.shown import Posted
from stackhub.store.store import open_store

PATIENCE: Final = 30.0  # seconds for a test
TRIES: Final = 2  # failed ones, after which a test's message is not waited for
SOON: Final = timedelta(seconds=5)  # nor is one that was refused, whose next try is further away
LOOK: Final = 0.2
ERROR_LINES: Final = 4
MOST: Final = 500  # messages that were not told
EACH: Final = 3  # of them are listed one by one where they are alike


def alerts(where: Where, *, as_json: bool) -> int:
    """List the open incidents, the mutes, and what could not be told."""
    now = datetime.now(UTC)
    with where.reader() as reader:
        opened = reader(queries.open_incidents) if reader else []
        lost = _lost(reader) if reader else []
        silent = mutes.listed(reader, now) if reader else []
    opened.sort(key=lambda incident: incident.id, reverse=True)
    if as_json:
        document = {
            "incidents": [incident_view(one) for one in opened],
            "undelivered": [message_view(one) for one in lost],
            "mutes": [mute_view(one, now) for one in silent],
        }
        words.document(document)
        return exits.OK
    if not opened:
        print("no open incidents")
    else:
        _list(opened, where.hub().timezone, silent)
    mutes.show(silent, where.hub().timezone, now)
    _list_lost(lost)
    return exits.OK


def _lost(reader: Reader) -> list[Posted]:
    """Return what could not be told so far, or at all; only of the last messages, since a mended route is no news."""
    waiting = reader(partial(shown.outbox, state="pending", failed=True, limit=MOST))
    return [*waiting, *reader(partial(shown.outbox, state="undeliverable", limit=MOST))]


def _list(opened: Sequence[Incident], zone: str, silent: Sequence[Mute]) -> None:
    out, now = words.console(), datetime.now(UTC)
    for one in opened:
        facet = head(one)
        told = words.listed(sorted({knows.instance for knows in one.routes.values()})) or "nobody"
        heard = f"not sent: shadow; it would have told: {told}" if one.shadow else f"told: {told}"
        style = "bold red" if one.severity.at_least(Severity.ERROR) else "yellow"
        line = Text(one.severity.value, style=style).append(f"  {words.clean(facet.title)}", style="default")
        out.print(line)
        for said in words.shortened(facet.error, ERROR_LINES):
            out.print(Text(f"  {said}"))
        since = f"since {words.stamp(one.opened_at, zone)} {zone}, for {words.length(now - one.opened_at)}"
        if (mute := muting(silent, one, now)) is not None:
            out.print(Text(f"  muted: {words.clean(mute.reason)}", style="magenta"))
        out.print(Text(f"  {since}; {heard}; incident {one.id} ({one.key})", style="dim"))


def _list_lost(lost: Sequence[Posted]) -> None:
    """List what was lost; of many to the same notifier for the same reason the last, and how many there are."""
    out = words.console()
    alike: dict[tuple[str, str, str], list[Posted]] = {}
    for one in lost:
        alike.setdefault((one.instance, one.state, words.first_line(one.error)), []).append(one)
    for (instance, kept, why), several in alike.items():
        state = "is tried again" if kept == "pending" else "given up"
        shown_each = several if len(several) <= EACH else several[:1]
        for one in shown_each:
            said = f"! {instance} could not be told ({state}): {one.message.title}: {why}"
            out.print(Text(words.clean(said), style="red"))
        if len(several) > EACH:
            many = f"{len(several) - 1}{' or more' if len(lost) >= MOST else ''}"
            out.print(Text(f"  and {many} before it, for the same reason", style="red"))


def close(where: Where, incident: str, *, reason: str) -> int:
    """Close an incident by hand; whoever was told of it is told so."""

    def check() -> None:
        with where.reader() as reader:
            opened = reader(queries.open_incidents) if reader else []
        if not any(incident in (one.id, one.key) for one in opened):
            names = ", ".join(f"{one.id} ({one.key})" for one in opened) or "none"
            raise Refused(f"no open incident {incident!r}; there are: {names}")

    done = anyio.run(asking.ask, where, asking.close(incident, reason), check)
    exits.say(done.told or f"incident {done.result.get('incident', incident)} is closed")
    return exits.OK


# --- a test ----------------------------------------------------------------------------------------------------------


def test(where: Where, pipeline: str, *, as_json: bool) -> int:
    """Send a test down each route, and say of each whether it arrived."""
    configuration = where.configuration()
    if pipeline:
        named.pipeline(pipeline, configuration.pipelines)
    with logged(words.console(stderr=True), Redactor(configuration.secrets)):
        posts = anyio.run(_test, where, configuration, pipeline)
    good = bool(posts) and all(one.state == "sent" for one in posts)
    if as_json:
        words.document([message_view(one) for one in posts])
        return exits.OK if good else exits.FAILED
    out = words.console()
    rows = [
        (
            one.instance,
            Text("delivered", style="green") if one.state == "sent" else Text("undelivered", style="bold red"),
            f"{one.message.event.value}{f': {words.first_line(one.error)}' if one.error else ''}",
        )
        for one in posts
    ]
    words.table(out, ("route", "", "message"), rows)
    return exits.OK if good else exits.FAILED


async def _test(where: Where, configuration: Configuration, pipeline: str) -> list[Posted]:
    hub = configuration.hub
    done = await asking.obeyed(hub, asking.test_alerts(pipeline))
    if done is None and holder(hub.state_dir / asking.LOCK) is not None:
        raise Refused("a run in the foreground has the store open: ask again when it has ended")
    if done is not None:
        with where.reader() as reader:
            assert reader is not None  # noqa: S101 - a daemon has just written to it
            return await _delivered(reader, done.result)
    return await _here(where, configuration, pipeline)


async def _here(where: Where, configuration: Configuration, pipeline: str) -> list[Posted]:
    hub, url = configuration.hub, configuration.hub.database_url.get_secret_value()
    async with (
        open_store(url, hub.state_dir, written_by=asking.WRITTEN_BY) as store,
        attend(configuration, store, where.environ, state=hub.state_dir, schedule=False) as engine,
    ):
        result = await engine.commands.submit("test", {"pipeline": pipeline}, asking.somebody())
        with where.reader() as reader:
            assert reader is not None  # noqa: S101 - we have just made it
            return await _delivered(reader, result)


async def _delivered(reader: Reader, result: Mapping[str, Any]) -> list[Posted]:
    """Wait until every message of a test has arrived, or has failed."""
    posts: list[Posted] = []
    with anyio.move_on_after(PATIENCE):
        while True:
            posts = reader(partial(shown.outbox, incident=str(result["incident"])))
            if all(one.state != "pending" or _failed(one) for one in posts):
                break
            await anyio.sleep(LOOK)
    return sorted(posts, key=lambda one: one.id)


def _failed(one: Posted) -> bool:
    far = one.due - datetime.now(UTC) > SOON
    return bool(one.error) and (far or one.attempts >= TRIES)
