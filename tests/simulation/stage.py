"""A world in which the true connectors stand before their own fake vendors, reached through httpx's transport.

What the spec says of ``tap`` is so of `fivetran` and `airbyte`, each with some of the connections; ``bell`` is `slack`
and ``horn`` is `pagerduty`. What calls do wrong there, HTTP exchanges do wrong here.
"""

import random
import sys
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import anyio
import httpx
from simulation.oracle import Oracle, Violation
from simulation.spec import Fault, Spec, Turn

from stackhub import registry
from stackhub.contract.sandbox import Breaks, Ends, Feed
from stackhub.contract.sandbox import Fault as Broken
from stackhub.contract.sandbox import Turn as Scripted
from stackhub.contract.sandbox import World as Vendors
from stackhub.sandbox.mount import Stage

# httpx asks for it at every exchange with a fake vendor; where it is not there, the whole path is searched each time.
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]  # Python's own mark of what cannot be imported

URL = "http://vendors"
STANDS_FOR = {"bell": "slack", "horn": "pagerduty"}
LONGEST = 2.0  # hours: these look often
NAMES = ("fivetran", "airbyte", "slack", "pagerduty")
SYNCS = ("fivetran", "airbyte")
BREAKS: dict[str, dict[str, Any]] = {
    "down": {"breaks": Breaks.STATUS, "status": 503},
    "patience": {"breaks": Breaks.STATUS, "status": 429},
    "before": {"breaks": Breaks.BEFORE},
    "after": {"breaks": Breaks.AFTER},
    "slow": {"breaks": Breaks.SLOW},
    "late": {"breaks": Breaks.SLOW},
    "hang": {"breaks": Breaks.HANG},
    "refused": {"breaks": Breaks.STATUS, "status": 401, "body": '{"code": "Unauthorized", "message": "no"}'},
    "rejected": {"breaks": Breaks.STATUS, "status": 400, "body": '{"code": "BadRequest", "message": "no"}'},
    "bug": {"breaks": Breaks.GARBAGE, "body": "<html>"},
    "unknown": {"breaks": Breaks.TRUNCATED},
    "missing": {"breaks": Breaks.STATUS, "status": 404, "body": '{"code": "NotFound", "message": "no"}'},
}
ENDS = {"ok": Ends.WELL, "failed": Ends.BADLY, "fatal": Ends.BADLY, "cancelled": Ends.CANCELLED, "never": Ends.NEVER}


def vendor_of(connection: str) -> str:
    """Say at whose a connection is."""
    return SYNCS[int(connection[1:]) % len(SYNCS)]


def made_real(spec: Spec) -> Spec:
    """Return the same world with the true connectors in it."""
    whole = spec.model_dump(exclude_defaults=True)
    instances = {STANDS_FOR.get(name, name): {} for name in whole["instances"] if name not in {"tap", "mill"}}
    instances |= {"mill": whole["instances"]["mill"], "fivetran": {}, "airbyte": {}}
    pipelines = [_pipeline(one) for one in whole["pipelines"]]
    faults = [fault for one in whole.get("faults", []) for fault in _faults(one)]
    people = [
        one for one in whole.get("people", []) if one["wish"] not in {"edit", "remove_instance", "restore_instance"}
    ]
    fallback = STANDS_FOR.get(spec.fallback, spec.fallback)
    whole["hours"] = min(spec.hours, LONGEST)
    changed = {"instances": instances, "pipelines": pipelines, "faults": faults, "people": people, "fallback": fallback}
    return Spec.model_validate({**whole, **changed, "others": [], "real": True})


def _pipeline(one: dict[str, Any]) -> dict[str, Any]:
    tasks = {name: _task(task) for name, task in one["tasks"].items()}
    made = {**one, "tasks": tasks}
    if "alerts" in one:
        made["alerts"] = [_route(route) for route in one["alerts"]]
    return made


def _task(task: dict[str, Any]) -> dict[str, Any]:
    if not task["uses"].startswith("tap."):
        return task
    return {**task, "uses": f"{vendor_of(task['with']['connection'])}.sync"}


def _route(route: dict[str, Any]) -> dict[str, Any]:
    made = {**route, "to": STANDS_FOR.get(route["to"], route["to"])}
    if made["to"] == "pagerduty":
        made.pop("channel", None)
    return made


def _faults(one: dict[str, Any]) -> list[dict[str, Any]]:
    if one["instance"] == "tap":
        return [{**one, "instance": name} for name in SYNCS]
    return [{**one, "instance": STANDS_FOR.get(one["instance"], one["instance"])}]


