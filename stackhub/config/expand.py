"""``${VAR}``, ``${VAR:-default}`` and ``{{ run.id }}`` inside what was written; one pass, so nothing is read twice.

What a variable holds is never looked into again: a value that reads ``${OTHER}`` or ``{{ run.id }}`` stays as it is.
``$${`` is a literal ``${``, and ``{{{{`` a literal ``{{``. Keys of mappings are left alone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stackhub.config.findings import Loc, dotted
from stackhub.config.nearest import hint
from stackhub.errors import ConfigError, Problem

_TOKEN: Final = re.compile(
    r"(?P<brace>\{\{\{\{)|\{\{(?P<name>[^{}]*)\}\}|(?P<open>\{\{)"
    r"|(?P<dollar>\$\$\{)|\$\{(?P<variable>[^{}]*)\}|(?P<unclosed>\$\{)",
)
_VARIABLE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_TOLD: Final = 4  # a shorter value is no secret, and hiding it would hide every "1"


@dataclass(slots=True)
class Expansion:
    """What became of one value."""

    value: Any = None
    faults: list[tuple[Loc, str]] = field(default_factory=list)
    used: dict[str, str] = field(default_factory=dict)  # the variables it took, and what they held

    def hide(self, text: str) -> str:
        """Put the names of variables where their values stand in ``text``."""
        for name, value in sorted(self.used.items(), key=lambda item: -len(item[1])):
            if len(value) >= _TOLD:
                text = text.replace(value, f"${{{name}}}")
        return text


def substitute(value: Any, environ: Mapping[str, str], names: Mapping[str, str] | None) -> Expansion:
    """Fill in variables and, where ``names`` are given, the run's own names; gather every fault."""
    expansion = Expansion()
    expansion.value = _walk(value, (), environ, names, expansion)
    return expansion


def expand(value: Any, environ: Mapping[str, str], *, place: str = "") -> Any:
    """Fill in variables over nested mappings and lists; ``{{ }}`` is left alone.

    Raises:
        ConfigError: a variable is not set and has no default, or is not written as one; at ``place``, every one.
    """
    expansion = substitute(value, environ, None)
    if expansion.faults:
        problems = (Problem(place, f"{dotted(loc)}: {text}" if loc else text) for loc, text in expansion.faults)
        raise ConfigError(*problems)
    return expansion.value


def references(text: str) -> list[tuple[str, str | None]]:
    """List the variables a text refers to, each with its default."""
    found = []
    for token in _TOKEN.finditer(text):
        variable = _VARIABLE.fullmatch(token["variable"]) if token["variable"] is not None else None
        if variable:
            found.append((variable[1], variable[2]))
    return found


def _walk(
    value: Any,
    loc: Loc,
    environ: Mapping[str, str],
    names: Mapping[str, str] | None,
    expansion: Expansion,
) -> Any:
    if isinstance(value, Mapping):
        return {key: _walk(item, (*loc, str(key)), environ, names, expansion) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_walk(item, (*loc, at), environ, names, expansion) for at, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def fill(token: re.Match[str]) -> str:
        if token["brace"]:
            return token[0] if names is None else "{{"
        if token["dollar"]:
            return "${"
        if token["name"] is not None or token["open"]:
            return token[0] if names is None else _name(token, names, loc, expansion)
        return _variable(token, environ, loc, expansion)

    return _TOKEN.sub(fill, value)


def _name(token: re.Match[str], names: Mapping[str, str], loc: Loc, expansion: Expansion) -> str:
    if token["open"]:
        expansion.faults.append((loc, "`{{` is not closed; write `{{{{` for a literal `{{`"))
        return ""
    name, default, instead = (part.strip() for part in token["name"].partition(":-"))
    try:
        return names[name]
    except KeyError:
        if default and name.startswith("trigger."):  # what a run may or may not have been handed
            return instead
        text = f"unknown name {name!r} in {{{{ }}}}; write `{{{{{{{{` for a literal `{{{{`"
        expansion.faults.append((loc, text + hint(name, names)))
        return ""


def _variable(token: re.Match[str], environ: Mapping[str, str], loc: Loc, expansion: Expansion) -> str:
    written = token["variable"]
    found = _VARIABLE.fullmatch(written) if written is not None else None
    if found is None:
        shown = (
            "`${` is not closed" if written is None else f"`{token[0][:40]}` is neither ${{VAR}} nor ${{VAR:-default}}"
        )
        expansion.faults.append((loc, f"{shown}; write `$${{` for a literal `${{`"))
        return ""
    name, default = found[1], found[2]
    held = environ.get(name)
    if held or (held is not None and default is None):
        expansion.used[name] = held
        return held
    if default is not None:
        return default
    text = f"the variable {name} is not set in the environment; set it, give a default with ${{{name}:-...}}, "
    expansion.faults.append((loc, f"{text}or write $${{{name}}} for a literal ${{{name}}}"))
    return ""
