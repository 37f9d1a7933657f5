"""Rules that hold whatever is heard, in whatever order, at whatever time: over arbitrary small pipelines."""

from decide.worlds import Turn, over_worlds, walk
from hypothesis import event

from stackhub.contract import Absent, ConfigError, Finished, Missing, Rejected, StartIs, Unavailable, Unknown
from stackhub.decide.ends import GIVE_UP
from stackhub.decide.run import Begin, Cancel, decide
from stackhub.decide.step import STOP_FOR, Verb
from stackhub.model.codec import dump
from stackhub.model.run import RUN_OPEN
from stackhub.model.step import AT_WORK, DONE, MOVES, OPEN, TERMINAL, Step, StepState, Stop

S = StepState
BEGUN = frozenset(S) - {S.WAITING, S.UPSTREAM_FAILED}


def reachable(state: StepState) -> set[StepState]:
    """States one decision may come to: what is heard moves a step once or twice, and then a wait may end."""
    found = {state}
    for _ in range(3):
        found |= {to for one in found for to in MOVES[one]}
    return found


@over_worlds
def test_whatever_is_heard_nothing_breaks_and_every_move_is_on_the_picture(world, told):
    for turn in walk(world, told):
        for old, new in turn.moves:
            assert new.state in reachable(old.state)
            assert (new.ended_at is not None) == (new.state in TERMINAL)
            assert (new.deferred_at is not None) <= (new.state is S.DEFERRED or new.state in TERMINAL)
            assert new.due is None or new.state not in TERMINAL
            assert new.handle is not None or new.state not in {S.RUNNING, S.DEFERRED}
            assert not new.stop or new.state in AT_WORK | TERMINAL


@over_worlds
def test_a_terminal_state_never_changes(world, told):
    for turn in walk(world, told):
        for old, new in turn.moves:
            if old.state in TERMINAL:
                assert new == old
        if turn.before.run.state not in RUN_OPEN:
            assert turn.decision is None


@over_worlds
def test_a_run_ends_if_and_only_if_all_its_steps_have(world, told):
    for turn in walk(world, told):
        run = turn.after.run
        over = all(step.state in TERMINAL for step in turn.after.steps.values())
        assert over == (run.state not in RUN_OPEN) == (run.ended_at is not None)
        event(run.state)


@over_worlds
def test_a_step_starts_only_when_all_it_needs_is_done(world, told):
    for turn in walk(world, told):
        for need_of in world.pipeline.tasks:
            if turn.after.steps[need_of.name].began_at is None and turn.after.steps[need_of.name].state not in {
                S.READY,
                S.STARTING,
                S.RUNNING,
                S.SUCCEEDED,
            }:
                continue
            for need in need_of.needs:
                state = turn.after.steps[need.task].state
                assert state in DONE
                assert not (need.complete and state is S.PARTIAL)


@over_worlds
def test_each_decision_makes_the_run_one_version_newer_and_no_decision_changes_nothing(world, told):
    for turn in walk(world, told):
        if turn.decision is None:
            continue
        assert turn.after.run.version == turn.before.run.version + 1
        assert [step.task for step in turn.decision.changed] == [new.task for old, new in turn.moves if new != old]


@over_worlds
def test_hearing_the_same_twice_changes_nothing_the_second_time(world, told):
    for turn in walk(world, told):
        if any(old.state is S.RETRYING and turn.heard(old) for old, _ in turn.moves):
            continue  # nothing asks about a step that waits: what is heard is dropped, and then its wait may end
        again = decide(turn.after, turn.told, world.rules, turn.now)
        assert again is None, [
            (name, old, again.open.steps[name])
            for name, old in turn.after.steps.items()
            if old != again.open.steps[name]
        ]


@over_worlds
def test_the_same_is_always_decided_the_same(world, told):
    first = [dump(turn.after) for turn in walk(world, told)]
    assert first == [dump(turn.after) for turn in walk(world, told)]


@over_worlds
def test_a_blind_start_is_repeated_only_when_it_is_known_that_nothing_happened(world, told):
    for turn in walk(world, told):
        for old, new in turn.moves:
            blind = world.rules[old.task].start_is is StartIs.BLIND
            if blind and old.state is S.STARTING and new.state is S.READY and new.serial == old.serial:
                heard = turn.heard(old)
                assert heard is not None
                assert heard.verb is Verb.START
                assert isinstance(heard.answer, Unavailable | ConfigError)


@over_worlds
def test_absence_starts_nothing_again_until_the_call_is_over_and_its_trace_would_be_seen(world, told):
    for turn in walk(world, told):
        for old, new in turn.moves:
            heard = turn.heard(old)
            if old.state is S.STARTING and heard is not None and isinstance(heard.answer, Absent) and new != old:
                event(f"absent: {new.state}")
                if new.state is not S.STARTING:
                    assert turn.now >= old.call_deadline + world.rules[old.task].settle or gave_up(turn, old)
                if new.state is S.READY:
                    assert new.baseline == old.baseline, "compared with what was before the first try"
                    assert new.key == old.key


def gave_up(turn: Turn, old: Step) -> bool:
    """Whether three timeouts had passed since the attempt began, time put off not counted."""
    timeout = turn.before.pipeline.task(old.task).timeout
    since = old.attempt_at or old.stalled_at
    return since is not None and turn.now >= since + GIVE_UP * timeout


