"""One job's directory, and what can be read from it: whether it began, goes on, has ended, and who it is.

    no `lock`, `claim` held     a spawn is under way
    no `lock`, `claim` free     a spawn that never happened, and never will
    `record`                    ended
    no `record`, `lock` held    running: by the shim, or by the job that inherited it from a shim that was killed
    no `record`, job alive      running, whatever became of its lock
    no `record`, `lock` free    lost
    neither lock nor claim      somebody took them away: it has begun if it says so

What is damaged counts as absent, and never as an end: a file cut short or full of something else, a directory or a
pipe in its place.

No pid is believed to be alive because a process has it, but by that process's birth. That a process is dead is
believed on the same boot and in the same pid namespace only; it matters where the shim was killed and a stranger left
behind holds the lock.
"""

import codecs
import errno
import fcntl
import json
import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stackhub.launch import shim
from stackhub.launch.blot import Blot
from stackhub.launch.process import Ended, Lost, NeverBegan, Process, Running

PEEK = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # what is no file, but a pipe, would keep us waiting
ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)
DAMAGED = (KeyError, TypeError, ValueError, OverflowError, OSError)  # of a document that is not what was written
SMALL = 65_536  # bytes, at most, of what the shim writes about a job
WORDS = 500  # characters of what a shim said at its end
BLANK = 4096  # bytes of blanks at the end of a text that a tail looks behind
CONTINUED = bytes(range(0x80, 0xC0))  # what is not the first byte of a character in UTF-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Began:
    """Who a job is: pids, told from other processes that have had the same ones."""

    pid: int  # of the job, its session and its group
    birth: int
    shim: int
    shim_birth: int
    space: str
    started_at: datetime

    @property
    def job_lives(self) -> bool:
        """Whether the process that has the job's pid is the job."""
        return bool(self.space) and self.space == shim.space() and shim.birth(self.pid) == self.birth != 0

    @property
    def shim_lives(self) -> bool:
        """Whether the process that has the shim's pid is the shim."""
        return bool(self.space) and self.space == shim.space() and shim.birth(self.shim) == self.shim_birth != 0

    @property
    def gone(self) -> bool:
        """Whether job and shim are dead for certain."""
        return bool(self.space) and self.space == shim.space() and not self.job_lives and not self.shim_lives


