"""Runs and steps as values: frozen, compared by what they hold, short in the database, copied by either `replace`."""

import dataclasses
import json

import pytest
from decide.worlds import T0
from msgspec import structs

from stackhub.model.codec import dump, load
from stackhub.model.run import Interval, Run, RunState, Trigger
from stackhub.model.step import Step, StepState

STEP = Step(run="R1", task="orders", instance="fivetran")
RUN = Run(id="R1", pipeline="shop", trigger=Trigger.MANUAL, interval=Interval(start=T0, end=T0), created_at=T0)


@pytest.mark.parametrize("value", [STEP, RUN], ids=["step", "run"])
def test_what_is_at_its_default_is_not_kept_and_is_read_back(value):
    kept = json.loads(dump(value))
    defaults = {field.name for field in structs.fields(value) if not field.required}
    assert not kept.keys() & defaults
    assert load(type(value), dump(value)) == value


def test_what_was_kept_in_full_is_read_as_well():
    full = {"run": "R1", "task": "orders", "instance": "fivetran", "state": "waiting", "attempt": 1, "handle": None}
    assert load(Step, json.dumps(full)) == STEP


def test_a_field_that_is_not_known_yet_is_passed_over():
    assert load(Step, '{"run": "R1", "task": "orders", "instance": "fivetran", "of_tomorrow": 1}') == STEP


def test_both_ways_to_copy_with_a_change_agree():
    moved = structs.replace(STEP, state=StepState.READY, note="now")
    assert dataclasses.replace(STEP, state=StepState.READY, note="now") == moved != STEP
    assert dataclasses.replace(RUN, version=3) == structs.replace(RUN, version=3)
    assert [field.name for field in dataclasses.fields(Step)] == list(Step.__struct_fields__)


def test_nothing_changes_a_value_in_place():
    with pytest.raises(AttributeError):
        STEP.state = StepState.READY
    with pytest.raises(AttributeError):
        RUN.state = RunState.RUNNING
