"""One run in the foreground, without a daemon."""

import signal
import subprocess
from pathlib import Path

import pytest

from stackhub.model.run import RunState


def test_a_run_that_succeeds_shows_each_change_and_exits_with_0(stackhub):
    shown = stackhub("run", "shop")
    assert shown.code == 0, shown.err
    said = [line[9:] for line in shown.lines]  # without the time of day
    assert said[0].startswith("shop running: asked for by ")
    assert "orders running (attempt 1)" in said
    assert any(line.startswith("orders succeeded after ") for line in said)
    assert said.index("shop succeeded") > said.index("marts running (attempt 1)")
    assert "✓ └─ marts  succeeded" in shown.out
    assert shown.err == ""


def test_a_run_that_fails_says_what_failed_why_and_the_way_on(stackhub):
    shown = stackhub("run", "broken")
    assert shown.code == 1
    [run] = stackhub("runs", "--json").json
    assert "bad:\n  the disk is full\n" in shown.out
    assert "after  upstream failed" in shown.out
    assert f"stackhub logs {run['id']}.bad\n" in shown.out
    assert f"stackhub retry {run['id']} --wait\n" in shown.out


def test_json_is_one_document_on_standard_output_and_the_progress_goes_elsewhere(stackhub):
    shown = stackhub("run", "broken", "--json")
    assert shown.code == 1
    assert shown.json["state"] == "failed"
    assert {step["task"]: step["state"] for step in shown.json["steps"]} == {
        "good": "succeeded",
        "bad": "failed",
        "after": "upstream_failed",
    }
    assert "good running" in shown.err


def test_one_part_runs_with_other_options(stackhub):
    shown = stackhub("run", "shop", "--only", "marts", "--with", "marts.command=echo something else")
    assert shown.code == 0
    assert stackhub("logs", "last").out == "something else\n"
    assert [step["task"] for step in stackhub("show", "last", "--json").json["steps"]] == ["marts"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["nosuch"], "no pipeline 'nosuch'; there are: broken, long, shop"),
        ([""], "no pipeline ''; there are: broken, long, shop"),
        (["shop", "--only", "nosuch"], "shop: no task 'nosuch'; there are: orders, payments, marts"),
        (["shop", "--with", "orders"], "--with 'orders' is not TASK.option=value"),
        (["shop", "--with", "orders.comand=x"], "--with orders.comand: unknown key 'comand': did you mean 'command'?"),
        (["shop", "--with", "orders.command=[1"], "--with 'orders.command=[1': the value begins as JSON and is none"),
    ],
)
def test_what_cannot_be_run_is_refused_and_nothing_has_happened(stackhub, directory, argv, said):
    shown = stackhub("run", *argv)
    assert shown.code == 2
    assert shown.err.startswith(said)
    assert len(shown.err.splitlines()) == 1
    assert not (directory / ".stackhub").exists()


def test_every_problem_of_the_configuration_is_told_and_nothing_runs(stackhub, directory):
    (directory / "pipelines" / "bad.yaml").write_text("pipeline: bad\nowner: 3\ntasks:\n  a: {uses: shell.fly}\n")
    shown = stackhub("run", "shop")
    assert shown.code == 2
    assert [line.partition(" ")[0] for line in shown.err.splitlines()] == [
        "pipelines/bad.yaml:2:8:",
        "pipelines/bad.yaml:4:13:",
    ]


def test_a_json_value_is_read_as_json(stackhub):
    shown = stackhub("run", "shop", "--only", "orders", "--with", 'orders.command=["echo", "a b"]')
    assert shown.code == 0
    assert stackhub("logs", "last.orders").out == "a b\n"


def _begun(directory: Path, process: subprocess.Popen[str]) -> None:
    assert (directory / "ready").read_text() == "begun\n"
    for line in process.stdout:
        if "endless running" in line:
            return
    pytest.fail("it ended before it began")


def test_one_interrupt_cancels_the_run_and_waits_for_its_end(directory, stackhub, console):
    process = console("run", "long")
    _begun(directory, process)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "cancelling" in out
    assert stackhub("show", "last", "--json").json["steps"][0]["state"] == "cancelled"


def test_a_second_interrupt_leaves_at_once_and_the_next_run_attends_what_was_left(directory, stackhub, console):
    (directory / "pipelines" / "long.yaml").write_text(
        "pipeline: long\ntasks:\n"
        "  endless: {uses: shell.run, with: {command: \"trap '' TERM; echo begun > ready; until test -e go; do sleep 0.1; done\"}}\n"
    )
    process = console("run", "long")
    _begun(directory, process)
    process.send_signal(signal.SIGINT)
    for line in process.stdout:
        if "cancelling" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "left: the run and its jobs go on\n")
    [run] = stackhub("runs", "--json").json
    assert run["state"] == RunState.RUNNING
    again = console("run", "long", "--with", "endless.command=true")
    found = f"1 other run found open, and attended as well: long {run['id']}"
    assert any(found in line for line in again.stdout)
    (directory / "go").touch()  # not before: a run that has ended is found open by nobody
    again.communicate(timeout=30)
    assert again.returncode == 0
    assert stackhub("show", run["id"], "--json").json["ended_at"]


def test_a_terminated_run_goes_on_without_us(directory, stackhub, console):
    process = console("run", "long")
    _begun(directory, process)
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "left: the run and its jobs go on\n")
    assert stackhub("why", "last").out.startswith("long ")
    kept = stackhub("cancel", "last", "--reason", "over")
    assert (kept.code, kept.err) == (0, "no daemon is running: kept, it will be obeyed when one starts\n")
    assert stackhub("run", "shop").code == 0  # attends the open run, and so obeys
    assert {run["pipeline"]: run["state"] for run in stackhub("runs", "--json").json}["shop"] == "succeeded"
