"""What a connection fills in its destination, as far as the list of connections tells.

A connection is named by its ``schema``, and its service decides what that means. Source: the services' schema formats
in Fivetran's OpenAPI document (read 2026-11). The tables of a connection stand in ``/v1/connections/{id}/schemas``
only, one request for each, which nobody may spend on a whole account.
"""

from typing import Final

from stackhub.contract import Relation

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


def relations(service: str, name: str) -> tuple[Relation, ...]:
    """Say what a connection fills; nothing when its name does not tell."""
    if service in PREFIXED:
        return ()
    schema, _, table = name.partition(".")
    return (Relation("", schema, "" if service in GROUPED else table),)
