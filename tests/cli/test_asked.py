"""Instances asked at the same time: what is wrong with one hides no other."""

from contextlib import asynccontextmanager
from types import SimpleNamespace

import anyio
import pytest

from stackhub.cli.asked import ask_each
from stackhub.cli.found import live
from stackhub.errors import ConfigError, Rejected

pytestmark = pytest.mark.anyio


def _instance(name, opens=None):
    @asynccontextmanager
    async def opened(_settings, _context):
        if opens is not None:
            raise opens
        yield name

    return SimpleNamespace(name=name, connector=SimpleNamespace(open=opened), settings=None)


@pytest.fixture
def configured(tmp_path):
    def configure(*instances):
        hub = SimpleNamespace(state_dir=tmp_path)
        named = {one.name: one for one in instances}
        return SimpleNamespace(secrets=("hunter22",), directory=tmp_path, hub=hub, pipelines={}, instances=named)

    return configure


async def test_each_that_cannot_answer_says_why_without_a_secret_and_the_others_answer(configured):
    answered = []

    async def ask(instance, opened):
        answered.append(opened)
        if instance.name == "worse":
            raise ZeroDivisionError("hunter22")

    configuration = configured(
        _instance("good"),
        _instance("shut", KeyError("hunter22")),
        _instance("unset", ConfigError("no key but hunter22")),
        _instance("refused", Rejected("not hunter22")),
        _instance("worse"),
    )
    assert await ask_each(configuration, ask, patience=30) == {
        "shut": "bug in its connector: KeyError('***')",
        "unset": "no key but ***",
        "refused": "not ***",
        "worse": "bug in its connector: ZeroDivisionError('***')",
    }
    assert sorted(answered) == ["good", "worse"]


async def test_nobody_else_is_opened_where_only_some_are_to_be_asked(configured):
    answered = []

    async def ask(_instance, opened):
        answered.append(opened)

    configuration = configured(_instance("good"), _instance("shut", KeyError("hunter22")))
    assert await ask_each(configuration, ask, patience=30, only={"good"}) == {}
    assert answered == ["good"]


async def test_patience_has_an_end_and_what_was_said_before_it_stays(configured):
    said = []

    async def ask(instance, opened):
        said.append(opened)
        await anyio.sleep_forever()

    assert await ask_each(configured(_instance("slow")), ask, patience=0.01) == {"slow": "no answer within 0.01 s"}
    assert said == ["slow"]


async def test_who_feeds_what_is_told_although_a_connector_has_a_bug(configured):
    broken = configured(_instance("good"), _instance("shut", KeyError("hunter22")))
    assert await live(broken, {}, ()) == ([], ["shut: bug in its connector: KeyError('***')"])
