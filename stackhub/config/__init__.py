"""Env files and pipeline files to validated objects; every problem at once, each with its file, line and column.

Read it in this order: `duration`, `env_files` and `yaml_nodes` know how things are written; `shape` puts pydantic's
errors into our words; `settings`, `layers` and `instances` make instances of env files; `pipeline_file`, `expand`,
`options`, `when`, `graph` and `checks` make pipelines of YAML; `read` puts a directory together.
"""
