"""Which tables a connection fills, as far as Airbyte says. Pure.

Source: the public API's specification, `namespaceDefinition` and the destinations' configurations (read 2026-11).
What a destination does to names afterwards (upper case, special characters) is for whoever compares them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from stackhub.contract import Relation

SOURCE: Final = "${SOURCE_NAMESPACE}"
SCHEMAS: Final[Mapping[str, str]] = {  # where the configuration leaves it out
    "databricks": "default",
    "duckdb": "main",
    "motherduck": "main",
    "mssql": "public",
    "mssql-v2": "public",
    "oracle": "airbyte",
    "postgres": "public",
    "redshift": "public",
    "teradata": "airbyte_td",
    "yellowbrick": "public",
}
FLAT: Final = frozenset({"clickhouse", "firebolt", "mysql", "starrocks"})  # their database is what dbt calls a schema


@dataclass(frozen=True, slots=True)
class Place:
    """Where a destination writes by default; "" where nobody says."""

    database: str = ""
    schema: str = ""


def place(destination: Mapping[str, Any] | None) -> Place:
    """Read a destination's default place from its ``configuration``; its secrets are not looked at."""
    if destination is None:
        return Place()
    kind = str(destination.get("destinationType") or "").removeprefix("destination-")
    given = destination.get("configuration")
    given = given if isinstance(given, dict) else {}
    database = _first(given, "database", "project_id")
    if kind in FLAT:
        return Place(schema=database or "default")
    schema = _first(given, "schema", "dataset_id") or SCHEMAS.get(kind, "")
    return Place(database, schema.rpartition(":")[2])  # BigQuery takes "project:dataset" as well


def relations(connection: Mapping[str, Any], default: Place) -> tuple[Relation, ...]:
    """List the tables of a connection, in either API's shape; those of no known schema are left out."""
    found = set()
    prefix = connection.get("prefix") or ""
    for name, namespace in _streams(connection):
        schema = _schema(connection, namespace, default.schema)
        if schema:
            found.add(Relation(default.database, schema, f"{prefix}{name}"))
    return tuple(sorted(found))


def _schema(connection: Mapping[str, Any], namespace: str, default: str) -> str:
    form = str(connection.get("namespaceFormat") or "").strip()
    match str(connection.get("namespaceDefinition") or "destination").replace("_", ""):
        case "source":
            return namespace or default
        case "customformat" if form == SOURCE:
            return namespace or default
        case "customformat" if form:
            return form.replace(SOURCE, namespace)
        case _:
            return default


def _streams(connection: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield name and namespace of each stream; only the Config API says which are selected, and under what alias."""
    public, full = connection.get("configurations"), connection.get("syncCatalog")
    listed = (full if isinstance(full, dict) else public if isinstance(public, dict) else {}).get("streams")
    for entry in listed if isinstance(listed, list) else ():
        match entry:
            case {"stream": {"name": str(name), **stream}, "config": {**config}}:
                if config.get("selected", True):
                    yield str(config.get("aliasName") or name), str(stream.get("namespace") or "")
            case {"name": str(name), **stream}:
                yield name, str(stream.get("namespace") or "")
            case _:
                continue


def _first(given: Mapping[str, Any], *keys: str) -> str:
    return next((value for key in keys if isinstance(value := given.get(key), str) and value), "")
