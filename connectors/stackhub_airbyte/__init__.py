"""Airbyte: syncs of its connections."""
