"""What a check finds is judged by what it wants, and told in few words."""

from decimal import Decimal

import pytest

from stackhub_sql.verdict import COUNTED, verdict


def wanting(expect="value", least=None, most=None, show=5):
    return {"expect": expect, "min": least, "max": most, "show": show}


def of_value(value, **wanted) -> str:
    return verdict(wanting(**wanted), ["v"], [(value,)], 1)[1]


def test_rows_that_should_not_be_are_counted_and_the_first_are_shown():
    found, wrong = verdict(wanting("no_rows", show=2), ["id", "note"], [(1, None), (2, "a\nb"), (3, b"xyz")], 3)

    assert found == {"rows": 3}
    assert wrong == "3 rows, and there should be none\nid | note\n1 | NULL\n2 | a b"
    assert verdict(wanting("no_rows", show=0), ["id"], [(1,)], 1)[1] == "1 row, and there should be none"
    assert verdict(wanting("no_rows"), ["id"], [], 0) == ({"rows": 0}, "")


def test_what_is_shown_is_bounded_in_every_direction():
    columns = [f"c{n}" for n in range(50)]
    _, wrong = verdict(wanting("no_rows", show=20), columns, [["x" * 1000] * 50] * 20, COUNTED + 1)

    assert wrong.startswith("more than 10,000 rows, and")
    assert max(map(len, wrong.splitlines())) < 700
    assert wrong.splitlines()[1].endswith("| c9 | ...")


def test_rows_that_should_be_are_asked_for_by_one():
    assert verdict(wanting("rows"), ["id"], [(None,)], 1)[1] == ""
    assert verdict(wanting("rows"), ["id"], [], 0)[1] == "no row, and there should be one at least"


@pytest.mark.parametrize("value", [True, 1, Decimal(1)])
def test_a_true_value_holds(value):
    assert of_value(value, expect="true") == ""


@pytest.mark.parametrize("value", [False, 0, None, "true", "t", 2, [1], -1])
def test_nothing_else_holds(value):
    assert of_value(value, expect="true") != ""


@pytest.mark.parametrize("value", [1, 2.5, Decimal(3), "2", 1.0])
def test_a_value_within_its_bounds_holds_bounds_included(value):
    assert of_value(value, least="1", most="3") == ""


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "0 is below the least, 1"),
        (3.01, "3.01 is above the most, 3"),
        (None, "NULL is no number"),
        (float("nan"), "nan is no number"),
        (True, "True is no number"),
        ("many", "many is no number"),
    ],
)
def test_a_value_out_of_bounds_or_none_at_all_does_not(value, told):
    assert of_value(value, least="1", most="3") == told


def test_one_value_is_one():
    assert verdict(wanting("true"), ["a", "b"], [(1, 1)], 1)[1] == "one row of one value is wanted, and here are 1 of 2"
    assert verdict(wanting(least="1"), ["a"], [], 0)[1] == "one row of one value is wanted, and here are 0 of 1"
