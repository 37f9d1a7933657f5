"""Pipeline files: what they come to, and what is told of those that come to nothing."""

from datetime import time, timedelta

import pytest
from config.fakes import GOOD

from stackhub.model import codec
from stackhub.model.pipeline import (
    OPENING,
    Catchup,
    Freshness,
    Need,
    OnTimeout,
    Overlap,
    Pipeline,
    Retries,
    Route,
    Schedule,
    Sla,
    Told,
)
from stackhub.model.words import Severity


def pipeline(house, text):
    """Return the only pipeline of a directory."""
    (found,) = house.write(p_x=text).read().pipelines.values()
    return found


def tasks(text):
    """Return a pipeline file with these tasks, which begin in line 3."""
    return f"pipeline: x\ntasks:\n{text}"


def test_a_whole_file_becomes_a_pipeline(furnished):
    found = pipeline(furnished, GOOD)
    assert (found.name, found.description, found.owner) == ("revenue", "Revenue marts", "finance")
    assert found.schedules == (Schedule(cron="0 6 * * 1-5", timezone="Europe/Berlin"),)
    assert found.sla == Sla(finish_by=time(7, 30), max_duration=timedelta(minutes=75), timezone="Europe/Berlin")
    assert (found.catchup, found.overlap, found.max_active) == (Catchup.LAST, Overlap.SKIP, 4)
    assert [task.name for task in found.tasks] == ["shop", "stripe", "marts", "checked"]
    stripe = found.task("stripe")
    assert (stripe.connector, stripe.operation, stripe.instance, stripe.extract) == ("tap", "wait", "tap", True)
    assert (stripe.timeout, stripe.on_timeout, stripe.freshness) == (
        timedelta(minutes=30),
        OnTimeout.LET_GO,
        Freshness.REQUIRE_NEW,
    )
    assert stripe.retries == Retries(
        attempts=1, wait=timedelta(seconds=30), backoff=2.0, max_wait=timedelta(minutes=10)
    )
    checked = found.task("checked")
    assert checked.needs == (Need(task="marts"), Need(task="shop", complete=True))
    assert checked.options == {"url": "${WAREHOUSE_URL}", "since": "{{ interval.start }}"}  # kept as it is written
    assert found.alerts == (
        Route(
            to="bell",
            on=frozenset({Told.FAILED, Told.AT_RISK, Told.LATE, Told.RESOLVED}),
            options={"channel": "#data"},
        ),
        Route(to="bell", on=OPENING, severity=Severity.CRITICAL),
    )


def test_a_snapshot_is_the_pipeline_and_the_same_for_the_same(furnished):
    furnished.write(p_revenue=GOOD)
    first = furnished.read()
    assert codec.load(Pipeline, first.texts["revenue"]) == first.pipelines["revenue"]
    assert furnished.read().texts == first.texts
    furnished.write(p_revenue=GOOD.replace("75m", "1h15m").replace("catchup: last\n", ""))
    assert furnished.read().texts == first.texts


def test_a_transform_without_needs_waits_for_every_extract(furnished):
    found = pipeline(furnished, GOOD)
    assert found.task("marts").needs == (Need(task="shop"), Need(task="stripe"))
    assert not found.task("marts").needs_given
    assert found.task("shop").needs == ()


def test_needs_of_none_is_the_way_to_ask_for_none(furnished):
    text = tasks("  a: {uses: tap.sync, with: {connection: a}}\n  b: {uses: mill.build, needs: []}\n")
    found = pipeline(furnished, text)
    assert found.task("b").needs == ()
    assert found.task("b").needs_given


def test_what_is_no_transform_waits_for_nothing_unless_told(furnished):
    text = tasks(
        "  a: {uses: tap.sync, with: {connection: a}}\n  b: {uses: cellar.check, with: {url: '${WAREHOUSE_URL}'}}\n"
    )
    assert pipeline(furnished, text).task("b").needs == ()


def test_tasks_stand_below_what_they_need_and_else_in_the_files_order(furnished):
    text = tasks(
        "  z: {uses: mill.build, needs: [c]}\n  b: {uses: mill.build, needs: []}\n  c: {uses: mill.build, needs: []}\n"
    )
    assert [task.name for task in pipeline(furnished, text).tasks] == ["b", "c", "z"]


