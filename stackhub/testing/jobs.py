"""What the hub relies on in everything that runs jobs."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, get_args

import pytest

from stackhub.contract import (
    Absent,
    Answer,
    Baseline,
    Deferred,
    Finished,
    Found,
    Handle,
    Job,
    Jobs,
    Operation,
    Outcome,
    Pending,
    StartIs,
)

Pass: TypeAlias = Callable[[], Awaitable[None]]
Started: TypeAlias = Callable[[], int]

KEY = "01JOBCONTRACT-1"
OTHER_KEY = "01JOBCONTRACT-2"


def stored(value: Any) -> Any:
    """Return what comes back from the store."""
    return json.loads(json.dumps(value))


async def begin(jobs: Jobs, job: Job, key: str = KEY) -> tuple[Baseline, Handle]:
    """Start a job as the hub does: baseline to the store, start, handle to the store."""
    baseline = stored(dict(await jobs.prepare(job)))
    handle = await jobs.start(job, baseline, key)
    assert not isinstance(handle, Finished), "this suite wants a job that goes on for a while"
    return baseline, stored(dict(handle))


class JobsContract:
    """Rules for any job, at a vendor or in a process.

    Fixtures that a subclass gives:

    - ``jobs``: an open instance whose far side is willing
    - ``job``: a `Job` that goes on until ``finish``
    - ``operation``: the `Operation` of that job
    - ``finish``: an async callable that brings all that was started to a good end, and returns when it is there
    - ``started``: a callable that returns how many jobs the far side has ever begun
    - ``settle``: an async callable that lets the operation's ``settle`` pass (default: it is nothing, and nothing
      has to pass)
    - ``secrets``: strings that must never be shown (default: none)
    """

    @pytest.fixture
    def settle(self, operation: Operation) -> Pass:
        assert not operation.settle, "give the fixture `settle`: this operation's jobs show only after a while"

        async def nothing() -> None:
            pass

        return nothing

    @pytest.fixture
    def secrets(self) -> tuple[str, ...]:
        return ()

    async def test_it_has_the_verbs(self, jobs: Jobs) -> None:
        assert isinstance(jobs, Jobs)

    async def test_a_baseline_and_a_handle_survive_the_store(self, jobs: Jobs, job: Job) -> None:
        baseline = await jobs.prepare(job)
        assert stored(dict(baseline)) == dict(baseline)
        handle = await jobs.start(job, stored(dict(baseline)), KEY)
        assert not isinstance(handle, Finished)
        assert stored(dict(handle)) == dict(handle)

        [answer] = await jobs.poll([stored(dict(handle))])

        assert isinstance(answer, Pending | Deferred)

    async def test_a_baseline_and_a_handle_hold_no_secret(self, jobs: Jobs, job: Job, secrets: Sequence[str]) -> None:
        kept = json.dumps(await begin(jobs, job))

        assert not [secret for secret in secrets if secret in kept]

    async def test_preparing_starts_nothing(self, jobs: Jobs, job: Job, started: Started) -> None:
        await jobs.prepare(job)

        assert started() == 0

    async def test_a_poll_answers_each_handle_in_order_duplicates_included(self, jobs: Jobs, job: Job) -> None:
        _, handle = await begin(jobs, job)

        answers = await jobs.poll([handle, handle, handle])

        assert len(answers) == len([handle, handle, handle])
        assert all(isinstance(answer, Pending | Deferred) for answer in answers)

    async def test_a_poll_of_no_handle_has_no_answer(self, jobs: Jobs) -> None:
        assert list(await jobs.poll([])) == []

    async def test_a_job_that_goes_on_has_not_ended_and_asking_starts_nothing(
        self, jobs: Jobs, job: Job, started: Started
    ) -> None:
        _, handle = await begin(jobs, job)
        before = started()

        answers = [answer for _ in range(3) for answer in await jobs.poll([handle])]

        assert all(isinstance(answer, Pending | Deferred) for answer in answers)
        assert started() == before

    async def test_an_end_is_told_as_often_as_it_is_asked(self, jobs: Jobs, job: Job, finish: Pass) -> None:
        _, handle = await begin(jobs, job)
        await finish()

        answers = [answer for _ in range(2) for answer in await jobs.poll([handle])]

        assert [_outcome(answer) for answer in answers] == [Outcome.OK, Outcome.OK]

    async def test_a_start_that_had_its_effect_is_found_once_it_has_settled(
        self, jobs: Jobs, job: Job, started: Started, settle: Pass
    ) -> None:
        baseline, _ = await begin(jobs, job)
        await settle()

        found = await jobs.find(job, baseline, KEY)

        assert isinstance(found, Found)
        [answer] = await jobs.poll([stored(dict(found.handle))])
        assert isinstance(answer, Pending | Deferred)
        assert started() == 1

    async def test_a_job_that_ended_before_anyone_looked_is_found(self, jobs: Jobs, job: Job, finish: Pass) -> None:
        baseline, _ = await begin(jobs, job)
        await finish()

        found = await jobs.find(job, baseline, KEY)

        assert isinstance(found, Found)
        [answer] = await jobs.poll([stored(dict(found.handle))])
        assert _outcome(answer) == Outcome.OK

    async def test_what_was_never_started_is_not_found(self, jobs: Jobs, job: Job, started: Started) -> None:
        baseline = stored(dict(await jobs.prepare(job)))

        assert isinstance(await jobs.find(job, baseline, KEY), Absent)
        assert started() == 0

    async def test_another_attempts_key_is_not_ours(
        self, jobs: Jobs, job: Job, operation: Operation, settle: Pass
    ) -> None:
        if operation.start_is not in {StartIs.KEYED, StartIs.MARKED}:
            pytest.skip(f"start_is {operation.start_is}: the far side knows no keys")
        baseline, _ = await begin(jobs, job)
        await settle()

        assert isinstance(await jobs.find(job, baseline, OTHER_KEY), Absent)

    async def test_starting_twice_with_one_key_makes_one_job(
        self, jobs: Jobs, job: Job, operation: Operation, started: Started
    ) -> None:
        if operation.start_is not in {StartIs.KEYED, StartIs.JOINABLE}:
            pytest.skip(f"start_is {operation.start_is}: a second start is another job")
        baseline, first = await begin(jobs, job)

        second = await jobs.start(job, baseline, KEY)

        assert not isinstance(second, Finished)
        assert started() == 1
        answers = await jobs.poll([first, stored(dict(second))])
        assert all(isinstance(answer, Pending | Deferred) for answer in answers)

    async def test_cancelling_a_job_that_has_ended_is_no_error(self, jobs: Jobs, job: Job, finish: Pass) -> None:
        _, handle = await begin(jobs, job)
        await finish()

        await jobs.cancel(handle)

        [answer] = await jobs.poll([handle])
        assert _outcome(answer) == Outcome.OK


def _outcome(answer: Answer) -> Outcome | str:
    assert isinstance(answer, get_args(Answer))
    return answer.outcome if isinstance(answer, Finished) else type(answer).__name__
