"""SQL: statements, and queries whose result has to hold. `stackhub_sql.connector` is the connector.

Nothing is imported here: a job's process imports this package too, and has to start fast.
"""
