"""Backfills on the command line, with a real daemon and real jobs."""

import sqlite3
import time
from contextlib import closing, contextmanager

import pytest

PAST = """
pipeline: past
schedule: {cron: "0 6 * * *", timezone: Europe/Berlin}
defaults: {retries: {attempts: 1}}
tasks:
  told:
    uses: shell.run
    with: {command: [bash, -c, 'echo "$STACKHUB_INTERVAL_START $1" >> told', told, "{{ interval.end_date }}"]}
  again: {uses: python.run, with: {script: again.py}, needs: [told]}
"""
PYTHON = "import os\nopen('again', 'a').write(os.environ['STACKHUB_INTERVAL_END'] + '\\n')\n"
MARCH = ("backfill", "past", "--from", "2026-03-28", "--to", "2026-03-31")
STARTS = ["2026-03-28T05:00:00+00:00", "2026-03-29T04:00:00+00:00", "2026-03-30T04:00:00+00:00"]
PLAIN_STARTS = [start.removesuffix("+00:00") for start in STARTS]
DAYS = ["2026-03-29", "2026-03-30", "2026-03-31"]
SQL = """
  days:
    uses: sql.run
    with:
      statements: |
        create table if not exists days (at text primary key, until text);
        insert or ignore into days values (:interval_start, :interval_end_date)
  whole:
    uses: sql.check
    with: {query: "select count(*) from days where at = :interval_start", min: 1, max: 1}
    needs: [days]
"""
PATIENCE = 60


@pytest.fixture(autouse=True)
def past(directory, monkeypatch):
    (directory / "pipelines" / "past.yaml").write_text(PAST)
    (directory / "again.py").write_text(PYTHON)
    monkeypatch.setenv("STACKHUB_PORT", "0")
    monkeypatch.chdir(directory)


@contextmanager
def serving(start):
    with start("serve", until="stackhub serves") as (process, _):
        yield process


def test_a_dry_run_lists_the_intervals_and_keeps_nothing(stackhub, directory):
    shown = stackhub(*MARCH, "--dry-run")
    assert (shown.code, shown.err) == (0, "3 runs of past, as scheduled: cron 0 6 * * * (Europe/Berlin)\n")
    assert shown.lines[0] == "2026-03-28 05:00:00 to 2026-03-29 04:00:00 UTC"
    newest = stackhub(*MARCH, "--every", "1d", "--newest-first", "--dry-run", "--json").json
    assert [part["interval"]["start"] for part in newest["parts"]] == [
        "2026-03-29T22:00:00Z",
        "2026-03-28T23:00:00Z",
        "2026-03-27T23:00:00Z",
    ]
    long = stackhub(*MARCH, "--every", "1h", "--dry-run")
    assert len(long.lines) == 12
    assert long.lines[-1] == "and 60 more, to 2026-03-30 22:00:00"
    assert not (directory / ".stackhub").exists()
    assert stackhub("backfills").out.startswith("no backfill: ")


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (("backfill", "pest", "--from", "2026-03-28", "--to", "2026-03-31"), "no pipeline 'pest'"),
        ((*MARCH, "--every", "soon"), "--every should be a duration"),
        ((*MARCH, "--schedule", "2"), "past has 1 schedules, counted from 1"),
        ((*MARCH, "--resync-first"), "no extract that can load everything anew"),
        ((*MARCH, "--only", "tuld"), "no task 'tuld'"),
        ((*MARCH, "--with", "told.comand=x"), "comand"),
    ],
)
@pytest.mark.parametrize("dry", [True, False])
def test_what_makes_no_sense_is_refused_with_a_daemon_or_without(stackhub, argv, text, dry):
    shown = stackhub(*argv, *(["--dry-run"] if dry else []))
    assert (shown.code, text in shown.err) == (2, True), shown.err


def test_each_run_knows_its_interval_and_the_same_command_is_the_same_backfill(stackhub, start, directory):
    (directory / "pipelines" / "past.yaml").write_text(PAST + SQL)
    (directory / "sql.env").write_text("SQL_URL=sqlite:///days.db\n")
    with serving(start):
        done = stackhub(*MARCH, "--wait")
        assert done.code == 0, done.err
        assert "[####################] 3/3  every interval is done" in done.err
        again = stackhub(*MARCH)
        assert (again.out, again.code) == (done.out, 0)
        assert "is succeeded already" in again.err
        (directory / "again.py").write_text("raise SystemExit(3)")
        bad = stackhub(*MARCH, "--again", "--parallel", "3", "--wait")
        assert bad.code == 1
        assert "3 failed, 0 of 3 intervals are done; the same command goes on" in bad.err
        (directory / "again.py").write_text(PYTHON)
        assert stackhub(*MARCH, "--wait").code == 0
    told = (directory / "told").read_text().splitlines()
    assert told[:3] == [f"{at} {day}" for at, day in zip(STARTS, DAYS, strict=True)]
    assert len(told) == 9
    assert (directory / "again").read_text().splitlines()[:2] == STARTS[1:]
    with closing(sqlite3.connect(directory / "days.db")) as days:
        kept = days.execute("select * from days order by 1").fetchall()
    assert kept == [(f"{at[:10]} {at[11:]}", day) for at, day in zip(PLAIN_STARTS, DAYS, strict=True)]
    [listed] = stackhub("backfills", "--json").json
    assert (listed["state"], listed["done"], listed["by"]) == ("succeeded", 3, "ada")
    shown = stackhub("backfills", "show", done.out.strip()[-6:])
    assert shown.out.count("succeeded") == 4
    assert stackhub("backfills").lines[1].split()[2:5] == ["succeeded", "[####################]", "3/3"]
    id_ = done.out.strip()
    assert f"backfill {id_} is succeeded already" in stackhub("cancel", id_).err
    unclear = stackhub("cancel", id_[:4])  # as the runs begin that were made in these days
    assert (unclear.code, f"'{id_[:4]}' may be any of these: " in unclear.err, id_ in unclear.err) == (2, True, True)
    assert "--lost is for runs" in stackhub("cancel", id_, "--lost").err
    refused = stackhub("backfills", "cancel", "last")
    assert (refused.code, "is succeeded already" in refused.err) == (2, True)


def test_a_daemon_that_is_killed_is_followed_by_one_that_goes_on(stackhub, start, directory):
    with serving(start) as process:
        made = stackhub(*MARCH).out.strip()
        wait_for((directory / "told").exists)
        process.kill()
        process.wait()
    with serving(start):
        wait_for(lambda: stackhub("backfills", "show", made, "--json").json["state"] == "succeeded")
    assert sorted((directory / "told").read_text().split()[::2]) == STARTS  # each once
    assert [run["trigger"] for run in stackhub("runs", "--json").json] == ["backfill"] * 3


def test_without_a_daemon_it_is_kept_and_begins_with_one(stackhub, start):
    kept = stackhub(*MARCH)
    assert (kept.code, "kept, it will be obeyed when one starts" in kept.err) == (0, True)
    assert stackhub("backfills").out.startswith("no backfill")
    with serving(start):
        wait_for(lambda: any(one["state"] == "succeeded" for one in stackhub("backfills", "--json").json))
    assert stackhub("backfills", "--json").json[0]["id"] == kept.out.strip()


def wait_for(holds):
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, "it did not come to this"
