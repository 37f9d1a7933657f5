"""The daemon, as a process of its own: what supervisors and people do to it."""

import json
import logging
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx
import pytest
import structlog
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from structlog.testing import capture_logs

from stackhub.cli import serve as serving
from stackhub.server.places import socket_path
from stackhub.store.lock import HubLock

UNIT = Path(__file__).parents[2] / "configs" / "deploy" / "stackhub.service"
PIPELINE = """
pipeline: long
tasks:
  wait: {uses: shell.run, with: {command: "echo begun; read _ < gate; echo over"}}
"""
PATIENCE = 30


@dataclass
class Daemon:
    """A hub in a process, whose log is read line by line."""

    process: Process
    log: BufferedByteReceiveStream
    state: Path
    address: str = ""

    async def says(self, event: str) -> dict:
        """Wait for a line of its log."""
        with anyio.fail_after(PATIENCE):
            while True:
                line = json.loads(await self.log.receive_until(b"\n", 100_000))
                if line["event"] == event:
                    return line

    async def ends(self) -> int:
        """Wait for its end, and return its exit code."""
        with anyio.fail_after(PATIENCE):
            return await self.process.wait()

    def client(self) -> httpx.AsyncClient:
        """Ask through its socket."""
        transport = httpx.AsyncHTTPTransport(uds=str(socket_path(self.state)))
        return httpx.AsyncClient(transport=transport, base_url="http://localhost")


def configured(directory: Path, *, port: int = 0, more: str = "") -> Path:
    """Write a configuration: one pipeline, whose job ends when something is written into `gate`."""
    (directory / "pipelines").mkdir(parents=True)
    (directory / "stackhub.env").write_text(f"STACKHUB_PORT={port}\nSTACKHUB_LOG_FORMAT=json\n{more}")
    (directory / "stackhub.env").chmod(0o600)
    (directory / "shell.env").touch(mode=0o600)
    (directory / "pipelines" / "long.yaml").write_text(PIPELINE)
    os.mkfifo(directory / "gate")
    return directory


def command(directory: Path) -> list[str]:
    return [sys.executable, "-m", "stackhub", "--config", str(directory), "serve"]


@asynccontextmanager
async def begun(directory: Path, **environ: str):
    """Start a daemon, and make sure of its end."""
    env = {**os.environ, **environ}
    async with await anyio.open_process(command(directory), env=env, stdout=None) as process:
        daemon = Daemon(process, BufferedByteReceiveStream(process.stderr), directory / ".stackhub")
        try:
            yield daemon
        finally:
            if process.returncode is None:
                process.kill()


async def test_a_life_from_ready_over_edits_to_a_quiet_end(tmp_path):
    directory = configured(tmp_path / "hub")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(PATIENCE)
        async with begun(directory, NOTIFY_SOCKET=str(tmp_path / "notify")) as daemon:
            up = await daemon.says("stackhub serves")
            assert (up["pipelines"], up["instances"], up["runs_taken_over"]) == (1, 1, 0)
            assert b"READY=1" in systemd.recv(4096)
            async with httpx.AsyncClient(base_url=up["address"]) as outside, daemon.client() as inside:
                assert (await outside.get("/readyz")).status_code == 200
                assert (await outside.get("/api/v1/pipelines")).json()[0]["pipeline"] == "long"

                (directory / "pipelines" / "long.yaml").write_text("pipeline: long\ntsaks: {}\n")
                daemon.process.send_signal(signal.SIGHUP)
                bad = await daemon.says("configuration refused")
                assert bad["place"] == "pipelines/long.yaml:1:1"
                assert (await inside.get("/api/v1/pipelines/long")).json()["tasks"][0]["task"] == "wait"

                (directory / "pipelines" / "long.yaml").write_text(PIPELINE + "description: mended\n")
                daemon.process.send_signal(signal.SIGHUP)
                assert (await daemon.says("configuration applied"))["changed"] == ["long"]
                assert (await inside.get("/api/v1/pipelines/long")).json()["description"] == "mended"

                run = (await inside.post("/api/v1/pipelines/long/trigger")).json()["run"]
                await at_work(inside, run)
                daemon.process.send_signal(signal.SIGTERM)
                leaving = await daemon.says("leaving; jobs go on")
                assert (leaving["signal"], leaving["grace"]) == ("SIGTERM", 10)
                assert await daemon.ends() == 0
        assert not (directory / ".stackhub" / "hub.sock").exists()
        assert any(b"STOPPING=1" in systemd.recv(4096) for _ in range(5))

    async with begun(directory) as daemon:  # the job was left alone, and is found again
        up = await daemon.says("stackhub serves")
        assert (up["runs_taken_over"], up["revision"]) == (1, 2)
        async with daemon.client() as inside:
            await anyio.to_thread.run_sync((directory / "gate").write_text, "go\n")
            shown = await at_work(inside, run, until="ended_at")
            assert shown["state"] == "succeeded"
            log = (await inside.get(f"/api/v1/runs/{run}/steps/wait/log")).json()
            assert log["text"] == "begun\nover\n"
        daemon.process.send_signal(signal.SIGINT)
        assert await daemon.ends() == 0


