"""The shop: what the demo's three connections load, written as files that DuckDB reads in place.

    shop_crm/customers.jsonl   <-  shop_orders/orders.jsonl   <-  stripe/payments.jsonl
      (Fivetran, shop_crm)          (Fivetran, shop_orders)        (Airbyte, Stripe to warehouse)

An order belongs to a customer and a payment to an order. The shop lives on while nobody syncs, so a landing brings
whatever has come up since: when all three have landed, in whichever order, everything that is referred to is in.
When one of them has not, what came after it refers to rows that are missing, as in a real warehouse.
"""

import json
import os
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

from stackhub.contract.sandbox import Feed

Row: TypeAlias = dict[str, Any]

FEEDS: Final[Mapping[str, tuple[Feed, ...]]] = {
    "fivetran": (
        Feed(id="calm_harbour", name="shop_crm", seconds=4, schema="shop_crm", tables=("customers",)),
        Feed(id="brisk_lantern", name="shop_orders", seconds=7, schema="shop_orders", tables=("orders",)),
    ),
    "airbyte": (
        Feed(
            id="5f0c7a52-3a0e-4d1b-9a57-1f6d2c8e4b90",
            name="Stripe to warehouse",
            seconds=10,
            schema="stripe",
            tables=("payments",),
        ),
    ),
}
"""The demo's connections, by vendor."""

OPENED: Final = datetime(2026, 10, 1, tzinfo=UTC)  # the shop's first day
HISTORY: Final = 30  # days that the first batch holds; every further one is a day
CUSTOMERS, ORDERS = (400, 12), (2400, 90)  # in the first batch, in each further one
COUNTRIES: Final = {"DE": "EUR", "FR": "EUR", "GB": "GBP", "US": "USD"}
FIRST: Final = ("Ada", "Ben", "Chloe", "Dario", "Elif", "Femi", "Greta", "Hugo", "Ines", "Jun", "Kofi", "Lena")
LAST: Final = ("Adler", "Bose", "Costa", "Dubois", "Evans", "Fischer", "Garcia", "Haddad", "Ito", "Jansen", "Kaya")


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """How far each table has been loaded; what a shop remembers across restarts."""

    batches: Mapping[str, int] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)  # bytes of each file that these batches fill
    recent: tuple[str, ...] = ()  # the tables, last landed last

    def since(self, table: str, other: str) -> bool:
        """Say whether ``other`` has landed since ``table`` last did."""
        return other in self.recent and (
            table not in self.recent or self.recent.index(other) > self.recent.index(table)
        )


def reach(table: str, landed: Landed) -> int:
    """Say how many batches of a table are in once it lands now.

    A table follows the one it refers to, as far as that has just landed; else it runs one batch ahead of it. A table
    that others refer to takes in all they may refer to.
    """
    customers, orders, payments = (landed.batches.get(name, 0) for name in ("customers", "orders", "payments"))
    furthest = max(customers, orders, payments)
    match table:
        case "orders" if landed.since("orders", "customers"):
            return max(customers, payments)
        case "payments" if landed.since("payments", "orders"):
            return orders
        case "payments":
            return max(orders, payments) + 1
        case _:
            return furthest + 1


def total(sizes: tuple[int, int], batches: int) -> int:
    """Count the rows of the first so many batches."""
    first, further = sizes
    return first + further * (batches - 1) if batches else 0


def customers(seed: int, batch: int) -> Iterator[Row]:
    """Make the customers who signed up in one batch (the first is 1)."""
    rng = random.Random(f"{seed} customers {batch}")  # noqa: S311 - data, not secrets
    for number in range(total(CUSTOMERS, batch - 1) + 1, total(CUSTOMERS, batch) + 1):
        first, last = rng.choice(FIRST), rng.choice(LAST)
        yield {
            "customer_id": number,
            "name": f"{first} {last}",
            "email": f"{first}.{last}.{number}@example.com".lower(),
            "country": rng.choice(list(COUNTRIES)),
            "signed_up_at": _moment(rng, batch),
        }


