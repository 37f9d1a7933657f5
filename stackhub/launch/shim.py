"""The shim: runs one job, keeps what it says, records how it ended. Nothing the hub does or suffers reaches it.

Started as ``python -I -S shim.py DIRECTORY``, in a session of its own. It imports next to nothing (``json`` alone would
double its start), and all of it before the job begins, so that an upgrade may replace the files underneath.

    fd 0     the request, read to its end; what is cut short is not run
    fd 2     the file ``shim``: its last words, should it have any
    fd 3     the lock, taken before it was born; its job inherits it

    claim    the lock's name while nothing has begun, renamed to
    lock     the moment before something does
    began    who the job is: there before ``lock``
    record   how it ended: there before the lock goes; its room on the disk is taken before the job begins
"""

import _signal  # type: ignore[import-not-found]  # `signal` makes enums of these, which takes longer than all that is done here
import _thread
import errno
import os
import select
import sys
import time

FORMAT = 1
LOCK = 3
RING = 4 * 2**20  # bytes of the end of a long output held in memory; twice as many at the worst
CHUNK = 65536
LINGER = 0.3  # seconds an ended job's pipes may stay open: somebody it left behind may still be writing
RETRY = 0.25  # seconds between tries to record an end on a full disk
ROOM = 512  # bytes of a record, filled up with blanks: overwriting takes no new room
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_FOUND = 127  # a shell's codes for what it could not run
NOT_RUN = 126


def birth(pid: int) -> int:
    """Return when a process was born, in the kernel's ticks since the machine's start; 0 when it is dead or unknown.

    Source: proc(5), /proc/pid/stat, fields 3 (state) and 22 (starttime), read 2026-11.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in b"ZX" else int(fields[19])


def space() -> str:
    """Name the space in which a pid and its birth mean one process: this boot of this machine, this namespace."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as boot:
            return f"{boot.read().strip()}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


