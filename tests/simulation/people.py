"""What people do: they edit the configuration, well and badly, and ask the hub for things, whether it is there or not."""

import json
import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from simulation.oracle import RUN_OVER, Oracle
from simulation.spec import Person, Spec

from stackhub.config.read import Configuration, read
from stackhub.errors import ConfigError
from stackhub.model.ids import Ids
from stackhub.store.tables import micros

COMMANDS = {"trigger", "cancel", "retry", "skip", "pause", "resume", "close", "test", "mute", "unmute"} | {
    "backfill",
    "cancel_backfill",
}

TICKING = {"schedule", "calendars"}
CATALOG = "11m"  # between looks at what an account holds


class Desk:
    """The configuration's directory, and who edits it."""

    def __init__(
        self, root: Path, spec: Spec, connectors: dict[str, Any], given: Callable[[str], dict[str, str]]
    ) -> None:
        """``given``: what an instance's file must hold beside what the spec says."""
        self.root, self._given = root, given
        self._spec, self._connectors = spec, connectors
        self.pipelines = {one["pipeline"]: one for one in spec.pipelines}
        self.instances = dict(spec.instances)
        self.broken = False
        self._good = dict(self.pipelines), dict(self.instances)
        self._known: dict[str, Configuration | ConfigError] = {}  # by what the files say
        hub = f"STACKHUB_GRACE=1s\nSTACKHUB_RETENTION={spec.retention}\nSTACKHUB_LEASE={spec.lease:g}s\n"
        hub += f"STACKHUB_CATALOG_EVERY={CATALOG}\nSTACKHUB_WATCH={CATALOG}\n" if spec.lists else ""
        self._write("stackhub.env", hub + (f"STACKHUB_FALLBACK={spec.fallback}\n" if spec.fallback else ""))
        self._lay_out()

    def _write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(text)
        file.chmod(0o600)

    def _lay_out(self) -> None:
        for old in [*self.root.glob("pipelines/*.yaml"), *self.root.glob("*.env")]:
            if old.name != "stackhub.env":
                old.unlink()
        for name, settings in self.instances.items():
            own = name.partition(".")[0].upper()
            lines = [f"{own}_{key.upper()}={value}\n" for key, value in settings.items()]
            lines += [f'{key}="{value}"\n' for key, value in self._given(name).items()]
            self._write(f"{name}.env", "".join(lines))
        for name, pipeline in self.pipelines.items():
            self._write(f"pipelines/{name}.yaml", json.dumps(pipeline))
        if self.broken:
            self._write("pipelines/broken.yaml", "pipeline: broken\ntasks: {a: {uses: tap.sink}}\n")

    def read(self) -> Configuration:
        """Read the directory. Raises `ConfigError`."""
        said = json.dumps([self.pipelines, self.instances, self.broken], sort_keys=True)
        if said not in self._known:
            try:
                self._known[said] = read(self.root, {}, self._connectors.__getitem__, self._connectors)
            except ConfigError as err:
                self._known[said] = err
        found = self._known[said]
        if isinstance(found, ConfigError):
            raise ConfigError(*found.problems)
        self._good = dict(self.pipelines), dict(self.instances)
        return found

    def edit(self, person: Person) -> None:
        """Change the files as somebody wishes."""
        name = person.what.get("pipeline", "")
        who = person.what.get("instance", "")
        match person.wish:
            case "edit" if name in self.pipelines:
                self.pipelines[name] = person.what["to"]
            case "remove":
                self.pipelines.pop(name, None)
            case "restore":
                self.pipelines |= {one["pipeline"]: one for one in self._spec.pipelines if one["pipeline"] == name}
            case "remove_instance":
                self.instances.pop(who, None)
            case "restore_instance" if who in self._spec.instances:
                self.instances[who] = self._spec.instances[who]
            case "bad_edit":
                self.broken = True
            case _:
                return
        self._lay_out()

    def mend(self) -> None:
        """Put back what was good."""
        self.pipelines, self.instances = dict(self._good[0]), dict(self._good[1])
        self.broken = False
        self._lay_out()

    def rest(self) -> list[str]:
        """Take the schedules from those pipelines that are to go on by themselves; return their names."""
        found = [name for name, one in self.pipelines.items() if goes_on(one)]
        for name in found:
            self.pipelines[name] = {key: value for key, value in self.pipelines[name].items() if key not in TICKING}
        self._lay_out()
        return found

    def is_good(self) -> bool:
        """Say whether it can be read."""
        try:
            self.read()
        except ConfigError:
            return False
        return True

    @property
    def notifiers(self) -> list[str]:
        """Return who is told by default."""
        return [name for name in self.instances if self._connectors[name.partition(".")[0]].route is not None]


