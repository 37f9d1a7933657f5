"""From options to a command line: pure. Never through a shell."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from stackhub_dbt.executable import Dbt
from stackhub_dbt.options import DbtSettings, SelectOptions

VERBS: Final[Mapping[str, tuple[str, ...]]] = {
    "build": ("build",),
    "run": ("run",),
    "test": ("test",),
    "seed": ("seed",),
    "snapshot": ("snapshot",),
    "source_freshness": ("source", "freshness"),
    "docs": ("docs", "generate"),
}

# dbt's own selection by earlier results: exact unique ids, whatever characters a test's name has and however many
# there are. `empty`: the tests of a selected model are not drawn in; those that are left are on the list themselves.
REST: Final = ("--select", "result:error", "--indirect-selection", "empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Where dbt reads, as the instance's settings have it; paths are absolute."""

    directory: Path
    profiles: Path | None = None
    profile: str | None = None
    target: str | None = None
    threads: int | None = None

    @classmethod
    def of(cls, settings: DbtSettings, directory: Path) -> "Project":
        """Read the settings; relative paths start at ``directory``."""
        profiles = settings.profiles_dir
        return cls(
            directory=(directory / settings.project_dir.expanduser()).absolute(),
            profiles=None if profiles is None else (directory / profiles.expanduser()).absolute(),
            profile=settings.profile,
            target=settings.target,
            threads=settings.threads,
        )


def command_line(
    dbt: Dbt,
    project: Project,
    operation: str,
    options: SelectOptions,
    place: Path,
    *,
    rest: bool,
    leave: tuple[str, ...] = (),
    interval: tuple[datetime, datetime] | None = None,
) -> tuple[str, ...]:
    """Return the argv of a job whose files are to be in ``place``.

    The log is read at ``info``: there a node's start and its end both appear, with their numbers, in v1 and v2. At
    ``debug`` v1 writes seven times as much (25 kB a node, measured): of a build of 2,000 nodes the middle of the output
    would be dropped, and with it what a retry has to know. An error's own words come at the end for that.

    ``rest``: run what ``run_results.json`` in ``place`` lists, in place of the selection. ``leave``: sources, by unique
    id; nothing downstream of them is run. ``interval``: the run's, for those models that want it.
    """
    return (
        dbt.path,
        *VERBS[operation],
        *_reading(project, options),
        *_own_paths(dbt, place),
        *("--log-format", "json", "--log-level", "info", "--no-version-check"),
        *(("--threads", str(threads)) if (threads := options.threads or project.threads) else ()),
        *(("--full-refresh",) if getattr(options, "full_refresh", False) else ()),
        *(("--fail-fast",) if getattr(options, "fail_fast", False) else ()),
        *(_event_time(*interval) if interval and getattr(options, "event_time", False) else ()),
        *((*REST, "--state", str(place)) if rest else _selection(options, leave)),
    )


def _event_time(start: datetime, end: datetime) -> tuple[str, ...]:
    """Name an interval as dbt reads it: whole seconds, in UTC without saying so. Each batch it touches is built."""
    first, last = (at.astimezone(UTC).replace(tzinfo=None, microsecond=0) for at in (start, end))
    if last == first or end.microsecond:
        last += timedelta(seconds=1)
    return "--event-time-start", first.isoformat(), "--event-time-end", last.isoformat()


def listing_line(
    dbt: Dbt, project: Project, options: SelectOptions, place: Path, leave: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Return the argv that prints the unique id of everything the selection holds, one JSON object a line."""
    return (
        dbt.path,
        *("--quiet", "list", "--output", "json", "--output-keys", "unique_id"),
        *_reading(project, options),
        *_own_paths(dbt, place),
        "--no-version-check",
        *_selection(options, leave),
    )


def below(sources: tuple[str, ...]) -> tuple[str, ...]:
    """Select all that is downstream of sources, by unique id: "source.shop.crm.customers"."""
    return tuple(f"source:{unique.partition('.')[2]}+" for unique in sources)


def preparing_line(dbt: Dbt, project: Project, verb: str, place: Path) -> tuple[str, ...]:
    """Return the argv of what is done before a job: ``deps`` or ``parse``."""
    paths = _own_paths(dbt, place)
    return (
        dbt.path,
        *("--quiet", verb),
        *_reading(project, SelectOptions()),
        *(paths if verb == "parse" else paths[2:]),  # packages have their place in the project
        "--no-version-check",
    )


def results_of(operation: str, left: tuple[str, ...]) -> bytes:
    """Return a ``run_results.json`` by which `REST` selects exactly these nodes.

    v2 passes over a file in which anything is missing, without a word (2.0.0-alpha.4, run 2026-11): keep it whole.
    """
    verb = " ".join(VERBS[operation])
    return json.dumps(
        {
            "metadata": {
                "dbt_schema_version": "https://schemas.getdbt.com/dbt/run-results/v6.json",
                "dbt_version": "1.11.0",
                "generated_at": "2026-01-01T00:00:00.000000Z",
                "invocation_id": "00000000-0000-0000-0000-000000000000",
                "env": {},
            },
            "results": [
                {
                    "unique_id": node,
                    "status": "error",
                    "timing": [],
                    "thread_id": "",
                    "execution_time": 0.0,
                    "adapter_response": {},
                    "message": None,
                    "failures": None,
                    "compiled": None,
                    "compiled_code": None,
                    "relation_name": None,
                }
                for node in left
            ],
            "elapsed_time": 0.0,
            "args": {"command": verb, "which": verb},
        }
    ).encode()


def defaults(dbt: Dbt, partial_parse: Path) -> dict[str, str]:
    """Return the variables that dbt is given unless the env file says otherwise.

    v1 reads ``partial_parse`` (what an earlier job parsed) and would not start if it were absent; it writes into its
    own target path only. Re-parsing nothing saves 1.8 s on 10 models and 12 s on 1,500 (1.12, measured 2026-11).
    """
    always = {"DBT_SEND_ANONYMOUS_USAGE_STATS": "0", "PYTHONUNBUFFERED": "1"}
    if not dbt.is_v1:
        return always
    parsed = {"DBT_PARTIAL_PARSE_FILE_PATH": str(partial_parse)} if partial_parse.is_file() else {}
    return {**always, "DBT_USE_FAST_TEST_EDGES": "1", **parsed}


def _reading(project: Project, options: SelectOptions) -> tuple[str, ...]:
    """Say what is read: project, profile, target, variables."""
    target = options.target or project.target
    return (
        *("--project-dir", str(project.directory)),
        *(("--profiles-dir", str(project.profiles)) if project.profiles else ()),
        *(("--profile", project.profile) if project.profile else ()),
        *(("--target", target) if target else ()),
        *(("--vars", json.dumps(options.vars, sort_keys=True)) if options.vars else ()),
    )


def _own_paths(dbt: Dbt, place: Path) -> tuple[str, ...]:
    """Keep what is written apart from every other job, and out of the project; of logs there is the one we read."""
    return (
        *("--target-path", str(place / "target")),
        *("--log-path", str(place / "logs")),
        *("--log-level-file", "none" if dbt.is_v1 else "off"),
    )


def _selection(options: SelectOptions, leave: tuple[str, ...]) -> tuple[str, ...]:
    """Write a selection; what is excluded wins over whatever is selected."""
    exclude = (*options.exclude, *below(leave))
    return (
        *(("--select", *options.select) if options.select else ()),
        *(("--exclude", *exclude) if exclude else ()),
        *(("--selector", options.selector) if options.selector else ()),
    )
