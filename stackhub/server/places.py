"""Where the hub listens: a port, and a Unix socket in its state directory that only its owner can open."""

import errno
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from stackhub.errors import ConfigError, Problem

SOCKET: Final = "hub.sock"
LONGEST_PATH: Final = 107  # bytes of a Unix socket's path: sun_path has 108 with its end (unix(7))
BACKLOG: Final = 256
_OURS: Final = "stackhub-"


def bind_port(host: str, port: int) -> socket.socket:
    """Take the port.

    Raises:
        ConfigError: it is taken, or the address is not this machine's; the message is one line.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.removeprefix("[").removesuffix("]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as err:
        raise ConfigError(Problem("STACKHUB_HOST", f"{host} cannot be listened on: {err.strerror or err}")) from err
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # 0.0.0.0 is not what was written
        made.bind(address)
        made.listen(BACKLOG)
    except OSError as err:
        made.close()
        if err.errno == errno.EADDRINUSE:
            text = f"{host}:{port} is taken by another process: stop that one, or set STACKHUB_PORT to another"
        else:
            text = f"{host}:{port} cannot be listened on: {err.strerror}"
        raise ConfigError(Problem("STACKHUB_PORT", text)) from err
    made.setblocking(False)
    return made


def socket_path(state: Path) -> Path:
    """Return where to connect to the hub whose state directory this is, whether or not one is there.

    A path that is too long for a socket is a symlink to one that is not.
    """
    path = state / SOCKET
    return path.readlink() if _too_long(path) and path.is_symlink() else path


@contextmanager
def bound_socket(state: Path, *, elsewhere: Path | None = None) -> Iterator[socket.socket]:
    """Hold the Unix socket in ``state``, which only its owner can open. Call it while holding ``hub.lock``.

    ``elsewhere`` is where a short path is made when the one in ``state`` is too long; by default among temporary files.

    Raises:
        ConfigError: it cannot be made there.
    """
    path = state / SOCKET
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(OSError):  # a mounted volume may not be ours to change; the socket itself is closed to others
            state.chmod(0o700)
        _remove_stale(path)
        at = Path(tempfile.mkdtemp(prefix=_OURS, dir=elsewhere)) / SOCKET if _too_long(path) else path
        os.fchmod(made.fileno(), 0o600)  # so that it is never open to others, not even for a moment
        made.bind(str(at))
        at.chmod(0o600)
        if at != path:
            path.symlink_to(at)
        made.listen(BACKLOG)
        made.setblocking(False)
    except OSError as err:
        made.close()
        raise ConfigError(Problem(str(path), f"the socket cannot be made: {err.strerror or err}")) from err
    try:
        yield made
    finally:
        made.close()
        _remove_stale(path)


def _remove_stale(path: Path) -> None:
    """Remove a socket that no hub listens on, and where a symlink led to; never anything else."""
    if path.is_symlink():
        at = path.readlink()
        path.unlink()
        if at.parent.name.startswith(_OURS) and _is_socket(at):
            at.unlink()
            with suppress(OSError):
                at.parent.rmdir()
    elif _is_socket(path):
        path.unlink()


def _too_long(path: Path) -> bool:
    return len(os.fsencode(path)) > LONGEST_PATH


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.lstat().st_mode)
    except OSError:
        return False
