"""From what people write to dbt's command line."""

import json
import os
import stat
import sys
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stackhub.contract import Rejected
from stackhub_dbt.command import Project, command_line, defaults, listing_line, results_of
from stackhub_dbt.executable import Dbt, Versions, locate, version_in
from stackhub_dbt.listing import unique_ids
from stackhub_dbt.options import OPTIONS, DbtSettings
from stackhub_dbt.secrecy import hiding

V1 = Dbt(path="/venv/bin/dbt", version="1.11.16")
V2 = Dbt(path="/venv/bin/dbt", version="2.0.0-preview.196")
PLACE = Path("/state/jobs/key")
PROJECT = Project(directory=Path("/project"))
WORD = st.text("abcxyz+@*.:_,/-", min_size=1, max_size=12).filter(lambda word: not word.startswith("-"))


def argv(operation="build", dbt=V1, project=PROJECT, *, rest=False, interval=None, **options):
    return command_line(dbt, project, operation, OPTIONS[operation](**options), PLACE, rest=rest, interval=interval)


def after(arguments, flag):
    """Return what follows a flag, up to the next one."""
    found = []
    for argument in arguments[arguments.index(flag) + 1 :]:
        if argument.startswith("-"):
            break
        found.append(argument)
    return found


@pytest.mark.parametrize(
    ("operation", "verb"),
    [("build", ("build",)), ("source_freshness", ("source", "freshness")), ("docs", ("docs", "generate"))],
)
def test_the_command_comes_first(operation, verb):
    assert argv(operation)[: 1 + len(verb)] == ("/venv/bin/dbt", *verb)


def test_a_job_writes_into_its_own_directory_only():
    for arguments in (argv(), listing_line(V1, PROJECT, OPTIONS["build"](), PLACE)):
        assert after(arguments, "--target-path") == ["/state/jobs/key/target"]
        assert after(arguments, "--log-path") == ["/state/jobs/key/logs"]


def test_the_two_dbts_call_no_log_file_by_different_words():
    assert after(argv(dbt=V1), "--log-level-file") == ["none"]
    assert after(argv(dbt=V2), "--log-level-file") == ["off"]


def test_every_option_reaches_dbt():
    arguments = argv(
        select="+tag:revenue orders",
        exclude=["slow", "a b"],
        vars={"day": "2026-01-01", "n": 1},
        target="prod",
        threads=8,
        full_refresh=True,
        fail_fast=True,
    )

    assert after(arguments, "--select") == ["+tag:revenue", "orders"]
    assert after(arguments, "--exclude") == ["slow", "a", "b"]
    assert after(arguments, "--vars") == ['{"day": "2026-01-01", "n": 1}']
    assert after(arguments, "--target") == ["prod"]
    assert after(arguments, "--threads") == ["8"]
    assert {"--full-refresh", "--fail-fast"} <= set(arguments)
    assert after(argv(selector="nightly"), "--selector") == ["nightly"]


def test_what_is_not_said_is_dbts_own_choice():
    said = set(argv())

    assert not said & {"--select", "--exclude", "--selector", "--vars", "--target", "--threads", "--profile"}
    assert not said & {"--profiles-dir", "--full-refresh", "--fail-fast"}


def test_the_instance_speaks_where_the_task_does_not():
    settings = DbtSettings(project_dir="shop", profiles_dir="profiles", profile="shop", target="dev", threads=2)
    project = Project.of(settings, Path("/config"))

    assert after(argv(project=project), "--project-dir") == ["/config/shop"]
    assert after(argv(project=project), "--profiles-dir") == ["/config/profiles"]
    assert after(argv(project=project), "--profile") == ["shop"]
    assert after(argv(project=project), "--target") == ["dev"]
    assert after(argv(project=project), "--threads") == ["2"]
    assert after(argv(project=project, target="prod", threads=8), "--target") == ["prod"]
    assert after(argv(project=project, target="prod", threads=8), "--threads") == ["8"]


@given(terms=st.lists(WORD, min_size=1, max_size=5))
def test_a_selection_reads_the_same_as_a_text_and_as_a_list(terms):
    as_text, as_list = argv(select=" ".join(terms)), argv(select=terms)

    assert as_text == as_list
    assert list(as_text[as_text.index("--select") + 1 :][: len(terms)]) == terms


@pytest.mark.parametrize("select", ["--target prod", "orders --full-refresh", ["-x"], "", [" "], 3, ["a", 1]])
def test_a_selection_is_no_way_to_another_option(select):
    with pytest.raises(ValidationError):
        OPTIONS["build"](select=select)


