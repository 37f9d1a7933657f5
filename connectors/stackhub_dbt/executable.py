"""Which dbt runs: found on this machine, asked once for its version, never imported."""

import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio

from stackhub.contract import Rejected

PATIENCE: Final = 60.0  # seconds for `dbt --version`: v1 imports for two of them on a quiet machine
WORDS: Final = 300  # characters of an answer that is none
DEAD: Final = "http://127.0.0.1:9"  # nobody listens on the discard port
ABSENT: Final = "connector 'dbt' needs dbt: pip install 'stackhub[dbt]', or set DBT_EXECUTABLE"

# v1: "Core:\n  - installed: 1.11.16"; v2: "dbt-fusion 2.0.0-preview.196", "dbt-core 2.0.0-alpha.4" (run 2026-11)
_SAID: Final = re.compile(r"(?:installed:|^dbt(?:-core|-fusion)?)\s+v?((\d+)\.\d+\S*)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dbt:
    """One executable and what it is."""

    path: str
    version: str  # "1.11.16", "2.0.0-preview.196"

    @property
    def is_v1(self) -> bool:
        """Whether it is dbt in Python; what follows is dbt in Rust, whose command line differs in places."""
        return self.version.startswith(("0.", "1."))


def locate(setting: str | None, directory: Path, python: str = sys.executable) -> str:
    """Return the path of the executable; a relative one in the settings starts at ``directory``.

    Without a setting it is the one beside ``python``, else the PATH's.

    Raises:
        Rejected: there is none.
    """
    if setting is None:
        beside = Path(python).with_name("dbt")
        found = str(beside) if os.access(beside, os.X_OK) else shutil.which("dbt")
    elif os.sep in setting:
        found = shutil.which(str(directory / Path(setting).expanduser()))
    else:
        found = shutil.which(setting)
    if found is None:
        raise Rejected(ABSENT if setting is None else f"DBT_EXECUTABLE: nothing that can be run at {setting}")
    return found


def version_in(said: str) -> str | None:
    """Read the version out of what ``dbt --version`` said; None when that is no dbt we know."""
    found = _SAID.search(said)
    return found[1] if found else None


class Versions:
    """Remembers what each executable said of itself, for as long as its file stays the same."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], str] = {}
        self._turn = anyio.Lock()  # who asks while another does waits for that answer: a start of dbt takes seconds

    async def ask(self, path: str, environment: Mapping[str, str]) -> Dbt:
        """Return the executable with its version; runs ``dbt --version`` once per file.

        v1 would use the occasion to look for newer ones on PyPI: it is given a proxy that nobody answers at.

        Raises:
            Rejected: it cannot be run, or is something else.
        """
        stat = os.stat(path)  # noqa: PTH116 - on the loop: one local file, following links
        file = (path, stat.st_mtime_ns, stat.st_size)
        async with self._turn:
            if file not in self._known:
                self._known[file] = await _asked(path, environment)
        return Dbt(path=path, version=self._known[file])


async def _asked(path: str, environment: Mapping[str, str]) -> str:
    quiet = {name: value for name, value in environment.items() if not name.lower().endswith("_proxy")}
    try:
        with anyio.fail_after(PATIENCE):
            done = await anyio.run_process(
                [path, "--version"], check=False, env={**quiet, "https_proxy": DEAD, "http_proxy": DEAD}
            )
    except TimeoutError:
        raise Rejected(f"{path} --version has not answered within {PATIENCE:.0f} s") from None
    except OSError as err:
        raise Rejected(f"{path} cannot be run: {err.strerror}") from None
    said = (done.stdout + done.stderr).decode("utf-8", "replace")
    version = version_in(said)
    if version is None:
        short = " ".join(said.split())[:WORDS] or "nothing"
        raise Rejected(f"{path} is not dbt, or not one that runs here (the dbt Cloud CLI does not): it says {short}")
    return version
