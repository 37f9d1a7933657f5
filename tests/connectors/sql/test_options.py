"""What a task may ask for is checked where it is written."""

import pytest
from pydantic import ValidationError

from stackhub.config.options import Names, RunContext, check_options, job_options
from stackhub.model.pipeline import Task
from stackhub_sql.connector import connector
from stackhub_sql.options import SqlCheck, SqlRun

NAMES = Names.made_up("t", "p")


def faults(model, **written) -> list[str]:
    return [
        str(fault) for fault in check_options(model, written, {"SCHEMA": "marts", "URL": "sqlite:///x"}, NAMES).faults
    ]


@pytest.mark.parametrize(
    ("model", "written", "told"),
    [
        (SqlRun, {}, "give either statements or file"),
        (SqlRun, {"statements": "select 1", "file": "x.sql"}, "give either statements or file"),
        (
            SqlRun,
            {"statements": ["select 1", "commit"]},
            "one transaction: leave out COMMIT, or say transaction: false",
        ),
        (SqlRun, {"statements": "delete from t where x = '{{ trigger.x }}'"}, "params: {x: '{{ trigger.x }}'}, and :x"),
        (SqlRun, {"statements": ["select 1", "select {{ run.id }}"]}, "for {{ run.id }} write :run_id"),
        (SqlRun, {"file": "{{ trigger.name }}.sql"}, "write the file's name"),
        (SqlRun, {"statements": "select :run_id", "params": {"run_id": 1}}, "params: :run_id is the run's own"),
        (SqlRun, {"statements": "select :a", "params": {"a": [1]}}, "params"),
        (SqlRun, {"statements": "select 1", "url": "postgresql://u:p@h/d"}, "use ${VAR}"),
        (SqlCheck, {}, "give either query or file"),
        (SqlCheck, {"query": "select 1; select 2"}, "a check is one query, and here are 2 statements"),
        (SqlCheck, {"query": "select 1", "expect": "true", "min": 1}, "give either expect or min and max"),
        (SqlCheck, {"query": "select 1", "min": 2, "max": 1}, "min 2 is above max 1"),
        (SqlCheck, {"query": "select 1", "expect": "nothing"}, "expect"),
        (SqlCheck, {"query": "select 1", "show": 21}, "show"),
    ],
)
def test_a_wish_that_cannot_be_is_told_with_the_way_out(model, written, told):
    found = faults(model, **written)

    assert found
    assert told in "\n".join(found)


def test_variables_go_into_sql_and_a_runs_names_only_into_parameters():
    options = {
        "query": "select * from ${SCHEMA}.orders where shop = :shop and at >= :interval_start",
        "params": {"shop": "{{ trigger.shop }}", "days": "{{ interval.start_date }}"},
        "url": "${URL}",
    }
    task = Task(name="t", connector="sql", operation="check", instance="sql", options=options)
    context = RunContext(
        run="01R", pipeline="p", interval=NAMES and RunContext.made_up("p").interval, values={"shop": "x' or 1=1 --"}
    )
    with pytest.raises(Exception, match="params: :days is never used"):
        job_options(task, connector, {"SCHEMA": "marts", "URL": "sqlite:///x"}, context)
    del options["params"]["days"]

    made = job_options(task, connector, {"SCHEMA": "marts", "URL": "sqlite:///x"}, context)

    assert made.query == "select * from marts.orders where shop = :shop and at >= :interval_start"
    assert made.params == {"shop": "x' or 1=1 --"}
    assert "sqlite" not in repr(made)


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ({}, {"expect": "no_rows", "min": None, "max": None}),
        ({"expect": True}, {"expect": "true", "min": None, "max": None}),
        ({"expect": "rows"}, {"expect": "rows", "min": None, "max": None}),
        ({"min": 0}, {"expect": "value", "min": "0", "max": None}),
        ({"max": "1.50"}, {"expect": "value", "min": None, "max": "1.50"}),
    ],
)
def test_a_check_wants_no_rows_unless_it_says_what(written, wanted):
    assert SqlCheck(query="select 1", **written).wanted == wanted


def test_a_bound_that_is_no_number_is_refused():
    with pytest.raises(ValidationError):
        SqlCheck(query="select 1", min="nan")
