"""How a command is declared, and the options that several share. Imports nothing heavy, as all that declares."""

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from stackhub.cli.where import Where

RUN, STEER, LOOK, SET_UP = "Run", "Steer what runs", "Look", "Set up"
PANELS: Final = (RUN, STEER, LOOK, SET_UP)
CONFIG: Final = "--config"

Context = typer.Context
Json = Annotated[bool, typer.Option("--json", help="One JSON document, times in RFC 3339 UTC.")]
Pipeline = Annotated[str, typer.Argument(metavar="PIPELINE", help="A pipeline's name.")]
AnyPipeline = Annotated[str, typer.Argument(metavar="[PIPELINE]", help="One pipeline; all of them without it.")]
Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's id, its first or last 4 characters or more, 'last', or a pipeline's name for its newest run.",
    ),
]
RunOrStep = Annotated[
    str, typer.Argument(metavar="RUN[.TASK]", help="A run's id, 'last' or a pipeline's name; a step of it.")
]
Only = Annotated[list[str], typer.Option("--only", metavar="TASK", help="This task alone; may be given again.")]
With = Annotated[
    list[str], typer.Option("--with", metavar="TASK.option=value", help="Another option, once; may be given again.")
]
Param = Annotated[
    list[str],
    typer.Option("--param", metavar="NAME=value", help="What {{ trigger.NAME }} stands for; may be given again."),
]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Follow until it has ended; the exit code says how it went.")]
Port = Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 takes any free one.")]


class Grouped(TyperGroup):
    """A group whose help lists its commands under headings, each with its whole first sentence."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the lists."""
        found = [(name, self.commands[name]) for name in self.list_commands(ctx)]
        for panel in (*PANELS, None):
            rows = [
                (name, (command.help or "").partition("\n\n")[0].replace("\n", " "))
                for name, command in found
                if getattr(command, "rich_help_panel", None) == panel
            ]
            if rows:
                with formatter.section(panel or "Commands"):
                    formatter.write_dl(rows)


def application(epilog: str) -> typer.Typer:
    """Make the application: help in plain text, which can be piped and comes at once."""
    return typer.Typer(
        name="stackhub",
        cls=Grouped,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog=epilog,
    )


app = application(
    "Begin with: stackhub check, stackhub plan, stackhub run PIPELINE. "
    "Exit codes: 0 done, 1 something failed, 2 usage or configuration, 130 interrupted."
)


def group(name: str, panel: str, *, bare: bool = False) -> typer.Typer:
    """Make a command that has commands; ``bare``: it means something without one as well."""
    made = typer.Typer(cls=Grouped, rich_markup_mode=None, no_args_is_help=not bare, invoke_without_command=bare)
    app.add_typer(made, name=name, rich_help_panel=panel)
    return made


def command(
    example: str, panel: str | None = None, name: str | None = None, to: typer.Typer = app
) -> Callable[[Callable[..., int]], Callable[..., None]]:
    """Declare a command whose function returns its exit code."""

    def declare(function: Callable[..., int]) -> Callable[..., None]:
        @functools.wraps(function)
        def exiting(*args: Any, **kwargs: Any) -> None:
            from stackhub.cli.exits import guarded

            code = guarded(lambda: function(*args, **kwargs))
            if code:
                raise typer.Exit(code)

        to.command(name, rich_help_panel=panel, epilog=f"Example: stackhub {example}")(exiting)
        return exiting

    return declare


def where(context: typer.Context) -> "Where":
    """Return where a command works."""
    from stackhub.cli.where import Where

    return Where.found(context.find_root().params.get("config"), os.environ)
