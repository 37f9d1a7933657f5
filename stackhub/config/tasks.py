"""The tasks of one pipeline file: what each uses, needs and may take, and the order they stand in."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from pydantic import ValidationError

from stackhub.config.duration import parse
from stackhub.config.findings import Loc
from stackhub.config.graph import cycles, in_order
from stackhub.config.instances import Instances
from stackhub.config.nearest import hint
from stackhub.config.options import Names, check_options
from stackhub.config.page import Page
from stackhub.config.pipeline_file import DefaultsFile, PipelineFile, RetriesFile, TaskFile
from stackhub.contract import Connector, Operation, PartialOptions, PartlyBuilt, Role
from stackhub.model.feeding import Partial
from stackhub.model.pipeline import Need, Retries, Task
from stackhub.model.words import say

_DEFAULT: Final = Retries()
_NOTHING: Final = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Uses:
    """What a task's ``uses`` and ``instance`` came to."""

    connector: Connector
    operation: Operation
    word: str  # the operation's name
    instance: str


def declare_tasks(
    file: PipelineFile,
    page: Page,
    instances: Instances,
    environ: Mapping[str, str],
) -> tuple[tuple[Task, ...], list[str]]:
    """Make the tasks, each below what it needs and else in the file's order; and the secrets in their options."""
    if not page.document.holds(("tasks",)) or page.document.data["tasks"] == {}:
        page.wrong(("tasks",), "a pipeline has at least one task")
    _check_pace(file.defaults, ("defaults",), page)
    names = _names(page)
    declared: dict[str, Task] = {}
    roles: dict[str, Role] = {}
    secrets: list[str] = []
    for name, one in file.tasks.items():
        loc: Loc = ("tasks", name)
        _check_pace(one, loc, page)
        needs = _needs(name, one, names, page)
        uses = _uses(one, loc, page, instances)
        if uses is not None:
            secrets += _check_with(file, name, one, uses, page, environ)
            if uses.operation.role is not Role.EXTRACT and one.freshness is not None:
                page.warn((*loc, "freshness"), f"only means something for an extract, which {one.uses} is not")
        declared[name] = _task(file, name, one, needs, uses, page)
        roles[name] = uses.operation.role if uses is not None else Role.OTHER
    for name, task in declared.items():
        _check_complete(name, task, declared, page)
    complete = {name: _with_extracts(task, roles) for name, task in declared.items()}
    graph = {name: [need.task for need in task.needs] for name, task in complete.items()}
    for around in cycles(graph):
        _tell_cycle(around, complete, page)
    return tuple(complete[name] for name in in_order(graph)), secrets


def _names(page: Page) -> list[str]:
    """Return every task's name as written, also of one that could not be read: it is not unknown for that."""
    tasks = page.document.data.get("tasks")
    return list(tasks) if isinstance(tasks, dict) else []


def _needs(name: str, one: TaskFile, names: list[str], page: Page) -> tuple[Need, ...]:
    found: dict[str, Need] = {}
    for at, need in (one.needs or {}).items():
        loc: Loc = ("tasks", name, "needs", at, "task")
        if need.task == name:
            page.wrong(loc[:-1], "a task cannot need itself")
        elif need.task not in names:
            page.wrong(loc[:-1], f"unknown task {need.task!r}{hint(need.task, (n for n in names if n != name))}")
        elif need.task in found:
            page.wrong(loc[:-1], f"{need.task!r} is listed twice")
        else:
            found[need.task] = Need(task=need.task, complete=need.complete)
    return tuple(found.values())


def _check_complete(name: str, task: Task, declared: Mapping[str, Task], page: Page) -> None:
    """Warn of `complete` where what is needed never ends in part: whoever wrote it expects something of it."""
    for at, need in enumerate(task.needs):
        needed = declared.get(need.task)
        if need.complete and needed is not None and needed.partial is None:
            text = f"changes nothing: {need.task} never ends in part (it has no partial: true)"
            page.warn(("tasks", name, "needs", at, "complete"), text)


def _uses(one: TaskFile, loc: Loc, page: Page, instances: Instances) -> _Uses | None:
    at = (*loc, "uses")
    kind, dot, word = one.uses.partition(".")
    connector = instances.connector(kind, page.document.place(at), page.before(at))
    operation: Operation | None = None
    if connector is not None:
        operation = connector.operations.get(word)
        known = [f"{kind}.{name}" for name in connector.operations]
        if not connector.operations:
            page.wrong(at, f"{kind} has no operations: it tells people things, and stands under alerts")
        elif not dot:
            page.wrong(at, f"is <connector>.<operation>{hint(one.uses, known)}")
        elif operation is None:
            page.wrong(at, f"unknown operation {one.uses!r}{hint(one.uses, known)}")
    named = one.instance if one.instance is not None else kind
    if one.instance is not None and named.partition(".")[0] != kind:
        text = f"{named!r} is no instance of {kind}"
        page.wrong((*loc, "instance"), text + hint(f"{kind}.{named}", instances.of(kind)))
    elif connector is not None and (operation is not None or one.instance is not None):
        from_key = (*loc, "instance") if one.instance is not None else at
        instances.ask(named, page.document.place(from_key), page.before(from_key))
    if connector is None or operation is None:
        return None
    return _Uses(connector=connector, operation=operation, word=word, instance=named)


