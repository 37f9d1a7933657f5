"""stackhub: one small daemon that runs Fivetran, Airbyte and dbt as one pipeline.

It knows when each extract has landed, starts exactly the dbt work whose inputs are in, and tells the right
people once, before the deadline where it can. The order in which to read it is the order of the layers in
`pyproject.toml`, from the bottom: errors, model, contract.
"""

__version__ = "0.1.0"
