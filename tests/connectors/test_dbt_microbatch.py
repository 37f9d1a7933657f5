"""A run's interval reaches the real dbt: a microbatch model builds the batches of it, and no others."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from launch.grounds import grounds_in

from stackhub.contract import Finished, Job, Outcome
from stackhub_dbt import connector
from stackhub_dbt.options import OPTIONS, DbtSettings

DBT = Path(sys.executable).with_name("dbt")
PATIENCE = 180
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DBT.exists(), reason="needs the extra: pip install stackhub[dbt]"),
]
PROJECT = {
    "dbt_project.yml": "name: batches\nprofile: batches\nmodels: {batches: {+materialized: table}}\n",
    "profiles.yml": "batches: {target: dev, outputs: {dev: {type: duckdb, path: \"{{ env_var('HERE') }}/b.duckdb\", threads: 1}}}\n",
    "models/raw.yml": "models: [{name: raw, config: {event_time: ts}}]\n",
    "models/raw.sql": (
        "select ts, date_part('day', ts)::int as n"
        " from generate_series(timestamp '2026-03-01', timestamp '2026-03-06', interval 6 hour) as t(ts)\n"
    ),
    "models/daily.sql": (
        "{{ config(materialized='incremental', incremental_strategy='microbatch', event_time='ts',"
        " batch_size='day', begin='2026-03-01') }}\n"
        "select ts, n, '{{ var(\"told\", \"nobody\") }}' as told from {{ ref('raw') }}\n"
    ),
}


def day(number):
    return datetime(2026, 3, number, tzinfo=UTC)


async def built(dbt, woken, key, interval, **options):
    job = Job(operation="build", options=OPTIONS["build"](**options), interval=interval, run=key)
    handle = await dbt.start(job, await dbt.prepare(job), key)
    while True:
        woken.append(anyio.Event())
        [answer] = await dbt.poll([handle])
        if isinstance(answer, Finished):
            return answer
        await woken[-1].wait()


def rows(root):
    """Ask the warehouse in a process of its own, which lets go of the file."""
    query = "select date_part('day', ts)::int, count(*), max(told) from daily group by 1 order by 1"
    line = f"import duckdb, json; c = duckdb.connect({str(root / 'b.duckdb')!r}, read_only=True)"
    line += f"; print(json.dumps(c.execute({query!r}).fetchall()))"
    return json.loads(subprocess.run([sys.executable, "-c", line], check=True, capture_output=True).stdout)


async def test_an_interval_is_built_batch_by_batch_and_the_rest_stays(tmp_path):
    for name, text in PROJECT.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    woken = [anyio.Event()]

    def wake():
        woken[-1].set()

    settings = DbtSettings(project_dir=tmp_path / "project", further={"HOME": str(tmp_path), "HERE": str(tmp_path)})
    with grounds_in(tmp_path) as grounds, anyio.fail_after(PATIENCE):
        context = grounds.context(wake=wake)
        async with connector.open(settings, context) as dbt:
            first = await built(dbt, woken, "a", (day(2), day(4)), event_time=True, vars={"told": "first"})
            assert first.outcome is Outcome.OK, first.note
            assert rows(tmp_path) == [[2, 4, "first"], [3, 4, "first"]]
            again = await built(
                dbt, woken, "b", (day(3), day(5)), event_time=True, select="daily", vars={"told": "second"}
            )
            assert again.outcome is Outcome.OK, again.note
    assert rows(tmp_path) == [[2, 4, "first"], [3, 4, "second"], [4, 4, "second"]]
