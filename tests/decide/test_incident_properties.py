"""Rules of incidents that hold for whatever happens, whoever is configured to hear it by then."""

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random

import pytest
from decide.stories import NEW, VOICE
from decide.worlds import T0
from hypothesis import given, settings
from hypothesis import strategies as st

from stackhub.contract import Event, Part, Severity, Speaks
from stackhub.decide.incident import Change, cease, head, observe
from stackhub.decide.message import ONCE_MORE
from stackhub.decide.routes import RouteIn
from stackhub.model.incident import Facet, Incident
from stackhub.model.pipeline import OPENING, Told

KINDS = sorted(OPENING)
ROUTES = [
    RouteIn(id=f"{speaks}-{nth}", instance=speaks, speaks=speaks, on=frozenset(on), severity=severity)
    for speaks in Speaks
    for nth, (on, severity) in enumerate([(OPENING, None), ({Told.FAILED}, Severity.CRITICAL), ({Told.LATE}, None)])
]


@dataclass(frozen=True)
class Step:
    before: Incident
    change: Change | None
    configured: frozenset
    now: object


def _story(seed: int) -> list[tuple[Facet | set[Told], set[int]]]:
    """Make up a story: facets that come and go, and who is configured to hear each."""
    rng = Random(seed)
    return [
        (
            Facet(
                kind=rng.choice(KINDS),
                since=T0,
                severity=rng.choice(list(Severity)),
                title=rng.choice("ab"),
                cause=rng.choice(["", "x", "y"]),
                summary=rng.choice(["", "soon"]),
            )
            if rng.random() < 0.7
            else set(rng.sample(KINDS, rng.randint(1, 3))),
            {nth for nth in range(len(ROUTES)) if rng.random() < 0.6},
        )
        for _ in range(30)
    ]


happenings = st.integers(0, 2**32 - 1).map(_story)


def over_stories(test):
    return settings(max_examples=60)(given(happenings)(test))


def told(happenings):
    """One incident until it resolves; what happens after that is about another."""
    incident, now = NEW, T0
    for what, configured in happenings:
        now += timedelta(minutes=1)
        routes = [ROUTES[nth] for nth in sorted(configured)]
        if isinstance(what, Facet):
            change = observe(incident, what, routes, VOICE, now)
        else:
            change = cease(incident, sorted(what), routes, VOICE, now, "it is well")
        yield Step(incident, change, frozenset(route.id for route in routes), now)
        incident = change.incident if change else incident
        if incident.resolved_at:
            return


def by_route(happenings):
    found = defaultdict(list)
    for step in told(happenings):
        for post in step.change.posts if step.change else ():
            found[post.route.id].append(post)
    return found


@over_stories
def test_severity_only_rises_and_is_the_worst_that_was_seen(story):
    for step in told(story):
        if step.change:
            after = step.change.incident
            assert after.severity.at_least(step.before.severity)
            assert all(after.severity.at_least(facet.severity) for facet in after.facets.values())


@over_stories
def test_it_resolves_with_its_last_facet_and_not_before(story):
    for step in told(story):
        if step.change is None:
            continue
        after = step.change.incident
        events = {post.message.event for post in step.change.posts}
        assert (after.resolved_at is not None) == (events == {Event.RESOLVED}) or not events
        if after.resolved_at is None:
            assert after.facets
            assert Event.RESOLVED not in events


@over_stories
def test_whoever_heard_it_open_hears_it_end_whatever_is_configured_then(story):
    knew: set[str] = set()
    for step in told(story):
        if step.change is None:
            continue
        if step.change.incident.resolved_at:
            assert {post.route.id for post in step.change.posts} == knew
        knew |= {post.route.id for post in step.change.posts}


@over_stories
def test_nobody_hears_of_it_before_it_was_opened_for_him_and_that_only_once(story):
    for posts in by_route(story).values():
        events = [post.message.event for post in posts]
        assert events[0] is Event.OPENED
        assert events.count(Event.OPENED) == 1
        assert (
            Event.RESOLVED not in events
            or events.index(Event.RESOLVED)
            == max(nth for nth, event in enumerate(events) if event is not Event.RESOLVED) + 1
        )


