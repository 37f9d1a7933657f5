"""Jobs of the played Fivetran."""

import stackhub_fivetran
from stackhub.contract import Job

connector = stackhub_fivetran.connector


def a_job(operation="sync", connection="shop", consumed=(), **options):
    made = connector.operations[operation].options(connection=connection, **options)
    return Job(operation=operation, options=made, consumed=dict(consumed))
