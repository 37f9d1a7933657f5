"""The index of open steps: what is open, in which order, and who holds the same job."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from stackhub.engine.opensteps import OpenSteps
from stackhub.model.step import OPEN, Step, StepState

TASKS = ("orders", "stripe", "marts")
HANDLES = (None, {"job": 1}, {"job": 1, "joined": True, "url": "x"}, {"job": 2})


def step(run="R1", task="orders", instance="fivetran", state=StepState.RUNNING, handle=None):
    return Step(run=run, task=task, instance=instance, state=state, handle=handle)


def test_a_step_that_moves_keeps_its_place_and_one_that_ends_leaves():
    index = OpenSteps()
    first, second = step(task="orders"), step(task="stripe")
    index.show([first, second])
    moved = replace(first, note="moved")
    index.show([moved])
    assert index.of("fivetran") == [moved, second]
    index.show([replace(moved, state=StepState.SUCCEEDED)])
    assert index.of("fivetran") == [second]
    index.forget([second])
    assert index.instances() == set()


def test_two_that_hold_one_job_share_it_however_they_came_by_it():
    index = OpenSteps()
    started, joined = step(handle={"job": 1}), step(task="stripe", handle={"job": 1, "joined": True, "url": "x"})
    index.show([started])
    assert not index.shared(started)
    index.show([joined])
    assert index.shared(started)
    assert index.shared(joined)
    index.show([replace(joined, state=StepState.CANCELLED)])
    assert not index.shared(started)


def test_jobs_of_two_accounts_are_two_jobs():
    index = OpenSteps()
    one, other = step(handle={"job": 1}), step(task="stripe", instance="airbyte", handle={"job": 1})
    index.show([one, other])
    assert not index.shared(one)


shown = st.builds(
    step,
    run=st.sampled_from(["R1", "R2"]),
    task=st.sampled_from(TASKS),
    state=st.sampled_from(sorted(StepState)),
    handle=st.sampled_from(HANDLES),
)


@given(st.lists(shown, max_size=20))
def test_whatever_was_shown_the_index_says_what_a_look_at_all_would(history):
    index, known = OpenSteps(), {}
    for one in history:
        index.show([one])
        known[one.run, one.task] = one
    still = [one for one in known.values() if one.state in OPEN]
    assert sorted(index.of("fivetran"), key=lambda one: one.key) == sorted(still, key=lambda one: one.key)
    for one in still:
        others = [other for other in still if other.key != one.key and one.handle and other.handle]
        assert index.shared(one) == any(other.handle["job"] == one.handle["job"] for other in others)
