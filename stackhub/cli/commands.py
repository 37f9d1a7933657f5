"""Wishes about runs: trigger, cancel, retry, skip.

They print the run's id, alone, on standard output, and words for people on standard error.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import anyio

from stackhub.cli import asking, exits, named, words
from stackhub.cli.asking import Done, Wish
from stackhub.cli.where import Where
from stackhub.config.options import check_changed
from stackhub.config.read import Configuration
from stackhub.decide import create
from stackhub.decide.payload import NAME, values
from stackhub.errors import ConfigError, Refused
from stackhub.model.pipeline import Pipeline
from stackhub.model.run import OpenRun, RunState
from stackhub.model.step import TERMINAL
from stackhub.store import backfills as rows
from stackhub.store import queries


def trigger(where: Where, pipeline: str, *, only: list[str], changes: list[str], given: list[str], wait: bool) -> int:
    """Start a run."""
    options, handed = changed(changes), params(given)

    def check() -> None:
        part(where.configuration(), pipeline, only, options, where.environ)

    return _obeyed(where, asking.trigger(pipeline, only, options, handed), check, pipeline=pipeline, wait=wait)


def cancel(where: Where, typed: str, *, reason: str, lost: bool) -> int:
    """End a run; or a backfill, where its id is what was typed."""
    backfill = _backfill_meant(where, typed)
    if backfill:
        if lost:
            raise Refused("--lost is for runs: cancel those of the backfill whose jobs are gone")
        from stackhub.cli import backfilling

        return backfilling.cancel(where, backfill, reason=reason)
    run = _meant(where, typed)

    def check() -> None:
        if run.run.ended_at is not None:
            raise Refused(f"run {run.run.id} is {run.run.state} already")

    return _obeyed(where, asking.of_run("cancel", run.run.id, reason=reason, lost=lost), check, run=run.run.id)


def retry(where: Where, typed: str, *, from_start: bool, latest: bool, lost: bool, wait: bool) -> int:
    """Do again what a run did not get done."""
    run = _meant(where, typed)
    wish = asking.of_run("retry", run.run.id, from_start=from_start, latest=latest, lost=lost)

    def check() -> None:
        if lost and run.run.ended_at is None:
            return
        create.check_retry(run)
        _check_rest(run, from_start=from_start)

    return _obeyed(where, wish, check, pipeline=run.run.pipeline, wait=wait)


def skip(where: Where, typed: str, *, reason: str) -> int:
    """Go on without a step; of a run that has ended, by a retry that does."""
    with where.reader() as reader:
        run, task = named.step(named.there(reader), typed)
    if not task:
        raise Refused(f"which step? skip takes RUN.TASK: {run.run.id}.{next(iter(run.steps))}")

    def check() -> None:
        if run.run.ended_at is None and run.steps[task].state in TERMINAL:
            raise Refused(f"{run.run.id}.{task} is {run.steps[task].state} already")

    going = run.run.id if run.run.ended_at is None else ""
    return _obeyed(where, asking.skip(run.run.id, task, reason), check, run=going)


# --- what may be asked -----------------------------------------------------------------------------------------------


def changed(written: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read ``TASK.option=value``; a value that begins as JSON does ({ [ or a quote) is JSON, all else is text.

    Raises:
        Refused: one of them says something else.
    """
    found: dict[str, dict[str, Any]] = {}
    for one in written:
        left, equals, value = one.partition("=")
        task, dot, option = left.partition(".")
        if not (equals and dot and task and option):
            raise Refused(f"--with {one!r} is not TASK.option=value")
        found.setdefault(task, {})[option] = _value(one, value)
    return found


def params(written: Sequence[str]) -> dict[str, str]:
    """Read ``name=value``: what ``{{ trigger.name }}`` stands for in the run.

    Raises:
        Refused: one of them says something else.
    """
    found: dict[str, str] = {}
    for one in written:
        name, equals, value = one.partition("=")
        if not (equals and NAME.fullmatch(name)):
            raise Refused(f"--param {one!r} is not name=value; a name is made of letters, digits, _ and .")
        found[name] = value
    return values(found)


def part(
    configuration: Configuration,
    pipeline: str,
    only: Sequence[str],
    changes: Mapping[str, Mapping[str, Any]],
    environ: Mapping[str, str],
) -> Pipeline:
    """Return what would run.

    Raises:
        Refused: there is no such pipeline or task. ConfigError: an option is not one, or its value does not fit.
    """
    named.pipeline(pipeline, configuration.pipelines)
    found = create.with_options(configuration.pipelines[pipeline], changes)
    problems = check_changed(found, changes, lambda name: configuration.instances[name].connector, environ)
    if problems:
        raise ConfigError(*problems)
    return create.only(found, tuple(only)) if only else found


def _value(one: str, written: str) -> Any:
    if not written.startswith(("{", "[", '"')):
        return written
    try:
        return json.loads(written)
    except ValueError as err:
        raise Refused(f"--with {one!r}: the value begins as JSON and is none: {err}") from err


def _check_rest(run: OpenRun, *, from_start: bool) -> None:
    if run.run.state is RunState.SUCCEEDED and not from_start:
        raise Refused(f"run {run.run.id} has nothing left to do: use --from-start to do all of it again")


def _backfill_meant(where: Where, typed: str) -> str:
    """Return the id of the backfill that is meant, "" where it is a run.

    Raises:
        Refused: it may be either; names them.
    """
    with where.reader() as reader:
        if reader is None or typed == named.LAST or len(typed) < named.SHORTEST:
            return ""
        backfills = reader(partial(rows.named, typed=typed))
        if not backfills or reader(partial(queries.last_run, pipeline=typed)) is not None:
            return ""
        runs = reader(partial(queries.run_ids, beginning=typed))
    if runs or len(backfills) > 1:
        raise Refused(f"{typed!r} may be any of these: {', '.join((*runs, *backfills))}")
    return backfills[0]


def _meant(where: Where, typed: str) -> OpenRun:
    with where.reader() as reader:
        return named.run(named.there(reader), typed)


# --- what becomes of it ----------------------------------------------------------------------------------------------


def _obeyed(
    where: Where, wish: Wish, check: Callable[[], None], *, run: str = "", pipeline: str = "", wait: bool = False
) -> int:
    """Ask, and print the run's id; ``run`` is known where the wish makes none. Waiting needs no daemon either."""
    if not wait:
        _accepted(anyio.run(asking.ask, where, wish, check), run)
        return exits.OK
    from stackhub.cli.follow import Keys
    from stackhub.cli.run import carry_out

    out, keys = words.console(stderr=True), Keys(cancels=False)
    return anyio.run(carry_out, where, wish, pipeline, out, False, _accepted, keys)


def _accepted(done: Done, run: str = "") -> None:
    made = run or done.run
    if done.told:
        exits.say(done.told)
    elif done.result.get("already"):
        exits.say("there is a retry of it already:")
    else:
        exits.say(f"run {made} is {words.said(done.result.get('state', 'accepted'))}")
    print(made, flush=True)
