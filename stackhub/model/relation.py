"""A table somewhere: what a connection fills and a dbt source reads."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Relation:
    """A destination table by its three names; ``database`` or ``table`` is "" where the vendor does not say."""

    database: str
    schema: str
    table: str
