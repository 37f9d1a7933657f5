"""A pipeline as it is configured, and what its schedules do next, as JSON documents. Pure; the rules are `views`'s."""

from datetime import datetime

from stackhub.model.codec import plain
from stackhub.model.pipeline import Mode, Pipeline, Schedule, Sla, Task
from stackhub.model.run import Run
from stackhub.server.views import View, moment, run_view, seconds
from stackhub.store.configure import Scheduled
from stackhub.store.queries import Known
from stackhub.store.waiting import Waiting


def pipeline_view(
    known: Known, *, last: Run | None = None, next_at: datetime | None = None, now: datetime | None = None
) -> View:
    """Show a pipeline as it is configured, with its newest run and its next tick. Options are as written."""
    pipeline = known.pipeline
    return {
        "pipeline": pipeline.name,
        "description": pipeline.description,
        "owner": pipeline.owner,
        "mode": pipeline.mode.value,
        "retired": known.retired,
        "paused": known.paused_at is not None,
        "paused_at": moment(known.paused_at),
        "paused_reason": known.paused_reason,
        "schedules": [_schedule(schedule) for schedule in pipeline.schedules],
        "after": list(pipeline.after),
        "landed": [
            {"connections": [str(watched) for watched in one.connections], "any": one.any} for one in pipeline.landed
        ],
        "files": [files.url for files in pipeline.files],
        "webhook": f"/hooks/pipelines/{pipeline.name}" if pipeline.hook else None,
        "sla": _sla(pipeline.sla),
        "catchup": pipeline.catchup.value,
        "overlap": pipeline.overlap.value,
        "tasks": [_task(task) for task in pipeline.tasks],
        "alerts": _alerts(pipeline),
        "next_at": moment(next_at),
        "last_run": run_view(last, now) if last else None,
    }


def next_view(scheduled: Scheduled, known: Known | None, forecast: View | None = None) -> View:
    """Show what one schedule does next; ``at`` is null when it never fires again, and of no effect while paused."""
    return {
        "pipeline": scheduled.pipeline,
        "at": moment(scheduled.next_at),
        "schedule": _schedule(scheduled.schedule),
        "mode": (known.pipeline.mode if known else Mode.LIVE).value,
        "paused": known is not None and known.paused_at is not None,
        "paused_reason": known.paused_reason if known else "",
        "forecast": forecast,
    }


def waiting_view(tick: Waiting, known: Known | None) -> View:
    """Show a tick that has fallen and waits for data; ``until`` is null where it waits for as long as it takes."""
    return {
        "pipeline": tick.pipeline,
        "at": moment(tick.interval.end),
        "schedule": _schedule(tick.schedule),
        "paused": known is not None and known.paused_at is not None,
        "paused_reason": known.paused_reason if known else "",
        "waiting": tick.reason,
        "until": moment(tick.until),
    }


def _task(task: Task) -> View:
    return {
        "task": task.name,
        "uses": f"{task.connector}.{task.operation}",
        "instance": task.instance,
        "with": plain(dict(task.options)),
        "needs": [need.task for need in task.needs],
        "extract": task.extract,
        "timeout": seconds(task.timeout),
        "attempts": task.retries.attempts,
    }


def _schedule(schedule: Schedule) -> View:
    view: View = {"cron": schedule.cron or None, "every": seconds(schedule.every), "timezone": schedule.timezone}
    calendars = {"only": list(schedule.only), "except": list(schedule.without)}
    view |= {key: names for key, names in calendars.items() if names}
    if schedule.require:
        until = schedule.not_later_than
        view["require"] = [str(watched) for watched in schedule.require]
        view["not_later_than"] = until.strftime("%H:%M") if until else None
        view["otherwise"] = schedule.otherwise.value
    return view


def _sla(sla: Sla | None) -> View | None:
    if sla is None:
        return None
    finish_by = sla.finish_by.strftime("%H:%M") if sla.finish_by else None
    return {
        "finish_by": finish_by,
        "max_duration": seconds(sla.max_duration),
        "timezone": sla.timezone,
        "at_risk": sla.at_risk,
    }


def _alerts(pipeline: Pipeline) -> list[View] | None:
    """Show whom a pipeline tells; None when that is the hub's business."""
    if pipeline.alerts is None:
        return None
    return [{"to": route.to, "on": sorted(kind.value for kind in route.on)} for route in pipeline.alerts]
