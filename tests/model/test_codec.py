"""Values go into the store and come out the same."""

import typing
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from random import Random

import pytest
from decide.worlds import T0, acts, walk, worlds
from hypothesis import given, settings
from hypothesis import strategies as st

from stackhub.contract import Event, Fact, Landing, Link, Message, Node, NodeState, Part, Severity
from stackhub.decide.circuit import Circuit
from stackhub.model.codec import dump, legible, load, plain
from stackhub.model.pipeline import Pipeline, Route, Schedule, Sla, Told
from stackhub.model.run import Run
from stackhub.model.step import Step

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
jsons = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=30)
@given(worlds(), acts)
def test_whatever_becomes_of_a_run_is_read_back_as_it_was(world, told):
    for turn in walk(world, told):
        assert load(Run, dump(turn.after.run)) == turn.after.run
        for step in turn.after.steps.values():
            assert load(Step, dump(step)) == step
    assert load(Pipeline, dump(world.pipeline)) == world.pipeline


@given(
    handle=st.dictionaries(texts, jsons, max_size=3),
    note=texts,
    deferred_for=st.timedeltas(timedelta(), timedelta(days=4000)),
    due=st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are naive
)
def test_any_json_of_a_vendor_and_any_time_is_read_back_as_it_was(handle, note, deferred_for, due):
    step = Step(
        run="R1",
        task="orders",
        instance="fivetran",
        handle=handle,
        result=handle,
        note=note,
        deferred_for=deferred_for,
        due=due,
        landing=Landing(connection="c", mark=note, ended_at=due, rows=2**62),
    )
    assert load(Step, dump(step)) == step


def test_a_whole_pipeline_is_read_back_as_it_was():
    whole = Pipeline(
        name="shop",
        schedules=(Schedule(cron="0 6 * * 1-5", timezone="Europe/Berlin"), Schedule(every=timedelta(minutes=15))),
        after=("reference",),
        sla=Sla(finish_by=time(7, 30), max_duration=timedelta(minutes=75), timezone="Europe/Berlin"),
        alerts=(
            Route(to="slack", on=frozenset(Told), options={"channel": "#data"}),
            Route(to="pagerduty", severity=Severity.CRITICAL),
        ),
        max_active=3,
    )
    assert load(Pipeline, dump(whole)) == whole


@pytest.mark.parametrize(
    "value",
    [
        Circuit(failures=3, since=T0, open_until=T0, refused=True, error="401"),
        Node(id="n", name="n", kind="model", state=NodeState.FAILED, seconds=0.25, started_at=T0),
        Message(
            incident="I1",
            dedup="d",
            part=Part.ROOT,
            event=Event.OPENED,
            severity=Severity.ERROR,
            title="shop failed",
            facts=(Fact(label="a", text="b"),),
            links=(Link(text="a", url="https://x"),),
            at=T0,
            since=T0,
        ),
    ],
)
def test_other_values_are_read_back_as_they_were(value):
    assert load(type(value), dump(value)) == value


def test_equal_values_give_equal_text_however_they_were_made():
    kinds = list(Told)
    for seed in range(20):
        Random(seed).shuffle(kinds)
        assert dump(Route(to="slack", on=frozenset(kinds))) == dump(Route(to="slack", on=frozenset(Told)))
    assert dump({"a": 1, "b": {"c": 2, "d": 3}}) == dump({"b": {"d": 3, "c": 2}, "a": 1})


def test_what_an_older_hub_wrote_lacks_fields_and_is_read_with_their_defaults():
    step = Step(run="R1", task="orders", instance="fivetran")
    assert load(Step, '{"run": "R1", "task": "orders", "instance": "fivetran"}') == step


def test_what_a_newer_hub_wrote_has_more_fields_and_is_read_without_them():
    later = dump(Step(run="R1", task="orders", instance="fivetran")).replace("{", '{"brand_new": [1, {}], ', 1)
    assert load(Step, later) == Step(run="R1", task="orders", instance="fivetran")


@given(st.text(max_size=20))
def test_half_a_character_costs_itself_and_no_more(text):
    step = Step(
        run="R1", task="orders", instance="fivetran", note=text, result={text: [text]}, deferred_for=timedelta(1)
    )
    mended = text.encode(errors="replace").decode()
    assert load(Step, dump(step)) == replace(step, note=mended, result={mended: [mended]})
    kept = legible(text)
    assert "\0" not in kept
    kept.encode()
    if "\0" not in text and mended == text:
        assert kept == text


def test_plain_is_what_dump_writes():
    step = Step(run="R1", task="orders", instance="fivetran", due=T0)
    assert plain(step) == load(dict[str, typing.Any], dump(step))
