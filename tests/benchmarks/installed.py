"""P11: what a plain install brings, without dbt and PostgreSQL: distributions and bytes on disk."""

import re
from importlib.metadata import Distribution, distribution, requires

from row import Row


def size() -> list[Row]:
    """Follow stackhub's requirements through what is installed here, extras left out."""
    found: dict[str, Distribution] = {}
    _follow("stackhub", found)
    total = 0
    for dist in found.values():
        for file in dist.files or ():
            path = dist.locate_file(file)
            total += path.stat().st_size if path.is_file() else 0  # type: ignore[attr-defined]
    return [
        Row("P11", "installed size, without dbt", "MB", [total / 2**20], bar="80 MB"),
        Row("P11", "distributions", "", [float(len(found))], bar="45"),
    ]


def _follow(name: str, found: dict[str, Distribution]) -> None:
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in found:
        return
    from packaging.requirements import Requirement

    found[key] = distribution(name)
    for line in requires(name) or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            _follow(requirement.name, found)
