"""Python: functions and scripts as jobs."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from launch.grounds import Grounds, OnGrounds, grounds_in
from pydantic import ValidationError

from stackhub.contract import Finished, Job, Outcome
from stackhub.launch.place import Place
from stackhub.testing import JobsContract
from stackhub_python import PythonRun, PythonSettings, connector

TASKS = """
import sys

def wait(gate):
    open(gate).readline()

def add(a, b=1):
    print("adding", a, b)
    return {"sum": a + b}

async def later(x):
    return x

def fails(word):
    print("about to fail")
    raise ValueError(f"bad word: {word}")

def leaves(code):
    sys.exit(code)

def odd():
    return {1, 2}

def big():
    return "x" * 100_000

def reads():
    return sys.stdin.read()

class Loader:
    @staticmethod
    def load():
        return [__name__, sys.argv, sys.path[0]]
"""


@pytest.fixture
def grounds(tmp_path: Path):
    (tmp_path / "tasks.py").write_text(TASKS)
    with grounds_in(tmp_path) as lent:
        yield lent


@pytest.fixture
async def jobs(grounds: Grounds):
    async with connector.open(PythonSettings(further={"TOKEN": "t0ken"}), grounds.context()) as opened:
        yield opened


def asking(**options) -> Job:
    return Job(operation="run", options=PythonRun(**options), pipeline="p", run="01RUN", task="t")


async def answer_to(grounds: Grounds, jobs, **options) -> Finished:
    """Run a job to its end, and return what is told of it."""
    job = asking(**options)
    handle = await jobs.start(job, await jobs.prepare(job), "key")
    return await grounds.told(jobs, handle)


def log(jobs) -> str:
    return jobs.read_log(jobs._launcher.find("key"), 0, 10_000)[0]


class TestPythonJobs(OnGrounds, JobsContract):
    @pytest.fixture
    def job(self, grounds):
        return asking(function="tasks:wait", args=[str(grounds.gate)])

    @pytest.fixture
    def operation(self):
        return connector.operations["run"]


@pytest.mark.parametrize("name", ["tasks:add", "tasks.add"])
@pytest.mark.parametrize("args", [[2, 3], {"a": 2, "b": 3}])
async def test_a_function_is_called_and_what_it_returns_is_kept(grounds, jobs, name, args):
    answer = await answer_to(grounds, jobs, function=name, args=args)

    assert answer == Finished(outcome=Outcome.OK, result={"code": 0, "value": {"sum": 5}})
    assert log(jobs) == "adding 2 3\n"


async def test_what_can_be_awaited_is_awaited(grounds, jobs):
    assert (await answer_to(grounds, jobs, function="tasks:later", args=["x"])).result["value"] == "x"


async def test_a_function_within_a_class_is_found_and_finds_its_surroundings(grounds, jobs):
    answer = await answer_to(grounds, jobs, function="tasks:Loader.load")

    assert answer.result["value"] == ["tasks", ["tasks:Loader.load"], str(grounds.root)]


@pytest.mark.parametrize("function", ["tasks:odd", "tasks:big"])
async def test_what_is_no_json_or_not_small_is_not_kept(grounds, jobs, function):
    assert await answer_to(grounds, jobs, function=function) == Finished(outcome=Outcome.OK, result={"code": 0})


async def test_a_function_reads_nothing_of_its_own_arguments(grounds, jobs):
    assert (await answer_to(grounds, jobs, function="tasks:reads")).result["value"] == ""


async def test_an_exception_is_told_by_its_last_line_with_its_traceback_in_the_log(grounds, jobs):
    answer = await answer_to(grounds, jobs, function="tasks:fails", args=["boo"])

    assert (answer.outcome, answer.note, answer.result) == (Outcome.FAILED, "ValueError: bad word: boo", {"code": 1})
    assert log(jobs).startswith("about to fail\nTraceback (most recent call last):\n")
    assert 'raise ValueError(f"bad word: {word}")' in log(jobs)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("no_such_module:f", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("tasks:nothing", "AttributeError: module 'tasks' has no attribute 'nothing'"),
        ("tasks:add", "TypeError: add() missing 1 required positional argument: 'a'"),
    ],
)
async def test_a_function_that_cannot_be_called_is_told_in_pythons_words(grounds, jobs, function, words):
    assert (await answer_to(grounds, jobs, function=function)).note == words


async def test_an_exit_code_of_its_own_is_kept(grounds, jobs):
    assert (await answer_to(grounds, jobs, function="tasks:leaves", args=[7])).result == {"code": 7}


async def test_arguments_are_in_no_process_list(grounds, jobs):
    handle = await jobs.start(asking(function="tasks:wait", args=[str(grounds.gate)]), {}, "key")
    command = jobs._build(asking(function="tasks:wait", args=["hidden"]), jobs._launcher.directory(handle))

    assert not [arg for arg in command.argv if "hidden" in arg or "tasks" in arg]
    assert b"hidden" in command.stdin


async def test_a_script_gets_its_arguments_as_they_are(grounds, jobs):
    (grounds.root / "load.py").write_text("import os, sys; print(sys.argv[1:], os.environ['TOKEN'], os.environ['A'])")

    await answer_to(grounds, jobs, script="load.py", args=["a b", 2, "$HOME"], env={"A": "b"})

    assert log(jobs) == "['a b', '2', '$HOME'] t0ken b\n"


async def test_an_interpreter_of_ones_own_is_looked_for_from_where_the_task_runs(grounds, jobs):
    (grounds.root / "sub" / "venv").mkdir(parents=True)
    python = grounds.root / "sub" / "venv" / "python"
    python.write_text(f'#!/bin/sh\nprintf "mine: "\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o700)
    shutil.copy(grounds.root / "tasks.py", grounds.root / "sub" / "theirs.py")

    answer = await answer_to(grounds, jobs, function="theirs:add", args=[1], cwd="sub", python="venv/python")

    assert answer.ok
    assert log(jobs) == "mine: adding 1 1\n"


async def test_what_is_said_can_be_read_at_once(grounds, jobs):
    (grounds.root / "talk.py").write_text(
        f"print('first'); open({str(grounds.bell)!r}, 'w').write('x\\n'); open({str(grounds.gate)!r}).readline()"
    )
    handle = await jobs.start(asking(script="talk.py"), {}, "key")
    await grounds.bell.heard()
    began = Place(jobs._launcher.directory(handle)).began()

    os.kill(began.pid, signal.SIGKILL)
    await grounds.told(jobs, handle)

    assert log(jobs) == "first\n", "though it was killed before it could flush"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"function": "a:b", "script": "c.py"},
        {"function": "nomodule"},
        {"function": "a b:c"},
        {"function": "a:b; rm"},
        {"script": "c.py", "args": {"a": 1}},
        {"script": "c.py", "args": [["nested"]]},
    ],
)
def test_options_that_fit_nothing_are_refused(options):
    with pytest.raises(ValidationError):
        PythonRun(**options)


async def test_a_probe_finds_the_interpreter_or_names_the_remedy(grounds, jobs):
    [found] = await jobs.check()
    async with connector.open(PythonSettings(executable="/no/python"), grounds.context()) as bare:
        [missing] = await bare.check()

    assert (found.ok, found.detail) == (True, sys.executable)
    assert not missing.ok
    assert "PYTHON_EXECUTABLE" in missing.remedy


def test_it_has_no_far_side_to_play():
    assert connector.sandbox(None) is None
    assert connector.limits(PythonSettings()).width == 16
