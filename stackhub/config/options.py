"""What stands under ``with:`` and in an alert route: filled in, validated, and watched for secrets in plain sight.

`check_options` is for the moment of writing, `check_changed` for that of asking: the run's names have made-up values,
every fault is told. `job_options` and `route_options` are for the moment of the call; the store keeps only what was
written.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from stackhub.config.expand import Expansion, references, substitute
from stackhub.config.findings import Loc, dotted
from stackhub.config.shape import Fault, held, secrets_in, shaped
from stackhub.contract import Connector, Options
from stackhub.decide.payload import NAME
from stackhub.errors import ConfigError, Problem
from stackhub.model.pipeline import Pipeline, Route, Task

READ_AS_CODE: Final = (
    "what a trigger brings would be read as code here: hand it over as an argument of its own, or under env"
)
_INTERPRETER: Final = re.compile(r"(?:ba|da|z|k|a)?sh|python[0-9.]*|perl|ruby|node|psql|duckdb|sqlite3")
_TAKES_CODE: Final = re.compile(r"-[A-Za-z]*[ce]|--(?:command|eval)")
_FROM_OUTSIDE: Final = re.compile(r"\{\{\s*trigger\.")
UNRUN: Final = "01ARZ3NDEKTSV4RRFFQ69G5FAV"  # the id of a run that there is not
_DAY: Final = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """What ``{{ }}`` may speak of."""

    run: str  # the run's id
    pipeline: str
    interval: tuple[datetime, datetime] | None = None  # half-open; aware
    values: Mapping[str, str] = field(default_factory=dict)  # what a trigger brought: ``{{ trigger.NAME }}``

    @classmethod
    def made_up(cls, pipeline: str) -> "RunContext":
        """Return what a run would say of itself: an id, an interval of a day, nothing that a trigger brought."""
        return cls(run=UNRUN, pipeline=pipeline, interval=_DAY)


class Names(dict[str, str]):
    """The names a run lends to its tasks' options."""

    def __init__(self, task: str, context: RunContext, *, any_trigger: bool = False) -> None:
        super().__init__({"run.id": context.run, "run.pipeline": context.pipeline, "task.name": task})
        if context.interval is not None:
            start, end = (moment.astimezone(UTC) for moment in context.interval)
            self.update(
                {
                    "interval.start": _written(start),
                    "interval.end": _written(end),
                    "interval.start_date": start.date().isoformat(),
                    "interval.end_date": end.date().isoformat(),
                }
            )
        self.update({f"trigger.{name}": value for name, value in context.values.items()})
        self._any_trigger = any_trigger

    @classmethod
    def made_up(cls, task: str, pipeline: str) -> "Names":
        """Return names with values such as a run would have."""
        return cls(task, RunContext.made_up(pipeline), any_trigger=True)

    def __missing__(self, name: str) -> str:
        """Make up a trigger's value where it is not known yet: a digit, which is text and number alike."""
        if self._any_trigger and name.startswith("trigger.") and NAME.fullmatch(name.removeprefix("trigger.")):
            return "1"
        raise KeyError(name)


@dataclass(slots=True, kw_only=True)
class Checked:
    """What a check found; ``secrets`` are the secret values, for redaction."""

    faults: list[Fault] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)


def check_options(
    model: type[Options],
    written: Mapping[str, Any],
    environ: Mapping[str, str],
    names: Mapping[str, str] | None,
) -> Checked:
    """Check options as they were written; ``names`` is None where no run is near (an alert route)."""
    expansion = _filled(model, written, environ, names)
    checked = Checked(faults=[Fault(loc, text) for loc, text in expansion.faults])
    unfilled = {loc for loc, _ in expansion.faults}
    made, faults = shaped(model, expansion.value)
    for fault in faults:
        if not any(fault.loc[: len(loc)] == loc for loc in unfilled):
            checked.faults.append(_hidden(fault, expansion))
    if made is not None:
        for loc, secret in secrets_in(made):
            text = _at(written, loc)
            _look_for_literals(loc, text, checked)
            checked.secrets += [
                secret,
                *(expansion.used[name] for name, _ in references(text) if name in expansion.used),
            ]
    connection = expansion.value.get("connection")
    if isinstance(connection, str) and not connection.strip() and ("connection",) not in unfilled:
        told = any(fault.loc == ("connection",) for fault in checked.faults)
        checked.faults += [] if told else [Fault(("connection",), "must not be empty")]
    checked.faults += [Fault(loc, READ_AS_CODE) for loc in _code(written)]
    checked.secrets = [secret for secret in checked.secrets if secret]
    return checked


