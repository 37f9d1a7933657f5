"""What a dbt job gets from its instance, and what it shows of itself."""

import json
from pathlib import Path

from dbt_stage import RECORDED, SECRET, answer_to, asking, begun, ended

from stackhub.contract import (
    Logs,
)


async def test_what_v1_parsed_is_read_by_the_next_job(stage, dbt):
    await answer_to(stage, dbt, asking(select="orders"), "first")
    await answer_to(stage, dbt, asking(), "second")

    first, second = (asked["env"].get("DBT_PARTIAL_PARSE_FILE_PATH") for asked in stage.asked())
    assert first is None, "dbt would not start if the file were absent"
    assert "orders" not in Path(second).read_text(), "each leaves what it parsed to the next"
    assert not list((stage.grounds.state / "jobs").glob("*/target/partial_parse.msgpack")), "and it is kept once"


async def test_dbt_gets_the_files_variables_and_none_of_the_hubs(stage, dbt, monkeypatch):
    monkeypatch.setenv("STACKHUB_API_TOKEN", "the-hubs-own")

    await answer_to(stage, dbt, asking())

    env = stage.asked()[0]["env"]
    assert env["PASSWORD"] == SECRET
    assert env["DBT_SEND_ANONYMOUS_USAGE_STATS"] == "0"
    assert env["STACKHUB_RUN"] == "01RUN"
    assert "STACKHUB_API_TOKEN" not in env


async def test_a_variable_of_the_file_wins_over_ours(stage):
    async with stage.open(further={"PLAYED": str(stage.path), "DBT_SEND_ANONYMOUS_USAGE_STATS": "1"}) as dbt:
        await answer_to(stage, dbt, asking())

    assert stage.asked()[0]["env"]["DBT_SEND_ANONYMOUS_USAGE_STATS"] == "1"


async def test_a_secret_that_dbt_repeats_is_not_shown(stage, dbt):
    words = json.dumps({"info": {"name": "MainEncounteredError", "msg": SECRET}, "data": {"exc": f"no {SECRET}!"}})
    says = stage.grounds.root / "says"
    says.write_text(f"{words}\nand {SECRET}\n")
    stage.plays(says=str(says), code=2)

    answer = await answer_to(stage, dbt, asking())

    assert answer.note.endswith("no ***!")
    shown, _ = dbt.read_log(dbt._launcher.find("key"), 0, 10_000)
    assert SECRET not in shown
    assert "and ***" in shown


async def test_the_log_is_read_as_it_grows(stage, dbt):
    assert isinstance(dbt, Logs)
    handle = await begun(stage, dbt, asking())

    first, offset = dbt.read_log(handle, 0, 1_000_000)
    assert dbt.read_log(handle, offset, 1_000_000) == ("", offset)
    stage.grounds.gate.say()
    await ended(stage, dbt, handle)
    second, end = dbt.read_log(handle, offset, 1_000_000)

    assert "Concurrency: 2 threads" in first
    assert "Done. PASS=4 WARN=1 ERROR=2" in second
    assert dbt.read_log(handle, end, 1_000_000) == ("", end)


async def test_the_log_is_read_to_its_end_in_pieces_smaller_than_a_line(stage, dbt):
    handle = await begun(stage, dbt, asking())
    stage.grounds.gate.say()
    await ended(stage, dbt, handle)

    offset, pieces = 0, 0
    while (step := dbt.read_log(handle, offset, 100)[1]) != offset:
        offset, pieces = step, pieces + 1

    assert offset == (RECORDED / "v1_failing.jsonl").stat().st_size
    assert pieces > 100
