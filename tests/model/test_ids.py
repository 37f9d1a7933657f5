"""Names that sort by the time they were made."""

from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from stackhub.model.ids import ALPHABET, LENGTH, Ids

T0 = datetime(2026, 11, 2, 6, 0, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def test_a_name_is_a_ulid():
    name = Ids().make(datetime(2016, 7, 30, 23, 54, 10, 259000, tzinfo=UTC))
    assert len(name) == LENGTH
    assert set(name) <= set(ALPHABET)
    assert name[:10] == "01ARZ3NDEK", "the time of the specification's example"


@given(st.lists(st.integers(-10_000, 10_000), max_size=50), st.integers(0, 2**32))
def test_names_of_one_maker_only_grow_even_when_its_clock_is_set_back(steps, seed):
    ids, now, last = Ids(Random(seed)), T0, ""
    for step in steps:
        now += step * MILLISECOND
        name = ids.make(now)
        assert name > last
        last = name


def test_names_of_two_makers_sort_by_their_time():
    assert Ids(Random(1)).make(T0) < Ids(Random(2)).make(T0 + MILLISECOND)


def test_many_names_of_one_moment_differ():
    ids = Ids()
    assert len({ids.make(T0) for _ in range(5000)} | {Ids().make(T0) for _ in range(100)}) == 5100


def test_the_same_seed_makes_the_same_names():
    one, other = Ids(Random(7)), Ids(Random(7))
    assert [one.make(T0) for _ in range(9)] == [other.make(T0) for _ in range(9)]