class RealVendors:
    """The stage of one world."""

    def __init__(self, spec: Spec, now: Callable[[], Any], at: Callable[[timedelta, Callable[[], Any]], Any]) -> None:
        self._spec, self._at = spec, at
        self.connectors = {name: registry.load(name) for name in NAMES}
        world = Vendors(now=now, sleep=anyio.sleep, rng=random.Random(spec.seed))
        self.vendors = {name: one.sandbox(world) for name, one in self.connectors.items()}
        self.stage = Stage(self.vendors)
        self._feeds: dict[str, Feed] = {}
        for task in (task for one in spec.pipelines for task in one["tasks"].values()):
            if task["uses"].partition(".")[0] in SYNCS:
                self._add(task["with"]["connection"])
        for fault in spec.faults:
            if fault.instance in self.vendors:
                self._plan(fault)

    def transport(self, instance: str) -> httpx.AsyncBaseTransport:
        """Lead to the stage."""
        del instance
        return httpx.ASGITransport(app=self.stage)

    def settings(self, name: str) -> dict[str, str]:
        """Return what an instance's env file must hold."""
        return dict(self.stage.environment(URL).get(name, {}))

    def _add(self, connection: str) -> None:
        if connection in self._feeds:
            return
        name = vendor_of(connection)
        number = f"{int(connection[1:]):012}"
        ids = {"fivetran": connection, "airbyte": f"00000000-0000-4000-8000-{number}"}
        feed = self._feeds[connection] = Feed(id=ids[name], name=connection, schema=connection, seconds=60.0)
        self.stage.add(name, feed)
        turns = self._spec.turns.get(f"tap:{connection}", [])
        if turns:
            self.vendors[name].script(feed.id, *[_scripted(turn) for turn in turns * 5])

    def _plan(self, fault: Fault) -> None:
        vendor = self.vendors[fault.instance]
        headers = {"Retry-After": f"{fault.seconds:g}"} if fault.kind == "patience" else {}
        broken = Broken(times=fault.times, headers=headers, seconds=fault.seconds, **BREAKS[fault.kind])

        def end() -> None:
            broken.times = 0

        self._at(timedelta(seconds=fault.at), lambda: vendor.faults.append(broken))
        self._at(timedelta(seconds=fault.until), end)

    def heal(self) -> None:
        """Make all well: what hung ends, and nothing new goes wrong."""
        for vendor in self.vendors.values():
            vendor.faults.clear()
        for connection, feed in self._feeds.items():
            vendor = self.vendors[vendor_of(connection)]
            vendor.script(feed.id)
            vendor.release(feed.id)

    def check(self, oracle: Oracle) -> None:
        """Check what the vendors show: one job for an intent, and one message for an incident on a route."""
        intents = Counter(connection for connection, _ in oracle.intents)
        for connection, feed in self._feeds.items():
            turns = self._spec.turns.get(f"tap:{connection}", [])
            if any(turn.put_off is not None and turn.put_off.again for turn in turns):
                continue  # its vendor puts a sync off for good: the same intent begins another
            began = self.vendors[vendor_of(connection)].started(feed.id)
            if began > intents[connection]:
                raise Violation(2, f"{connection}: {began} syncs began there, and {intents[connection]} were meant")
        for name in ("slack", "pagerduty"):
            alike = name == "pagerduty"  # its alert is the incident, whichever routes lead to it
            told = {place[0] for place in oracle.outbox if place[1].endswith(".root") and _to(place) == name}
            meant = {place.partition("|")[0] for place in told} if alike else told
            shown = self.vendors[name].shown()
            if len(shown) > len(meant):
                raise Violation(
                    4, f"{name} shows {len(shown)} messages, and {len(meant)} were meant: {shown[-1].lines}"
                )
            one = "incident" if alike else "incident, route"
            sent = f"SELECT DISTINCT {one} FROM outbox WHERE instance = ? AND part = 'root' AND state = 'sent'"
            begun = (
                "json_extract(message, '$.event') <> 'resolved'"  # what is over before it is told is shown to nobody
            )
            least = len(oracle.reader.rows(f"{sent} AND {begun}", name))
            if len(shown) < least:
                raise Violation(4, f"{name} shows {len(shown)} messages, and {least} were sent")

    @property
    def requests(self) -> int:
        """Return how many reached them."""
        return sum(len(vendor.requests) for vendor in self.vendors.values())


def _to(place: tuple[str, str]) -> str:
    return place[0].partition("|")[2].removeprefix("fallback:").partition(":")[0]


def _scripted(turn: Turn) -> Scripted:
    off = turn.put_off is not None and turn.put_off.again
    return Scripted(ends=Ends.RESCHEDULED if off else ENDS[turn.ends], seconds=turn.seconds, reason="it broke")
