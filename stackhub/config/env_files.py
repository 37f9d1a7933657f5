"""Env files: which there are, whose they are by their names, and what stands in them, line by line.

The syntax is dotenv's: ``KEY=value``, ``export KEY=value``, quotes (which may span lines), ``# comments`` after a
blank; a ``#`` inside a value stays. Nothing is interpolated: ``${OTHER}`` in a value is kept as it is, with a warning,
since a password may look like that.

A file that says ``# stackhub: public`` in a line of its own holds nothing that others may not read: keys of a sandbox,
kept in a repository that keeps no file modes.
"""

import io
import re
import shlex
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dotenv.parser import Binding, parse_stream

from stackhub.config.findings import Findings

MOST_BYTES: Final = 1_000_000
HUB: Final = "stackhub"
_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PUBLIC: Final = re.compile(r"^#[ \t]*stackhub:[ \t]*public[ \t]*\r?$", re.MULTILINE)
_INSTANCE: Final = re.compile(r"[a-z0-9_]+(\.[a-z0-9_-]+)?")


@dataclass(frozen=True, slots=True)
class Entry:
    """One variable of a file."""

    value: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvFile:
    """What one env file holds; what is empty (``KEY=``) counts as not given, but is known."""

    path: Path
    public: bool = False  # it says that anybody may read it
    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name inside the configuration's directory: "fivetran.eu.env"."""
        return self.path.name

    def place(self, key: str) -> str:
        """Return ``file:line`` of a variable."""
        return f"{self.name}:{self.entries[key].line}"


def env_files(directory: Path) -> list[Path]:
    """List the env files of a directory by name; hidden ones are not ours."""
    return sorted(path for path in directory.glob("*.env") if not path.name.startswith(".") and path.is_file())


def instance_of(path: Path, findings: Findings) -> tuple[str, str] | None:
    """Return (instance, connector) as the file's name says: ``fivetran.eu.env`` is ("fivetran.eu", "fivetran")."""
    stem = path.name.removesuffix(".env")
    if not _INSTANCE.fullmatch(stem):
        findings.wrong(
            path.name,
            "is not called <connector>.env or <connector>.<name>.env, in lower-case letters, digits and _",
        )
        return None
    return stem, stem.partition(".")[0]


def read_env_file(path: Path, findings: Findings) -> EnvFile:
    """Read one file; what cannot be read is a problem with its line, and the rest is read all the same."""
    text = _text(path, findings)
    file = EnvFile(path=path, public=_PUBLIC.search(text) is not None)
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        findings.wrong(f"{file.name}:{line}", "holds a NUL character")
        return file
    for binding, line in _bindings(text):
        place = f"{file.name}:{line}"
        if binding.error:
            findings.wrong(place, "cannot be read: expected KEY=value (an open quote?)")
        elif binding.key is not None:
            _add(file, binding.key, binding.value, line, findings)
    return file


def warn_of_readers(file: EnvFile, secrets: Iterable[str], findings: Findings) -> None:
    """Warn where others may read a file that holds one of these keys, unless it is meant for them."""
    kept = [key for key in secrets if key in file.entries and file.entries[key].value]
    mode = file.path.stat().st_mode
    if file.public or not kept or not mode & (stat.S_IRGRP | stat.S_IROTH):
        return
    whom = "everyone on this machine" if mode & stat.S_IROTH else "its whole group"
    command = f"chmod 600 {shlex.quote(str(file.path))}"
    findings.warn(file.name, f"holds {kept[0]} and can be read by {whom}: {command}")


def _bindings(text: str) -> Iterator[tuple[Binding, int]]:
    """Yield what dotenv finds with the line of its key: dotenv counts the blank lines before it as its own."""
    for binding in parse_stream(io.StringIO(text)):
        string = binding.original.string
        blank = string[: len(string) - len(string.lstrip())]
        yield binding, binding.original.line + len(re.findall(r"\r\n|\n|\r", blank))


def _add(file: EnvFile, key: str, value: str | None, line: int, findings: Findings) -> None:
    place = f"{file.name}:{line}"
    if not _KEY.fullmatch(key):
        findings.wrong(place, "the key is not a variable's name: letters, digits and _, not beginning with a digit")
    elif key in file.entries:
        findings.wrong(place, f"{key} stands here twice: first in line {file.entries[key].line}")
    elif value is None:
        findings.wrong(place, f"{key} has no value: write {key}=value")
    else:
        file.entries[key] = Entry(value, line)
        if re.search(r"\$\{[A-Za-z_]", value):
            findings.warn(place, f"{key} holds `${{`: variables are not filled in here, it is kept as written")


def _text(path: Path, findings: Findings) -> str:
    try:
        raw = path.read_bytes() if path.stat().st_size <= MOST_BYTES else None
    except OSError as error:
        findings.wrong(path.name, f"cannot be read: {error.strerror}")
        return ""
    if raw is None:
        findings.wrong(path.name, f"is larger than {MOST_BYTES // 1000} KB: an env file holds a few lines")
        return ""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        findings.wrong(f"{path.name}:{line}", "is not UTF-8: save the file as UTF-8")
        return ""
