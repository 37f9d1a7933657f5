"""What a writer is asked to do, and how whoever asked is told what became of it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import sqlalchemy as sa

from stackhub.store.transaction import Transaction


@dataclass(slots=True)
class Apply:
    """A transaction that shall be committed, together with others."""

    transaction: Transaction
    future: asyncio.Future[None]


@dataclass(slots=True)
class Call:
    """A function that writes, in a transaction of its own."""

    work: Callable[[sa.Connection], Any]
    future: asyncio.Future[Any]


Work: TypeAlias = Apply | Call
Outcome: TypeAlias = tuple[asyncio.Future[Any], Exception | None, Any]
"""Who asked, the error they are told, or else the result."""


def settle(outcomes: Sequence[Outcome]) -> None:
    """Tell those who still wait what became of their transactions; in the event loop's thread."""
    for future, error, result in outcomes:
        if future.done():
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
