"""The outbox: one loop per notifier, which delivers what was committed, in order per incident and route.

Before a message is sent it is kept that it may have been: a hub that dies in between sends again with doubt, and the
notifier looks first where it can. What cannot be delivered stays visible, and a fallback route hears it.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import anyio
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
from stackhub.decide import facets
from stackhub.decide.ends import jitter, pause
from stackhub.decide.incident import Change
from stackhub.decide.message import Post, message_key
from stackhub.decide.routes import RouteIn
from stackhub.engine.bell import Bell
from stackhub.engine.gate import LaneGate
from stackhub.engine.health import LaneHealth
from stackhub.engine.incidents import FALLBACK, UNDELIVERED, Incidents, posted
from stackhub.engine.mail import Waiting, about_to_send, look, moved, told
from stackhub.engine.underway import UnderWay
from stackhub.errors import StaleRun
from stackhub.model.codec import dump
from stackhub.model.ids import Ids
from stackhub.model.pipeline import Retries, Told
from stackhub.store import transaction as tx
from stackhub.store.rows import happened
from stackhub.store.store import Store
from stackhub.store.tables import micros
from stackhub.store.transaction import Op, Transaction

log = structlog.get_logger()
LOOK: Final = 5.0
CALL: Final = timedelta(seconds=60)
BACKOFF: Final = Retries(wait=timedelta(seconds=2), backoff=2.0, max_wait=timedelta(minutes=5))
REFUSED: Final = Retries(wait=timedelta(seconds=10), backoff=2.0, max_wait=timedelta(minutes=5))
FALL_BACK: Final = timedelta(minutes=5)  # undelivered for so long: the fallback route is told as well


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
    width: int  # messages under way at once, of different incidents; a route always has a place for one
    fallback: Callable[[str], RouteIn | None]
    beside: Callable[[str], Sequence[RouteIn]]  # whom to tell that an instance cannot be told anything
    on_posted: Callable[[], None] = lambda: None  # there is more to tell, by others
    under: Callable[[], dict[str, int]] = dict  # the lane's epoch; raises `LostLane`
    bell: Bell = field(default_factory=Bell)
    call: timedelta = CALL
    leaving: bool = False  # begins nothing more
    undelivered: int = 0
    beat: datetime | None = None  # when the loop last came round; `/readyz` looks at it
    lag: timedelta = timedelta()  # how long the message told last had waited; for metrics
    busy: UnderWay = field(default_factory=UnderWay)  # orders of messages
    _read: list[Waiting] = field(default_factory=list)  # and not begun yet
    _begun: set[Hashable] = field(default_factory=set)  # orders, since the store was last asked
    _routes: Counter[str] = field(default_factory=Counter)  # messages under way, by route

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
        self._begun = set(self.busy.keys())  # what is read of these may be told already when it has been read
        due, following, self.undelivered = await self.store.read(partial(look, instance=self.instance, now=now))
        self._read = [waiting for waiting in due if waiting.order not in self._begun]
        most = self.clock.between_looks(LOOK)
        if self._resting():
            return min(rest or most, most)
        self._begin(group)
        return most if following is None else min(max((following - now).total_seconds(), 0.0), most)

    def _resting(self) -> bool:
        """Say whether nothing may be begun now."""
        return self.leaving or bool(self.gate.lost) or self.gate.lapsed or self.gate.rest() > timedelta()

    def _begin(self, group: TaskGroup) -> None:
        """Begin what has been read, as far as there is room; a route that hangs takes no other's last place."""
        left: list[Waiting] = []
        for waiting in self._read:
            if len(self.busy) >= self.width and self._routes[waiting.route]:
                left.append(waiting)
                continue
            self._routes[waiting.route] += 1
            self.busy.begin(waiting.order)
            self._begun.add(waiting.order)
            group.start_soon(self._one, waiting, group)
        self._read = left

    async def _one(self, waiting: Waiting, group: TaskGroup) -> None:
        try:
            await self.deliver(waiting)
        except LostLane as err:
            self.gate.lost = self.gate.lost or str(err)
            log.warning("a lane is lost", instance=self.instance, reason=str(err))
        finally:
            self.busy.end(waiting.order)
            self._routes[waiting.route] -= 1
            if self._read and not self._resting():
                self._begin(group)  # without asking the store again after each of thousands
            else:
                self.bell.ring()

    async def deliver(self, waiting: Waiting) -> None:
        """Send one message, and keep what came of it."""
        options = self._options(waiting)
        if isinstance(options, ConfigError):
            await self._refused(waiting, options)
            return
        key = message_key(waiting.incident, waiting.route, waiting.seq, waiting.part)
        message = replace(waiting.message, route=options)
        async with self.busy.turn(waiting.order, self.gate):
            if self._resting():
                return
            try:
                await self.store.apply(Transaction(lanes=dict(self.under())).add(about_to_send(waiting)))
            except StaleRun:
                return  # a newer message has taken its place
            answer = await self._ask(message, waiting.receipt, key, doubt=waiting.doubt)
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
        key = f"{UNDELIVERED}{waiting.route}"

        def build(transaction: Transaction) -> list[Change | None]:
            sent = moved(waiting, state="sent", due=now, doubt=False, error="", sent_at=now)
            transaction.lanes.update(self.under())
            transaction.add(sent, Op(tx.RECEIPT, row))
            return [self.incidents.cease(key, [Told.STALLED], transaction, f"{self.instance} was told again")]

        keys = [key] if key in self.incidents.open else []  # else nothing of it changes, and none waits for another
        if any(await self.incidents.keep(keys, build, self.store)):
            self.on_posted()
        log.info("told", instance=self.instance, incident=waiting.incident, what=waiting.message.event)

    async def _again(self, waiting: Waiting, err: Exception, *, doubt: bool) -> None:
        now = self.clock.now()
        if waiting.hopeless(now):
            await self._undeliverable(waiting, err)
            return
        attempts = waiting.attempts + 1
        asked = getattr(err, "retry_after", None) or timedelta()
        wait = max(asked, jitter(f"{waiting.id}:{attempts}", pause(BACKOFF, attempts)))
        if waiting.attempts == 0:
            log.warning("could not tell", instance=self.instance, incident=waiting.incident, error=str(err))
        late = now - waiting.created_at >= FALL_BACK
        ops = [moved(waiting, state="pending", due=now + wait, doubt=doubt, error=str(err))]
        await self._keep(waiting, ops, err, fall_back=late)

    async def _refused(self, waiting: Waiting, err: Rejected | ConfigError) -> None:
        """A refusal that a person can mend is tried on; one of the message itself is final. The fallback hears both."""
        now = self.clock.now()
        if waiting.hopeless(now) or (isinstance(err, Rejected) and waiting.attempts > 0):
            await self._undeliverable(waiting, err)
            return
        wait = jitter(waiting.id, pause(REFUSED, waiting.attempts + 1))
        if waiting.attempts == 0:
            log.error("a notifier refuses", instance=self.instance, incident=waiting.incident, error=str(err))
        ops = [moved(waiting, state="pending", due=now + wait, doubt=waiting.doubt, error=str(err))]
        await self._keep(waiting, ops, err, fall_back=True)

    async def _undeliverable(self, waiting: Waiting, err: Exception) -> None:
        now = self.clock.now()
        log.error("undeliverable", instance=self.instance, incident=waiting.incident, error=str(err))
        ops = [
            moved(waiting, state="undeliverable", due=now, doubt=waiting.doubt, error=str(err)),
            happened(now, "undeliverable", text=f"{self.instance}: {waiting.message.title}: {err}"),
        ]
        await self._keep(waiting, ops, err, fall_back=True, given_up=True)

    async def _keep(
        self, waiting: Waiting, ops: Sequence[Op], err: Exception, *, fall_back: bool, given_up: bool = False
    ) -> None:
        """Commit what became of a message; the fallback route hears it as well, once, and then how it goes on.

        One that is given up is an incident of the hub's own, of which everybody else is told.
        """
        test = waiting.message.event is Event.TEST
        if not fall_back or test:
            await self._commit(waiting, ops, err, None, given_up=given_up and not test)
            return
        async with self.incidents.holding(FALLBACK):  # or several that fail at once would each tell it
            await self._commit(waiting, ops, err, await self._stand_in(waiting, err), given_up=given_up)

    async def _commit(
        self, waiting: Waiting, ops: Sequence[Op], err: Exception, post: Post | None, *, given_up: bool
    ) -> None:
        key = f"{UNDELIVERED}{waiting.route}"

        def build(transaction: Transaction) -> list[Change | None]:
            transaction.lanes.update(self.under())
            transaction.add(*ops)
            changes: list[Change | None] = []
            if post is not None:
                transaction.add(posted(self.ids.make(post.due), waiting.incident, post, post.due))
                changes.append(self.incidents.introduce(waiting.incident, post, transaction))
            if given_up and key not in self.incidents.open:
                facet = facets.undelivered(self.instance, waiting.message.title, str(err), self.clock.now())
                changes.append(self.incidents.observe(key, facet, transaction, routes=self.beside(self.instance)))
            return changes

        keys = [*self.incidents.keys_of(waiting.incident), *([key] if given_up else [])]
        await self.incidents.keep(keys, build, self.store)
        if post is not None or given_up:
            self.on_posted()

    async def _stand_in(self, waiting: Waiting, err: Exception) -> Post | None:
        """Return the message for the fallback route; None where there is none, or it hears, or has heard, of it.

        That a route is dead is told to everybody else in the first place.
        """
        about_a_route = any(key.startswith(UNDELIVERED) for key in self.incidents.keys_of(waiting.incident))
        alone = about_a_route or waiting.route.startswith(FALLBACK)
        route = None if alone else self.fallback(self.instance)
        if route is None or self.incidents.hears(waiting.incident, route.instance):
            return None
        if await self.store.read(partial(told, waiting=waiting, route=route.id, instance=route.instance)):
            return None
        part = Part.ENTRY if route.speaks is Speaks.PLAIN else Part.ROOT
        note = f"{waiting.message.summary} (This could not be told to {self.instance}: {err})".strip()
        message = replace(waiting.message, part=part, summary=note, route=None)
        return Post(route=route, seq=waiting.seq, part=part, message=message, due=self.clock.now())
