"""About the installation: connectors, and the schema for editors."""

from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from rich.text import Text

from stackhub import registry
from stackhub.cli import exits, words
from stackhub.config import schema as schemas
from stackhub.config.layers import prefix_of
from stackhub.config.shape import takes_secret
from stackhub.contract import Connector, Settings
from stackhub.errors import ConfigError, Refused


def connectors(name: str, *, as_json: bool) -> int:
    """List the installed connectors: what they do, and the variables they read."""
    names = registry.installed()
    if name and name not in names:
        raise Refused(f"no connector {name!r}; installed are: {', '.join(names)}")
    found = [_connector(one) for one in names if name in ("", one)]
    if as_json:
        words.document(found)
        return exits.OK
    out = words.console()
    for at, one in enumerate(found):
        if at:
            out.print()
        title = Text(one["name"], style="bold").append(f"  {one['summary'] or one['problem']}", style="not bold")
        out.print(title)
        words.table(out, (), [(f"  {name}", Text(text, style="dim")) for name, text in one["operations"].items()])
        words.table(out, (), [_variable(variable) for variable in one["variables"]])
    return exits.OK


def _connector(name: str) -> dict[str, Any]:
    try:
        found = registry.load(name)
    except ConfigError as err:
        return {"name": name, "summary": "", "operations": {}, "notifies": False, "variables": [], "problem": str(err)}
    return {
        "name": name,
        "summary": found.summary,
        "operations": {f"{name}.{word}": one.summary for word, one in found.operations.items()},
        "notifies": found.route is not None,
        "variables": variables(found.settings),
        "problem": "",
    }


def variables(settings: type[Settings]) -> list[dict[str, Any]]:
    """Return the variables that a settings class reads."""
    further = bool(getattr(settings, "further_variables", False))
    found = [
        {
            "name": f"{prefix_of(settings)}{name.upper()}",
            "required": field.is_required(),
            "default": _default(field),
            "secret": takes_secret(field.annotation),
            "description": field.description or "",
        }
        for name, field in settings.model_fields.items()
        if not (further and name == "further")
    ]
    if further:
        said = "any other variable is handed on, and is a secret"
        found.append({"name": "*", "required": False, "default": None, "secret": True, "description": said})
    return found


def _default(field: FieldInfo) -> Any:
    value = field.get_default(call_default_factory=False)
    match value:
        case None | bool() | int() | float() | str():
            return value
        case SecretStr():
            return None
        case Enum():
            return value.value
        case timedelta():
            return words.length(value)
        case _ if value is PydanticUndefined:
            return None
        case _:
            return str(value)


def _variable(one: Mapping[str, Any]) -> tuple[Text, Text]:
    marks = [
        "required" if one["required"] else f"default {one['default']}" if one["default"] not in (None, "") else "",
        "secret" if one["secret"] and one["name"] != "*" else "",
        one["description"],
    ]
    style = "bold" if one["required"] else ""
    return Text(f"  {one['name']}", style=style), Text(", ".join(mark for mark in marks if mark), style="dim")


def schema() -> int:
    """Print the JSON Schema of a pipeline file."""
    words.document(schemas.schema(_loadable()))
    return exits.OK


def _loadable() -> list[Connector]:
    found = []
    for name in registry.installed():
        try:
            found.append(registry.load(name))
        except ConfigError as err:
            exits.say(f"left out: {err}")
    return found
