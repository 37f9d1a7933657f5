"""One incident, as it goes on, and those who hear of it."""

from dataclasses import replace
from datetime import timedelta

from decide.worlds import T0

from stackhub.contract import Severity, Speaks
from stackhub.decide.incident import cease, observe
from stackhub.decide.message import Voice
from stackhub.decide.routes import RouteIn
from stackhub.model.incident import Facet, Incident
from stackhub.model.pipeline import OPENING, Told

VOICE = Voice(installation="here", source="stackhub at shop")
NEW = Incident(id="I1", key="pipeline:shop", opened_at=T0, severity=Severity.WARNING, pipeline="shop")
FAILED = Facet(
    kind=Told.FAILED,
    since=T0,
    severity=Severity.ERROR,
    title="shop failed: orders",
    cause="failed: orders",
    summary="Nothing is tried again by itself.",
    error="boom",
    facts=(("Attempts", "3 of 3"),),
    links=(("Run", "https://hub/runs/R1"),),
)
LATE = Facet(kind=Told.LATE, since=T0, severity=Severity.ERROR, title="shop is late")
STALLED = Facet(kind=Told.STALLED, since=T0, severity=Severity.WARNING, title="lost sight of orders")


def route(speaks, **changes):
    return replace(RouteIn(id=f"to-{speaks}", instance=str(speaks), speaks=speaks, on=frozenset(OPENING)), **changes)


LIVE, PLAIN, ALARM = route(Speaks.LIVE), route(Speaks.PLAIN), route(Speaks.ALARM)


class Story:
    """One incident, as it goes on."""

    def __init__(self, *routes):
        self.routes, self.incident, self.posts, self.now = routes, NEW, (), T0

    def _after(self, change):
        self.posts = change.posts if change else ()
        self.incident = change.incident if change else self.incident
        self.now += timedelta(minutes=1)
        return self

    def see(self, facet):
        return self._after(observe(self.incident, facet, self.routes, VOICE, self.now))

    def end(self, *kinds, why="run R2 succeeded"):
        return self._after(cease(self.incident, kinds, self.routes, VOICE, self.now, why))

    @property
    def said(self):
        return [(post.part.value, post.message.event.value, post.message.summary) for post in self.posts]
