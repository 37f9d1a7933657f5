"""Muting and explaining from the command line, with a daemon and without one."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from stackhub.cli.mutes import moment
from stackhub.errors import Refused

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)  # half past three in Berlin


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2h", NOW + timedelta(hours=2)),
        ("1d12h", NOW + timedelta(hours=36)),
        ("18:00", datetime(2026, 11, 22, 17, 0, tzinfo=UTC)),
        ("9:00", datetime(2026, 11, 23, 8, 0, tzinfo=UTC)),
        ("15:30", datetime(2026, 11, 23, 14, 30, tzinfo=UTC)),
        ("2026-11-24", datetime(2026, 11, 23, 23, 0, tzinfo=UTC)),
        ("2026-11-24T08:00", datetime(2026, 11, 24, 7, 0, tzinfo=UTC)),
        ("2026-11-24 08:00+00:00", datetime(2026, 11, 24, 8, 0, tzinfo=UTC)),
    ],
)
def test_an_end_is_read_as_people_write_it(written, at):
    assert moment(written, BERLIN, NOW) == at


@pytest.mark.parametrize("written", ["", "tomorrow", "25:00", "12", "2026-13-01"])
def test_what_is_no_time_is_refused_with_how_to_write_one(written):
    with pytest.raises(Refused, match="write 2h, 18:00"):
        moment(written, BERLIN, NOW)


def test_a_wish_to_mute_without_a_daemon_is_kept_and_the_next_one_obeys_it(stackhub, directory, sandbox):
    sandbox.configure(directory, "slack")
    muted = stackhub("alerts", "mute", "broken", "--until", "2h", "--reason", "known")
    assert (muted.code, "kept" in muted.err) == (0, True)
    assert stackhub("run", "broken").code == 1
    listed = stackhub("alerts", "list", "--json").json
    assert [(one["key"], one["reason"]) for one in listed["mutes"]] == [("pipeline:broken", "known")]
    assert (listed["incidents"][0]["untold"], listed["incidents"][0]["told"]) == (True, [])
    shown = stackhub("alerts").out
    assert "muted: known" in shown
    assert "muted  pipeline:broken until" in shown
    assert "muted until" in stackhub("show", "last").out
    told = stackhub("alerts", "explain", "last").out
    assert "not told  slack: pipeline:broken is muted until" in told
    assert stackhub("alerts", "unmute", "broken").code == 0
    again = stackhub("run", "broken")
    assert "told slack: broken failed: bad" in again.out
    explained = stackhub("alerts", "explain", "last", "--json").json
    [incident] = explained["incidents"]
    assert (incident["untold"], [one["heard"] for one in incident["heard_by"]]) == (False, [True])
    assert "answered: " in stackhub("alerts", "explain", "last").out


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["mute", "broken", "--until", "never", "--reason", "x"], "is no time"),
        (["mute", "broken", "--until", "2020-01-01", "--reason", "x"], "in the future"),
        (["mute", "broken", "--until", "2h", "--reason", " "], "needs a reason"),
        (["unmute", "broken"], "broken is not muted; muted: nothing"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(stackhub, argv, says):
    refused = stackhub("alerts", *argv)
    assert (refused.code, says in refused.err) == (2, True)
