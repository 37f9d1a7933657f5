"""The command line: the one place that wires registry, configuration, store, engine and server together.

Read it in this order: `declare`, `doing`, `looking`, `alerting` and `setting_up` hold every command with its options
and its help, and import nothing heavy; each body calls one function of the file that does the work. `where` finds
configuration and store, `named` the run that is meant, `socket` the daemon, `exits` turns errors into a line and a
code.
"""

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command line and return its exit code: see `exits`."""
    from stackhub.cli.commandline import call
    from stackhub.cli.exits import guarded

    return guarded(lambda: call(argv))
