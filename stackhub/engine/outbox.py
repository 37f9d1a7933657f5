"""The outbox: one loop per notifier, which delivers what was committed, in order per incident and route.

Before a message is sent it is kept that it may have been: a hub that dies in between sends again with doubt, and the
notifier looks first where it can. What cannot be delivered stays visible, and a fallback route hears it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import anyio
import sqlalchemy as sa
import structlog
from anyio.abc import TaskGroup

from stackhub.clock import Clock
from stackhub.contract import (
    ConfigError,
    Event,
    LostLane,
    Message,
    Notifier,
    Options,
    Part,
    Receipt,
    Rejected,
    Speaks,
    Unavailable,
    Unsure,
)
from stackhub.decide.ends import jitter, pause
from stackhub.decide.incident import Post, RouteIn, message_key
from stackhub.engine.bell import Bell
from stackhub.engine.gate import LaneGate
from stackhub.engine.health import LaneHealth
from stackhub.engine.incidents import FALLBACK, Incidents, posted
from stackhub.engine.underway import UnderWay
from stackhub.model.codec import dump, load
from stackhub.model.ids import Ids
from stackhub.model.pipeline import Retries
from stackhub.store import tables as t
from stackhub.store import transaction as tx
from stackhub.store.rows import happened
from stackhub.store.store import Store
from stackhub.store.tables import instant, maybe_instant, maybe_micros, micros
from stackhub.store.transaction import Op, Transaction

log = structlog.get_logger()
LOOK: Final = 5.0
BATCH: Final = 100
CALL: Final = timedelta(seconds=60)
BACKOFF: Final = Retries(wait=timedelta(seconds=2), backoff=2.0, max_wait=timedelta(minutes=5))
REFUSED: Final = Retries(wait=timedelta(seconds=10), backoff=2.0, max_wait=timedelta(minutes=5))
FALL_BACK: Final = timedelta(minutes=5)  # undelivered for so long: the fallback route is told as well
GIVE_UP: Final = timedelta(hours=24)  # and not before it has been tried so often:
LEAST: Final = 8  # a hub that was away for long, or a clock set forward, has not tried at all


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A message that waits to be delivered."""

    id: str
    incident: str
    route: str
    seq: int
    part: Part
    options: Mapping[str, Any]
    message: Message
    due: datetime
    attempts: int
    doubt: bool
    created_at: datetime

    def hopeless(self, now: datetime) -> bool:
        """Say whether it has been tried for so long, and so often, that it is given up."""
        return now - self.created_at >= GIVE_UP and self.attempts + 1 >= LEAST

    @property
    def order(self) -> tuple[str, str]:
        """Messages with the same order go one after another."""
        return self.incident, self.route