@pytest.mark.parametrize("field", ["target", "selector"])
def test_a_word_is_no_way_to_another_option(field):
    with pytest.raises(ValidationError):
        OPTIONS["build"](**{field: "--full-refresh"})


@pytest.mark.parametrize(
    ("operation", "option"),
    [
        ("test", "full_refresh"),
        ("snapshot", "full_refresh"),
        ("docs", "fail_fast"),
        ("source_freshness", "fail_fast"),
        ("seed", "partial"),
        ("build", "project_dir"),
    ],
)
def test_a_command_takes_only_what_dbt_takes(operation, option):
    with pytest.raises(ValidationError, match="Extra inputs"):
        OPTIONS[operation](**{option: True})


def test_a_rest_is_selected_by_results_and_by_nothing_else():
    arguments = argv(rest=True, select="orders", exclude="slow", full_refresh=True)

    assert after(arguments, "--select") == ["result:error"]
    assert after(arguments, "--state") == [str(PLACE)]
    assert after(arguments, "--indirect-selection") == ["empty"]
    assert "--exclude" not in arguments
    assert "--full-refresh" in arguments


@given(left=st.lists(st.text(min_size=1, max_size=30), unique=True))
def test_a_list_of_what_is_left_names_each_node_whatever_its_name(left):
    found = json.loads(results_of("build", tuple(left)))

    assert [(entry["unique_id"], entry["status"]) for entry in found["results"]] == [(node, "error") for node in left]


def test_a_listing_reads_the_same_project_with_the_same_variables():
    project = Project(directory=Path("/project"), profiles=Path("/profiles"), target="dev")
    options = OPTIONS["build"](select="orders", vars={"n": 1}, full_refresh=True)

    arguments = listing_line(V2, project, options, PLACE)

    assert arguments[:3] == ("/venv/bin/dbt", "--quiet", "list")
    assert after(arguments, "--select") == ["orders"]
    assert after(arguments, "--vars") == ['{"n": 1}']
    assert after(arguments, "--target") == ["dev"]
    assert after(arguments, "--profiles-dir") == ["/profiles"]
    assert "--full-refresh" not in arguments, "dbt list does not take it"


def test_a_listing_is_read_line_by_line():
    printed = b'{"unique_id": "model.a.b"}\nWarning: x\n[1]\n{"unique_id": 3}\n{"unique_id":"test.a.c d.1"}\n'

    assert unique_ids(printed) == ("model.a.b", "test.a.c d.1")


def test_what_was_parsed_is_offered_only_where_it_is(tmp_path):
    parsed = tmp_path / "partial_parse.msgpack"
    assert "DBT_PARTIAL_PARSE_FILE_PATH" not in defaults(V1, parsed)
    parsed.touch()

    assert defaults(V1, parsed)["DBT_PARTIAL_PARSE_FILE_PATH"] == str(parsed)
    assert defaults(V2, parsed).keys() == {"DBT_SEND_ANONYMOUS_USAGE_STATS", "PYTHONUNBUFFERED"}


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("Core:\n  - installed: 1.11.16\n  - latest:    1.12.6 - \x1b[33mUpdate available!\x1b[0m\n", "1.11.16"),
        (
            "Core:\n  - installed: 1.10.0b2\n  - latest: 1.12.6\n\nPlugins:\n  - duckdb: 1.11.1 - Up to date!\n",
            "1.10.0b2",
        ),
        ("dbt-fusion 2.0.0-preview.196\n", "2.0.0-preview.196"),
        ("dbt-core 2.0.0-alpha.4\n", "2.0.0-alpha.4"),
        ("dbt 2.0.9\n", "2.0.9"),
        ("dbt Cloud CLI - 0.38.22 (7bf1d4b 2024-09-27)\n", None),
        ("Python 3.11.7\n", None),
        ("", None),
    ],
)
def test_a_version_is_read_from_what_dbt_says(said, version):
    assert version_in(said) == version


@pytest.mark.parametrize(("version", "is_v1"), [("1.11.16", True), ("2.0.0-preview.196", False), ("10.0.0", False)])
def test_which_dbt_it_is_stands_in_its_version(version, is_v1):
    assert Dbt(path="dbt", version=version).is_v1 is is_v1


def program(path, script):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_the_dbt_beside_this_python_is_taken_then_the_paths(tmp_path, monkeypatch):
    beside = program(tmp_path / "venv" / "dbt", "")
    on_path = program(tmp_path / "path" / "dbt", "")
    monkeypatch.setenv("PATH", str(on_path.parent))

    assert locate(None, tmp_path, str(tmp_path / "venv" / "python")) == str(beside)
    assert locate(None, tmp_path, str(tmp_path / "other" / "python")) == str(on_path)
    assert locate("path/dbt", tmp_path) == str(on_path), "a relative path starts at the configuration's directory"
    assert locate("dbt", tmp_path / "elsewhere") == str(on_path)


