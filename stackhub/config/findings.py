"""What is wrong, and what is merely odd, with what a person wrote: gathered, so that it is told all at once."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from stackhub.errors import ConfigError, Problem

Loc: TypeAlias = tuple[str | int, ...]
"""The way to a value inside a file: ("tasks", "marts", "needs", 0)."""


@dataclass(slots=True)
class Findings:
    """Problems, which refuse the whole configuration, and warnings, which do not."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def wrong(self, place: str, text: str) -> None:
        """Add a problem, once."""
        problem = Problem(place, " ".join(text.splitlines()))
        if problem not in self.problems:
            self.problems.append(problem)

    def warn(self, place: str, text: str) -> None:
        """Add a warning, once."""
        problem = Problem(place, " ".join(text.splitlines()))
        if problem not in self.warnings:
            self.warnings.append(problem)

    def settle(self) -> tuple[Problem, ...]:
        """Return the warnings in the order of their places.

        Raises:
            ConfigError: there are problems; it holds every one, in the order of their places.
        """
        if self.problems:
            raise ConfigError(*in_order(self.problems))
        return in_order(self.warnings)


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort by file, then by line and column as numbers."""

    def key(problem: Problem) -> tuple[str, int, int, str]:
        found = re.fullmatch(r"(.*?)(?::([0-9]+))?(?::([0-9]+))?", problem.place, re.DOTALL)
        file, line, column = found.groups() if found else (problem.place, None, None)
        return str(file), int(line or 0), int(column or 0), problem.text

    return tuple(sorted(problems, key=key))


def dotted(loc: Loc) -> str:
    """Write a way as people read it: ``tasks.marts.needs[0]``."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
