"""What the daemon logs, and what it does not."""

import io
import json
import logging as stdlib

import pytest
import structlog

from stackhub.cli import logging
from stackhub.server.redact import Redactor

SECRET = "correct-horse-battery-staple"


@pytest.fixture
def out():
    """Lend a stream, and put logging back as it was."""
    root = stdlib.getLogger()
    handlers, level = root.handlers, root.level
    yield io.StringIO()
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def raised(text: str) -> Exception:
    try:
        int(text)
    except ValueError as err:
        return err


def test_text_is_one_line_of_words_and_pairs(out):
    logging.configure("text", "info", Redactor(), out)
    structlog.get_logger().info("told", instance="slack", what='a "b" c', empty="", many=["x y"])
    line = out.getvalue()
    assert line.endswith(' info    told  instance=slack what="a \\"b\\" c" empty="" many="[\'x y\']"\n')
    assert "\x1b" not in line


def test_a_line_cannot_be_forged(out):
    logging.configure("text", "info", Redactor(), out)
    structlog.get_logger().info("told", error="first\n2026-01-01 info forged")
    assert out.getvalue().count("\n") == 1


def test_json_is_one_document_a_line(out):
    logging.configure("json", "info", Redactor(), out)
    structlog.get_logger().warning("could not tell", attempts=3, until=None)
    line = json.loads(out.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "could not tell", "level": "warning", "attempts": 3, "until": None}


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_no_secret_is_logged_wherever_it_stands(out, form, stream):
    out = stream()
    logging.configure(form, "debug", Redactor([SECRET]), out)
    log = structlog.get_logger()
    log.info(SECRET, value=SECRET, nested={"a": [SECRET]}, error=ValueError(SECRET))
    log.error("it broke", exc_info=raised(f"bad token {SECRET}"))
    stdlib.getLogger("httpx").warning("GET https://x/?token=%s", SECRET)
    stdlib.getLogger("uvicorn.error").error("broke", exc_info=raised(SECRET))
    text = out.getvalue()
    assert SECRET not in text
    assert text.count("ValueError") >= 2
    assert "***" in text


def test_colours_are_for_terminals_only():
    terminal = Terminal()
    logging.configure("text", "info", Redactor(), terminal)
    structlog.get_logger().info("told")
    assert "\x1b[" in terminal.getvalue()
    structlog.reset_defaults()


def test_libraries_are_heard_from_warning_on(out):
    logging.configure("text", "debug", Redactor(), out)
    stdlib.getLogger("sqlalchemy.engine").info("SELECT 1")
    assert out.getvalue() == ""
    stdlib.getLogger("uvicorn.error").warning("odd %s", "request")
    assert "odd request  logger=uvicorn.error" in out.getvalue()


def test_a_library_that_formats_wrongly_is_heard_all_the_same(out):
    logging.configure("text", "info", Redactor(), out)
    stdlib.getLogger("library").warning("%d items", "many")
    assert "%d items" in out.getvalue()


def test_below_its_level_nothing_is_logged_and_a_reload_changes_it(out):
    logging.configure("text", "error", Redactor(), out)
    log = structlog.get_logger()
    log.warning("quiet")
    logging.configure("text", "info", Redactor(), out)
    log.info("loud")
    assert "quiet" not in out.getvalue()
    assert "loud" in out.getvalue()


def test_a_stream_that_has_gone_costs_nothing(out):
    logging.configure("text", "info", Redactor(), out)
    out.close()
    structlog.get_logger().info("into the void")
