"""What a command ends with."""

import pytest

from stackhub.cli import exits
from stackhub.errors import ConfigError, Problem, Refused, StoreUnavailable, StoreUnusable, Unavailable


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused("no run"), 2),
        (StoreUnusable("held"), 2),
        (StoreUnavailable("away"), 1),
        (Unavailable("the daemon is leaving"), 1),
    ],
)
def test_an_error_that_was_foreseen_is_one_line_and_a_code(error, code, capsys):
    def work():
        raise error

    assert exits.guarded(work) == code
    assert capsys.readouterr().err == f"{error}\n"


def test_every_problem_of_a_configuration_is_a_line(capsys):
    problems = [Problem("pipelines/a.yaml:3:5", "is empty"), Problem("", "no such thing")]

    def work():
        raise ConfigError(*problems)

    assert exits.guarded(work) == 2
    assert capsys.readouterr().err == "pipelines/a.yaml:3:5: is empty\nno such thing\n"


def test_an_error_is_found_inside_the_task_groups_it_came_through(capsys):
    def work():
        raise ExceptionGroup("outer", [ExceptionGroup("inner", [Refused("inside")])])

    assert exits.guarded(work) == 2
    assert capsys.readouterr().err == "inside\n"


def test_a_file_of_another_user_is_named_with_the_way_out(capsys):
    def work():
        raise PermissionError(13, "Permission denied", "/srv/hub/.stackhub/stackhub.db")

    assert exits.guarded(work) == 2
    assert capsys.readouterr().err == (
        "/srv/hub/.stackhub/stackhub.db: permission denied: ask as the user that runs stackhub, or give it to this one\n"
    )


def test_what_nobody_foresaw_is_a_line_that_says_how_to_learn_more(capsys, monkeypatch):
    def work():
        raise ZeroDivisionError("by zero")

    monkeypatch.delenv(exits.DEBUG, raising=False)
    assert exits.guarded(work) == 1
    assert capsys.readouterr().err == "stackhub: unexpected ZeroDivisionError: by zero (STACKHUB_DEBUG=1 shows where)\n"
    monkeypatch.setenv(exits.DEBUG, "1")
    with pytest.raises(ZeroDivisionError):
        exits.guarded(work)


def test_an_interrupt_has_the_code_that_shells_know():
    def work():
        raise KeyboardInterrupt

    assert exits.guarded(work) == 130
