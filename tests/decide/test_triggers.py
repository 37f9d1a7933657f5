"""What fires: whatever has landed since, once, in any order of landings, looks and runs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackhub.contract import Connection, Health
from stackhub.decide.triggers import Mark, Unresolved, fires, resolve, waits_for
from stackhub.model.landing import Landing

T0 = datetime(2026, 11, 2, tzinfo=UTC)


def landing(number, name="a"):
    return Landing(connection=name, mark=str(number), ended_at=T0 + timedelta(minutes=number))


def mark(name="a", taken=0, newest=0, connection="same"):
    return Mark(
        instance="tap",
        name=name,
        connection=name if connection == "same" else connection,
        mark=str(taken) if taken else "",
        ended_at=T0 + timedelta(minutes=taken),
        newest=landing(newest, name) if newest else None,
    )


@pytest.mark.parametrize(
    ("marks", "every", "one"),
    [
        ([mark("a", 1, 2), mark("b", 1, 2)], "ab", "ab"),
        ([mark("a", 1, 2), mark("b", 2, 2)], "", "a"),
        ([mark("a", 2, 2), mark("b", 2, 2)], "", ""),
        ([mark("a", 0, 1)], "a", "a"),
        ([mark("a", 0, 0)], "", ""),
        ([mark("a", 3, 2)], "", ""),
        ([mark("a", 1, 2), mark("b", 1, 2, connection=None)], "", "a"),
        ([], "", ""),
    ],
)
def test_all_or_any(marks, every, one):
    assert "".join(found.name for found in fires(marks)) == every
    assert "".join(found.name for found in fires(marks, enough=True)) == one


def test_two_landings_of_the_same_moment_are_told_apart_by_their_marks():
    newest = replace(landing(1), mark="other")
    assert mark("a", 1, 1).news is False
    assert replace(mark("a", 1, 1), newest=newest).news is True


def test_what_is_waited_for_is_named():
    assert waits_for([mark("a", 1, 2), mark("b", 2, 2)]) == "tap:b to land"
    assert waits_for([mark("b", 2, 2), mark("c", connection=None)]) == "tap:b to land and for a first look at tap:c"
    assert waits_for([mark("a", 1, 2)]) == ""


happenings = st.lists(
    st.one_of(st.tuples(st.just("lands"), st.sampled_from("ab")), st.just(("looks", ""))), max_size=40
)


@given(happenings, st.booleans())
def test_every_landing_is_taken_by_exactly_one_run_once_all_are_in(told, enough):
    """Whatever lands is taken as soon as the rule allows, and never twice."""
    marks = {name: mark(name) for name in "ab"}
    number, runs = 0, []
    for what, name in [*told, ("lands", "a"), ("lands", "b"), ("looks", "")]:
        if what == "lands":
            number += 1
            marks[name] = replace(marks[name], newest=landing(number, name))
            continue
        taken = fires(list(marks.values()), enough=enough)
        assert fires(list(marks.values()), enough=enough) == taken
        if taken:
            runs.append({one.name: one.newest.mark for one in taken})
            for one in taken:
                marks[one.name] = replace(one, mark=one.newest.mark, ended_at=one.newest.ended_at)
    assert not any(one.news for one in marks.values())
    for name in "ab":
        seen = [int(run[name]) for run in runs if name in run]
        assert seen == sorted(set(seen))
    assert enough or all(set(run) == {"a", "b"} for run in runs)


def held(*pairs):
    return {id_: Connection(id=id_, name=name, health=Health.OK) for id_, name in pairs}


def test_a_name_means_one_connection_or_says_why_not():
    shown = held(("1", "orders"), ("2", "stripe"), ("3", "stripe"), ("stripe_eu", "x"))
    assert resolve("tap", "orders", shown) == "1"
    assert resolve("tap", "2", shown) == "2"
    assert resolve("tap", "stripe", shown) == Unresolved(
        "tap has 2 connections named 'stripe': name it by its id: 2, 3"
    )
    assert resolve("tap", "order", shown) == Unresolved("tap has no connection 'order'; did you mean orders?")
    assert resolve("tap", "zzz", {}) == Unresolved("tap has no connection 'zzz'; it shows 0 connections to this key")