class Kept:
    """One stream's file: its head as it comes; its end, once there is too much of it, from memory when it is over."""

    def __init__(self, name: str, most: int, ring: int = RING) -> None:
        self.fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.last = min(most // 2, ring)
        self.room = most - self.last
        self.ring = bytearray()
        self.dropped = 0

    def add(self, data: bytes) -> None:
        """Keep some output; never waits for room on the disk."""
        written = self.append(data[: self.room])
        full = written < min(len(data), self.room)
        self.room = 0 if full else self.room - written
        self.ring += data[written:]
        if len(self.ring) > 2 * self.last:
            self.shorten()

    def shorten(self) -> None:
        """Forget the beginning of what is held in memory."""
        over = max(0, len(self.ring) - self.last)
        self.dropped += over
        del self.ring[:over]

    def end(self) -> None:
        """Write what is held in memory, as far as the disk has room."""
        self.shorten()
        if self.dropped:
            self.append(b"\n[stackhub: %d bytes were dropped here]\n" % self.dropped)
        self.append(bytes(self.ring))

    def append(self, data: bytes) -> int:
        """Return how many bytes went to the file."""
        done = 0
        while done < len(data):
            try:
                done += os.write(self.fd, data[done : done + CHUNK])
            except OSError:
                break
        return done


class Request:
    """What the hub asks for: see `stackhub.launch.request`."""

    def __init__(self, data: bytes) -> None:
        count, _, rest = data.partition(b"\0")
        *fields, self.stdin = rest.split(b"\0", int(count or b"0"))
        if len(fields) != int(count or b"0") or len(fields) == 0 or int(fields[4]) != len(self.stdin):
            sys.exit("the request was cut short")
        if int(fields[0]) != FORMAT:
            sys.exit(f"a request of format {int(fields[0])}, and this shim knows {FORMAT}")
        self.most = int(fields[1])
        self.merge = fields[2] == b"1"
        self.cwd = fields[3]
        argc = 6 + int(fields[5])
        self.argv = fields[6:argc]
        self.env = dict(pair.split(b"=", 1) for pair in fields[argc:])


def everything(fd: int) -> bytes:
    """Read a file descriptor to its end."""
    return b"".join(iter(lambda: os.read(fd, 2**20), b""))


def feed(fd: int, data: bytes) -> None:
    """Write a pipe full, however long its reader takes."""
    try:
        while data:
            data = data[os.write(fd, data) :]
    except OSError:  # it reads no more
        pass
    os.close(fd)


def carried(data: bytes) -> int:
    """Return a file descriptor from which to read these bytes, which live in memory only."""
    if not data:
        return os.open(os.devnull, os.O_RDONLY)
    if hasattr(os, "memfd_create"):  # all there at once, whoever dies
        fd = os.memfd_create("stackhub", os.MFD_CLOEXEC)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.lseek(fd, 0, os.SEEK_SET)
        return fd
    reader, writer = os.pipe()
    _thread.start_new_thread(feed, (writer, data))
    return reader


def become(request: Request, streams: tuple[int, int, int], ready: int, go: int, umask: int) -> None:
    """Turn into the job, once the shim has noted who we are. Does not return."""
    try:
        os.setsid()
        for number in range(1, _signal.NSIG):
            try:
                _signal.signal(number, _signal.SIG_DFL)
            except (OSError, ValueError):  # SIGKILL, SIGSTOP, and what the C library keeps for itself
                continue
        os.write(ready, b"1")
        if os.read(go, 1) != b"1":
            os._exit(NOT_RUN)
        for target, fd in enumerate(streams):
            os.dup2(fd, target)
        os.umask(umask)
        os.chdir(request.cwd)
        os.execvpe(request.argv[0], request.argv, request.env)  # noqa: S606 - a shell is asked for by name, if at all
    except OSError as err:
        where = request.cwd if err.filename == request.cwd else request.argv[0]
        os.write(2, b"stackhub: cannot run in %s: " % where if where is request.cwd else b"stackhub: %s: " % where)
        os.write(2, os.fsencode(f"{err.strerror}\n"))
        os._exit(NOT_FOUND if isinstance(err, FileNotFoundError) and where is not request.cwd else NOT_RUN)
    finally:
        os._exit(NOT_RUN)


def write(name: str, text: str) -> None:
    """Write a file of `ROOM` bytes over what it holds."""
    fd = os.open(name, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        if os.write(fd, text.ljust(ROOM).encode()) != ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
    finally:
        os.close(fd)


def sync(name: str) -> None:
    """Have a file, or the names in a directory, on the disk."""
    fd = os.open(name, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def record(status: int, started: float, ended: float) -> None:
    """Leave how the job ended, and nothing by halves; on a full disk the lock is held until there is room."""
    code = os.waitstatus_to_exitcode(status)
    how = f'"code": {code}, "signal": null' if code >= 0 else f'"code": null, "signal": {-code}'
    text = f'{{"format": {FORMAT}, {how}, "started_at": {started:.6f}, "ended_at": {ended:.6f}}}'
    while True:
        try:
            write("record.new", text)
            sync("record.new")
            os.rename("record.new", "record")
            sync(".")
        except OSError as err:
            if err.errno not in FULL:
                raise
            select.select((), (), (), RETRY)
        else:
            return


def attend(pid: int, kept: dict[int, Kept], bell: int) -> tuple[int, float]:
    """Keep what the job says until it has ended; return its status and the time."""
    poll = select.poll()
    for fd in (bell, *kept):
        poll.register(fd, select.POLLIN)
    end: tuple[int, float] | None = None
    until = 0.0
    while end is None or (kept and time.monotonic() < until):
        for fd, _ in poll.poll(None if end is None else max(0.0, until - time.monotonic()) * 1000):
            if fd == bell:
                os.read(bell, CHUNK)
                gone, status = os.waitpid(pid, os.WNOHANG) if end is None else (0, 0)
                if gone:
                    end, until = (status, time.time()), time.monotonic() + LINGER
            elif data := os.read(fd, CHUNK):
                kept[fd].add(data)
            else:
                poll.unregister(fd)
                kept.pop(fd).end()
                os.close(fd)
    for stream in kept.values():
        stream.end()
    return end


def run(request: Request, umask: int) -> None:
    """Run the job from its beginning to its record."""
    bell, ringer = os.pipe()
    os.set_blocking(ringer, False)
    _signal.set_wakeup_fd(ringer)
    _signal.signal(_signal.SIGCHLD, lambda *_: None)

    names = ("output",) if request.merge else ("stdout", "stderr")
    pipes = [os.pipe() for _ in names]
    kept = {pipe[0]: Kept(name, request.most // len(names)) for pipe, name in zip(pipes, names, strict=True)}
    streams = (carried(request.stdin), pipes[0][1], pipes[-1][1])
    told, ready = os.pipe()
    go, gate = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(gate)
        become(request, streams, ready, go, umask)
    for fd in {*streams, ready, go}:
        os.close(fd)

    os.read(told, 1)  # its session is made: from here on it can be signalled
    started = time.time()
    write("record.new", "")
    who = f'"pid": {pid}, "birth": {birth(pid)}, "shim": {os.getpid()}, "shim_birth": {birth(os.getpid())}'
    write("began", f'{{"format": {FORMAT}, {who}, "space": "{space()}", "started_at": {started:.6f}}}')
    os.rename("claim", "lock")
    sync("record.new")  # which takes its room, and on most file systems all names with it
    sync(".")
    os.write(gate, b"1")
    os.close(gate)
    status, ended = attend(pid, kept, bell)
    record(status, started, ended)


def main() -> None:
    """Obey the request on fd 0 in the directory that is the only argument."""
    os.closerange(LOCK + 1, os.sysconf("SC_OPEN_MAX"))
    for number in (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM, _signal.SIGPIPE):
        _signal.signal(number, _signal.SIG_IGN)  # these are for the job; it alone decides what they mean
    umask = os.umask(0o077)
    os.chdir(sys.argv[1])
    request = Request(everything(0))
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    run(request, umask)
    os._exit(0)


if __name__ == "__main__":
    main()
