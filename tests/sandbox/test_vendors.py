"""The demo's env files and pipeline, against the fake vendors that come with the connectors."""

import shlex
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path

import httpx
import pytest
import yaml
from dotenv import dotenv_values

from stackhub import registry
from stackhub.contract import Context, Finished, Job, Outcome, Probe
from stackhub.sandbox import demo_directory
from stackhub.sandbox.mount import PORT, open_stage
from stackhub.sandbox.shop import FEEDS, Shop
from stackhub.testing import Clock

CONNECTORS = Path(__file__).parents[2] / "docs" / "connectors.md"
PLAYED = ["airbyte", "fivetran", "pagerduty", "slack"]
EXTRACTS = ["customers", "orders", "payments"]


@pytest.fixture
def pipeline():
    return yaml.safe_load((demo_directory() / "pipelines" / "shop.yaml").read_text())


@asynccontextmanager
async def a_stage(**world):
    connectors = [registry.load(name) for name in PLAYED]
    async with open_stage(connectors, feeds=FEEDS, **world) as stage:
        yield stage


@asynccontextmanager
async def opened(name, stage, clock):
    connector = registry.load(name)
    settings = connector.settings(_env_file=demo_directory() / f"{name}.env")
    context = Context(instance=name, transport=httpx.ASGITransport(stage), now=clock.now, sleep=clock.sleep)
    async with connector.open(settings, context) as instance:
        yield connector, instance


@pytest.mark.parametrize("name", PLAYED)
async def test_an_env_file_of_the_demo_holds_what_the_vendor_asks_for(name):
    async with a_stage() as stage:
        wanted = stage.environment(f"http://127.0.0.1:{PORT}")[name]
    assert dotenv_values(demo_directory() / f"{name}.env") == dict(wanted)


async def test_what_the_front_page_prints_can_be_pasted_into_an_env_file():
    url = f"http://127.0.0.1:{PORT}"
    async with (
        a_stage() as stage,
        httpx.AsyncClient(transport=httpx.ASGITransport(stage), base_url=url) as client,
    ):
        printed = [line for line in (await client.get("/")).text.splitlines() if line.startswith("  ")]
        wanted = {key: value for one in stage.environment(url).values() for key, value in one.items()}
    pasted = dotenv_values(stream=StringIO("\n".join(line for line in printed if "curl" not in line)))
    assert pasted == wanted


async def test_the_orders_that_the_documentation_shows_are_followed():
    lines = [shlex.split(line) for line in CONNECTORS.read_text().splitlines() if line.startswith("curl -d ")]
    assert len(lines) > 3
    url = f"http://127.0.0.1:{PORT}"
    async with (
        a_stage() as stage,
        httpx.AsyncClient(transport=httpx.ASGITransport(stage), base_url=url) as client,
    ):
        for _curl, _d, body, address in lines:
            answer = await client.post(address.partition(str(PORT))[2], content=body)
            assert answer.status_code == 200, answer.text
        fivetran, slack = stage.vendors["fivetran"], stage.vendors["slack"]
        assert (fivetran.started("shop_crm"), fivetran.hook, len(slack.faults)) == (
            1,
            "http://127.0.0.1:8787/hooks/fivetran",
            1,
        )


async def test_every_vendor_of_the_demo_has_an_env_file():
    async with a_stage() as stage:
        assert set(stage.vendors) == set(PLAYED)
    assert {path.stem for path in demo_directory().glob("*.env")} == {*PLAYED, "dbt", "stackhub"}


@pytest.mark.parametrize("name", PLAYED)
async def test_what_check_live_tries_is_granted(name):
    clock = Clock()
    async with (
        a_stage(now=clock.now, sleep=clock.sleep) as stage,
        opened(name, stage, clock) as (_, instance),
    ):
        assert isinstance(instance, Probe)
        permissions = await instance.check()
    assert permissions
    assert [one for one in permissions if not one.ok] == []


@pytest.mark.parametrize("task", EXTRACTS)
async def test_a_sync_of_the_demos_pipeline_lands_the_shops_rows(task, pipeline, tmp_path):
    declared, clock = pipeline["tasks"][task], Clock()
    name, operation = declared["uses"].split(".")
    shop = Shop(directory=tmp_path, now=clock.now)
    async with (
        a_stage(now=clock.now, sleep=clock.sleep, land=shop.land) as stage,
        opened(name, stage, clock) as (connector, instance),
    ):
        options = connector.operations[operation].options(**declared["with"])
        job = Job(operation=operation, options=options)
        handle = await instance.start(job, await instance.prepare(job), "key")
        clock.advance(60)
        (answer,) = await instance.poll([handle])
    assert isinstance(answer, Finished)
    assert answer.outcome is Outcome.OK
    assert list(tmp_path.rglob(f"{task}.jsonl"))


def test_every_connection_of_the_shop_is_loaded_by_the_pipeline(pipeline):
    loaded = {
        (task["uses"].partition(".")[0], task["with"]["connection"])
        for task in (pipeline["tasks"][name] for name in EXTRACTS)
    }
    assert loaded == {(vendor, feed.name) for vendor, feeds in FEEDS.items() for feed in feeds}


def test_dbt_waits_for_all_of_them_because_nothing_else_is_said(pipeline):
    assert set(pipeline["tasks"]) == {*EXTRACTS, "marts"}
    assert pipeline["tasks"]["marts"] == {"uses": "dbt.build", "with": {"partial": True}}


def test_people_are_told_by_vendors_that_the_demo_plays(pipeline):
    assert [(route["to"], route.get("channel")) for route in pipeline["alerts"]] == [
        ("slack", "#data-alerts"),
        ("pagerduty", None),
    ]
