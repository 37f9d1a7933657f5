"""Measures what `docs/benchmarks.md` lists, each beside its floor; prints a table and writes JSON.

    ./run bench                        all of them, on SQLite
    ./run bench p2 p7                  some
    ./run bench p7 --database both     on SQLite, then on PostgreSQL
    ./run bench --json FILE            where the numbers go (default: .benchmarks.json)
    ./run bench --markdown             the table as docs/benchmarks.md has it

No number here fails anything: machines are shared and noisy. Each measure is repeated; medians, with min and max.
"""

import argparse
import gc
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parent))

import calibration
import detection
import flight
import growth
import idle
import installed
import manifest
import measures
import places
import writes
from rich.console import Console
from rich.table import Table
from row import Row

BENCHMARKS: Final[Mapping[str, Callable[[str], list[Row]]]] = {
    "p1": measures.hand_off,
    "p1poll": lambda _: detection.detection(),
    "p2": measures.chain,
    "p2b": measures.processes,
    "p3": measures.fan_out,
    "p4": flight.waiting,
    "p5": lambda _: idle.idle_hub(),
    "p7": writes.transitions,
    "p8": flight.recovery,
    "p9": lambda _: manifest.planning(),
    "p10": growth.growth,
    "p11": lambda _: installed.size(),
    "p12": lambda _: calibration.calibration(),
}
HEAD: Final = ("", "database", "measure", "median", "min", "max", "floor", "times the floor", "bar")
ONCE: Final = frozenset({"p1poll", "p5", "p9", "p11", "p12"})  # whatever the database


def main() -> int:
    """Run the chosen benchmarks."""
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__.splitlines()[0])
    parser.add_argument("which", nargs="*", choices=[*BENCHMARKS, []], help="by default all")
    parser.add_argument("--database", choices=[*places.KINDS, "both"], default="sqlite")
    parser.add_argument("--json", type=Path, default=Path(".benchmarks.json"))
    parser.add_argument("--markdown", action="store_true")
    chosen = parser.parse_args()
    kinds = places.KINDS if chosen.database == "both" else (chosen.database,)
    gc.collect()
    gc.freeze()  # as the daemon does with what it has imported
    rows: list[Row] = []
    with places.held:
        for name in chosen.which or BENCHMARKS:
            for kind in kinds[:1] if name in ONCE else kinds:
                print(f"{name} ({kind}) ...", file=sys.stderr, flush=True)
                rows += BENCHMARKS[name](kind)
    if chosen.markdown:
        print(_machine(), "", *_markdown(rows), sep="\n")
    else:
        table = Table(*HEAD, title=_machine())
        for row in rows:
            table.add_row(*row.cells())
        Console(width=180 if not sys.stdout.isatty() else None).print(table)
    chosen.json.write_text(json.dumps({"machine": _machine(), "rows": [row.plain() for row in rows]}, indent=2) + "\n")
    return 0


def _markdown(rows: Sequence[Row]) -> list[str]:
    lines = [HEAD, tuple("---" for _ in HEAD), *(tuple(row.cells()) for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def _machine() -> str:
    return f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    raise SystemExit(main())
