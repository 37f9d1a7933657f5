"""What people ask for: kept as a row before it is obeyed, so that being killed right after loses nothing.

A command's id is the id of the run it makes, so obeying one twice makes one run.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import anyio
import sqlalchemy as sa
import structlog

from stackhub.clock import Clock
from stackhub.decide import create
from stackhub.decide.message import dedup
from stackhub.decide.payload import values
from stackhub.decide.run import Cancel, Lost, Order, Skip
from stackhub.decide.trial import trial
from stackhub.engine.backfilling import Backfilling, Done
from stackhub.engine.births import Births
from stackhub.engine.board import Board
from stackhub.engine.hooks import PAUSED
from stackhub.engine.incidents import Incidents, posted
from stackhub.engine.inforce import InForce
from stackhub.engine.muting import Muting, Record
from stackhub.engine.scheduler import Scheduler
from stackhub.engine.work import Work
from stackhub.errors import LostLane, Refused, StaleRun
from stackhub.model.codec import dump, load
from stackhub.model.ids import Ids
from stackhub.model.run import OpenRun, Trigger
from stackhub.model.step import TERMINAL
from stackhub.store import configure, queries
from stackhub.store import tables as t
from stackhub.store import transaction as tx
from stackhub.store.rows import happened
from stackhub.store.store import Store
from stackhub.store.tables import micros
from stackhub.store.transaction import Op, Transaction

log = structlog.get_logger()
OTHERS: Final = timedelta(seconds=30)  # that another hub may take to obey what it has kept, before it is done for it
KINDS: Final = frozenset(
    {"trigger", "cancel", "retry", "skip", "pause", "resume", "close", "test"}
    | {"mute", "unmute", "backfill", "cancel_backfill"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One wish. ``args`` is JSON; what each kind takes stands at the function that obeys it."""

    id: str
    kind: str
    args: Mapping[str, Any]
    by: str


def kept(command: Command, at: int) -> Op:
    """Keep a command."""
    row = {"id": command.id, "kind": command.kind, "args": dump(dict(command.args)), "by": command.by}
    return Op(tx.COMMAND, {**row, "created_at": at, "done_at": None, "result": None, "error": None})


_UNOBEYED: Final = (  # made once: it is asked at every look
    sa.select(t.command)
    .where(sa.text("done_at IS NULL"), t.command.c.created_at <= sa.bindparam("until"))
    .order_by(t.command.c.id)
)


