"""Worlds from seeds, each watched by an oracle after every event.

    ./run simulate --seed 7              the world of seed 7, and what came of it
    ./run simulate --runs 2000           as many, from --seed on; --jobs at once
    ./run simulate --several --runs 200  worlds in which several hubs share a database
    ./run simulate --spec FILE           a world as it is written there
    ./run simulate --weeks 48            one hub for so long, and what it keeps, week by week
    ./run simulate --deaths [STORY...]   the hub dies at every await of each story in turn
    ./run simulate --real [--runs N]     real processes, killed at random instants
    ./run simulate --soak [--minutes N]  one real daemon at work for long; how its memory grows

A seed that fails is printed with the invariant that does not hold; then it is made smaller, and what is left of it is
printed as JSON, for --spec. Exit 0: all holds; 1: something does not; 2: what was asked for makes no sense.
"""

import argparse
import gc
import importlib.util
import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import structlog
from simulation.dice import roll
from simulation.shrink import shrink
from simulation.spec import Spec, read
from simulation.world import Told, live

from stackhub.errors import ConfigError

SHRINK_FOR = 300.0  # seconds, at most
GARBAGE = 20_000  # objects made between looks for those that nobody has any more
SHOWN = 5  # failures that are made smaller
ELSEWHERE = {"--deaths": "simulation.deaths", "--real": "simulation.real", "--soak": "simulation.soak"}


def main(arguments: list[str]) -> int:
    """Do what is asked."""
    for flag, module in ELSEWHERE.items():
        if flag in arguments and importlib.util.find_spec(module) is not None:
            rest = [word for word in arguments if word != flag]
            return importlib.import_module(module).main(rest)
    try:
        asked = _asked(arguments)
        _make_ready()
        if asked.weeks is not None:
            from simulation import longlife

            return longlife.main(asked.weeks, asked.seed)
        specs = [read(asked.spec)] if asked.spec is not None else None
    except ConfigError as err:
        print(f"simulate: {err}", file=sys.stderr)
        return 2
    began = time.monotonic()
    told: list[Told] = []
    failed: list[tuple[Spec, str]] = []
    worlds = 1 if specs else asked.runs
    for spec, result in _all(specs, asked):
        if isinstance(result, ConfigError):
            print(f"simulate: {_named(asked, spec)}: {result}", file=sys.stderr)
            return 2
        if isinstance(result, Told):
            told.append(result)
        else:
            failed.append((spec, result))
            print(f"{_named(asked, spec)}: {result}", flush=True)
        _show_progress(len(told) + len(failed), worlds, len(failed))
    _summarise(told, len(failed), time.monotonic() - began)
    for spec, why in sorted(failed, key=lambda one: one[0].seed)[:SHOWN]:
        _make_smaller(asked, spec, why)
    return 1 if failed else 0


def _asked(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./run simulate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", default="0")
    parser.add_argument("--runs", default="1")
    parser.add_argument("--jobs", default=str(os.cpu_count() or 1))
    parser.add_argument("--weeks")
    parser.add_argument("--spec", type=Path)
    parser.add_argument("--several", action="store_true", help="worlds of several hubs alone")
    parser.add_argument("--as-it-is", action="store_true", help="print a failing spec, do not make it smaller")
    asked = parser.parse_args(arguments)
    for name, least in (("seed", 0), ("runs", 1), ("jobs", 1), ("weeks", 1)):
        given = getattr(asked, name)
        if given is not None:
            if not given.isdecimal() or int(given) < least:
                raise ConfigError(f"--{name} {given}: should be a whole number, {least} or more")
            setattr(asked, name, int(given))
    return asked


def _make_ready() -> None:
    """Let hubs log nothing: thousands of them have nothing to say that the oracle does not. And look for cycles less."""
    gc.freeze()
    gc.set_threshold(GARBAGE, 20, 20)
    quiet = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=quiet, cache_logger_on_first_use=True)
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)  # of hubs that were killed


def _all(specs: list[Spec] | None, asked: argparse.Namespace) -> Iterator[tuple[Spec, Told | ConfigError | str]]:
    if specs is not None:
        yield from ((spec, _outcome(spec)) for spec in specs)
        return
    seeds, rolled = range(asked.seed, asked.seed + asked.runs), partial(roll, several=asked.several)
    if asked.jobs == 1 or asked.runs == 1:
        yield from ((rolled(seed), _outcome(rolled(seed))) for seed in seeds)
        return
    with ProcessPoolExecutor(asked.jobs, initializer=_make_ready) as pool:
        for seed, outcome in zip(seeds, pool.map(partial(_of_seed, several=asked.several), seeds), strict=True):
            yield rolled(seed), outcome


def _of_seed(seed: int, *, several: bool) -> Told | ConfigError | str:
    return _outcome(roll(seed, several=several))


def _outcome(spec: Spec) -> Told | ConfigError | str:
    """Run a world; say what does not hold there."""
    try:
        return live(spec)
    except ConfigError as err:
        return err
    except Exception as err:  # noqa: BLE001 - whatever it is, it is what the world came to
        return f"{type(err).__name__}: {err}"


def _show_progress(done: int, worlds: int, failed: int) -> None:
    if sys.stderr.isatty() and worlds > 1:
        print(f"\r{done} of {worlds} worlds, {failed} failed", end="\n" if done == worlds else "", file=sys.stderr)


def _summarise(told: list[Told], failed: int, seconds: float) -> None:
    simulated = sum((one.simulated for one in told), timedelta())
    sums = {name: sum(getattr(one, name) for one in told) for name in ("events", "lives", "runs", "calls", "messages")}
    print(
        f"{len(told) + failed} worlds, {failed} failed; {simulated} simulated, {sums['lives']} lives of hubs, "
        f"{sums['runs']} runs, {sums['calls']} calls, {sums['messages']} messages, {sums['events']} events; {seconds:.1f} s"
    )


def _named(asked: argparse.Namespace, spec: Spec) -> str:
    return str(asked.spec) if asked.spec else f"seed {spec.seed}{' --several' if asked.several else ''}"


def _make_smaller(asked: argparse.Namespace, spec: Spec, why: str) -> None:
    kind, until = _kind(why), time.monotonic() + SHRINK_FOR
    if not asked.as_it_is:
        spec = shrink(spec, lambda one: time.monotonic() < until and _kind(_outcome(one)) == kind)
    print(f"{_named(asked, spec)}: {_outcome(spec)}\n{spec.text()}")


def _kind(outcome: Told | ConfigError | str) -> str:
    """Return what two failures must share to be taken for the same."""
    return outcome[:24] if isinstance(outcome, str) else ""


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
