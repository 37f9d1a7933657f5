"""Tasks and cancel scopes whose place in a set depends on when they were made, not on where they lie in memory.

anyio keeps both in sets, and cancels in the order of the set.
"""

import asyncio
import contextvars
from collections.abc import Iterable
from typing import Any, TypeVar

from anyio._backends import _asyncio as anyio_asyncio  # no public name: see `number_scopes`

T = TypeVar("T")


class NumberedTask(asyncio.Task[T]):
    """A task whose place in a set depends on when it was made, not on where it lies in memory."""

    def __init__(self, coro: Any, *, number: int, context: contextvars.Context, **more: Any) -> None:
        self.number = number
        self.in_context = context  # `Task.get_context` came with 3.12
        super().__init__(coro, context=context, **more)

    def __hash__(self) -> int:
        return self.number


def number_scopes() -> None:
    """Let anyio's cancel scopes take the number of their task, since a scope keeps those within it in a set.

    A scope is in such a set only while it has a task. On any other loop this is the address of that task, as good as
    its own.
    """
    anyio_asyncio.CancelScope.__hash__ = _number_of_scope  # type: ignore[assignment,method-assign] # no public door


def _number_of_scope(scope: Any) -> int:
    return hash(scope._host_task)  # noqa: SLF001 - as above


def forget(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Let anyio forget tasks that will never be done: it keeps what it knows of each until it hears of the end.

    What it knows holds the task itself, and so the loop and all that the task has ever had in hand.
    """
    for task in tasks:
        anyio_asyncio._task_states.pop(task, None)  # noqa: SLF001 - as above
