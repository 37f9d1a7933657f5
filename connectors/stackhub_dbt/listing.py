"""What a selection holds, by dbt's own word; and what v1 parsed last, so that the next start need not."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import anyio

PARSED: Final = "partial_parse.msgpack"
MANIFEST: Final = "manifest.json"  # which a listing leaves in its target path as well
PATIENCE: Final = 300.0  # seconds for `dbt list`: 15 for 4,700 nodes with v1 on a quiet machine

# Kinds that a command runs; the others that a selection may hold (sources, exposures, metrics) are never built.
RUNS: Final[Mapping[str, frozenset[str]]] = {
    "build": frozenset({"function", "model", "saved_query", "seed", "snapshot", "test", "unit_test"}),
    "run": frozenset({"model"}),
    "seed": frozenset({"seed"}),
    "snapshot": frozenset({"snapshot"}),
    "test": frozenset({"test", "unit_test"}),
}


async def listed(argv: tuple[str, ...], cwd: Path, env: Mapping[str, str]) -> tuple[str, ...]:
    """Run a listing and return the unique ids it prints; () when it fails or takes too long."""
    with anyio.move_on_after(PATIENCE):
        try:
            done = await anyio.run_process(list(argv), cwd=cwd, env=env, check=False)
        except OSError:
            return ()
        return unique_ids(done.stdout) if done.returncode == 0 else ()
    return ()


def unique_ids(printed: bytes) -> tuple[str, ...]:
    """Read what ``dbt list --output json --output-keys unique_id`` prints, passing over what is none of it."""
    return tuple(unique for line in printed.splitlines() if (unique := _unique_id(line)))


def _unique_id(line: bytes) -> str:
    try:
        found = json.loads(line)
    except ValueError:
        return ""
    unique = found.get("unique_id") if isinstance(found, dict) else None
    return unique if isinstance(unique, str) else ""


class Parsed:
    """The partial parse that v1 left at the end of its last job.

    Each job writes into a target path of its own, and would so parse the whole project each time. dbt itself checks
    whether what it finds here fits the project's files, its version, profile and variables, and parses what does not.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.path = directory / PARSED

    def keep(self, target: Path) -> None:
        """Take over what a job left; whoever is reading the older one goes on reading it."""
        with suppress(OSError):  # v2 leaves none, and a full disk costs time only
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.replace(target / PARSED, self.path)  # noqa: PTH105 - the same, in one step

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Lend a directory that is removed afterwards."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._directory, ignore_cleanup_errors=True) as place:
            yield Path(place)
