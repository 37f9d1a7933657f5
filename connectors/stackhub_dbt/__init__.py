"""dbt: one job is one dbt command."""
