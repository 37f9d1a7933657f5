"""What a look at an account says: each rule by an example, and what holds whatever happens."""

from dataclasses import replace

import pytest
from decide.worlds import T0
from hypothesis import given
from hypothesis import strategies as st

from stackhub.contract import Connection, Health, Landing, Relation, Severity
from stackhub.decide.impact import Reach
from stackhub.decide.watch import GONE, MANY, SAYS, Use, common_facet, facet_of, key_of, news, same, telling, troubles
from stackhub.model.pipeline import Told

CRM = Connection(id="c1", name="crm", health=Health.OK, schedule="manual", syncing=False)
SHOP = Connection(id="c2", name="shop", health=Health.OK)
REVENUE, LEDGER = Use(pipeline="revenue", task="load", owner="finance"), Use(pipeline="ledger", task="crm")
USES = {"crm": (REVENUE,), "c1": (LEDGER,), "shop": (REVENUE,)}
NOWHERE = Reach()


def wrong(after, *, before=None, missed=None, uses=None):
    found = troubles(
        {one.id: one for one in before or after},
        {one.id: one for one in after},
        missed or {},
        USES if uses is None else uses,
    )
    return [(trouble.connection.id, trouble.state) for trouble in found]


@pytest.mark.parametrize("health", Health)
def test_whatever_keeps_a_sync_from_coming_is_a_trouble_and_what_nobody_understands_is_none(health):
    told = health not in {Health.OK, Health.UNKNOWN}
    assert wrong([replace(CRM, health=health)]) == ([("c1", health.value)] if told else [])


def test_who_uses_it_is_found_by_its_name_and_by_its_id():
    [trouble] = troubles({}, {"c1": replace(CRM, health=Health.BROKEN)}, {}, USES)
    assert trouble.uses == (LEDGER, REVENUE)


def test_what_nobody_uses_is_nobodys_trouble():
    assert wrong([replace(CRM, health=Health.BROKEN)], uses={}) == []
    assert wrong([], before=[CRM], uses={}) == []


def test_one_that_was_there_and_is_not_is_gone_until_it_is_back():
    assert wrong([SHOP], before=[CRM, SHOP]) == [("c1", GONE)]
    assert wrong([SHOP], missed={"c1": "crm"}) == [("c1", GONE)], "its row is gone, its incident remembers it"
    assert wrong([CRM, SHOP], missed={"c1": "crm"}) == []


def test_one_that_was_made_anew_under_its_old_name_is_not_gone():
    anew = replace(CRM, id="c9")
    assert wrong([anew], before=[CRM], uses={"crm": (REVENUE,)}) == []
    assert wrong([anew], missed={"c1": "crm"}, uses={"crm": (REVENUE,)}) == []


def test_one_that_was_never_seen_is_not_gone():
    assert wrong([SHOP], uses={"never": (REVENUE,)}) == []


def test_the_facet_says_who_uses_it_whose_words_and_as_of_when():
    landing = Landing(connection="c1", mark="1", ended_at=T0)
    one = replace(CRM, health=Health.BROKEN, note="Reauthorize", last=landing, url="https://vendor/c1")
    [trouble] = troubles({}, {"c1": one}, {}, USES)
    facet = facet_of("fivetran", trouble, T0, Reach(models=("model.x.a",), exposures=("Board (cfo)",), owners=("cfo",)))
    assert (facet.kind, facet.title, facet.error) == (Told.UPSTREAM, "fivetran/crm is broken", "Reauthorize")
    assert dict(facet.facts) == {
        "Used by": "ledger.crm, revenue.load",
        "Last landing": "2026-11-02 06:00 UTC",
        "Schedule": "manual",
        "Reaches": "Board (cfo); 1 model",
        "Concerns": "cfo",
    }
    assert facet.owners == ("finance", "cfo")
    assert (facet.about, facet.links) == ((("c1", "crm"),), (("Open at its vendor", "https://vendor/c1"),))


def test_a_landing_meanwhile_is_no_news_and_another_state_is():
    [before] = troubles({}, {"c1": replace(CRM, health=Health.PAUSED)}, {}, USES)
    landing = Landing(connection="c1", mark="1", ended_at=T0)
    [landed] = troubles({}, {"c1": replace(CRM, health=Health.PAUSED, last=landing)}, {}, USES)
    [broken] = troubles({}, {"c1": replace(CRM, health=Health.BROKEN)}, {}, USES)
    old = facet_of("fivetran", before, T0, NOWHERE)
    assert same(old, facet_of("fivetran", landed, T0, NOWHERE))
    assert not same(old, facet_of("fivetran", broken, T0, NOWHERE))
    assert not same(None, old)


