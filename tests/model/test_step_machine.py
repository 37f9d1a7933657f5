"""The picture of a step's and a run's states is what the code allows."""

import inspect
from dataclasses import replace

import pytest

from stackhub.model import run as run_module
from stackhub.model import step as step_module
from stackhub.model.run import RUN_MOVES, RUN_OPEN, RunState
from stackhub.model.step import AT_WORK, DONE, MOVES, OPEN, TERMINAL, Step, StepState

S = StepState
STEP = Step(run="R1", task="orders", instance="fivetran")


@pytest.mark.parametrize("state", StepState)
def test_a_step_moves_only_along_its_arrows(state):
    step = replace(STEP, state=state)
    for to in StepState:
        if to in MOVES[state]:
            assert step.move(to, note="x") == replace(step, state=to, note="x")
        else:
            with pytest.raises(ValueError, match=f"R1.orders: no move from {state} to {to}"):
                step.move(to)


def test_every_state_is_either_open_or_terminal_and_done_is_an_end():
    assert {S.SUCCEEDED, S.PARTIAL, S.FAILED, S.UPSTREAM_FAILED, S.SKIPPED, S.CANCELLED} == TERMINAL
    assert {S.WAITING, S.READY, S.STARTING, S.RUNNING, S.DEFERRED, S.RETRYING} == OPEN
    assert DONE < TERMINAL
    assert AT_WORK < OPEN


def test_every_open_state_can_be_left_for_good_and_every_state_can_be_reached():
    for state in OPEN:
        assert MOVES[state] & TERMINAL
        assert {S.SKIPPED, S.CANCELLED} <= MOVES[state], "a person can end it"
    assert {to for moves in MOVES.values() for to in moves} | {S.WAITING} == set(StepState)


def test_only_what_is_ready_starts_and_only_a_start_has_a_job():
    assert {state for state, moves in MOVES.items() if S.STARTING in moves and state is not S.STARTING} == {S.READY}
    assert {state for state, moves in MOVES.items() if S.RUNNING in moves} == {
        S.STARTING,
        S.RUNNING,
        S.DEFERRED,
        S.RETRYING,
    }


@pytest.mark.parametrize(("module", "states"), [(step_module, StepState), (run_module, RunState)])
def test_the_picture_names_every_state(module, states):
    picture = inspect.getdoc(module)
    assert [state for state in states if state.value not in picture] == []


def test_a_run_that_has_ended_moves_no_more():
    assert {RunState.QUEUED, RunState.RUNNING} == RUN_OPEN
    assert {state for state, moves in RUN_MOVES.items() if not moves} == set(RunState) - RUN_OPEN


def test_the_name_of_a_job_is_the_same_while_one_may_exist():
    assert STEP.key == "R1.orders.1"
    assert replace(STEP, attempt=3).key == STEP.key
    assert replace(STEP, serial=2).key != STEP.key


@pytest.mark.parametrize(("handle", "joined"), [(None, False), ({}, False), ({"joined": True}, True)])
def test_a_job_is_joined_when_its_handle_says_so(handle, joined):
    assert replace(STEP, handle=handle).joined is joined
