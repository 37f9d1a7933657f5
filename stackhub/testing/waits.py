"""What the hub relies on in an operation that starts nothing: it waits for what its vendor does by itself."""

import re
from typing import ClassVar

from stackhub.contract import Found, Job, Jobs, Operation
from stackhub.contract.sandbox import FakeVendor
from stackhub.testing.jobs import KEY, JobsContract, Pass, Started, begin


class WaitContract(JobsContract):
    """Rules for a wait; the fixtures are those of `JobsContract`, and ``vendor``: the `FakeVendor` behind ``jobs``.

    It is there as soon as it is thought of: it is always found, as somebody else's job, and never makes one. In
    shadow it stands for what would start one, so nothing of it may be more than a look: ``by_post`` is a regular
    expression for the paths that a vendor gives to read by another method than GET.
    """

    by_post: ClassVar[str] = r"(?!)"

    async def test_it_only_ever_looks(self, jobs: Jobs, job: Job, vendor: FakeVendor) -> None:
        baseline, handle = await begin(jobs, job)
        await jobs.find(job, baseline, KEY)
        await jobs.poll([handle])
        await jobs.cancel(handle)

        assert vendor.requests
        more = {(method, path) for method, path in vendor.requests if method not in {"GET", "HEAD"}}
        assert {one for one in more if not re.search(self.by_post, one[1])} == set()

    async def test_what_was_never_started_is_not_found(self, jobs: Jobs, job: Job, started: Started) -> None:
        found = await jobs.find(job, await jobs.prepare(job), KEY)

        assert isinstance(found, Found)
        assert found.handle["joined"]
        assert started() == 0

    async def test_a_start_that_had_its_effect_is_found_once_it_has_settled(
        self, jobs: Jobs, job: Job, started: Started, settle: Pass
    ) -> None:
        baseline, handle = await begin(jobs, job)
        await settle()

        assert await jobs.find(job, baseline, KEY) == Found(handle=handle)
        assert started() == 0

    async def test_starting_twice_with_one_key_makes_one_job(
        self, jobs: Jobs, job: Job, operation: Operation, started: Started
    ) -> None:
        del operation  # whatever it promises of a second start: none makes a job
        baseline = await jobs.prepare(job)

        assert await jobs.start(job, baseline, KEY) == await jobs.start(job, baseline, KEY)
        assert started() == 0
