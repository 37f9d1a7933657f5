"""The installed program itself."""

import os
import pty
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stackhub import __version__

PROGRAM = Path(sys.executable).parent / "stackhub"
HEAVY = {"pydantic_settings", "sqlalchemy", "httpx", "fastapi", "rich", "stackhub.engine", "stackhub.config"}


def test_the_console_script_is_installed():
    shown = subprocess.run([PROGRAM, "version"], capture_output=True, text=True, check=True)
    assert shown.stdout == f"stackhub {__version__}\n"


@pytest.mark.parametrize("argv", ["['version']", "['--help']", "['run', '--help']"])
def test_help_and_version_import_nothing_heavy(argv):
    code = f"import sys; from stackhub.cli import main; main({argv}); print(' '.join(sys.modules), file=sys.stderr)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(shown.stderr.split()) & HEAVY == set()


def test_a_reader_that_goes_away_costs_no_traceback(stackhub):
    code = "import sys; from stackhub.cli import main; sys.exit(main(['schema']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_an_interrupt_while_following_leaves_the_run_alone(console, start, directory, monkeypatch, stackhub):
    monkeypatch.setenv("STACKHUB_PORT", "0")
    with start("serve", until="stackhub serves"):
        process = console("trigger", "long", "--wait")
        assert (directory / "ready").read_text() == "begun\n"
        for line in process.stderr:
            if "endless running" in line:
                break
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (130, "left: the run and its jobs go on\n")
        assert stackhub("show", "last", "--json").json["state"] == "running"
        assert stackhub("cancel", "last").code == 0


def test_the_sandbox_ends_on_an_interrupt_with_0(console):
    process = console("sandbox", "--port", "0")
    for line in process.stderr:
        if "Ctrl-C ends it" in line:
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0


def _on_a_terminal(directory: Path, *argv: str, **environ: str) -> str:
    """Run the program on a terminal of 80 columns, and return all that it wrote."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24", **environ}
    with subprocess.Popen(
        [PROGRAM, *argv], stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=directory
    ) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                written += os.read(ours, 65536)
            except OSError:  # nobody writes there any more
                break
    os.close(ours)
    assert process.returncode == 0, written
    return written.decode()


def test_on_a_terminal_the_picture_is_drawn_and_taken_away_again(directory):
    written = _on_a_terminal(directory, "run", "shop")
    assert "\x1b[32m" in written  # green
    assert "\x1b[?25l" in written  # the cursor is hidden while it is drawn
    assert "\x1b[?25h" in written  # and shown again
    assert written.count("└─ ") >= 2


def test_no_color_means_no_colours(directory):
    written = _on_a_terminal(directory, "run", "shop", NO_COLOR="1")
    assert "\x1b[32m" not in written
    assert "\x1b[36m" not in written


def test_a_dumb_terminal_gets_lines(directory):
    written = _on_a_terminal(directory, "run", "shop", TERM="dumb")
    assert "orders running (attempt 1)" in written
    assert "\x1b" not in written


def test_where_only_ascii_can_be_written_only_ascii_is(directory, stackhub):
    stackhub("run", "broken")
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    shown = subprocess.run([PROGRAM, "show", "last"], capture_output=True, env=env, check=False)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.isascii()
    assert b"x `- bad" in shown.stdout


def test_the_module_is_the_program_as_well():
    assert shutil.which("stackhub", path=str(PROGRAM.parent))
    shown = subprocess.run([sys.executable, "-m", "stackhub", "version"], capture_output=True, text=True, check=True)
    assert shown.stdout == f"stackhub {__version__}\n"
