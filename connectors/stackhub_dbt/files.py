"""The project's files as they are now, named by their content: whether what was once read of them still holds.

Only what dbt builds its graph of counts, and of a seed only that it is there. Files are read again where their times
or sizes have changed, so that a project of thousands costs as many calls of `stat` and no more.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

READ: Final = frozenset({".sql", ".yml", ".yaml", ".md", ".py"})
SEEN: Final = frozenset({".csv"})  # what stands in a seed changes no graph
PASSED: Final = frozenset({"target", "logs", "node_modules", "venv", "__pycache__"})  # and whatever is hidden
PROFILES: Final = "profiles.yml"
KEY: Final = "key"  # the file of the random key: without it a name tells nothing of the secrets that went into it


class Files:
    """Names the files of one project; ``further`` is what else dbt reads by: settings, environment."""

    def __init__(self, project: Path, profiles: Path | None, state: Path, further: str) -> None:
        self._project = project
        self._profiles = profiles
        self._state = state
        self._further = further
        self._known: dict[str, tuple[tuple[int, int, int], bytes]] = {}  # path -> its stat, and its content's name
        self._key = b""

    def name(self, home: str) -> str:
        """Return the name of what is there now. Blocks."""
        self._key = self._key or _key(self._state / KEY)
        whole = blake2b(self._further.encode(), key=self._key, digest_size=16)
        known, self._known = self._known, {}
        for path, found in sorted(self._walk()):
            whole.update(f"\0{path}\0".encode(errors="surrogateescape"))
            whole.update(self._content(found, known))
        for place in self._places(home):
            with suppress(OSError):
                stat = os.stat(place / PROFILES)  # noqa: PTH116 - as `DirEntry.stat`, which is what the others have
                whole.update(self._content_of(str(place / PROFILES), stat, known))
                break
        return whole.hexdigest()

    def _places(self, home: str) -> tuple[Path, ...]:
        return (self._profiles,) if self._profiles else (self._project, Path(home, ".dbt"))

    def _walk(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        waiting = [str(self._project)]
        while waiting:
            with suppress(OSError), os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir():
                        if entry.name not in PASSED and not entry.name.startswith("."):
                            waiting.append(entry.path)
                    elif os.path.splitext(entry.name)[1] in READ | SEEN:  # noqa: PTH122 - thousands, on every look
                        yield os.path.relpath(entry.path, self._project), entry

    def _content(self, entry: os.DirEntry[str], known: dict[str, tuple[tuple[int, int, int], bytes]]) -> bytes:
        if entry.name.endswith(tuple(SEEN)):
            return b""
        try:
            return self._content_of(entry.path, entry.stat(), known)
        except OSError:
            return b"gone"

    def _content_of(
        self, path: str, stat: os.stat_result, known: dict[str, tuple[tuple[int, int, int], bytes]]
    ) -> bytes:
        now = stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size
        was = known.get(path)
        if was is None or was[0] != now:
            was = now, blake2b(Path(path).read_bytes(), digest_size=16).digest()
        self._known[path] = was
        return was[1]


def _key(path: Path) -> bytes:
    """Return the random key that is kept beside; a disk that keeps none costs that names outlive no restart."""
    with suppress(OSError):
        return path.read_bytes()
    made = secrets.token_bytes(32)
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(made)
        return made
    with suppress(OSError):  # another process was quicker
        return path.read_bytes() or made
    return made
