"""DBT_PREPARE: what is done to a project before the first job after a change of its files."""

import pytest
from dbt_stage import asking
from pydantic import ValidationError

from stackhub.contract import Rejected, Unavailable
from stackhub_dbt.options import DbtSettings


def verbs(stage):
    return [next(word for word in one["argv"] if word in {"deps", "parse", "list"}) for one in stage.asked()]


async def test_it_is_done_once_for_the_same_files_and_again_when_one_has_changed(stage):
    async with stage.open(prepare="parse, deps") as dbt:
        await dbt.prepare(asking())
        await dbt.prepare(asking())
        assert verbs(stage) == ["deps", "parse"]
        project = stage.grounds.root / "dbt_project.yml"
        project.write_text(project.read_text() + "version: '2'\n")
        await dbt.prepare(asking())
        assert verbs(stage) == ["deps", "parse"] * 2
    async with stage.open(prepare="parse, deps") as after_a_restart:
        await after_a_restart.prepare(asking())
    assert verbs(stage) == ["deps", "parse"] * 2


async def test_nothing_is_done_unless_it_is_asked_for(stage, dbt):
    await dbt.prepare(asking())
    assert stage.asked() == []


@pytest.mark.parametrize(
    ("verb", "error", "said"),
    [
        ("deps", Rejected, "Runtime Error\n  no such package\n"),
        ("deps", Unavailable, "External connection exception: Max retries exceeded with url\n"),
        ("parse", Rejected, "Parsing Error\n  at connection\n"),
    ],
)
async def test_what_fails_is_told_in_dbts_words_and_tried_again_the_next_time(stage, verb, error, said):
    stage.plays(prepares=said)
    words = rf"dbt {verb} failed before the job \(DBT_PREPARE\): {' '.join(said.split())}"
    async with stage.open(prepare=verb) as dbt:
        for _ in range(2):
            with pytest.raises(error, match=words):
                await dbt.prepare(asking())
    assert verbs(stage) == [verb] * 2


async def test_packages_keep_their_place_and_what_is_parsed_goes_elsewhere(stage):
    async with stage.open(prepare="deps,parse") as dbt:
        await dbt.prepare(asking())
    deps, parse = (one["argv"] for one in stage.asked())
    assert "--target-path" not in deps
    assert "--target-path" in parse


@pytest.mark.parametrize("given", ["dep", "deps,build"])
def test_anything_else_is_refused_by_name(given):
    with pytest.raises(ValidationError, match="is none of: deps, parse"):
        DbtSettings(prepare=given)
