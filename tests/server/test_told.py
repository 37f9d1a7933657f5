"""Mutes over HTTP, and who was told of a run's problems."""

from datetime import UTC, datetime, timedelta

from server.ground import asked_for

from stackhub.contract import Connection, Health, Outcome, Relation
from stackhub.store import connections
from stackhub.store.transaction import Transaction

API = "/api/v1"


def soon(**by):
    return (datetime.now(UTC) + timedelta(**by)).isoformat()


async def failing(ground, client):
    run = await asked_for(client)
    ground.toy.end("orders", Outcome.FAILED)
    await ground.until(run, "failed")
    return run


async def test_a_mute_is_kept_listed_and_ended(ground, client):
    until = soon(hours=1)
    made = await client.post(f"{API}/alerts/mute", json={"target": "shop", "until": until, "reason": "known"})
    assert (made.status_code, made.json()["key"]) == (200, "pipeline:shop")
    [listed] = (await client.get(f"{API}/alerts/mutes")).json()
    assert (listed["key"], listed["by"], listed["reason"], listed["in_force"]) == (
        "pipeline:shop",
        "api",
        "known",
        True,
    )
    assert datetime.fromisoformat(listed["until"]) == datetime.fromisoformat(until)
    ended = await client.post(f"{API}/alerts/unmute", json={"target": "shop"})
    assert ended.json() == {"key": "pipeline:shop", "unmuted": True}
    assert (await client.get(f"{API}/alerts/mutes")).json() == []
    assert (await client.post(f"{API}/alerts/unmute", json={"target": "shop"})).status_code == 409


async def test_a_mute_without_a_reason_a_zone_or_an_end_is_refused(client):
    for body in (
        {"reason": ""},
        {"until": "2099-01-01T00:00:00"},
        {"until": "9999-12-31T23:59:59-14:00"},
        {"until": 1e18},
    ):
        asked = {"target": "shop", "until": soon(hours=1), "reason": "known", **body}
        assert (await client.post(f"{API}/alerts/mute", json=asked)).status_code in {409, 422}, body
    assert (await client.get(f"{API}/alerts/mutes")).json() == []


async def test_a_run_says_whom_its_failure_was_told(ground, client):
    run = await failing(ground, client)
    told = (await client.get(f"{API}/runs/{run}/told")).json()
    [incident] = told["incidents"]
    [route] = incident["heard_by"]
    assert (route["route"], route["heard"], route["why"]) == ("bell", True, "it hears of failed")
    assert [message["event"] for message in route["messages"]] == ["opened"]
    assert (told["because"], incident["runs"]) == ([], [run])


async def test_a_run_says_that_its_failure_is_muted_and_so_does_the_run_itself(ground, client):
    await client.post(f"{API}/alerts/mute", json={"target": "shop", "until": soon(hours=1), "reason": "known"})
    run = await failing(ground, client)
    [incident] = (await client.get(f"{API}/runs/{run}/told")).json()["incidents"]
    [route] = incident["heard_by"]
    assert (route["heard"], route["messages"], incident["untold"]) == (False, [], True)
    assert "pipeline:shop is muted until" in route["why"]
    assert incident["muted"]["reason"] == "known"
    shown = (await client.get(f"{API}/runs/{run}")).json()
    assert (shown["muted"]["by"], shown["muted"]["reason"]) == ("api", "known")


async def test_a_run_that_nobody_was_told_of_says_why(ground, client):
    run = await asked_for(client)
    told = (await client.get(f"{API}/runs/{run}/told")).json()
    assert told["incidents"] == []
    assert told["because"] == ["it has not ended, and nothing of it has failed, is late or is out of sight"]
    ground.toy.end("orders")
    ground.toy.end("marts")
    await ground.until(run)
    told = (await client.get(f"{API}/runs/{run}/told")).json()
    assert told["because"] == ["it succeeded, was in time, and no incident of its pipeline was open"]
    assert [route["route"] for route in told["routes"]] == ["bell"]


async def test_connections_are_shown_with_who_loads_them_and_what_is_wrong(ground, client):
    held = {
        "c1": Connection(id="c1", name="orders", health=Health.PAUSED, schedule="every 6 h"),
        "c2": Connection(id="c2", name="other", health=Health.OK, relations=(Relation("db", "raw", "t"),)),
    }
    rows = connections.seen("toy", {}, held, datetime.now(UTC))
    await ground.engine.store.apply(Transaction().add(*rows))
    shown = (await client.get(f"{API}/connections")).json()
    assert [(one["instance"], one["name"], one["health"], one["used_by"]) for one in shown] == [
        ("toy", "orders", "paused", []),
        ("toy", "other", "ok", []),
    ]
    assert shown[1]["tables"] == ["db.raw.t"]
    assert (await client.get(f"{API}/connections?instance=nobody")).json() == []
