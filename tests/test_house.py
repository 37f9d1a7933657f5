"""The house itself: its lock, its door, its version."""

import importlib.metadata
import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

import stackhub

ROOT = Path(__file__).parent.parent

PYPROJECT = """
[build-system]
requires = []
[project]
dependencies = ["httpx>=0.28"]
[project.optional-dependencies]
[dependency-groups]
"""


@pytest.fixture(scope="module")
def locked() -> ModuleType:
    spec = importlib.util.spec_from_file_location("locked", ROOT / ".ci" / "locked.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_lock_satisfies_pyproject(locked):
    lock = (ROOT / "requirements.lock").read_text()
    assert locked.complaints((ROOT / "pyproject.toml").read_text(), lock) == []


@pytest.mark.parametrize(
    ("lock", "complaint"),
    [
        ("anyio==4.0 \\\n    --hash=sha256:00\n", "does not have httpx"),
        ("httpx==0.27.1 \\\n    --hash=sha256:00\n", "has httpx 0.27.1, and pyproject.toml wants >=0.28"),
        ("httpx==0.28.1\n", "no hash for httpx"),
        ("httpx==0.28.1 \\\n    --hash=sha256:00\nanyio>=4\n", "not a pinned version: anyio>=4"),
        ("--index-url https://packages.invalid/simple\n", "names a host: --index-url https://packages.invalid/simple"),
    ],
)
def test_a_lock_that_would_not_do_is_told_why(locked, lock, complaint):
    assert complaint in locked.complaints(PYPROJECT, lock)


def test_a_good_lock_has_no_complaints(locked):
    assert locked.complaints(PYPROJECT, "httpx==0.28.1 \\\n    --hash=sha256:00\n") == []


def test_the_version_is_the_one_that_was_built():
    assert stackhub.__version__ == importlib.metadata.version("stackhub")


def test_an_unknown_verb_shows_the_usage_and_exits_with_2():
    asked = subprocess.run([ROOT / "run", "nonsense"], capture_output=True, text=True, check=False)
    assert asked.returncode == 2
    assert "usage: ./run VERB" in asked.stderr


def test_every_connector_is_found_through_its_entry_point():
    found = {entry.name: entry.value for entry in importlib.metadata.entry_points(group="stackhub.connectors")}
    packages = {path.name for path in (ROOT / "connectors").iterdir() if (path / "__init__.py").exists()}
    ours = {value.partition(":")[0].partition(".")[0] for value in found.values()}
    assert packages <= ours
