"""What the demo's connections load."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackhub.sandbox.shop import FEEDS, Landed, Shop, reach

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
CONNECTIONS = {
    "customers": ("fivetran", "shop_crm"),
    "orders": ("fivetran", "shop_orders"),
    "payments": ("airbyte", "Stripe to warehouse"),
}
FILES = {
    "customers": "shop_crm/customers.jsonl",
    "orders": "shop_orders/orders.jsonl",
    "payments": "stripe/payments.jsonl",
}
ROUND = tuple(CONNECTIONS)
TABLES = st.sampled_from(ROUND)


def a_shop(directory, **changes):
    return Shop(directory=directory, now=lambda: NOON, **changes)


def land(shop, *tables):
    return [shop.land(*CONNECTIONS[table]) for table in tables]


def rows(shop, table):
    path = shop.directory / FILES[table]
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def orphans(shop):
    """Count the orders without a customer and the payments without an order."""
    customers = {row["customer_id"] for row in rows(shop, "customers")}
    orders = rows(shop, "orders")
    known = {row["order_id"] for row in orders}
    return (
        sum(row["customer_id"] not in customers for row in orders),
        sum(row["order_id"] not in known for row in rows(shop, "payments")),
    )


def batches_after(tables):
    landed = Landed()
    for table in tables:
        upto = reach(table, landed)
        assert upto >= landed.batches.get(table, 0), "a landing takes no rows away"
        landed = Landed(
            batches={**landed.batches, table: upto},
            recent=(*(name for name in landed.recent if name != table), table),
        )
    return tuple(landed.batches.get(table, 0) for table in ROUND)


@given(history=st.lists(TABLES, max_size=12), last=st.permutations(ROUND))
def test_whatever_went_before_all_is_in_once_all_three_have_landed_in_any_order(history, last):
    customers, orders, payments = batches_after([*history, *last])
    assert payments <= orders <= customers


@given(rounds=st.integers(0, 5))
def test_payments_that_land_when_orders_did_not_are_for_orders_that_are_not_in(rounds):
    _, orders, payments = batches_after([*ROUND * rounds, "customers", "payments"])
    assert payments > orders


@given(rounds=st.integers(0, 5))
def test_orders_that_land_when_customers_did_not_are_of_customers_who_are_not_in(rounds):
    customers, orders, _ = batches_after([*ROUND * rounds, "orders", "payments"])
    assert orders > customers


@given(rounds=st.integers(0, 5), late=TABLES)
def test_the_one_that_was_missing_mends_it(rounds, late):
    others = [table for table in ROUND if table != late]
    customers, orders, payments = batches_after([*ROUND * rounds, *others, late])
    assert payments <= orders <= customers


@given(history=st.lists(TABLES, max_size=12))
def test_there_are_new_customers_in_every_landing(history):
    assert batches_after([*history, "customers"])[0] > batches_after(history)[0]


def test_a_few_thousand_rows_are_there_after_the_first_round_and_more_after_each(tmp_path):
    shop = a_shop(tmp_path)
    sizes = []
    for _ in range(3):
        brought = land(shop, *ROUND)
        sizes.append([len(rows(shop, table)) for table in ROUND])
        assert all(brought)
    assert 4_000 < sum(sizes[0]) < 10_000
    assert all(later > sooner for before, after in pairwise(sizes) for sooner, later in zip(before, after, strict=True))
    assert [new - old for new, old in zip(sizes[2], sizes[1], strict=True)] == brought


def test_the_same_seed_and_clock_write_the_same_bytes(tmp_path):
    shops = [a_shop(tmp_path / "a"), a_shop(tmp_path / "b"), a_shop(tmp_path / "c", seed=8)]
    for shop in shops:
        land(shop, *ROUND, *ROUND)
    first, second, other = ([(shop.directory / FILES[table]).read_bytes() for table in ROUND] for shop in shops)
    assert first == second
    assert all(ours != theirs for ours, theirs in zip(first, other, strict=True))


def test_a_shop_goes_on_after_a_restart_and_leaves_earlier_rows_as_they_were(tmp_path):
    land(a_shop(tmp_path), *ROUND)
    before = rows(a_shop(tmp_path), "orders")
    later = Shop(directory=tmp_path, now=lambda: NOON + timedelta(days=1))
    land(later, *ROUND)
    after = rows(later, "orders")
    assert after[: len(before)] == before
    assert {row["_fivetran_synced"] for row in after[len(before) :]} == {"2026-11-03T12:00:00+00:00"}


@pytest.mark.parametrize("missing", ROUND[:2])
def test_a_load_that_is_missing_shows_as_orphans_and_mends_when_it_lands(tmp_path, missing):
    shop = a_shop(tmp_path)
    land(shop, *ROUND)
    assert orphans(shop) == (0, 0)
    land(shop, *(table for table in ROUND if table != missing))
    assert any(orphans(shop))
    land(shop, missing)
    assert orphans(shop) == (0, 0)


@pytest.mark.parametrize("table", ROUND)
def test_rows_written_just_before_a_crash_are_not_there_twice(tmp_path, table):
    shop = a_shop(tmp_path)
    land(shop, *ROUND)
    remembered = (tmp_path / "landed.json").read_bytes()
    land(shop, table)
    written = (tmp_path / FILES[table]).read_bytes()
    (tmp_path / "landed.json").write_bytes(remembered)  # it died before it could say so
    land(shop, table)
    assert (tmp_path / FILES[table]).read_bytes() == written


def test_a_file_that_somebody_removed_is_made_again_whole(tmp_path):
    shop = a_shop(tmp_path)
    land(shop, *ROUND)
    (tmp_path / FILES["customers"]).unlink()
    land(shop, *ROUND)
    assert [row["customer_id"] for row in rows(shop, "customers")] == list(range(1, 413))
    assert orphans(shop) == (0, 0)


def test_every_id_is_unique_and_nothing_is_paid_twice(tmp_path):
    shop = a_shop(tmp_path)
    land(shop, *ROUND * 3)
    for table, key in (("customers", "customer_id"), ("orders", "order_id"), ("payments", "payment_id")):
        assert max(Counter(row[key] for row in rows(shop, table)).values()) == 1
    paid = Counter(row["order_id"] for row in rows(shop, "payments") if row["status"] == "succeeded")
    assert max(paid.values()) == 1


def test_nothing_is_left_beside_the_files(tmp_path):
    land(a_shop(tmp_path), *ROUND)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*FILES.values(), "landed.json"}


def test_a_connection_that_is_not_the_shops_brings_nothing(tmp_path):
    assert a_shop(tmp_path).land("fivetran", "erp") == 0
    assert list(tmp_path.iterdir()) == []


def test_every_feed_of_the_demo_lands_rows(tmp_path):
    shop = a_shop(tmp_path)
    for vendor, feeds in FEEDS.items():
        for feed in feeds:
            assert shop.land(vendor, feed.name) > 0
