import contextlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from stackhub.config.duration import Duration, Size, parse, parse_size
from stackhub.model.words import say


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86400), ("1h30m", 5400), ("1d2h3m4s", 93784), (" 0s ", 0)],
)
def test_a_duration_is_read_as_people_write_it(written, seconds):
    assert parse(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written", ["", "h", "1.5h", "30m1h", "1h1h", "-5m", "1 h", "1w", "٣m", "999999d", None, [], True]
)
def test_what_is_no_duration_is_refused(written):
    with pytest.raises(ValueError, match="should be a duration"):
        parse(written)


@pytest.mark.parametrize("written", [90, "90"])
def test_a_bare_number_is_refused_with_what_it_may_mean(written):
    with pytest.raises(ValueError, match="90 has no unit: write 90s, 90m or 90h"):
        parse(written)


@given(st.integers(min_value=0, max_value=36_500 * 86_400))
def test_what_is_said_can_be_read_again(seconds):
    assert parse(say(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@given(st.text(max_size=12) | st.text("0123456789dhms", max_size=12))
def test_any_text_is_a_duration_or_a_value_error(text):
    with contextlib.suppress(ValueError):
        assert parse(text) >= timedelta()


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (timedelta(minutes=90), "1h30m"),
        (timedelta(days=1), "1d"),
        (timedelta(seconds=-61), "-1m1s"),
        (timedelta(milliseconds=900), "0s"),
        (timedelta(seconds=59.9), "59s"),
    ],
)
def test_a_duration_is_said_to_the_second(length, said):
    assert say(length) == said


def test_a_field_takes_what_people_write_and_gives_it_back():
    field = TypeAdapter(Duration)
    assert field.validate_python("1h30m") == timedelta(minutes=90)
    assert field.dump_json(timedelta(minutes=90)) == b'"1h30m"'
    with pytest.raises(ValidationError, match="has no unit"):
        field.validate_python(5)


@pytest.mark.parametrize(
    ("written", "size"),
    [("50MB", 50_000_000), ("50 MB", 50_000_000), ("512KiB", 524_288), ("1GB", 10**9), ("7B", 7)],
)
def test_a_size_is_read_in_bytes(written, size):
    assert parse_size(written) == size
    assert TypeAdapter(Size).validate_python(written) == size


@pytest.mark.parametrize("written", ["50", "50mb", "1.5GB", "MB", "", "-1MB", None])
def test_what_is_no_size_is_refused(written):
    with pytest.raises(ValueError, match="should be a size such as 50MB"):
        parse_size(written)