def _check_with(
    file: PipelineFile,
    name: str,
    one: TaskFile,
    uses: _Uses,
    page: Page,
    environ: Mapping[str, str],
) -> list[str]:
    if page.document.holds(("tasks", name, "with")) and "options" not in one.model_fields_set:
        return []  # what stands there is no mapping; that has been told
    checked = check_options(uses.operation.options, one.options, environ, Names.made_up(name, file.pipeline))
    for fault in checked.faults:
        page.fault(fault, ("tasks", name, "with"))
    return checked.secrets


def _check_pace(one: DefaultsFile, loc: Loc, page: Page) -> None:
    """Check the timeout, of a task or of the defaults."""
    if one.timeout is not None and one.timeout <= _NOTHING:
        page.wrong((*loc, "timeout"), "should be longer than nothing")


def _task(
    file: PipelineFile,
    name: str,
    one: TaskFile,
    needs: tuple[Need, ...],
    uses: _Uses | None,
    page: Page,
) -> Task:
    kind, _, word = one.uses.partition(".")
    plain = Task(
        name=name,
        connector=uses.connector.name if uses else kind,
        operation=word,
        instance=uses.instance if uses else one.instance or kind,
        options=one.options,
        needs=needs,
        needs_given=page.document.holds(("tasks", name, "needs")),
        partial=_partial(one, uses, ("tasks", name, "with", "partial"), page),
        extract=uses is not None and uses.operation.role is Role.EXTRACT,
        watch=uses.operation.watch if uses else "",
        retries=_retries(name, file.defaults.retries, one.retries, page),
    )
    timeout = one.timeout or file.defaults.timeout or plain.timeout
    on_timeout = one.on_timeout or file.defaults.on_timeout or plain.on_timeout
    freshness = one.freshness or file.defaults.freshness or plain.freshness
    return replace(plain, timeout=timeout, on_timeout=on_timeout, freshness=freshness)


def _partial(one: TaskFile, uses: _Uses | None, loc: Loc, page: Page) -> Partial | None:
    """Read whether a task may build a part; what is wrong with its shape has been told."""
    if uses is None or not issubclass(uses.operation.options, PartlyBuilt):
        return None
    written = one.options.get("partial", False)
    if isinstance(written, bool):
        return Partial() if written else None
    try:
        said = PartialOptions.model_validate(written)
    except ValidationError:
        return None
    wait = None
    if said.wait is not None:
        try:
            wait = parse(said.wait)
        except ValueError as err:
            page.wrong((*loc, "wait"), str(err))
    return Partial(wait=wait, rules=said.rules)


def _retries(name: str, common: RetriesFile | None, own: RetriesFile | None, page: Page) -> Retries:
    """Lay a task's words over the pipeline's over ours; a wait above our longest one raises that."""
    said = {**_said(common), **_said(own)}
    wait = said.get("wait", _DEFAULT.wait)
    longest = said.get("max_wait", max(_DEFAULT.max_wait, wait))
    if longest < wait:
        at: Loc = ("tasks", name) if "max_wait" in _said(own) else ("defaults",)
        page.wrong((*at, "retries", "max_wait"), f"is shorter than wait, which is {say(wait)}")
    return Retries(
        attempts=said.get("attempts", _DEFAULT.attempts),
        wait=wait,
        backoff=said.get("backoff", _DEFAULT.backoff),
        max_wait=longest,
    )


def _said(retries: RetriesFile | None) -> dict[str, Any]:
    said = {name: getattr(retries, name) for name in retries.model_fields_set} if retries else {}
    return {name: value for name, value in said.items() if value is not None}


def _with_extracts(task: Task, roles: Mapping[str, Role]) -> Task:
    """Let a transform that names no needs wait for every extract of its pipeline."""
    if task.needs_given or roles[task.name] is not Role.TRANSFORM:
        return task
    return replace(task, needs=tuple(Need(task=name) for name, role in roles.items() if role is Role.EXTRACT))


def _tell_cycle(around: list[str], tasks: Mapping[str, Task], page: Page) -> None:
    text = f"tasks need each other: {' needs '.join(around)}"
    silent = [name for name in around[:-1] if not tasks[name].needs_given]
    if silent:
        text += f"; {silent[0]} has no needs and so waits for every extract: give it needs"
    name = next((name for name in around[:-1] if tasks[name].needs_given), around[0])
    page.wrong(("tasks", name, "needs"), text)
