"""The JSON Schema of a pipeline file, for editors: with each operation's options and each notifier's.

Options are narrowed by what ``uses`` and ``to`` say (if/then). Wherever an option is no text, a text with ``${VAR}``
or ``{{ run.id }}`` will do as well, since that is what stands there until it is filled in.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel, BeforeValidator, PlainValidator, WrapValidator

from stackhub.config.pipeline_file import PipelineFile, RouteFile
from stackhub.contract import Connector

_LATER: Final = {"type": "string", "pattern": r"\$\{.+\}|\{\{.+\}\}"}


def schema(connectors: Iterable[Connector] | Mapping[str, Connector]) -> dict[str, Any]:
    """Make the schema (draft 2020-12, and nothing that an editor's draft 7 would stumble over)."""
    known = list(connectors.values()) if isinstance(connectors, Mapping) else list(connectors)
    made = PipelineFile.model_json_schema(by_alias=True)
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["title"] = "stackhub pipeline"
    made["properties"]["tasks"]["minProperties"] = 1
    made["required"] = ["pipeline", "tasks"]
    definitions = made["$defs"]
    task, route = definitions["TaskFile"], definitions["RouteFile"]
    words = sorted(f"{one.name}.{word}" for one in known for word in one.operations)
    if words:
        task["properties"]["uses"]["enum"] = words
    task["allOf"] = []
    route["allOf"] = []
    for one in sorted(known, key=lambda one: one.name):
        for word, operation in one.operations.items():
            name = f"{one.name}.{word}"
            definitions[name] = _of(operation.options, name)
            task["allOf"].append(_when("uses", {"const": name}, _with(definitions[name], name)))
        if one.route is not None:
            name = f"alert {one.name}"
            definitions[name] = _route(_of(one.route, name))
            pattern = f"^{re.escape(one.name)}(\\.[a-z0-9_-]+)?$"
            route["allOf"].append(_when("to", {"pattern": pattern}, {"$ref": _pointer(name)}))
    _spare_nulls(made)
    return made


def _of(model: type[BaseModel], name: str) -> dict[str, Any]:
    """Return the schema of a connector's model, its own definitions kept inside it."""
    made = model.model_json_schema(by_alias=True, ref_template=f"{_pointer(name)}/$defs/{{model}}")
    free = _read_first(model)
    for part in (made, *made.get("$defs", {}).values()):
        for key, value in part.get("properties", {}).items():
            if part is made and key in free:
                part["properties"][key] = {"anyOf": [value, {"type": "string"}], **_told(value)}
            elif value.get("type") != "string" or set(value) & {"enum", "const", "pattern", "format"}:
                part["properties"][key] = {"anyOf": [value, _LATER], **_told(value)}
    return made


def _read_first(model: type[BaseModel]) -> set[str]:
    """Name the options that a validator sees before their type does: a text may be what it reads."""
    decorated = model.__pydantic_decorators__.field_validators.values()
    names = {field for one in decorated if one.info.mode != "after" for field in one.info.fields}
    for name, field in model.model_fields.items():
        if any(isinstance(one, BeforeValidator | PlainValidator | WrapValidator) for one in field.metadata):
            names.add(name)
    return {field.alias or name for name, field in model.model_fields.items() if names & {name, "*"}}


def _with(options: Mapping[str, Any], name: str) -> dict[str, Any]:
    made: dict[str, Any] = {"properties": {"with": {"$ref": _pointer(name)}}}
    if options.get("required"):
        made["required"] = ["with"]
    return made


def _route(options: dict[str, Any]) -> dict[str, Any]:
    """Add what every route has; nothing else may stand there."""
    common = dict.fromkeys(RouteFile.model_fields, True)
    return {**options, "properties": {**common, **options.get("properties", {})}, "additionalProperties": False}


def _when(key: str, holds: Mapping[str, Any], then: Mapping[str, Any]) -> dict[str, Any]:
    return {"if": {"properties": {key: holds}, "required": [key]}, "then": then}


def _pointer(name: str) -> str:
    return "#/$defs/" + name.replace("~", "~0").replace("/", "~1").replace(" ", "%20")


def _told(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value[key] for key in ("description", "default") if key in value}


def _spare_nulls(made: Any) -> None:
    """Take ``null`` out of our own keys: one with nothing behind it is refused."""
    definitions = made["$defs"]
    ours = (made, *(part for name, part in definitions.items() if name.endswith("File")))
    for part in ours:
        for value in part.get("properties", {}).values():
            arms = [arm for arm in value.get("anyOf", ()) if arm != {"type": "null"}]
            if len(arms) == 1 and len(value["anyOf"]) > 1:
                del value["anyOf"]
                value.update({**arms[0], **value})
            if "default" in value and value["default"] is None:
                del value["default"]
