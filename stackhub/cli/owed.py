"""What is owed: nodes that a run has left because an input had not landed, and what each waits for."""

from datetime import UTC, datetime
from functools import partial

from rich.text import Text

from stackhub.cli import named, words
from stackhub.cli.where import Where
from stackhub.decide.owed import Debt
from stackhub.server.views import owed_view
from stackhub.store import debts

NAMED = 3  # nodes that a line names


def owed(where: Where, pipeline: str, *, as_json: bool) -> int:
    """List what is owed, of one pipeline or of all."""
    if pipeline:
        named.pipeline(pipeline, where.configuration().pipelines)
    with where.reader() as reader:
        found = reader(partial(debts.unpaid, pipeline=pipeline)) if reader else []
    if as_json:
        words.document([owed_view(debt) for debt in found])
        return 0
    if not found:
        print("nothing is owed")
        return 0
    groups: dict[tuple[str, str, str, bool], list[Debt]] = {}
    for debt in found:
        groups.setdefault((debt.pipeline, debt.task, debt.extract, debt.landed_at is not None), []).append(debt)
    now = datetime.now(UTC)
    rows = []
    for (name, task, extract, landed), some in sorted(groups.items()):
        nodes = sorted({debt.node.rpartition(".")[2] for debt in some})
        shown = ", ".join(nodes[:NAMED]) + (f" and {len(nodes) - NAMED} more" if len(nodes) > NAMED else "")
        since = min(debt.since for debt in some)
        waits = "has landed, to be built" if landed else f"waits for {some[0].instance}/{some[0].connection}"
        rows.append(
            (
                Text(f"{name}.{task}", style="bold"),
                Text(f"{words.counted(len(nodes), 'node')}: {shown}"),
                Text(f"{extract} {waits}", style="cyan"),
                Text(f"for {words.length(now - since)}, left by {max(debt.run for debt in some)}", style="dim"),
            )
        )
    words.table(words.console(), (), rows)
    return 0