@dataclass(slots=True, kw_only=True)
class Outbox:
    """Delivers for one notifier instance."""

    instance: str
    notifier: Notifier
    route_options: Callable[[Mapping[str, Any]], Options]  # raises `ConfigError`
    store: Store
    clock: Clock
    ids: Ids
    incidents: Incidents
    gate: LaneGate
    health: LaneHealth  # keeps a vendor's wish for patience; circuits are for jobs
    width: int  # messages under way at once, of different incidents or routes
    fallback: Callable[[str], RouteIn | None]
    on_fallback: Callable[[], None] = lambda: None
    bell: Bell = field(default_factory=Bell)
    call: timedelta = CALL
    leaving: bool = False  # begins nothing more
    undelivered: int = 0
    beat: datetime | None = None  # when the loop last came round; `/readyz` looks at it
    lag: timedelta = timedelta()  # how long the message told last had waited; for metrics
    busy: UnderWay = field(default_factory=UnderWay)  # orders of messages

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with anyio.create_task_group() as group:
            while True:
                self.beat = self.clock.now()
                await self.bell.wait(await self._round(group))

    def jumped(self, by: timedelta) -> None:
        """Go on measuring by a wall clock that was set."""
        self.beat = self.beat + by if self.beat is not None else None

    async def leave(self) -> None:
        """Begin nothing more, and wait until every message under way has been answered for."""
        self.leaving = True
        await self.busy.answered()

    async def _round(self, group: TaskGroup) -> float:
        """Begin whatever is due, and return the seconds until the next thing will be."""
        now, rest = self.clock.now(), self.gate.rest().total_seconds()
        before = self.busy.keys()  # what is read of these may be told already when it has been read
        due, following, self.undelivered = await self.store.read(partial(_look, instance=self.instance, now=now))
        if rest > 0 or self.leaving or self.gate.lost:
            return min(rest or LOOK, LOOK)
        for waiting in due:
            if len(self.busy) >= self.width:
                break
            if waiting.order not in before and waiting.order not in self.busy:
                self.busy.begin(waiting.order)
                group.start_soon(self._one, waiting)
        return LOOK if following is None else min(max((following - now).total_seconds(), 0.0), LOOK)

    async def _one(self, waiting: Waiting) -> None:
        try:
            await self.deliver(waiting)
        except LostLane as err:
            self.gate.lost = self.gate.lost or str(err)
            log.warning("a lane is lost", instance=self.instance, reason=str(err))
        finally:
            self.busy.end(waiting.order)
            self.bell.ring()

    async def deliver(self, waiting: Waiting) -> None:
        """Send one message, and keep what came of it."""
        options = self._options(waiting)
        if isinstance(options, ConfigError):
            await self._refused(waiting, options)
            return
        receipt = await self.store.read(partial(_receipt, incident=waiting.incident, route=waiting.route))
        key = message_key(waiting.incident, waiting.route, waiting.seq, waiting.part)
        message = replace(waiting.message, route=options)
        async with self.busy.turn(waiting.order, self.gate):
            if self.leaving or self.gate.rest() > timedelta():
                return
            if not await self.store.call(partial(_about_to_send, waiting=waiting)):
                return  # a newer message has taken its place
            answer = await self._ask(message, receipt, key, doubt=waiting.doubt)
        match answer:
            case Unavailable():
                await self._again(waiting, answer, doubt=waiting.doubt)
            case Rejected() | ConfigError():
                await self._refused(waiting, answer)
            case Exception():
                await self._again(waiting, answer, doubt=True)
            case kept:
                await self._sent(waiting, kept)

    async def _ask(self, message: Message, receipt: Receipt | None, key: str, *, doubt: bool) -> str | Exception:
        """Return the receipt as it is kept, or what went wrong."""
        answer: str | Exception
        try:
            with anyio.fail_after(self.call.total_seconds()):
                answer = dump(dict(await self.notifier.deliver(message, receipt, key, doubt=doubt)))
        except LostLane:
            raise
        except TimeoutError:
            answer = Unsure(f"{self.instance}: no answer within {self.call.total_seconds():g} s")
        except (Unavailable, Unsure, Rejected, ConfigError) as err:
            answer = err
        except Exception as err:  # a bug, but in a plugin: it may cost its own message, not the hub
            log.exception("bug in a connector", instance=self.instance, verb="deliver")
            answer = Unsure(f"bug in the connector of {self.instance}: {err!r}")
        if isinstance(answer, Unavailable) and answer.retry_after is not None:
            await self.health.be_patient(answer.retry_after)
        return answer

    def _options(self, waiting: Waiting) -> Options | ConfigError:
        try:
            return self.route_options(waiting.options)
        except ConfigError as err:
            return err

    async def _sent(self, waiting: Waiting, receipt: str) -> None:
        now = self.clock.now()
        self.lag = now - (waiting.created_at if waiting.attempts else waiting.due)
        row = {
            "incident": waiting.incident,
            "route": waiting.route,
            "receipt": receipt,
            "updated_at": micros(now),
        }
        await self.store.apply(
            Transaction().add(
                _move(waiting, state="sent", due=now, doubt=False, error="", sent_at=now), Op(tx.RECEIPT, row)
            )
        )
        log.info("told", instance=self.instance, incident=waiting.incident, what=waiting.message.event)

    async def _again(self, waiting: Waiting, err: Exception, *, doubt: bool) -> None:
        now = self.clock.now()
        if waiting.hopeless(now):
            await self._undeliverable(waiting, err)
            return
        attempts = waiting.attempts + 1
        asked = getattr(err, "retry_after", None) or timedelta()
        wait = max(asked, jitter(f"{waiting.id}:{attempts}", pause(BACKOFF, attempts)))
        transaction = Transaction().add(_move(waiting, state="pending", due=now + wait, doubt=doubt, error=str(err)))
        if waiting.attempts == 0:
            log.warning("could not tell", instance=self.instance, incident=waiting.incident, error=str(err))
        late = now - waiting.created_at >= FALL_BACK
        await self._with_fallback(waiting, transaction, err, wanted=late)

    async def _refused(self, waiting: Waiting, err: Rejected | ConfigError) -> None:
        """A refusal that a person can mend is tried on; one of the message itself is final. The fallback hears both."""
        now = self.clock.now()
        if waiting.hopeless(now) or (isinstance(err, Rejected) and waiting.attempts > 0):
            await self._undeliverable(waiting, err)
            return
        wait = jitter(waiting.id, pause(REFUSED, waiting.attempts + 1))
        log.error("a notifier refuses", instance=self.instance, incident=waiting.incident, error=str(err))
        doubt = waiting.doubt
        transaction = Transaction().add(_move(waiting, state="pending", due=now + wait, doubt=doubt, error=str(err)))
        await self._with_fallback(waiting, transaction, err, wanted=True)

    async def _undeliverable(self, waiting: Waiting, err: Exception) -> None:
        now = self.clock.now()
        log.error("undeliverable", instance=self.instance, incident=waiting.incident, error=str(err))
        transaction = Transaction().add(
            _move(waiting, state="undeliverable", due=now, doubt=waiting.doubt, error=str(err)),
            happened(now, "undeliverable", text=f"{self.instance}: {waiting.message.title}: {err}"),
        )
        await self._with_fallback(waiting, transaction, err, wanted=True)

    async def _with_fallback(self, waiting: Waiting, transaction: Transaction, err: Exception, *, wanted: bool) -> None:
        """Commit what became of a message; the fallback route hears it as well, once, and then how it goes on."""
        stands_in = waiting.route.startswith(FALLBACK) or waiting.message.event is Event.TEST or not wanted
        route = None if stands_in else self.fallback(self.instance)
        if (
            route is None
            or self.incidents.hears(waiting.incident, route.instance)
            or await self.store.read(partial(_told, waiting=waiting, route=route.id))
        ):
            await self.store.apply(transaction)
            return
        now = self.clock.now()
        part = Part.ENTRY if route.speaks is Speaks.PLAIN else Part.ROOT
        note = f"{waiting.message.summary} (This could not be told to {self.instance}: {err})".strip()
        message = replace(waiting.message, part=part, summary=note, route=None)
        post = Post(route=route, seq=waiting.seq, part=part, message=message, due=now)
        transaction.add(posted(self.ids.make(now), waiting.incident, post, now))
        await self.incidents.introduce(waiting.incident, route, message, transaction, self.store)
        self.on_fallback()


