"""Who was told of a run's problems, and why others were not."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from rich.console import Console
from rich.text import Text

from stackhub.cli import exits, named, words
from stackhub.cli.where import Where
from stackhub.model.codec import dump
from stackhub.model.pipeline import Route
from stackhub.server.told import kept_of, told_view
from stackhub.store import queries


def explain(where: Where, typed: str, *, as_json: bool) -> int:
    """Explain one run's alerts."""
    now = datetime.now(UTC)
    with where.reader() as reader:
        there = named.there(reader)
        run = named.run(there, typed).run
        kept, mutes = there(partial(kept_of, run=run, now=now))
        known = there(queries.pipelines).get(run.pipeline)
    given = known.pipeline.alerts if known else None
    routes: tuple[Route, ...] = where.configuration().routes if given is None else given
    view = told_view(run, routes, kept, mutes, now, given=given is not None)
    if as_json:
        words.document(view)
        return exits.OK
    _show(view, where.hub().timezone)
    return exits.OK


def _show(view: Mapping[str, Any], zone: str) -> None:
    out = words.console()
    said = Text(f"{view['pipeline']} ", style="bold").append(f"{view['run']} is ", style="not bold")
    out.print(said.append(words.said(view["state"]), style=words.style(view["state"])))
    for sentence in view["because"]:
        out.print(Text(f"  - {words.clean(sentence)}"))
    if not view["incidents"]:
        for route in view["routes"]:
            owners = f" that concerns {', '.join(route['owners'])}" if route["owners"] else ""
            out.print(Text(f"  {route['route']} hears of {', '.join(route['on'])}{owners}", style="dim"))
    for incident in view["incidents"]:
        _incident(incident, zone, out)


def _incident(incident: Mapping[str, Any], zone: str, out: Console) -> None:
    state = f"resolved: {incident['resolution']}" if incident["resolved_at"] else "open"
    out.print(Text(f"{incident['key']}  ", style="bold").append(words.clean(incident["title"]), style="not bold"))
    since = words.stamp(datetime.fromisoformat(incident["opened_at"]), zone)
    out.print(Text(f"  {incident['id']}, since {since} {zone}; {words.clean(state)}", style="dim"))
    if incident["muted"]:
        out.print(Text(f"  muted: {words.clean(incident['muted']['reason'])}", style="magenta"))
    for heard in incident["heard_by"]:
        mark, style = ("told", "green") if heard["heard"] else ("not told", "yellow")
        if incident["shadow"] and heard["heard"]:
            mark, style = "shadow", "magenta"
        line = Text(f"  {mark:<8}  ", style=style).append(f"{heard['route']}: ", style="bold default")
        out.print(line.append(words.clean(heard["why"]), style="default"))
        for message in heard["messages"]:
            out.print(Text(f"    {_message(message, zone)}", style="dim"))
        if heard["receipt"]:
            out.print(Text(f"    answered: {words.clean(dump(heard['receipt']))}", style="dim"))


def _message(message: Mapping[str, Any], zone: str) -> str:
    at = words.stamp(datetime.fromisoformat(message["sent_at"] or message["created_at"]), zone)
    wrong = f": {words.first_line(message['error'])}" if message["error"] else ""
    tries = f" after {message['attempts']} tries" if message["attempts"] > 1 else ""
    state = "not sent: shadow" if message["state"] == "shadow" else message["state"]
    return words.clean(f"{at}  {message['event']} ({message['part']}) {state}{tries}{wrong}")
