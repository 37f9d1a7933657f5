"""The configuration as a compiler sees it, and as its accounts see it."""

import shutil
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from stackhub.cli.check import _match, _try_all
from stackhub.contract import Connection, Health, Permission
from stackhub.sandbox import demo_directory


def test_a_good_configuration_is_counted(stackhub):
    shown = stackhub("check")
    assert (shown.code, shown.out) == (0, "3 pipelines, 2 instances: good\n")


def test_every_error_is_told_at_once_each_with_its_place(stackhub, directory):
    (directory / "pipelines" / "shop.yaml").write_text("pipeline: shop\ntasks:\n  a: {uses: shell.fly}\n  b: {}\n")
    (directory / "stackhub.env").write_text("STACKHUB_PORT=many\nSTACKHUB_PROT=1\n")
    shown = stackhub("check")
    assert (shown.code, shown.out) == (2, "")
    places = [line.partition(" ")[0] for line in shown.err.splitlines()]
    assert places == [
        "pipelines/shop.yaml:3:13:",
        "pipelines/shop.yaml:4:3:",
        "stackhub.env:1:",
        "stackhub.env:2:",
    ]
    view = stackhub("check", "--json")
    assert view.code == 2
    assert len(view.json["problems"]) == len(places)


def test_what_is_allowed_and_yet_odd_is_a_warning(stackhub, directory):
    (directory / "dbt.env").write_text("DBT_PROJECT_DIR=nowhere\n")
    shown = stackhub("check")
    assert shown.code == 0
    assert f"dbt.env: warning: DBT_PROJECT_DIR: {directory / 'nowhere'} does not exist\n" in shown.err
    assert "pipelines/shop.yaml: warning: nobody is told when shop fails: add alerts" in shown.err
    places = {warning["place"] for warning in stackhub("check", "--json").json["warnings"]}
    assert places == {"dbt.env", "pipelines/broken.yaml", "pipelines/long.yaml", "pipelines/shop.yaml"}


def test_the_demo_as_a_repository_brings_it_is_good_and_warned_of_nothing(stackhub, tmp_path_factory):
    demo = shutil.copytree(demo_directory(), tmp_path_factory.mktemp("clone") / "demo")
    for path in demo.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    shown = stackhub("--config", str(demo), "check")
    assert (shown.code, shown.out, shown.err) == (0, "1 pipeline, 5 instances: good\n", "")


def test_a_notifier_with_an_env_file_is_whom_pipelines_tell_that_name_nobody(stackhub, directory):
    (directory / "pagerduty.env").write_text("PAGERDUTY_ROUTING_KEY=R0UT1NGKEYOFTHESANDBOX0123456789\n")
    assert "nobody is told" not in stackhub("check").err


def test_a_pipeline_that_names_no_route_on_purpose_is_warned_of(stackhub, directory):
    (directory / "pagerduty.env").write_text("PAGERDUTY_ROUTING_KEY=R0UT1NGKEYOFTHESANDBOX0123456789\n")
    with (directory / "pipelines" / "shop.yaml").open("a") as file:
        file.write("alerts: []\n")
    assert "pipelines/shop.yaml: warning: nobody is told when shop fails" in stackhub("check").err


def test_pipelines_in_shadow_are_named(directory, stackhub):
    assert "shadow" not in stackhub("check").out
    (directory / "stackhub.env").write_text("STACKHUB_MODE=shadow\n")
    assert "in shadow, so they start nothing and tell nobody: broken, long, shop" in stackhub("check").out
    assert stackhub("check", "--json").json["shadow"] == ["broken", "long", "shop"]
    assert "in shadow: it starts nothing and tells nobody" in stackhub("plan").out


def test_a_run_in_shadow_says_so_wherever_it_is_shown(directory, stackhub):
    with (directory / "pipelines" / "shop.yaml").open("a") as file:
        file.write("mode: shadow\n")
    ran = stackhub("run", "shop")
    assert (ran.code, "shop succeeded in shadow" in ran.out) == (0, True)
    assert "shadow: asked for by" in stackhub("runs").out
    assert "in shadow: it starts nothing and tells nobody" in stackhub("show", "shop").out
    assert "it is in shadow" in stackhub("why", "shop").out
    retried = stackhub("retry", "shop")
    assert retried.code != 0
    assert "there is nothing to do again" in retried.err


