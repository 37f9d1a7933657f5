"""Predicted against happened, over simulated months: are warnings right, and how long before the deadline do they come?

Nights of a pipeline whose tasks' times are drawn; each is foretold by the hub's own decisions (`decide.forecast`), which
know only the nights before. The Brier score is the mean square of what was said less what happened: 0 is perfect, and
what always says how often it happens is the base rate's.
"""

import itertools
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from row import Row

from stackhub.decide import create, forecast
from stackhub.decide.ahead import Ahead
from stackhub.decide.history import learnt
from stackhub.model.pipeline import Need, Pipeline, Task
from stackhub.model.run import Interval, OpenRun, Trigger
from stackhub.model.step import Step, StepState

T0: Final = datetime(2026, 1, 1, 5, tzinfo=UTC)
MINUTE: Final = timedelta(minutes=1)
NIGHTS, LEARNING, SEEDS = 180, 20, 2
LEADS: Final = (60, 40, 20, 10, 5)  # minutes before the deadline at which every open run is asked
USUAL: Final = {"crm": 30.0, "web": 20.0, "shop": 25.0, "ads": 10.0, "staging": 12.0, "marts": 20.0}  # minutes
NEEDS: Final = {"staging": ("crm", "web"), "marts": ("staging", "shop", "ads")}
MISSED: Final = 0.2  # of the nights
BINS: Final = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0001)
PIPELINE: Final = Pipeline(
    name="revenue",
    tasks=tuple(
        Task(
            name=name,
            connector="x",
            operation="y",
            instance="x",
            needs=tuple(Need(task=other) for other in NEEDS.get(name, ())),
        )
        for name in USUAL
    ),
)


@dataclass
class Said:
    """What was said of the nights, and what happened."""

    pairs: dict[int, list[tuple[float, bool]]] = field(default_factory=lambda: {lead: [] for lead in LEADS})
    leads: list[float] = field(default_factory=list)  # minutes between a warning and the deadline that was missed
    missed: int = 0
    wrongly: int = 0  # warned nights that were in time
    nights: int = 0


def calibration() -> list[Row]:
    """Foretell nights whose tasks are independent, and nights of which some are slow as a whole."""
    rows = []
    for name, slow in (("independent tasks", 0.0), ("one night in ten slow as a whole", 0.1)):
        lives = [_months(random.Random(seed), slow) for seed in range(SEEDS)]
        for lead in LEADS:
            said = [life.pairs[lead] for life in lives]
            base = statistics.mean(_base(pairs) for pairs in said)
            scores = [_brier(pairs) for pairs in said]
            rows.append(Row("P12", f"{name}: Brier score {lead} min before", "", scores, base, "base rate", "below it"))
        every = [pair for life in lives for pairs in life.pairs.values() for pair in pairs]
        for low, high in itertools.pairwise(BINS):
            mine = [happened for risk, happened in every if low <= risk < high]
            if mine:
                label = f"{name}: missed, of {len(mine)} said to be {low:.0%} to {min(high, 1):.0%}"
                rows.append(Row("P12", label, "%", [100 * sum(mine) / len(mine)]))
        warned = [100 * len(life.leads) / max(life.missed, 1) for life in lives]
        wrong = [100 * life.wrongly / life.nights for life in lives]
        rows.append(Row("P12", f"{name}: misses that were told before", "%", warned))
        rows.append(Row("P12", f"{name}: nights that were warned of and in time", "%", wrong))
        rows.append(Row("P12", f"{name}: how long before", "min", [statistics.median(life.leads) for life in lives]))
    return rows


def _months(rng: random.Random, slow: float) -> Said:
    drawn = [_durations(rng, slow) for _ in range(2000)]
    total = sorted(max(_ends(one).values()) for one in drawn)
    within = total[int((1 - MISSED) * len(total))]
    known: dict[str, tuple[float, ...]] = {}
    said = Said()
    for night in range(NIGHTS):
        lasts = _durations(rng, slow)
        if night >= LEARNING:
            _foretell(said, lasts, known, within)
        known = {name: learnt(known.get(name, ()), minutes * 60) for name, minutes in lasts.items()}
    return said


def _durations(rng: random.Random, slow: float) -> dict[str, float]:
    all_of_it = rng.uniform(1.3, 1.8) if rng.random() < slow else 1.0
    return {name: usual * all_of_it * rng.lognormvariate(0, 0.15) for name, usual in USUAL.items()}


def _ends(lasts: Mapping[str, float]) -> dict[str, float]:
    ends: dict[str, float] = {}
    for name, minutes in lasts.items():
        ends[name] = max((ends[need] for need in NEEDS.get(name, ())), default=0.0) + minutes
    return ends


def _foretell(said: Said, lasts: Mapping[str, float], known: Mapping[str, Sequence[float]], within: float) -> None:
    ends = _ends(lasts)
    end, deadline = max(ends.values()), T0 + within * MINUTE
    missed, warned = end > within, 0.0
    said.nights += 1
    said.missed += missed
    now, moves = T0, sorted(T0 + minutes * MINUTE for minutes in ends.values())
    while now < deadline and now < T0 + end * MINUTE:
        ahead = Ahead(at=deadline, open_run=_run(lasts, ends, now), histories=known)
        if ahead.tells(now):
            warned = (deadline - now) / MINUTE
            break
        now = min([ahead.look_again(now), *(at for at in moves if at > now)])
    if missed and warned:
        said.leads.append(warned)
    said.wrongly += bool(warned) and not missed
    for lead in LEADS:
        now = deadline - lead * MINUTE
        if T0 <= now < T0 + end * MINUTE:
            outlook = forecast.of_run(_run(lasts, ends, now), known, now)
            if outlook is not None:
                said.pairs[lead].append((outlook.risk(deadline), missed))


def _run(lasts: Mapping[str, float], ends: Mapping[str, float], now: datetime) -> OpenRun:
    interval = Interval(start=T0 - timedelta(days=1), end=T0)
    made = create.new(PIPELINE, run_id="R", trigger=Trigger.SCHEDULE, interval=interval, now=T0)
    steps = {}
    for name, minutes in lasts.items():
        began, ended = T0 + (ends[name] - minutes) * MINUTE, T0 + ends[name] * MINUTE
        state = StepState.SUCCEEDED if ended <= now else StepState.RUNNING if began <= now else StepState.WAITING
        steps[name] = Step(run="R", task=name, instance="x", state=state, began_at=began if began <= now else None)
    return OpenRun(run=made.run, pipeline=PIPELINE, steps=steps)


def _brier(pairs: Sequence[tuple[float, bool]]) -> float:
    return statistics.mean((risk - happened) ** 2 for risk, happened in pairs)


def _base(pairs: Sequence[tuple[float, bool]]) -> float:
    rate = sum(happened for _, happened in pairs) / len(pairs)
    return rate * (1 - rate)
