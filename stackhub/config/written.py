"""A pipeline's model, written out as the file that says the same."""

import typing
from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from pathlib import PurePath
from typing import Any, Final

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from stackhub.config.pipeline_file import PipelineFile
from stackhub.config.yaml_nodes import load
from stackhub.errors import ConfigError
from stackhub.model.words import say

WIDTH: Final = 110


def yaml_of(pipeline: PipelineFile) -> str:
    """Write a pipeline as YAML 1.2: what was given, in the order of the keys in our documents.

    Raises:
        ConfigError: an option holds what no file can say; names it.
    """
    plain = _plain(pipeline, pipeline.pipeline)
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=WIDTH)
    read = load(text.encode(), pipeline.pipeline)
    if read.problems or read.data != plain:  # two dialects of YAML, of which one is written and the other read
        raise ConfigError(f"{pipeline.pipeline}: it cannot be written so that it would be read as it is meant")
    return text


def _plain(value: Any, at: str) -> Any:
    match value:
        case BaseModel():
            return _mapping(value, at)
        case Mapping():
            return {str(key): _plain(item, f"{at}.{key}") for key, item in value.items()}
        case list() | tuple():
            return [_plain(item, f"{at}.{nth}") for nth, item in enumerate(value)]
        case timedelta():
            return say(value)
        case Enum():
            return _plain(value.value, at)
        case PurePath():
            return str(value)
        case str() | bool() | int() | float() | None:
            return value
        case _:
            raise ConfigError(f"{at}: a file cannot hold a {type(value).__name__}; a secret is written ${{NAME}}")


def _mapping(model: BaseModel, at: str) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, field in type(model).model_fields.items():
        if name in model.model_fields_set:
            key, value = field.alias or name, getattr(model, name)
            items = list(value.values()) if isinstance(value, Mapping) and _is_numbered(field) else value
            given[key] = _plain(items, f"{at}.{key}")
    return {**given, **{key: _plain(value, f"{at}.{key}") for key, value in (model.model_extra or {}).items()}}


def _is_numbered(field: FieldInfo) -> bool:
    """Say whether people write a list here, of which the model holds each item by its place."""

    def numbered(annotation: Any) -> bool:
        arguments = typing.get_args(annotation)
        if typing.get_origin(annotation) is dict:
            return arguments[0] is int
        return any(numbered(one) for one in arguments)

    return numbered(field.annotation)
