"""The upstream watch: connections that pipelines use and that will not load, told before the sync that will not come.

It follows every look at an account (`Follower` of the catalogue): what it concludes is committed with what was seen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from stackhub.clock import Clock
from stackhub.config.uses import naming, uses_at
from stackhub.contract import Connection
from stackhub.decide.impact import Reach
from stackhub.decide.incident import Change
from stackhub.decide.watch import (
    ALL,
    KEY,
    Trouble,
    Use,
    Uses,
    common_facet,
    facet_of,
    key_of,
    news,
    same,
    telling,
    troubles,
    uses_of,
)
from stackhub.engine.board import Board
from stackhub.engine.catalog import Swept
from stackhub.engine.incidents import Incidents
from stackhub.engine.inforce import InForce
from stackhub.model.incident import Facet, Incident
from stackhub.model.pipeline import Pipeline, Told
from stackhub.model.step import OPEN
from stackhub.store import connections
from stackhub.store.rows import happened
from stackhub.store.store import Store
from stackhub.store.transaction import Transaction


@dataclass(slots=True, kw_only=True)
class Watch:
    """Watches what pipelines use."""

    store: Store
    board: Board
    incidents: Incidents
    in_force: InForce
    environ: Mapping[str, str]
    clock: Clock
    reach: Callable[[str, Sequence[Connection]], Reach]  # what hangs on connections of an account
    _ours: dict[str, Mapping[str, str]] = field(default_factory=dict)  # by account: marks of our last loads, by id
    _uses: dict[str, Uses] = field(default_factory=dict)  # by account

    @property
    def every(self) -> timedelta | None:
        """How often accounts are looked at; None: never."""
        return self.in_force.configuration.hub.watch or None

    def wants(self, instance: str) -> timedelta | None:
        """Say how often an account is looked at for the watch; None: nothing there is used, or nothing is watched."""
        return self.every if any(naming(instance, self._active())) else None

    async def prepare(self, instance: str) -> None:
        """Find out who uses what there, and which loads were ours."""
        self._uses[instance] = self.used(instance) if self.every else {}
        self._ours[instance] = await self.store.read(partial(connections.ours, instance=instance))

    def keys(self, swept: Swept) -> Sequence[str]:
        """Name the incidents of the account's connections, those that are open and those that may open now."""
        uses = self._uses[swept.instance]
        used = [one for one in {**swept.before, **swept.after}.values() if uses_of(one, uses)]
        mine = [key_of(swept.instance, one.id) for one in used]
        return [*mine, *self._open(swept.instance), key_of(swept.instance, ALL)]

    def follow(self, swept: Swept, transaction: Transaction) -> Sequence[Change | None]:
        """Open, change and end what is told of the account's connections, and write down what is new of them."""
        instance, opened = swept.instance, self._open(swept.instance)
        uses: Uses = self._uses[instance] if self.wants(instance) is not None else {}
        common = key_of(instance, ALL)
        found = troubles(swept.before, swept.after, _missed(opened, swept.after), uses)
        own = {_id(instance, key) for key in opened if key != common}
        how = telling(found, own, as_one=common in opened)
        changes = [self._observe(key_of(instance, one.connection.id), [one], swept, transaction) for one in how.own]
        if how.together:
            changes.append(self._observe(common, how.together, swept, transaction))
        last = {key_of(instance, one.connection.id) for one in how.own} | ({common} if how.together else set())
        changes += [
            self.incidents.cease(key, [Told.UPSTREAM], transaction, _why(key, swept, uses))
            for key in sorted(opened.keys() - last)
        ]
        for one in swept.after.values():
            self._write_down(swept, one, uses_of(one, uses), transaction)
        return changes

    def used(self, instance: str) -> Uses:
        """Return who uses which connections of an account, by the names that pipelines write."""
        account = self.in_force.instance(instance)
        return uses_at(account, self._active(), self.environ) if account is not None else {}

    def _write_down(self, swept: Swept, one: Connection, uses: Sequence[Use], transaction: Transaction) -> None:
        was = swept.before.get(one.id)
        if was is None or not uses or was == one:
            return
        mark = self._ours[swept.instance].get(one.id, "")
        for said in news(swept.instance, was, one, ours=self._at_work(uses), mark=mark):
            for use in uses:
                line = happened(self.clock.now(), "connection", pipeline=use.pipeline, task=use.task, text=said)
                transaction.add(line)

    def _active(self) -> list[Pipeline]:
        return [known.pipeline for known in self.in_force.known.values() if not known.retired]

    def _open(self, instance: str) -> dict[str, Incident]:
        prefix = f"{KEY}{instance}/"
        return {key: incident for key, incident in self.incidents.open.items() if key.startswith(prefix)}

    def _observe(self, key: str, found: Sequence[Trouble], swept: Swept, transaction: Transaction) -> Change | None:
        now, instance = self.clock.now(), swept.instance
        reach = self.reach(instance, [trouble.connection for trouble in found])
        if key == key_of(instance, ALL):
            facet = common_facet(instance, found, now, reach)
        else:
            facet = facet_of(instance, found[0], now, reach)
        was = self.incidents.open.get(key)
        if same(was.facets.get(Told.UPSTREAM) if was is not None else None, facet):
            return None
        concerns = sorted({use.pipeline for trouble in found for use in trouble.uses})
        return self.incidents.observe(key, facet, transaction, concerns=concerns)

    def _at_work(self, uses: Sequence[Use]) -> bool:
        tasks = {(use.pipeline, use.task) for use in uses}
        return any(
            step.state in OPEN and (open_run.run.pipeline, step.task) in tasks
            for open_run in self.board.runs()
            for step in open_run.steps.values()
        )


def _missed(opened: Mapping[str, Incident], after: Mapping[str, Connection]) -> dict[str, str]:
    """Return those that were told to be gone, or else not well, and are not listed: their incidents remember them."""
    facets: list[Facet] = [facet for one in opened.values() for facet in one.facets.values()]
    return {id_: name for facet in facets for id_, name in facet.about if id_ not in after}


def _id(instance: str, key: str) -> str:
    return key.removeprefix(f"{KEY}{instance}/")


def _why(key: str, swept: Swept, uses: Uses) -> str:
    one = swept.after.get(_id(swept.instance, key))
    if key == key_of(swept.instance, ALL):
        return f"the connections at {swept.instance} are well again" if uses else "no pipeline uses them any more"
    if one is not None and not uses_of(one, uses):
        return f"no pipeline uses {swept.instance}/{one.name} any more"
    return f"{swept.instance}/{one.name} is well again" if one is not None else "no pipeline uses it any more"