# --- live ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def played(directory, sandbox):
    """A configuration of all that is played."""
    sandbox.configure(directory)
    return directory


def _sync(directory, connection):
    (directory / "pipelines" / "sync.yaml").write_text(
        f"pipeline: sync\ntasks:\n  orders: {{uses: fivetran.sync, with: {{connection: {connection}}}}}\n"
    )


def test_live_tries_every_instance_and_exits_with_0_when_all_is_granted(stackhub, played):
    _sync(played, "shop_orders")
    shown = stackhub("check", "--live")
    assert shown.code == 0, shown.out
    assert shown.lines[-1] == "4 pipelines, 6 instances: good"
    tried = stackhub("check", "--live", "--json").json["live"]
    assert {one["instance"] for one in tried} == {"airbyte", "fivetran", "pagerduty", "python", "shell", "slack"}
    assert all(one["ok"] for one in tried)
    assert "connection of sync.orders" in [one["name"] for one in tried]


def test_live_names_the_connections_that_are_nearest_to_one_that_is_not_there(stackhub, played):
    _sync(played, "shop_order")
    shown = stackhub("check", "--live", "--json")
    assert shown.code == 1
    [refused] = [one for one in shown.json["live"] if not one["ok"]]
    assert refused["detail"] == "there is no 'shop_order'"
    assert refused["remedy"].startswith("name one of: shop_orders")


def test_live_says_what_to_do_when_a_credential_is_refused(stackhub, played, monkeypatch):
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-of-somebody-else")
    shown = stackhub("check", "--live")
    assert shown.code == 1
    assert "✗" in shown.out
    assert shown.lines[-1].endswith("trials refused")
    assert "xoxb-of-somebody-else" not in shown.out


def test_an_account_that_does_not_answer_is_a_refusal_and_no_crash(stackhub, directory):
    (directory / "fivetran.env").write_text(
        "FIVETRAN_API_URL=http://127.0.0.1:9/fivetran\nFIVETRAN_API_KEY=k\nFIVETRAN_API_SECRET=s\n"
    )
    shown = stackhub("check", "--live")
    assert shown.code == 1
    assert "fivetran  ✗" in shown.out


async def test_a_bug_in_a_connector_costs_its_own_instance_and_shows_no_secret(tmp_path):
    class Opened:
        def __init__(self, answer):
            self.answer = answer

        async def check(self):
            return [Permission(name="key", ok=1 / self.answer > 0)]

    def instance(name, answer):
        @asynccontextmanager
        async def opened(_settings, _context):
            if answer is None:
                raise KeyError("hunter22")
            yield Opened(answer)

        return SimpleNamespace(name=name, connector=SimpleNamespace(open=opened), settings=None)

    instances = {name: instance(name, answer) for name, answer in (("good", 1), ("shut", None), ("worse", 0))}
    hub = SimpleNamespace(state_dir=tmp_path)
    tried = await _try_all(
        SimpleNamespace(secrets=("hunter22",), directory=tmp_path, hub=hub, pipelines={}, instances=instances), {}
    )
    assert [(one.instance, one.ok, one.detail) for one in tried] == [
        ("good", True, ""),
        ("shut", False, "bug in its connector: KeyError('***')"),
        ("worse", False, "bug in its connector: ZeroDivisionError('division by zero')"),
    ]


def _held(**changes):
    return Connection(**{"id": "id1", "name": "crm", "health": Health.OK, **changes})


@pytest.mark.parametrize(
    ("held", "ok", "said"),
    [
        ([_held()], True, "crm is ok"),
        ([_held(id="crm", name="other")], True, "crm is ok"),
        ([_held(health=Health.UNKNOWN)], True, "crm is unknown"),
        ([_held(health=Health.PAUSED, note="by ada")], False, "crm is paused: by ada"),
        ([_held(health=Health.BROKEN)], False, "crm is broken"),
        ([_held(), _held(id="id2")], False, "'crm' are 2"),
        ([], False, "there is no 'crm'"),
    ],
)
def test_a_connection_is_good_when_it_is_one_and_runs(held, ok, said):
    tried = _match("fivetran", "shop.crm", "crm", held)
    assert (tried.ok, tried.detail) == (ok, said)
    assert bool(tried.remedy) is not ok
