"""Looking at what has run, and at what will."""

import shutil
from datetime import UTC, datetime, timedelta

import pytest

import stackhub_shell
from stackhub.cli import main
from stackhub.errors import ConfigError


@pytest.fixture(scope="module")
def made(tmp_path_factory, small_configuration):
    """A good run, and then a bad one: made once, since looking changes nothing."""
    place = tmp_path_factory.mktemp("history")
    with pytest.MonkeyPatch.context() as patch:
        small_configuration(place, patch)
        assert [main(["run", pipeline]) for pipeline in ("shop", "broken")] == [0, 1]
    return place / ".stackhub"


@pytest.fixture
def history(made, directory, stackhub):
    """Both runs."""
    shutil.copytree(made, directory / ".stackhub")
    bad, good = stackhub("runs", "--json").json
    return good, bad


@pytest.mark.parametrize("argv", [["runs"], ["next"], ["alerts"], ["plan"]])
def test_with_no_database_yet_there_is_nothing_and_none_is_made(stackhub, directory, argv):
    assert stackhub(*argv).code == 0
    assert stackhub(*argv, "--json").code == 0
    assert not (directory / ".stackhub").exists()


def test_nothing_is_an_empty_list_and_a_friendly_word(stackhub):
    assert stackhub("runs", "--json").json == []
    assert stackhub("runs").out.startswith("nothing has run yet: `stackhub run PIPELINE`")
    assert stackhub("alerts", "--json").json == {"incidents": [], "undelivered": [], "mutes": []}
    shown = stackhub("show", "last")
    assert (shown.code, shown.err.partition(":")[0]) == (2, "nothing has run yet")


def test_runs_are_listed_newest_first_and_can_be_narrowed(stackhub, history):
    good, bad = history
    assert [line.split()[0] for line in stackhub("runs").lines[1:]] == [bad["id"], good["id"]]
    assert [run["id"] for run in stackhub("runs", "--pipeline", "shop", "--json").json] == [good["id"]]
    assert [run["id"] for run in stackhub("runs", "--state", "failed", "--json").json] == [bad["id"]]
    assert len(stackhub("runs", "-n", "1", "--json").json) == 1
    assert stackhub("runs", "--state", "queued").out == "no such run\n"


def test_times_are_rfc_3339_in_utc(stackhub, history):
    good, _ = history
    for key in ("created_at", "started_at", "ended_at"):
        assert good[key].endswith("Z")
        assert datetime.fromisoformat(good[key]).tzinfo == UTC


def test_what_there_is_not_is_told_with_what_there_is(stackhub, history):
    assert stackhub("runs", "--pipeline", "nix").err == "no pipeline 'nix'; there are: broken, long, shop\n"
    assert stackhub("runs", "--state", "nix").err.startswith("no state 'nix'; there are: queued, running, ")
    assert stackhub("why", "shop.nix").err.endswith("has no task 'nix'; there are: orders, payments, marts\n")
    assert stackhub("show", "nixnix").err == (
        "no run 'nixnix': `stackhub runs` lists them; pipelines are broken, long, shop\n"
    )


def test_a_run_may_be_named_by_either_end_of_its_id_by_its_pipeline_or_as_the_last(stackhub, history):
    good, bad = history
    for name in (good["id"], good["id"].lower(), good["id"][-6:], "shop"):
        assert stackhub("show", name, "--json").json["id"] == good["id"], name
    assert stackhub("show", "last", "--json").json["id"] == bad["id"]


def test_a_name_that_may_be_several_runs_is_refused_with_the_candidates(stackhub, history):
    good, bad = history
    shown = stackhub("show", good["id"][:5])
    assert (shown.code, shown.out) == (2, "")
    assert shown.err == f"{good['id'][:5]!r} may be any of these runs: {bad['id']}, {good['id']}\n"
    assert stackhub("show", good["id"][:3]).code == 2


def test_a_run_is_shown_with_its_steps_as_a_tree(stackhub, history):
    shown = stackhub("show", "broken")
    assert shown.code == 0
    tree = [line for line in shown.lines if line.startswith(("✓", "✗", "⊘"))]
    assert [line.split()[1:3] for line in tree] == [["good", "succeeded"], ["└─", "bad"], ["└─", "after"]]
    assert "bad:\n  the disk is full\n" in shown.out


def test_usual_durations_are_told_once_there_is_a_history(stackhub, history):
    assert stackhub("run", "shop").code == 0
    assert stackhub("show", "last").out.count("usually ") == 3
    assert all(step["usual_seconds"] is not None for step in stackhub("show", "last", "--json").json["steps"])


def test_logs_are_what_the_jobs_said_and_for_others_their_history(stackhub, history):
    assert stackhub("logs", "shop.payments").out == "1038 payments\n"
    whole = stackhub("logs", "broken")
    assert whole.lines[:4] == ["--- good ---", "fine", "--- bad ---", "the disk is full"]
    assert whole.lines[4] == "--- after ---"
    assert whole.lines[5].endswith("upstream failed (attempt 1): needs bad")
    parts = stackhub("logs", "broken", "--json").json
    assert [(part["task"], part["source"]) for part in parts] == [
        ("good", "job"),
        ("bad", "job"),
        ("after", "history"),
    ]


def test_following_the_log_of_a_run_that_has_ended_ends(stackhub, history):
    assert stackhub("logs", "shop.orders", "--follow").out == "1042 orders\n"
    assert stackhub("logs", "shop", "--follow", "--json").code == 2


def test_logs_fall_back_on_history_when_the_configuration_cannot_be_read(stackhub, history, directory):
    (directory / "pipelines" / "bad.yaml").write_text("pipeline:\n")
    shown = stackhub("logs", "shop.orders")
    assert shown.code == 0
    assert shown.err.startswith("only history is shown, since the configuration cannot be read: pipelines/bad.yaml:1")
    assert "succeeded (attempt 1)" in shown.out
    assert stackhub("runs").code == 0  # history needs no pipelines at all


