"""What becomes of an incident, and who is told: each rule by an example."""

from dataclasses import replace
from datetime import timedelta

import pytest
from decide.stories import ALARM, FAILED, LATE, LIVE, NEW, PLAIN, STALLED, VOICE, Story
from decide.worlds import T0

from stackhub.contract import Event, Part, Severity
from stackhub.decide.incident import cease, head
from stackhub.decide.message import ONCE_MORE, dedup, message_key
from stackhub.model.pipeline import Told


def test_an_incident_opens_with_its_first_facet_in_each_route_s_own_way():
    told = Story(LIVE, PLAIN, ALARM).see(FAILED)
    parts = [(post.route.id, post.part, post.message.event) for post in told.posts]
    assert parts == [
        ("to-live", Part.ROOT, Event.OPENED),
        ("to-plain", Part.ENTRY, Event.OPENED),
        ("to-alarm", Part.ROOT, Event.OPENED),
    ]
    message = told.posts[0].message
    assert (message.title, message.error, message.severity) == ("shop failed: orders", "boom", Severity.ERROR)
    assert [(fact.label, fact.text) for fact in message.facts] == [("Attempts", "3 of 3")]
    assert [(link.text, link.url) for link in message.links] == [("Run", "https://hub/runs/R1")]
    assert (message.pipeline, message.incident, message.since, message.at) == ("shop", "I1", T0, T0)
    assert message.source == VOICE.source
    assert [post.message.part for post in told.posts] == [post.part for post in told.posts]
    assert (told.incident.version, told.incident.seq) == (1, 1)


def test_seeing_the_same_again_tells_nobody():
    told = Story(LIVE, PLAIN, ALARM).see(FAILED).see(replace(FAILED, since=T0 + timedelta(hours=1)))
    assert told.posts == ()
    assert told.incident.version == 1


def test_a_live_message_is_edited_and_its_thread_gets_a_line_from_the_second_state_on():
    told = Story(LIVE).see(LATE)
    assert told.said == [("root", "opened", "")]
    told.see(FAILED)
    assert told.said == [("root", "updated", FAILED.summary), ("entry", "updated", FAILED.summary)]
    told.see(replace(FAILED, summary="The next run is due at 07:00."))
    assert told.said[1][2] == "The next run is due at 07:00."
    told.see(replace(LATE, title="shop is later", summary="Nobody is waiting."))
    assert told.said[1][2] == "shop is later (Nobody is waiting.)", "the title is that of the failure"
    told.end(Told.LATE)
    assert told.said[1][2] == "no longer late: run R2 succeeded"
    now = told.now
    told.end(Told.FAILED)
    assert told.said == [("root", "resolved", "run R2 succeeded"), ("entry", "resolved", "run R2 succeeded")]
    assert [post.message.part for post in told.posts] == [Part.ROOT, Part.ENTRY]
    assert (told.incident.resolved_at, told.incident.resolution) == (now, "run R2 succeeded")
    assert told.incident.seq == 6


def test_plain_words_are_a_message_for_each_state():
    told = Story(PLAIN).see(LATE).see(FAILED)
    assert told.said == [("entry", "updated", FAILED.summary)]
    assert told.end(Told.LATE, Told.FAILED).said == [("entry", "resolved", "run R2 succeeded")]


def test_the_root_cause_heads_the_message_and_the_others_are_named():
    told = Story(LIVE).see(LATE).see(STALLED).see(FAILED)
    assert head(told.incident) == FAILED
    assert told.posts[0].message.title == "shop failed: orders"
    at_risk = replace(LATE, kind=Told.AT_RISK, title="shop will be late")
    assert head(told.see(at_risk).incident) == FAILED
    assert head(told.end(Told.FAILED).incident).title == LATE.title
    told.end(Told.AT_RISK).see(FAILED)
    also = [fact.text for fact in told.posts[0].message.facts if fact.label == "Also"]
    assert also == ["shop is late", "lost sight of orders"]


