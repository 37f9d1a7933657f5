"""Wishes with a daemon: asked over its socket, and followed by reading the store."""

import pytest


@pytest.fixture(scope="module")
def directory(tmp_path_factory, small_configuration):
    """One daemon for all of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        yield small_configuration(tmp_path_factory.mktemp("served"), patch)


@pytest.fixture(scope="module", autouse=True)
def served(directory, start):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STACKHUB_PORT", "0")
        with start("serve", until="stackhub serves") as (process, _):
            yield process


def test_a_trigger_prints_the_id_of_a_run_that_is_there(stackhub):
    asked = stackhub("trigger", "shop")
    assert asked.code == 0, asked.err
    [run_id] = asked.lines
    assert asked.err == f"run {run_id} is running\n"
    assert stackhub("show", run_id, "--json").json["trigger"] == "manual"


def test_waiting_follows_to_the_end_and_exits_as_the_run_went(stackhub):
    assert stackhub("trigger", "shop", "--wait").code == 0
    failed = stackhub("trigger", "broken", "--wait")
    assert failed.code == 1
    assert "bad:\n  the disk is full\n" in failed.err
    assert len(failed.lines) == 1


def test_a_foreground_run_is_the_daemons_and_its_exit_code_is_ours(stackhub):
    shown = stackhub("run", "broken")
    assert shown.code == 1
    assert shown.lines[0] == "a daemon has the store: it was asked, and is followed"
    assert "after  upstream failed" in shown.out
    assert stackhub("run", "shop", "--json").json["state"] == "succeeded"


def test_a_retry_of_what_was_retried_already_is_the_same_run(stackhub):
    [old] = stackhub("trigger", "long").lines
    stackhub("cancel", old, "--reason", "wrong day")
    assert stackhub("trigger", "long", "--with", "endless.command=true", "--wait").code == 0  # queued behind it
    assert stackhub("show", old, "--json").json["cancel_reason"] == "wrong day"
    [first] = stackhub("retry", old).lines
    again = stackhub("retry", old)
    assert (again.lines, again.err) == ([first], "there is a retry of it already:\n")
    assert stackhub("cancel", first).code == 0


def test_pause_resume_and_what_is_asked_twice(stackhub):
    assert "is paused" in stackhub("pause", "shop", "--reason", "upgrade").err
    assert "is already paused" in stackhub("pause", "shop").err
    assert "paused: upgrade" in stackhub("next", "shop").out
    assert "is no longer paused" in stackhub("resume", "shop").err


def test_a_refusal_is_the_daemons_word_and_exits_with_2(stackhub):
    for argv in (["trigger", "nix"], ["pause", "nix"], ["alerts", "close", "nix"], ["alerts", "test"]):
        refused = stackhub(*argv)
        assert (refused.code, refused.out) == (2, ""), argv
        assert len(refused.err.splitlines()) == 1


def test_a_log_is_followed_until_its_run_has_ended(stackhub, directory, console):
    shown = stackhub(
        "trigger", "shop", "--with", "orders.command=echo one; until test -e go; do sleep 0.05; done; echo two"
    )
    with console("logs", f"{shown.lines[0]}.orders", "--follow") as process:
        assert process.stdout.readline() == "one\n"
        (directory / "go").touch()
        assert process.communicate(timeout=30)[0] == "two\n"
        assert process.returncode == 0


def test_the_store_is_read_and_backed_up_while_the_daemon_has_it(stackhub, directory, tmp_path):
    stackhub("trigger", "shop", "--wait")
    assert stackhub("db", "backup", str(tmp_path / "copy.db")).code == 0
    assert (tmp_path / "copy.db").stat().st_size > 0
    assert stackhub("db", "backup", str(tmp_path / "copy.db")).code == 2
    held = stackhub("db", "upgrade")
    assert held.code == 2
    assert "is held by another stackhub (process " in held.err
