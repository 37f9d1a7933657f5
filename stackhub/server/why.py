"""Why a run, or a step of it, is as it is: sentences, each from something the store keeps. Pure.

The first sentence is the nearest cause: what it waits for, or what ended it; those that follow lead up to it. Of
models, connections and pipelines see `why_things`; `why_asked` and `why_connections` read what each needs.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from stackhub.decide.owed import Debt
from stackhub.model.run import OpenRun, Run
from stackhub.server.views import View, event_view
from stackhub.server.why_run import of_run
from stackhub.server.why_step import of_step
from stackhub.store.queries import Line
from stackhub.store.shown import LaneSeen


def why_view(
    open_run: OpenRun,
    task: str | None = None,
    *,
    events: Sequence[Line] = (),
    lanes: Mapping[str, LaneSeen] | None = None,
    others: Sequence[Run] = (),
    debts: Sequence[Debt] = (),
    now: datetime,
) -> View:
    """Say why.

    ``others`` are the open runs of the same pipeline, ``lanes`` the accounts' health by instance, ``debts`` what the
    pipeline owes.

    Raises:
        KeyError: the run has no such task.
    """
    run = open_run.run
    if task is None:
        because = of_run(open_run, others, lanes or {}, now)
        lines = [line for line in events if not line.task]
        state = run.state.value
    else:
        step = open_run.steps[task]
        because = of_step(step, open_run, others, lanes or {}, now, debts)
        lines = [line for line in events if line.task == task]
        state = step.state.value
    return {
        "subject": "run" if task is None else "step",
        "name": run.id if task is None else f"{run.id}.{task}",
        "run": run.id,
        "pipeline": run.pipeline,
        "task": task,
        "state": state,
        "because": because,
        "events": [event_view(line) for line in lines],
    }


def thing_view(subject: str, name: str, state: str, because: Sequence[str], **where: str) -> View:
    """Say why of what is no run and no step; ``where``: the run, pipeline and task that it was found in, if any."""
    nowhere = {"run": None, "pipeline": None, "task": None}
    found = {"subject": subject, "name": name, **nowhere, **where}
    return {**found, "state": state, "because": list(because), "events": []}
