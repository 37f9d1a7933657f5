"""What a connection fills in its destination. Pure.

A connection is named by its ``schema``, and its service decides what that means. Source: the services' schema formats
in Fivetran's OpenAPI document (read 2026-11). Where the name does not tell, ``/v1/connections/{id}/schemas`` does, at
the price of a request for each connection.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

PREFIXED: Final = frozenset(
    {
        "airtable",
        "aurora",
        "aurora_postgres",
        "azure_cosmos_for_mongo",
        "azure_postgres",
        "azure_sql_db",
        "azure_sql_managed_db",
        "bigquery_db",
        "cockroachdb",
        "cosmos",
        "databricks_db",
        "db2i_hva",
        "db2i_sap_hva",
        "db2luw",
        "db2z",
        "documentdb",
        "epic_clarity",
        "google_cloud_mysql",
        "google_cloud_postgresql",
        "google_cloud_sqlserver",
        "heroku_postgres",
        "magento_mysql",
        "magento_mysql_rds",
        "maria",
        "maria_azure",
        "maria_rds",
        "mongo",
        "mongo_sharded",
        "mysql",
        "mysql_azure",
        "mysql_rds",
        "oracle",
        "oracle_business_intelligence_publisher",
        "oracle_ebs",
        "oracle_fusion_cloud_apps_crm",
        "oracle_fusion_cloud_apps_fscm",
        "oracle_fusion_cloud_apps_hcm",
        "oracle_hva",
        "oracle_rac",
        "oracle_rds",
        "oracle_sap_hva",
        "postgres",
        "postgres_rds",
        "sap_hana_db",
        "snowflake_db",
        "sql_server",
        "sql_server_hva",
        "sql_server_rds",
        "sql_server_sap_ecc_hva",
    }
)
"""Services that fill a schema for each of the source's: prefix ``shop`` and source ``public`` make ``shop_public``."""

GROUPED: Final = frozenset(
    {
        "azure_blob_storage",
        "box",
        "dropbox",
        "email",
        "ftp",
        "gcs",
        "google_drive",
        "guidewire_cloud_data_access",
        "s3",
        "s3_compatible_storage",
        "sftp",
        "share_point",
        "workday",
    }
)
"""Services whose name has a dot before a group of tables, not a table."""


MAPPED: Final = PREFIXED | GROUPED
"""Services of which only the schema config says what they fill."""

FLAT: Final = (
    "maria",
    "mysql",
    "singlestore",
)  # what their services begin with: dbt knows no database above the schema


def named(service: str, name: str) -> tuple[tuple[str, str], ...]:
    """Return (schema, table) as a connection's name tells them, "" for all tables; nothing when it does not tell."""
    if service in PREFIXED:
        return ()
    schema, _, table = name.partition(".")
    return ((schema, "" if service in GROUPED else table),)


def listed(config: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return (schema, table) of all that is loaded by a schema config; its keys are the source's names, not ours.

    A connection that has never synced, and some services, have none or half of one.
    """
    return tuple(
        sorted(
            {
                (schema, table)
                for schema, inner in _enabled(config.get("schemas"))
                for table, _ in _enabled(inner.get("tables"))
            }
        )
    )


def database(destination: Mapping[str, Any]) -> str:
    """Return what dbt calls the database of a destination; "" where there is none, or nobody says."""
    if str(destination.get("service") or "").startswith(FLAT):
        return ""
    given = destination.get("config")
    found = (given.get(key) for key in ("project_id", "catalog", "database")) if isinstance(given, Mapping) else ()
    return next((value for value in found if isinstance(value, str) and value), "")


def _enabled(parts: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, part in parts.items() if isinstance(parts, Mapping) else ():
        if isinstance(part, Mapping) and part.get("enabled") is not False:
            yield str(part.get("name_in_destination") or name), part
