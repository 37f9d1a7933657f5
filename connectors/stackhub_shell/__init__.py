"""Shell: one job is one command, run as a process that outlives the hub.

A string is bash's own: what it names (``$VAR``, ``${VAR:-x}``) is handed over in the environment, never put into the
text, where a value would be read as code.
"""

import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, ClassVar, Final

from pydantic import Field, SecretStr, StringConstraints, field_validator
from pydantic_settings import SettingsConfigDict

from stackhub.contract import Context, Job, Limits, Operation, Options, Permission, Settings, StartIs
from stackhub.contract.sandbox import FakeVendor, World
from stackhub.launch import Command, CommandJobs, Launcher, environment
from stackhub.launch.commands import LIMITS

Text = Annotated[str, StringConstraints(min_length=1)]
NAMES: Final = re.compile(r"\{\{\s*(run|task|interval|trigger)\.")
NAMED: Final = re.compile(r"\$\{?([A-Za-z_]\w*)")


class ShellSettings(Settings):
    """``shell.env``: nothing has to be set; any variable in it is handed to the commands."""

    model_config = SettingsConfigDict(env_prefix="SHELL_")
    further_variables: ClassVar[bool] = True

    bash: str = "bash"  # which runs a command that is a string
    max_active: int | None = Field(default=None, ge=1)  # jobs at work at once
    further: Mapping[str, SecretStr] = Field(default_factory=dict)


class ShellRun(Options):
    """Options of ``shell.run``."""

    verbatim: ClassVar[frozenset[str]] = frozenset({"command"})

    command: Text | tuple[Text, ...] = Field(min_length=1)  # a string runs under `bash -c`, a list as it is
    cwd: Path = Path()  # from the configuration's directory
    env: Mapping[str, str] = Field(default_factory=dict)  # on top of the instance's variables
    repeatable: bool = False  # whether it may run again when it was lost half-way

    @field_validator("command")
    @classmethod
    def _has_variables_of_its_own(cls, command: str | tuple[str, ...]) -> str | tuple[str, ...]:
        """Refuse the run's names in a text that bash reads: a value there would be read as code."""
        if isinstance(command, str) and NAMES.search(command):
            message = "bash reads this text: use $STACKHUB_RUN, $STACKHUB_INTERVAL_START, ..., or give a list"
            raise ValueError(message)
        return command


class Shell:
    """The connector."""

    name = "shell"
    summary = "Runs commands as processes that outlive the hub."
    settings: type[Settings] = ShellSettings
    operations: Mapping[str, Operation] = {
        "run": Operation(
            options=ShellRun, summary="Run a command.", start_is=StartIs.KEYED, settle=timedelta(), cancellable=True
        ),
    }
    route: type[Options] | None = None

    def limits(self, _settings: ShellSettings) -> Limits:
        """Say what a host bears."""
        return LIMITS

    @asynccontextmanager
    async def open(self, settings: ShellSettings, context: Context) -> AsyncIterator[CommandJobs]:
        """Open one instance; what runs already is heard of again when it is polled."""
        further = {name: value.get_secret_value() for name, value in settings.further.items()}

        def build(job: Job, _directory: Path) -> Command:
            """Make the command that was asked for."""
            asked: ShellRun = job.options
            argv = (settings.bash, "-c", asked.command) if isinstance(asked.command, str) else asked.command
            cwd = context.directory / asked.cwd
            env = environment(job, _named(asked.command), further, asked.env)
            return Command(argv=argv, cwd=cwd, env=env, merge_output=True)

        async def check() -> Sequence[Permission]:
            """Look for bash."""
            found = shutil.which(settings.bash)
            remedy = "" if found else "install bash, or name it in SHELL_BASH; lists run without it"
            return [Permission(name="bash", ok=found is not None, detail=found or settings.bash, remedy=remedy)]

        with Launcher(context, secrets=further.values()) as launcher:
            yield CommandJobs(launcher, build=build, check=check)

    def sandbox(self, _world: World) -> FakeVendor | None:
        """Nothing to play: a shell runs anywhere."""
        return None


def _named(command: str | tuple[str, ...]) -> dict[str, str]:
    """Return those of the hub's variables that a text for bash names; whoever wrote it asked for them."""
    if not isinstance(command, str):
        return {}
    return {name: os.environ[name] for name in NAMED.findall(command) if name in os.environ}


connector: Final = Shell()
