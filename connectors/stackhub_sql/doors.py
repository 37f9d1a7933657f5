"""Opens databases, and binds values to what is said to them.

SQLite and DuckDB are opened by their own drivers, everything else by the one that SQLAlchemy has for its URL:
SQLAlchemy alone takes longer to import than most statements take.
"""

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

BROUGHT_BY: Final = {
    "psycopg": "stackhub[postgres]",
    "duckdb": "stackhub[duckdb]",
    "MySQLdb": "mysqlclient",
    "snowflake": "snowflake-sqlalchemy",
    "bigquery": "sqlalchemy-bigquery",
    "redshift": "sqlalchemy-redshift",
    "databricks": "databricks-sqlalchemy",
    "clickhouse": "clickhouse-sqlalchemy",
    "trino": "trino[sqlalchemy]",
}
"""What to install for a module, or a dialect."""


class Failed(Exception):
    """It did not work; ``again``: trying once more repeats nothing, and could help."""

    def __init__(self, text: str, *, again: bool = False) -> None:
        super().__init__(text)
        self.again = again


@dataclass(frozen=True)
class Door:
    """An open database."""

    connection: Any
    driver: Any  # its DB-API module
    style: str  # how it wants parameters: its ``paramstyle``
    kind: str
    begin: Callable[[], object]
    cursor: Callable[[], Any]
    lost: Callable[[Exception], bool]


def open_file(url: str, *, reads: bool, alone: bool) -> Door:
    """Open SQLite or DuckDB; ``alone``: each statement by itself."""
    parts = urlsplit(url)
    kind, path, options = parts.scheme.partition("+")[0], unquote(parts.path)[1:], dict(parse_qsl(parts.query))
    held = not path or path == ":memory:" or path.startswith("md:")
    if reads and not held and not os.path.exists(path):  # noqa: PTH110 - one import less
        raise Failed(f"there is no database {path}", again=True)
    if kind == "duckdb":
        driver = imported("duckdb")
        connection = driver.connect(path or ":memory:", read_only=reads and not held, config=options)

        def cursor() -> Any:  # a cursor of DuckDB's is another connection
            return connection
    else:
        driver = imported("sqlite3")
        patience = float(options.pop("timeout", "60"))
        mode = {"mode": "memory" if held else "ro" if reads else "rwc", **options}
        uri = f"file:{quote(path)}?" + "&".join(f"{name}={quote(value)}" for name, value in mode.items())
        connection = driver.connect(uri, uri=True, timeout=patience, isolation_level=None, check_same_thread=False)
        cursor = connection.cursor

    def begin() -> object:
        return None if alone else connection.execute("BEGIN" if kind == "duckdb" or reads else "BEGIN IMMEDIATE")

    return Door(connection, driver, "qmark", kind, begin, cursor, lambda _: False)


def open_any(url: str, *, reads: bool, alone: bool, who: str) -> Door:
    """Open what SQLAlchemy has a dialect for, and a driver is installed for."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        made = make_url(url)
        kind = made.get_dialect()
    except NoSuchModuleError:
        name = url.partition(":")[0]
        package = BROUGHT_BY.get(name.partition("+")[0])
        way = f"pip install '{package}'" if package else "install the package that brings its SQLAlchemy dialect"
        raise Failed(f"nothing is installed that speaks {name}: {way}") from None
    except ArgumentError:
        raise Failed("its url is none: write postgresql://user:password@host/database") from None
    try:
        driver = kind.import_dbapi()
    except ImportError as err:
        raise missing(str(err.name or err)) from None
    make: Any = kind  # every one of them takes its driver so, which is not in the type
    dialect = make(dbapi=driver)
    args, named = dialect.create_connect_args(made)
    if kind.driver.startswith("psycopg"):  # so that a connection that hangs is lost within a minute
        ours = {
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "fallback_application_name": who,
        }
        named = {**ours, **named}
    connection = driver.connect(*args, **named)
    if alone:
        try:
            dialect.set_isolation_level(connection, "AUTOCOMMIT")
        except NotImplementedError:
            raise Failed(f"{kind.name} knows statements in transactions only: leave out transaction: false") from None
    if reads and hasattr(dialect, "set_readonly"):
        dialect.set_readonly(connection, True)
    named_cursor = reads and kind.driver.startswith("psycopg")  # whose rows stay at the server until they are fetched

    def cursor() -> Any:
        return connection.cursor("stackhub") if named_cursor else connection.cursor()

    def lost(err: Exception) -> bool:
        return bool(dialect.is_disconnect(err, connection, None))

    return Door(connection, driver, driver.paramstyle, kind.name, lambda: None, cursor, lost)


def imported(name: str) -> Any:
    """Import a driver, or say what brings it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise missing(name) from None


def missing(module: str) -> Failed:
    """Say what to install."""
    return Failed(f"the driver {module} is not installed: pip install '{BROUGHT_BY.get(module, module)}'")


def rendered(parts: Sequence[str], style: str, values: Mapping[str, Any]) -> tuple[str, Any]:
    """Write a statement as its driver wants it, beside the values that are bound to it."""
    names = parts[1::2]
    if not names:
        return parts[0], None
    texts = [part.replace("%", "%%") if style in {"format", "pyformat"} else part for part in parts[::2]]
    marks = {"qmark": "?", "format": "%s", "named": ":{}", "pyformat": "%({})s", "numeric": ":{}"}
    written = texts[0]
    for at, (name, text) in enumerate(zip(names, texts[1:], strict=True), start=1):
        written += marks[style].format(at if style == "numeric" else name) + text
    if style in {"named", "pyformat"}:
        return written, {name: values[name] for name in names}
    return written, tuple(values[name] for name in names)


def value_of(held: Any, kind: str) -> Any:
    """Make a parameter's value of JSON. SQLite has no times: it gets them as its own functions write them, in UTC."""
    if not isinstance(held, dict):
        return held
    if "day" in held:
        return held["day"] if kind == "sqlite" else date.fromisoformat(held["day"])
    moment = datetime.fromisoformat(held["time"])
    return moment.replace(tzinfo=None).isoformat(" ") if kind == "sqlite" else moment


def hiding(url: str) -> Callable[[str], str]:
    """Return what keeps a URL's secrets out of a text: drivers repeat what they were given."""
    head, _, query = url.partition("?")  # by hand: what is no URL may hold a password all the same
    held = [url, *(value for name, value in parse_qsl(query) if secret(name))]
    _, _, written = head.partition("://")[2].rpartition("@")[0].partition(":")
    hidden = sorted({text for one in (*held, written) for text in (one, unquote(one)) if text}, key=len, reverse=True)

    def hide(text: str) -> str:
        for one in hidden:
            text = text.replace(one, "***")
        return text

    return hide


def secret(name: str) -> bool:
    """Whether what stands under this name in a URL is nobody's business."""
    return any(word in name.lower() for word in ("password", "passphrase", "passcode", "token", "secret", "key", "pwd"))