def _code(written: Any, loc: Loc = ()) -> list[Loc]:
    """Return where a value that a trigger brings would stand in a text that a shell or an interpreter reads."""
    if isinstance(written, Mapping):
        return [found for key, inner in written.items() for found in _code(inner, (*loc, str(key)))]
    if not isinstance(written, list | tuple):
        return []
    words = [item if isinstance(item, str) else "" for item in written]
    found: list[Loc] = []
    for at, word in enumerate(words):
        read = any(_INTERPRETER.fullmatch(before.rpartition("/")[2]) for before in words[:at])
        if read and at and _TAKES_CODE.fullmatch(words[at - 1]) and _FROM_OUTSIDE.search(word):
            found.append((*loc, at))
    return found + [inner for at, item in enumerate(written) for inner in _code(item, (*loc, at))]


def check_changed(
    pipeline: Pipeline,
    changed: Iterable[str],
    connector_of: Callable[[str], Connector | None],
    environ: Mapping[str, str],
) -> list[Problem]:
    """Say what is wrong with the options of these tasks, which somebody has changed for one run.

    ``connector_of`` returns an instance's connector; where there is none any more nothing can be said.
    """
    problems = []
    for name in changed:
        task = pipeline.task(name)
        connector = connector_of(task.instance)
        operation = connector.operations.get(task.operation) if connector is not None else None
        if operation is not None:
            checked = check_options(operation.options, task.options, environ, Names.made_up(name, pipeline.name))
            problems += [Problem(f"--with {dotted((name, *fault.loc))}", fault.text) for fault in checked.faults]
    return problems


def job_options(task: Task, connector: Connector, environ: Mapping[str, str], context: RunContext) -> Options:
    """Fill in and validate a task's options at the moment of the call.

    Raises:
        ConfigError: a variable is gone, a name is not the run's, or the values do not fit; never with a value.
    """
    operation = connector.operations.get(task.operation)
    if operation is None:
        raise ConfigError(f"task {task.name}: {connector.name} has no operation {task.operation!r}")
    expansion = _filled(operation.options, task.options, environ, Names(task.name, context))
    return _validated(operation.options, expansion, f"task {task.name}: with")


def connection_of(task: Task, pipeline: str, connector: Connector, environ: Mapping[str, str]) -> str:
    """Return what a task names as its connection; "" where it names none, or that hangs on the run."""
    if task.operation not in connector.operations or "connection" not in task.options:
        return ""
    try:
        options = job_options(task, connector, environ, RunContext(run=UNRUN, pipeline=pipeline))
    except ConfigError:  # it speaks of a run's interval, or of what a trigger brings
        return ""
    return str(getattr(options, "connection", ""))


def route_options(route: Route, connector: Connector, environ: Mapping[str, str]) -> Options:
    """Fill in and validate an alert route's options at the moment of the call.

    Raises:
        ConfigError: as for `job_options`, or the instance is no notifier.
    """
    if connector.route is None:
        raise ConfigError(f"alert route {route.to}: {connector.name} is no notifier")
    return _validated(connector.route, substitute(route.options, environ, None), f"alert route {route.to}")


def _filled(
    model: type[Options], written: Mapping[str, Any], environ: Mapping[str, str], names: Mapping[str, str] | None
) -> Expansion:
    """Fill in variables and names, but for the texts that their connector wants as they were written."""
    kept = {name: value for name, value in written.items() if name in model.verbatim and isinstance(value, str)}
    code = substitute({name: value for name, value in written.items() if name in model.code}, environ, None)
    rest = {name: value for name, value in written.items() if name not in kept and name not in model.code}
    expansion = substitute(rest, environ, names)
    found = {**expansion.value, **code.value, **kept}
    expansion.value = {name: found[name] for name in written}
    expansion.faults += code.faults
    expansion.used |= code.used
    return expansion


def _validated(model: type[Options], expansion: Expansion, place: str) -> Options:
    faults = [Fault(loc, text) for loc, text in expansion.faults]
    made: Options | None = None
    if not faults:
        made, wrong = shaped(model, expansion.value)
        faults = [_hidden(fault, expansion) for fault in wrong]
    if made is None or faults:
        raise ConfigError(*(Problem(place, str(fault)) for fault in faults))
    return made


def _look_for_literals(loc: Loc, written: str, checked: Checked) -> None:
    variables = references(written)
    if not variables:
        checked.faults.append(Fault(loc, "is a secret and must not stand in a file: use ${VAR}"))
    elif any(default for _, default in variables):
        checked.faults.append(Fault(loc, "is a secret, and so would be its default: use ${VAR} without one"))


def _at(written: Any, loc: Loc) -> str:
    """Return the text at ``loc``, or all that stands where a validator has rearranged what was written."""
    at = written
    for part in loc:
        if not held(at, part):
            break
        at = at[part]
    return at if isinstance(at, str) else repr(at)


def _hidden(fault: Fault, expansion: Expansion) -> Fault:
    return Fault(fault.loc, expansion.hide(fault.text), fault.on_key, fault.missing, fault.kind)


def _written(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
