"""The words of an incident."""

from dataclasses import replace
from datetime import timedelta

import pytest
from decide.steps import S
from decide.worlds import T0, World, needing, pipeline, task

from stackhub.contract import Severity
from stackhub.decide import facets
from stackhub.model.feeding import Feed, Partial
from stackhub.model.pipeline import Told

HUB = "https://hub"
MINUTE = timedelta(minutes=1)
SHOP = pipeline(
    task("orders", options={"connection": "salesforce_prod"}),
    task("users"),
    needing("marts", "orders", "users"),
    needing("checked", "marts"),
    owner="finance-data",
)


def run_of(**steps):
    """A run with some steps changed: ``orders={"state": S.FAILED, ...}``."""
    made = World(pipeline=SHOP, rules={}).run("R1", T0)
    return replace(made, steps={name: replace(step, **steps.get(name, {})) for name, step in made.steps.items()})


BROKEN = run_of(
    orders={"state": S.FAILED, "error": "login expired", "attempt": 3, "ended_at": T0},
    users={"state": S.SUCCEEDED},
    marts={"state": S.UPSTREAM_FAILED},
    checked={"state": S.UPSTREAM_FAILED},
)


def failed(open_run=BROKEN, following=None, contact=HUB):
    return facets.failed(open_run, T0, following=following, contact=contact)


def test_the_root_cause_comes_first_in_its_tool_s_own_words():
    facet = failed()
    assert facet.title == "shop failed: orders"
    assert facet.error == "login expired"
    assert (facet.kind, facet.severity, facet.run, facet.covers) == (Told.FAILED, Severity.ERROR, "R1", T0)
    facts = dict(facet.facts)
    assert facts["What failed"] == "orders (fivetran.sync salesforce_prod)"
    assert facts["Attempts"] == "3 of 3"
    assert facts["Blocked"] == "marts, checked: not run"
    assert facts["Interval"] == "2026-11-01 06:00 UTC to 2026-11-02 06:00 UTC"
    assert facts["Owner"] == "finance-data"


def test_it_says_what_happens_next_and_the_command_that_goes_on():
    assert "`stackhub retry R1` goes on from the failure" in failed().summary
    assert "The next run is due 2026-11-02 07:00 UTC." in failed(following=T0 + 60 * MINUTE).summary


def test_what_may_have_run_is_looked_at_before_it_is_repeated():
    facet = failed(run_of(orders={"state": S.FAILED, "may_have_run": True, "error": "may have run: ..."}))
    assert facet.summary.startswith("It may have run: look there first, then `stackhub retry R1`")


def feeding(run):
    """The run, whose marts may build a part: ``fct_orders`` hangs on orders."""
    feed = Feed(extract="orders", instance="fivetran", connection="c", sources=("source.shop.crm.orders",))
    hangs = {"model.shop.fct_orders": "1", "model.shop.x": "0"}  # on the first of the feeds, or on none
    marts = replace(
        SHOP.task("marts"), partial=Partial(), feeds=(feed,), nodes=tuple(hangs), hangs=tuple(hangs.values())
    )
    tasks = tuple(marts if one.name == "marts" else one for one in SHOP.tasks)
    return replace(run, pipeline=replace(SHOP, tasks=tasks))


def test_where_a_part_is_built_without_it_nobody_is_asked_to_do_anything():
    lost = {"state": S.FAILED, "error": "login expired", "ended_at": T0}
    goes_on = feeding(run_of(orders=lost, marts={"state": S.READY, "without": ("orders",)}))
    assert failed(goes_on).summary == facets.IN_PART
    assert dict(failed(goes_on).facts)["Blocked"] == "1 node of marts"
    broken = replace(goes_on, steps={**goes_on.steps, "users": replace(goes_on.steps["users"], **lost)})
    assert "stackhub retry" in failed(broken).summary, "another has failed that costs the whole"
    nothing = feeding(run_of(orders=lost, marts={"state": S.UPSTREAM_FAILED, "without": ("orders",)}))
    assert "stackhub retry" in failed(nothing).summary


def test_of_several_failures_the_first_in_time_is_the_cause_and_stays_it():
    early = {"state": S.FAILED, "ended_at": T0, "error": "first"}
    late = {"state": S.FAILED, "ended_at": T0 + MINUTE, "error": "second"}
    one, both = failed(run_of(users=early)), failed(run_of(users=early, orders=late))
    assert (both.title, both.error) == ("shop failed: users and 1 more", "first")
    assert dict(both.facts)["Also failed"] == "orders"
    assert both.cause == one.cause != ""
    assert both.cause != both.title, "one more that fails is no other cause"


