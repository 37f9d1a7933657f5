"""The command line as a whole: the global options, and every command by being imported."""

import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from stackhub.cli import alerting, doing, looking, setting_up
from stackhub.cli.declare import CONFIG, app

OWN: Final = frozenset({"replay"})  # commands for which ``--config`` behind them names another directory
__all__ = ["alerting", "call", "doing", "looking", "setting_up"]


def call(argv: Sequence[str] | None) -> int:
    """Carry out a command line; return its exit code."""
    given = sys.argv[1:] if argv is None else argv
    try:
        typer.main.get_command(app).main(args=hoisted(given), prog_name="stackhub")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def hoisted(argv: Sequence[str]) -> list[str]:
    """Put ``--config DIR`` first, wherever it stands: people write it behind the command as well.

    But for the one command that has such an option of its own, and means another directory by it.
    """
    front: list[str] = []
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--" or (word in OWN and not rest):
            rest += [word, *words]
        elif word == CONFIG:
            front += [word, *([following] if (following := next(words, None)) is not None else [])]
        elif word.startswith(f"{CONFIG}="):
            front.append(word)
        else:
            rest.append(word)
    return [*front, *rest]


@app.callback()
def stackhub(
    config: Annotated[
        str | None,
        typer.Option(
            CONFIG,
            metavar="DIR",
            help="The configuration's directory: else STACKHUB_CONFIG, ./configs if it holds stackhub.env, or here.",
        ),
    ] = None,
) -> None:
    """Run Fivetran, Airbyte and dbt as one pipeline, and tell the right people once.

    A pipeline is one YAML file; the daemon keeps its schedule. Every command but serve works with the daemon or
    without it.
    """
    del config  # `declare.where` reads it
