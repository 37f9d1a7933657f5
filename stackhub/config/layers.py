"""One settings object from three layers: the process environment, over its env file, over defaults.

In a file a key is ``FIVETRAN_API_KEY`` whatever the instance; in the process environment the instance
``fivetran.eu`` reads ``FIVETRAN_EU_API_KEY``. In both, ``KEY_FILE=/run/secrets/x`` stands for what that file holds.
An empty value counts as not given, as container tools pass what was left out. An unknown key is a problem in a file;
in the process environment, which is everybody's, it is nobody's business.
"""

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from pydantic import SecretStr, ValidationError

from stackhub.config.env_files import MOST_BYTES, EnvFile, warn_of_readers
from stackhub.config.findings import Findings
from stackhub.config.hiding import to_hide
from stackhub.config.nearest import hint
from stackhub.config.shape import Fault, faults_of, secrets_in, takes_secret
from stackhub.contract import Settings, looks_secret

S = TypeVar("S", bound=Settings)

_NOWHERE: Final = "\0"  # no variable of a process can begin so: pydantic-settings finds nothing of its own
_LISTS: Final = frozenset({"list_type", "tuple_type", "set_type", "frozen_set_type"})
_MAPPINGS: Final = frozenset({"dict_type", "mapping_type"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where one instance's settings come from."""

    name: str  # the instance: "fivetran.eu"
    directory: Path  # where a relative KEY_FILE path starts
    file: EnvFile | None
    environ: Mapping[str, str]
    asked_at: str = ""  # where something asked for it, when it has no file

    @property
    def place(self) -> str:
        """Where a problem of the whole instance stands."""
        return self.file.name if self.file else self.asked_at or f"{self.name}.env"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One value, and where it was given."""

    text: str
    place: str
    key: str  # as it was written there
    unreadable: bool = False  # it names a file that gave nothing; told already


@dataclass(slots=True, kw_only=True)
class Resolved(Generic[S]):
    """What came of it; ``settings`` is None when there were problems."""

    settings: S | None = None
    secrets: tuple[str, ...] = ()
    given: dict[str, Given] = field(default_factory=dict)


def prefix_of(settings: type[Settings]) -> str:
    """Return the prefix of a settings class: "FIVETRAN_"."""
    return settings.model_config.get("env_prefix", "")


def own_prefix(settings: type[Settings], instance: str) -> str:
    """Return what an instance's variables begin with in the process environment: "FIVETRAN_EU_"."""
    name = instance.partition(".")[2]
    return prefix_of(settings) + (f"{name.upper().replace('-', '_')}_" if name else "")


def resolve(
    settings: type[S],
    source: Source,
    findings: Findings,
    fill: Callable[[Mapping[str, str]], Mapping[str, object]] = lambda _: {},
) -> Resolved[S]:
    """Read one instance's settings; everything wrong goes to ``findings``, never with a secret.

    ``fill`` is shown what was given and returns what is to be put in its place, or in place of nothing.
    """
    layers = _Layers(settings, source, findings)
    given = layers.given()
    further = layers.further()
    values: dict[str, Any] = {name: one.text for name, one in given.items()}
    values |= fill(values)
    if layers.takes_further:
        values["further"] = {key: SecretStr(text) for key, text in further.items()}
    made, faults = _made(settings, values)
    secret = (name for name, one in settings.model_fields.items() if takes_secret(one.annotation))
    hidden = sorted((given[name].text for name in secret if name in given), key=len, reverse=True)
    for fault in faults:
        layers.tell(fault, given, hidden)
    if made is None or layers.failed:
        return Resolved(given=given)
    named = [secret for loc, secret in secrets_in(made) if loc[:1] != ("further",)]
    hiding = {key: text for key, text in further.items() if looks_secret(text)}
    if source.file is not None:
        held = {str(loc[0]) for loc, _ in secrets_in(made)}
        warn_of_readers(source.file, [*(layers.keys[name] for name in held if name in layers.keys), *hiding], findings)
    return Resolved(settings=made, secrets=to_hide([*named, *hiding.values()]), given=given)


class _Layers:
    """The names a settings class is written under, and what is found under them."""

    def __init__(self, settings: type[Settings], source: Source, findings: Findings) -> None:
        self.takes_further = bool(getattr(settings, "further_variables", False))
        fields = [name for name in settings.model_fields if not (self.takes_further and name == "further")]
        self.keys = {name: f"{prefix_of(settings)}{name.upper()}" for name in fields}
        self._names = {key: name for name, key in self.keys.items()}
        self._own = {name: f"{own_prefix(settings, source.name)}{name.upper()}" for name in fields}
        self._named = {*self._names, *self._own.values()}
        self._prefix = prefix_of(settings)
        self._source = source
        self._findings = findings
        self.failed = False

    def given(self) -> dict[str, Given]:
        """Return what is given for each field by the highest layer that gives it."""
        found: dict[str, Given] = {}
        file = self._source.file
        in_file = {key: entry.value for key, entry in file.entries.items()} if file else {}
        for name, key in self.keys.items():
            own = self._own[name]
            one = self._one(own, self._source.environ, {k: k for k in (own, f"{own}_FILE")})
            if one is None and file is not None:
                places = {k: file.place(k) for k in (key, f"{key}_FILE") if k in in_file}
                one = self._one(key, in_file, places)
            if one is not None:
                found[name] = one
        return found

    def further(self) -> dict[str, str]:
        """Return the file's other variables; where none may be, each is a problem with the nearest known name."""
        file = self._source.file
        if file is None:
            return {}
        known = {*self._names, *(f"{key}_FILE" for key in self._names)}
        others = {key: entry.value for key, entry in file.entries.items() if key not in known}
        for key in others:
            if self.takes_further:
                self._suspect(file, key)
            else:
                self._wrong(file.place(key), f"unknown key {key}{self._nearest(key)}")
        if not self.takes_further:
            return {}
        alone = "." not in self._source.name  # another instance's environment is not this one's
        return {key: (self._source.environ.get(key) or value) if alone else value for key, value in others.items()}

    def tell(self, fault: Fault, given: Mapping[str, Given], hidden: list[str]) -> None:
        """Put one of pydantic's errors to the line it comes from."""
        text = fault.text
        for value in hidden:
            text = text.replace(value, "***") if len(value) > 3 else text  # noqa: PLR2004 - shorter is a word of ours
        name = str(fault.loc[0]) if fault.loc else ""
        if name in given and given[name].unreadable:
            return
        if name in given:
            one = given[name]
            self._wrong(one.place, text if one.place == one.key else f"{one.key}: {text}")
        elif fault.missing and name in self.keys:
            self._wrong(self._source.place, self._missing(name))
        else:
            self._wrong(self._source.place, f"{self.keys.get(name, name)}: {text}" if name else text)

    def _one(self, key: str, layer: Mapping[str, str], places: Mapping[str, str]) -> Given | None:
        path_key = f"{key}_FILE"
        value = layer.get(key, "")
        path = layer.get(path_key, "") if path_key not in self._named else ""
        if value and path:
            place = places[path_key]
            self._wrong(place, f"{key} and {path_key} are both given: keep one")
        if value:
            return Given(text=value, place=places[key], key=key)
        if path:
            return self._from_file(path_key, path, places[path_key])
        return None

    def _from_file(self, key: str, written: str, place: str) -> Given:
        path = self._source.directory / written
        why = text = ""
        try:
            with path.open("rb") as stream:
                raw = stream.read(MOST_BYTES + 1)
            text = raw.decode()
        except (OSError, ValueError) as error:
            why = f"cannot be read: {error.strerror if isinstance(error, OSError) else 'it is not UTF-8'}"
        else:
            if len(raw) > MOST_BYTES or not raw.strip():
                why = f"is empty or larger than {MOST_BYTES // 1000} KB"
            elif "\0" in text:
                why = "holds a NUL character"
        if why:
            self._wrong(place, f"{path} {why}" if place == key else f"{key}: {path} {why}")
        if text.endswith("\n"):
            text = text[:-1].removesuffix("\r")
        return Given(text=text, place=place, key=key, unreadable=bool(why))

    def _missing(self, name: str) -> str:
        own, file = self._own[name], f"{self._source.name}.env"
        if own == self.keys[name]:
            where = f"set it in {file} or in the process environment"
        else:
            where = f"set it in {file}, or {own} in the process environment"
        return f"{self.keys[name]} is missing: {where}, or put the path of a file that holds it in {own}_FILE"

    def _nearest(self, key: str) -> str:
        if self._source.name.count(".") and (field := {v: k for k, v in self._own.items()}.get(key)):
            return f": in this file it is called {self.keys[field]}"
        return hint(key, [*self._names])

    def _suspect(self, file: EnvFile, key: str) -> None:
        near = difflib.get_close_matches(key, list(self._names), n=1, cutoff=0.85)
        if near and key.startswith(self._prefix):
            text = f"{key} is no setting and is handed on as it is: did you mean {near[0]!r}?"
            self._findings.warn(file.place(key), text)

    def _wrong(self, place: str, text: str) -> None:
        self.failed = True
        self._findings.wrong(place, text)


def _made(settings: type[S], values: dict[str, Any]) -> tuple[S | None, tuple[Fault, ...]]:
    """Make the settings; where a list or a mapping was wanted, read the text as one: ``a,b``, ``["a"]``, ``{...}``."""
    try:
        return settings(_env_prefix=_NOWHERE, **values), ()
    except ValidationError as error:
        faults = faults_of(settings, values, error)
    wanted = {str(f.loc[0]): f.kind for f in faults if len(f.loc) == 1 and f.kind in _LISTS | _MAPPINGS}
    for name, kind in wanted.items():
        values[name] = _collection(values.get(name), kind)
    if wanted:
        try:
            return settings(_env_prefix=_NOWHERE, **values), ()
        except ValidationError as error:
            faults = faults_of(settings, values, error)
    return None, faults


def _collection(written: object, kind: str) -> object:
    if not isinstance(written, str):
        return written
    try:
        if kind in _MAPPINGS or written.lstrip().startswith("["):
            return json.loads(written)
    except (ValueError, RecursionError):
        return written
    return [part.strip() for part in written.split(",") if part.strip()]
