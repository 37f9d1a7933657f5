"""What the hub relies on, besides, in jobs at the far end of a network."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import ClassVar

import pytest

from stackhub.contract import (
    Absent,
    ConfigError,
    Deferred,
    Found,
    Job,
    Jobs,
    Missing,
    Pending,
    Rejected,
    Unavailable,
    Unclear,
    Unknown,
    Unsure,
)
from stackhub.contract.sandbox import Breaks, FakeVendor, Fault
from stackhub.testing.jobs import KEY, JobsContract, Pass, Started, begin, stored

ALWAYS = 1000  # exchanges that go wrong: more than any verb makes
LONG = 5000  # characters of a body nobody wants to read in an error
QUOTED = 200  # characters of it that may be shown


def shown(err: BaseException) -> str:
    """Return all that an error says, with what it carries."""
    return f"{err} {err!r} {getattr(err, 'body', '')}"


class VendorJobsContract(JobsContract):
    """Rules for jobs at the far end of a network, on top of those for any job.

    Fixtures besides:

    - ``vendor``: the `FakeVendor` behind ``jobs``; its listings need two pages or more
    - ``forget``: a callable after which the vendor knows no job of ours
    - ``garble``: a callable after which the vendor uses, for our job, the status word it is given

    and the class attributes ``starts`` and ``lists``: regular expressions for the path of the call that starts a
    job, and for the listings that must have been read to their end before a job is called absent or missing.
    """

    starts: ClassVar[str]
    lists: ClassVar[str]

    async def test_a_poll_of_no_handle_makes_no_request(self, jobs: Jobs, vendor: FakeVendor) -> None:
        await jobs.poll([])

        assert vendor.requests == []

    async def test_opening_makes_no_request(self, jobs: Jobs, vendor: FakeVendor) -> None:
        assert jobs is not None
        assert vendor.requests == []

    async def test_a_poll_asks_one_question_whatever_the_number_of_handles(
        self, jobs: Jobs, job: Job, vendor: FakeVendor
    ) -> None:
        _, handle = await begin(jobs, job)
        costs = []
        for handles in ([handle], [handle] * 20):
            before = len(vendor.requests)
            await jobs.poll(handles)
            costs.append(len(vendor.requests) - before)

        assert costs[0] == costs[1]

    async def test_a_start_whose_answer_was_lost_is_found(
        self, jobs: Jobs, job: Job, vendor: FakeVendor, started: Started, settle: Pass
    ) -> None:
        baseline = stored(dict(await jobs.prepare(job)))
        vendor.faults.append(Fault(breaks=Breaks.AFTER, path=self.starts, method="POST"))
        with pytest.raises(Unsure):
            await jobs.start(job, baseline, KEY)
        await settle()

        found = await jobs.find(job, baseline, KEY)

        assert isinstance(found, Found)
        [answer] = await jobs.poll([stored(dict(found.handle))])
        assert isinstance(answer, Pending | Deferred)
        assert started() == 1

    async def test_a_start_that_never_reached_is_absent_and_is_not_repeated(
        self, jobs: Jobs, job: Job, vendor: FakeVendor, started: Started, settle: Pass
    ) -> None:
        baseline = stored(dict(await jobs.prepare(job)))
        vendor.faults.append(Fault(breaks=Breaks.BEFORE, path=self.starts, method="POST"))
        with pytest.raises(Unsure):
            await jobs.start(job, baseline, KEY)
        await settle()

        assert isinstance(await jobs.find(job, baseline, KEY), Absent)
        assert started() == 0

    async def test_absence_is_not_said_on_an_incomplete_listing(self, jobs: Jobs, job: Job, vendor: FakeVendor) -> None:
        baseline = stored(dict(await jobs.prepare(job)))
        later_pages = Fault(breaks=Breaks.STATUS, path=self.lists, after=1, times=ALWAYS)
        vendor.faults.append(later_pages)

        try:
            answer = await jobs.find(job, baseline, KEY)
        except Unavailable:
            pass
        else:
            if later_pages.after:
                pytest.skip("it asks after one thing by its name, and reads no listing")
            assert isinstance(answer, Unclear)
        assert later_pages.times < ALWAYS, "the listing fitted one page: make the fixture's page smaller"

    async def test_missing_is_not_said_on_an_incomplete_listing(
        self, jobs: Jobs, job: Job, vendor: FakeVendor, forget: Callable[[], None]
    ) -> None:
        _, handle = await begin(jobs, job)
        forget()
        later_pages = Fault(breaks=Breaks.STATUS, path=self.lists, after=1, times=ALWAYS)
        vendor.faults.append(later_pages)

        try:
            await jobs.poll([handle])
        except Unavailable:
            pass
        else:
            if later_pages.after:
                pytest.skip("it asks after one thing by its name, and reads no listing")
            pytest.fail("a listing that broke off was believed")
        assert later_pages.times < ALWAYS, "the listing fitted one page: make the fixture's page smaller"

    @pytest.mark.parametrize("status", [429, 503])
    async def test_a_start_that_was_put_off_was_not_started(
        self, jobs: Jobs, job: Job, vendor: FakeVendor, started: Started, status: int
    ) -> None:
        baseline = await jobs.prepare(job)
        answer = {"retry-after": "7"}
        vendor.faults.append(
            Fault(breaks=Breaks.STATUS, path=self.starts, method="POST", status=status, headers=answer)
        )

        with pytest.raises(Unavailable) as caught:
            await jobs.start(job, baseline, KEY)

        assert caught.value.retry_after == timedelta(seconds=7)
        assert started() == 0

    async def test_a_start_answered_by_a_broken_server_is_unsure(
        self, jobs: Jobs, job: Job, vendor: FakeVendor
    ) -> None:
        baseline = await jobs.prepare(job)
        vendor.faults.append(Fault(breaks=Breaks.STATUS, path=self.starts, method="POST", status=500))

        with pytest.raises(Unsure):
            await jobs.start(job, baseline, KEY)

    async def test_a_start_that_is_refused_is_rejected_in_the_vendors_words(
        self, jobs: Jobs, job: Job, vendor: FakeVendor
    ) -> None:
        baseline = await jobs.prepare(job)
        body = '{"message": "no such thing here"}'
        vendor.faults.append(Fault(breaks=Breaks.STATUS, path=self.starts, method="POST", status=400, body=body))

        with pytest.raises(Rejected, match="no such thing here"):
            await jobs.start(job, baseline, KEY)

    async def test_a_job_the_vendor_does_not_know_is_missing_not_over(
        self, jobs: Jobs, job: Job, forget: Callable[[], None]
    ) -> None:
        _, handle = await begin(jobs, job)
        forget()

        [answer] = await jobs.poll([handle])

        assert isinstance(answer, Missing)

    async def test_a_status_nobody_has_heard_of_is_unknown(
        self, jobs: Jobs, job: Job, garble: Callable[[str], None]
    ) -> None:
        _, handle = await begin(jobs, job)
        garble("defenestrated")

        [answer] = await jobs.poll([handle])

        assert isinstance(answer, Unknown)
        assert "defenestrated" in answer.raw

    @pytest.mark.parametrize(
        ("headers", "wait"), [({"retry-after": "7"}, timedelta(seconds=7)), ({}, None), ({"retry-after": "soon"}, None)]
    )
    async def test_a_vendor_that_asks_for_patience_is_unavailable_for_so_long(
        self, jobs: Jobs, job: Job, vendor: FakeVendor, headers: dict[str, str], wait: timedelta | None
    ) -> None:
        _, handle = await begin(jobs, job)
        vendor.faults.append(Fault(breaks=Breaks.STATUS, status=429, headers=headers, times=ALWAYS))
        before = len(vendor.requests)

        with pytest.raises(Unavailable) as caught:
            await jobs.poll([handle])

        assert caught.value.retry_after == wait
        assert len(vendor.requests) - before == 1, "a 429 was answered with another request"

    @pytest.mark.parametrize(
        "fault",
        [
            pytest.param(Fault(breaks=Breaks.STATUS, status=500, body="<" * LONG), id="500"),
            pytest.param(Fault(breaks=Breaks.STATUS, status=502, body="<" * LONG), id="502"),
            pytest.param(Fault(breaks=Breaks.STATUS, status=503, body="<" * LONG), id="503"),
            pytest.param(Fault(breaks=Breaks.GARBAGE, body="<" * LONG), id="a page for people"),
            pytest.param(Fault(breaks=Breaks.GARBAGE, body=""), id="nothing"),
            pytest.param(Fault(breaks=Breaks.GARBAGE, body="[]"), id="a list"),
            pytest.param(Fault(breaks=Breaks.GARBAGE, body="null"), id="null"),
            pytest.param(Fault(breaks=Breaks.GARBAGE, body='{"unexpected": true}'), id="another object"),
            pytest.param(Fault(breaks=Breaks.GARBAGE, body='{"data": 1, "jobs": 1}'), id="other types"),
            pytest.param(Fault(breaks=Breaks.TRUNCATED), id="half"),
            pytest.param(Fault(breaks=Breaks.BEFORE), id="cut before"),
            pytest.param(Fault(breaks=Breaks.AFTER), id="cut after"),
        ],
    )
    async def test_a_poll_that_fails_says_nothing_about_the_job(
        self, jobs: Jobs, job: Job, vendor: FakeVendor, fault: Fault
    ) -> None:
        _, handle = await begin(jobs, job)
        planned = Fault(breaks=fault.breaks, status=fault.status, body=fault.body, times=ALWAYS)
        vendor.faults.append(planned)

        with pytest.raises(Unavailable) as caught:
            await jobs.poll([handle])

        assert str(caught.value).count("<") <= QUOTED
        vendor.faults.clear()
        [answer] = await jobs.poll([handle])
        assert isinstance(answer, Pending | Deferred)

    async def test_refused_credentials_are_a_persons_to_mend(self, jobs: Jobs, job: Job, vendor: FakeVendor) -> None:
        _, handle = await begin(jobs, job)
        vendor.faults.append(Fault(breaks=Breaks.STATUS, status=401, times=ALWAYS))

        with pytest.raises(ConfigError):
            await jobs.poll([handle])

    @pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 422, 429, 500, 503])
    async def test_no_error_shows_a_secret(
        self, jobs: Jobs, job: Job, vendor: FakeVendor, secrets: Sequence[str], status: int
    ) -> None:
        assert secrets, "name the secrets of the instance"
        baseline, handle = await begin(jobs, job)
        echo = " ".join(secrets)
        vendor.faults.append(Fault(breaks=Breaks.STATUS, status=status, body=echo, times=ALWAYS))
        said = ""
        for verb in (jobs.prepare(job), jobs.start(job, baseline, KEY), jobs.poll([handle]), jobs.cancel(handle)):
            try:
                said += repr(await verb)
            except (ConfigError, Rejected, Unavailable, Unsure) as err:
                said += shown(err)

        assert not [secret for secret in secrets if secret in said]
