"""History played again: as it was it ends as it did, and under another configuration as can be said by hand."""

import os
import shutil
import socket
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sandbox.living import live

from stackhub.cli.where import Where
from stackhub.contract import Outcome
from stackhub.contract.sandbox import Ends, Turn
from stackhub.model.codec import load
from stackhub.sandbox.replay import record
from stackhub.sandbox.understudy import Act
from stackhub.store import queries
from stackhub.store.copying import copy
from stackhub.store.database import engine
from stackhub.store.reading import open_reader

ENV = {
    "fivetran": "FIVETRAN_API_KEY=key-of-ours\nFIVETRAN_API_SECRET=secret-of-ours\n",
    "slack": "SLACK_BOT_TOKEN=xoxb-of-ours\nSLACK_CHANNEL=#data\n",
}
LOADED = """
pipeline: loaded
schedule: {cron: "0 6 * * *"}
sla: {finish_by: "06:20"}
defaults: {retries: {attempts: 2, wait: 1m}}
tasks:
  crm:   {uses: fivetran.sync, with: {connection: salesforce}}
  marts: {uses: shell.run, with: {command: "touch ran.txt"}, needs: [crm]}
alerts: [{to: slack, channel: "#data"}]
"""
NEWS = """
pipeline: news
triggers: [{landed: ["fivetran:ads"]}]
tasks: {build: {uses: shell.run, with: {command: "touch ran.txt"}}}
"""
AFTER = """
pipeline: after
triggers: [{pipeline: loaded}]
tasks: {told: {uses: shell.run, with: {command: "touch ran.txt"}}}
"""
DAYS = 5
TOOK = {0: 120, 1: 60, 2: 60, 3: 1500, 4: 600}  # seconds of marts, by day; on day 2 it fails
BROKEN = 2


def write(directory, **changes):
    texts = {"loaded": LOADED, "news": NEWS, "after": AFTER, **changes}
    (directory / "pipelines").mkdir(parents=True, exist_ok=True)
    for path in (directory / "pipelines").iterdir():
        path.unlink()
    for name, text in texts.items():
        (directory / "pipelines" / f"{name}.yaml").write_text(text)
    (directory / "stackhub.env").write_text("STACKHUB_CATALOG_EVERY=2h\nSTACKHUB_WATCH=0s\n")
    for name, text in ENV.items():
        (directory / f"{name}.env").write_text(text)
        (directory / f"{name}.env").chmod(0o600)


