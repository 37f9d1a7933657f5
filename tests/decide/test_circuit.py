"""Whether an account is worth calling."""

from datetime import timedelta

from decide.worlds import T0
from hypothesis import given
from hypothesis import strategies as st

from stackhub.contract import ConfigError, Unavailable
from stackhub.decide.circuit import FAILURES, FIRST_REST, LONGEST_REST, WHILE, Circuit, went_badly, went_well

SECOND = timedelta(seconds=1)
DOWN = Unavailable("503")


def failed(times, apart=10 * SECOND, error=DOWN, circuit=None, now=T0):
    circuit = circuit or Circuit()
    for nth in range(times):
        circuit = went_badly(circuit, error, now + nth * apart)
    return circuit


def test_a_few_failures_are_a_blink():
    assert not failed(FAILURES - 1).open


def test_many_calls_that_fail_at_one_moment_are_one_blink():
    assert not failed(100, apart=timedelta()).open
    assert failed(100, apart=WHILE / 50).open
    assert not failed(FAILURES, apart=(WHILE - SECOND) / (FAILURES - 1)).open
    assert failed(FAILURES, apart=WHILE / (FAILURES - 1)).open


def test_failures_in_a_row_over_a_while_hold_calls_back():
    circuit = failed(FAILURES)
    assert circuit.open
    assert circuit.since == T0
    assert circuit.error == "503"
    last = T0 + (FAILURES - 1) * 10 * SECOND
    assert circuit.open_until == last + FIRST_REST
    assert not circuit.trial(last + FIRST_REST - SECOND)
    assert circuit.trial(last + FIRST_REST)


def test_refused_credentials_hold_calls_back_at_once():
    circuit = failed(1, error=ConfigError("the key is refused"))
    assert (circuit.open, circuit.refused) == (True, True)


def test_one_good_call_forgets_it_all():
    assert went_well(failed(50)) == Circuit()
    well = Circuit()
    assert went_well(well) is well, "nothing to keep where nothing changes"


@given(st.lists(st.tuples(st.booleans(), st.timedeltas(timedelta(), timedelta(minutes=6))), max_size=40))
def test_while_it_is_open_every_failure_is_followed_by_a_rest_that_grows_up_to_its_longest(calls):
    circuit, now = failed(FAILURES), T0 + FAILURES * 10 * SECOND
    for refused, later in calls:
        before = circuit
        now += later
        circuit = went_badly(circuit, ConfigError("no") if refused else DOWN, now)
        assert circuit.refused == refused
        assert not circuit.trial(now)
        assert circuit.open_until == now + circuit.rest
        assert circuit.rest == min(2 * before.rest, LONGEST_REST)
        assert circuit.since == T0


def test_a_refusal_that_turns_into_an_outage_goes_on_resting():
    refused = failed(1, error=ConfigError("no"))
    down = went_badly(refused, DOWN, refused.open_until)
    assert down.open_until > refused.open_until
    assert not down.refused
