"""Pydantic at the edge: its errors in our words, and what is left of a value when its faulty parts are taken out.

The second is what lets every problem be told at once: a misspelt key must not hide a cycle.
"""

import copy
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError

from stackhub.config.findings import Loc, dotted
from stackhub.config.nearest import hint, nearest

M = TypeVar("M", bound=BaseModel)

_TAKEN_OUT: Final = object()  # stands where a faulty item of a list stood, so that the others keep their index
_ROUNDS: Final = 8
_UNSHORTENED: Final = 200


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that a model does not take."""

    loc: Loc
    text: str
    on_key: bool = False  # the key is wrong, not its value
    missing: bool = False
    kind: str = ""  # pydantic's name for it

    def __str__(self) -> str:
        loc = self.loc[:-1] if self.kind == "extra_forbidden" else self.loc
        return f"{dotted(loc)}: {self.text}" if loc else self.text


def shaped(model: type[M], data: Any) -> tuple[M | None, tuple[Fault, ...]]:
    """Validate, and return what is left once the faulty parts are taken out; None where nothing usable is."""
    try:
        return model.model_validate(data), ()
    except ValidationError as error:
        return _salvaged(model, data, error), faults_of(model, data, error)


def faults_of(model: type[BaseModel], data: Any, error: ValidationError) -> tuple[Fault, ...]:
    """Put pydantic's errors into words, each where it stands in ``data``; none quotes what was given.

    What each arm of a union has to say of one value is one fault. A required key is not also missing where an
    unknown one was probably meant for it.
    """
    found: dict[tuple[Loc, bool], Fault] = {}
    meant: set[Loc] = set()
    for one in error.errors(include_url=False):
        loc, kind = one["loc"], one["type"]
        if kind == "extra_forbidden":
            known, key = known_keys(model, loc[:-1]), str(loc[-1])
            fault = Fault(_within(data, loc), f"unknown key {key!r}{hint(key, known)}", on_key=True, kind=kind)
            meant.add((*fault.loc[:-1], nearest(key, known) or key))
        elif kind == "missing":
            fault = Fault((*_within(data, loc[:-1]), loc[-1]), "is required", missing=True, kind=kind)
        else:
            on_key = loc[-1:] == ("[key]",)
            fault = Fault(_within(data, loc), _words(kind, one["msg"], one["input"]), on_key=on_key, kind=kind)
        told = found.get((fault.loc, fault.on_key))
        if told is not None and told.text != fault.text:
            fault = Fault(fault.loc, f"{told.text}, or {fault.text}", on_key=fault.on_key, kind=kind)
        found[fault.loc, fault.on_key] = fault
    return tuple(fault for fault in found.values() if not (fault.missing and fault.loc in meant))


def known_keys(model: Any, loc: Loc) -> tuple[str, ...]:
    """Return the keys that may stand at ``loc`` inside ``model``; none where a union or a free mapping stands."""
    at: Any = model
    for part in loc:
        at = _step(_model_in(at), part)
    at = _model_in(at)
    return tuple(_keys(at)) if isinstance(at, type) and issubclass(at, BaseModel) else ()


def secrets_in(value: Any, loc: Loc = ()) -> list[tuple[Loc, str]]:
    """List every secret inside a validated value with the way to it, keys by the names they are written under."""
    if isinstance(value, SecretStr):
        return [(loc, value.get_secret_value())]
    if isinstance(value, SecretBytes):
        return [(loc, value.get_secret_value().decode(errors="replace"))]
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, BaseModel):
        named = {name: key for key, name in _keys(type(value)).items()}
        inner = [(named[name], getattr(value, name)) for name in named]
    elif isinstance(value, Mapping):
        inner = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list | tuple | set | frozenset):
        inner = list(enumerate(value))
    return [secret for key, item in inner for secret in secrets_in(item, (*loc, key))]


def takes_secret(annotation: Any) -> bool:
    """Say whether a secret may stand in a field of this type."""
    inner = typing.get_args(annotation)
    return any(takes_secret(arm) for arm in inner) if inner else annotation in (SecretStr, SecretBytes)


def number(written: Any) -> Any:
    """Turn a list into a mapping from index to item, so that an item taken out moves no other."""
    if isinstance(written, list):
        return {at: item for at, item in enumerate(written) if item is not _TAKEN_OUT}
    if written is None:
        return None
    raise ValueError("should be a list")


def _salvaged(model: type[M], data: Any, error: ValidationError) -> M | None:
    left = copy.deepcopy(data)
    for _ in range(_ROUNDS):
        for one in error.errors(include_url=False, include_input=False, include_context=False):
            loc = one["loc"][:-1] if one["type"] == "missing" else one["loc"]
            if not _take_out(left, loc):
                return None
        try:
            return model.model_validate(left)
        except ValidationError as again:
            error = again
    return None


def _take_out(data: Any, loc: Loc) -> bool:
    """Take out what stands at ``loc``, or the deepest part on the way to it; False when that is all there is."""
    way: list[tuple[Any, str | int]] = []  # each holder, and the key that was followed in it
    at = data
    for part in loc:
        if held(at, part):
            way.append((at, part))
            at = at[part]
        elif not isinstance(part, int):
            break
    if not way:
        return False
    holder, key = way[-1]
    if isinstance(holder, list):
        holder[int(key)] = _TAKEN_OUT
    else:
        del holder[key]
    return True


def _within(data: Any, loc: Loc) -> Loc:
    """Return the parts of a way that are in ``data``: the others are pydantic's own (an arm of a union, a "[key]")."""
    way: list[str | int] = []
    for part in loc:
        if held(data, part):
            way.append(part)
            data = data[part]
    return tuple(way)