@over_stories
def test_who_did_not_ask_for_any_of_it_is_not_the_first_to_hear(story):
    on = {route.id: route.on for route in ROUTES}
    for step in told(story):
        for post in step.change.posts if step.change else ():
            if post.message.event is Event.OPENED:
                assert post.route.id in step.configured
                assert on[post.route.id] & set(step.change.incident.facets)


@over_stories
def test_a_live_message_is_level_and_its_thread_in_order(story):
    for step in told(story):
        posts = [post for post in (step.change.posts if step.change else ()) if post.route.speaks is Speaks.LIVE]
        for name in {post.route.id for post in posts}:
            mine = [post for post in posts if post.route.id == name]
            parts = [post.part for post in mine]
            assert parts == [Part.ROOT] if mine[0].message.event is Event.OPENED else [Part.ROOT, Part.ENTRY]
            assert len({post.seq for post in mine}) == 1
    for name, posts in by_route(story).items():
        seqs = [post.seq for post in posts]
        assert seqs == sorted(seqs), name
        assert len({(post.seq, post.part) for post in posts}) == len(posts)


@over_stories
def test_plain_words_come_once_for_each_change(story):
    for step in told(story):
        plain = [post for post in (step.change.posts if step.change else ()) if post.route.speaks is Speaks.PLAIN]
        assert {post.part for post in plain} <= {Part.ENTRY}
        assert len({post.route.id for post in plain}) == len(plain)
        if step.change:
            assert {post.route.id for post in plain} >= {
                name for name, knows in step.before.routes.items() if knows.speaks == Speaks.PLAIN
            }


@over_stories
def test_an_alarm_is_raised_again_only_when_it_is_worse_or_has_another_cause(story):
    last: dict[str, tuple[int, str]] = {}
    for step in told(story):
        if step.change is None:
            continue
        facet = head(step.change.incident)
        cause = facet.cause or facet.title
        raised = {
            post.route.id: post.message
            for post in step.change.posts
            if post.route.speaks is Speaks.ALARM and post.message.event is not Event.RESOLVED
        }
        for name, message in raised.items():
            if name in last:
                assert (message.severity.rank > last[name][0]) or cause != last[name][1]
                assert message.severity.rank >= last[name][0]
            last[name] = message.severity.rank, cause
        for name in set(last) - set(raised):
            assert step.change.incident.resolved_at or last[name][1] == cause, "another cause is told"


@over_stories
def test_an_alarm_is_taken_back_twice_a_lease_apart(story):
    for step in told(story):
        if step.change is None or not step.change.incident.resolved_at:
            continue
        for name, knows in step.before.routes.items():
            dues = [post.due for post in step.change.posts if post.route.id == name]
            if knows.speaks == Speaks.ALARM:
                assert dues == [step.now, step.now + ONCE_MORE]
            else:
                assert set(dues) == {step.now}


@over_stories
def test_what_changes_nothing_is_told_to_nobody(story):
    for step in told(story):
        if step.change is None:
            continue
        after = step.change.incident
        assert after.version == step.before.version + 1
        routes = [route for route in ROUTES if route.id in step.configured]
        for facet in after.facets.values():
            if not after.resolved_at:
                assert observe(after, replace(facet, since=T0 + timedelta(days=1)), routes, VOICE, step.now) is None
        gone = [kind for kind in KINDS if kind not in after.facets]
        assert cease(after, gone, routes, VOICE, step.now, "it is well") is None


@over_stories
def test_all_messages_of_an_incident_carry_one_name(story):
    names = {post.message.dedup for posts in by_route(story).values() for post in posts}
    assert len(names) <= 1


@pytest.mark.parametrize("speaks", Speaks)
def test_stories_do_reach_every_way_of_speaking(speaks):
    """The strategy is worth something: an incident that opens, changes and resolves is told in each way."""
    everyone = set(range(len(ROUTES)))
    facet = Facet(kind=Told.FAILED, since=T0, severity=Severity.ERROR, title="a")
    story = [(facet, everyone), (replace(facet, cause="x"), everyone), ({Told.FAILED}, everyone)]
    events = [post.message.event for post in by_route(story)[f"{speaks}-0"]]
    assert events[0] is Event.OPENED
    assert events[-1] is Event.RESOLVED
    assert Event.UPDATED in events