def night(day):
    """Midnight, so many days after the history began."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS - day)


def says(job, now):
    day = (now - night(0)).days
    if job.task != "marts":
        return Act(seconds=30)
    failed = day == BROKEN
    return Act(seconds=TOOK[day], outcome=Outcome.FAILED if failed else Outcome.OK, note="disk full" if failed else "")


async def others_sync(stage, engine):
    stage.vendors["fivetran"].begin("ads")


async def the_sync_fails_once(stage, engine):
    stage.vendors["fivetran"].script("salesforce", Turn(ends=Ends.BADLY, seconds=100, reason="quota"))


async def somebody_retries(stage, engine):
    failed = await engine.store.read(partial(queries.runs, pipeline="loaded", state="failed"))
    await engine.commands.submit("retry", {"run": failed[0].id}, "ada")


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """A directory in which a hub has lived for five days."""
    place = tmp_path_factory.mktemp("history")
    write(place)
    happens = [(night(day) + timedelta(hours=9, minutes=7), others_sync) for day in range(DAYS)]
    happens += [(night(1), the_sync_fails_once), (night(BROKEN) + timedelta(hours=8), somebody_retries)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("STACKHUB_")}
    live(
        Where(directory=place, environ=environ).configuration(),
        environ,
        since=night(0),
        until=night(DAYS),
        says=says,
        happens=happens,
        others={"fivetran": ["ads"]},
    )
    return place


@pytest.fixture
def lived(directory, history, monkeypatch):
    """A directory with that history, from which no request may leave."""
    write(directory)
    shutil.copytree(history / ".stackhub", directory / ".stackhub")

    def refuse(*_):
        raise AssertionError("a request would leave this process")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return directory


def test_as_it_was_every_run_ends_and_every_deadline_and_message_is_as_it_was(stackhub, lived):
    before = {path: path.read_bytes() for path in lived.rglob("*.db")}
    done = stackhub("replay", "--since", "30d", "--json")
    assert done.code == 0, done.err
    was, again = done.json["tellings"]
    assert was["runs"] == 5 * 3 + 1 - 1  # a retry, and no run behind the one that failed... its retry failed too
    for same in ("runs", "states", "deadlines", "missed", "at_risk", "messages"):
        assert was[same] == again[same], same
    assert done.json["differences"][0]["deadlines"] == done.json["differences"][0]["runs"] == []
    assert again["jobs"] == {"recorded": again["jobs"]["recorded"]}
    assert again["not_done_again"] == []
    assert {path: path.read_bytes() for path in lived.rglob("*.db")} == before


def test_under_an_earlier_deadline_those_are_missed_that_took_longer(stackhub, lived, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    write(other, loaded=LOADED.replace("06:20", "06:10"))
    done = stackhub("replay", "--since", "30d", "--json", "--config", str(other))
    assert done.code == 0, done.err
    _, again, under = done.json["tellings"]
    assert (again["missed"], under["missed"]) == (2, 3)
    _, changes = done.json["differences"]
    assert [(one["at"], one["before"], one["after"]) for one in changes["deadlines"]] == [
        ((night(day) + timedelta(hours=6, minutes=10)).strftime("%Y-%m-%dT%H:%M:%SZ"), "met", "missed") for day in [4]
    ]
    assert changes["runs"] == []


# --- what cannot be played ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--since", "soon"], "--since soon: should be a duration"),
        (["--since", "2126-01-01"], "--since names a time that has not come yet"),
        (["--pipeline", "nothing"], "no pipeline 'nothing'; there are: after, loaded, news"),
        (["--shadow"], "no run in shadow since then"),
        (["--shadow", "--config", "elsewhere"], "leave out --config, or leave out --shadow"),
    ],
)
def test_what_cannot_be_played_is_told(stackhub, lived, words, told):
    done = stackhub("replay", *words)
    assert done.code != 0
    assert told in done.err


def test_where_nothing_has_run_the_hubs_own_directory_is_asked_for(stackhub, directory):
    done = stackhub("replay")
    assert done.code != 0
    assert "stackhub --config HUB replay --config OTHER" in done.err


def test_a_directory_that_is_named_alone_and_holds_the_history_is_played_as_it_is(
    stackhub, lived, tmp_path_factory, monkeypatch
):
    monkeypatch.setenv("STACKHUB_CONFIG", str(tmp_path_factory.mktemp("nothing")))
    done = stackhub("replay", "--since", "3d", "--config", str(lived), "--json")
    assert done.code == 0, done.err
    assert [one["name"] for one in done.json["tellings"]] == ["as it was", "replayed as it was"]


def test_the_table_for_people_stands_side_by_side(stackhub, lived):
    done = stackhub("replay", "--pipeline", "loaded")
    assert "nothing was started, nobody was told" in done.lines[0]
    rows = {line.split("  ")[0].strip(): line.split()[-2:] for line in done.lines[1:] if "  " in line}
    assert rows["runs"] == ["6", "6"]
    assert rows["deadlines"] == ["5", "5"]
    assert rows["API calls to fivetran"][0] == "recorded"
    assert done.lines[-1] == "replayed as it was: every run ends and every deadline is kept as it was"


# --- in shadow ---------------------------------------------------------------------------------------------------------


async def they_load(stage, engine):
    stage.vendors["fivetran"].begin("salesforce")


def test_a_run_in_shadow_begins_its_build_when_the_load_that_somebody_else_began_is_in(stackhub, directory):
    write(directory, loaded=LOADED.replace("schedule:", "mode: shadow\nschedule:"), after="pipeline: after\ntasks: {}")
    (directory / "pipelines" / "after.yaml").unlink()
    (directory / "pipelines" / "news.yaml").unlink()
    where = Where(directory=directory, environ=dict(os.environ))
    tick = night(4) + timedelta(hours=6)
    live(
        where.configuration(),
        where.environ,
        since=tick - timedelta(minutes=5),
        until=tick + timedelta(hours=1),
        happens=[(tick + timedelta(minutes=10), they_load)],
    )
    done = stackhub("replay", "--shadow", "--since", "30d", "--json")
    assert done.code == 0, done.err
    assert done.json["sums"] == {
        "runs": 1, "extracts": 1, "builds": 1, "before_data_was_in": 0, "deadlines": 1, "missed": 0
    }  # fmt: skip
    [run] = done.json["runs"]
    crm, marts = run["steps"]
    assert crm["would_have_started"] == "fivetran.sync"
    assert (crm["at"], marts["would_have_started"]) == (tick.strftime("%Y-%m-%dT%H:%M:%SZ"), "shell.run")
    landed, built = (datetime.fromisoformat(one) for one in (crm["landed_at"], marts["at"]))
    assert timedelta(minutes=11) <= landed - tick <= timedelta(minutes=12)
    assert timedelta() <= built - landed <= timedelta(minutes=1)
    shown = stackhub("replay", "--shadow")
    assert "would have started 1 extract and 1 build; 0 of them before the data was in" in shown.out


# --- what is read ------------------------------------------------------------------------------------------------------


def read(url, *, days=0):
    with open_reader(url) as reader:
        return reader(partial(record, since=night(days), until=night(DAYS)))


@pytest.mark.postgres
def test_a_history_on_postgresql_is_the_same(history, postgres):
    file = history / ".stackhub" / "stackhub.db"
    with postgres.borrowed() as url:
        to = engine(url)
        copy(file, to, "test")
        to.dispose()
        there, here = read(url), read(f"sqlite:///{file}")
    for part in ("runs", "tried", "own", "around", "facts"):
        assert getattr(there, part) == getattr(here, part), part


def test_what_was_learnt_before_the_time_is_known_when_it_begins(history):
    url = f"sqlite:///{history / '.stackhub' / 'stackhub.db'}"
    assert read(url).found_out["duration"] == []
    taught = {row["key"]: load(tuple[float, ...], row["data"]) for row in read(url, days=4).found_out["duration"]}
    first, second, late = taught["task:loaded/marts"]  # on the third day it failed
    assert all(abs(found - wanted) <= 15 for found, wanted in zip((first, second, late), (120, 60, 1500), strict=True))
    assert len(taught["task:loaded/crm"]) == len(taught["job:sync:salesforce"]) == 4
