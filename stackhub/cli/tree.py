"""A graph as an indented tree, each task once, below everything it needs. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from stackhub.model.pipeline import Pipeline, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One line of the tree."""

    task: Task
    depth: int
    prefix: str  # what is drawn before the name: "", "└─ ", "│  └─ "


def tree(pipeline: Pipeline) -> tuple[Branch, ...]:
    """Draw a pipeline: a task hangs from whichever of its needs is drawn last, so every branch is an edge."""
    drawn: set[str] = set()
    under: dict[str, list[Task]] = {}

    def grow(task: Task) -> None:
        drawn.add(task.name)
        mine = under.setdefault(task.name, [])
        for other in pipeline.tasks:
            needs = {need.task for need in other.needs}
            if other.name not in drawn and task.name in needs and needs <= drawn:
                mine.append(other)
                grow(other)

    roots = [task for task in pipeline.tasks if not task.needs]
    for root in roots:
        grow(root)
    return tuple(branch for root in roots for branch in _branches(root, under, 0, "", ""))


def _branches(task: Task, under: dict[str, list[Task]], depth: int, before: str, rest: str) -> Iterator[Branch]:
    yield Branch(task=task, depth=depth, prefix=before)
    below = under[task.name]
    for at, other in enumerate(below):
        last = at == len(below) - 1
        mark, bar = ("└─ ", "   ") if last else ("├─ ", "│  ")
        yield from _branches(other, under, depth + 1, rest + mark, rest + bar)
