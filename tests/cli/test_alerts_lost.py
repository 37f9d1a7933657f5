"""What could not be delivered, told to a person: of hundreds the last, why, and how many."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from stackhub.contract import Event, Message, Part, Severity, Speaks
from stackhub.decide.message import Post
from stackhub.decide.routes import RouteIn
from stackhub.engine.incidents import posted
from stackhub.model.ids import Ids
from stackhub.store import database
from stackhub.store import tables as t

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.fixture
def lose(stackhub, directory):
    """Put messages into the outbox that did not get through."""
    assert stackhub("run", "broken").code == 1
    (path,) = directory.rglob("stackhub.db")

    def put(instance, state, error, many):
        made, ids = database.engine(f"sqlite:///{path}"), Ids()
        route = RouteIn(id=instance, instance=instance, speaks=Speaks.PLAIN, on=frozenset())
        with made.begin() as connection:
            for nth in range(many):
                told = Message(
                    incident=f"I{nth}",
                    dedup=str(nth),
                    part=Part.ENTRY,
                    event=Event.OPENED,
                    severity=Severity.ERROR,
                    title=f"p{nth} failed",
                    at=NOW,
                    since=NOW,
                )
                op = posted(
                    ids.make(NOW), told.incident, Post(route=route, seq=1, part=Part.ENTRY, message=told, due=NOW), NOW
                )
                connection.execute(sa.insert(t.outbox), {**op.row, "state": state, "error": error})
        made.dispose()

    return put


def test_of_hundreds_the_last_and_how_many(stackhub, lose):
    lose("slack", "pending", "connection refused", 200)
    lose("slack", "pending", "", 100)
    lose("pagerduty", "undeliverable", "400: invalid event\nand more", 2)
    lines = [line for line in stackhub("alerts").lines if "told" in line or "before it" in line]
    assert lines[1:] == [
        "! slack could not be told (is tried again): p199 failed: connection refused",
        "  and 199 before it, for the same reason",
        "! pagerduty could not be told (given up): p1 failed: 400: invalid event",
        "! pagerduty could not be told (given up): p0 failed: 400: invalid event",
    ]
    assert len(stackhub("alerts", "--json").json["undelivered"]) == 202
