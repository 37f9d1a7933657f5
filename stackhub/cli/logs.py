"""What the jobs of a run said: from the connector's own files, else the step's history."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio

from stackhub.cli import exits, named, words
from stackhub.cli.where import Where
from stackhub.contract import Context, Logs
from stackhub.errors import ConfigError, Refused
from stackhub.model.run import OpenRun
from stackhub.model.step import Step
from stackhub.server.redact import Redactor
from stackhub.store import queries
from stackhub.store.reading import Reader

PIECE: Final = 65_536  # bytes read at once
LOOK: Final = 0.5  # seconds between looks


def logs(where: Where, typed: str, *, stay: bool, as_json: bool) -> int:
    """Print what a run's steps said, or one of them; stay until the run has ended where that is wanted."""
    if stay and as_json:
        raise Refused("--json is one document, and --follow goes on: choose one")
    return anyio.run(_logs, where, typed, stay, as_json)


async def _logs(where: Where, typed: str, stay: bool, as_json: bool) -> int:
    with where.reader() as store:
        reader = named.there(store)
        found, task = named.step(reader, typed)
        names = [task] if task else list(found.steps)
        async with _opened(where, found, names) as sources:
            if as_json:
                words.document([_document(reader, sources, found, name) for name in names])
                return exits.OK
            page = _Page(reader, sources, headed=len(names) > 1)
            while True:
                for name in names:
                    page.go_on(found, name)
                sys.stdout.flush()
                if not stay or found.run.ended_at is not None:
                    break
                await anyio.sleep(LOOK)
                found = reader(partial(queries.run, run_id=found.run.id)) or found
            for name in names:
                page.close(found, name)
    return exits.OK


def _document(reader: Reader, sources: "_Sources", found: OpenRun, task: str) -> dict[str, object]:
    step, parts, offset = _worker(reader, found, task), list[str](), 0
    while True:
        text, following = sources.read(step, offset)
        parts.append(text)
        if following == offset:
            break
        offset = following
    said = "".join(parts)
    source, text = ("job", said) if said else ("history", _history(reader, step, sources.hide))
    return {"run": found.run.id, "task": task, "source": source, "text": text}


class _Page:
    """What has been printed so far."""

    def __init__(self, reader: Reader, sources: "_Sources", *, headed: bool) -> None:
        self._reader = reader
        self._sources = sources
        self._headed = headed
        self._offsets: dict[str, int] = {}  # by the job's key
        self._last = ""

    def go_on(self, found: OpenRun, task: str) -> None:
        """Print what a step's job has said since the last time; another try has a log of its own."""
        step = _worker(self._reader, found, task)
        while True:
            offset = self._offsets.get(step.key, 0)
            text, following = self._sources.read(step, offset)
            if text:
                self._print(step, text)
            if following == offset:
                return
            self._offsets[step.key] = following

    def close(self, found: OpenRun, task: str) -> None:
        """Print the history of a step whose job said nothing."""
        step = _worker(self._reader, found, task)
        if step.key not in self._offsets:
            self._print(step, _history(self._reader, step, self._sources.hide))

    def _print(self, step: Step, text: str) -> None:
        if self._headed and self._last != step.key:
            tries = f" (attempt {step.attempt})" if step.attempt > 1 else ""
            print(f"--- {step.task}{tries} ---")
        self._last = step.key
        sys.stdout.write(text if text.endswith("\n") or not text else f"{text}\n")


def _worker(reader: Reader, found: OpenRun, task: str) -> Step:
    """Return the step whose job did the work: one that was carried over did it in another run."""
    step = found.steps[task]
    other = reader(partial(queries.run, run_id=step.carried)) if step.carried else None
    return other.steps[task] if other is not None and task in other.steps else step


def _history(reader: Reader, step: Step, hide: Redactor) -> str:
    lines = (
        f"{line.at:%Y-%m-%dT%H:%M:%SZ} {words.said(line.kind)} (attempt {line.attempt})"
        f"{f': {line.text}' if line.text else ''}\n"
        for line in reader(partial(queries.events, run_id=step.run))
        if line.task == step.task
    )
    return hide("".join(lines) or f"{words.said(step.state)}: {step.note}\n")


@dataclass(frozen=True, slots=True)
class _Sources:
    """The opened connectors that keep logs, by instance."""

    opened: Mapping[str, Logs]
    hide: Redactor

    def read(self, step: Step, offset: int) -> tuple[str, int]:
        """Read on in a step's log; nothing where there is none, or it is gone."""
        source = self.opened.get(step.instance)
        if source is None or step.handle is None:
            return "", offset
        try:
            text, following = source.read_log(step.handle, offset, PIECE)
        except (OSError, LookupError, ValueError):  # not of this machine, or swept away
            return "", offset
        return self.hide(text), following


@asynccontextmanager
async def _opened(where: Where, found: OpenRun, names: list[str]) -> AsyncIterator[_Sources]:
    """Open the instances of these steps, as they are configured now."""
    wanted = {found.steps[name].instance for name in names}
    try:
        configuration = where.configuration()
    except ConfigError as err:
        exits.say(f"only history is shown, since the configuration cannot be read: {err.problems[0]}")
        yield _Sources({}, Redactor())
        return
    opened: dict[str, Logs] = {}
    async with AsyncExitStack() as stack:
        for name in wanted & configuration.instances.keys():
            instance = configuration.instances[name]
            context = Context(instance=name, directory=configuration.directory, state=configuration.hub.state_dir)
            try:
                connector = await stack.enter_async_context(instance.connector.open(instance.settings, context))
            except ConfigError as err:
                exits.say(f"only history is shown of {name}, which cannot be opened: {err.problems[0]}")
                continue
            if isinstance(connector, Logs):
                opened[name] = connector
        yield _Sources(opened, Redactor(configuration.secrets))
