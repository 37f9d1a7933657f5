"""How a lane's calls go: its circuit, its vendor's wish for patience, and the incident when the account is down."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

import structlog

from stackhub.clock import Clock
from stackhub.contract import ConfigError, Rejected, Unavailable, Unsure
from stackhub.decide import facets
from stackhub.decide.circuit import Circuit, went_badly, went_well
from stackhub.decide.incident import Change
from stackhub.engine.gate import LaneGate
from stackhub.engine.incidents import Incidents
from stackhub.model.codec import dump
from stackhub.model.incident import Facet
from stackhub.model.pipeline import Told
from stackhub.store import transaction as tx
from stackhub.store.store import Store
from stackhub.store.tables import maybe_micros
from stackhub.store.transaction import Op, Transaction

log = structlog.get_logger()
SAME: Final = timedelta(seconds=1)  # a rest that differs by less is the one already kept


@dataclass(slots=True, kw_only=True)
class LaneHealth:
    """Notes every answer of one lane; what must outlive the hub is committed before the next call."""

    instance: str
    store: Store
    incidents: Incidents
    clock: Clock
    gate: LaneGate
    stalled: Callable[[], int]  # how many steps wait for this account now
    ring: Callable[[], None]  # wakes the outboxes
    on_back: Callable[[], None] = lambda: None  # called when the account answers again
    under: Callable[[], dict[str, int]] | None = dict  # the lane's epoch; None where another hub attends the lane
    circuit: Circuit = field(default_factory=Circuit)
    heard: Counter[str] = field(default_factory=Counter)  # calls by how they went; for metrics

    async def note(self, answer: Any) -> None:
        """Learn from one answer."""
        self.heard[type(answer).__name__.lower() if isinstance(answer, Exception) else "ok"] += 1
        if self.under is None:  # how the account is, is the other hub's to say
            return
        match answer:
            case Unavailable(retry_after=timedelta() as wait):
                if await self.be_patient(wait):
                    await self._set(went_badly(self.circuit, answer, self.clock.now()))
            case Unavailable() | ConfigError():
                await self._set(went_badly(self.circuit, answer, self.clock.now()))
            case Unsure():
                pass  # it may have got through
            case Rejected() | _:
                await self._set(went_well(self.circuit))

    async def be_patient(self, wait: timedelta) -> bool:
        """Leave the vendor alone for so long; say whether that is news."""
        until = self.clock.now() + wait
        if self.gate.not_before is not None and until <= self.gate.not_before + SAME:
            return False
        self.gate.not_before = until
        row = {"b_instance": self.instance, "n_not_before": maybe_micros(until)}
        await self.store.apply(Transaction(lanes=self._lanes()).add(Op(tx.LANE_RESTS, row)))
        return True

    def jumped(self, by: timedelta) -> None:
        """Go on measuring by a wall clock that was set."""
        circuit = self.circuit
        moved = {name: at + by for name in ("since", "open_until") if (at := getattr(circuit, name)) is not None}
        self.circuit = replace(circuit, **moved)

    def _lanes(self) -> dict[str, int]:
        return self.under() if self.under else {}

    def mended(self) -> None:
        """Somebody has changed the settings: try at once, however long the account was to be left alone."""
        if self.circuit.open:
            self.circuit = replace(self.circuit, open_until=self.clock.now())

    async def _set(self, circuit: Circuit) -> None:
        if circuit == self.circuit:
            return
        was, self.circuit = self.circuit, circuit
        if circuit.open == was.open and circuit.refused == was.refused:
            return
        key = f"instance:{self.instance}"

        def build(transaction: Transaction) -> list[Change | None]:
            transaction.lanes.update(self._lanes())
            transaction.add(Op(tx.LANE_CIRCUIT, {"b_instance": self.instance, "n_circuit": dump(circuit)}))
            if circuit.open:
                return [self.incidents.observe(key, self._facet(circuit), transaction)]
            return [self.incidents.cease(key, [Told.STALLED], transaction, f"{self.instance} answers again")]

        await self.incidents.keep([key], build, self.store)
        if circuit.open:
            log.warning("an account is down", instance=self.instance, error=circuit.error)
        else:
            log.info("an account is back", instance=self.instance)
            self.on_back()
        self.ring()

    def _facet(self, circuit: Circuit) -> Facet:
        return facets.account_down(
            self.instance,
            circuit.error,
            self.clock.now(),
            refused=circuit.refused,
            stalled_steps=self.stalled(),
        )
