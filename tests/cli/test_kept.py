"""Wishes without a daemon: kept, and obeyed by the next hub."""

import pytest

from stackhub.cli.named import NOTHING

KEPT = "no daemon is running: kept, it will be obeyed when one starts\n"


def test_a_trigger_is_kept_under_the_id_that_its_run_will_have(stackhub):
    kept = stackhub("trigger", "shop")
    assert (kept.code, kept.err) == (0, KEPT)
    [run_id] = kept.lines
    shown = stackhub("show", run_id)
    assert (shown.code, shown.err) == (2, f"run {run_id} is kept, and is made when a daemon starts: stackhub serve\n")
    assert stackhub("run", "broken").code == 1
    assert stackhub("show", run_id, "--json").json["pipeline"] == "shop"


def test_a_retry_is_kept(stackhub):
    assert stackhub("run", "broken").code == 1
    [run_id] = stackhub("retry", "broken").lines
    assert stackhub("run", "shop").code == 0
    assert stackhub("show", run_id, "--json").json["retry_of"]


def test_a_step_of_a_failed_run_can_be_skipped_and_the_retry_goes_on_without_it(stackhub):
    assert stackhub("run", "broken").code == 1
    skipped = stackhub("skip", "broken.bad", "--reason", "no matter")
    assert (skipped.code, skipped.err) == (0, KEPT)
    assert stackhub("run", "broken", "--only", "good").code == 0
    shown = stackhub("show", skipped.lines[0], "--json").json
    assert {step["task"]: step["state"] for step in shown["steps"]} == {
        "good": "succeeded",
        "bad": "skipped",
        "after": "succeeded",
    }


def test_pause_and_resume_are_kept_in_their_order(stackhub):
    for argv in (["pause", "shop"], ["resume", "shop"], ["pause", "shop", "--reason", "again"]):
        kept = stackhub(*argv)
        assert (kept.code, kept.out, kept.err) == (0, "", KEPT)
    assert stackhub("run", "broken").code == 1
    assert {tick["paused_reason"] for tick in stackhub("next", "shop", "--json").json} == {"again"}


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["trigger", "nix"], "no pipeline 'nix'; there are: broken, long, shop"),
        (["trigger", "shop", "--only", "nix"], "shop: no task 'nix'"),
        (["pause", "nix"], "no pipeline 'nix'"),
        (["retry", "shop"], "run SHOP has nothing left to do: use --from-start"),
        (["cancel", "shop"], "run SHOP is succeeded already"),
        (["skip", "shop", "--reason", "x"], "which step? skip takes RUN.TASK: SHOP.orders"),
        (["alerts", "close", "nix"], "no open incident 'nix'; there are: none"),
    ],
)
def test_what_cannot_be_obeyed_is_not_kept(stackhub, argv, said):
    assert stackhub("run", "shop").code == 0
    [run] = stackhub("runs", "--json").json
    shown = stackhub(*argv)
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.startswith(said.replace("SHOP", run["id"]))


@pytest.mark.parametrize("argv", [["retry", "shop"], ["cancel", "last"], ["skip", "a.b", "--reason", "x"]])
def test_what_speaks_of_a_run_is_refused_while_none_has_run(stackhub, directory, argv):
    shown = stackhub(*argv)
    assert (shown.code, shown.err) == (2, f"{NOTHING}\n")
    assert not (directory / ".stackhub").exists()


def test_waiting_needs_no_daemon_the_run_is_made_here(stackhub):
    shown = stackhub("trigger", "broken", "--wait")
    assert shown.code == 1
    [run_id] = shown.lines
    assert "bad failed" in shown.err
    again = stackhub("retry", run_id, "--wait")
    assert again.code == 1
    assert stackhub("show", again.lines[0], "--json").json["retry_of"] == run_id
