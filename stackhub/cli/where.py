"""Where a command works: the configuration's directory, what stands in it, and the store it names."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stackhub import registry
from stackhub.config import read as reading
from stackhub.config.read import Configuration
from stackhub.config.settings import HubSettings
from stackhub.errors import ConfigError, Problem
from stackhub.store.reading import Reader, open_reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """One configuration directory, and the environment it is read in."""

    directory: Path
    environ: Mapping[str, str]

    @classmethod
    def found(cls, option: str | None, environ: Mapping[str, str]) -> "Where":
        """Find the directory as `stackhub.config.read.find_directory` says."""
        return cls(directory=reading.find_directory(option, environ, Path.cwd()).absolute(), environ=environ)

    def configuration(self) -> Configuration:
        """Read all of it.

        Raises:
            ConfigError: with every problem there is.
        """
        return reading.read(self.directory, self.environ, registry.load, registry.installed())

    def hub(self) -> HubSettings:
        """Read the hub's own settings alone: a pipeline that cannot be read hides no history.

        Raises:
            ConfigError: there is no such directory, or ``stackhub.env`` cannot be used.
        """
        return reading.read_hub(self.directory, self.environ)

    @contextmanager
    def reader(self) -> Iterator[Reader | None]:
        """Open the store for looking; None where nothing has run yet."""
        with open_reader(self.hub().database_url.get_secret_value()) as reader:
            yield reader


def made(directory: Path) -> Path:
    """Make a directory of ours, the state directory or one in it, unless it is there.

    Raises:
        ConfigError: it cannot be made, or not be written in.
    """
    way_out = "give it to the user that runs stackhub, or set STACKHUB_STATE_DIR to another"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as err:
        raise ConfigError(Problem(str(directory), f"cannot be made ({err.strerror}): {way_out}")) from err
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ConfigError(Problem(str(directory), f"cannot be written in: {way_out}"))
    return directory