def test_logs_of_an_instance_that_cannot_be_opened_are_its_history(stackhub, history, monkeypatch):
    def shut(*_):
        raise ConfigError("no room on the disk")

    monkeypatch.setattr(stackhub_shell.connector, "open", shut)
    shown = stackhub("logs", "broken.bad")
    assert shown.code == 0
    assert shown.err == "only history is shown of shell, which cannot be opened: no room on the disk\n"
    assert "failed (attempt 1): the disk is full" in shown.out


def test_a_log_that_is_gone_is_replaced_by_history(stackhub, history, directory):
    for path in (directory / ".stackhub" / "jobs").glob("*/output"):
        path.unlink()
    assert "succeeded (attempt 1)" in stackhub("logs", "shop.orders").out


def test_secrets_stand_in_no_log_that_is_shown(stackhub, directory):
    (directory / "shell.env").write_text("WAREHOUSE_PASSWORD=correct-horse-battery\n")
    (directory / "shell.env").chmod(0o600)
    shown = stackhub("run", "shop", "--only", "orders", "--with", "orders.command=echo $WAREHOUSE_PASSWORD; exit 1")
    assert shown.code == 1
    logged = stackhub("logs", "last.orders")
    assert set(logged.out) == {"*", "\n"}


def test_why_says_the_nearest_cause_first(stackhub, history):
    assert stackhub("why", "broken.after").lines[1:] == ["  - needs bad"]
    whole = stackhub("why", "broken", "--json").json
    assert whole["because"][0] == "bad failed: the disk is full"


def test_next_lists_ticks_soonest_first_in_utc_and_in_the_schedules_zone(stackhub, directory):
    (directory / "pipelines" / "often.yaml").write_text(
        "pipeline: often\nschedule: {every: 10m}\ntasks: {a: {uses: shell.run, with: {command: 'true'}}}\n"
    )
    ticks = stackhub("next", "--json", "-n", "4").json
    assert ticks == sorted(ticks, key=lambda tick: tick["at"])
    assert len(ticks) == 4
    [shop] = stackhub("next", "shop", "-n", "1", "--json").json
    assert shop["local"].endswith("[Europe/Berlin]")
    assert datetime.fromisoformat(shop["at"]) == datetime.fromisoformat(shop["local"].partition("[")[0])
    shown = stackhub("next").out
    assert "broken: when asked (stackhub trigger broken)" in shown
    assert "as configured: no daemon has ever run here" in shown


def test_what_is_in_force_is_what_next_shows_once_something_has_run(stackhub, history):
    assert "as configured" not in stackhub("next").out
    assert [tick["pipeline"] for tick in stackhub("next", "--json", "-n", "2").json] == ["shop", "shop"]


def test_a_pipeline_without_runs_yet_has_no_newest_run(stackhub, history):
    assert stackhub("show", "long").code == 2


def test_next_names_the_days_that_a_calendar_leaves_out(stackhub, directory):
    text = (
        "pipeline: shut\nschedule: {cron: '0 6 * * *', except: [closed]}\n"
        f"calendars: {{closed: [{days(1)}..{days(40)} Stock-taking]}}\n"
        "tasks: {a: {uses: shell.run, with: {command: 'true'}}}\n"
    )
    (directory / "pipelines" / "shut.yaml").write_text(text)
    ticks = stackhub("next", "shut", "--json", "-n", "2").json
    assert next(tick["at"][:10] for tick in ticks if tick["at"][:10] > days(0)) == days(41)
    assert f"shut: not on {days(1)} (calendar closed: Stock-taking), " in stackhub("next", "shut", "-n", "3").out
    assert "and 37 days more" in stackhub("next", "shut", "-n", "3").out
    assert "cron 0 6 * * * (UTC) except on days of closed" in stackhub("plan", "shut").out


def days(many):
    return (datetime.now(UTC) + timedelta(days=many)).date().isoformat()


def test_next_around_the_turns_of_a_clock(stackhub, directory):
    text = "pipeline: night\nschedule: {cron: '30 2 * * *', timezone: Europe/Berlin}\ntasks: {a: {uses: shell.run, with: {command: 'true'}}}\n"
    (directory / "pipelines" / "night.yaml").write_text(text)
    first, second = stackhub("next", "night", "--around-dst", "-n", "1", "--json").json
    notes = [tick["note"] for view in (first, second) for tick in view["ticks"]]
    assert "stands for 02:30, which the clock leaves out" in notes
    shown = stackhub("next", "night", "--around-dst").out
    assert "night: 30 2 * * * Europe/Berlin; " in shown
    assert "02:30 comes twice: the first" in shown
    (directory / "pipelines" / "night.yaml").write_text(text.replace("Europe/Berlin", "Asia/Tokyo"))
    shown = stackhub("next", "night", "--around-dst").out
    assert shown == "night: the clock of Asia/Tokyo is not turned in the next two years\n"


def test_a_pause_is_seen_before_it_is_made(stackhub, history):
    said = stackhub("pause", "shop", "--dry-run")
    assert (said.code, said.out) == (0, "")
    assert said.err.count(" waits\n") == 3
    assert "which is last: stackhub resume shop --dry-run" in said.err
    assert stackhub("resume", "shop", "--dry-run").err.startswith("shop is not paused\n")
    view = stackhub("resume", "shop", "--dry-run", "--json").json
    assert (view["paused"], view["ticks"], len(view["next"])) == (False, [], 5)
    assert stackhub("resume", "nowhere", "--dry-run").code == 2
