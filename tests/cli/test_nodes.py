"""The nodes of a run on the command line, of a dbt that says what the real one once said."""

from pathlib import Path

import pytest

EVENTS = Path(__file__).parent.parent / "connectors" / "dbt_events"
MARTS = """\
pipeline: marts
owner: finance-data
defaults: {retries: {attempts: 1}}
tasks:
  build: {uses: dbt.build, needs: []}
"""


@pytest.fixture
def built(directory, stackhub):
    """A run of a build in which two nodes have failed."""
    dbt = directory / "dbt"
    version = '[ "$1" != --version ] || { echo "Core:"; echo "  - installed: 1.11.16"; exit 0; }'
    dbt.write_text(f"#!/bin/sh\n{version}\ncat '{EVENTS / 'v1_failing.jsonl'}'\nexit 1\n")
    dbt.chmod(0o755)
    (directory / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
    (directory / "dbt.env").write_text("DBT_EXECUTABLE=./dbt\n")
    (directory / "pipelines" / "marts.yaml").write_text(MARTS)
    assert stackhub("run", "marts").code == 1
    return stackhub


def test_the_nodes_are_a_table_what_failed_first(built):
    lines = built("nodes", "marts").lines
    assert lines[0].split() == ["state", "kind", "node", "took", "rows", "owner", "says"]
    assert [line.split()[1:4] for line in lines[1:3]] == [
        ["failed", "model", "feed"],
        ["failed", "test", "no_order_is_free"],
    ]
    assert "IO Error: No files found" in lines[1] or "Runtime Error in model feed" in lines[1]
    assert "skipped" in lines[-2]
    assert lines[-1] == "4 succeeded, 1 warned, 2 failed, 1 skipped"


def test_they_can_be_narrowed_and_cut(built):
    failed = built("nodes", "last.build", "--state", "failed", "--json").json
    assert {node["name"] for node in failed["nodes"]} == {"feed", "no_order_is_free"}
    assert (failed["total"], failed["counts"]["failed"]) == (2, 2)
    cut = built("nodes", "last", "-n", "1").lines
    assert len(cut) == 3
    assert cut[-1].endswith("; 7 more: --number 8 lists them")
    assert built("nodes", "last", "--state", "running").out == "no such node\n"


def test_what_there_is_not_is_told_with_what_there_is(built):
    told = built("nodes", "last", "--state", "nix")
    assert (told.code, told.err.partition(";")[0]) == (2, "no state 'nix'")
    assert built("nodes", "marts.nix").err.endswith("has no task 'nix'; there are: build\n")


def test_a_run_without_nodes_says_so(stackhub):
    assert stackhub("run", "shop").code == 0
    assert stackhub("nodes", "shop").out == "no job of it has told of nodes; dbt's do\n"


def test_why_of_a_model_that_failed_and_of_one_that_was_left(built):
    shown = built("why", "feed").lines
    assert shown[0] == "node model.shop.feed is failed"
    assert "IO Error: No files found" in "".join(shown[1:4])
    assert any("no run that is kept has built it" in line for line in shown)
    left = built("why", "model.shop.feed_by_day", "--json").json
    assert (left["subject"], left["state"], left["task"]) == ("node", "skipped", "build")
    assert left["because"][0].startswith("it was not built, because upstream of it failed: model.shop.feed (")


def test_why_of_a_test_that_found_rows_says_that_trying_again_would_not_help(built):
    said = built("why", "last.build.no_order_is_free", "--json").json["because"]
    assert said[:2] == [
        "Got 2 results, configured to fail if != 0",
        "trying again would not help: these are words of a mistake, not of a passing fault",
    ]


def test_why_of_a_model_that_was_built_says_by_what_and_why_that_ran(built):
    shown = built("why", "marts.build.orders", "--json").json
    assert shown["name"] == "model.shop.orders"
    assert shown["because"][0].startswith("build built it in ")
    assert shown["because"][-1].startswith("its run: it was made because: ")


def test_why_of_what_there_is_not_is_refused(built):
    assert built("why", "last.build.nix").err.endswith(" lists them\n")
    assert built("why", "nothing_is_called_so").code == 2
    assert built("why", "fivetran:nothing").err.startswith("nothing is known of 'fivetran:nothing'")


def test_why_of_a_pipeline_that_has_not_run_says_so(built):
    assert built("why", "long").lines == ["pipeline long is idle", "  - it has not run yet"]
