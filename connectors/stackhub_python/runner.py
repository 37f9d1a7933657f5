"""Calls one function, in a process and an interpreter of its own.

Reads ``{"function", "args", "answer"}`` from standard input, so that arguments pass neither a shell nor a process list;
the function finds an empty standard input. Leaves ``{"value"}`` or ``{"error"}`` in the file ``answer``. Runs under
whichever Python a task names, so it imports the standard library only, nothing newer than Python 3.8 knows, and little
of it: `inspect` and `traceback` alone would take longer to import than the interpreter takes to start.
"""

from __future__ import annotations  # for the older ones

import importlib
import json
import os
import sys
from collections.abc import Callable, Coroutine

MOST = 16 * 1024  # characters of a value that are kept


def find(name: str) -> Callable[..., object]:
    """Return what ``module:name`` or ``module.name`` means."""
    module, _, inner = name.partition(":") if ":" in name else name.rpartition(".")
    found = importlib.import_module(module)
    for part in inner.split("."):
        found = getattr(found, part)
    return found  # type: ignore[return-value]  # it was a module at first


def call(name: str, args: dict[str, object] | list[object]) -> object:
    """Call it; what can be awaited is awaited."""
    function = find(name)
    value = function(**args) if isinstance(args, dict) else function(*args)
    if isinstance(value, Coroutine):
        import asyncio

        value = asyncio.run(value)
    return value


def leave(path: str, answer: dict[str, object]) -> None:
    """Write what came of it, if it is JSON and small; a function is not to blame for what cannot be kept."""
    try:
        text = json.dumps(answer, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return
    if len(text) > MOST:
        return
    try:
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - one import less
            file.write(text)
    except OSError as err:
        sys.stderr.write("stackhub: the function's value could not be kept: %s\n" % err)  # noqa: UP031 - as above


def main() -> None:
    """Do what standard input asks."""
    asked = json.loads(sys.stdin.buffer.read().decode("utf-8"))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    beside = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - one import less
    here = os.getcwd()  # noqa: PTH109 - as above
    sys.path[:] = [here, *(path for path in sys.path if path != beside)]  # modules are looked for where the task runs
    sys.argv[:] = [asked["function"]]
    try:
        value = call(asked["function"], asked["args"])
    except Exception as err:  # noqa: BLE001 - whatever a stranger's function raises
        import traceback

        traceback.print_exception(type(err), err, err.__traceback__)
        leave(asked["answer"], {"error": "".join(traceback.format_exception_only(type(err), err)).strip()[-2000:]})
        sys.exit(1)
    leave(asked["answer"], {"value": value})


if __name__ == "__main__":
    main()