def test_several_schedules_stand_in_a_list(furnished):
    text = "schedule: [{cron: '0 6 * * *'}, {every: 15m, timezone: Asia/Tokyo}]\n" + tasks("  a: {uses: mill.build}")
    furnished.environ["STACKHUB_TIMEZONE"] = "Europe/Paris"
    assert pipeline(furnished, text).schedules == (
        Schedule(cron="0 6 * * *", timezone="Europe/Paris"),
        Schedule(every=timedelta(minutes=15), timezone="Asia/Tokyo"),
    )


@pytest.mark.parametrize(
    ("schedule", "zone"),
    [
        ("{cron: '0 6 * * *', timezone: Asia/Tokyo}", "Asia/Tokyo"),
        ("{cron: '0 6 * * *'}", "Europe/Paris"),
        ("{every: 1h}", "Europe/Paris"),
    ],
)
def test_finish_by_is_in_the_schedules_zone_or_the_hubs(furnished, schedule, zone):
    furnished.environ["STACKHUB_TIMEZONE"] = "Europe/Paris"
    text = f"schedule: {schedule}\nsla: {{finish_by: 07:30}}\n" + tasks("  a: {uses: mill.build}")
    assert pipeline(furnished, text).sla == Sla(finish_by=time(7, 30), timezone=zone)


def test_the_risk_that_is_told_ends_at_half_of_it_unless_it_is_said(furnished):
    text = "sla: {max_duration: 1h, at_risk: 0.8%s}\n" + tasks("  a: {uses: mill.build}")
    said = [pipeline(furnished, text % more).sla for more in ("", ", at_risk_ends: 0.7")]
    assert [(sla.at_risk, sla.at_risk_ends) for sla in said] == [(0.8, 0.4), (0.8, 0.7)]


def test_finish_by_may_name_its_zone(furnished):
    text = "schedule: {every: 1h}\nsla: {finish_by: 07:30, timezone: Asia/Tokyo}\n" + tasks("  a: {uses: mill.build}")
    assert pipeline(furnished, text).sla.timezone == "Asia/Tokyo"


def test_a_pipeline_may_have_no_schedule_and_start_after_others(furnished):
    furnished.write(
        p_a=GOOD,
        p_b="pipeline: b\ntriggers: [{pipeline: revenue}, {pipeline: revenue}]\ntasks: {m: {uses: mill.build}}",
    )
    found = furnished.read().pipelines["b"]
    assert (found.schedules, found.after, found.sla, found.alerts) == ((), ("revenue",), None, None)


def test_an_empty_list_of_alerts_tells_nobody(furnished):
    assert pipeline(furnished, "alerts: []\n" + tasks("  a: {uses: mill.build}")).alerts == ()


def test_a_wait_longer_than_our_longest_raises_that(furnished):
    found = pipeline(furnished, tasks("  a: {uses: mill.build, retries: {wait: 30m}}"))
    assert found.task("a").retries == Retries(wait=timedelta(minutes=30), max_wait=timedelta(minutes=30))


def test_on_is_a_key_and_yes_and_no_are_words(furnished):
    text = tasks('  "no": {uses: mill.build, with: {select: no}}\nalerts:\n  - to: bell\n    on: [failed]')
    found = pipeline(furnished, text)
    assert found.tasks[0].name == "no"
    assert found.tasks[0].options == {"select": "no"}
    assert found.alerts[0].on == {Told.FAILED}


def test_anchors_and_aliases_spare_repetition(furnished):
    text = tasks("  a: &a {uses: mill.build, with: {select: x}, needs: []}\n  b: *a\n")
    found = pipeline(furnished, text)
    assert found.task("b").options == found.task("a").options == {"select": "x"}


def test_variables_are_kept_unexpanded_and_their_secrets_are_known(furnished):
    configuration = furnished.write(p_revenue=GOOD).read()
    assert "cellar-secret" not in "".join(configuration.texts.values())
    assert {"db://user:cellar-secret@host/db", "cellar-secret"} <= set(configuration.secrets)