def _move(
    waiting: Waiting, *, state: str, due: datetime, doubt: bool, error: str, sent_at: datetime | None = None
) -> Op:
    return Op(
        tx.OUTBOX_MOVED,
        {
            "b_id": waiting.id,
            "n_state": state,
            "n_due": micros(due),
            "n_attempts": waiting.attempts + 1,
            "n_doubt": int(doubt),
            "n_error": error,
            "n_sent_at": maybe_micros(sent_at),
        },
    )


# Made once: every outbox asks these at every look. The state is spelt out, since a partial index serves no parameter.
_ROW: Final = t.outbox.c
_OLDER: Final = t.outbox.alias("older")
_MINE: Final = (_ROW.instance == sa.bindparam("instance"), _ROW.state == sa.literal_column("'pending'"))
_FIRST_IN_LINE: Final = ~sa.exists().where(  # of each incident and route the oldest that waits
    _OLDER.c.incident == _ROW.incident,
    _OLDER.c.route == _ROW.route,
    _OLDER.c.state == sa.literal_column("'pending'"),
    sa.or_(
        _OLDER.c.seq < _ROW.seq,
        sa.and_(_OLDER.c.seq == _ROW.seq, _OLDER.c.part > _ROW.part),  # "root" before "entry"
    ),
)
_COUNT: Final = sa.select(sa.func.count()).select_from(t.outbox).where(*_MINE)
_DUE: Final = (
    sa.select(t.outbox).where(*_MINE, _FIRST_IN_LINE, _ROW.due <= sa.bindparam("now")).order_by(_ROW.due).limit(BATCH)
)
_NEXT: Final = sa.select(sa.func.min(_ROW.due)).where(*_MINE, _FIRST_IN_LINE, _ROW.due > sa.bindparam("now"))


def _look(connection: sa.Connection, instance: str, now: datetime) -> tuple[list[Waiting], datetime | None, int]:
    """Return what is due, when more will be, and how much there is in all."""
    count = connection.scalar(_COUNT, {"instance": instance}) or 0
    if count == 0:
        return [], None, 0
    asked = {"instance": instance, "now": micros(now)}
    at = connection.scalar(_NEXT, asked)
    return [_waiting(row) for row in connection.execute(_DUE, asked)], maybe_instant(at), count


def _about_to_send(connection: sa.Connection, waiting: Waiting) -> bool:
    """Keep that a message may have been sent from now on; False where it has been superseded."""
    still = (t.outbox.c.id == waiting.id, t.outbox.c.state == "pending")
    changes = {"doubt": 1, "attempts": waiting.attempts + 1}
    return connection.execute(sa.update(t.outbox).where(*still).values(changes)).rowcount == 1


def _waiting(row: sa.Row[Any]) -> Waiting:
    return Waiting(
        id=row.id,
        incident=row.incident,
        route=row.route,
        seq=row.seq,
        part=Part(row.part),
        options=load(dict[str, Any], row.options),
        message=load(Message, row.message),
        due=instant(row.due),
        attempts=row.attempts,
        doubt=bool(row.doubt),
        created_at=instant(row.created_at),
    )


def _receipt(connection: sa.Connection, incident: str, route: str) -> dict[str, Any] | None:
    where = (t.receipt.c.incident == incident, t.receipt.c.route == route)
    kept = connection.scalar(sa.select(t.receipt.c.receipt).where(*where))
    return load(dict[str, Any], kept) if kept else None


def _told(connection: sa.Connection, waiting: Waiting, route: str) -> bool:
    columns = t.outbox.c
    where = (columns.incident == waiting.incident, columns.route == route, columns.seq == waiting.seq)
    return connection.scalar(sa.select(t.outbox.c.id).where(*where).limit(1)) is not None
