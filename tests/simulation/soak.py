"""A real daemon at work for long: `./run simulate --soak --minutes 60`. Prints how its memory grows, if it does.

Several pipelines run every few seconds against played vendors: syncs that succeed, some that fail, builds by a shell,
messages to Slack and PagerDuty. History is swept meanwhile, as in production, only that it is kept for two minutes.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "daemon"))

from house import FEEDS, House, open_house

from stackhub.contract.sandbox import Ends, SyncVendor, Turn

EVERY = 2  # seconds between the runs of a pipeline
MANY = 4  # pipelines
SAMPLES = 60
WARM = 3  # the first of so many parts of the samples is left out: what is made once is made then
PIPELINE = """
pipeline: shop_%d
schedule: {every: %ds}
overlap: skip
tasks:
  crm:      {uses: fivetran.sync, with: {connection: crm}, retries: {attempts: 1}}
  payments: {uses: airbyte.sync,  with: {connection: Payments}, retries: {attempts: 1}}
  marts:    {uses: shell.run, needs: [crm, payments], with: {command: "echo built"}}
alerts:
  - {to: slack, channel: "#data-alerts", on: [failed]}
  - {to: pagerduty, on: [failed]}
"""


@dataclass(frozen=True)
class Sample:
    """How the daemon stands."""

    hours: float
    rss: float  # MB
    files: int
    threads: int
    store: float  # MB


def main(arguments: list[str]) -> int:
    """Soak; 1 when the daemon ended by itself."""
    parser = argparse.ArgumentParser(prog="./run simulate --soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    asked = parser.parse_args(arguments)
    if asked.minutes <= 0:
        parser.error(f"--minutes {asked.minutes:g}: should be more than 0")
    return anyio.run(partial(_soak, asked.minutes))


async def _soak(minutes: float) -> int:
    with tempfile.TemporaryDirectory(prefix="stackhub-soak-") as root:
        async with open_house(Path(root) / "house") as house:
            _furnish(house)
            await house.start()
            samples = [_sample(house, 0.0)]
            _show(samples[0])
            for part in range(1, SAMPLES + 1):
                await house.lives_for(minutes * 60 / SAMPLES)
                samples.append(_sample(house, minutes / 60 * part / SAMPLES))
                _show(samples[-1])
            answer = await house.ask("GET", "/metrics")
            await house.kill()
    warm = samples[len(samples) // WARM :]
    hours = [one.hours for one in warm]
    slope, level = statistics.linear_regression(hours, [one.rss for one in warm])
    per_file, _ = statistics.linear_regression(hours, [float(one.files) for one in warm])
    print(f"{_ended(answer.text):.0f} runs in {minutes:g} minutes")
    print(f"RSS {level:.1f} MB, slope {slope:+.2f} MB an hour; open files {per_file:+.1f} an hour")
    return 0


def _furnish(house: House) -> None:
    (house.directory / "pipelines" / "shop.yaml").unlink()
    for number in range(MANY):
        text = PIPELINE % (number, EVERY)
        (house.directory / "pipelines" / f"shop_{number}.yaml").write_text(text)
    with (house.directory / "stackhub.env").open("a") as env:
        env.write("STACKHUB_RETENTION=2m\n")
    for vendor, feeds in FEEDS.items():
        played = house.stage.vendors[vendor]
        assert isinstance(played, SyncVendor)
        for feed in feeds:
            ends = [Turn(ends=Ends.WELL, seconds=0.2)] * 9 + [Turn(ends=Ends.BADLY, seconds=0.2, reason="soaked")]
            played.script(feed.id, *ends * 5000)


def _sample(house: House, hours: float) -> Sample:
    assert house.daemon is not None
    proc = Path("/proc") / str(house.daemon.pid)
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines() if ":" in line)
    return Sample(
        hours=hours,
        rss=int(status["VmRSS"].split()[0]) / 1024,
        files=len(list((proc / "fd").iterdir())),
        threads=int(status["Threads"]),
        store=sum(path.stat().st_size for path in house.state.glob("stackhub.db*")) / 2**20,
    )


def _show(one: Sample) -> None:
    print(
        f"{one.hours * 60:7.1f} min  RSS {one.rss:6.1f} MB  files {one.files:3d}  threads {one.threads:2d}"
        f"  store {one.store:6.1f} MB",
        flush=True,
    )


def _ended(metrics: str) -> float:
    lines: Sequence[str] = metrics.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("stackhub_runs_ended_total{"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
