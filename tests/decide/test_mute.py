"""What a mute covers, and what becomes of an incident under one."""

from dataclasses import replace
from datetime import timedelta

import pytest
from decide.stories import ALARM, FAILED, LATE, LIVE, NEW, PLAIN, VOICE, Story
from decide.worlds import T0
from hypothesis import given, settings
from hypothesis import strategies as st

from stackhub.contract import Event
from stackhub.decide.incident import cease, observe, remind, reminded_at, unmuted
from stackhub.decide.mute import LONGEST, covers, muting, objection
from stackhub.decide.routes import deaf
from stackhub.model.mute import Mute
from stackhub.model.pipeline import Told

HOUR = timedelta(hours=1)
EVERYONE = (LIVE, PLAIN, ALARM)
MUTE = Mute(id="M1", key="pipeline:shop", until=T0 + HOUR, reason="known", by="ada", since=T0)


@pytest.mark.parametrize(
    ("muted", "key", "pipeline", "does"),
    [
        ("pipeline:shop", "pipeline:shop", "shop", True),
        ("pipeline:shop", "backfill:B1", "shop", True),
        ("pipeline:shop", "pipeline:shop2", "shop2", False),
        ("instance:fivetran", "instance:fivetran", "", True),
        ("instance:fivetran", "connection:fivetran/c1", "", True),
        ("instance:fivetran", "connection:fivetran.eu/c1", "", False),
        ("instance:fivetran", "pipeline:shop", "shop", False),
        ("connection:fivetran/c1", "connection:fivetran/c1", "", True),
        ("connection:fivetran/c1", "connection:fivetran/c11", "", False),
    ],
)
def test_a_mute_covers_its_own_and_what_is_part_of_it(muted, key, pipeline, does):
    assert covers(replace(MUTE, key=muted), replace(NEW, key=key, pipeline=pipeline)) is does


def test_of_several_mutes_the_one_that_lasts_longest_counts_and_none_that_is_over():
    long, over = replace(MUTE, id="M2", until=T0 + 2 * HOUR), replace(MUTE, id="M3", until=T0 + 9 * HOUR, ended_at=T0)
    assert muting([MUTE, long, over], NEW, T0) == long
    assert muting([MUTE, long, over], NEW, T0 + 2 * HOUR) is None, "its end is no part of it"


@pytest.mark.parametrize(
    ("until", "reason", "says"),
    [
        (T0, "known", "in the future"),
        (T0 + HOUR, " ", "needs a reason"),
        (T0 + LONGEST + HOUR, "known", "366 days"),
        (T0 + HOUR, "known", ""),
    ],
)
def test_a_mute_that_makes_no_sense_is_objected_to(until, reason, says):
    assert says in objection(until, reason, T0)
    assert bool(says) == bool(objection(until, reason, T0))


def muted(incident, facet):
    return observe(incident, facet, EVERYONE, VOICE, T0, muted=True)


def test_what_happens_while_it_is_muted_is_kept_and_told_when_the_mute_has_ended():
    first = muted(NEW, FAILED)
    assert first.posts == ()
    second = muted(first.incident, LATE)
    assert set(second.incident.facets) == {Told.FAILED, Told.LATE}
    told = unmuted(second.incident, EVERYONE, VOICE, T0 + HOUR)
    assert [(post.route.id, post.message.event.value) for post in told.posts] == [
        ("to-live", "opened"),
        ("to-plain", "opened"),
        ("to-alarm", "opened"),
    ]
    assert unmuted(told.incident, EVERYONE, VOICE, T0 + HOUR) is None, "once"


def test_what_is_over_before_the_mute_is_was_told_to_nobody_and_stays_so():
    over = cease(muted(NEW, FAILED).incident, [Told.FAILED], EVERYONE, VOICE, T0 + HOUR, "it is well", muted=True)
    assert (over.posts, over.incident.resolution) == ((), "it is well")
    assert unmuted(over.incident, EVERYONE, VOICE, T0 + HOUR) is None


def test_whoever_knew_of_it_before_the_mute_hears_its_end_at_once():
    known = Story(*EVERYONE).see(FAILED).incident
    held = muted(known, LATE)
    assert held.posts == ()
    over = cease(held.incident, list(Told), EVERYONE, VOICE, T0 + HOUR, "it is well", muted=True)
    assert {post.route.id for post in over.posts} == {"to-live", "to-plain", "to-alarm"}


