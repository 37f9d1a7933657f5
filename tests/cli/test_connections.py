"""What the accounts hold, at played vendors: asked now, and as the daemon saw it."""

import pytest

SYNC = "pipeline: load\ntasks: {shop: {uses: fivetran.sync, with: {connection: shop_orders}}}\n"


@pytest.fixture
def accounts(directory, sandbox):
    sandbox.configure(directory, "fivetran", "airbyte")
    (directory / "pipelines" / "load.yaml").write_text(SYNC)


def test_accounts_are_asked_now(accounts, stackhub):
    asked = stackhub("connections", "--live", "--json")
    assert asked.code == 0
    found = {(one["instance"], one["name"]): one for one in asked.json}
    assert found["fivetran", "shop_orders"]["used_by"] == ["load.shop"]
    assert found["fivetran", "shop_orders"]["health"] == "ok"
    assert {one["instance"] for one in asked.json} == {"fivetran", "airbyte"}
    shown = stackhub("connections", "--live", "fivetran").out
    assert "fivetran/shop_orders" in shown
    assert "load.shop" in shown
    assert "airbyte" not in shown


def test_what_the_daemon_has_seen_is_kept(accounts, stackhub, start, monkeypatch):
    assert "nothing is known yet" in stackhub("connections").err
    monkeypatch.setenv("STACKHUB_PORT", "0")
    with start("serve", until="stackhub serves"):
        seen = wait_for(lambda: stackhub("connections", "--json").json)
    assert ("fivetran", "shop_orders", ["load.shop"]) in [
        (one["instance"], one["name"], one["used_by"]) for one in seen
    ]
    assert "airbyte" not in {one["instance"] for one in seen}, "no pipeline uses it"


def wait_for(look):
    while not (found := look()):
        pass
    return found


def test_an_account_that_there_is_not_is_refused(accounts, stackhub):
    refused = stackhub("connections", "fivetra")
    assert (refused.code, "did you mean 'fivetran'" in refused.err) == (2, True)


def test_an_account_that_does_not_answer_is_said(directory, accounts, stackhub):
    env = (directory / "fivetran.env").read_text()
    (directory / "fivetran.env").write_text(env.replace("FIVETRAN_API_KEY=", "FIVETRAN_API_KEY=not-"))
    asked = stackhub("connections", "--live")
    assert asked.code == 1
    assert "fivetran: " in asked.err
    assert "airbyte/" in asked.out
