"""What a job is to run: all that is selected, or what earlier attempts have left of it.

It is not `dbt retry`: that needs the run_results.json which a killed dbt does not leave.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from stackhub.contract import DONE, Job, Node, NodeState, Rejected, Unavailable, in_thread
from stackhub_dbt import command
from stackhub_dbt.executable import Dbt
from stackhub_dbt.listing import MANIFEST, RUNS, Parsed, listed
from stackhub_dbt.options import SelectOptions
from stackhub_dbt.transient import for_good

TEST: Final = "test."
UNIT_TEST: Final = "unit_test."


class Left(NamedTuple):
    """What is to run: exactly these unique ids, or, without any, all that is selected."""

    ids: tuple[str, ...] = ()
    settled: tuple[Node, ...] = ()  # nodes that failed for good, and are not tried again
    over: bool = False  # nothing is left but what is settled, and what hangs on it


@dataclass(frozen=True, slots=True)
class Resuming:
    """Finds out what is left; dbt is asked (`dbt list`) where only dbt knows."""

    project: command.Project
    parsed: Parsed

    async def left(self, dbt: Dbt, job: Job, env: dict[str, str]) -> Left:
        """Say what is to run.

        A retry runs what earlier attempts have left, a debt what is owed. What failed for good is left alone, and with
        it what hangs on it. A selector takes no ``--exclude`` beside it, so what is to be left out is listed and taken
        away.

        Raises:
            Unavailable: dbt did not list what must be left out.
            Rejected: nothing is left without that.
        """
        done = {node.id for node in job.nodes if node.state in DONE}
        settled = for_good(job.nodes)
        if job.operation not in RUNS:
            return Left()
        if job.leave and job.options.selector:
            holds, gone = await self._beside(dbt, job, env, done, settled)
        elif job.only and not settled:
            holds, gone = job.only, frozenset[str]()
        elif done or settled:
            holds, gone = await self._holds(dbt, job.options, env, job.leave, settled)
            holds = tuple(node for node in job.only if node in set(holds)) or job.only if job.only else holds
        else:
            return Left()
        if settled and not gone:  # what hangs on them cannot be told, so they are tried again
            settled = ()
        again = {node.id for node in job.nodes if node.state is NodeState.FAILED} - {node.id for node in settled}
        if left := _less(holds, job, done | (gone - again)):  # what has run and failed hangs on nothing that is settled
            return Left(left, settled)
        if settled and not again:
            return Left((), settled, over=True)
        return Left(job.only)  # all of it again: only a hook had failed

    async def _beside(
        self, dbt: Dbt, job: Job, env: dict[str, str], done: set[str], settled: tuple[Node, ...]
    ) -> tuple[tuple[str, ...], frozenset[str]]:
        """Return what a selector holds, less what must be left out. Never (), which would be all of it."""
        holds, hanging = await self._holds(dbt, job.options, env, (), settled)
        below = job.options.model_copy(update={"select": command.below(job.leave), "exclude": (), "selector": None})
        gone, _ = await self._holds(dbt, below, env, (), ())
        if not holds or not gone:
            raise Unavailable(f"dbt does not list what reads {', '.join(job.leave)}, which must be left out")
        rest = tuple(node for node in holds if node not in set(gone))
        if not _less(rest, job, set()):
            raise Rejected(f"nothing is left to build without what reads {', '.join(job.leave)}")
        return (_less(rest, job, done) or _less(rest, job, set())), hanging

    async def _holds(
        self, dbt: Dbt, options: SelectOptions, env: dict[str, str], leave: tuple[str, ...], settled: tuple[Node, ...]
    ) -> tuple[tuple[str, ...], frozenset[str]]:
        """Return what a selection holds, and the nodes that failed for good with all that hangs on them."""
        with self.parsed.scratch() as place:
            argv = command.listing_line(dbt, self.project, options, place, leave)
            holds = await listed(argv, self.project.directory, env)
            self.parsed.keep(place / "target")
            if not settled or not holds:
                return holds, frozenset()
            try:
                manifest = await in_thread((place / "target" / MANIFEST).read_bytes)
            except OSError:
                return holds, frozenset()
        return holds, await in_thread(hanging, manifest, tuple(node.id for node in settled))


def hanging(manifest: bytes, failed: Collection[str]) -> frozenset[str]:
    """Return nodes with all that a build does not run because they have failed; () where the manifest does not tell.

    A model's, seed's or snapshot's failure stops all that is downstream. A test's stops what is downstream of all that
    it tests, a unit test's its model as well: as `dbt build` orders them (1.11.16).
    """
    try:
        found = json.loads(manifest)
        parents = {
            unique: tuple(node["depends_on"]["nodes"])
            for kind in ("nodes", "unit_tests")
            for unique, node in (found.get(kind) or {}).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return frozenset()
    if not parents.keys() >= set(failed):  # not the graph they stood in
        return frozenset()
    children: dict[str, list[str]] = {}
    for unique, reads in parents.items():
        for parent in reads if not unique.startswith(UNIT_TEST) else ():
            children.setdefault(parent, []).append(unique)
    stopped = set(failed)
    for unique in failed:
        tested = parents.get(unique, ())
        if unique.startswith(UNIT_TEST):
            stopped |= _below(tested, children)
        elif unique.startswith(TEST):
            below = [_below([one], children) - {one} for one in tested]
            tests = {one for one in parents if one.startswith(TEST)} & set().union(*below)
            stopped |= frozenset.intersection(*below) - _of_tested(tests, tested, parents) if below else frozenset()
        else:
            stopped |= _below([unique], children)
    return frozenset(stopped)


def _of_tested(tests: Iterable[str], tested: Sequence[str], parents: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the other tests of what a test tests: its failure does not stop them."""
    return {one for one in tests if set(parents[one]) <= set(tested)}


def _below(ids: Iterable[str], children: Mapping[str, Sequence[str]]) -> frozenset[str]:
    seen = set(ids)
    waiting = list(seen)
    while waiting:
        for one in children.get(waiting.pop(), ()):
            if one not in seen:
                seen.add(one)
                waiting.append(one)
    return frozenset(seen)


def _less(holds: Sequence[str], job: Job, done: AbstractSet[str]) -> tuple[str, ...]:
    """Return what a command builds of what a selection holds, less what is done."""
    return tuple(node for node in holds if node.partition(".")[0] in RUNS[job.operation] and node not in done)


def kept(settled: Sequence[Node]) -> bytes:
    """Write nodes into a file of the job's directory."""
    return json.dumps([{"id": n.id, "name": n.name, "kind": n.kind, "message": n.message} for n in settled]).encode()


def read(data: bytes) -> tuple[Node, ...]:
    """Read what `kept` wrote."""
    found: list[Any] = json.loads(data)
    return tuple(Node(**one, state=NodeState.FAILED, status="error", passing=False) for one in found)
