"""Obeys the wishes to mute, and to unmute. A mute is a row: it outlives the hub, and every hub goes by it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from stackhub.clock import Clock
from stackhub.config.nearest import hint
from stackhub.decide.mute import KINDS, objection
from stackhub.engine.incidents import Incidents
from stackhub.engine.inforce import InForce
from stackhub.errors import Refused, StaleRun
from stackhub.model.codec import plain
from stackhub.model.mute import Mute
from stackhub.store import muted
from stackhub.store.rows import happened
from stackhub.store.store import Store
from stackhub.store.transaction import Op, Transaction

LISTED: Final = 8  # names in an answer
Record = Callable[[Mapping[str, Any]], Op]  # the row that keeps what came of a command


@dataclass(frozen=True, slots=True, kw_only=True)
class Muting:
    """What a mute needs to know of the hub."""

    store: Store
    incidents: Incidents
    in_force: InForce
    clock: Clock
    connections: Callable[[str], list[tuple[str, str]]]  # of an instance: (id, name), as far as they are known
    known: Callable[[], Awaitable[None]]  # takes over what accounts were last seen to hold
    remind: Callable[[], None]  # tells at once what a mute had held back

    async def mute(self, mute_id: str, args: Mapping[str, Any], by: str, done: Record) -> dict[str, Any]:
        """Mute something; the mute takes the place of one that is in force for the same.

        Raises:
            Refused: nothing is called so, or the mute makes no sense.
        """
        await self.known()
        now, end, reason = self.clock.now(), _moment(str(args["until"])), str(args.get("reason") or "")
        why = objection(end, reason, now)
        if why:
            raise Refused(why)
        end = end.astimezone(UTC)
        mute = Mute(id=mute_id, key=self.key(str(args["target"])), until=end, reason=reason, by=by, since=now)
        before = [muted.ended(old, now, by) for old in self._of(mute.key)]
        line = _line(now, mute, f"{mute.key}, until {end:%Y-%m-%d %H:%M} UTC, by {by}: {reason}", "muted")
        result = {"key": mute.key, "until": mute.until, "mute": mute.id}
        return await self._kept(Transaction().add(*before, muted.kept(mute), line), result, done)

    async def unmute(self, args: Mapping[str, Any], by: str, done: Record) -> dict[str, Any]:
        """End the mutes of something.

        Raises:
            Refused: none is in force.
        """
        now, name = self.clock.now(), str(args["target"])
        found = self._of(name) or self._of(self.key(name))
        if not found:
            keys = _listed(mute.key for mute in self.incidents.mutes)
            raise Refused(f"{name} is not muted; muted {'is' if keys else 'is nothing'}{f': {keys}' if keys else ''}")
        ops = [op for mute in found for op in (muted.ended(mute, now, by), _line(now, mute, f"{mute.key}, by {by}"))]
        return await self._kept(Transaction().add(*ops), {"key": found[0].key, "unmuted": True}, done)

    async def _kept(self, transaction: Transaction, result: Mapping[str, Any], done: Record) -> dict[str, Any]:
        said: dict[str, Any] = plain(result)
        try:
            await self.store.apply(transaction.add(done(said)))
        except StaleRun as err:  # another hub was asked the same at this moment
            raise Refused(f"{said['key']} is muted already: ask again to change it") from err
        await self.incidents.reload(self.store)
        self.remind()
        return {**said, "committed": True}

    def key(self, name: str) -> str:
        """Return the key of what somebody calls ``name``: a pipeline, an instance, INSTANCE/CONNECTION, or a key.

        Raises:
            Refused: nothing is called so, or several things are.
        """
        kind, colon, rest = name.partition(":")
        if colon and kind in KINDS:
            found = [key for key in self._keys(rest) if key.startswith(f"{kind}:")]
        else:
            found = self._keys(name)
        if len(found) == 1:
            return found[0]
        if found:
            raise Refused(f"{name!r} may be {' or '.join(found)}: say which")
        known = [*(one for one in self.in_force.known if self.in_force.active(one)), *self._instances()]
        raise Refused(f"there is no pipeline, instance or connection {name!r}{hint(rest or name, known)}")

    def _keys(self, name: str) -> list[str]:
        found = [f"pipeline:{name}"] if self.in_force.active(name) is not None else []
        if name in self._instances():
            found.append(f"instance:{name}")
        instance, slash, connection = name.partition("/")
        if slash and instance in self._instances():
            if not self.connections(instance):
                raise Refused(
                    f"what {instance} holds has not been looked at yet: name the incident's key, or ask later"
                )
            named = [one for one, also in self.connections(instance) if connection in (one, also)]
            found += [f"connection:{instance}/{one}" for one in named]
        open_key = f"connection:{name}"
        if open_key in self.incidents.open and open_key not in found:
            found.append(open_key)
        return found

    def _instances(self) -> list[str]:
        return list(self.in_force.configuration.instances)

    def _of(self, key: str) -> list[Mute]:
        return [mute for mute in self.incidents.mutes if mute.key == key]


def _moment(until: str) -> datetime:
    at = datetime.fromisoformat(until)
    if at.tzinfo is None:
        raise Refused(f"{until} has no time zone")
    return at


def _line(now: datetime, mute: Mute, text: str, kind: str = "unmuted") -> Op:
    pipeline = mute.key.removeprefix("pipeline:") if mute.key.startswith("pipeline:") else ""
    return happened(now, kind, pipeline=pipeline, text=text)


def _listed(names: Iterable[str]) -> str:
    found = sorted(names)
    more = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
    return ", ".join(found[:LISTED]) + more
