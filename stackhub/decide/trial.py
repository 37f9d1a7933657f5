"""What goes down a route that is tried: messages that say that they are a test. Pure."""

from dataclasses import replace
from datetime import datetime

from stackhub.contract import Event, Message, Part, Severity, Speaks
from stackhub.decide.message import Post
from stackhub.decide.routes import RouteIn


def trial(incident: str, dedup: str, by: str, route: RouteIn, now: datetime) -> list[Post]:
    """Return the messages for one route; what rings an alarm is told at once that it is over."""
    live = Message(
        incident=incident,
        dedup=dedup,
        part=Part.ENTRY if route.speaks is Speaks.PLAIN else Part.ROOT,
        event=Event.TEST,
        severity=Severity.INFO,
        title="A test from stackhub",
        summary=f"Sent by {by}. Nothing is wrong; this route works.",
        at=now,
        since=now,
    )
    posts = [Post(route=route, seq=1, part=live.part, message=live, due=now)]
    if route.speaks is Speaks.ALARM:
        over = replace(live, event=Event.RESOLVED, summary="The test is over.")
        posts.append(Post(route=route, seq=2, part=over.part, message=over, due=now))
    return posts
