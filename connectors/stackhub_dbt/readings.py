"""What dbt has read of a project, kept for as long as its files stay the same: a start of dbt takes seconds."""

import json
import os
import tempfile
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

from stackhub.contract import Job, Reading
from stackhub_dbt.listing import RUNS

MOST: Final = 4  # manifests: one of a large project has 11 MB


class Readings:
    """Keeps manifests by what they were made of, and selections beside them. Blocks."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, project: str, job: Job) -> Reading | None:
        """Return what was read of the project as it is now for this job; None where that was never read."""
        place, name = self._directory / _manifest(project, job), _selection(job)
        try:
            holds = json.loads((place / name).read_bytes())
            manifest = (place / "manifest.json").read_bytes()
        except (OSError, ValueError):
            return None
        return reading(project, job, manifest, tuple(holds))

    def keep(self, project: str, job: Job, manifest: bytes, holds: tuple[str, ...]) -> None:
        """Keep what was read; a full disk costs time only."""
        place = self._directory / _manifest(project, job)
        with suppress(OSError):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(place / "manifest.json", manifest)
            _write(place / _selection(job), json.dumps(holds).encode())
            self._tidy()

    def _tidy(self) -> None:
        kept = sorted(self._directory.iterdir(), key=lambda one: one.stat().st_mtime_ns, reverse=True)
        for old in kept[MOST:]:
            for file in old.iterdir():
                file.unlink()
            old.rmdir()


def reading(project: str, job: Job, manifest: bytes, holds: tuple[str, ...]) -> Reading:
    """Say what a job will build of what its selection holds."""
    kinds = RUNS.get(job.operation, frozenset())
    selected = tuple(one for one in holds if one.partition(".")[0] in kinds)
    return Reading(project=project, manifest=manifest, selected=selected)


def _manifest(project: str, job: Job) -> str:
    return _digest([project, job.options.target, job.options.vars])


def _selection(job: Job) -> str:
    options = job.options
    return f"{_digest([options.select, options.exclude, options.selector])}.json"


def _digest(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


def _write(path: Path, data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    os.replace(file.name, path)  # noqa: PTH105 - the same, in one step
