"""Which dbt runs is asked once, however many want to know."""

import anyio
import pytest

from stackhub.contract import Rejected
from stackhub_dbt.executable import Versions

COUNTS = """#!/bin/sh
echo asked >> "$(dirname "$0")/asked"
echo "Core:"
echo "  - installed: 1.11.16"
"""


@pytest.fixture
def dbt(tmp_path):
    path = tmp_path / "dbt"
    path.write_text(COUNTS)
    path.chmod(0o755)
    return path


async def test_those_who_ask_at_once_share_one_answer(dbt):
    versions, told = Versions(), []

    async def ask():
        told.append(await versions.ask(str(dbt), {"PATH": "/usr/bin:/bin"}))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(ask)
    assert [one.version for one in told] == ["1.11.16"] * 3
    assert (dbt.parent / "asked").read_text() == "asked\n"


async def test_a_question_that_failed_is_asked_again_by_the_next(dbt):
    versions, good = Versions(), dbt.read_text()
    dbt.write_text("#!/bin/sh\necho nothing of the kind\n")
    with pytest.raises(Rejected):
        await versions.ask(str(dbt), {"PATH": "/usr/bin:/bin"})
    dbt.write_text(good)
    assert (await versions.ask(str(dbt), {"PATH": "/usr/bin:/bin"})).version == "1.11.16"