def account(count, health=Health.PAUSED):
    held = {f"c{n}": Connection(id=f"c{n}", name=f"n{n}", health=health) for n in range(count)}
    return troubles({}, held, {}, {f"n{n}": (REVENUE,) for n in range(count)})


def test_many_at_once_are_one_problem_of_the_account():
    few = telling(account(MANY), (), as_one=False)
    assert (len(few.own), few.together) == (MANY, ())
    many = telling(account(MANY + 1), (), as_one=False)
    assert (many.own, len(many.together)) == ((), MANY + 1)
    facet = common_facet("fivetran", many.together, T0, NOWHERE)
    assert facet.title == "6 connections at fivetran are paused"
    assert facet.severity is Severity.WARNING
    assert len(facet.about) == MANY + 1


def test_severity_is_the_worst_of_many():
    mixed = [*account(5), *troubles({}, {"x": replace(CRM, id="x", health=Health.BROKEN)}, {}, USES)]
    facet = common_facet("fivetran", mixed, T0, NOWHERE)
    assert (facet.title, facet.severity) == ("6 connections at fivetran are not well", Severity.ERROR)


@given(st.integers(0, 12), st.sets(st.integers(0, 11)), st.booleans())
def test_each_trouble_is_told_one_way_and_none_twice(count, told, as_one):
    found = account(count)
    ids = {f"c{n}" for n in told}
    how = telling(found, ids, as_one=as_one)
    assert sorted(t.connection.id for t in (*how.own, *how.together)) == sorted(t.connection.id for t in found)
    assert not {t.connection.id for t in how.together} & ids
    assert len([t for t in how.own if t.connection.id not in ids]) <= MANY


@pytest.mark.parametrize(
    ("was", "now", "ours", "says"),
    [
        (CRM, CRM, False, []),
        (CRM, replace(CRM, schedule="every 6 h"), False, ["its schedule is every 6 h, and was manual"]),
        (CRM, replace(CRM, name="sales"), False, ["it was called crm"]),
        (CRM, replace(CRM, syncing=True), False, ["somebody else has started"]),
        (CRM, replace(CRM, syncing=True), True, []),
        (replace(CRM, syncing=True), replace(CRM, syncing=True), False, []),
        (SHOP, replace(SHOP, syncing=True), False, []),
        (replace(CRM, syncing=None), replace(CRM, syncing=None), False, []),
    ],
)
def test_what_is_new_and_no_problem_is_a_line_of_history(was, now, ours, says):
    found = news("fivetran", was, now, ours=ours)
    assert len(found) == len(says)
    assert all(part in text for part, text in zip(says, found, strict=True))


def test_a_landing_that_nobody_here_has_asked_for_is_said_where_nothing_begins_by_itself():
    first, second = (Landing(connection="c1", mark=mark, ended_at=T0) for mark in "12")
    was, now = replace(CRM, last=first), replace(CRM, last=second)
    assert "somebody else started landed at" in news("fivetran", was, now, ours=False)[0]
    assert news("fivetran", was, now, ours=True) == []
    assert news("fivetran", was, now, ours=False, mark="2") == []
    assert news("fivetran", replace(was, syncing=True), now, ours=False) == [], "it was said when it began"
    assert news("fivetran", CRM, now, ours=False) == [], "nobody knows what came before"


def test_tables_are_compared_where_all_are_known():
    def loading(*tables):
        return replace(CRM, relations=tuple(Relation("db", "raw", table) for table in tables))

    [said] = news("fivetran", loading("a", "b"), loading("b", "c"), ours=False)
    assert said == "fivetran/crm: it loads raw.c as well, and it does not load raw.a any more"
    assert news("fivetran", loading(), loading("b"), ours=False) == []
    assert news("fivetran", loading(""), loading("b"), ours=False) == []


def test_every_state_has_its_words():
    assert {Health.PAUSED, Health.BROKEN, Health.INCOMPLETE, Health.BLOCKED, GONE} == set(SAYS)
    assert key_of("fivetran.eu", "c1") == "connection:fivetran.eu/c1"
