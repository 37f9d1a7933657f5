"""Where a connector's verbs are called: what happens in there comes back as an answer, or as an error of the contract.

A bug in a connector costs its own step, not the lane and not the hub. An answer that the store could not keep is one.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, TypeVar

import anyio
import structlog

from stackhub.contract import (
    Absent,
    Answer,
    Baseline,
    ConfigError,
    Deferred,
    Finished,
    Found,
    Handle,
    Job,
    Jobs,
    LostLane,
    Missing,
    Pending,
    Rejected,
    Search,
    Unavailable,
    Unclear,
    Unknown,
    Unsure,
)
from stackhub.decide.step import Verb
from stackhub.engine.gate import LaneGate
from stackhub.engine.health import LaneHealth
from stackhub.model import codec

log = structlog.get_logger()
T = TypeVar("T")
POLL: Final = timedelta(minutes=2)
MOST: Final = 100  # bugs remembered
CANCEL: Final = timedelta(seconds=30)


class Odd(Exception):
    """A connector answered what no connector may; says what."""


class _Stumbled(Unavailable):
    """A bug came to light while jobs were asked after: nothing is known of any of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Calls to one account, made safe: each returns its answer or an error, and raises `LostLane` alone."""

    instance: str
    gate: LaneGate
    health: LaneHealth
    bugs: set[str] = field(default_factory=set)  # that were logged

    async def ask(
        self, verb: str, call: Callable[[], Awaitable[Any]], limit: timedelta, checked: Callable[[Any], T]
    ) -> T | Exception:
        """Make one call; ``checked`` reads its answer, and may raise `Odd`."""
        rest = self.gate.rest()
        if rest > timedelta():  # asked for by the answer to another call, a moment ago
            return Unavailable(f"{self.instance} asked for patience", retry_after=rest)
        answer: T | Exception
        try:
            with anyio.fail_after(limit.total_seconds()):
                answer = checked(await call())
        except LostLane:
            raise
        except TimeoutError:
            silence = f"{self.instance}: no answer to {verb} within {limit.total_seconds():g} s"
            answer = Unsure(silence) if verb is Verb.START else Unavailable(silence)
        except (Unavailable, Unsure, Rejected, ConfigError) as err:
            answer = err
        except Exception as err:  # a bug, but in a plugin: it may cost its own step, not the hub
            self.health.heard["bug"] += 1  # and no word on how the account is
            if repr(err) not in self.bugs:  # once: a job that polls stumble over is asked after again and again
                if len(self.bugs) >= MOST:  # each with a text of its own: not for ever
                    self.bugs.clear()
                self.bugs.add(repr(err))
                log.exception("bug in a connector", instance=self.instance, verb=verb)
            bug = f"bug in the connector of {self.instance}, at {verb}: {err!r}"
            kinds: dict[str, type[Exception]] = {Verb.START: Unsure, Verb.PREPARE: Rejected, Verb.POLL: _Stumbled}
            return kinds.get(verb, Unavailable)(bug)
        await self.health.note(answer)
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge(Asking):
    """One connector's verbs about jobs."""

    jobs: Jobs
    poll_timeout: timedelta = POLL
    cancel_timeout: timedelta = CANCEL

    async def prepare(self, job: Job, limit: timedelta) -> Baseline | Exception:
        """Note how things stand before a start."""
        return await self.ask(Verb.PREPARE, lambda: self.jobs.prepare(job), limit, _document)

    async def start(self, job: Job, baseline: Baseline, key: str, limit: timedelta) -> Handle | Finished | Exception:
        """Start a job. After ``limit`` no call is under way any more; where nothing is left of it, none is made."""
        if limit <= timedelta():
            return Unavailable(f"{self.instance}: the intent to start was kept too late to act on it")
        return await self.ask(Verb.START, lambda: self.jobs.start(job, baseline, key), limit, _started)

    async def find(self, job: Job, baseline: Baseline, key: str, limit: timedelta) -> Search | Exception:
        """Look for the job of a start that had no answer."""
        return await self.ask(Verb.FIND, lambda: self.jobs.find(job, baseline, key), limit, _search)

    async def cancel(self, handle: Handle) -> Exception | None:
        """Ask for a job to stop."""
        return await self.ask(Verb.CANCEL, lambda: self.jobs.cancel(handle), self.cancel_timeout, lambda _: None)

    async def poll(self, handles: Sequence[Handle]) -> Sequence[Answer | Exception] | Exception:
        """Ask after jobs, all in one question; returns one error where none of them was answered.

        A bug is looked for by halves, so that one job which the connector stumbles over hides no other.
        """

        def checked(answers: Any) -> Sequence[Answer | Exception]:
            if not isinstance(answers, Sequence) or len(answers) != len(handles):
                raise Odd(f"not one answer for each of {len(handles)} handles: {answers!r:.200}")
            return [_answer(answer) for answer in answers]

        found = await self.ask(Verb.POLL, lambda: self.jobs.poll(handles), self.poll_timeout, checked)
        if not isinstance(found, _Stumbled) or len(handles) <= 1:
            return found
        middle = len(handles) // 2
        all_found: list[Answer | Exception] = []
        for half in (handles[:middle], handles[middle:]):
            answers = await self.poll(half)
            all_found += [answers] * len(half) if isinstance(answers, Exception) else answers
        return all_found


# --- what the store can keep -----------------------------------------------------------------------------------------


def _document(given: Any) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise Odd(f"not a mapping: {given!r:.200}")
    read: dict[str, Any] = codec.load(dict[str, Any], codec.dump(dict(given)))
    return read


def _started(given: Any) -> Mapping[str, Any] | Finished:
    return kept(given) if isinstance(given, Finished) else _document(given)


def _search(given: Any) -> Search:
    if isinstance(given, Found):
        return Found(handle=_document(given.handle))
    if isinstance(given, Absent | Unclear):
        return kept(given)
    raise Odd(f"not a search: {given!r:.200}")


def _answer(given: Any) -> Answer:
    if not isinstance(given, Pending | Deferred | Finished | Missing | Unknown):
        raise Odd(f"not an answer: {given!r:.200}")
    same = kept(given)
    times = [same.until] if isinstance(same, Deferred) else []
    if isinstance(same, Finished) and same.landing is not None:
        times = [same.landing.ended_at]
    if any(at is not None and at.tzinfo is None for at in times):
        raise Odd(f"a time without a zone: {given!r:.200}")
    return same


def kept(given: T) -> T:
    """Return a value as the store would give it back."""
    same: T = codec.load(type(given), codec.dump(given))
    return same
