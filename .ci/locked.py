"""Say whether requirements.lock satisfies pyproject.toml: each requirement pinned, each pin hashed, no host named.

It reads two files and nothing else, so that it works offline and tells at once what `./run lock` would mend.
"""

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)")


def declared(pyproject: str) -> list[Requirement]:
    """Read every requirement of the project: its core, its extras, its development group and its build."""
    document = tomllib.loads(pyproject)
    project = document["project"]
    lists = [
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *document["dependency-groups"].values(),
        document["build-system"]["requires"],
    ]
    return [Requirement(line) for lines in lists for line in lines]


def complaints(pyproject: str, lock: str) -> list[str]:
    """List what is wrong with the lock; nothing, if it can be installed as it is."""
    found = [f"names a host: {line}" for line in lock.splitlines() if "://" in line or line.startswith("-")]
    pins: dict[str, set[str]] = {}
    for entry in re.split(r"\n(?=\S)", lock.strip()):
        if pin := _PIN.match(entry):
            pins.setdefault(canonicalize_name(pin["name"]), set()).add(pin["version"])
            if "--hash=sha256:" not in entry:
                found.append(f"no hash for {pin['name']}")
        else:
            found.append(f"not a pinned version: {entry.splitlines()[0]}")
    for requirement in declared(pyproject):
        versions = pins.get(canonicalize_name(requirement.name), set())
        if not versions:
            found.append(f"does not have {requirement.name}")
        found += [
            f"has {requirement.name} {version}, and pyproject.toml wants {requirement.specifier}"
            for version in sorted(versions)
            if not requirement.specifier.contains(version, prereleases=True)
        ]
    return found


def main() -> int:
    """Print the complaints about the lock of this checkout; 1 if there are any."""
    root = Path(__file__).parent.parent
    found = complaints((root / "pyproject.toml").read_text(), (root / "requirements.lock").read_text())
    for complaint in found:
        print(f"requirements.lock {complaint}")
    if found:
        print("make it again: ./run lock")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
