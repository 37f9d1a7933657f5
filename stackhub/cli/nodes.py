"""The nodes of a run's jobs, for people."""

from functools import partial
from typing import Final

from rich.text import Text

from stackhub.cli import named, words
from stackhub.cli.where import Where
from stackhub.errors import Refused
from stackhub.model.node import NodeState
from stackhub.server.nodes import nodes_view
from stackhub.server.views import View
from stackhub.store.nodes import shown

LISTED: Final = 100  # nodes on a table, unless more are asked for


def nodes(where: Where, typed: str, *, state: str, limit: int | None, as_json: bool) -> int:
    """List the nodes of a run, or of one of its steps: what failed first, then the slowest."""
    if state and state not in set(NodeState):
        raise Refused(f"no state {state!r}; there are: {', '.join(NodeState)}")
    with where.reader() as reader:
        there = named.there(reader)
        found, task = named.step(there, typed)
        kept = there(partial(shown, open_run=found, task=task))
    most = limit if limit is not None or as_json else LISTED
    view = nodes_view(found, kept, state=NodeState(state) if state else None, limit=most)
    if as_json:
        words.document(view)
    elif not view["nodes"]:
        print("no such node" if view["counts"] else "no job of it has told of nodes; dbt's do")
    else:
        _table(view, several=len(kept) > 1)
    return 0


def _table(view: View, *, several: bool) -> None:
    out = words.console()
    rows = [
        (
            Text(f"{words.icon(one['state'], out.encoding)} {one['state']}", style=words.style(one["state"])),
            one["kind"],
            words.clean(f"{one['task']}.{one['name']}" if several else one["name"]),
            words.length(one["seconds"]),
            "" if one["rows"] is None else f"{one['rows']:,}",
            words.clean(one["owner"]),
            words.first_line(one["message"]),
        )
        for one in view["nodes"]
    ]
    words.table(out, ("state", "kind", "node", "took", "rows", "owner", "says"), rows, cut=True)
    counted = ", ".join(f"{many} {state}" for state, many in view["counts"].items())
    more = view["total"] - len(view["nodes"])
    hidden = f"; {more} more: --number {view['total']} lists them" if more else ""
    out.print(Text(f"{counted}{hidden}", style="dim"))
