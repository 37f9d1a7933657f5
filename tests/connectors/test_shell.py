"""Shell: commands as jobs."""

import signal
from pathlib import Path

import pytest
from launch.grounds import Grounds, OnGrounds, grounds_in
from pydantic import ValidationError

from stackhub.contract import Finished, Job, Logs, Outcome, Pending, Rejected
from stackhub.testing import JobsContract
from stackhub_shell import ShellRun, ShellSettings, connector

SECRET = "correct-horse-battery-staple"


@pytest.fixture
def grounds(tmp_path: Path):
    with grounds_in(tmp_path) as lent:
        yield lent


@pytest.fixture
async def jobs(grounds: Grounds):
    settings = ShellSettings(further={"TOKEN": SECRET, "LEVEL": "instance"})
    async with connector.open(settings, grounds.context()) as opened:
        yield opened


def asking(command, **options) -> Job:
    return Job(operation="run", options=ShellRun(command=command, **options), pipeline="p", run="01RUN", task="t")


async def answer_to(grounds: Grounds, jobs, command, **options) -> Finished:
    """Run a job to its end, and return what is told of it."""
    job = asking(command, **options)
    handle = await jobs.start(job, await jobs.prepare(job), "key")
    return await grounds.told(jobs, handle)


class TestShellJobs(OnGrounds, JobsContract):
    @pytest.fixture
    def job(self, grounds):
        return asking(f"read _ < {grounds.gate}", env={"PASSWORD": SECRET})

    @pytest.fixture
    def operation(self):
        return connector.operations["run"]

    @pytest.fixture
    def secrets(self):
        return (SECRET,)


async def test_a_string_runs_under_bash(grounds, jobs):
    answer = await answer_to(grounds, jobs, "set -o pipefail; echo hello | tr a-z A-Z; [[ a == a ]]")

    assert answer == Finished(outcome=Outcome.OK, result={"code": 0})
    assert jobs.read_log(jobs._launcher.find("key"), 0, 100) == ("HELLO\n", 6)


async def test_a_list_runs_as_it_is_and_no_shell_sees_it(grounds, jobs):
    await answer_to(grounds, jobs, ["printf", "%s|", "$HOME; rm *", "a b"])

    assert jobs.read_log(jobs._launcher.find("key"), 0, 100)[0] == "$HOME; rm *|a b|"


async def test_a_failure_is_told_in_the_last_lines_of_what_was_said(grounds, jobs):
    answer = await answer_to(grounds, jobs, "seq 3000; echo 'no such table' >&2; exit 3")

    assert (answer.outcome, answer.retryable, answer.result) == (Outcome.FAILED, True, {"code": 3})
    assert answer.note.endswith("\n3000\nno such table")
    assert 1900 < len(answer.note) <= 2000


async def test_a_failure_without_a_word_is_told_by_its_code(grounds, jobs):
    assert (await answer_to(grounds, jobs, "exit 3")).note == "exit code 3"


async def test_a_killed_command_is_told_by_its_signal(grounds, jobs):
    answer = await answer_to(grounds, jobs, "echo half; kill -9 $$")

    assert (answer.outcome, answer.note, answer.result) == (
        Outcome.FAILED,
        "ended by SIGKILL, which was not ours: the kernel does so when memory runs out (`dmesg` tells)\nhalf",
        {"signal": signal.SIGKILL},
    )


async def test_it_runs_where_and_with_what_it_is_told(grounds, jobs):
    (grounds.root / "sub").mkdir()
    script = 'echo "$PWD $TOKEN $LEVEL $STACKHUB_PIPELINE $STACKHUB_TASK"'

    await answer_to(grounds, jobs, script, cwd="sub", env={"LEVEL": "task"})

    assert jobs.read_log(jobs._launcher.find("key"), 0, 200)[0] == f"{grounds.root}/sub {'*' * len(SECRET)} task p t\n"


