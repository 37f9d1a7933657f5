"""Python: one job is one function or script, run in an interpreter of its own that outlives the hub."""

import json
import shutil
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, ClassVar, Final, Self

from pydantic import Field, JsonValue, SecretStr, StringConstraints, model_validator
from pydantic_settings import SettingsConfigDict

from stackhub.contract import Context, Handle, Job, Limits, Operation, Options, Permission, Settings, StartIs
from stackhub.contract.sandbox import FakeVendor, World
from stackhub.launch import Command, CommandJobs, Launcher, environment
from stackhub.launch.commands import LIMITS

RUNNER: Final = Path(__file__).parent / "runner.py"
ANSWER: Final = "answer.json"  # what a function returned or raised
MOST: Final = 64 * 1024  # bytes of it; the runner writes less

Function = Annotated[str, StringConstraints(pattern=r"^[^\W\d][\w.]*[.:][^\W\d][\w.]*$")]
"""``module:name`` or ``module.name``."""


class PythonSettings(Settings):
    """``python.env``: nothing has to be set; any variable in it is handed to the interpreters."""

    model_config = SettingsConfigDict(env_prefix="PYTHON_")
    further_variables: ClassVar[bool] = True

    executable: str = sys.executable  # for tasks that name no ``python``
    max_active: int | None = Field(default=None, ge=1)  # jobs at work at once
    further: Mapping[str, SecretStr] = Field(default_factory=dict)


class PythonRun(Options):
    """Options of ``python.run``: a ``function`` or a ``script``."""

    function: Function | None = None  # "package.module:name"; looked for in ``cwd`` first
    script: Path | None = None  # from ``cwd``
    args: tuple[JsonValue, ...] | dict[str, JsonValue] = ()  # a script takes a list
    python: str = ""  # an interpreter; one with a slash is looked for from ``cwd``
    cwd: Path = Path()  # from the configuration's directory
    env: Mapping[str, str] = Field(default_factory=dict)  # on top of the instance's variables
    repeatable: bool = False  # whether it may run again when it was lost half-way

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Refuse what says too much, or too little."""
        if (self.function is None) == (self.script is None):
            message = "give either function or script"
            raise ValueError(message)
        if self.script is not None and not _plain(self.args):
            message = "args: a script takes a list of texts and numbers"
            raise ValueError(message)
        return self


class Python:
    """The connector."""

    name = "python"
    summary = "Runs Python functions and scripts as processes that outlive the hub."
    settings: type[Settings] = PythonSettings
    operations: Mapping[str, Operation] = {
        "run": Operation(
            options=PythonRun,
            summary="Call a function, or run a script.",
            start_is=StartIs.KEYED,
            settle=timedelta(),
            cancellable=True,
        ),
    }
    route: type[Options] | None = None

    def limits(self, _settings: PythonSettings) -> Limits:
        """Say what a host bears."""
        return LIMITS

    @asynccontextmanager
    async def open(self, settings: PythonSettings, context: Context) -> AsyncIterator[CommandJobs]:
        """Open one instance; what runs already is heard of again when it is polled."""
        further = {name: value.get_secret_value() for name, value in settings.further.items()}

        def build(job: Job, directory: Path) -> Command:
            """Make the interpreter's command line, and what it reads."""
            asked: PythonRun = job.options
            python = asked.python or settings.executable
            if asked.script is not None:
                argv, stdin = (python, str(asked.script), *map(str, asked.args)), b""
            else:
                question = {"function": asked.function, "args": asked.args, "answer": str(directory / ANSWER)}
                argv, stdin = (python, str(RUNNER)), json.dumps(question).encode()
            prompt = {"PYTHONUNBUFFERED": "1"}  # so that a log can be read while it grows
            env = environment(job, prompt, further, asked.env)
            return Command(argv=argv, cwd=context.directory / asked.cwd, env=env, stdin=stdin, merge_output=True)

        async def check() -> Sequence[Permission]:
            """Look for the interpreter."""
            found = shutil.which(settings.executable)
            remedy = "" if found else "name an interpreter in PYTHON_EXECUTABLE"
            detail = found or settings.executable
            return [Permission(name="interpreter", ok=found is not None, detail=detail, remedy=remedy)]

        with Launcher(context, secrets=further.values()) as launcher:

            def result(handle: Handle) -> tuple[Mapping[str, object], str]:
                """Read what the function returned, or what it raised."""
                return _read(launcher.read(handle, ANSWER, 0, MOST)[0])

            yield CommandJobs(launcher, build=build, check=check, result=result)

    def sandbox(self, _world: World) -> FakeVendor | None:
        """Nothing to play: Python runs anywhere."""
        return None


def _plain(args: object) -> bool:
    """Say whether these can stand on a command line."""
    return isinstance(args, tuple) and all(isinstance(arg, str | int | float) for arg in args)


def _read(body: bytes) -> tuple[Mapping[str, object], str]:
    """Read what the runner left: the value to keep, and the words of a failure."""
    try:
        answer = json.loads(body)
    except ValueError:
        return {}, ""
    kept = {"value": answer["value"]} if answer.get("value") is not None else {}
    return kept, str(answer.get("error", ""))


connector: Final = Python()
