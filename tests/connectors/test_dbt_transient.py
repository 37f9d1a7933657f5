"""Which failures may pass by themselves: words that warehouses said, as people reported them and as vendors list them."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stackhub.contract import Node, NodeState
from stackhub_dbt.events import Story
from stackhub_dbt.results import reconcile, results_in
from stackhub_dbt.transient import by_words, for_good, judged, passing

RECORDED = Path(__file__).parent / "dbt_events"

# Each with where it was read (2026-11): the issue trackers of dbt's adapters and of drivers, the vendors' own lists.
PASSING = {
    "PostgreSQL": [
        # dbt-core 2543, 2352
        "Database Error in model vw (models/vw.sql)\n  server closed the connection unexpectedly\n  \tThis probably means the server terminated abnormally\n  \tbefore or while processing the request.",
        "SSL SYSCALL error: EOF detected",  # dbt-core 997
        "SSL connection has been closed unexpectedly",
        "connection already closed",
        "Database Error in model o (models/o.sql)\n  deadlock detected\n  DETAIL:  Process 71 waits for AccessExclusiveLock on relation 16402 of database 16384; blocked by process 72.",
        "could not serialize access due to concurrent update",  # postgresql.org/docs/18/mvcc-serialization-failure-handling
        "could not serialize access due to read/write dependencies among transactions",
        "terminating connection due to administrator command\nserver closed the connection unexpectedly",
        "canceling statement due to statement timeout",
        "canceling statement due to conflict with recovery",
        "the database system is starting up",
        "sorry, too many clients already",
        "remaining connection slots are reserved for roles with the SUPERUSER attribute",
        'duplicate key value violates unique constraint "pg_namespace_nspname_index"\nDETAIL:  Key (nspname)=(marts) already exists.',
        "tuple concurrently updated",
        'connection to server at "db.internal" (10.0.0.7), port 5432 failed: Connection refused',
        'could not translate host name "db.internal" to address: Temporary failure in name resolution',
    ],
    "Redshift": [
        "could not open relation with OID 6134794",  # dbt-redshift 974, dbt-core 9941
        "1023\nDETAIL:  Serializable isolation violation on table - 100167, transactions forming the cycle are: 55705701, 55705754 (pid:16606)",
        "Query (4711) cancelled by WLM abort action of Query Monitoring Rule",
    ],
    "DuckDB": [
        # vscode-dbt-power-user 1750
        'Runtime Error\n  IO Error: Could not set lock on file "/data/f.duckdb": Conflicting lock is held in /usr/local/bin/python3.12 (PID 1637). See also https://duckdb.org/docs/stable/connect/concurrency',
        "TransactionContext Error: Catalog write-write conflict on create with orders",  # dbt-duckdb 513
        "TransactionContext Error: Conflict on update!",
    ],
    "Snowflake": [
        # dbt_artifacts 431, dbt-core 15987 (v2)
        "000625 (57014): Statement '01b43b22' has locked table 'MODELS' in transaction 1715330074481000000 and this lock has not yet been released.\nYour statement '01b43b23' was aborted because the number of waiters for this lock exceeds the 20 statements limit.",
        "000630 (57014): Statement reached its statement or warehouse timeout of 300 second(s) and was canceled.",
        "Processing aborted due to error 300010:391167117; incident 7185034.",  # dbt_artifacts 109
        "000603 (XX000): SQL execution internal error:\nProcessing aborted by error 300005:3495968563; incident 4213476.",
        "250001 (08001): Failed to connect to DB: db.snowflakecomputing.com:443.",
        "Failed to connect to DB: db.snowflakecomputing.com:443. JWT token is invalid.",  # dbt-snowflake 14
        "390114 (08001): Authentication token has expired.  The user must authenticate again.",
    ],
    "BigQuery": [
        # googleapis/java-bigquery 1426, 2372
        "Exceeded rate limits: too many table update operations for this table. For more information, see https://cloud.google.com/bigquery/troubleshooting-errors",
        "403 Exceeded rate limits: too many api requests per user per method for this user_method.",
        # dbt-adapters 941
        "503 GET https://bigquery.googleapis.com/bigquery/v2/projects/p/jobs/f?location=US: \nVisibility check was unavailable. Please retry the request and contact support if the problem persists",
        "Quota exceeded: Your project exceeded quota for concurrent queries.",
        "Could not serialize access to table p:marts.orders due to concurrent update",
        "Deadline of 120.0s exceeded while calling target function",  # dbt-bigquery 45
        "('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))",
        "An internal error occurred and the request could not be completed. This is usually caused by a transient issue.",
        "Operation did not complete within the designated timeout of 300 seconds.",
    ],
    "Databricks": [
        # flyway-community-db-support 116, dbt-adapters 488, tuva-core 1225
        "Error running query: [DELTA_CONCURRENT_APPEND] io.delta.exceptions.ConcurrentAppendException: [DELTA_CONCURRENT_APPEND] ConcurrentAppendException: Files were added to the root of the table by a concurrent update. Please try the operation again.",
        "[DELTA_METADATA_CHANGED] MetadataChangedException: The metadata of the Delta table\nhas been changed by a concurrent update. Please try the operation again.",
        "io.delta.exceptions.ProtocolChangedException: The protocol version of the Delta table has been changed by a concurrent update.",
        "TEMPORARILY_UNAVAILABLE: Cluster 5711-083124-7nybcy05 is temporarily unavailable.",  # trino 29376
        # dbt-databricks 767
        "Runtime Error\n  ('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))",
        "Query could not be scheduled: HTTP Response code: 503. Please try again later. SQLSTATE: XX000",
        "Error starting terminated cluster.",  # dbt-databricks 347
        "A 503 response was returned but no Retry-After header was provided.",  # dbt-spark 293
    ],
}
MISTAKES = {
    "dbt": [
        "Compilation Error in model orders (models/orders.sql)\n  Model 'model.shop.orders' depends on a node named 'ordrs' which was not found",
        "Compilation Error in model orders (models/orders.sql)\n  'connection_reset' is undefined",
        "Got 1 result, configured to fail if != 0",
        "Got 12 results",
        "Compilation Error in model c (models/c.sql)\n  This model has an enforced contract that failed.",
    ],
    "PostgreSQL": [
        'Database Error in model orders (models/orders.sql)\n  column "amout" does not exist\n  LINE 14: select amout\n  HINT:  Perhaps you meant to reference the column "o.amount".',
        'relation "raw.payments" does not exist',
        'syntax error at or near "form"',
        'column "o.id" must appear in the GROUP BY clause or be used in an aggregate function',
        'invalid input syntax for type integer: "twelve"',
        "division by zero",
        "permission denied for schema raw",
        'duplicate key value violates unique constraint "orders_pkey"',
        'connection to server at "db" (10.0.0.7), port 5432 failed: FATAL:  password authentication failed for user "dbt"',
    ],
    "Redshift": ['column "amout" does not exist in o', 'Invalid operation: syntax error at or near "form"'],
    "DuckDB": [
        'Runtime Error in model o (models/o.sql)\n  Binder Error: Referenced column "amout" not found in FROM clause!',
        'Parser Error: syntax error at or near "form"',
        "Catalog Error: Table with name payments does not exist!",
        "Conversion Error: Could not convert string 'twelve' to INT32",
    ],
    "Snowflake": [
        "002003 (02000): SQL compilation error:\nObject 'RAW.PAYMENTS' does not exist or not authorized.",
        "001003 (42000): SQL compilation error:\n  syntax error line 1 at position 41 unexpected '10000'.",  # dbt-adapters 951
        "003001 (42501): SQL access control error:\nInsufficient privileges to operate on schema 'MARTS'",
        "100038 (22018): Numeric value 'twelve' is not recognized",
        "250001 (08001): Failed to connect to DB: x.snowflakecomputing.com:443. Incorrect username or password was specified.",
        # universql 24: another try makes the lock-out longer
        "250001 (08001): Failed to connect to DB: x.snowflakecomputing.com:443. Your user account has been temporarily locked due to too many failed attempts.",
    ],
    "BigQuery": [
        "Unrecognized name: amout; Did you mean amount? at [14:8]",
        'Syntax error: Expected end of input but got identifier "form" at [3:1]',
        "404 Not found: Table p:raw.payments was not found in location EU",
        "403 Access Denied: Table p:raw.payments: User does not have permission to query table",
        "Resources exceeded during query execution: Not enough resources for query planning",  # dbt-bigquery 141
    ],
    "Databricks": [
        "[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column or function parameter with name `amout` cannot be resolved.",
        "[PARSE_SYNTAX_ERROR] Syntax error at or near 'form'.(line 3, pos 0)",
        '[CAST_INVALID_INPUT] The value \'twelve\' of the type "STRING" cannot be cast to "INT"',
    ],
}
OPEN = [
    "",
    'Runtime Error in model feed (models/feed.sql)\n  IO Error: No files found that match the pattern "/feeds/feed.csv"',
    "Out of Memory Error: failed to allocate data of size 16.0 MiB",
    "canceling statement due to user request",
    "something nobody has heard of",
    "the model deadlock_detector took 503 rows",
]


def every(said):
    return [pytest.param(words, id=f"{whose}-{n}") for whose, found in said.items() for n, words in enumerate(found)]


@pytest.mark.parametrize("words", every(PASSING))
def test_what_the_warehouse_was_not_up_to_may_pass(words):
    assert by_words(words) is True


@pytest.mark.parametrize("words", every(MISTAKES))
def test_a_mistake_stays(words):
    assert by_words(words) is False


@pytest.mark.parametrize("words", OPEN)
def test_of_other_words_nobody_can_tell(words):
    assert by_words(words) is None


ANY_PASSING = st.sampled_from([words for found in PASSING.values() for words in found])
ANY_MISTAKE = st.sampled_from([words for found in MISTAKES.values() for words in found])


@given(ANY_PASSING, ANY_MISTAKE, st.booleans())
def test_an_error_that_quotes_both_stays(fault, mistake, turned):
    assert by_words("\n".join((mistake, fault) if turned else (fault, mistake))) is False


@given(st.sampled_from(["test", "unit_test"]), st.sampled_from(["fail", "Fail"]), ANY_PASSING | st.text())
def test_a_test_that_found_rows_is_never_transient(kind, status, words):
    assert passing(kind, status, words) is False


@given(ANY_PASSING)
def test_a_test_that_could_not_be_asked_is(words):
    assert passing("test", "error", words) is True


@given(st.text())
@example("\n" * 50_000)
@example("connection " * 20_000)
def test_no_words_harm(words):
    assert by_words(words) in (True, False, None)


def a_node(state, message="", kind="model", status="error"):
    return Node(id=f"{kind}.shop.n", name="n", kind=kind, state=state, status=status, message=message)


@given(st.sampled_from(NodeState), ANY_PASSING | ANY_MISTAKE | st.text())
def test_only_what_failed_is_judged_and_once_is_as_good_as_twice(state, words):
    [node] = once = judged([a_node(state, words)])
    assert (node.passing is None) or state is NodeState.FAILED
    assert judged(once) == once
    assert for_good(once) == tuple(one for one in once if one.passing is False)


def test_a_hook_that_failed_is_run_at_each_try_so_it_is_never_settled():
    assert for_good(judged([a_node(NodeState.FAILED, "syntax error", kind="operation")])) == ()


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_of_the_recorded_failures_the_test_stays_and_of_the_missing_file_nobody_can_tell(version):
    story = Story()
    story.feed((RECORDED / f"{version}_failing.jsonl").read_bytes())
    found = results_in(json.loads((RECORDED / f"{version}_failing.results.json").read_text()))
    nodes = judged(reconcile(story.nodes, frozenset(story.ended), found))
    assert {node.name: node.passing for node in nodes if node.state is NodeState.FAILED} == {
        "feed": None,
        "no_order_is_free": False,
    }
