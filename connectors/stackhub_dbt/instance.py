"""One dbt project: its commands as processes that outlive the hub, read by their log."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from signal import SIGINT, SIGKILL
from typing import Final

import anyio

from stackhub.contract import (
    Answer,
    Aside,
    Baseline,
    ConnectorError,
    Context,
    Finished,
    Found,
    Handle,
    Job,
    Json,
    Node,
    Pending,
    Permission,
    Progress,
    Reading,
    Rejected,
    Search,
    Unavailable,
    in_thread,
)
from stackhub.launch import Command, Ended, Launcher, Lost, ProcessJobs, Running, environment
from stackhub_dbt import command, preparing, probe
from stackhub_dbt.events import Story
from stackhub_dbt.executable import ABSENT, Dbt, Versions, locate
from stackhub_dbt.files import Files
from stackhub_dbt.listing import MANIFEST, Parsed, listed
from stackhub_dbt.log import render
from stackhub_dbt.options import DbtSettings, SelectOptions
from stackhub_dbt.preparing import Preparing
from stackhub_dbt.readings import Readings, reading
from stackhub_dbt.results import read_results, reconcile
from stackhub_dbt.resuming import Resuming, kept, read
from stackhub_dbt.revision import revision
from stackhub_dbt.secrecy import hiding
from stackhub_dbt.transient import judged
from stackhub_dbt.verdict import Facts, given_up, judge, lost, noted

OUTPUT: Final = "output"  # both streams: what is no event (a usage error, a traceback) stands in its place among them
PIECE: Final = 4 * 2**20  # bytes of it read at once
REST: Final = "run_results.json"  # the file in a job's directory that lists what it is to run; the job's own is deeper
SETTLED: Final = "settled.json"  # the file that lists what failed for good before, and is not tried again
REVISION: Final = "revision"  # of the project's files: in a baseline, a handle, a result
PATIENCE: Final = 30.0  # seconds for a look at the project's files: thousands of them, far away, never read before
ASKED: Final = "asked_to_stop"  # the file in a job's directory that says so
# SIGTERM kills dbt at once, v1 and v2, and its queries go on in the warehouse; at SIGINT it cancels them. v1 cancels
# those of that very moment only: a model between two statements begins the next, and dbt waits for it. A second SIGINT
# makes v1 give up (it dies of SIGABRT while a thread is at work). Run with 1.11.16 and 2.0.0-alpha.4 in 2026-11.
LADDER: Final = (SIGINT, SIGINT, SIGKILL)


@dataclass(slots=True)
class _Followed:
    """How far one job's output has been read, and what it has said up to there."""

    story: Story
    offset: int = 0
    turn: anyio.Lock = field(default_factory=anyio.Lock)


