"""Real daemons in processes of their own, killed with SIGKILL at random instants: `./run simulate --real --runs 200`.

The vendors outlive them on a port of this process; the builds are dbt's on DuckDB where dbt is installed.
"""

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "daemon"))

from siege import DBT, besieged

LONGEST = 1.5  # seconds of a life, once it is let live
RARELY = 15.0


def main(arguments: list[str]) -> int:
    """Besiege a daemon; 1 when something was done twice, or forgotten."""
    parser = argparse.ArgumentParser(prog="./run simulate --real", description=__doc__)
    parser.add_argument("--runs", type=_positive, default=20, help="how often it is killed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shell", action="store_true", help="builds are a shell's, even where dbt is installed")
    asked = parser.parse_args(arguments)
    return anyio.run(partial(_siege, asked.runs, asked.seed, with_dbt=DBT.exists() and not asked.shell))


async def _siege(kills: int, seed: int, *, with_dbt: bool) -> int:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="stackhub-siege-") as root:
        async with besieged(Path(root) / "house", seed, with_dbt=with_dbt) as siege:
            try:
                await siege.endure(kills, LONGEST, rarely=RARELY, progress=_show)
            except AssertionError as err:
                print(f"seed {seed}, after {siege.kills} kills and {len(siege.runs)} runs: {err}")
                return 1
            builds = "dbt" if with_dbt else "shell"
            seconds = time.monotonic() - began
            print(f"{siege.kills} kills, {len(siege.runs)} runs with {builds} builds: all well ({seconds:.0f} s)")
            return 0


def _show(kills: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{kills} kills", end="", file=sys.stderr, flush=True)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: should be 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
