"""What the hub tells a shim, and how: once, through memory, so that the hub may be gone before it is read."""

import os
import sys
from importlib.util import cache_from_source
from pathlib import Path
from signal import Signals, valid_signals
from typing import Final

from stackhub.launch import shim
from stackhub.launch.process import Command

COMPILED: Final = Path(cache_from_source(shim.__file__))  # by our own import of it, so it understands what we say
LOADER: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")  # where the interpreter itself may need them
DEFAULTED: Final = tuple(valid_signals() - {Signals.SIGKILL, Signals.SIGSTOP})  # whatever we have made of ours


def encode(command: Command, most: int) -> bytes:
    r"""Return what `shim.Request` reads: ``count \0 field \0 ... \0 stdin``. Bytes, as the system sees them.

    Raises:
        ValueError: an argument or a variable holds a NUL, or a variable's name an equals sign.
    """
    argv = [os.fsencode(arg) for arg in command.argv]
    env = [os.fsencode(name) + b"=" + os.fsencode(value) for name, value in command.env.items()]
    if not argv or any("=" in name or not name for name in command.env):
        message = "a command needs a program, and its variables need names without '='"
        raise ValueError(message)
    numbers = (shim.FORMAT, most, int(command.merge_output))
    head = [b"%d" % number for number in numbers]
    fields = [*head, os.fsencode(command.cwd), b"%d" % len(command.stdin), b"%d" % len(argv), *argv, *env]
    if any(b"\0" in field for field in fields):
        message = "an argument or a variable holds a NUL"
        raise ValueError(message)
    return b"\0".join([b"%d" % len(fields), *fields, command.stdin])


def program() -> str:
    """Return the shim as Python starts it soonest: compiled, which saves a fifth of its start, where that was kept."""
    return str(COMPILED) if COMPILED.exists() else shim.__file__


def start(directory: Path, request: bytes, lock: int) -> int:
    """Start a shim, detached from us and our terminal; return its pid.

    ``lock`` is an open file of ours which the shim inherits, and with it the lock on it.
    """
    source = shim.carried(request)
    try:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", program(), str(directory)],
            {name: os.environ[name] for name in LOADER if name in os.environ},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, source, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, directory / "shim", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
                (os.POSIX_SPAWN_DUP2, lock, shim.LOCK),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=DEFAULTED,
        )
    finally:
        os.close(source)
