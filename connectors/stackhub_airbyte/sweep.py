"""How many jobs stand, asked in few questions: the newest pages of the account's list, then the stragglers singly.

A list of jobs is newest first and ids grow with time, so a page whose lowest id is below all that is wanted ends the
look. The requests of a sweep are bounded: a job that has been going since long before the newest pages is asked for by
its id, a few at a time and in turn; until then its answer is *pending*, which says nothing new.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from stackhub.contract import Answer, Finished, Handle, Missing, Outcome, Pending
from stackhub_airbyte.answers import Row, answer, landing
from stackhub_airbyte.client import LISTED, PAGE, Api

MOST_PAGES: Final = 5  # of one kind's list in one sweep
STRAGGLERS: Final = 5  # asked singly in one sweep
REASONS: Final = 10  # failures whose reason is asked for in one sweep
NARROW: Final = 20  # rows of a page when all is about one connection


@dataclass(frozen=True, slots=True)
class Ask:
    """One thing to find out: how a job stands, or whether a sync above ``job`` has landed (``waits``)."""

    connection: str
    kind: str
    job: int
    waits: bool

    @classmethod
    def of(cls, handle: Handle) -> "Ask":
        """Read a handle."""
        return cls(str(handle["connection"]), str(handle["kind"]), int(handle["job"]), bool(handle.get("waits")))


@dataclass(slots=True)
class Seen:
    """What the lists have shown so far."""

    jobs: dict[int, Row] = field(default_factory=dict)
    newest: dict[str, Row] = field(default_factory=dict)  # by connection: the newest sync
    landed: dict[str, Row] = field(default_factory=dict)  # by connection: the newest sync that succeeded
    lowest: dict[str, int] = field(default_factory=dict)  # by kind: everything above it has been seen

    def add(self, kind: str, rows: Iterable[Row]) -> None:
        """Take in one page, newest first."""
        for job in rows:
            self.jobs.setdefault(job.id, job)
            self.lowest[kind] = min(job.id, self.lowest.get(kind, job.id))
            if kind == "sync":
                self.newest.setdefault(job.connection, job)
                if landing(job) is not None:
                    self.landed.setdefault(job.connection, job)

    def settles(self, ask: Ask) -> bool:
        """Say whether nothing more is to be learnt of this one from the lists."""
        if not ask.waits:
            return ask.job in self.jobs
        landed = self.landed.get(ask.connection)
        return (landed is not None and landed.id > ask.job) or self.lowest.get(ask.kind, ask.job + 1) <= ask.job


class Sweep:
    """Asks for batches; remembers only whose turn it is to be asked singly, which may be forgotten."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._turn = 0
        self._asked: dict[Ask, int] = {}

    async def poll(self, handles: Sequence[Handle]) -> list[Answer]:
        """Answer each handle, in order."""
        asks = [Ask.of(handle) for handle in handles]
        wanted = dict.fromkeys(asks)
        seen = Seen()
        for kind in LISTED:
            if some := [ask for ask in wanted if ask.kind == kind]:
                await self._list(kind, some, seen)
        answers = {ask: _told(ask, seen) for ask in wanted if seen.settles(ask)}
        answers |= await self._singly([ask for ask in wanted if ask not in answers])
        return await self._with_reasons(asks, answers)

    async def _list(self, kind: str, asks: Sequence[Ask], seen: Seen) -> None:
        connections = {ask.connection for ask in asks}
        params = dict(LISTED[kind][0])  # of the clears those that are no resets are asked for singly: they are few
        size = PAGE
        if len(connections) == 1:
            params["connectionId"], size = connections.pop(), NARROW
        pages = 0
        async for page in self._api.jobs(params, size):
            seen.add(kind, page)
            pages += 1
            if pages >= min(MOST_PAGES, len(asks)) or all(seen.settles(ask) for ask in asks):
                return
        seen.lowest[kind] = 0  # read to its end

    async def _singly(self, asks: Sequence[Ask]) -> Mapping[Ask, Answer]:
        """Ask for those the lists did not show, the longest unasked first."""
        answers: dict[Ask, Answer] = dict.fromkeys(asks, Pending(note="not among the newest jobs; asked in turn"))
        self._asked = {ask: turn for ask, turn in self._asked.items() if ask in answers}
        for ask in sorted(asks, key=lambda ask: self._asked.get(ask, 0))[:STRAGGLERS]:
            self._turn += 1
            self._asked[ask] = self._turn
            answers[ask] = await (self._landed(ask) if ask.waits else self._job(ask))
        return answers

    async def _job(self, ask: Ask) -> Answer:
        status, job = await self._api.job(ask.job)
        if job is not None:
            return answer(job, ask.kind)
        if status == 500:  # noqa: PLR2004 - some servers answer so to an unknown id, and so to many another thing
            return Pending(note=f"Airbyte answers 500 when asked for job {ask.job}")
        return Missing(note=f"Airbyte answers {status} when asked for job {ask.job}")

    async def _landed(self, ask: Ask) -> Answer:
        params = {"connectionId": ask.connection, "jobType": "sync", "status": "succeeded"}
        seen = Seen()
        seen.add("sync", await self._api.newest(params, 1))
        return _told(ask, seen)

    async def _with_reasons(self, asks: Sequence[Ask], answers: Mapping[Ask, Answer]) -> list[Answer]:
        told = dict(answers)
        failed = [ask for ask, said in told.items() if isinstance(said, Finished) and said.outcome is Outcome.FAILED]
        for ask in failed[:REASONS]:
            said, why = told[ask], await self._api.reason(ask.job)
            if why is not None and isinstance(said, Finished):
                told[ask] = replace(said, note=why.text, retryable=why.retryable)
        return [told[ask] for ask in asks]


def _told(ask: Ask, seen: Seen) -> Answer:
    if not ask.waits:
        return answer(seen.jobs[ask.job], ask.kind)
    landed, newest = seen.landed.get(ask.connection), seen.newest.get(ask.connection)
    if landed is not None and landed.id > ask.job:
        return answer(landed, "sync")
    if newest is None or newest.id <= ask.job:
        return Pending(note="waiting for Airbyte's own schedule")
    if newest.ended:
        return Pending(note=f"the last sync ended as {newest.status!r}; waiting for one that succeeds")
    return Pending(note="a sync is going")