def test_a_failure_without_blocked_tasks_says_so():
    assert dict(failed(run_of(checked={"state": S.FAILED, "note": "2 rows"})).facts)["Blocked"] == "nothing else"
    assert failed(run_of(checked={"state": S.FAILED, "note": "2 rows"})).error == "2 rows"


def test_links_lead_to_the_tool_and_to_the_run_where_there_is_a_page():
    step = {"state": S.FAILED, "handle": {"url": "https://fivetran.com/x"}}
    assert failed(run_of(orders=step)).links == (
        ("Open in its tool", "https://fivetran.com/x"),
        ("Run", "https://hub/runs/R1"),
    )
    assert failed(contact="").links == ()


def late(open_run):
    return facets.late(SHOP, open_run, T0 + 10 * MINUTE, text="finish by 07:30", at=T0, covers=T0, contact=HUB)


def test_late_says_what_is_waited_for_since_when_and_what_comes_then():
    facet = late(run_of(orders={"state": S.RUNNING, "began_at": T0}, users={"state": S.SUCCEEDED}))
    assert facet.title == "shop is late: finish by 07:30"
    assert dict(facet.facts)["Waiting on"] == "orders (running for 10m 00s)"
    assert dict(facet.facts)["Then"] == "marts, checked"
    assert "The deadline was 2026-11-02 06:00 UTC" in facet.summary
    assert (facet.run, facet.covers, facet.links) == ("R1", T0, (("Run", "https://hub/runs/R1"),))
    assert facet.severity is Severity.ERROR


def test_late_without_a_run_says_that_none_was_started():
    facet = late(None)
    assert dict(facet.facts) == {"Run": "none", "Owner": "finance-data"}
    assert (facet.run, facet.links) == ("", ())


def test_late_while_the_run_waits_its_turn_says_so():
    assert dict(late(run_of()).facts)["Waiting on"] == "the run is queued"


def test_lost_sight_says_since_when_and_that_nothing_is_started_on_it():
    step = {"state": S.RUNNING, "odd_since": T0, "note": "its tool says 'HUH'", "lost_sight": True}
    open_run = run_of(orders=step)
    facet = facets.stalled(open_run, open_run.steps["orders"], T0 + MINUTE, contact=HUB)
    assert (facet.kind, facet.since, facet.error) == (Told.STALLED, T0, "its tool says 'HUH'")
    assert facet.title == "shop: lost sight of orders"
    assert (facet.run, facet.covers, facet.links) == ("R1", T0, (("Run", "https://hub/runs/R1"),))
    assert facet.facts == (("Since", "2026-11-02 06:00 UTC"), ("Run", "R1"))
    assert "nothing that needs it is started" in facet.summary
    assert facet.severity is Severity.WARNING


def test_trouble_of_the_hub_s_own_is_a_warning():
    facet = facets.trouble("a message cannot be delivered", "410 Gone", "It is told by the fallback.", T0)
    assert (facet.kind, facet.severity, facet.since) == (Told.STALLED, Severity.WARNING, T0)
    assert (facet.title, facet.error) == ("a message cannot be delivered", "410 Gone")
    assert facet.summary == "It is told by the fallback."


@pytest.mark.parametrize(
    ("refused", "title", "then"),
    [
        (True, "fivetran cannot be used as it is configured", "A person must mend"),
        (False, "fivetran does not answer", "goes on by itself"),
    ],
)
def test_an_account_that_is_down_is_told_from_one_that_refuses_us(refused, title, then):
    facet = facets.account_down("fivetran", "401", T0, refused=refused, stalled_steps=4)
    assert facet.title == title
    assert then in facet.summary
    assert facet.facts == (("Stalled steps", "4"),)
    assert (facet.error, facet.severity) == ("401", Severity.ERROR)
    assert facets.account_down("fivetran", "401", T0, refused=refused, stalled_steps=0).facts == ()


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (timedelta(seconds=45.9), "45s"),
        (timedelta(seconds=60), "1m 00s"),
        (timedelta(minutes=12, seconds=5), "12m 05s"),
        (timedelta(hours=1), "1h 00m"),
        (timedelta(hours=3, minutes=20), "3h 20m"),
        (timedelta(days=2), "48h 00m"),
        (timedelta(seconds=-4), "0s"),
    ],
)
def test_lengths_of_time_are_written_for_people(length, said):
    assert facets.span(length) == said


def test_times_are_written_for_people():
    assert facets.stamp(T0) == "2026-11-02 06:00 UTC"
    assert facets.stamp(T0 + timedelta(seconds=7)) == "2026-11-02 06:00:07 UTC"


def test_a_long_list_becomes_a_count():
    assert facets.listed([str(nth) for nth in range(5)]) == "0, 1, 2, 3, 4"
    assert facets.listed([str(nth) for nth in range(9)]) == "0, 1, 2, 3, 4 and 4 more"
