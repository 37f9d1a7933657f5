"""What is to be expected is shown: of an open run, of a tick to come; and said in a person's words."""

from datetime import UTC, datetime

from server.ground import PIPELINE, asked_for, grounds

from stackhub.model.codec import dump
from stackhub.server import forecasting
from stackhub.store import transaction as tx
from stackhub.store.tables import micros
from stackhub.store.transaction import Op, Transaction

PROMISED = PIPELINE + "sla: {max_duration: 1m}\n"


async def remember(engine, **tasks):
    for name, lasted in tasks.items():
        row = {
            "instance": "toy",
            "key": f"task:shop/{name}",
            "ended_at": micros(datetime.now(UTC)),
            "data": dump(lasted),
        }
        await engine.store.apply(Transaction().add(Op(tx.DURATION, row)))


async def test_an_open_run_shows_when_it_will_be_done_and_what_it_will_miss(tmp_path):
    async with grounds(tmp_path, pipeline=PROMISED) as ground, ground.ask() as client:
        await remember(ground.engine, orders=[300.0 + n for n in range(9)], marts=[600.0 + n for n in range(9)])
        run = await asked_for(client)
        shown = (await client.get(f"/api/v1/runs/{run}")).json()
        ahead = shown["forecast"]
        took = datetime.fromisoformat(ahead["finish_p50"]) - datetime.fromisoformat(shown["created_at"])
        assert 880 < took.total_seconds() < 930
        assert ahead["finish_p50"] < ahead["finish_p90"]
        assert ahead["waits_on"] == "orders"
        assert [(one["kind"], one["risk"] > 0.95) for one in ahead["deadlines"]] == [("max_duration", True)]
        [tick] = (await client.get("/api/v1/next")).json()
        assert tick["forecast"]["deadlines"][0]["risk"] > 0.95
        ground.toy.end("orders")
        ground.toy.end("marts")
        assert (await ground.until(run))["forecast"] is None


async def test_without_history_it_is_said_that_nothing_is_predicted(tmp_path):
    async with grounds(tmp_path, pipeline=PROMISED) as ground, ground.ask() as client:
        run = await asked_for(client)
        ahead = (await client.get(f"/api/v1/runs/{run}")).json()["forecast"]
    assert (ahead["finish_p50"], ahead["unknown"]) == (None, ["orders", "marts"])
    assert forecasting.said(ahead, "UTC") == ["no finish is predicted: orders, marts ended well fewer than 5 times"]


def test_it_is_said_with_the_clock_of_the_reader_and_never_too_surely():
    seen = {
        "finish_p50": "2026-11-02T06:41:00Z",
        "finish_p90": "2026-11-02T06:55:30Z",
        "waits_on": "crm",
        "unknown": [],
        "deadlines": [{"kind": "finish_by", "at": "2026-11-02T06:30:00Z", "text": "finish by 07:30", "risk": 1.0}],
    }
    assert forecasting.said(seen, "Europe/Berlin") == [
        "expected at 07:41 Europe/Berlin, by 07:55 in nine of ten cases; waiting on crm",
        "finish by 07:30: more than 99 % to miss it",
    ]
    sure = {**seen, "unknown": ["crm"], "finish_p50": None}
    assert forecasting.said(sure, "UTC")[1] == "finish by 07:30: at the least more than 99 % to miss it"
