"""Entry points to connectors: ours come through the same door as a stranger's.

    [project.entry-points."stackhub.connectors"]
    fivetran = "stackhub_fivetran:connector"

Nothing is imported until it is asked for by name.
"""

import difflib
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Final, cast

from stackhub.contract import ConfigError, Connector

GROUP: Final = "stackhub.connectors"


def installed() -> tuple[str, ...]:
    """Return the name of every connector there is, sorted, importing none."""
    return tuple(sorted(_doors()))


def load(name: str) -> Connector:
    """Import a connector.

    Raises:
        ConfigError: there is none of this name, two distributions claim it, or something it needs is not installed.
    """
    doors = _doors()
    if name not in doors:
        raise ConfigError(_unknown(name, tuple(sorted(doors))))
    door, *others = doors[name]
    if others:
        owners = " and ".join(sorted(_owner(claim) for claim in doors[name]))
        raise ConfigError(f"connector {name!r} is claimed by {owners}: uninstall one of them")
    try:
        found = door.load()
    except ModuleNotFoundError as err:
        raise ConfigError(f"connector {name!r} needs {err.name}: {_remedy(door, err.name or '')}") from err
    except AttributeError as err:
        raise ConfigError(f"connector {name!r}: its entry point {door.value!r} names nothing: {err}") from err
    if getattr(found, "name", None) != name:
        raise ConfigError(f"connector {name!r}: its entry point {door.value!r} names no connector called so")
    return cast("Connector", found)


def _doors() -> Mapping[str, Sequence[EntryPoint]]:
    doors: dict[str, list[EntryPoint]] = {}
    for door in entry_points(group=GROUP):
        doors.setdefault(door.name, []).append(door)
    return doors


def _unknown(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"no connector {name!r}: {hint}installed are {', '.join(known) or 'none'}"


def _owner(door: EntryPoint) -> str:
    return door.dist.name if door.dist else door.value


def _remedy(door: EntryPoint, module: str) -> str:
    """Name the extra that bears the connector's name where its distribution has one, else the missing module."""
    extras = door.dist.metadata.get_all("Provides-Extra") or [] if door.dist else []
    extra = door.name.replace("_", "-")
    if door.dist and extra in {name.replace("_", "-") for name in extras}:
        return f"pip install '{door.dist.name}[{extra}]'"
    return f"pip install {module.partition('.')[0]}"
