"""Spawns processes that outlive the hub, and finds them again by the key of their attempt."""

import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from signal import SIGINT, SIGKILL, SIGTERM, Signals
from types import TracebackType
from typing import Final, Self

from stackhub.contract import ConfigError, Context, Handle, Rejected, Unavailable, in_thread
from stackhub.launch import request, watch
from stackhub.launch.blot import Blot
from stackhub.launch.place import Place
from stackhub.launch.process import Command, Elsewhere, Ended, Process, Running

LADDER: Final = (SIGINT, SIGTERM, SIGKILL)
HOST: Final = "host"  # the file beside the directories that names this host; no key
ID: Final = re.compile(r"[0-9a-f]{16}")
KEY: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")


class Launcher:
    """The jobs of one host, each in ``<state>/jobs/<key>/``. Close it with the instance: `with Launcher(context)`.

    ``most`` is how many bytes of a job's output are kept: the head, which can be read as it comes, and the last part,
    with a line between them that says how much was dropped. A job that writes two files has half of it for each.
    ``secrets`` are blotted out of all that is read of its files.
    """

    def __init__(self, context: Context, *, most: int | None = None, secrets: Iterable[str] = ()) -> None:
        self._state = context.state
        self._root = context.state.absolute() / "jobs"
        self._now = context.now
        self._most = context.log_most if most is None else most
        self._blot = Blot(secrets)
        self._watch = watch.Watch(context.wake)
        self._host = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening for ends. The processes go on."""
        self._watch.close()

    @property
    def host(self) -> str:
        """Name this host: a random id, kept beside the directories of its jobs."""
        if not self._host:
            try:
                self._host = host_id(self._state)
            except OSError as err:
                raise Unavailable(f"no place for jobs in {self._root}: {err.strerror}") from None
        return self._host

    async def spawn(self, key: str, command: Command) -> Handle:
        """Run a command, once per key: the same key again returns the same job, never a second process.

        It returns before the process has begun; one that cannot be run ends with code 126 or 127.

        Raises:
            ConfigError: the command is none that a system could run.
            Unavailable: nothing was started: no room on the disk, no more processes.
        """
        place = Place(self.place(key))
        try:
            said = request.encode(command, self._most)
        except ValueError as err:
            raise ConfigError(str(err)) from None
        try:
            pid = await in_thread(self._spawn, place, command, said)
        except OSError as err:
            raise Unavailable(f"cannot start a process in {place.path}: {err.strerror}") from None
        if pid:
            self._watch.add(pid)
        return {"host": self.host, "key": key}

    def look(self, handle: Handle) -> Process:
        """Say how a process stands; asks the file system only."""
        if handle["host"] != self.host:
            return Elsewhere(handle["host"])
        place = Place(self.directory(handle))
        process = place.look()
        if isinstance(process, Running) and (began := place.began()):
            known = (began.shim, began.shim_birth) if began.shim_lives else (began.pid, began.birth)
            if not self._watch.add(*known):  # it has ended since, and nobody would be woken
                return place.look()
        return process

    def find(self, key: str) -> Handle | None:
        """Look for what was spawned under a key, by whichever hub of this host; None: nothing was, for certain."""
        place = Place(self.place(key))
        if place.begun() or place.under_way() or place.begun():  # asked again: it may have begun between the two
            return {"host": self.host, "key": key}
        return None

    def directory(self, handle: Handle) -> Path:
        """Return where a job keeps its files."""
        return self.place(handle["key"])

    def place(self, key: str) -> Path:
        """Return where the files of a key are, or will be: for what must name them before the spawn.

        Raises:
            ValueError: the key is no fit name for a directory.
        """
        if key == HOST or not KEY.fullmatch(key):
            message = f"not the key of a job: {key!r}"
            raise ValueError(message)
        return self._root / key

    async def climb(self, handle: Handle, *, ladder: Sequence[Signals] = LADDER) -> None:
        """Send the process group the next signal of the ladder; the last one again and again.

        Nothing is signalled unless the process is, without doubt, the one that was spawned.

        Raises:
            Unavailable: it is another host's.
            Rejected: it runs as somebody else, or this system cannot tell processes apart.
        """
        process = self.look(handle)
        if isinstance(process, Elsewhere):
            raise Unavailable(f"job {handle['key']} belongs to host {process.host}, and only that can stop it")
        place = Place(self.directory(handle))
        began = place.began()
        if not isinstance(process, Running):
            return
        if began is None:
            raise Unavailable(f"job {handle['key']} is only beginning: there is nothing to signal yet")
        if not began.space:
            raise Rejected(f"process {began.pid} cannot be told from others on this system: stop it by hand")
        if not began.job_lives:
            return
        try:
            os.killpg(began.pid, ladder[place.climb(len(ladder))])
        except ProcessLookupError:
            return
        except PermissionError:
            raise Rejected(f"process {began.pid} runs as somebody else: stop it by hand") from None

    def how(self, handle: Handle, ended: Ended) -> str:
        """Say how a process ended, and who it is that kills without being asked."""
        ours = Place(self.directory(handle)).climbed()
        if ended.signal != SIGKILL or ours:
            return ended.how
        return f"{ended.how}, which was not ours: the kernel does so when memory runs out (`dmesg` tells)"

    def read(self, handle: Handle, name: str, offset: int, most: int) -> tuple[bytes, int]:
        """Return at most ``most`` bytes of a job's file from ``offset`` on, and the offset after them."""
        return self._read_in(handle).read(name, offset, most)

    def tail(self, handle: Handle, name: str, most: int = 2000) -> str:
        """Return the last lines of a job's file, at most ``most`` characters."""
        return self._read_in(handle).tail(name, most)

    def lines(self, handle: Handle, name: str, offset: int, most: int) -> tuple[str, int]:
        """Read a job's file as text: what `Logs.read_log` wants."""
        return self._read_in(handle).lines(name, offset, most)

    async def sweep(self, older_than: timedelta) -> int:
        """Remove the directories of jobs that ended longer ago than that; return how many."""
        return await in_thread(self._sweep, older_than)

    def _read_in(self, handle: Handle) -> Place:
        return Place(self.directory(handle), self._blot)

    def _spawn(self, place: Place, command: Command, said: bytes) -> int:
        """Start a shim; 0: this key has one. Whoever holds `claim` is the only one who may."""
        place.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if place.begun():
            return 0
        claim = os.open(place.path / "claim", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if place.begun():  # and ended, between our first question and the lock
                return 0
            for name, body in command.files.items():
                _put(place.path / name, body)
            return watch.adopt(request.start(place.path, said, claim))
        except BlockingIOError:  # another's spawn of this key is under way
            return 0
        finally:
            os.close(claim)

    def _sweep(self, older_than: timedelta) -> int:
        until = self._now() - older_than
        swept = 0
        for path in self._root.iterdir() if self._root.is_dir() else ():
            place = Place(path)
            if not path.is_dir() or place.since() > until:
                continue
            process = place.look()
            if isinstance(process, Running) or (isinstance(process, Ended) and process.ended_at > until):
                continue
            shutil.rmtree(path, ignore_errors=True)
            swept += not path.exists()
        return swept


def _put(path: Path, body: bytes) -> None:
    """Write a file that only we may read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(body)


def host_id(state: Path) -> str:
    """Read the id of the host whose jobs are in ``state``, or give it one; of several who do so at once, one wins."""
    root = state.absolute() / "jobs"
    path = root / HOST
    if not path.exists():
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        mine = root / f".{token_hex(8)}"
        try:
            _put(mine, token_hex(8).encode())
            os.link(mine, path)
        except FileExistsError:
            pass
        finally:
            mine.unlink(missing_ok=True)
    found = path.read_text(encoding="ascii", errors="replace")
    if not ID.fullmatch(found):
        raise ConfigError(f"{path} is damaged: put back the id that it held (`handle` of a run names it), or delete it")
    return found