def unobeyed(connection: sa.Connection, until: datetime) -> list[Command]:
    """Return the commands that were asked for by ``until`` and that nobody has obeyed yet, oldest first."""
    return [
        Command(id=row.id, kind=row.kind, args=load(dict[str, Any], row.args), by=row.by)
        for row in connection.execute(_UNOBEYED, {"until": micros(until)})
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """Obeys."""

    store: Store
    board: Board
    births: Births
    incidents: Incidents
    in_force: InForce
    scheduler: Scheduler
    work: Work
    clock: Clock
    ids: Ids
    installation: str
    muting: Muting
    backfilling: Backfilling
    ring: Callable[[], None]  # wakes the outboxes
    look: Callable[[], Awaitable[None]]  # takes over what other hubs have committed
    _turn: anyio.Lock = field(default_factory=anyio.Lock)  # one is obeyed at a time, so none is obeyed twice

    async def submit(self, kind: str, args: Mapping[str, Any], by: str) -> dict[str, Any]:
        """Keep a command and obey it; returns what came of it.

        Raises:
            Refused: it cannot be done; nothing has changed.
        """
        if kind not in KINDS:
            raise Refused(f"unknown command {kind!r}")
        async with self._turn:
            await self.look()
            command = Command(id=self.ids.make(self.clock.now()), kind=kind, args=args, by=by)
            await self.store.apply(Transaction().add(kept(command, micros(self.clock.now()))))
            return await self._obey(command)

    async def obey_kept(self) -> None:
        """Obey what was asked while no hub was there, or what was cut before it was obeyed."""
        async with self._turn:
            left = self.clock.now() - (timedelta() if self.store.alone else OTHERS)
            for command in await self.store.read(partial(unobeyed, until=left)):
                try:
                    await self._obey(command)
                except Refused as err:
                    log.warning("a kept command is refused", kind=command.kind, id=command.id, reason=str(err))
                except LostLane as err:  # it stays kept, for the hub that has the lane
                    log.warning("a kept command cannot be obeyed here", kind=command.kind, reason=str(err))

    async def _obey(self, command: Command) -> dict[str, Any]:
        """Obey a kept command, and keep what came of it."""
        try:
            done = await self._obeyed(command)
        except Refused as err:
            await self.store.apply(Transaction().add(self._done(command, error=str(err))))
            raise
        if "committed" not in done:
            await self.store.apply(Transaction().add(self._done(command, result=done)))
        return {name: value for name, value in done.items() if name != "committed"}

    async def _obeyed(self, command: Command) -> Mapping[str, Any]:
        verbs = {
            "trigger": self._trigger,
            "cancel": self._cancel,
            "retry": self._retry,
            "skip": self._skip,
            "pause": self._pause,
            "resume": self._resume,
            "close": self._close,
            "test": self._test,
            "mute": self._mute,
            "unmute": self._unmute,
            "backfill": self._backfill,
            "cancel_backfill": self._cancel_backfill,
        }
        if command.kind not in verbs:  # kept by another version
            raise Refused(f"unknown command {command.kind!r}")
        try:
            return await verbs[command.kind](command)
        except (KeyError, TypeError, ValueError) as err:  # else it would stop every hub that reads it
            log.exception("a command makes no sense", kind=command.kind, id=command.id)
            raise Refused(f"{command.kind}: its arguments make no sense ({err!r})") from err

    def _done(self, command: Command, *, result: Mapping[str, Any] | None = None, error: str | None = None) -> Op:
        now = micros(self.clock.now())
        kept_result = None if result is None else dump(dict(result))
        return Op(tx.COMMAND_DONE, {"b_id": command.id, "n_done_at": now, "n_result": kept_result, "n_error": error})

    def _record(self, command: Command) -> Record:
        return lambda result: self._done(command, result=result)

    # --- one function for each kind ---

    async def _trigger(self, command: Command) -> dict[str, Any]:
        """``pipeline``; ``only``: tasks; ``with``: {task: {option: value}}; ``params``: what ``{{ trigger.* }}`` are.

        ``trigger``: manual, api or webhook; ``hook``: the request that began it, which begins one run only.
        """
        args = command.args
        known = self.in_force.active(str(args["pipeline"]))
        if known is None:
            names = sorted(name for name, found in self.in_force.known.items() if not found.retired)
            raise Refused(f"no pipeline {args['pipeline']!r}; there are: {', '.join(names) or 'none'}")
        if args.get("hook") and known.paused_at is not None:  # since the request was read
            raise Refused(PAUSED.format(args["pipeline"]))
        pipeline = known.pipeline
        if args.get("with"):
            pipeline = create.with_options(pipeline, args["with"])
            self.work.check(pipeline, args["with"])
        if args.get("only"):
            pipeline = create.only(pipeline, tuple(args["only"]))
        params = values(args.get("params") or {})
        last_end = await self.store.read(partial(queries.stood_for, pipeline=pipeline.name, mode=pipeline.mode))
        async with self.births.turn(pipeline.name):
            made, ops = self.births.new(
                pipeline,
                self.in_force.rules(pipeline),
                Trigger(args.get("trigger", "manual")),
                last_end=last_end,
                run_id=command.id,
                reason=f"asked for by {command.by}",
                behind=self.births.waits,
                origin={
                    **({"only": list(args["only"])} if args.get("only") else {}),
                    **({"params": params} if params else {}),
                },
            )
            return await self._born(command, made, [*ops, *self._heard(command)])

    def _heard(self, command: Command) -> list[Op]:
        if not command.args.get("hook"):
            return []
        row = {"pipeline": str(command.args["pipeline"]), "id": str(command.args["hook"]), "run": command.id}
        return [Op(tx.HOOK, {**row, "at": micros(self.clock.now())})]

    async def _born(self, command: Command, made: OpenRun, ops: Sequence[Op]) -> dict[str, Any]:
        result = {"run": made.run.id, "state": made.run.state.value}
        transaction = Transaction().add(*ops, self._done(command, result=result))
        try:
            await self.store.apply(transaction)
        except StaleRun as err:  # this very command was obeyed before, or a retry is open already
            raise Refused(f"run {made.run.id} cannot be made: it is there already ({err})") from err
        self.board.adopt(made)
        return {**result, "committed": True}

    async def _cancel(self, command: Command) -> dict[str, Any]:
        """``run``; ``reason``; ``lost``: jobs we have lost sight of are over."""
        open_run = self.board.get(str(command.args["run"]))
        if open_run is None:
            raise Refused(await self._not_open(str(command.args["run"])))
        shared = self.board.shared_tasks(open_run)
        reason = str(command.args.get("reason") or f"asked for by {command.by}")
        orders = [*_over(open_run, command, again=False), Cancel(reason=reason, shared=shared)]
        after = await self.board.tell(open_run.run.id, *orders)
        return {"run": open_run.run.id, "state": after.run.state.value if after else "ended"}

    async def _retry(self, command: Command) -> dict[str, Any]:
        """``run``; ``from_start``; ``latest``: today's definition; ``skip``: {task: reason}.

        ``lost``: of a run that has not ended, start again the jobs that we have lost sight of.
        """
        args = command.args
        going = self.board.get(str(args["run"]))
        if going is not None and args.get("lost"):
            after = await self.board.tell(going.run.id, *_over(going, command, again=True))
            return {"run": going.run.id, "state": after.run.state.value if after else "ended"}
        old = await self._ended(str(args["run"]))
        going = next((o for o in self.board.runs(old.run.pipeline) if o.run.retry_of == old.run.id), None)
        if going is not None:
            return {"run": going.run.id, "state": going.run.state.value, "already": True}
        if self.in_force.silent(old.run.pipeline):
            raise Refused(f"pipeline {old.run.pipeline} is in shadow, and starts nothing: set mode: live first")
        latest = None
        if args.get("latest"):
            known = self.in_force.active(old.run.pipeline)
            if known is None:
                raise Refused(f"pipeline {old.run.pipeline} is not configured any more: retry without --latest")
            latest = known.pipeline
        async with self.births.turn(old.run.pipeline, born=latest is not None):
            made = create.retry(
                old,
                run_id=command.id,
                now=self.clock.now(),
                reason=f"retry of {old.run.id}, asked for by {command.by}",
                from_start=bool(args.get("from_start")),
                latest=latest and self.births.fed(latest),
                skip=args.get("skip"),
            )
            if all(step.state in TERMINAL for step in made.steps.values()):
                raise Refused(f"run {old.run.id} has nothing left to do: use --from-start to do all of it again")
            taken_up = await self.backfilling.taken_up(old.run, made.run.id)
            born, ops = self.births.born(made, self.in_force.rules(made.pipeline), behind=self.births.waits)
            return await self._born(command, born, [*ops, *taken_up])

    async def _skip(self, command: Command) -> dict[str, Any]:
        """``run``; ``task``; ``reason``. Of a run that has failed: a retry that goes on without the task."""
        args = command.args
        run_id, task, reason = str(args["run"]), str(args["task"]), str(args.get("reason", ""))
        if not reason.strip():
            raise Refused("a skip needs a reason: --reason TEXT")
        open_run = self.board.get(run_id)
        whole = open_run or await self._ended(run_id)
        if task not in whole.steps:
            raise Refused(f"run {run_id} has no task {task!r}; there are: {', '.join(whole.steps)}")
        said = f"{reason} ({command.by})"
        if open_run is None:
            return await self._retry(replace(command, args={"run": run_id, "skip": {task: said}}))
        step = open_run.steps[task]
        if step.state in TERMINAL:
            raise Refused(f"{run_id}.{task} is {step.state} already; when the run has ended, skip makes a retry of it")
        after = await self.board.tell(run_id, Skip(task=task, reason=said, shared=self.board.shared(step)))
        return {"run": run_id, "state": after.run.state.value if after else "ended"}

    async def _backfill(self, command: Command) -> dict[str, Any]:
        """See `Backfilling.ask`."""
        done = Done(self.store, partial(self._done, command))
        return await self.backfilling.ask(command.id, command.args, command.by, done)

    async def _cancel_backfill(self, command: Command) -> dict[str, Any]:
        """See `Backfilling.cancel`."""
        return await self.backfilling.cancel(command.args, command.by, Done(self.store, partial(self._done, command)))

    async def _pause(self, command: Command) -> dict[str, Any]:
        """``pipeline``; ``reason``."""
        return await self._set_pause(command, paused=True)

    async def _resume(self, command: Command) -> dict[str, Any]:
        """``pipeline``."""
        return await self._set_pause(command, paused=False)

    async def _set_pause(self, command: Command, *, paused: bool) -> dict[str, Any]:
        name, now = str(command.args["pipeline"]), self.clock.now()
        known = self.in_force.active(name)
        if known is None:
            raise Refused(f"no pipeline {name!r}")
        since = known.paused_at
        if (since is not None) == paused:
            return {"pipeline": name, "paused": paused, "already": True}
        reason = str(command.args.get("reason") or command.by)
        if not paused:
            for scheduled in self.scheduler.schedules(name):
                await self.scheduler.fall(scheduled, now, paused_since=since, resume=True)
        await self.store.call(lambda connection: configure.pause(connection, name, reason, now if paused else None))
        await self.in_force.reload(self.store)
        line = happened(now, "paused" if paused else "resumed", pipeline=name, text=reason)
        await self.store.apply(Transaction().add(line))
        self.scheduler.bell.ring()
        return {"pipeline": name, "paused": paused}

    async def _close(self, command: Command) -> dict[str, Any]:
        """``incident``; ``reason``."""
        wanted = str(command.args["incident"])
        found = next((i for i in self.incidents.open.values() if wanted in (i.id, i.key)), None)
        if found is None:
            raise Refused(f"no open incident {wanted!r}")
        why = f"closed by {command.by}: {command.args.get('reason') or 'no reason given'}"
        await self.incidents.close(found.key, why, self.store)
        self.ring()
        return {"incident": found.id, "state": "resolved"}

    async def _test(self, command: Command) -> dict[str, Any]:
        """``pipeline``: down its routes, or "" for the default ones. The messages say that they are a test."""
        pipeline = str(command.args.get("pipeline") or "")
        if pipeline and self.in_force.active(pipeline) is None:
            raise Refused(f"no pipeline {pipeline!r}")
        routes = self.in_force.routes(pipeline)
        if not routes:
            raise Refused("there is no route to test: no notifier has an env file")
        now = self.clock.now()
        about = command.id, dedup(self.installation, command.id), command.by
        posts = [post for route in routes for post in trial(*about, route, now)]
        ops = [posted(self.ids.make(now), command.id, post, now) for post in posts]
        result = {"incident": command.id, "routes": [route.id for route in routes], "committed": True}
        await self.store.apply(Transaction().add(*ops, self._done(command, result={"incident": command.id})))
        self.ring()
        log.info("a test goes down each route", routes=len(routes), at=now.isoformat())
        return result

    async def _mute(self, command: Command) -> dict[str, Any]:
        """``target``: a pipeline, an instance, INSTANCE/CONNECTION, or a key; ``until``; ``reason``."""
        return await self.muting.mute(command.id, command.args, command.by, self._record(command))

    async def _unmute(self, command: Command) -> dict[str, Any]:
        """``target``."""
        return await self.muting.unmute(command.args, command.by, self._record(command))

    # --- finding what is meant ---

    async def _ended(self, run_id: str) -> OpenRun:
        found = await self.store.read(partial(queries.run, run_id=run_id))
        if found is None:
            raise Refused(f"no run {run_id!r}")
        create.check_retry(found)
        return found

    async def _not_open(self, run_id: str) -> str:
        found = await self.store.read(partial(queries.run, run_id=run_id))
        return f"run {run_id} is {found.run.state} already" if found else f"no run {run_id!r}"


def _over(open_run: OpenRun, command: Command, *, again: bool) -> Sequence[Order]:
    """Return the word of a person that jobs are over which nobody can see, where they gave it."""
    if not command.args.get("lost"):
        return []
    if not any(step.lost_sight for step in open_run.steps.values()):
        raise Refused(f"run {open_run.run.id} has no job that stackhub has lost sight of")
    return [Lost(again=again, reason=f"{command.by} says that its job is over")]


async def watch_inbox(commands: Commands, every: float = 5.0) -> None:
    """Obey, until cancelled, what others put into the store's inbox."""
    while True:
        await anyio.sleep(commands.clock.between_looks(every))
        await commands.obey_kept()
