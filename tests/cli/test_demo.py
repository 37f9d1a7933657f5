"""The demo: what it plays, what it says of it, and that it leaves nothing behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from stackhub.cli import demo_picture
from stackhub.cli.demo_house import environment, off_proxies, working_directory
from stackhub.cli.demo_picture import Count
from stackhub.contract.sandbox import Shown
from stackhub.errors import ConfigError

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent
RECORDED = ROOT / "tests" / "connectors" / "dbt_events"
STACKHUB = Path(sys.executable).with_name("stackhub")
VERSION = '[ "$1" != --version ] || { echo "Core:"; echo "  - installed: 1.11.16"; exit 0; }'
OPENED = Shown(
    where="#data-alerts", lines=("🟠 shop failed: orders", "Attempts: 2 of 2", "Owner: finance-data", "error")
)
EDITED = Shown(
    where="#data-alerts",
    lines=("🟠 shop failed: orders", "Attempts: 2 of 2", "Owner: finance-data", "Also: shop is late", "error, updated"),
    replies=(("06:05 shop is late",),),
    edits=1,
)


def played(tmp_path, script):
    """Make a dbt that does as the script says."""
    path = tmp_path / "dbt"
    path.write_text(f"#!/bin/sh\n{VERSION}\n{script}\n")
    path.chmod(0o755)
    return {"DBT_EXECUTABLE": str(path)}


def demo(tmp_path, *arguments, **variables):
    """Run the console script, in a place of its own."""
    return subprocess.run(
        [STACKHUB, "demo", *arguments],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def drawn(draw, *arguments, **options):
    """Return what a function of `demo_picture` prints."""
    out = Console(file=StringIO(), highlight=False, markup=False, emoji=False, **{"width": 72, **options})
    draw(out, *arguments)
    return out.file.getvalue()


# --- as a whole ------------------------------------------------------------------------------------------------------


def test_once_is_one_real_run_and_ends_with_dbts_exit_code(tmp_path):
    ended = demo(tmp_path, "--once", "--keep", str(tmp_path / "kept"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "marts succeeded" in ended.stdout
    assert "6 models built, 20 tests passed" in ended.stdout
    assert "All as told" in ended.stdout
    assert "1  A good run" in ended.stdout
    assert "A part now" not in ended.stdout
    assert (tmp_path / "kept" / ".stackhub" / "shop.duckdb").is_file()
    assert ended.stderr == ""


def test_once_ends_with_1_when_dbt_does_and_says_which_node_failed(tmp_path):
    failing = played(tmp_path, f"cat '{RECORDED / 'v1_failing.jsonl'}'; exit 1")
    ended = demo(tmp_path, "--once", "--speed", "20", **failing)
    assert ended.returncode == 1
    assert "marts failed" in ended.stdout
    assert "the first run failed" in ended.stdout
    assert "Slack #data-alerts" in ended.stdout


SCENES = (
    "What feeds what",
    "A good run",
    "A part now",
    "The rest when it lands",
    "Before it is late",
    "Late, and recovery",
)
BUILT = "dim_customers, stg_customers, stg_orders are built"
OWED = "fct_orders, fct_revenue_daily, stg_payments"


def test_every_scene_goes_as_told(tmp_path):
    shop = played(tmp_path, f"exec '{sys.executable}' -IS '{Path(__file__).with_name('played_shop.py')}' \"$@\"")
    ended = demo(tmp_path, "--speed", "20", **shop)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = ended.stdout.splitlines()
    scenes = [line for line in told if re.match(r"[1-9]  ", line)]
    assert [line.split("  ")[:2] for line in scenes] == [[str(at), name] for at, name in enumerate(SCENES, 1)]
    one, two, three, four, five, six = map(told.index, scenes)
    feeding, part, rest, risk, late = told[one:two], told[three:four], told[four:five], told[five:six], told[six:]

    assert any(line.split() == ["payments", "certain:", "loads", "stripe.payments"] for line in feeding)
    assert any("waits for customers, orders, payments, which it reads" in line for line in feeding)

    assert any("| 🟠 shop is built in part: without payments" in line for line in part)
    assert any("| open, critical" in line for line in part)
    assert any("shop.marts  payments waits for airbyte:Stripe to warehouse  for " in line for line in part)
    assert any(f"4 nodes: {OWED}, unique_fct_orders_order_id" in line for line in part)
    assert any(BUILT in line and f"Left, since they read payments: {OWED}." in line for line in part)

    assert any("payments has landed: 4 nodes were owed" in line for line in rest)
    assert any("| ✅ shop is built in part" in line for line in rest)
    assert any("| resolved, critical" in line for line in rest)
    assert any(f"Paid: {OWED} and nothing else. 3 models built, 1 test passed." in line for line in rest)

    assert any(re.search(r"\| 🟡 shop is at risk: .* missed with .* %; waiting on orders", line) for line in risk)
    assert not any("PagerDuty" in line for line in risk)
    assert any(re.search(r"\| 🟠 shop is late: finish within \d+s", line) for line in late)
    assert any("| ✅ shop is late" in line for line in late)
    assert any("| resolved, critical" in line for line in late)

    assert any(line.split() == ["Stripe", "to", "warehouse", "Airbyte", "4", "1", "5"] for line in told)
    assert any(line.startswith("Slack: 2 messages") for line in told)
    assert "PagerDuty: 2 alerts, triggered 2 times." in told
    assert any(line.startswith("All as told") for line in told)
    assert not list(tmp_path.glob("stackhub-demo-*"))


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="only here can it be seen whose a process is")
def test_an_interrupt_leaves_no_process_no_port_and_no_directory(tmp_path):
    os.mkfifo(tmp_path / "begun")
    stubborn = played(tmp_path, f"trap '' INT TERM; echo > {tmp_path / 'begun'}; while :; do sleep 0.1; done")
    with subprocess.Popen(
        [STACKHUB, "demo", "--speed", "20"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path), **stubborn},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said = ""
            while len(ports := re.findall(r"http://127\.0\.0\.1:(\d+)", said)) < 2:  # the hub's and the vendors'
                line = process.stdout.readline()
                assert line, said
                said += line
            assert (tmp_path / "begun").read_text() == "\n"
            assert len(_of(tmp_path)) > 1
            process.send_signal(signal.SIGINT)
            said += process.communicate(timeout=30)[0]
        finally:
            process.kill()
    assert process.returncode == 130, said
    assert "nothing is left running" in said
    assert _of(tmp_path) == []
    assert re.findall(r"http://127\.0\.0\.1:(\d+)", said) == ports
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(port)), timeout=5)
    assert not list(tmp_path.glob("stackhub-demo-*"))


def _of(tmp_path):
    """Return the processes that were started here, whoever is their parent by now."""
    mine = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            variables = (place / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"TMPDIR={tmp_path}".encode() in variables:
            mine.append(place.name)
    return mine


def test_a_port_that_is_taken_is_a_line_and_exit_code_2(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        ended = demo(tmp_path, "--port", str(port))
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert f"port {port} on 127.0.0.1 cannot be used" in line


def test_without_dbt_it_says_how_to_get_one_and_ends_with_2(tmp_path):
    bare = tmp_path / "bin" / "python"
    bare.parent.mkdir()
    bare.symlink_to(sys.executable)
    places = [sysconfig.get_path("purelib"), str(ROOT), str(ROOT / "connectors")]
    ended = subprocess.run(
        [bare, "-m", "stackhub", "demo", "--once"],
        cwd=tmp_path,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": os.pathsep.join(places),
            "TMPDIR": str(tmp_path),
            "LANG": "C.UTF-8",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 2, ended.stdout + ended.stderr
    (line,) = ended.stderr.splitlines()
    assert "pip install 'stackhub[dbt]'" in line
    assert "A good run" not in ended.stdout


# --- the directory and the environment -------------------------------------------------------------------------------


def test_the_directory_is_a_copy_that_only_its_owner_can_read_secrets_in(tmp_path):
    with working_directory(tmp_path / "new") as directory:
        assert {path.stat().st_mode & 0o777 for path in directory.glob("*.env")} == {0o600}
        assert (directory / ".stackhub").stat().st_mode & 0o777 == 0o700
        assert (directory / "dbt" / "dbt_project.yml").is_file()
    assert directory.is_dir()


def test_a_directory_nobody_named_is_gone_afterwards():
    with working_directory(None) as directory:
        assert (directory / "pipelines" / "shop.yaml").is_file()
    assert not directory.parent.exists()


def test_a_directory_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(ConfigError, match="there is something already"), working_directory(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


class Played:
    """A stage that has one vendor."""

    def environment(self, url):
        return {"slack": {"SLACK_API_URL": f"{url}/slack/api", "SLACK_BOT_TOKEN": "played"}}


def test_nobodys_real_account_is_used(tmp_path):
    mine = {
        "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/mine",
        "SLACK_BOT_TOKEN": "mine",
        "FIVETRAN_EU_API_KEY": "mine",
        "STACKHUB_DATABASE_URL": "postgresql://mine",
        "DBT_PROJECT_DIR": "/mine",
    }
    with working_directory(tmp_path / "new") as directory:
        kept = environment({**mine, "PATH": "/bin", "DBT_EXECUTABLE": "/bin/dbt"}, directory, "http://x", Played())
    assert kept == {
        "PATH": "/bin",
        "DBT_EXECUTABLE": "/bin/dbt",
        "SLACK_API_URL": "http://x/slack/api",
        "SLACK_BOT_TOKEN": "played",
    }


def test_what_stays_on_this_machine_goes_past_a_proxy_and_all_is_as_before_afterwards(monkeypatch):
    monkeypatch.setenv("no_proxy", "example.com")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with off_proxies():
        assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "example.com,127.0.0.1"
    assert os.environ["no_proxy"] == "example.com"
    assert "NO_PROXY" not in os.environ


# --- the picture -----------------------------------------------------------------------------------------------------


def test_a_message_that_is_new_is_shown_whole():
    assert demo_picture.news(OPENED, None) == list(OPENED.lines)


def test_of_a_message_that_was_edited_only_the_news_are_shown():
    assert demo_picture.news(EDITED, OPENED) == [
        "🟠 shop failed: orders",
        "… 2 lines as before",
        "Also: shop is late",
        "error, updated",
        "↳ 06:05 shop is late",
    ]


def test_a_message_that_is_as_it_was_says_so():
    assert demo_picture.news(OPENED, OPENED) == ["🟠 shop failed: orders", "… 3 lines as before"]


def test_on_a_terminal_a_message_is_a_box_that_says_where_it_is_and_how_often_it_was_edited():
    first, *_, last = drawn(demo_picture.message, "slack", EDITED, force_terminal=True).splitlines()
    assert "Slack #data-alerts, edited once" in first
    assert "╭" in first
    assert "╯" in last


def test_elsewhere_a_message_is_lines():
    shown = Shown(where="PagerDuty service", lines=("open", "x" * 99))
    where, *lines = drawn(demo_picture.message, "pagerduty", shown).splitlines()
    assert where == "   PagerDuty service"
    assert lines == ["   | open", f"   | {'x' * 99}"]


def test_a_stranger_cannot_steer_the_terminal():
    assert "\x1b" not in drawn(demo_picture.message, "slack", Shown(where="#x", lines=("a\x1b[2Jb\x07",)))


def test_a_stream_that_knows_no_emoji_gets_the_words():
    out = Console(file=_Ascii(), highlight=False, width=72, force_terminal=True, color_system=None)
    demo_picture.message(out, "slack", OPENED)
    told = out.file.getvalue()
    assert "? shop failed: orders" in told
    assert told.isascii()


class _Ascii(StringIO):
    encoding = "ascii"


def test_what_did_not_go_as_told_is_named():
    told = drawn(demo_picture.ending, timedelta(seconds=41), ["dbt was started all the same"], "", [("x check", "y")])
    assert "This did not go as told:\n  dbt was started all the same" in told
    assert "All as told" not in told


def test_the_end_says_how_long_it_took_what_was_kept_and_what_to_try():
    told = drawn(demo_picture.ending, timedelta(seconds=41), [], "my", [("stackhub check", "looks")], width=200)
    assert "All as told, in 41s." in told
    assert "Kept in my" in told
    assert "  stackhub check   looks" in told


def test_the_numbers_stand_side_by_side():
    counts = [Count(connection="shop_orders", vendor="fivetran", asked=4, others=1, began=5)]
    told = drawn(demo_picture.numbers, counts, [EDITED], [OPENED]).splitlines()
    assert told[1].split("  ")[0] == "connection"
    assert told[2].split() == ["shop_orders", "Fivetran", "4", "1", "5"]
    assert told[3:] == ["Slack: 1 message, edited once, 1 line in its thread.", "PagerDuty: 1 alert, triggered once."]