async def at_work(client: httpx.AsyncClient, run: str, until: str = "running") -> dict:
    """Follow a run until its step runs, or it has ended."""
    last = 0
    with anyio.fail_after(PATIENCE):
        while True:
            shown = (await client.get(f"/api/v1/runs/{run}")).json()
            if shown[until] if until == "ended_at" else shown["steps"][0]["state"] == "running":
                return shown
            events = (await client.get(f"/api/v1/runs/{run}/events", params={"after": last, "wait": 10})).json()
            last = events[-1]["id"] if events else last


async def test_a_second_signal_ends_it_at_once(tmp_path):
    async with begun(configured(tmp_path / "hub", more="STACKHUB_GRACE=1h\n")) as daemon:
        await daemon.says("stackhub serves")
        daemon.process.send_signal(signal.SIGSTOP)  # so that both signals are there when it wakes
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.send_signal(signal.SIGINT)
        daemon.process.send_signal(signal.SIGCONT)
        assert await daemon.ends() in {128 + signal.SIGTERM, 128 + signal.SIGINT}


# --- what keeps it from serving, in this process ---------------------------------------------------------------------


@pytest.fixture
def refused(capsys):
    """Serve what cannot be served; return the exit code and what was said."""
    root = logging.getLogger()
    kept = root.handlers, root.level

    async def serve_once(directory: Path) -> tuple[int, list[str]]:
        with anyio.fail_after(PATIENCE):
            code = await serving.serve(directory, {}, migrate=False)
        return code, capsys.readouterr().err.splitlines()

    yield serve_once
    root.handlers, root.level = kept
    structlog.reset_defaults()


async def test_a_bad_configuration_is_all_its_problems_and_2(tmp_path, refused):
    directory = configured(tmp_path / "hub", more="STACKHUB_PRT=1\n")
    (directory / "pipelines" / "long.yaml").write_text("pipeline: long\n")
    code, lines = await refused(directory)
    assert code == 2
    assert {line.partition(":")[0] for line in lines} == {"stackhub.env", "pipelines/long.yaml"}
    assert not (directory / ".stackhub").exists()


async def test_a_port_that_is_taken_is_one_line_and_2(tmp_path, refused):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, lines = await refused(configured(tmp_path / "hub", port=port))
    assert code == 2
    assert lines == [
        f"STACKHUB_PORT: 127.0.0.1:{port} is taken by another process: stop that one, or set STACKHUB_PORT to another"
    ]


async def test_a_second_hub_on_the_same_store_is_one_line_and_2(tmp_path, refused):
    directory = configured(tmp_path / "hub")
    held = HubLock.take(directory / ".stackhub" / "hub.lock")
    code, lines = await refused(directory)
    held.release()
    assert (code, len(lines)) == (2, 1)
    assert "is held by another stackhub" in lines[0]


async def test_a_database_that_is_not_ours_is_one_line_and_2(tmp_path, refused):
    with sqlite3.connect(tmp_path / "theirs.db") as theirs:
        theirs.execute("CREATE TABLE cats (name TEXT)")
    theirs.close()
    directory = configured(tmp_path / "hub", more=f"STACKHUB_DATABASE_URL=sqlite:///{tmp_path}/theirs.db\n")
    code, lines = await refused(directory)
    assert (code, len(lines)) == (2, 1)
    assert "is not a stackhub database" in lines[0]


async def test_a_state_directory_that_cannot_be_made_is_one_line_and_2(tmp_path, refused):
    directory = configured(tmp_path / "hub")
    (directory / ".stackhub").write_text("in the way")
    code, lines = await refused(directory)
    assert (code, len(lines)) == (2, 1)
    assert lines[0].startswith(f"{directory}/.stackhub: cannot be made (File exists): give it to the user")


def test_what_nobody_foresaw_is_logged_whole_and_1():
    broken = BaseExceptionGroup("loops", [BaseExceptionGroup("lanes", [ZeroDivisionError("in a loop")])])
    with capture_logs() as logged:
        assert serving._told(broken) == 1
    [line] = logged
    assert (line["log_level"], line["exc_info"]) == ("critical", broken.exceptions[0].exceptions[0])


# --- its unit --------------------------------------------------------------------------------------------------------


def test_the_unit_lets_jobs_live_and_restarts_what_a_restart_can_mend():
    lines = {line for line in UNIT.read_text().splitlines() if line and not line.startswith("#")}
    assert lines >= {
        "Type=notify",
        "KillMode=process",
        "OOMPolicy=continue",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "Restart=on-failure",
        "RestartPreventExitStatus=2",
    }
    assert not any(line.startswith(("PrivateTmp", "MemoryDenyWriteExecute", "RuntimeDirectory")) for line in lines)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
def test_systemd_understands_the_unit(tmp_path):
    unit = tmp_path / "stackhub.service"
    unit.write_text(UNIT.read_text().replace("/opt/stackhub/bin/stackhub", "/bin/true"))
    asked = ["systemd-analyze", "verify", "--man=no", str(unit)]
    verified = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert [line for line in verified.stderr.splitlines() if "stackhub.service" in line] == []
