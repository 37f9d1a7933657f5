"""Which files begin a run: those that are new, or other ones than were taken, and do not grow any more. Pure.

A file is known by its path and its mark (size and time of change, or the store's tag): the same path with another mark
is another file. One that may still be growing is taken once it has kept its mark for as long as the trigger's `settle`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from stackhub.contract import File

MANY: Final = 500  # files that one run takes; the rest begin the next
LONG: Final = 64_000  # characters of their paths together: a job must be able to take them as one argument


@dataclass(frozen=True, slots=True, kw_only=True)
class Ripening:
    """A file that may still be growing: its mark, and since when it has had it (seconds since boot)."""

    mark: str
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What one look comes to."""

    ready: tuple[File, ...] = ()  # to be taken, in the order of their paths
    ripening: Mapping[str, Ripening] = field(default_factory=dict)
    gone: tuple[str, ...] = ()  # taken before, and not there any more: seen again, they are new


def look(
    seen: Sequence[File],
    taken: Mapping[str, str],
    before: Mapping[str, Ripening],
    now: float,
    settle: float,
) -> Looked:
    """Compare a complete listing with what was taken before, by path."""
    ready: list[File] = []
    ripening: dict[str, Ripening] = {}
    room = LONG
    for file in sorted(seen, key=lambda file: file.path):
        if taken.get(file.path) == file.mark:
            continue
        was = before.get(file.path)
        since = was.since if was is not None and was.mark == file.mark else now
        ripening[file.path] = Ripening(mark=file.mark, since=since)
        if (file.whole or now - since >= settle) and len(ready) < MANY and room >= len(file.path) + 1:
            ready.append(file)
            room -= len(file.path) + 1
    paths = {file.path for file in seen}
    return Looked(ready=tuple(ready), ripening=ripening, gone=tuple(sorted(taken.keys() - paths)))
