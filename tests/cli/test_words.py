"""Words."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackhub.cli import words
from stackhub.model.run import RunState
from stackhub.model.step import StepState


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (None, ""),
        (-3, "0.0s"),
        (0.04, "0.0s"),
        (4.24, "4.2s"),
        (9.96, "10s"),
        (59.6, "1m 00s"),
        (65, "1m 05s"),
        (7380, "2h 03m"),
        (timedelta(days=3, hours=4, minutes=59), "3d 04h"),
    ],
)
def test_lengths_are_short_and_keep_two_units(seconds, written):
    assert words.length(seconds) == written


@given(st.floats(min_value=0, max_value=1e7))
def test_no_length_is_longer_than_its_column(seconds):
    assert len(words.length(seconds)) <= len("115d 17h")


@pytest.mark.parametrize("state", [*RunState, *StepState])
def test_every_state_has_a_sign_even_where_there_is_only_ascii(state):
    assert len(words.icon(state)) == 1
    assert words.icon(state, "ascii").isascii()
    assert words.said(state)


def test_times_stand_in_the_hubs_zone():
    at = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert words.stamp(at, "Europe/Berlin") == "2026-03-29 03:30:00"
    assert words.clock(at, "UTC") == "01:30:00"
    assert words.stamp(None, "UTC") == ""


def test_a_strangers_words_do_not_steer_the_terminal():
    assert words.clean("\x1b[31mred\x1b[0m\r\n\x1b]0;title\x07 \u202egnp.exe é\t–") == "red\n�]0;title� �gnp.exe é\t–"


@given(st.text())
def test_cleaned_words_hold_nothing_that_steers(text):
    assert not any(letter < " " and letter not in "\n\t" for letter in words.clean(text))


def test_a_long_message_keeps_its_cause_and_its_end():
    lines = words.shortened("\n".join(f"line {at}" for at in range(100)), most=5)
    assert lines == ["line 0", "line 1", "... 96 more lines ...", "line 98", "line 99"]


def test_lists_of_names_end_with_a_count():
    assert words.listed(["a", "b"]) == "a, b"
    assert words.listed(list("abcdefg"), most=3) == "a, b and 5 more"
    assert words.counted(1, "run") == "1 run"
    assert words.counted(2, "run") == "2 runs"