def orders(seed: int, batch: int) -> Iterator[Row]:
    """Make the orders of one batch; the first of them is always a customer's of the same batch."""
    rng = random.Random(f"{seed} orders {batch}")  # noqa: S311 - data, not secrets
    newest = total(CUSTOMERS, batch - 1) + 1
    for number in range(total(ORDERS, batch - 1) + 1, total(ORDERS, batch) + 1):
        buyer = newest if number == total(ORDERS, batch - 1) + 1 else rng.randint(1, total(CUSTOMERS, batch))
        yield {
            "order_id": number,
            "customer_id": buyer,
            "status": rng.choices(("placed", "shipped", "delivered", "returned"), (2, 3, 14, 1))[0],
            "amount_cents": rng.randint(4, 200) * 100 - rng.choice((0, 1, 5, 50)),
            "currency": rng.choice(list(COUNTRIES.values())),
            "ordered_at": _moment(rng, batch),
        }


def payments(seed: int, batch: int) -> Iterator[Row]:
    """Make the payments for the orders of one batch: a card that is refused is tried once more, and then taken."""
    rng = random.Random(f"{seed} payments {batch}")  # noqa: S311 - data, not secrets
    for order in orders(seed, batch):
        last = "refunded" if order["status"] == "returned" else "succeeded"
        for tried, status in enumerate(("failed", last) if rng.randrange(12) == 0 else (last,), 1):
            yield {
                "payment_id": f"pi_{order['order_id']:06}_{tried}",
                "order_id": order["order_id"],
                "method": rng.choice(("card", "card", "card", "sepa_debit", "paypal")),
                "status": status,
                "amount_cents": order["amount_cents"],
                "currency": order["currency"],
                "paid_at": order["ordered_at"],
            }


def _moment(rng: random.Random, batch: int) -> str:
    day = rng.randrange(HISTORY) if batch == 1 else HISTORY + batch - 2
    return (OPENED + timedelta(days=day, seconds=rng.randrange(86_400))).isoformat()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    name: str
    file: str  # in the shop's directory
    synced: str  # the column in which the vendor says when it brought a row
    rows: Callable[[int, int], Iterator[Row]]


_TABLES: Final[Mapping[tuple[str, str], _Table]] = {
    ("fivetran", "shop_crm"): _Table(
        name="customers", file="shop_crm/customers.jsonl", synced="_fivetran_synced", rows=customers
    ),
    ("fivetran", "shop_orders"): _Table(
        name="orders", file="shop_orders/orders.jsonl", synced="_fivetran_synced", rows=orders
    ),
    ("airbyte", "Stripe to warehouse"): _Table(
        name="payments", file="stripe/payments.jsonl", synced="_airbyte_extracted_at", rows=payments
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """The shop's side of every sync: `land` is the world's.

    The same seed and clock write the same bytes. One process at a time may land rows in a directory.
    """

    directory: Path  # SHOP_DATA; made when it is not there
    seed: int = 7
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def land(self, vendor: str, connection: str) -> int:
        """Load what has come up since a connection last landed; return how many rows that was.

        Any line may be the last: readers see the old file or the new one, and rows written without being
        remembered are written again, not twice. A connection that is not the shop's brings nothing.
        """
        table = _TABLES.get((vendor, connection))
        if table is None:
            return 0
        landed = self._remembered()
        path, upto = self.directory / table.file, reach(table.name, landed)
        done, size = landed.batches.get(table.name, 0), landed.sizes.get(table.name, 0)
        old = path.read_bytes()[:size] if path.exists() else b""
        if len(old) < size:  # somebody has tidied up
            old, done = b"", 0
        moment = self.now().isoformat()
        new = [
            json.dumps({**row, table.synced: moment}) + "\n"
            for batch in range(done + 1, upto + 1)
            for row in table.rows(self.seed, batch)
        ]
        content = old + "".join(new).encode()
        _replace(path, content)
        self._remember(
            Landed(
                batches={**landed.batches, table.name: upto},
                sizes={**landed.sizes, table.name: len(content)},
                recent=(*(name for name in landed.recent if name != table.name), table.name),
            )
        )
        return len(new)

    @property
    def _memory(self) -> Path:
        return self.directory / "landed.json"

    def _remembered(self) -> Landed:
        if not self._memory.exists():
            return Landed()
        kept = json.loads(self._memory.read_text())
        return Landed(batches=kept["batches"], sizes=kept["sizes"], recent=tuple(kept["recent"]))

    def _remember(self, landed: Landed) -> None:
        kept = {"batches": landed.batches, "sizes": landed.sizes, "recent": landed.recent}
        _replace(self._memory, json.dumps(kept).encode())


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)
