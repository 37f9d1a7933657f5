"""Options at the moment of the call, and the secrets that must not stand in a file."""

import importlib
from datetime import UTC, datetime, timedelta, timezone
from importlib import import_module

import pytest
from config.fakes import CONNECTORS, HornRoute

from stackhub.config.options import Names, RunContext, check_options, job_options, route_options
from stackhub.errors import ConfigError
from stackhub.model.pipeline import Route, Task

START = datetime(2026, 11, 22, 6, tzinfo=UTC)
RUN = RunContext(run="01RUN", pipeline="revenue", interval=(START, START + timedelta(days=1)), values={"day": "monday"})
ENVIRON = {"DB": "db://u:secret-9931@h", "N": "5", "TRICKY": "{{ run.id }} ${N}", "UNIT": "unit-8842"}


def task(connector, operation, **options):
    return Task(name="t", connector=connector, operation=operation, instance=connector, options=options)


def check(**options):
    return job_options(task("cellar", "check", **options), CONNECTORS["cellar"], ENVIRON, RUN)


def test_variables_and_names_are_filled_in_and_validated():
    options = job_options(
        task("tap", "sync", connection="{{ run.pipeline }}_{{task.name}}", rows="${N}"), CONNECTORS["tap"], ENVIRON, RUN
    )
    assert (options.connection, options.rows) == ("revenue_t", 5)


@pytest.mark.parametrize(
    ("written", "filled"),
    [
        ("{{ interval.start }}", "2026-11-22T06:00:00Z"),
        ("{{ interval.end }}", "2026-11-23T06:00:00Z"),
        ("{{ interval.start_date }}..{{ interval.end_date }}", "2026-11-22..2026-11-23"),
        ("{{ run.id }}", "01RUN"),
        ("{{ trigger.day }}", "monday"),
        ("${TRICKY}", "{{ run.id }} ${N}"),
        ("{{{{ x }} $${N}", "{{ x }} ${N}"),
    ],
)
def test_each_name_of_the_run(written, filled):
    assert check(url="${DB}", since=written).since == filled


def test_times_are_written_in_utc_whatever_zone_they_come_in():
    berlin = timezone(timedelta(hours=2))
    context = RunContext(
        run="r", pipeline="p", interval=(datetime(2026, 7, 1, 1, tzinfo=berlin), datetime(2026, 7, 2, tzinfo=berlin))
    )
    made = job_options(
        task("cellar", "check", url="${DB}", since="{{ interval.start }}"), CONNECTORS["cellar"], ENVIRON, context
    )
    assert made.since == "2026-06-30T23:00:00Z"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"url": "${GONE}"}, "task t: with: url: the variable GONE is not set"),
        ({"url": "${DB}", "since": "{{ trigger.night }}"}, "task t: with: since: unknown name 'trigger.night'"),
        ({"url": "${DB}", "unit": "${UNIT}"}, "task t: with: unit: no such unit: ${UNIT}"),
        ({"url": "${DB}", "more": 1}, "task t: with: unknown key 'more'"),
    ],
)
def test_what_no_longer_fits_is_a_config_error_without_a_value(options, problem):
    with pytest.raises(ConfigError) as raised:
        check(**options)
    assert problem in str(raised.value)
    assert "8842" not in str(raised.value)
    assert "9931" not in str(raised.value)


def test_an_interval_is_not_made_up_where_there_is_none():
    with pytest.raises(ConfigError, match=r"unknown name 'interval\.start'"):
        job_options(
            task("cellar", "check", url="${DB}", since="{{ interval.start }}"),
            CONNECTORS["cellar"],
            ENVIRON,
            RunContext(run="r", pipeline="p"),
        )


def test_an_operation_that_is_gone_is_a_config_error():
    with pytest.raises(ConfigError, match="task t: tap has no operation 'gone'"):
        job_options(task("tap", "gone"), CONNECTORS["tap"], ENVIRON, RUN)


def test_a_trigger_value_is_not_known_at_the_time_of_writing_and_no_error(furnished):
    text = "pipeline: x\ntasks: {a: {uses: tap.sync, with: {connection: '{{ trigger.which }}', rows: '{{ trigger.n }}'}}}\n"
    assert furnished.write(p_x=text).problems() == []


def test_a_route_is_filled_in_at_the_moment_of_the_call():
    made = route_options(Route(to="horn", options={"melody": "${N} {{ run.id }}"}), CONNECTORS["horn"], ENVIRON)
    assert made == HornRoute(melody="5 {{ run.id }}")
    with pytest.raises(ConfigError, match="alert route horn: melody: is required"):
        route_options(Route(to="horn"), CONNECTORS["horn"], ENVIRON)
    with pytest.raises(ConfigError, match="alert route tap: tap is no notifier"):
        route_options(Route(to="tap"), CONNECTORS["tap"], ENVIRON)


def test_the_secrets_of_options_are_the_value_and_each_variable_in_it():
    model = CONNECTORS["cellar"].operations["check"].options
    checked = check_options(model, {"url": "db://${DB}/x", "headers": {"k": "${UNIT}"}}, ENVIRON, None)
    assert checked.faults == []
    assert set(checked.secrets) == {"db://db://u:secret-9931@h/x", ENVIRON["DB"], ENVIRON["UNIT"]}


def test_a_literal_secret_is_told_beside_other_faults():
    model = CONNECTORS["cellar"].operations["check"].options
    told = {fault.text for fault in check_options(model, {"url": "db://u:p@h", "wrong": 1}, ENVIRON, None).faults}
    assert "is a secret and must not stand in a file: use ${VAR}" in told
    assert len(told) == 2


def test_a_text_that_its_connector_reads_as_code_is_left_as_written():
    shell = importlib.import_module("stackhub_shell").connector
    text, listed = 'psql "${DB}"', ["psql", "${DB}"]

    as_text = job_options(task("shell", "run", command=text), shell, ENVIRON, RUN)
    as_list = job_options(task("shell", "run", command=listed), shell, ENVIRON, RUN)

    assert as_text.command == text
    assert as_list.command == ("psql", "db://u:secret-9931@h")


def listed(*command):
    made_up = Names.made_up("t", "revenue")
    return check_options(import_module("stackhub_shell").ShellRun, {"command": list(command)}, ENVIRON, made_up)


@pytest.mark.parametrize(
    "command",
    [
        ("bash", "-c", "echo {{ trigger.day }}"),
        ("/usr/bin/env", "python3.12", "-c", "print('{{trigger.day}}')"),
        ("sh", "-ec", "{{ trigger.day:-x }}"),
    ],
)
def test_what_a_trigger_brings_is_never_code(command):
    (fault,) = listed(*command).faults
    assert str(fault).startswith(f"command[{len(command) - 1}]: what a trigger brings would be read as code here")


@pytest.mark.parametrize(
    "command",
    [
        ("./load.sh", "{{ trigger.day }}"),
        ("./load.sh", "-e", "{{ trigger.day }}"),
        ("bash", "-c", 'echo "$1"', "load", "{{ trigger.day }}"),
        ("bash", "-c", "echo {{ run.id }}"),
    ],
)
def test_as_an_argument_of_its_own_it_is_text(command):
    assert listed(*command).faults == []


def test_a_run_that_was_handed_nothing_takes_the_default():
    assert check(url="${DB}", since="{{ trigger.month:-all of them }}").since == "all of them"
    with pytest.raises(ConfigError, match=r"unknown name 'trigger\.month'"):
        check(url="${DB}", since="{{ trigger.month }}")
