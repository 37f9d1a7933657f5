"""Whether what failed may pass by itself, judged by the words of the warehouse. Pure.

    True    the warehouse, or the way to it, was not up to it at that moment: a lock, a lost connection, a rate, a quota
    False   it is the project's own doing, or a right's: syntax, a missing column, a test that found rows
    None    nobody can tell: tried again, since somebody has asked for tries

A `False` costs the other tries, so it takes words that nothing but a mistake makes; they go before those of a passing
fault, because an error that quotes both ("Failed to connect: incorrect password") stays. Words are the warehouses' own,
from the issue trackers of dbt's adapters and drivers and the vendors' lists of errors (read 2026-11). dbt's adapters
retry little of it: a connection that cannot be opened, some of BigQuery's jobs.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from stackhub.contract import Node, NodeState
from stackhub_dbt.events import HOOK

TESTS: Final = frozenset({"test", "unit_test"})
READ: Final = 8000  # characters of an error, its beginning: the cause stands there, and what quotes data comes behind


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE | re.MULTILINE)


MISTAKES: Final[Mapping[str, re.Pattern[str]]] = {
    "dbt": _any(
        r"^[^\w\n]*(?:compilation|dependency|parsing) error\b",
        r"^got \d+ results?, configured to fail",
        r"^got \d+ results?$",  # v2's
        r"depends on a (?:node|source) named .* which was not found",
        r"contract .*has an enforced contract|this model has an enforced contract",
        r"unable to do partial|is undefined\b",
    ),
    "any SQL": _any(
        r"syntax error",
        r"parser error:",
        r"password authentication failed",
        r"permission denied (?:for|on|to)\b",
        r"division by zero|divide by zero",
    ),
    "PostgreSQL, Redshift": _any(
        r'(?:column|relation|schema|function|operator|type) "?[^\n]{1,300}"? does not exist',
        r"missing from-clause entry",
        r"must appear in the group by clause",
        r"invalid input syntax for",
        r'duplicate key value violates unique constraint (?!"pg_)',
        r"violates (?:not-null|check|foreign key) constraint",
        r"value too long for type|numeric field overflow|out of range for type|cannot be matched",
    ),
    "DuckDB": _any(r"(?:binder|catalog|conversion|constraint|mismatch type|out of range) error:"),
    "Snowflake": _any(
        r"sql compilation error",
        r"sql access control error",
        r"incorrect username or password|user account has been temporarily locked|jwt token is invalid\. \[",
        r"\b1000(?:38|40|46|69|71|72|78|80)\b \(22",  # a value that cannot be read as what it is to be
    ),
    "BigQuery": _any(
        r"unrecognized name:",
        r"access denied:",
        r"not found: (?:table|dataset|project|column|field)",
        r"no matching signature for",
        r"resources exceeded during query execution",  # asked the same again it needs as much again
        r"must match in column|has type \w+ which cannot be",
    ),
    "Databricks, Spark": _any(
        r"\[(?:unresolved_\w+|parse_syntax_error|datatype_mismatch|cast_invalid_input|missing_aggregation|"
        r"invalid_parameter_value|insufficient_permissions|schema_not_found|column_not_found|divide_by_zero)",
        r"analysisexception: (?!.*concurrent)",
    ),
}
PASSING: Final[Mapping[str, re.Pattern[str]]] = {
    "the way there": _any(
        r"connection (?:was )?(?:reset|refused|aborted|timed out|already closed|is closed|not open)",
        r"could not connect to (?:server|endpoint)|failed to connect to|failed to establish a new connection",
        r"connection to server at .* failed|no route to host|network is unreachable|broken pipe",
        r"temporary failure in name resolution|could not translate host name|name or service not known",
        r"remote end closed connection|remotedisconnected|server disconnected|connection has been closed unexpectedly",
        r"ssl syscall error|eof (?:occurred|detected)|unexpected eof|read timed out|readtimeout|connecttimeout",
        r"(?:bad gateway|service unavailable|gateway time-?out|too many requests)\b",
        r"\b(?:429|500|502|503|504) (?:get|post|put|server error|client error)\b",
        r"http response code: (?:429|50[0234])|response status code(?: was|:)? (?:429|50[0234])",
    ),
    "PostgreSQL, Redshift": _any(
        r"server closed the connection unexpectedly|terminating connection due to",
        r"deadlock detected|could not serialize access|could not obtain lock|lock timeout",
        r"canceling statement due to (?:statement timeout|lock timeout|conflict with recovery)",
        r"the database system is (?:starting up|shutting down|in recovery mode|not yet accepting)",
        r"too many (?:clients already|connections for)|remaining connection slots are reserved",
        r"tuple concurrently (?:updated|deleted)",
        r'violates unique constraint "pg_',  # two sessions that make the same schema or table at the same moment
        r"cannot connect now|57p0[123]|40001|40p01|53300",
        r"serializable isolation violation|\berror: 1023\b|could not open relation with oid",
        r"concurrent transaction|cancelled by wlm|aborted by wlm|disk full.*leader|communication link failure",
    ),
    "DuckDB": _any(
        r"could not set lock on file|conflicting lock is held",
        r"transactioncontext error: .*conflict|transaction conflict|write-write conflict",
        r"http error:.*(?:timed? ?out|429|50[0234])",
    ),
    "Snowflake": _any(
        r"\b000(?:603|604|625|628|629|630|637|639)\b \(\w+\)",  # internal, cancelled, locked, timed out
        r"processing aborted (?:due to|by) error|an internal error|sql execution internal error",
        r"number of waiters for this lock|has locked table|lock .{0,40}timed out",
        r"statement reached its statement or warehouse timeout",
        r"\b25000[1-9]\b|\b2900\d\d\b|\b390114\b|authentication token has expired",
        r"jwt token is invalid\.?$",  # queued for longer than the token lives
        r"warehouse .{0,80}(?:suspended|resum)",
    ),
    "BigQuery": _any(
        r"exceeded rate limits|ratelimitexceeded|quota exceeded|quotaexceeded|exceeded quota",
        r"backenderror|internalerror|an internal error occurred|visibility check was unavailable",
        r"could not serialize access to table|aborted due to concurrent update|transaction is aborted due to",
        r"please retry (?:the|your)|retrying (?:the job )?(?:may|might) solve",
        r"deadline of .* exceeded|deadline ?exceeded",
        r"operation did not complete within the designated timeout|query timed out|timed ?out error|job timed out",
    ),
    "Databricks, Spark": _any(
        r"temporarily[ _]unavailable|delta_concurrent_|concurrent(?:append|deleteread|deletedelete|write|transaction)",
        r"(?:metadata|protocol)changedexception|delta_metadata_changed|delta_protocol_changed|by a concurrent update",
        r"please try (?:the operation )?again|query could not be scheduled|invalid_handle_status|invalid sessionhandle",
        r"terminated cluster|cluster .{0,80}(?:terminated|unexpected state|is not running|restart)",
        r"driver .{0,40}restarted",
        r"executorlostfailure|spot instance|request_limit_exceeded|bad status: no status code|no retry-after",
    ),
}


def passing(kind: str, status: str, message: str) -> bool | None:
    """Say whether a node's failure may pass by itself. A test that found rows is not transient, whatever it says."""
    if kind in TESTS and status.lower() == "fail":
        return False
    return by_words(message)


def by_words(words: str) -> bool | None:
    """Say whether an error may pass by itself, by its words alone."""
    text = "\n".join(line.strip() for line in words[:READ].splitlines())
    if any(pattern.search(text) for pattern in MISTAKES.values()):
        return False
    return True if any(pattern.search(text) for pattern in PASSING.values()) else None


def judged(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """Return nodes as they are, those that failed with whether that may pass."""
    return tuple(
        replace(node, passing=passing(node.kind, node.status, node.message)) if node.state is NodeState.FAILED else node
        for node in nodes
    )


def for_good(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """Return those that another try would not help; hooks run at each try, so they are judged anew."""
    return tuple(
        node for node in nodes if node.state is NodeState.FAILED and node.passing is False and node.kind != HOOK
    )