class DbtProject:
    """Runs dbt, one process per job, each with a target and log path of its own.

    What a job has said is kept in memory as far as it was read; another hub, or this one after a restart, reads it
    again from the beginning.
    """

    def __init__(self, settings: DbtSettings, context: Context, launcher: Launcher) -> None:
        self._executable = settings.executable
        self._directory = context.directory
        self._launcher = launcher
        self._project = command.Project.of(settings, context.directory)
        state = context.state.absolute() / "dbt" / context.instance
        self._parsed = Parsed(state)
        self._resuming = Resuming(self._project, self._parsed)
        self._readings = Readings(state / "read")
        self._versions = Versions()
        self._further = {name: value.get_secret_value() for name, value in settings.further.items()}
        by = json.dumps([str(self._project), settings.executable, self._further], sort_keys=True)
        self._aside = Aside(f"the files of {self._project.directory}", PATIENCE)
        self._files = Files(self._project.directory, self._project.profiles, state, by)
        self._hide = hiding(self._further.values())
        self._preparing = Preparing(settings.prepare, state / "prepared", self.fingerprint)
        self._followed: dict[str, _Followed] = {}
        self._jobs = ProcessJobs(launcher, finish=self._finish, going=self._going, ladder=LADDER)

    # --- jobs ---------------------------------------------------------------------------------------------------

    async def prepare(self, job: Job) -> Baseline:
        """Note which dbt is going to run, on which host, and the revision of the files that it is going to read.

        Where they have changed, what DBT_PREPARE asks for is done first.

        Raises:
            Rejected: there is no dbt, or no project, or dbt refuses it.
            Unavailable: its packages cannot be had now, or its files do not answer.
        """
        if not await self._aside.run((self._project.directory / probe.PROJECT_FILE).is_file):
            raise Rejected(f"no {probe.PROJECT_FILE} in {self._project.directory}: set DBT_PROJECT_DIR")
        env = self._environment(job)
        dbt = await self._dbt(env)
        await self._preparing.done(partial(self._prepared, dbt, env))
        return {"dbt": dbt.version, "host": self._launcher.host, REVISION: await self._revision()}

    async def start(self, job: Job, baseline: Baseline, key: str) -> Handle | Finished:
        """Start dbt; under a key that has a process already, return that.

        A retry runs what the selection holds less what earlier attempts have built, by their ``nodes``, and less what
        failed for good. For the first dbt is asked (`dbt list`, one more start of dbt), because an attempt that was
        killed did not tell all that it was going to run, and because `--exclude` takes a model's tests away with the
        model. Where the listing fails, or nothing would be left since only a hook had failed, everything selected is
        run again; where nothing is left but what failed for good, that is the end.

        Raises:
            Rejected: there is no dbt.
            Unavailable: the process could not be started.
        """
        facts = _facts(job, baseline)
        if isinstance(found := self._jobs.find(key, **facts), Found):
            return found.handle
        env = self._environment(job)
        dbt = await self._dbt(env)
        env = {**command.defaults(dbt, self._parsed.path), **env}
        left = await self._resuming.left(dbt, job, env)
        if left.over:
            return given_up(left.settled)
        argv = command.command_line(
            dbt,
            self._project,
            job.operation,
            job.options,
            self._launcher.place(key),
            rest=bool(left.ids),
            leave=job.leave,
            interval=job.interval,
        )
        files = {REST: command.results_of(job.operation, left.ids)} if left.ids else {}
        files |= {SETTLED: kept(left.settled)} if left.settled else {}
        asked = Command(argv=argv, cwd=self._project.directory, env=env, files=files, merge_output=True)
        return await self._jobs.start(key, asked, **facts)

    async def poll(self, handles: Sequence[Handle]) -> Sequence[Answer]:
        """Read what each process has said since the last time, and how it ended if it has."""
        return [await self._answer(handle) for handle in handles]

    async def find(self, job: Job, baseline: Baseline, key: str) -> Search:
        """Look for the directory of the key."""
        return self._jobs.find(key, **_facts(job, baseline))

    async def cancel(self, handle: Handle) -> None:
        """Send the next signal: twice SIGINT, at which dbt cancels its queries, then SIGKILL.

        Raises:
            Unavailable: it runs on another host.
            Rejected: it runs as somebody else.
        """
        asked = self._launcher.directory(handle) / ASKED
        if isinstance(self._launcher.look(handle), Running):
            asked.touch()
        try:
            await self._jobs.cancel(handle)
        except ConnectorError:
            asked.unlink(missing_ok=True)
            raise

    # --- what it reads ------------------------------------------------------------------------------------------

    async def fingerprint(self) -> str:
        """Name the project's files by their content, as they are now; dbt is not started for it.

        Raises:
            Unavailable: they do not answer.
        """
        home = environment(Job(operation="list", options=SelectOptions()), self._further).get("HOME", "")
        return await self._aside.run(self._files.name, home)

    async def reading(self, job: Job) -> Reading:
        """Let dbt read the project and say what the selection holds, unless it did so of these very files before.

        Both come of one `dbt list`.

        Raises:
            Rejected: there is no dbt, the project cannot be parsed, or nothing is selected.
            Unavailable: files of the project were changed meanwhile, or do not answer.
        """
        project = await self.fingerprint()
        known = await in_thread(self._readings.get, project, job)
        if known is not None:
            return known
        env = self._environment(job)
        dbt = await self._dbt(env)
        env = {**command.defaults(dbt, self._parsed.path), **env}
        with self._parsed.scratch() as place:
            argv = command.listing_line(dbt, self._project, job.options, place)
            holds = await listed(argv, self._project.directory, env)
            manifest = place / "target" / MANIFEST
            if not holds or not manifest.is_file():
                raise Rejected(f"dbt lists nothing to build in {self._project.directory}: try `dbt list` there")
            self._parsed.keep(place / "target")
            read = await in_thread(manifest.read_bytes)
        if await self.fingerprint() != project:
            raise Unavailable(f"files in {self._project.directory} were changed while dbt read them")
        await in_thread(self._readings.keep, project, job, read, holds)
        return reading(project, job, read, holds)

    # --- what people look at ------------------------------------------------------------------------------------

    def read_log(self, handle: Handle, offset: int, most: int) -> tuple[str, int]:
        """Return what dbt said, a line for each event."""
        over = not isinstance(self._launcher.look(handle), Running)
        data, _ = self._launcher.read(handle, OUTPUT, offset, most)
        cut = len(data) == most
        text, size = render(data, self._hide, whole=b"\n" not in data if cut else over)
        return text, offset + size

    async def check(self) -> Sequence[Permission]:
        """Say whether dbt, project and profile are there."""
        env = self._environment(Job(operation="check", options=SelectOptions()))
        try:
            dbt = await self._dbt(env)
        except Rejected as err:
            first = Permission(name="dbt runs", ok=False, detail=str(err), remedy=ABSENT)
        else:
            first = probe.of_executable(dbt.path, dbt.version)
        return [first, *await self._aside.run(probe.of_files, self._project, env.get("HOME", ""))]

    # --- inside -------------------------------------------------------------------------------------------------

    def _environment(self, job: Job) -> dict[str, str]:
        return environment(job, self._further)

    async def _prepared(self, dbt: Dbt, env: dict[str, str], verb: str) -> None:
        """Do one thing of DBT_PREPARE; what was parsed is kept for the job."""
        env = {**command.defaults(dbt, self._parsed.path), **env}
        with self._parsed.scratch() as place:
            argv = command.preparing_line(dbt, self._project, verb, place)
            await preparing.run(verb, argv, self._project.directory, env, self._hide)
            self._parsed.keep(place / "target")

    async def _revision(self) -> str:
        return await self._aside.run(revision, self._project.directory)

    async def _dbt(self, env: dict[str, str]) -> Dbt:
        path = await self._aside.run(locate, self._executable, self._directory)  # it may stand in the project
        return await self._versions.ask(path, env)

    async def _answer(self, handle: Handle) -> Answer:
        match self._launcher.look(handle):
            case Lost(note):
                story, _ = await self._catch_up(handle)
                self._followed.pop(handle["key"], None)
                return lost(note, judged(await self._nodes(handle, story)))
            case _:
                [answer] = await self._jobs.poll([handle])
                return answer

    async def _going(self, handle: Handle, _running: Running) -> Pending:
        story, changed = await self._catch_up(handle)
        if not story.planned:
            return Pending(note="dbt is reading the project", nodes=changed)
        progress = Progress(done=story.done, total=story.total, text="nodes")
        return Pending(progress=progress, nodes=changed)

    async def _finish(self, handle: Handle, ended: Ended) -> Finished:
        story, _ = await self._catch_up(handle)
        place = self._launcher.directory(handle)
        cancelled = (place / ASKED).exists()
        nodes = judged(await self._nodes(handle, story, believed=not cancelled))
        if ended.code in {0, 1}:  # else it may have died while writing it
            self._parsed.keep(place / "target")
        facts = Facts(
            ended=ended,
            operation=handle["operation"],
            cancelled=cancelled,
            rest=(place / REST).exists(),
            settled=await in_thread(_settled, place),
        )
        before = after = handle.get(REVISION, "")
        with suppress(Unavailable):  # it has ended, whatever becomes of the files
            after = await self._revision()
        self._followed.pop(handle["key"], None)
        return noted(judge(facts, story, nodes), before, after)

    async def _nodes(self, handle: Handle, story: Story, *, believed: bool = True) -> tuple[Node, ...]:
        """Return every node as it was left; what an interrupted dbt writes at its end is not ``believed``."""
        target = self._launcher.directory(handle) / "target"
        results = await in_thread(read_results, target, self._hide) if believed else ()
        return reconcile(story.nodes, frozenset(story.ended), results)

    async def _catch_up(self, handle: Handle) -> tuple[Story, tuple[Node, ...]]:
        """Read to the end of what is there now; return the story and the nodes that changed."""
        followed = self._followed.setdefault(handle["key"], _Followed(Story(self._hide)))
        async with followed.turn:
            changed = await in_thread(self._read_on, handle, followed)
        return followed.story, changed

    def _read_on(self, handle: Handle, followed: _Followed) -> tuple[Node, ...]:
        changed: dict[str, Node] = {}
        while True:
            data, followed.offset = self._launcher.read(handle, OUTPUT, followed.offset, PIECE)
            if not data:
                return tuple(changed.values())
            changed.update((node.id, node) for node in followed.story.feed(data))


def _settled(place: Path) -> tuple[Node, ...]:
    try:
        return read((place / SETTLED).read_bytes())
    except (OSError, ValueError, TypeError):
        return ()


def _facts(job: Job, baseline: Baseline) -> dict[str, Json]:
    """Return what a handle says besides where the process is; a lost dbt may always be tried again."""
    return {"operation": job.operation, "repeatable": True, REVISION: baseline.get(REVISION, "")}
