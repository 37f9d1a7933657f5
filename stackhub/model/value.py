"""What changes most often: values that are copied with a change, compared, and written as JSON in C.

`msgspec.structs.replace` takes a fortieth of what `dataclasses.replace` does, and JSON without what is at its default
is a fifth as long. Every decision copies and keeps runs and steps: for them that was half of its price.
"""

from dataclasses import fields, make_dataclass
from functools import cache
from typing import Any

import msgspec


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A frozen value. `dataclasses.replace` and `dataclasses.fields` know it too, at their own pace.

    With ``omit_defaults``, a default is part of what databases hold: once released, it stays what it is.
    """


class _Fields:
    """What `dataclasses` looks for."""

    def __get__(self, _: object, owner: type[Value]) -> dict[str, Any]:
        return _fields(owner.__struct_fields__)


@cache
def _fields(names: tuple[str, ...]) -> dict[str, Any]:
    return {field.name: field for field in fields(make_dataclass("Value", names))}


Value.__dataclass_fields__ = _Fields()  # type: ignore[assignment]  # one for each class, made when it is asked for
