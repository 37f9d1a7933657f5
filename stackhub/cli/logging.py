"""Logs: text for people or JSON for machines, on standard error, with every secret blotted out.

Whatever libraries log goes the same way, from WARNING on. A log that cannot be written costs nothing but itself.
"""

import json
import logging
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any, Final, TextIO

import structlog
from structlog.typing import Processor

from stackhub.server.redact import Redactor

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_FIRST: Final = ("timestamp", "level", "event")
_PLAIN: Final = frozenset({"level", "timestamp"})


def configure(form: str, level: str, redactor: Redactor, stream: TextIO | None = None) -> None:
    """Send logs to ``stream`` (standard error), as ``text`` or ``json``. Called again, it changes all that."""
    out = stream or sys.stderr
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _redacting(redactor),
            _renderer(form, colours=out.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=_Lines(out),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Handler()]
    root.setLevel(max(LEVELS[level], logging.WARNING))


def _renderer(form: str, *, colours: bool) -> Processor:
    if form == "json":
        return _json
    if colours:
        return structlog.dev.ConsoleRenderer(colors=True, exception_formatter=structlog.dev.plain_traceback)
    return _text


def _json(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    """Write an event as one line, what every event has first."""
    return json.dumps({**{key: event[key] for key in _FIRST if key in event}, **event}, ensure_ascii=False, default=str)


def _text(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    """Write an event as one line, `key=value` after its words, and a traceback below it."""
    trace = event.pop("exception", "")
    head = f"{event.pop('timestamp', '')} {event.pop('level', ''):<7} {event.pop('event', '')}"
    pairs = " ".join(f"{key}={_quoted(value)}" for key, value in event.items())
    return f"{head}  {pairs}".rstrip() + (f"\n{trace}" if trace else "")


def _quoted(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    plain = text and text.isprintable() and not any(letter in text for letter in ' "=')
    return text if plain else '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _redacting(redactor: Redactor) -> Processor:
    def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {key: value if key in _PLAIN else redactor.value(value) for key, value in event.items()}

    return redact


class _Lines:
    """Makes loggers that write lines, and outlive their stream."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def __call__(self, *_: Any) -> "_Lines":
        return self

    def msg(self, line: str) -> None:
        with suppress(OSError, ValueError):  # the terminal, or the pipe, has gone
            self._out.write(f"{line}\n")
            self._out.flush()

    log = debug = info = warning = error = critical = exception = msg


class _Handler(logging.Handler):
    """Brings what libraries log to where we log."""

    def emit(self, record: logging.LogRecord) -> None:
        say: dict[int, Callable[..., Any]] = {}
        logger = structlog.get_logger()
        say = {10: logger.debug, 20: logger.info, 30: logger.warning, 40: logger.error, 50: logger.critical}
        nearest = max((one for one in say if one <= record.levelno), default=10)
        try:
            say[nearest](record.getMessage(), logger=record.name, exc_info=record.exc_info or False)
        except (TypeError, ValueError):  # a library's own mistake in its format
            say[nearest](str(record.msg), logger=record.name)
