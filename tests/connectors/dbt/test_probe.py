"""What stands before a dbt job: dbt, project and profile, looked for and missed."""

import pytest
from dbt_stage import asking

from stackhub.contract import (
    Probe,
    Rejected,
)


async def test_without_a_project_nothing_is_started_and_the_way_out_is_named(stage):
    async with stage.open(project_dir="elsewhere") as dbt:
        with pytest.raises(Rejected, match=r"no dbt_project.yml in .*/elsewhere: set DBT_PROJECT_DIR"):
            await dbt.prepare(asking())


async def test_without_dbt_nothing_is_started_and_the_way_out_is_named(stage):
    async with stage.open(executable="./no-dbt-here") as dbt:
        with pytest.raises(Rejected, match=r"DBT_EXECUTABLE: nothing that can be run at \./no-dbt-here"):
            await dbt.prepare(asking())


async def test_a_check_passes_where_everything_is_there(stage, dbt):
    assert isinstance(dbt, Probe)
    (stage.grounds.root / "profiles.yml").write_text("shop: {target: dev, outputs: {dev: {type: duckdb}}}\n")

    permissions = await dbt.check()

    assert [permission for permission in permissions if not permission.ok] == []
    assert permissions[0].detail == f"1.11.16 at {stage.executable}"


@pytest.mark.parametrize(
    ("profiles", "settings", "remedy"),
    [
        (None, {}, "DBT_PROFILES_DIR"),
        ("shop: {target: [}", {}, "mend the file"),
        ("other: {outputs: {dev: {}}}", {}, "DBT_PROFILE"),
        ("shop: {outputs: {dev: {password: hunter22}}}", {"target": "prod"}, "DBT_TARGET"),
        ("shop: {outputs: {dev: {}}}", {"project_dir": "elsewhere"}, "DBT_PROJECT_DIR"),
        ("shop: {outputs: {dev: {}}}", {"executable": "no-dbt-here"}, "DBT_EXECUTABLE"),
    ],
)
async def test_a_check_names_the_remedy_for_what_is_not_there(stage, profiles, settings, remedy):
    if profiles is not None:
        (stage.grounds.root / "profiles.yml").write_text(profiles)
    home = {"HOME": str(stage.grounds.root / "home"), "PLAYED": str(stage.path)}

    async with stage.open(further=home, **settings) as dbt:
        refused = [permission for permission in await dbt.check() if not permission.ok]

    assert len(refused) == 1
    assert remedy in refused[0].remedy
    assert "hunter22" not in repr(refused)


async def test_profiles_are_looked_for_where_dbt_does(stage):
    home = stage.grounds.root / "home"
    (home / ".dbt").mkdir(parents=True)
    (home / ".dbt" / "profiles.yml").write_text("shop: {outputs: {dev: {}}}")

    async with stage.open(further={"HOME": str(home), "PLAYED": str(stage.path)}) as dbt:
        assert all(permission.ok for permission in await dbt.check())
    async with stage.open(profiles_dir="home/.dbt") as dbt:
        assert all(permission.ok for permission in await dbt.check())


async def test_opening_runs_nothing(stage):
    stage.executable.write_text("#!/bin/sh\nexit 3\n")

    async with stage.open() as dbt:
        assert dbt._launcher.find("key") is None
        with pytest.raises(Rejected, match="is not dbt"):
            await dbt.prepare(asking())
