"""Runs a script that makes pipelines, in a process of its own, and writes them out on the descriptor it was given.

A script may print, hang, exit or bring the interpreter down: none of that is the hub's, and no word of it gets between
the lines of a pipeline. Started by `compiling` alone: ``python -m stackhub.cli.script FILE DESCRIPTOR``.
"""

import json
import os
import runpy
import sys
import traceback
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stackhub.config.written import yaml_of
from stackhub.errors import ConfigError
from stackhub.pipelines import Pipeline


def main(script: str, descriptor: int) -> int:
    """Run it; what it leaves in its module are the pipelines, alone or in lists and mappings."""
    path = Path(script)
    sys.argv, sys.path[0] = [script], str(path.parent)
    sys.stdout = sys.stderr
    try:
        found = _pipelines(runpy.run_path(script, run_name="__stackhub__"))
        answer: dict[str, Any] = {"pipelines": {one.pipeline: yaml_of(one) for one in found}}
    except ConfigError as err:
        answer = {"problem": f"{path.name}: {err}"}
    except SystemExit as err:
        answer = {"problem": f"{path.name} left with {err.code!r} before it had made its pipelines"}
    except BaseException as err:  # noqa: BLE001 - whatever a script may raise, and the way out is the same
        answer = {"problem": _told(err, path)}
    with os.fdopen(descriptor, "w") as out:
        json.dump(answer, out)
    return 0


def _pipelines(left: dict[str, Any]) -> list[Pipeline]:
    """Return what a module holds, in the order in which it was named, each once.

    Raises:
        ConfigError: two of them have one name.
    """
    found: list[Pipeline] = []

    def gather(value: Any) -> None:
        if isinstance(value, Pipeline):
            if not any(value is one for one in found):
                found.append(value)
        elif isinstance(value, list | tuple):
            for item in value:
                gather(item)
        elif isinstance(value, dict):
            gather(list(value.values()))

    for name, value in left.items():
        if not name.startswith("_"):
            gather(value)
    names = [one.pipeline for one in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"two pipelines are called {twice!r}")
    return found


def _told(err: BaseException, path: Path) -> str:
    """Say where in the script it went wrong, and what; of a model's refusals each on a line of its own."""
    frames = [frame for frame in traceback.extract_tb(err.__traceback__) if frame.filename == str(path)]
    line = err.lineno if isinstance(err, SyntaxError) else frames[-1].lineno if frames else None
    place = f"{path.name}:{line}" if line else path.name
    if isinstance(err, ValidationError):
        each = err.errors(include_url=False, include_input=False)
        return "\n".join(
            f"{place}: {'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}" for one in each
        )
    return f"{place}: {type(err).__name__}: {err}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], int(sys.argv[2])))
