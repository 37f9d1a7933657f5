"""Measures what `docs/benchmarks.md` lists, each beside its floor; prints a table and writes JSON.

    ./run bench                 all of them
    ./run bench p2 p7           some
    ./run bench --json FILE     where the numbers go (default: .benchmarks.json)

No number here fails anything: machines are shared and noisy. Each measure is repeated; medians, with min and max.
"""

import argparse
import json
import os
import platform
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import anyio
import idle
import installed
import measures
import writes
from rich.console import Console
from rich.table import Table
from row import Row

BENCHMARKS = {
    "p1": lambda: anyio.run(measures.hand_off),
    "p2": lambda: anyio.run(measures.chain),
    "p3": lambda: anyio.run(measures.fan_out),
    "p5": idle.idle_hub,
    "p7": lambda: anyio.run(writes.transitions),
    "p11": installed.size,
}


def main() -> int:
    """Run the chosen benchmarks."""
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__.splitlines()[0])
    parser.add_argument("which", nargs="*", choices=[*BENCHMARKS, []], help="by default all")
    parser.add_argument("--json", type=Path, default=Path(".benchmarks.json"))
    chosen = parser.parse_args()
    rows: list[Row] = []
    for name in chosen.which or BENCHMARKS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows += BENCHMARKS[name]()
    table = Table("", "measure", "median", "min", "max", "floor", "times the floor", "bar", title=_machine())
    for row in rows:
        table.add_row(*row.cells())
    Console(width=160 if not sys.stdout.isatty() else None).print(table)
    chosen.json.write_text(json.dumps({"machine": _machine(), "rows": [row.plain() for row in rows]}, indent=2) + "\n")
    return 0


def _machine() -> str:
    return f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    raise SystemExit(main())
