"""SQL: one job is some statements, or a query whose result has to hold, in a process that outlives the hub.

What a run knows of itself (``:interval_start``) and what a task is handed (``params``) is bound to the statements by
the database's driver; nothing is ever put into their text.
"""

import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path
from subprocess import PIPE
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import anyio

from stackhub.contract import (
    Context,
    Finished,
    Handle,
    Job,
    Json,
    Limits,
    Operation,
    Options,
    Outcome,
    Permission,
    Rejected,
    Settings,
    StartIs,
)
from stackhub.contract.sandbox import FakeVendor, World
from stackhub.launch import Command, CommandJobs, Launcher, environment
from stackhub.launch.commands import LIMITS
from stackhub_sql.options import Asked, SqlCheck, SqlRun, SqlSettings

PACKAGES: Final = Path(__file__).parent.parent  # where this package is found
ANSWER: Final = "answer.json"  # what came of it
MOST: Final = 64 * 1024  # bytes of it; the runner writes less
LARGEST: Final = 2**20  # bytes of a file of SQL
PATIENCE: Final = 20  # seconds for a probe
NOT_RUN: Final = frozenset({126, 127})  # exit codes: the interpreter was never there
NO_URL: Final = "no database is named: set SQL_URL in sql.env, or url: ${NAME} in the task"
UNSEEN: Final = "the statements may have been carried out; look before you run them again"


class Sql:
    """The connector."""

    name = "sql"
    summary = "Runs SQL, and checks what a query returns: PostgreSQL, DuckDB, SQLite, and what SQLAlchemy speaks."
    settings: type[Settings] = SqlSettings
    operations: Mapping[str, Operation] = {
        "run": Operation(
            options=SqlRun,
            summary="Carry out statements.",
            start_is=StartIs.KEYED,
            settle=timedelta(),
            cancellable=True,
        ),
        "check": Operation(
            options=SqlCheck,
            summary="See that what a query returns is as it has to be.",
            start_is=StartIs.KEYED,
            settle=timedelta(),
            cancellable=True,
        ),
    }
    route: type[Options] | None = None

    def limits(self, _settings: SqlSettings) -> Limits:
        """Say what a host bears; the database bears as many as ``SQL_MAX_ACTIVE`` says."""
        return LIMITS

    @asynccontextmanager
    async def open(self, settings: SqlSettings, context: Context) -> AsyncIterator[CommandJobs]:
        """Open one instance; what runs already is heard of again when it is polled."""
        url = settings.url.get_secret_value() if settings.url is not None else ""

        def build(job: Job, directory: Path) -> Command:
            """Make the command of a job; all that matters goes through its standard input."""
            asked: Asked = job.options
            question = {
                "url": asked.url.get_secret_value() if asked.url is not None else url,
                "statements": _statements(asked, context.directory),
                "params": {**_own(job), **asked.params},
                "transaction": getattr(asked, "transaction", True),
                "wanted": {**asked.wanted, "show": asked.show} if isinstance(asked, SqlCheck) else None,
                "who": f"stackhub {job.pipeline}.{job.task}",
                "answer": str(directory / ANSWER),
            }
            if not question["url"]:
                raise Rejected(NO_URL)
            return _command(question, context.directory, environment(job))

        async def check() -> Sequence[Permission]:
            """Connect, and ask for nothing."""
            if not url:
                detail = "SQL_URL is not set: each task names its own url"
                return [Permission(name="the database answers", ok=True, detail=detail)]
            return [await _tried(url, context.directory)]

        with Launcher(context, secrets=_secrets(url)) as launcher:

            def answer(handle: Handle) -> Mapping[str, Any]:
                """Read what the runner left."""
                try:
                    found = json.loads(launcher.read(handle, ANSWER, 0, MOST)[0])
                except ValueError:
                    return {}
                return found if isinstance(found, dict) else {}

            def result(handle: Handle) -> tuple[Mapping[str, object], str]:
                """Read what came of it."""
                left = answer(handle)
                return left.get("result", {}), str(left.get("error", ""))

            def judge(handle: Handle, end: Finished) -> Finished:
                """Say whether it may be tried again."""
                return judged(end, answer(handle), repeatable=bool(handle.get("repeatable")))

            yield CommandJobs(launcher, build=build, check=check, result=result, judge=judge)

    def sandbox(self, _world: World) -> FakeVendor | None:
        """Nothing to play: SQLite runs anywhere."""
        return None