def test_an_alarm_is_raised_again_only_when_it_is_worse_or_has_another_cause():
    told = Story(ALARM).see(STALLED)
    assert told.said[0][:2] == ("root", "opened")
    assert told.see(replace(STALLED, summary="still")).posts == ()
    assert told.see(FAILED).posts, "worse, and another cause"
    assert told.see(replace(FAILED, title="shop failed: orders and 1 more")).posts == (), "the same cause"
    assert told.see(LATE).posts == ()
    assert told.see(replace(FAILED, severity=Severity.CRITICAL)).posts
    assert told.end(Told.STALLED).posts == ()
    assert told.end(Told.FAILED).posts, "what is left has another cause"


def test_an_alarm_is_taken_back_and_once_more_a_lease_later():
    told = Story(ALARM).see(FAILED)
    now = told.now
    told.end(Told.FAILED)
    first, second = told.posts
    assert (first.due, second.due) == (now, now + ONCE_MORE)
    assert timedelta(seconds=45) < ONCE_MORE, "a lease lasts so long"
    assert first.message == second.message
    assert first.message.event is Event.RESOLVED
    assert second.seq == first.seq + 1, "two messages have two names"


def test_severity_only_rises_while_it_is_open():
    told = Story(LIVE).see(FAILED).see(STALLED).end(Told.FAILED)
    assert told.incident.severity is Severity.ERROR
    assert told.posts[0].message.severity is Severity.ERROR


def test_a_route_hears_only_what_it_asked_for_and_then_how_it_goes_on():
    told = Story(replace(LIVE, on=frozenset({Told.LATE}))).see(FAILED)
    assert told.posts == ()
    assert told.see(LATE).said == [("root", "opened", FAILED.summary)]
    assert told.end(Told.LATE).said[0][1] == "updated"
    assert told.end(Told.FAILED).said[0][1] == "resolved"


def test_a_route_that_was_never_told_hears_no_end():
    assert Story(replace(LIVE, on=frozenset({Told.LATE}))).see(FAILED).end(Told.FAILED).posts == ()


def test_a_route_that_is_new_is_told_from_the_beginning():
    told = Story(LIVE).see(FAILED)
    told.routes = (LIVE, PLAIN)
    told.see(LATE)
    assert [(post.route.id, post.message.event) for post in told.posts] == [
        ("to-live", Event.UPDATED),
        ("to-live", Event.UPDATED),
        ("to-plain", Event.OPENED),
    ]


def test_a_route_that_is_gone_is_told_how_it_ends_as_it_was_told_before():
    told = Story(replace(ALARM, severity=Severity.INFO, options={"team": "data"})).see(FAILED)
    told.routes = ()
    assert told.see(replace(FAILED, error="bang")).posts == (), "it did not become worse by being removed"
    told.end(Told.FAILED)
    assert {(post.route.id, post.route.instance) for post in told.posts} == {("to-alarm", "alarm")}
    assert told.posts[0].route.options == {"team": "data"}
    assert told.posts[0].message.severity is Severity.INFO


def test_several_routes_to_one_place_are_one_and_hear_each_thing_once():
    pages = [
        replace(ALARM, on=frozenset({Told.LATE}), severity=Severity.WARNING),
        replace(ALARM, on=frozenset({Told.FAILED}), severity=Severity.CRITICAL),
    ]
    told = Story(*pages).see(LATE)
    assert [post.message.severity for post in told.posts] == [Severity.WARNING]
    told.see(FAILED)
    assert [post.message.severity for post in told.posts] == [Severity.CRITICAL]
    assert told.end(Told.LATE).incident.facets.keys() == {Told.FAILED}


def test_ending_what_does_not_last_changes_nothing():
    assert Story(LIVE).see(FAILED).end(Told.LATE).posts == ()
    assert cease(NEW, [], [LIVE], VOICE, T0, "why") is None


@pytest.mark.parametrize("installation", ["here", "x" * 500, "ä\n"])
def test_a_vendor_knows_all_messages_of_an_incident_by_one_short_name(installation):
    name = dedup(installation, "I1")
    assert name == dedup(installation, "I1")
    assert len(name) <= 64
    assert name.isalnum()
    assert name.isascii()
    assert name != dedup(installation, "I2")
    assert name != dedup("there", "I1")


def test_each_message_has_a_name_of_its_own():
    names = [
        message_key(incident, to, seq, part)
        for incident in ("I1", "I2")
        for to in ("slack", "slack:12")
        for seq in (1, 2)
        for part in Part
    ]
    assert len(set(names)) == len(names)