def test_a_facet_that_ends_under_a_mute_is_news_when_the_mute_has_ended():
    known = Story(LIVE).see(FAILED).see(LATE).incident
    held = cease(known, [Told.FAILED], [LIVE], VOICE, T0, "seen to", muted=True)
    assert held.posts == ()
    told = unmuted(held.incident, [LIVE], VOICE, T0 + HOUR)
    assert [post.message.title for post in told.posts] == [LATE.title, LATE.title]
    assert told.posts[1].message.summary == "it was muted until now"


# --- reminders -------------------------------------------------------------------------------------------------------

OFTEN = tuple(replace(route, renotify=4 * HOUR) for route in EVERYONE)


def test_nobody_is_reminded_who_did_not_ask_for_it():
    known = Story(*EVERYONE).see(FAILED).incident
    assert reminded_at(known, EVERYONE) is None
    assert remind(known, EVERYONE, VOICE, T0 + 100 * HOUR) is None


def test_each_way_of_listening_is_reminded_once_in_a_while():
    known = Story(*OFTEN).see(FAILED).incident
    assert reminded_at(known, OFTEN) == T0 + 4 * HOUR
    assert remind(known, OFTEN, VOICE, T0 + 4 * HOUR - timedelta(seconds=1)) is None
    told = remind(known, OFTEN, VOICE, T0 + 4 * HOUR)
    assert [(post.route.id, post.part.value, post.message.event.value) for post in told.posts] == [
        ("to-live", "entry", "updated"),
        ("to-plain", "entry", "updated"),
        ("to-alarm", "root", "updated"),
    ]
    assert told.posts[0].message.summary == "still, after 4h 00m"
    assert remind(told.incident, OFTEN, VOICE, T0 + 5 * HOUR) is None
    assert reminded_at(told.incident, OFTEN) == T0 + 8 * HOUR


def test_news_puts_a_reminder_off_for_those_who_heard_it():
    story = Story(*OFTEN).see(FAILED)
    story.now = T0 + 3 * HOUR
    known = story.see(LATE).incident
    told = remind(known, OFTEN, VOICE, T0 + 4 * HOUR)
    assert [post.route.id for post in told.posts] == ["to-alarm"], "its cause was the same, so it was not raised again"
    assert reminded_at(told.incident, OFTEN) == T0 + 7 * HOUR


def test_a_route_that_is_not_configured_any_more_is_reminded_of_nothing():
    known = Story(*OFTEN).see(FAILED).incident
    assert reminded_at(known, ()) is None


def test_what_a_reminder_changes_is_the_time_it_was_told_alone():
    known = Story(*OFTEN).see(FAILED).incident
    after = remind(known, OFTEN, VOICE, T0 + 4 * HOUR).incident
    assert after.facets == known.facets
    assert (after.version, after.seq) == (known.version + 1, known.seq + 1)
    assert observe(after, FAILED, OFTEN, VOICE, T0 + 5 * HOUR) is None


# --- whatever happens ------------------------------------------------------------------------------------------------

FACETS = [
    replace(facet, title=f"{facet.title} {nth}", owners=owners)
    for facet in (FAILED, LATE)
    for nth, owners in enumerate([(), ("finance",)])
]
ROUTES = [
    replace(route, id=f"{route.id}-{nth}", owners=owners)
    for route in EVERYONE
    for nth, owners in enumerate([(), ("finance",)])
]


@settings(max_examples=80)
@given(st.lists(st.tuples(st.sampled_from([*FACETS, [Told.FAILED], [Told.LATE]]), st.booleans()), max_size=12))
def test_a_mute_costs_nobody_anything_but_time(story):
    """Whoever would know of what lasts knows of it once no mute holds; whoever knew of what is over has heard so."""
    found, last = NEW, {}
    for what, is_muted in story:
        change = (
            cease(found, what, ROUTES, VOICE, T0, "over", muted=is_muted)
            if isinstance(what, list)
            else observe(found, what, ROUTES, VOICE, T0, muted=is_muted)
        )
        if change is None:
            continue
        last |= {post.route.id: post.message.event for post in change.posts}
        if is_muted:
            assert {post.message.event for post in change.posts} <= {Event.RESOLVED}
        knew, found = found.routes, change.incident
        if found.resolved_at is not None:
            assert {last[name] for name in knew} <= {Event.RESOLVED}
            found, last = NEW, {}
    if found.facets:
        told = unmuted(found, ROUTES, VOICE, T0)
        found = told.incident if told else found
        assert {route.id for route in ROUTES if not deaf(route, found)} <= set(found.routes)
        assert not found.untold
