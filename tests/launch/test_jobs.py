"""What the hub is told of a process, and what a process is told of the hub."""

import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest
from launch.grounds import over

from stackhub.contract import Absent, Finished, Found, Job, Missing, Outcome, Pending
from stackhub.launch import Ended, ProcessJobs, Running, environment
from stackhub.launch.place import Place

JOB = Job(operation="run", options=None, pipeline="revenue", run="01RUN", task="load", attempt=2)


async def finish(handle, ended: Ended):
    return Finished(outcome=Outcome.OK if ended.ok else Outcome.FAILED, note=handle["fact"])


@pytest.fixture
def jobs(launcher):
    return ProcessJobs(launcher, finish=finish)


async def killed(grounds, launcher, handle):
    """Kill a job and its shim."""
    await grounds.bell.heard()
    began = Place(launcher.directory(handle)).began()
    for pid in (began.shim, began.pid):
        os.kill(pid, signal.SIGKILL)
        await over(pid)
    await grounds.freed(launcher, handle)


async def test_an_end_is_what_the_connector_makes_of_it(grounds, launcher, jobs):
    good = await jobs.start("good", grounds.bash("true"), fact="one")
    bad = await jobs.start("bad", grounds.bash("false"), fact="two")
    for handle in (good, bad):
        await grounds.end(launcher, handle)

    answers = await jobs.poll([good, bad])

    assert [(answer.outcome, answer.note) for answer in answers] == [("ok", "one"), ("failed", "two")]


async def test_how_far_a_job_is_is_the_connectors_to_say(grounds, launcher):
    async def going(handle, running: Running):
        return Pending(note=f"{handle['fact']} since {running.started_at.year}")

    jobs = ProcessJobs(launcher, finish=finish, going=going)
    handle = await jobs.start("key", grounds.waiting(), fact="here")
    await grounds.bell.heard()

    assert await jobs.poll([handle]) == [Pending(note=f"here since {datetime.now(UTC).year}")]


async def test_what_is_found_is_what_was_started(grounds, jobs):
    handle = await jobs.start("key", grounds.waiting(), fact="one")

    assert jobs.find("key", fact="one") == Found(handle=handle)
    assert jobs.find("other", fact="one") == Absent()


@pytest.mark.parametrize("repeatable", [True, False])
async def test_a_lost_process_is_tried_again_only_if_it_may_be_repeated(grounds, launcher, jobs, repeatable):
    handle = await jobs.start("key", grounds.waiting(), repeatable=repeatable)
    await killed(grounds, launcher, handle)

    [answer] = await jobs.poll([handle])

    assert (answer.outcome, answer.retryable) == (Outcome.FAILED, repeatable)
    assert answer.note.startswith("the process was lost: ")


async def test_a_process_that_never_began_may_always_be_tried_again(grounds, launcher, jobs):
    launcher.place("key").mkdir(parents=True)

    [answer] = await jobs.poll([{"host": launcher.host, "key": "key", "repeatable": False}])

    assert (answer.outcome, answer.retryable) == (Outcome.FAILED, True)
    assert answer.note == "the process never began, and cannot begin any more"


async def test_a_process_on_another_host_is_out_of_sight_and_not_over(grounds, jobs):
    handle = await jobs.start("key", grounds.waiting())

    [answer] = await jobs.poll([{**handle, "host": "feedface"}])

    assert isinstance(answer, Missing)
    assert "feedface" in answer.note


async def test_a_cancel_is_sigterm_then_sigkill(grounds, launcher, jobs):
    stubborn = f"trap 'echo TERM > {grounds.bell}' TERM; echo ready > {grounds.bell}; while :; do read -t 1 _ < {grounds.gate}; done"
    handle = await jobs.start("key", grounds.bash(stubborn))
    await grounds.bell.heard()

    await jobs.cancel(handle)
    assert await grounds.bell.heard() == "TERM"
    await jobs.cancel(handle)

    assert (await grounds.end(launcher, handle)).signal == signal.SIGKILL


def test_a_child_gets_what_any_program_needs_and_nothing_of_the_hubs():
    hub = {
        "PATH": "/bin",
        "HOME": "/root",
        "LC_ALL": "C",
        "TZ": "UTC",
        "SSL_CERT_FILE": "/ca",
        "https_proxy": "http://proxy",
        "NO_PROXY": "localhost",
        "STACKHUB_API_TOKEN": "secret",
        "FIVETRAN_API_KEY": "secret",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "PYTHONPATH": "/hub",
        "XPATH": "no",
        "PATHX": "no",
    }

    found = environment(JOB, hub=hub)

    own = {name: value for name, value in found.items() if name in hub}
    assert own == {
        name: hub[name] for name in ("PATH", "HOME", "LC_ALL", "TZ", "SSL_CERT_FILE", "https_proxy", "NO_PROXY")
    }


def test_a_child_is_told_whose_work_it_does():
    day = (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC))

    found = environment(
        Job(operation="run", options=None, pipeline="revenue", run="01RUN", task="load", interval=day), hub={}
    )

    assert found == {
        "STACKHUB_PIPELINE": "revenue",
        "STACKHUB_RUN": "01RUN",
        "STACKHUB_TASK": "load",
        "STACKHUB_ATTEMPT": "1",
        "STACKHUB_INTERVAL_START": "2026-11-01T00:00:00+00:00",
        "STACKHUB_INTERVAL_END": "2026-11-02T00:00:00+00:00",
    }


def test_later_layers_win_but_not_over_whose_work_it_is():
    found = environment(
        JOB, {"A": "1", "B": "1", "PATH": "/x"}, {"B": "2", "STACKHUB_RUN": "mine"}, hub={"PATH": "/bin"}
    )

    assert (found["A"], found["B"], found["PATH"], found["STACKHUB_RUN"]) == ("1", "2", "/x", "01RUN")
    assert "STACKHUB_INTERVAL_START" not in found


def test_the_hubs_own_environment_is_the_one_that_is_passed_on():
    assert environment(JOB)["PATH"] == os.environ["PATH"]
    assert Path(environment(JOB).get("HOME", "/")).is_absolute()