@dataclass(frozen=True, slots=True)
class Place:
    """The directory of one key; what is read from it is blotted."""

    path: Path
    blot: Blot = field(default_factory=Blot)

    def begun(self) -> bool:
        """Whether something was run here."""
        if os.path.lexists(self.path / "lock") or os.path.lexists(self.path / "record"):
            return True
        return os.path.lexists(self.path / "began") and not os.path.lexists(self.path / "claim")

    def under_way(self) -> bool:
        """Whether a spawn has been made here of which nothing has come yet."""
        return bool(self.held("claim"))

    def look(self) -> Process:
        """Say how the process stands."""
        ended = self.ended()
        if ended is not None:
            return ended
        held = self.held("lock")
        if held is None:
            if self.under_way():
                return Running(self.since())
            held = self.held("lock")  # it may have begun between the two questions
        began = self.began()
        if began and began.job_lives:  # whatever became of its lock
            return Running(began.started_at)
        if held is None and self.begun():
            return self.ended() or Lost("its lock was taken away, and it runs no more")
        if held is None:
            return NeverBegan(self.last_words()) if self.path.is_dir() else Lost("its directory is gone")
        if held and not (began and began.gone):
            return Running(began.started_at if began else self.since())
        return self.ended() or Lost(self.last_words() or self.fate(began))  # the record is there before the lock goes

    def fate(self, began: Began | None) -> str:
        """Say what must have happened to a process that left no record."""
        if os.path.lexists(self.path / "record"):
            return "the record of its end is damaged"
        if began and began.space and began.space != shim.space():
            return "the machine or the container was started anew while it ran"
        return "it and its supervisor were killed, so nobody saw how it ended"

    def held(self, name: str) -> bool | None:
        """Say whether somebody holds the lock of that name; None: there is no such file."""
        try:
            fd = os.open(self.path / name, PEEK)
        except OSError as err:
            if err.errno in ABSENT:
                return None
            raise
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(fd)

    def ended(self) -> Ended | None:
        """Read the record, if there is one."""
        found = self._json("record")
        try:
            code, number = _maybe_int(found["code"]), _maybe_int(found["signal"])
            times = _time(found["started_at"]), _time(found["ended_at"])
        except DAMAGED:
            return None
        return Ended(code, number, *times) if (code is None) != (number is None) else None

    def began(self) -> Began | None:
        """Read who the job is, if it has begun."""
        found = self._json("began")
        try:
            return Began(
                pid=_int(found["pid"]),
                birth=_int(found["birth"]),
                shim=_int(found["shim"]),
                shim_birth=_int(found["shim_birth"]),
                space=str(found["space"]),
                started_at=_time(found["started_at"]),
            )
        except DAMAGED:
            return None

    def since(self) -> datetime:
        """Return when the directory was last touched: what is known of a job that has not said when it began."""
        try:
            return _time(self.path.stat().st_mtime)
        except FileNotFoundError:  # it went while we looked
            return _time(0.0)

    def last_words(self) -> str:
        """Return the end of what the shim had to say, "" when all went well with it."""
        return self.read("shim", 0, 16 * WORDS)[0].decode("utf-8", "replace").strip()[-WORDS:]

    def read(self, name: str, offset: int, most: int) -> tuple[bytes, int]:
        """Read a file's bytes from ``offset`` on; what is not there is empty."""
        before = min(offset, self.blot.reach)
        seen = self._bytes(name, offset - before, before + most + self.blot.reach)
        if seen is None:
            return b"", offset
        data = self.blot(seen)[before : before + most]
        return data, offset + len(data)

    def lines(self, name: str, offset: int, most: int) -> tuple[str, int]:
        """Read a text from byte ``offset`` on: whole lines where there are any, and never half a character."""
        data, _ = self.read(name, offset, most)
        end = data.rfind(b"\n") + 1 or len(data)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(data[:end])
        kept, _ = decoder.getstate()  # the beginning of a character whose rest has not come yet
        if not text:
            return kept.decode("utf-8", "replace"), offset + end
        return text, offset + end - len(kept)

    def climb(self, rungs: int) -> int:
        """Count one more step up a ladder, kept in empty files, for which a full disk has room; return which it is."""
        step = sum((self.path / f"rung.{n}").exists() for n in range(rungs))
        with suppress(OSError):
            (self.path / f"rung.{step}").touch(mode=0o600)
        return min(step, rungs - 1)

    def climbed(self) -> bool:
        """Whether it was ever asked to stop."""
        return (self.path / "rung.0").exists()

    def tail(self, name: str, most: int) -> str:
        """Return a file's last lines; of a single long one its end."""
        try:
            size = (self.path / name).stat().st_size
        except OSError as err:
            if err.errno in ABSENT:
                return ""
            raise
        window = BLANK + 4 * most  # a character has at most four bytes
        start = max(0, size - window)
        data = self.read(name, start, window)[0]
        text = (data.lstrip(CONTINUED) if start else data).decode("utf-8", "replace").rstrip()
        if start == 0 and len(text) <= most:
            return text.lstrip("\n")
        short = text[-most:]
        return short.partition("\n")[2] or short

    def _json(self, name: str) -> dict[str, Any]:
        """Read one of the shim's small files; empty when it is absent or, after a power cut, not whole."""
        try:
            found = json.loads(self._bytes(name, 0, SMALL) or b"")
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def _bytes(self, name: str, offset: int, most: int) -> bytes | None:
        """Read a part of a file; None where there is none. Waits for nothing, whatever stands in its place."""
        try:
            fd = os.open(self.path / name, PEEK)
        except OSError as err:
            if err.errno in ABSENT:
                return None
            raise
        try:
            return os.pread(fd, most, offset) if stat.S_ISREG(os.fstat(fd).st_mode) else None
        finally:
            os.close(fd)


def _int(found: Any) -> int:
    if type(found) is not int:
        raise TypeError
    return found


def _maybe_int(found: Any) -> int | None:
    return None if found is None else _int(found)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
