"""Pipelines written in Python, through a process of their own."""

from datetime import timedelta

import pytest

from stackhub.config.pipeline_file import PipelineFile
from stackhub.config.written import yaml_of
from stackhub.config.yaml_nodes import load
from stackhub.errors import ConfigError
from stackhub.pipelines import Need, Pipeline, Retries, Route, Schedule, Sla, Task, Trigger, task

SCRIPT = """
from stackhub.pipelines import Pipeline, task

print("a word of the script's")
shop = Pipeline(
    pipeline="shop",
    schedule=[{"cron": "0 6 * * *"}],
    tasks={
        "orders": task("shell.run", {"command": ["true"]}),
        "marts": task("shell.run", {"command": "echo no"}, needs=["orders"], timeout="5m"),
    },
)
"""


@pytest.fixture
def script(tmp_path):
    def written(text, name="shop.py"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return written


def test_what_a_script_makes_is_a_file_that_the_hub_takes(stackhub, directory, script):
    done = stackhub("compile", script(SCRIPT))
    assert (done.code, "a word of the script's" in done.err) == (0, True)
    assert done.out.startswith("# Written by `stackhub compile shop.py`")
    for path in (directory / "pipelines").iterdir():
        path.unlink()
    (directory / "pipelines" / "shop.yaml").write_text(done.out)
    assert stackhub("check").code == 0
    assert stackhub("run", "shop").code == 0


def test_several_go_into_a_directory_each_into_a_file_of_its_own(stackhub, script, tmp_path):
    many = script(
        "from stackhub.pipelines import *\n"
        "many = [Pipeline(pipeline=f'p{n}', tasks={'a': task('shell.run', {'command': 'true'})}) for n in (1, 2)]\n"
    )
    refused = stackhub("compile", many)
    assert refused.code != 0
    assert "makes 2 pipelines (p1, p2): add --to DIR" in refused.err
    assert stackhub("compile", many, "--to", str(tmp_path / "made")).code == 0
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["p1.yaml", "p2.yaml"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1\n", "shop.py makes no pipeline"),
        ("def f(:\n", "shop.py:1: SyntaxError"),
        ("\nraise LookupError('nothing there')\n", "shop.py:2: LookupError: nothing there"),
        ("raise SystemExit(3)\n", "left with 3 before it had made its pipelines"),
        ("import os\nos._exit(7)\n", "its process ended with 7 and said nothing"),
        ("from stackhub.pipelines import *\nPipeline(pipeline='A')\n", "shop.py:2: pipeline: a name is made of"),
        ("from stackhub.pipelines import *\nTask(uses='a.b', task='x')\n", "shop.py:2: task: Extra inputs"),
        (
            "from stackhub.pipelines import *\na, b = (Pipeline(pipeline='p') for _ in 'ab')\n",
            "two pipelines are called 'p'",
        ),
        (
            "from stackhub.pipelines import *\nx = Pipeline(pipeline='p', tasks={'t': task('a.b', {'c': {1, 2}})})\n",
            "p.tasks.t.with.c: a file cannot hold a set",
        ),
    ],
)
def test_a_script_that_makes_no_pipeline_is_told_with_its_place_and_exits_2(stackhub, script, text, told):
    done = stackhub("compile", script(text))
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert "Traceback" not in done.err


def test_a_script_that_is_not_there_is_told(stackhub, tmp_path):
    done = stackhub("compile", str(tmp_path / "nothing.py"))
    assert (done.code, "there is no such file" in done.err) == (2, True)


def test_everything_that_can_be_said_is_read_again_as_it_was_meant():
    whole = Pipeline(
        pipeline="whole",
        description="12:30",
        owner="no",
        schedule=[Schedule(cron="0 6 * * *", timezone="Europe/Berlin"), Schedule(every="15m")],
        triggers=[Trigger(pipeline="other")],
        sla=Sla(finish_by="07:30"),
        catchup="all",
        max_active=3,
        tasks={
            "a": Task(
                uses="shell.run", **{"with": {"command": "0777", "more": {"yes": "~", "n": [1, 2.5, None, True]}}}
            ),
            "b": task("shell.run", needs=["a", Need(task="a", complete=True)], timeout=timedelta(minutes=90)),
            "c": task("dbt.build", needs=[], retries=Retries(attempts=2, wait="10s")),
        },
        alerts=[Route(to="slack", on=["failed", "late"], channel="#x")],
    )
    read = load(yaml_of(whole).encode(), "whole.yaml")
    assert read.problems == []
    assert PipelineFile.model_validate(read.data) == whole


def test_lists_that_are_empty_stay_lists():
    bare = Pipeline(pipeline="bare", tasks={"a": task("shell.run", needs=[])}, alerts=[])
    data = load(yaml_of(bare).encode(), "bare.yaml").data
    assert (data["tasks"]["a"]["needs"], data["alerts"]) == ([], [])


def test_an_option_that_no_file_can_hold_is_named():
    with pytest.raises(ConfigError, match=r"^p\.tasks\.a\.with\.at: a file cannot hold a object"):
        yaml_of(Pipeline(pipeline="p", tasks={"a": task("shell.run", {"at": object()})}))