def test_without_any_dbt_the_way_to_one_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Rejected) as refused:
        locate(None, tmp_path, str(tmp_path / "python"))

    assert str(refused.value) == "connector 'dbt' needs dbt: pip install 'stackhub[dbt]', or set DBT_EXECUTABLE"


async def test_a_version_is_asked_once_for_each_file(tmp_path):
    script = f"echo asked >> {tmp_path}/asked; echo dbt-core 2.0.0"
    path, versions = program(tmp_path / "dbt", script), Versions()

    for _ in range(3):
        assert (await versions.ask(str(path), os.environ)).version == "2.0.0"
    assert (tmp_path / "asked").read_text() == "asked\n"

    program(path, script + "1")
    os.utime(path, ns=(0, path.stat()[stat.ST_MTIME] * 10**9 + 10**9))
    assert (await versions.ask(str(path), os.environ)).version == "2.0.01"


async def test_asking_for_a_version_reaches_nobody(tmp_path):
    """v1 looks for newer ones on PyPI when it is asked for its own."""
    path = program(tmp_path / "dbt", f'env > {tmp_path}/env; echo "dbt-core 2.0.0"')

    await Versions().ask(str(path), {"PATH": os.environ["PATH"], "HTTPS_PROXY": "http://proxy", "no_proxy": "*"})

    given = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert given["https_proxy"] == given["http_proxy"] == "http://127.0.0.1:9"
    assert not {"HTTPS_PROXY", "no_proxy"} & given.keys()


@pytest.mark.parametrize("script", ["echo dbt Cloud CLI - 0.38.22", "echo broken >&2; exit 1", "exit 0"])
async def test_what_is_no_dbt_is_refused_in_its_own_words(tmp_path, script):
    path = program(tmp_path / "dbt", script)

    with pytest.raises(Rejected, match="is not dbt"):
        await Versions().ask(str(path), os.environ)


async def test_what_cannot_be_run_is_refused(tmp_path):
    path = tmp_path / "dbt"
    path.write_text("#!/no/such/interpreter\n")
    path.chmod(0o755)

    with pytest.raises(Rejected, match="cannot be run"):
        await Versions().ask(str(path), os.environ)


@given(text=st.text(max_size=40), secrets=st.lists(st.text("abc*", min_size=8, max_size=12), max_size=3))
def test_a_secret_is_nowhere_in_what_is_shown(text, secrets):
    whole = "".join([text, *secrets])

    shown = hiding(secrets)(whole)

    assert all(secret not in shown for secret in secrets if "*" not in secret)


def test_a_word_too_short_to_be_a_secret_is_left():
    assert hiding(["dev", "", "longer than that"])("dev longer than that developer") == "dev *** developer"


def test_further_variables_are_shown_by_nobody():
    settings = DbtSettings(further={"PASSWORD": "hunter22"})

    assert "hunter22" not in repr(settings)


def test_this_python_is_the_default():
    assert Path(locate(sys.executable, Path())) == Path(sys.executable)


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        ("2026-03-01T00:00:00+00:00", "2026-03-02T00:00:00+00:00", "2026-03-01T00:00:00", "2026-03-02T00:00:00"),
        ("2026-03-01T00:00:00+01:00", "2026-03-02T00:00:00+01:00", "2026-02-28T23:00:00", "2026-03-01T23:00:00"),
        ("2026-03-01T00:00:00.5+00:00", "2026-03-01T09:00:00.5+00:00", "2026-03-01T00:00:00", "2026-03-01T09:00:01"),
        ("2026-03-01T00:00:00+00:00", "2026-03-01T00:00:00+00:00", "2026-03-01T00:00:00", "2026-03-01T00:00:01"),
    ],
)
def test_an_interval_is_handed_to_microbatch_models_where_it_is_wanted(start, end, first, last):
    interval = (datetime.fromisoformat(start), datetime.fromisoformat(end))
    wanted = argv(interval=interval, event_time=True)
    assert after(wanted, "--event-time-start") == [first]
    assert after(wanted, "--event-time-end") == [last]
    assert "--event-time-start" in argv(interval=interval, event_time=True, rest=True)
    assert "--event-time-start" not in argv(interval=interval)
    assert "--event-time-start" not in argv(event_time=True)


@pytest.mark.parametrize("operation", ["test", "seed", "snapshot", "docs", "source_freshness"])
def test_commands_that_know_no_interval_refuse_one(operation):
    with pytest.raises(ValidationError, match="event_time"):
        argv(operation, event_time=True)
