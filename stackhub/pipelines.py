"""Pipelines written in Python: what a file for `stackhub compile` imports.

    from stackhub.pipelines import Pipeline, Schedule, task

    revenue = Pipeline(
        pipeline="revenue",
        schedule=[Schedule(cron="0 6 * * 1-5", timezone="Europe/Berlin")],
        tasks={
            **{name: task("fivetran.sync", {"connection": name}) for name in ("crm", "orders")},
            "marts": task("dbt.build", {"select": "+tag:revenue"}, timeout="1h"),
        },
    )

They are the very models that a YAML file is read by, so a file and a script take and refuse the same.
"""

from collections.abc import Mapping
from typing import Any

from stackhub.config.pipeline_file import DefaultsFile as Defaults
from stackhub.config.pipeline_file import NeedFile as Need
from stackhub.config.pipeline_file import PipelineFile as Pipeline
from stackhub.config.pipeline_file import RetriesFile as Retries
from stackhub.config.pipeline_file import RouteFile as Route
from stackhub.config.pipeline_file import ScheduleFile as Schedule
from stackhub.config.pipeline_file import SlaFile as Sla
from stackhub.config.pipeline_file import TaskFile as Task
from stackhub.config.pipeline_file import TriggerFile as Trigger

__all__ = ["Defaults", "Need", "Pipeline", "Retries", "Route", "Schedule", "Sla", "Task", "Trigger", "task"]


def task(uses: str, options: Mapping[str, Any] | None = None, **how: Any) -> Task:
    """Return a task: what a file says under ``uses``, under ``with``, and beside them (needs, timeout, retries, ...).

    Raises:
        pydantic.ValidationError: a file could not say that either.
    """
    return Task.model_validate({"uses": uses, **({"with": dict(options)} if options else {}), **how})
