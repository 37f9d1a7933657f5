"""What a pipeline file means: its tasks, graph and routes against the connectors and instances there are.

`declare` makes a `Pipeline` of one file and tells everything that is wrong with it; what only several files together
can get wrong is `check_together`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stackhub.config.calendars import calendars
from stackhub.config.findings import Loc
from stackhub.config.graph import cycles
from stackhub.config.instances import Instances
from stackhub.config.nearest import hint
from stackhub.config.page import Page
from stackhub.config.pipeline_file import PipelineFile
from stackhub.config.routes import routes_of
from stackhub.config.shape import shaped
from stackhub.config.tasks import declare_tasks
from stackhub.config.triggers import triggers
from stackhub.config.when import schedules, sla
from stackhub.model.pipeline import Mode, Pipeline


@dataclass(slots=True, kw_only=True)
class Declared:
    """What came of one file."""

    page: Page
    name: str | None  # None: not even that could be read
    pipeline: Pipeline | None = None
    secrets: list[str] = field(default_factory=list)
    after: dict[str, Loc] = field(default_factory=dict)  # upstream pipelines, and where they are named


def declare(
    page: Page, instances: Instances, environ: Mapping[str, str], timezone: str, mode: Mode = Mode.LIVE
) -> Declared:
    """Make a pipeline of one file; None in it where nothing usable is left. ``timezone`` and ``mode`` are the hub's."""
    _tell_what_is_empty(page)
    data = page.document.data
    file, faults = shaped(PipelineFile, data)
    for fault in faults:
        page.fault(fault)
    named = file is not None
    if file is None and isinstance(data, dict):
        file, _ = shaped(PipelineFile, {**data, "pipeline": "unnamed"})  # so that a bad name hides nothing else
    declared = Declared(page=page, name=file.pipeline if file and named else None)
    if file is None:
        return declared
    begins = triggers(file, page, instances, environ)
    declared.after = begins.after
    known = calendars(file, page, instances.directory)
    planned = schedules(file, page, timezone, known, instances)
    tasks, secrets = declare_tasks(file, page, instances, environ)
    routes, more = routes_of(file, page, instances, environ)
    declared.secrets = [*secrets, *more, *begins.secrets]
    declared.pipeline = Pipeline(
        name=file.pipeline,
        description=file.description,
        owner=file.owner,
        mode=Mode.SHADOW if mode is Mode.SHADOW else file.mode,  # a hub in shadow starts nothing, whatever is written
        schedules=planned,
        calendars={name: known[name] for one in planned for name in (*one.only, *one.without)},
        after=tuple(declared.after),
        landed=begins.landed,
        files=begins.files,
        hook=begins.hook,
        sla=sla(file, page, planned, timezone),
        catchup=file.catchup,
        overlap=file.overlap,
        max_active=file.max_active,
        tasks=tasks,
        alerts=routes,
    )
    return declared


def check_together(files: Sequence[Declared | None]) -> None:
    """Tell what files get wrong together: names used twice, pipelines that start each other or nobody.

    None stands for a file that could not be read at all.
    """
    everyone = [one for one in files if one is not None]
    first: dict[str, Declared] = {}
    for one in everyone:
        if one.name is None:
            continue
        other = first.setdefault(one.name, one)
        if other is not one:
            text = f"{one.name!r} is the name of another pipeline: {other.page.document.place(('pipeline',))}"
            one.page.wrong(("pipeline",), text)
    unnamed = any(one is None or one.name is None for one in files)
    for one in everyone:
        for name, loc in one.after.items():
            if name not in first and not unnamed:  # it may be the one whose name could not be read
                one.page.wrong(loc, f"unknown pipeline {name!r}{hint(name, first)}")
    for around in cycles({name: list(one.after) for name, one in first.items()}):
        one = first[around[0]]
        text = f"pipelines start each other for ever: {' after '.join(around)}"
        one.page.wrong(one.after[around[1]], text if len(around) > 2 else "a pipeline cannot start itself")  # noqa: PLR2004


def _tell_what_is_empty(page: Page) -> None:
    """Refuse keys with nothing behind them: `finish_by:` left blank must not mean that there is no deadline."""
    for loc in list(page.document.values):
        free = len(loc) > 3 and loc[0] == "tasks" and loc[2] == "with"  # noqa: PLR2004 - below tasks.<name>.with
        if not free and loc and _value(page.document.data, loc) is None:
            page.wrong(loc, "is empty")
            page.document.broken.add(loc)


def _value(data: Any, loc: Loc) -> Any:
    for part in loc:
        data = data[part]
    return data
