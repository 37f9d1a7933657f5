"""What Airbyte's words mean, decided without a network."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackhub.contract import Deferred, Finished, Outcome, Pending, Relation, Unknown
from stackhub_airbyte.answers import (
    ENDED,
    Conflict,
    answer,
    conflict,
    duration,
    landing,
    moment,
    number,
    reason,
    row,
    words,
)
from stackhub_airbyte.played import java_duration, java_time
from stackhub_airbyte.relations import Place, place, relations

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
TEN = datetime(2026, 6, 1, 10, tzinfo=UTC)


def a_job(**changes):
    body = {
        "jobId": 7,
        "status": "succeeded",
        "jobType": "sync",
        "startTime": "2026-06-01T10:00Z",
        "connectionId": "c",
        "lastUpdatedAt": "2026-06-01T10:01:33Z",
        "duration": "PT1M33S",
        "rowsSynced": 5,
    }
    return row({**body, **changes})


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-06-01T10:00Z", TEN),
        ("2026-06-01T10:00:07Z", TEN + timedelta(seconds=7)),
        ("2026-06-01T12:00+02:00", TEN),
        ("2026-06-01T10:00:00.123456789Z", TEN + timedelta(microseconds=123456)),
        ("2026-06-01T10:00", TEN),
        ("yesterday", None),
        ("", None),
        (1687450500000, None),
        (None, None),
    ],
)
def test_times_are_read_as_java_writes_them(written, read):
    assert moment(written) == read


@given(st.integers(min_value=946_684_800, max_value=4_102_444_800))
def test_every_time_java_can_write_is_read(epoch):
    then = datetime.fromtimestamp(epoch, UTC)
    assert moment(java_time(then)) == then


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("PT1M33S", timedelta(seconds=93)),
        ("PT0S", timedelta()),
        ("PT26H3M4.5S", timedelta(hours=26, minutes=3, seconds=4.5)),
        ("P1DT2H", timedelta(days=1, hours=2)),
        ("PT-1S", None),
        ("1m", None),
        ("PT" + "9" * 400 + "H", None),
        (93, None),
        (None, None),
    ],
)
def test_durations_are_read_in_iso_8601(written, read):
    assert duration(written) == read


@given(st.integers(min_value=0, max_value=10**7))
def test_every_duration_java_can_write_is_read(seconds):
    assert duration(java_duration(seconds)) == timedelta(seconds=seconds)


@given(JSON)
def test_no_body_breaks_the_reading_of_it(body):
    raw = json.dumps(body).encode()
    assert conflict(raw) in Conflict
    assert reason(body) is None or isinstance(body, dict)
    assert isinstance(words(raw), str)
    assert row(body) is None
    assert moment(body) is None or isinstance(body, str)
    assert duration(body) is None or isinstance(body, str)


FIELDS = ("status", "jobType", "startTime", "connectionId", "lastUpdatedAt", "duration", "rowsSynced")


@given(st.fixed_dictionaries({"jobId": st.integers(min_value=1)}, optional=dict.fromkeys(FIELDS, JSON)))
def test_whatever_else_a_job_holds_it_has_an_answer(body):
    said = answer(row(body), "sync")
    assert isinstance(said, Pending | Deferred | Finished | Unknown)
    assert not isinstance(said, Finished) or body["status"] in ENDED


@given(st.text().filter(lambda word: word not in {"pending", "queued", "running", "incomplete", *ENDED}))
def test_a_word_nobody_has_heard_of_is_never_an_end(word):
    job = a_job(status=word)
    assert answer(job, "sync") == Unknown(raw=word)
    assert not job.ended


def test_each_status_means_what_airbyte_means_by_it():
    assert isinstance(answer(a_job(status="pending"), "sync"), Pending)
    assert isinstance(answer(a_job(status="running"), "sync"), Pending)
    assert isinstance(answer(a_job(status="queued"), "sync"), Deferred)
    incomplete = answer(a_job(status="incomplete"), "sync")
    assert isinstance(incomplete, Pending)
    assert incomplete.note == "an attempt failed, Airbyte retries"
    assert answer(a_job(status="failed"), "sync").outcome is Outcome.FAILED
    assert answer(a_job(status="cancelled"), "sync").outcome is Outcome.CANCELLED


def test_a_success_lands_under_the_jobs_id_at_the_time_airbyte_says():
    said = answer(a_job(), "sync")
    assert (said.outcome, said.landing.mark, said.landing.rows) == (Outcome.OK, "7", 5)
    assert said.landing.ended_at == TEN + timedelta(seconds=93)
    assert said.landing.connection == "c"


def test_without_an_end_the_duration_tells_it():
    assert landing(a_job(lastUpdatedAt=None)).ended_at == TEN + timedelta(seconds=93)
    assert landing(a_job(lastUpdatedAt=None, duration=None)).ended_at == TEN


def test_a_success_at_no_time_is_no_landing_and_not_believed():
    timeless = a_job(lastUpdatedAt=None, startTime=None)
    assert landing(timeless) is None
    assert isinstance(answer(timeless, "sync"), Unknown)


def test_a_clear_lands_nothing():
    said = answer(a_job(jobType="reset"), "clear")
    assert (said.outcome, said.landing) == (Outcome.OK, None)


@pytest.mark.parametrize(
    ("value", "read"), [(7, 7), ("7", 7), (True, None), ("7a", None), ("²", None), (7.0, None), (None, None)]
)
def test_ids_are_numbers_or_their_digits(value, read):
    assert number(value) == read


def problem(title, message):
    return json.dumps(
        {
            "status": 409,
            "type": f"https://reference.airbyte.com/reference/errors#{title}",
            "title": title,
            "detail": "Please try again later.",
            "data": {"message": message},
        }
    ).encode()


@pytest.mark.parametrize(
    ("body", "meant"),
    [
        (problem("try-again-later", "A sync is already running for: 21c1"), Conflict.RUNNING),
        (problem("try-again-later", ""), Conflict.RUNNING),
        (problem("try-again-later", "Cannot sync a deleted connection"), Conflict.REFUSED),
        (problem("state-conflict", "Can only sync an active connection"), Conflict.REFUSED),
        (b'{"status": 409, "type": "error:connection/locked", "title": "Connection is locked"}', Conflict.REFUSED),
        (b'{"message": "A sync is already running for: 21c1", "exceptionClassName": "X"}', Conflict.RUNNING),
        (b"<html>conflict</html>", Conflict.REFUSED),
        (b"", Conflict.REFUSED),
        (b"[" * 100_000, Conflict.REFUSED),
    ],
)
def test_only_a_job_that_is_running_makes_a_conflict_worth_joining(body, meant):
    assert conflict(body) is meant


def attempts(*failures, **summary):
    return {"attempts": [{"attempt": {"failureSummary": {"failures": list(failures), **summary}}}]}


def test_a_reason_is_in_the_words_of_the_last_attempt():
    first = {"failureOrigin": "destination", "externalMessage": "Disk full", "failureType": "transient_error"}
    last = {"failureOrigin": "source", "externalMessage": "Expired key", "failureType": "config_error"}
    body = {"attempts": attempts(first)["attempts"] + attempts(last)["attempts"]}
    assert reason(body).text == "source: Expired key"
    assert not reason(body).retryable
    assert reason(attempts(first)).retryable


def test_a_reason_says_that_part_of_the_data_was_loaded():
    found = reason(attempts({"internalMessage": "NPE"}, partialSuccess=True))
    assert found.text == "NPE (part of the data was loaded)"


def test_without_a_failure_there_is_no_reason():
    assert reason(attempts()) is None
    assert reason({"attempts": [{"attempt": {"failureSummary": None}}]}) is None


# --- tables ------------------------------------------------------------------------------------------------------


def a_connection(**changes):
    streams = [{"name": "orders", "namespace": "shop"}, {"name": "users"}]
    return {"prefix": "raw_", "configurations": {"streams": streams}, **changes}


@pytest.mark.parametrize(
    ("definition", "form", "schemas"),
    [
        ("destination", None, ("main", "main")),
        (None, None, ("main", "main")),
        ("source", None, ("shop", "main")),
        ("custom_format", "crm", ("crm", "crm")),
        ("custom_format", "x_${SOURCE_NAMESPACE}", ("x_shop", "x_")),
        ("custom_format", "${SOURCE_NAMESPACE}", ("shop", "main")),
        ("custom_format", " ", ("main", "main")),
        ("customformat", "crm", ("crm", "crm")),
    ],
)
def test_a_schema_follows_the_namespace_definition(definition, form, schemas):
    body = a_connection(namespaceDefinition=definition, namespaceFormat=form)
    assert {(found.table, found.schema) for found in relations(body, Place("db", "main"))} == {
        ("raw_orders", schemas[0]),
        ("raw_users", schemas[1]),
    }


def test_a_table_of_no_known_schema_is_left_out():
    assert relations(a_connection(namespaceDefinition="source"), Place()) == (Relation("", "shop", "raw_orders"),)


def test_only_selected_streams_fill_tables_and_under_their_alias():
    streams = [
        {"stream": {"name": "orders"}, "config": {"selected": True, "aliasName": "bestellungen"}},
        {"stream": {"name": "users"}, "config": {"selected": False}},
    ]
    body = a_connection(syncCatalog={"streams": streams})
    assert relations(body, Place("db", "main")) == (Relation("db", "main", "raw_bestellungen"),)


@pytest.mark.parametrize(
    ("kind", "given", "found"),
    [
        ("postgres", {"database": "db", "schema": "s"}, Place("db", "s")),
        ("postgres", {"database": "db"}, Place("db", "public")),
        ("destination-databricks", {"database": "cat"}, Place("cat", "default")),
        ("bigquery", {"project_id": "p", "dataset_id": "p:d"}, Place("p", "d")),
        ("clickhouse", {"database": "db"}, Place("", "db")),
        ("motherduck", {}, Place("", "main")),
        ("s3", {"s3_bucket_name": "b"}, Place("", "")),
    ],
)
def test_a_destination_says_where_it_writes_by_default(kind, given, found):
    assert place({"destinationType": kind, "configuration": given}) == found


STREAM = st.fixed_dictionaries({}, optional=dict.fromkeys(("name", "namespace", "stream", "config", "selected"), JSON))


@given(st.lists(STREAM | st.fixed_dictionaries({"stream": STREAM, "config": STREAM})) | JSON, JSON)
def test_no_shape_of_a_connection_breaks_the_reading_of_its_tables(streams, configuration):
    body = {"configurations": {"streams": streams}, "syncCatalog": None}
    default = place({"destinationType": "postgres", "configuration": configuration})
    assert all(found.schema for found in relations(body, default))
