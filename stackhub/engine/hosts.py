"""Where jobs that are processes run. Such a job names its host in its handle, and before it has one in its baseline.

Only a hub of that host can see it, so only that one asks after it, stops it, or says that it was lost: whoever owns
the lane. The owner waits, and tells people when the host has been silent for long.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from stackhub.model.step import AT_WORK, Step, StepState
from stackhub.store.lanes import HOST


@dataclass(slots=True)
class Hosts:
    """The hosts of several hubs. ``mine`` is "" where a hub is alone: then it judges everything."""

    mine: str = ""
    silent: Mapping[str, timedelta] = field(default_factory=dict)  # those without a hub, and since how long

    def here(self, step: Step, *, standby: bool) -> bool:
        """Say whether a step is this hub's to attend. ``standby``: another one owns its lane."""
        host = host_of(step) if self.mine else ""
        return host == self.mine if host else not standby

    def lane(self, step: Step) -> str:
        """Return the lane under whose epoch an answer about a step is kept."""
        mine = self.mine and host_of(step) == self.mine
        return f"{HOST}{self.mine}" if mine else step.instance

    def gone(self, step: Step) -> str:
        """Return the host of a step, if it has no hub now that could ask after it; else ""."""
        host = host_of(step) if self.mine else ""
        return host if host in self.silent and host != self.mine else ""


def host_of(step: Step) -> str:
    """Return the host that a step's job is bound to; "" when it is at no host in particular."""
    if step.state not in AT_WORK:
        return ""
    known = step.handle or (step.baseline if step.state is StepState.STARTING else None) or {}
    return str(known.get("host", ""))