def judged(end: Finished, left: Mapping[str, Any], *, repeatable: bool) -> Finished:
    """Say whether what has failed may be tried again: only what repeats nothing, unless the task says that it may."""
    if end.ok:
        return end
    if "error" in left:
        return replace(end, retryable=bool(left.get("again")) or (repeatable and end.retryable))
    if "result" in left:  # it had done its work, and was killed with its supervisor
        return Finished(outcome=Outcome.OK, result={"code": 0, **left["result"]})
    never = end.retryable and not end.result  # the process has not begun
    if repeatable or never or end.result.get("code") in NOT_RUN:
        return end
    return replace(end, retryable=False, note=f"{end.note}\n{UNSEEN}".strip())


def _statements(asked: Asked, directory: Path) -> list[tuple[str, Sequence[str]]]:
    """Read a task's statements, from the pipeline or from a file, as it is now."""
    texts = asked.texts
    if asked.file is not None:
        path = directory / asked.file.expanduser()
        try:
            if path.stat().st_size > LARGEST:
                raise Rejected(f"file: {path} is larger than {LARGEST:,} bytes; data is loaded by other ways than SQL")
            texts = (path.read_text(encoding="utf-8-sig"),)
        except OSError as err:
            raise Rejected(f"file: {path} cannot be read: {err.strerror}") from None
        except UnicodeDecodeError:
            raise Rejected(f"file: {path} is not UTF-8") from None
    try:
        return [(one.verb, one.parts) for one in asked.read(texts)]
    except ValueError as err:
        raise Rejected(f"{asked.file or 'the statements'}: {err}") from None


def _own(job: Job) -> Mapping[str, Json]:
    """Return the parameters that a run has by itself."""
    own: dict[str, Json] = {"run_id": job.run, "run_pipeline": job.pipeline, "task_name": job.task}
    if job.interval is not None:
        for name, moment in zip(("start", "end"), (moment.astimezone(UTC) for moment in job.interval), strict=True):
            own |= {
                f"interval_{name}": {"time": moment.isoformat()},
                f"interval_{name}_date": {"day": moment.date().isoformat()},
            }
    return own


def _command(question: Mapping[str, Json], cwd: Path, env: Mapping[str, str]) -> Command:
    """Make the runner's command; ``-P``: nothing in ``cwd`` may be imported in place of a library."""
    argv = (sys.executable, "-P", "-m", "stackhub_sql.runner")
    env = {**env, "PYTHONPATH": str(PACKAGES), "PYTHONUNBUFFERED": "1"}
    return Command(argv=argv, cwd=cwd, env=env, stdin=json.dumps(question).encode(), merge_output=True)


async def _tried(url: str, directory: Path) -> Permission:
    """Connect in a process, as a job would, and say how that went."""
    wanted = {"expect": "rows", "min": None, "max": None, "show": 0}
    question = {"url": url, "statements": [("select", ["select 1"])], "params": {}, "transaction": True}
    question |= {"wanted": wanted, "who": "stackhub", "answer": "/dev/null"}
    command = _command(question, directory, environment(Job(operation="check", options=None)))
    name = "the database answers"
    said = f"no answer within {PATIENCE} s"
    with anyio.move_on_after(PATIENCE):
        ended = await anyio.run_process(
            command.argv, input=command.stdin, stderr=PIPE, check=False, cwd=directory, env=command.env
        )
        if ended.returncode == 0:
            return Permission(name=name, ok=True, detail=urlsplit(url).scheme)
        said = (ended.stdout or ended.stderr).decode("utf-8", "replace").strip()[-500:]
    return Permission(name=name, ok=False, detail=said, remedy="mend SQL_URL, or what it names")


def _secrets(url: str) -> Sequence[str]:
    """Return what of a URL may be shown nowhere."""
    try:
        password = urlsplit(url).password or ""
    except ValueError:
        return (url,)
    return (url, password, unquote(password)) if url else ()


connector: Final = Sql()
