"""The README's commands do what it says: those of the first five minutes are run, against played vendors."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import anyio
import pytest

from stackhub import registry
from stackhub.contract.sandbox import Feed
from stackhub.sandbox.mount import Stage, open_stage, serve
from stackhub.sandbox.shop import FEEDS as SHOP_FEEDS
from stackhub.sandbox.shop import Shop

HOUSE = Path(__file__).parent.parent
README = (HOUSE / "README.md").read_text()
FEEDS = {
    "fivetran": [Feed(id="salesforce_1", name="salesforce_prod", seconds=0.1)],
    "airbyte": [Feed(id="00000000-0000-4000-8000-000000000001", name="Stripe to warehouse", seconds=0.1)],
}
pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture
async def played() -> AsyncIterator[tuple[Stage, Mapping[str, str]]]:
    connectors = [registry.load(name) for name in ("fivetran", "airbyte", "slack", "pagerduty")]
    async with open_stage(connectors, feeds=FEEDS) as stage, serve(stage, port=0) as url:
        variables = {name: value for each in stage.environment(url).values() for name, value in each.items()}
        yield stage, variables


async def _run(*words: str, environ: Mapping[str, str], cwd: Path) -> tuple[int, str]:
    made = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stackhub", *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), **environ},
    )
    with anyio.fail_after(90):
        said, _ = await made.communicate()
    assert made.returncode is not None
    return made.returncode, said.decode()


def _lines(beginning: str) -> list[str]:
    """Return the README's commands that begin so, without what is said about them."""
    return [line.split("  ")[0].strip() for line in README.splitlines() if line.startswith(beginning)]


def test_every_verb_of_the_door_that_the_readme_names_is_one() -> None:
    usage = subprocess.run(["sh", str(HOUSE / "run"), "help"], capture_output=True, text=True, check=False)
    told = usage.stdout + usage.stderr
    named = set(re.findall(r"\./run (\w+)", README))

    assert named >= {"demo", "test", "setup"}
    assert all(re.search(rf"^  {verb} ", told, re.MULTILINE) for verb in named), told


def test_every_page_that_the_readme_names_is_there() -> None:
    pages = re.findall(r"\]\(([\w/.-]+)\)", README)

    assert pages
    assert [page for page in pages if not (HOUSE / page).is_file()] == []


async def test_the_first_own_pipeline_runs_as_the_readme_says(
    tmp_path: Path, played: tuple[Stage, Mapping[str, str]]
) -> None:
    _, variables = played
    shutil.copytree(HOUSE / "configs" / "example", tmp_path / "my")
    for path in (tmp_path / "my").glob("*.env"):
        path.chmod(0o600)
    shutil.copytree(HOUSE / "configs" / "demo" / "dbt", tmp_path / "dbt")
    (tmp_path / "my" / ".stackhub").mkdir(mode=0o700)
    environ = {
        **variables,
        "SLACK_CHANNEL": "#data-alerts",
        "SHOP_DATA": str(tmp_path / "shop"),
        "SHOP_WAREHOUSE": str(tmp_path / "shop.duckdb"),
    }
    (tmp_path / "my" / "dbt.env").write_text(
        f"DBT_PROJECT_DIR=../dbt\nSHOP_DATA={environ['SHOP_DATA']}\nSHOP_WAREHOUSE={environ['SHOP_WAREHOUSE']}\n"
    )
    (tmp_path / "my" / "dbt.env").chmod(0o600)
    shop = Shop(directory=tmp_path / "shop")
    for vendor, connections in SHOP_FEEDS.items():
        for feed in connections:
            shop.land(vendor, feed.name)
    check, run = (line.split()[1:] for line in _lines("stackhub --config my ")[:2])
    assert check == ["--config", "my", "check", "--live"]
    assert run == ["--config", "my", "run", "revenue"]

    code, said = await _run(*check, environ=environ, cwd=tmp_path)
    assert code == 0, said
    assert "salesforce_prod is ok" in said

    code, said = await _run(*run, environ=environ, cwd=tmp_path)
    assert code == 0, said
    assert "salesforce succeeded" in said
    assert "marts succeeded" in said
