"""A small configuration of real jobs, and `main` with what it printed."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stackhub.cli import main

SHOP = """
pipeline: shop
description: A small shop
owner: finance-data
schedule: {cron: "0 6 * * 1-5", timezone: Europe/Berlin}
sla: {finish_by: "07:30", max_duration: 75m}
defaults: {retries: {attempts: 1}}
tasks:
  orders: {uses: shell.run, with: {command: "echo 1042 orders"}}
  payments: {uses: python.run, with: {script: payments.py}}
  marts: {uses: shell.run, with: {command: "echo built"}, needs: [orders, payments]}
"""
BROKEN = """
pipeline: broken
defaults: {retries: {attempts: 1}}
tasks:
  good: {uses: shell.run, with: {command: "echo fine"}}
  bad: {uses: shell.run, with: {command: "echo the disk is full >&2; exit 3"}, needs: [good]}
  after: {uses: shell.run, with: {command: "echo never"}, needs: [bad]}
"""
LONG = """
pipeline: long
defaults: {retries: {attempts: 1}}
tasks:
  endless: {uses: shell.run, with: {command: "echo begun > ready; exec sleep 1000"}}
"""


@dataclass(frozen=True)
class Printed:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Stackhub = Callable[..., Printed]


def _small_configuration(place: Path, patch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("STACKHUB_")]:
        patch.delenv(name)
    for name, value in {"STACKHUB_CONFIG": str(place), "USER": "ada", "LOGNAME": "ada"}.items():
        patch.setenv(name, value)
    pipelines = place / "pipelines"
    pipelines.mkdir()
    (pipelines / "shop.yaml").write_text(SHOP)
    (pipelines / "broken.yaml").write_text(BROKEN)
    (pipelines / "long.yaml").write_text(LONG)
    (place / "payments.py").write_text("print('1038 payments')\n")
    os.mkfifo(place / "ready")  # whoever reads it waits until the endless job has begun
    return place


@pytest.fixture(scope="session")
def small_configuration() -> Callable[[Path, pytest.MonkeyPatch], Path]:
    """Write the configuration, and point the environment at it."""
    return _small_configuration


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return _small_configuration(tmp_path, monkeypatch)


@pytest.fixture
def stackhub(directory: Path, capfd: pytest.CaptureFixture[str]) -> Stackhub:
    """Carry out a command line in this process."""

    def call(*argv: str) -> Printed:
        capfd.readouterr()
        code = main(list(argv))
        out, err = capfd.readouterr()
        return Printed(code, out, err)

    return call


def _console(*argv: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "stackhub", *argv]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **{**pipes, **options})


@pytest.fixture
def console(directory: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start the real program."""
    return _console


@contextmanager
def _start(*argv: str, until: str, stream: str = "stderr") -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    with _console(*argv, **({"stdout": subprocess.DEVNULL} if stream == "stderr" else {})) as process:
        said: list[str] = []
        try:
            for line in getattr(process, stream):
                said.append(line)
                if until in line:
                    break
            assert process.poll() is None, "".join(said)
            yield process, said
        finally:
            process.terminate()
            process.communicate(timeout=30)


@pytest.fixture(scope="session")
def start() -> Callable[..., Any]:
    """Have the real program run until it has said something, and end it afterwards; yields it and what it said."""
    return _start


@dataclass(frozen=True)
class Sandbox:
    """The fake vendors, in a process of their own."""

    url: str
    files: dict[str, str]  # env file -> its lines, as they are printed

    def configure(self, directory: Path, *names: str) -> None:
        """Point a configuration at these vendors, or at all."""
        for name in names or self.files:
            path = directory / f"{name}.env"
            path.write_text(self.files[name])
            path.chmod(0o600)


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One sandbox for all tests: what it shows grows from test to test."""
    place = str(tmp_path_factory.mktemp("sandbox"))
    with _start("--config", place, "sandbox", "--port", "0", until="What has been asked", stream="stdout") as (_, said):
        text = "".join(said)
        blocks = re.findall(r"^(\w+)\.env:\n((?:  .*\n)+)", text, re.MULTILINE)
        files = {name: re.sub(r"^  ", "", block, flags=re.MULTILINE) for name, block in blocks}
        yield Sandbox(re.search(r"http://127.0.0.1:\d+", text)[0], files)