def held(data: Any, part: str | int) -> bool:
    """Say whether a mapping has this key, or a list this index."""
    if isinstance(data, Mapping):
        return part in data
    return isinstance(data, list | tuple) and isinstance(part, int) and part < len(data)


def _words(kind: str, message: str, given: Any) -> str:
    match kind:
        case _ if given is None and kind.endswith("_type"):
            return "is empty"
        case "string_type" if isinstance(given, int | float):
            return "should be text: put it in quotes"
        case "string_too_short":
            return "must not be empty" if given == "" else message.replace("String should", "should")
        case "model_type" | "dict_type" | "model_attributes_type" | "mapping_type":
            return "should be a mapping (key: value)"
        case "list_type" | "tuple_type" | "set_type" | "frozen_set_type":
            return "should be a list"
        case "bool_type" | "bool_parsing":
            return "should be true or false"
        case "int_type" | "int_parsing" | "int_from_float":
            return "should be a whole number"
        case _:
            return _said(message)


def _said(message: str) -> str:
    """Take pydantic's subject off its sentence: what stands before it says what is meant."""
    for opening in ("Value error, ", "Assertion failed, "):
        message = message.removeprefix(opening)
    for subject in ("Input ", "String ", "URL ", "Value ", "Dictionary ", "List ", "Tuple "):
        message = message.removeprefix(subject)
    return message if len(message) <= _UNSHORTENED else message[:_UNSHORTENED] + "…"


def _keys(model: type[BaseModel]) -> dict[str, str]:
    """Map what people write to the field it fills."""
    return {_written(name, field.validation_alias or field.alias): name for name, field in model.model_fields.items()}


def _written(name: str, alias: object) -> str:
    return alias if isinstance(alias, str) else name


def _model_in(annotation: Any) -> Any:
    """Look through Annotated and Optional; None for a union of more."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _model_in(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        inner = [arm for arm in typing.get_args(annotation) if arm is not type(None)]
        return _model_in(inner[0]) if len(inner) == 1 else None
    return annotation


def _step(annotation: Any, part: str | int) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        name = _keys(annotation).get(str(part))
        return annotation.model_fields[name].annotation if name is not None else None
    arguments = typing.get_args(annotation)
    if not arguments:
        return None
    return arguments[-1] if isinstance(typing.get_origin(annotation), type) and len(arguments) == 2 else arguments[0]  # noqa: PLR2004
