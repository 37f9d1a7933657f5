"""Fivetran: syncs of its connections."""
