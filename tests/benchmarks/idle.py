"""P5: a hub with nothing to do, as a process of its own."""

import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from afloat import free_port, memory, processor
from row import Row

WATCHED = 10.0  # seconds over which the idle hub's processor time is read


def idle_hub() -> list[Row]:
    """Start the daemon three times; measure start, memory and processor time."""
    ready, held, busy, floor = [], [], [], []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        floor.append((time.perf_counter() - start) * 1000)
        with tempfile.TemporaryDirectory() as name:
            port = free_port()
            directory = Path(name)
            (directory / "stackhub.env").write_text(f"STACKHUB_PORT={port}\nSTACKHUB_LOG_LEVEL=error\n")
            (directory / "pipelines").mkdir()
            (directory / "pipelines" / "p.yaml").write_text(
                'pipeline: p\nschedule: {cron: "0 0 1 1 *"}\ntasks:\n  t: {uses: shell.run, with: {command: "true"}}\n'
            )
            start = time.perf_counter()
            hub = subprocess.Popen([sys.executable, "-m", "stackhub", "--config", name, "serve"])
            try:
                _await_answer(port, hub, "/readyz")
                ready.append((time.perf_counter() - start) * 1000)
                _await_answer(port, hub, "/")  # the API, which is imported after that
                before = processor(hub.pid)
                with suppress(subprocess.TimeoutExpired):
                    hub.wait(WATCHED)
                busy.append((processor(hub.pid) - before) / WATCHED * 100)
                held.append(memory(hub.pid))
            finally:
                hub.send_signal(signal.SIGTERM)
                hub.wait(20)
    return [
        Row("P5", "idle hub: start to /readyz", "ms", ready, min(floor), "starting Python", "1,000 ms"),
        Row("P5", "idle hub: memory (PSS)", "MB", held, 9.0, "Python itself", "90 MB"),
        Row("P5", "idle hub: share of a core", "%", busy, bar="0.5 %"),
    ]


def _await_answer(port: int, hub: subprocess.Popen[bytes], path: str) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and hub.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
                wire.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                if wire.recv(64).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            with suppress(subprocess.TimeoutExpired):
                hub.wait(0.01)
    raise RuntimeError(f"the hub did not become ready; exit code {hub.poll()}")
