"""Any message, as Slack takes it: within its limits, calling nobody who is not meant."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackhub.contract import Event, Fact, Link, Message, Part, Severity, clean, line
from stackhub_slack.render import TEXT, TOTAL, entry, root, size
from stackhub_slack.sandbox_blocks import refused, seen, shown
from stackhub_slack.text import code, fit, fit_ends, lasted, link, octets, stamp

AWKWARD = st.sampled_from(
    [
        "<!channel>",
        "<@U0123456789>",
        "&amp;",
        "```",
        "🧨",
        "漢字",
        "\x1b[31m",
        "\ud83d",
        "\x00",
        "\n",
        " ",
        "*",
        "é",
        "x",
    ]
)
WORDS = st.one_of(
    st.text(st.characters(), max_size=80),
    st.builds(lambda piece, times: piece * times, AWKWARD, st.integers(1, 9_000)),
    st.lists(AWKWARD, max_size=30).map("".join),
)
TIMES = st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - zoned by it
MESSAGES = st.builds(
    Message,
    incident=WORDS,
    dedup=st.just("5f2d9c0e"),
    part=st.sampled_from(Part),
    event=st.sampled_from(Event),
    severity=st.sampled_from(Severity),
    title=WORDS,
    summary=WORDS,
    facts=st.lists(st.builds(Fact, label=WORDS, text=WORDS), max_size=15).map(tuple),
    error=WORDS,
    links=st.lists(st.builds(Link, text=WORDS, url=st.one_of(WORDS, WORDS.map("https://h/{}".format))), max_size=7).map(
        tuple
    ),
    at=TIMES,
    since=TIMES,
    pipeline=WORDS,
    source=WORDS,
)
# What Slack acts upon, and we write ourselves: dates, and links to web pages.
OURS = re.compile(r"<(!date\^\d+\^[^<>|]*\|[^<>|]*|https?://[^<>|\s]*\|[^<>]*)>")
ENTITY = re.compile(r"&(?!(amp|lt|gt);)")


def markup(blocks):
    """Every text in the blocks, as it is sent."""
    for block in blocks:
        for text in [block.get("text"), *block.get("fields", ()), *block.get("elements", ())]:
            if text:
                yield text["text"]


@given(MESSAGES)
def test_any_message_is_within_slack_s_limits_and_calls_nobody(message):
    for told in (root(message, aside=message.source), entry(message)):
        assert refused(list(told.blocks)) is None
        assert size(told.blocks) <= TOTAL
        assert 0 < octets(told.text) <= TEXT
        assert 0 < octets(told.plain) <= TEXT
        for sent in (told.text, told.plain, *markup(told.blocks)):
            bare = OURS.sub("", sent)
            assert not set("<>") & set(bare)
            assert not ENTITY.search(bare)
            assert sent.strip()


@given(MESSAGES)
def test_what_is_over_calls_nobody_and_what_is_open_calls_whom_the_route_names(message):
    told = root(message, mention="<!here>")
    calls = [sent for sent in (told.plain, *markup(told.blocks)) if "<!here>" in sent]
    assert len(calls) == (0 if message.event is Event.RESOLVED else 2)


@given(WORDS, st.integers(1, 500))
def test_a_text_that_is_cut_says_so_and_one_that_fits_is_whole(text, most):
    cleaned = clean(text)
    fitted = fit(cleaned, most)
    assert len(fitted) <= most
    whole = shown(fitted) if "<" not in fitted else ""
    if fitted.endswith("…") and not cleaned.endswith("…"):
        assert cleaned.startswith(fitted[:-1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    else:
        assert fitted.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == cleaned
    assert "<" not in whole or "<" in cleaned


@given(WORDS, st.integers(3, 500))
def test_octets_are_counted_where_octets_are_meant(text, most):
    assert octets(fit(clean(text), most, measure=octets)) <= most


@given(WORDS, st.integers(20, 500))
def test_a_block_of_code_has_one_opening_and_one_end(text, most):
    written = code(text, most)
    assert len(written) <= most
    assert written.startswith("```\n")
    assert written.endswith("\n```")
    assert "```" not in written[3:-3]


def test_a_long_error_keeps_its_beginning_and_its_end():
    error = f"Traceback\n{'x' * 9_000}\nValueError: no such table"
    assert fit_ends(error, 100).startswith("Traceback\nxxx")
    assert fit_ends(error, 100).endswith("ValueError: no such table")


def test_a_long_error_is_shown_to_nearly_3_000_characters():
    message = Message(
        incident="i",
        dedup="d",
        part=Part.ROOT,
        event=Event.OPENED,
        severity=Severity.ERROR,
        title="t",
        error="word " * 2_000,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        since=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert max(map(len, markup(root(message).blocks))) > 2_700


def test_a_terminal_s_colours_and_control_characters_are_no_text():
    assert clean("\x1b[31mred\x1b[0m\r\n\x00bell\x07 half\ud83d") == "red\nbell half"
    assert line("two\n\tlines ") == "two lines"


@pytest.mark.parametrize(
    ("url", "shown_as"),
    [
        ("https://hub.example/runs/1?a=1&b=2", "<https://hub.example/runs/1?a=1&amp;b=2|Run>"),
        ("https://hub.example/a|b", "<https://hub.example/a%7Cb|Run>"),
        ("javascript:alert(1)", ""),
        ("https://hub.example/a b", ""),
        ("https://hub.example/><!channel>", ""),
        ("https://hub.example/" + "x" * 3_000, ""),
        ("", ""),
    ],
)
def test_only_web_pages_are_linked(url, shown_as):
    assert link("Run", url, 500) == shown_as


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (timedelta(seconds=-5), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(seconds=60), "1 min"),
        (timedelta(minutes=72), "1 h 12 min"),
        (timedelta(hours=2), "2 h"),
        (timedelta(days=3, hours=4, minutes=5), "3 d 4 h"),
    ],
)
def test_a_duration_is_said_in_its_two_largest_units(span, said):
    assert lasted(span) == said


def test_a_time_falls_back_to_utc():
    at = datetime(2026, 3, 1, 6, 30, tzinfo=UTC)
    assert stamp(at) == f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time}}|2026-03-01 06:30 UTC>"


def test_the_fake_refuses_what_slack_refuses():
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3_000}}
    assert refused([section]) is None
    assert refused([section] * 5) == "msg_blocks_too_long"
    assert refused([{"type": "divider"}] * 51) == "invalid_blocks"
    assert refused([{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3_001}}]) == "invalid_blocks"
    assert refused([{"type": "section", "text": {"type": "mrkdwn", "text": " "}}]) == "invalid_blocks"
    assert refused([{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}]) == "invalid_blocks"
    assert refused([{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}]) == "invalid_blocks"
    assert refused([{"type": "section"}]) == "invalid_blocks"
    assert refused([{"type": "context", "elements": []}]) == "invalid_blocks"
    assert refused([{"type": "marquee"}]) == "invalid_blocks"
    assert refused({"type": "divider"}) == "invalid_blocks_format"


def test_the_fake_shows_what_people_see():
    text = "*Attempts*\n3 of 3, <https://x|Run> <!channel> <!date^1^{time}|noon> &lt;b&gt;"
    field = {"type": "section", "fields": [{"type": "mrkdwn", "text": text}]}
    assert seen("fallback", [field]) == ("Attempts: 3 of 3, Run @channel noon <b>",)
    assert seen("only\n\ntext", []) == ("only", "text")
