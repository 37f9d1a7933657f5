"""What is owed: nodes that a run has left because an input had not landed, and what each waits for."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from rich.console import Console
from rich.text import Text

from stackhub.cli import named, words
from stackhub.cli.where import Where
from stackhub.decide.owed import Debt
from stackhub.server.views import owed_view
from stackhub.store import debts
from stackhub.store.connections import connections

NAMED = 4  # nodes at most that a line names


def owed(where: Where, pipeline: str, *, as_json: bool) -> int:
    """List what is owed, of one pipeline or of all."""
    if pipeline:
        named.pipeline(pipeline, where.configuration().pipelines)
    with where.reader() as reader:
        found = reader(partial(debts.unpaid, pipeline=pipeline)) if reader else []
        held = reader(connections) if reader and found and not as_json else {}
    if as_json:
        words.document([owed_view(debt) for debt in found])
        return 0
    if not found:
        print("nothing is owed")
        return 0
    draw(words.console(), found, {(name, one): of.name for name, some in held.items() for one, of in some.items()})
    return 0


def draw(out: Console, found: Sequence[Debt], names: Mapping[tuple[str, str], str]) -> None:
    """Print a line for each task and what it waits for; ``names`` of connections are by instance and id."""
    groups: dict[tuple[str, str, str, bool], list[Debt]] = {}
    for debt in found:
        groups.setdefault((debt.pipeline, debt.task, debt.extract, debt.landed_at is not None), []).append(debt)
    now = datetime.now(UTC)
    rows: list[tuple[Text, Text]] = []
    for (name, task, extract, landed), some in sorted(groups.items()):
        nodes = sorted({debt.node for debt in some}, key=lambda node: (node.startswith("test."), node))
        shown = words.listed(map(named_node, nodes), NAMED)
        since = min(debt.since for debt in some)
        waits = "has landed, to be built" if landed else f"waits for {_connection(some[0], names)}"
        lasts = f"for {words.length(now - since)}, left by {max(debt.run for debt in some)}"
        rows += [
            (
                Text(f"{name}.{task}", style="bold"),
                Text(f"{extract} {waits}  ", style="cyan").append(lasts, style="dim not cyan"),
            ),
            (Text(""), Text(f"{words.counted(len(nodes), 'node')}: {shown}")),
        ]
    words.table(out, (), rows)


def named_node(unique_id: str) -> str:
    """Return a node's name as its project has it; a test's unique id ends with a digest, a model's with its version."""
    kind, _, rest = unique_id.partition(".")
    _, _, name = rest.partition(".")
    return name.partition(".")[0] if kind == "test" else name or unique_id


def _connection(debt: Debt, names: Mapping[tuple[str, str], str]) -> str:
    name = names.get((debt.instance, debt.connection))
    return f"{debt.instance}:{name}" if name else f"{debt.instance}/{debt.connection}"
