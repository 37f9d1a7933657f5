"""What becomes of a step when the wall clock is set: it goes on measuring as if it had not been. Pure.

A wait, a timeout, a doubt are lengths of time, kept as times of day. They move with the clock, so that none is longer
for a clock set back, and none over at once for one set forward. A time that the vendor has named stays as it is.
"""

from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from stackhub.model.step import TERMINAL, Step, StepState

MEASURED: Final = ("call_deadline", "attempt_at", "stalled_at", "deferred_at", "odd_since", "stop_at")


def shifted(step: Step, by: timedelta) -> Step:
    """Return a step by the clock as it has been set; the same step where nothing in it is measured."""
    if step.state in TERMINAL:
        return step
    names = MEASURED if step.state is StepState.DEFERRED and not step.stop else (*MEASURED, "due")
    moved: dict[str, datetime] = {name: at + by for name in names if (at := getattr(step, name)) is not None}
    return replace(step, **moved) if moved else step
