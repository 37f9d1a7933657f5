"""dbt's JSON log as people read it. Pure."""

from collections.abc import Callable
from typing import Final

from stackhub_dbt.events import event_of, plain

LONGEST: Final = 4000  # characters of one event that are shown


def render(data: bytes, hide: Callable[[str], str] = str, *, whole: bool) -> tuple[str, int]:
    """Return the lines of ``data`` fit for people, and how many bytes they were.

    A last line without its end waits for the rest, unless it is ``whole`` as it is: nothing more will come, or it is
    longer than what is read at once and the reader has to get past it.
    """
    end = len(data) if whole else data.rfind(b"\n") + 1
    shown = (_shown(line, hide) for line in data[:end].split(b"\n"))
    return "".join(f"{line}\n" for line in shown if line), end


def _shown(line: bytes, hide: Callable[[str], str]) -> str:
    """Return one event; "" for what is not worth showing: details, and empty lines."""
    event = event_of(line)
    if event is None:
        return hide(plain(line.decode("utf-8", "replace")))[:LONGEST]
    info, _ = event
    words = hide(plain(str(info.get("msg") or "")))
    if info.get("level") == "debug" or not words:
        return ""
    clock = str(info.get("ts") or "")[11:19]
    return f"{clock}  {words}"[:LONGEST]
