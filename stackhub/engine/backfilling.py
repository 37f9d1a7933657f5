"""What people ask of backfills: to begin one, to go on with it, to cancel it. Each is one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from stackhub.clock import Clock
from stackhub.decide import backfill as decide
from stackhub.decide import create
from stackhub.decide.asked import Plan, planned
from stackhub.engine.backfills import Backfills
from stackhub.engine.scheduler import Scheduler
from stackhub.engine.work import Work
from stackhub.errors import Refused, StaleRun
from stackhub.model.backfill import GOING, Backfill, BackfillState, Part, PartState, backfill_of
from stackhub.model.run import Run
from stackhub.store import backfills as rows
from stackhub.store.rows import happened
from stackhub.store.store import Store
from stackhub.store.transaction import Op, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfilling:
    """Obeys."""

    store: Store
    backfills: Backfills
    scheduler: Scheduler
    work: Work
    clock: Clock

    async def ask(self, command_id: str, args: Mapping[str, Any], by: str, done: "Done") -> dict[str, Any]:
        """Begin a backfill, or go on with the one that was asked for in the same words.

        ``pipeline``, ``from``, ``to``; ``every``: seconds, or ``schedule``: which of several, from 1; ``newest_first``,
        ``parallel``, ``keep_going``, ``resync_first``, ``extracts``, ``only``, ``with``; ``again``: also what is done.

        Raises:
            Refused: it makes no sense.
        """
        plan = self.planned(command_id, args, by)
        known = await self.store.read(partial(rows.by_key, key=plan.key))
        if known is None:
            line = happened(
                self.clock.now(),
                "backfill_running",
                pipeline=plan.backfill.pipeline,
                text=f"backfill {command_id}: {len(plan.parts)} intervals, {plan.backfill.how}, asked for by {by}",
            )
            ops = [*rows.made(plan.backfill, plan.key, plan.parts), line]
            result = await done(_result(plan.backfill, plan.parts), ops)
        else:
            result = await self._resumed(known, plan.backfill, args, done)
        self.backfills.bell.ring()
        return result

    async def _resumed(
        self, known: Backfill, wanted: Backfill, args: Mapping[str, Any], done: "Done"
    ) -> dict[str, Any]:
        async with self.backfills.births.turn(known.pipeline):
            newest = await self.store.read(partial(rows.backfill, backfill_id=known.id))
            known = known if newest is None else newest
            parts = await self.store.read(partial(rows.parts, backfill_id=known.id))
            mine = [one.run for one in self.backfills.board.runs(known.pipeline) if backfill_of(one.run) == known.id]
            open_parts = frozenset(int(run.origin.get("part", -1)) for run in mine)
            left = decide.again(parts, open_parts, everything=bool(args.get("again")))
            if known.state is BackfillState.CANCELLING:
                raise Refused(f"backfill {known.id} is being cancelled: ask again when its runs have ended")
            if known.state is BackfillState.SUCCEEDED and not left:
                return await done({**_result(known, parts), "already": True}, [])
            after = replace(
                known,
                state=BackfillState.RUNNING,
                version=known.version + 1,
                ended_at=None,
                reason="",
                parallel=wanted.parallel,
                newest_first=wanted.newest_first,
                keep_going=wanted.keep_going,
            )
            was = {part.seq: part.state for part in parts}
            ops = [rows.moved(after, known.version), *(rows.part_moved(known.id, one, was[one.seq]) for one in left)]
            again = {part.seq: part for part in left}
            now = [again.get(part.seq, part) for part in parts]
            already = {"already": True} if known.state in GOING and not left else {}
            return await done({**_result(after, now), **already}, ops)

    async def cancel(self, args: Mapping[str, Any], by: str, done: "Done") -> dict[str, Any]:
        """Cancel: ``backfill``; ``reason``. What is running is asked to end, what waits does not begin."""
        named = str(args["backfill"])
        found = await self.store.read(partial(rows.backfill, backfill_id=named))
        if found is None:
            raise Refused(f"no backfill {named!r}")
        async with self.backfills.births.turn(found.pipeline):  # it goes on meanwhile: as it is by now
            newest = await self.store.read(partial(rows.backfill, backfill_id=named))
            known = found if newest is None else newest
            if known.state not in GOING:
                raise Refused(f"backfill {known.id} is {known.state} already")
            reason = f"cancelled: {args.get('reason') or f'asked for by {by}'}"
            after = replace(known, state=BackfillState.CANCELLING, version=known.version + 1, reason=reason)
            result = await done({"backfill": known.id, "state": after.state.value}, [rows.moved(after, known.version)])
        self.backfills.bell.ring()
        return result

    async def taken_up(self, old: Run, run_id: str) -> list[Op]:
        """Return the rows by which a retry takes an interval up again; none where the run is no backfill's.

        Held in the `turn` of its pipeline. Two runs of one interval, the backfill's own and a retry of an older one,
        would build the same at once.

        Raises:
            Refused: the interval is done, is being done, or is about to be.
        """
        backfill_id, seq = backfill_of(old), int(old.origin.get("part", -1))
        found = await self.store.read(partial(rows.backfill, backfill_id=backfill_id)) if backfill_id else None
        if found is None:
            return []
        part = next(
            (one for one in await self.store.read(partial(rows.parts, backfill_id=found.id)) if one.seq == seq), None
        )
        if part is None:
            return []
        what = f"interval {seq} of backfill {found.id}"
        match part.state:
            case PartState.SUCCEEDED:
                raise Refused(f"{what} was done by run {part.run}: to do it again, ask for the backfill with --again")
            case PartState.RUNNING:
                raise Refused(f"{what} is being done by run {part.run}")
            case PartState.WAITING if found.state in GOING:
                raise Refused(f"{what} waits for its turn: the backfill goes on, and does it again by itself")
            case _:
                return [rows.part_moved(found.id, replace(part, state=PartState.RUNNING, run=run_id), part.state)]

    def planned(self, command_id: str, args: Mapping[str, Any], by: str) -> Plan:
        """Turn a request into a backfill and its intervals. Raises `Refused`."""
        in_force = self.backfills.in_force
        name = str(args["pipeline"])
        known = in_force.active(name)
        if known is None:
            names = sorted(one for one, found in in_force.known.items() if not found.retired)
            raise Refused(f"no pipeline {name!r}; there are: {', '.join(names) or 'none'}")
        if in_force.silent(name):
            raise Refused(f"pipeline {name} is in shadow, and a backfill would do nothing: set mode: live first")
        if args.get("with"):
            self.work.check(create.with_options(known.pipeline, args["with"]), args["with"])
        return planned(
            known.pipeline,
            {one.schedule: one.anchor for one in self.scheduler.schedules(name)},
            args,
            timezone=in_force.configuration.hub.timezone,
            reloads=self.backfills.reloads(known.pipeline),
            now=self.clock.now(),
            backfill_id=command_id,
            by=by,
        )


class Done:
    """Commits what a request comes to, together with the record that it was obeyed."""

    def __init__(self, store: Store, record: Any) -> None:
        self._store, self._record = store, record

    async def __call__(self, result: dict[str, Any], ops: Sequence[Op]) -> dict[str, Any]:
        """Commit. Raises `Refused` where something had moved meanwhile."""
        try:
            await self._store.apply(Transaction().add(*ops, self._record(result=result)))
        except StaleRun as err:
            raise Refused(f"the backfill has moved on meanwhile: ask again ({err})") from err
        return {**result, "committed": True}


def _result(backfill: Backfill, parts: Sequence[Part]) -> dict[str, Any]:
    states = [part.state.value for part in parts]
    counted = {state: states.count(state) for state in dict.fromkeys(states)}
    return {"backfill": backfill.id, "state": backfill.state.value, "intervals": len(parts), "by_state": counted}