def goes_on(pipeline: dict[str, Any]) -> bool:
    """Say whether a pipeline may have something to do without any tick."""
    parts = any("partial" in task.get("with", {}) for task in pipeline["tasks"].values())
    return parts or any("landed" in trigger for trigger in pipeline.get("triggers", ()))


@dataclass
class Crowd:
    """Those who ask the hub for things."""

    oracle: Oracle
    database: Path
    hub_now: Callable[[], datetime]
    ids: Ids = field(default_factory=lambda: Ids(random.Random(99)))

    def wish(self, person: Person) -> tuple[str, dict[str, Any]] | None:
        """Return a command and its arguments; None where there is nothing to ask for."""
        what = {name: value for name, value in person.what.items() if name not in {"to", "instance"}}
        pipeline = what.pop("pipeline", "")
        match person.wish:
            case "trigger" | "pause" | "resume" | "test":
                return person.wish, {"pipeline": pipeline, **what}
            case "cancel":
                run = self._run(person, [run_id for run_id, run in self._runs() if run.state not in RUN_OVER])
                return ("cancel", {"run": run}) if run else None
            case "retry":
                over = [run_id for run_id, run in self._runs() if run.state in {"failed", "cancelled"}]
                run = self._run(person, over or [run_id for run_id, _ in self._runs()])
                return ("retry", {"run": run, **what}) if run else None
            case "skip":
                run = self._run(person, [run_id for run_id, run in self._runs() if run.state != "succeeded"])
                if not run:
                    return None
                steps = sorted(self.oracle.runs[run].steps)
                return "skip", {"run": run, "task": steps[person.pick % len(steps)], "reason": "not today"}
            case "mute":
                until = self.hub_now() + timedelta(minutes=what["minutes"])
                return "mute", {"target": what["target"], "until": until.isoformat(), "reason": "we know"}
            case "unmute":
                return "unmute", what
            case "backfill":
                return "backfill", {"pipeline": pipeline, "to": what.pop("until"), **what}
            case "cancel_backfill":
                found = self.oracle.reader.rows("SELECT id FROM backfill WHERE ended_at IS NULL ORDER BY id")
                return ("cancel_backfill", {"backfill": found[person.pick % len(found)]["id"]}) if found else None
            case "close":
                open_ones = sorted(self.oracle.open.values())
                if not open_ones:
                    return None
                return "close", {"incident": open_ones[person.pick % len(open_ones)], "reason": "seen"}
        return None

    def _runs(self) -> Any:
        return sorted(self.oracle.runs.items())

    def _run(self, person: Person, found: list[str]) -> str:
        return found[person.pick % len(found)] if found else ""

    def leave_word(self, kind: str, args: dict[str, Any]) -> None:
        """Keep a command for a hub that is not there, as the command line does."""
        now = self.hub_now()
        connection = sqlite3.connect(self.database, isolation_level=None)
        connection.execute(
            "INSERT INTO command (id, kind, args, by, created_at) VALUES (?, ?, ?, 'ada', ?)",
            (self.ids.make(now), kind, json.dumps(args), micros(now)),
        )
        connection.close()
