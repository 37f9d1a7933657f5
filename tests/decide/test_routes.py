"""Who hears of an incident."""

from dataclasses import replace
from datetime import timedelta

import pytest
from decide.stories import FAILED, LATE, LIVE, NEW, PLAIN, VOICE, Story
from decide.worlds import T0

from stackhub.contract import Severity
from stackhub.decide.incident import observe
from stackhub.decide.routes import deaf, ears
from stackhub.model.pipeline import Told

FINANCE = replace(LIVE, id="finance", owners=("Finance",))


def incident(*facets):
    return replace(NEW, facets={facet.kind: facet for facet in facets})


@pytest.mark.parametrize(
    ("owners", "hears"),
    [((), False), (("finance",), True), (("data", " FINANCE "), True), (("fin",), False)],
)
def test_a_route_of_an_owner_hears_what_concerns_him_however_he_is_written(owners, hears):
    found = deaf(FINANCE, incident(replace(FAILED, owners=owners)))
    assert (found == "") is hears


def test_what_concerns_an_owner_must_be_what_the_route_listens_to():
    only_late = replace(FINANCE, on=frozenset({Told.LATE}))
    mine = replace(FAILED, owners=("finance",))
    assert deaf(only_late, incident(mine)) == "it hears of late; this is failed"
    assert "concerns nobody by name" in deaf(only_late, incident(mine, LATE))
    assert deaf(only_late, incident(mine, replace(LATE, owners=("finance",)))) == ""


def test_a_route_without_an_owner_hears_everything():
    assert deaf(LIVE, incident(replace(FAILED, owners=("finance",)))) == ""


def test_who_has_heard_of_it_hears_how_it_goes_on_whoever_is_concerned_by_then():
    told = Story(FINANCE, PLAIN).see(replace(FAILED, owners=("finance",)))
    assert {post.route.id for post in told.posts} == {"finance", "to-plain"}
    told.see(replace(FAILED, owners=("data",), summary="it goes on"))
    assert {post.route.id for post in told.posts} == {"finance", "to-plain"}


def test_a_change_that_makes_it_his_concern_opens_it_for_an_owner():
    told = Story(FINANCE, PLAIN).see(FAILED)
    assert {post.route.id for post in told.posts} == {"to-plain"}
    told.see(replace(FAILED, owners=("finance",)))
    assert {(post.route.id, post.message.event.value) for post in told.posts} == {
        ("finance", "opened"),
        ("to-plain", "updated"),
    }


def test_several_routes_to_one_place_are_one_as_the_worst_of_those_that_apply():
    calm = replace(LIVE, severity=Severity.INFO, renotify=timedelta(hours=4))
    loud = replace(LIVE, owners=("finance",), severity=Severity.CRITICAL, renotify=timedelta(hours=1))
    [ear] = ears(incident(FAILED), [calm, loud])
    assert (ear.hears, ear.route.severity, ear.route.renotify) == (True, Severity.INFO, timedelta(hours=4))
    [ear] = ears(incident(replace(FAILED, owners=("finance",))), [calm, loud])
    assert (ear.hears, ear.route.severity, ear.route.renotify) == (True, Severity.CRITICAL, timedelta(hours=1))


def test_an_incident_remembers_the_newest_runs_that_had_a_part_in_it():
    found = NEW
    for run in [*range(60), 30, 59]:
        found = observe(found, replace(FAILED, run=f"R{run}", title=f"{found.version}"), [], VOICE, T0).incident
    assert found.runs == tuple(f"R{run}" for run in range(10, 60))
