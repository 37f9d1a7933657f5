"""Usage and help."""

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from stackhub import __version__
from stackhub.cli.commandline import hoisted
from stackhub.cli.declare import app

FOUND = typer.main.get_command(app).commands
GROUPS = {name: sorted(one.commands) for name, one in FOUND.items() if hasattr(one, "commands")}
COMMANDS = sorted(FOUND)


def test_without_a_command_the_help_lists_every_command_under_a_heading(stackhub):
    shown = stackhub("--help")
    assert shown.code == 0
    for heading in ("Run:", "Steer what runs:", "Look:", "Set up:"):
        assert heading in shown.lines
    listed = [line.split()[0] for line in shown.lines if line.startswith("  ") and not line.startswith("   ")]
    assert set(COMMANDS) <= set(listed)
    assert max(map(len, shown.lines)) <= 80


@pytest.mark.parametrize(
    "argv", [[name] for name in COMMANDS if name not in GROUPS] + [[g, name] for g in GROUPS for name in GROUPS[g]]
)
def test_the_help_of_a_command_ends_with_an_example_that_names_it(stackhub, argv):
    shown = stackhub(*argv, "--help")
    assert shown.code == 0
    example = shown.out.partition("Example: ")[2]
    assert example.replace("\n ", "").startswith(f"stackhub {' '.join(argv)}")


@pytest.mark.parametrize("argv", [["nosuch"], ["run"], ["runs", "--limit", "0"], ["runs", "--nosuch"], []])
def test_wrong_usage_exits_with_2(stackhub, argv):
    shown = stackhub(*argv)
    assert shown.code == 2
    assert "Usage: stackhub" in shown.err + shown.out


def test_a_command_that_is_nearly_one_is_named(stackhub):
    assert "Did you mean 'runs'" in stackhub("rnus").err


def test_version_is_one_line(stackhub):
    assert stackhub("version").out == f"stackhub {__version__}\n"


@pytest.mark.parametrize("argv", [["--config", "X", "runs"], ["runs", "--config", "X"], ["runs", "--config=X"]])
def test_the_configuration_may_be_named_before_the_command_or_behind_it(stackhub, argv, tmp_path):
    shown = stackhub(*[word.replace("X", str(tmp_path / "nowhere")) for word in argv])
    assert (shown.code, shown.err) == (
        2,
        f"{tmp_path / 'nowhere'}: is no directory: name one with --config or STACKHUB_CONFIG\n",
    )


def test_what_stands_behind_two_dashes_is_left_alone():
    assert hoisted(["run", "--", "--config", "x"]) == ["run", "--", "--config", "x"]
    assert hoisted(["runs", "--config"]) == ["--config", "runs"]


@given(st.lists(st.sampled_from(["run", "--config", "--config=a", "b", "--", "-n"])))
def test_hoisting_loses_and_adds_nothing(argv):
    assert sorted(hoisted(argv)) == sorted(argv)


@pytest.mark.parametrize("argv", [["serve"], ["sandbox", "--port", "0"]])
def test_a_state_directory_that_cannot_be_made_is_named_with_the_way_out(stackhub, directory, monkeypatch, argv):
    (directory / "file").touch()
    monkeypatch.setenv("STACKHUB_STATE_DIR", "file/state")
    shown = stackhub(*argv)
    assert shown.code == 2
    assert shown.err.startswith(f"{directory / 'file' / 'state'}")
    assert (
        "cannot be made (Not a directory): give it to the user that runs stackhub, or set STACKHUB_STATE_DIR"
        in shown.err
    )