async def test_a_secret_reaches_the_command_and_neither_its_log_nor_its_note(grounds, jobs):
    answer = await answer_to(grounds, jobs, f'test "$TOKEN" = {SECRET} && echo "token: $TOKEN" && exit 9')

    assert answer.note == f"token: {'*' * len(SECRET)}"
    assert answer.result == {"code": 9}
    assert SECRET not in jobs.read_log(jobs._launcher.find("key"), 0, 200)[0]


async def test_a_cwd_that_is_not_there_is_refused_before_anything_runs(grounds, jobs):
    with pytest.raises(Rejected, match=r"cwd: .*/nowhere is no directory"):
        await jobs.prepare(asking("true", cwd="nowhere"))


async def test_a_cancel_ends_it(grounds, jobs):
    job = asking(f"echo > {grounds.bell}; read _ < {grounds.gate}")
    handle = await jobs.start(job, {}, "key")
    await grounds.bell.heard()
    assert isinstance((await jobs.poll([handle]))[0], Pending)

    await jobs.cancel(handle)

    assert (await grounds.told(jobs, handle)).result == {"signal": signal.SIGTERM}


async def test_a_log_is_read_while_it_grows_and_both_streams_are_in_order(grounds, jobs):
    job = asking(f"echo one; echo two >&2; echo three; echo > {grounds.bell}; read _ < {grounds.gate}; echo four")
    handle = await jobs.start(job, {}, "key")
    await grounds.bell.heard()
    grounds.gate.say()
    await grounds.told(jobs, handle)

    assert isinstance(jobs, Logs)
    assert jobs.read_log(handle, 0, 10) == ("one\ntwo\n", 8)
    assert jobs.read_log(handle, 8, 100) == ("three\nfour\n", 19)
    assert jobs.read_log(handle, 19, 100) == ("", 19)


async def test_whether_it_may_be_repeated_is_kept_in_the_handle(grounds, jobs):
    job = asking(f"read _ < {grounds.gate}", repeatable=True)

    assert (await jobs.start(job, {}, "key"))["repeatable"] is True
    assert (await jobs.find(job, {}, "key")).handle["repeatable"] is True


@pytest.mark.parametrize("command", ["", [], [""], ["echo", ""]])
def test_an_empty_command_is_refused(command):
    with pytest.raises(ValidationError):
        ShellRun(command=command)


async def test_a_probe_finds_bash_or_names_the_remedy(grounds, jobs):
    [found] = await jobs.check()
    async with connector.open(ShellSettings(bash="no-such-bash"), grounds.context()) as bare:
        [missing] = await bare.check()

    assert (found.ok, found.remedy) == (True, "")
    assert not missing.ok
    assert "SHELL_BASH" in missing.remedy


def test_secrets_of_the_instance_are_not_shown():
    assert SECRET not in repr(ShellSettings(further={"TOKEN": SECRET}))


def test_it_is_looked_at_often_and_found_at_once():
    limits = connector.limits(ShellSettings())

    assert limits.first_look.total_seconds() <= 0.2
    assert connector.operations["run"].settle.total_seconds() == 0
    assert connector.sandbox(None) is None


async def test_what_a_text_for_bash_names_is_handed_over_and_never_read_as_code(grounds, jobs, monkeypatch):
    monkeypatch.setenv("SHOP_PATH", "$(echo pwned); echo pwned")
    monkeypatch.setenv("SHOP_OTHER", "not named")

    await answer_to(grounds, jobs, 'echo "${SHOP_PATH}"; echo "${SHOP_NONE:-default}"; env | grep -c SHOP_OTHER')

    assert jobs.read_log(jobs._launcher.find("key"), 0, 200)[0] == "$(echo pwned); echo pwned\ndefault\n0\n"


def test_the_names_of_a_run_are_refused_in_a_text_for_bash():
    with pytest.raises(ValidationError, match="STACKHUB_RUN"):
        ShellRun(command="echo {{ run.id }}")

    assert ShellRun(command="docker ps --format '{{.Names}}'").command
    assert ShellRun(command=["echo", "{{ run.id }}"]).command