@over_worlds
def test_a_look_that_fails_moves_no_step(world, told):
    for turn in walk(world, told):
        for old, new in turn.moves:
            heard = turn.heard(old)
            if heard is not None and heard.verb is Verb.POLL and isinstance(heard.answer, Exception):
                if new.state is not old.state and old.state is not S.RETRYING:
                    assert gave_up(turn, old) or stopped_long(turn, old)
                    assert new.state in TERMINAL
                assert new.key == old.key
                assert new.handle == old.handle


def stopped_long(turn: Turn, old: Step) -> bool:
    return old.stop_at is not None and turn.now >= old.stop_at + STOP_FOR


@over_worlds
def test_a_word_nobody_knows_or_a_job_nobody_sees_is_never_an_end(world, told):
    for turn in walk(world, told):
        for old, new in turn.moves:
            heard = turn.heard(old)
            if old.state not in {S.RUNNING, S.DEFERRED} or heard is None or heard.verb is not Verb.POLL:
                continue
            if isinstance(heard.answer, Unknown | Missing):
                timeout = turn.before.pipeline.task(old.task).timeout
                overdue = old.attempt_at is not None and turn.now >= old.attempt_at + timeout
                event(f"odd: {new.state}, overdue: {overdue}")
                assert new.state is old.state or overdue or stopped_long(turn, old)
                assert new.state not in {S.SUCCEEDED, S.READY, S.STARTING}


@over_worlds
def test_no_more_is_tried_than_the_task_says(world, told):
    for turn in walk(world, told):
        for old, new in turn.moves:
            assert new.attempt <= world.pipeline.task(new.task).retries.attempts
            assert old.attempt <= new.attempt <= old.attempt + 1


@over_worlds
def test_the_job_has_another_name_only_once_it_is_known_to_have_ended(world, told):
    for turn in walk(world, told):
        for old, new in turn.moves:
            if new.serial != old.serial:
                heard = turn.heard(old)
                assert isinstance(heard.answer, Finished)
                assert old.state in AT_WORK
                assert new.serial == old.serial + 1
                assert new.handle is None
                assert new.baseline is None


@over_worlds
def test_what_was_asked_to_stop_ends_within_its_time_once_it_is_looked_at(world, told):
    for turn in walk(world, told):
        for old, new in turn.moves:
            heard = turn.heard(old)
            looked = heard is not None and (
                (heard.verb is Verb.POLL and old.state in {S.RUNNING, S.DEFERRED})
                or (heard.verb is Verb.FIND and old.state is S.STARTING and not hasattr(heard.answer, "handle"))
            )
            if old.stop and looked and stopped_long(turn, old):
                if isinstance(heard.answer, Finished) and old.stop is Stop.TIMEOUT:
                    assert new.state in TERMINAL | {S.RETRYING, S.READY}  # tried again, its job being over
                else:
                    assert new.state in TERMINAL
            if old.stop and not new.stop and new.state in OPEN:
                assert old.stop is Stop.TIMEOUT, "what a person wants is not forgotten"
                assert isinstance(heard.answer, Finished)


@over_worlds
def test_a_step_a_person_stopped_ends_as_that_person_said_or_as_its_job_did(world, told):
    for turn in walk(world, told):
        for old, new in turn.moves:
            if turn.heard(old) and new.state in TERMINAL and old.state in OPEN:
                if old.stop is Stop.CANCEL:
                    assert new.state in {S.CANCELLED, S.SUCCEEDED}
                if old.stop is Stop.SKIP:
                    assert new.state in {S.SKIPPED, S.SUCCEEDED}


@over_worlds
def test_a_cancelled_run_starts_nothing_more(world, told):
    for turn in walk(world, told):
        if turn.after.run.cancel_at is None:
            continue
        for step in turn.after.steps.values():
            assert step.state in AT_WORK | TERMINAL
            assert step.state in TERMINAL or step.stop in {Stop.CANCEL, Stop.SKIP}
        if any(isinstance(item, Cancel) for item in turn.told) and turn.before.run.state in RUN_OPEN:
            event("cancelled")


@over_worlds
def test_an_answer_about_an_older_job_is_dropped(world, told):
    for turn in walk(world, told, orders=False):
        for old, new in turn.moves:
            if not turn.heard(old) and turn.told != [Begin()]:
                let = old.state in {S.RETRYING, S.WAITING} or old.state in TERMINAL
                assert new == old or let, "nothing was heard of it, so only time and its needs may move it"


@over_worlds
def test_only_a_job_that_landed_or_a_person_makes_a_step_done(world, told):
    for turn in walk(world, told, orders=False):
        for old, new in turn.moves:
            if new.state in DONE and old.state not in DONE:
                assert turn.heard(old).answer.ok


@over_worlds
def test_a_start_refused_for_good_is_not_tried_again(world, told):
    for turn in walk(world, told):
        for old, new in turn.moves:
            heard = turn.heard(old)
            if heard is None or not isinstance(heard.answer, Rejected) or new == old or old.state is S.RETRYING:
                continue
            if heard.verb is Verb.START or (heard.verb is Verb.PREPARE and new.state is not S.READY):
                assert new.state in ({S.CANCELLED, S.SKIPPED} if old.stop else {S.FAILED})
                assert new.attempt == old.attempt
