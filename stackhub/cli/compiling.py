"""`stackhub compile`: pipelines written in Python become the files that the hub reads."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from stackhub.cli import exits
from stackhub.errors import ConfigError, Refused

PATIENCE: Final = 60.0  # seconds for a script
STDERR: Final = 2  # what a script prints goes there: what we print is the file


def write(script: Path, directory: Path | None, environ: Mapping[str, str]) -> int:
    """Write the one pipeline of a script to standard output, or all it makes into a directory, each a file.

    Raises:
        ConfigError: the script makes none, or none that could be one.
        Refused: it makes several, and there is no directory for them.
    """
    made = run(script, environ)
    if directory is None:
        if len(made) > 1:
            raise Refused(f"{script.name} makes {len(made)} pipelines ({', '.join(made)}): add --to DIR")
        print(_headed(script, *made.values()), end="")
        return exits.OK
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        _put(directory / f"{name}.yaml", _headed(script, text))
        print(f"{directory / f'{name}.yaml'}")
    return exits.OK


def run(script: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Run a script in a child; return the YAML of each pipeline that it makes, by name.

    Raises:
        ConfigError: with everything that is wrong with it.
    """
    if not script.is_file():
        raise ConfigError(f"{script}: there is no such file")
    with TemporaryFile() as answer:  # and no pipe, which could be full
        child = subprocess.Popen(
            [sys.executable, "-m", "stackhub.cli.script", str(script.resolve()), str(answer.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=STDERR,
            env=dict(environ),
            pass_fds=[answer.fileno()],
        )
        try:
            child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise ConfigError(f"{script.name}: it has not ended within {PATIENCE:g} s") from None
        finally:
            child.kill()
            child.wait()
        answer.seek(0)
        told = answer.read()
    if not told:
        raise ConfigError(f"{script.name}: its process ended with {child.returncode} and said nothing")
    found = json.loads(told)
    if "problem" in found:
        raise ConfigError(found["problem"])
    made: dict[str, str] = found["pipelines"]
    if not made:
        raise ConfigError(f"{script.name} makes no pipeline: name one at its top level, revenue = Pipeline(...)")
    return made


def _headed(script: Path, text: str) -> str:
    return f"# Written by `stackhub compile {script.name}`: change that, not this.\n{text}"


def _put(path: Path, text: str) -> None:
    """Write a file whole or not at all: the daemon may be reading it."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text)
    part.replace(path)
