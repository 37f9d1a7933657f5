"""What `check --live` tries: files are read and `dbt --version` is run, nothing else; no warehouse is asked."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from stackhub.contract import Permission
from stackhub_dbt.command import Project

PROJECT_FILE = "dbt_project.yml"
PROFILES_FILE = "profiles.yml"


def of_executable(path: str, version: str) -> Permission:
    """Say which dbt will run."""
    return Permission(name="dbt runs", ok=True, detail=f"{version} at {path}")


def of_files(project: Project, home: str) -> list[Permission]:
    """Say whether project, profile and target are there, as dbt would look for them; ``home`` is dbt's HOME."""
    return list(_files(project, Path(home)))


def _files(project: Project, home: Path) -> Iterator[Permission]:
    configured, why = _read(project.directory / PROJECT_FILE)
    yield Permission(
        name="the project is there",
        ok=configured is not None,
        detail=why or str(project.directory),
        remedy="" if configured is not None else "set DBT_PROJECT_DIR to the directory that holds dbt_project.yml",
    )
    if configured is None:
        return
    places = [project.profiles] if project.profiles else [project.directory, home / ".dbt"]
    path = next((place / PROFILES_FILE for place in places if (place / PROFILES_FILE).is_file()), None)
    if path is None:
        looked = " and ".join(map(str, places))
        remedy = "set DBT_PROFILES_DIR to the directory that holds profiles.yml"
        yield Permission(name="the profiles are there", ok=False, detail=f"none in {looked}", remedy=remedy)
        return
    profiles, why = _read(path)
    remedy = "" if profiles is not None else "mend the file"
    yield Permission(name="the profiles are there", ok=profiles is not None, detail=why or str(path), remedy=remedy)
    if profiles is not None:
        yield _profile(project, configured, profiles, path)


def _profile(project: Project, configured: Mapping[str, Any], profiles: Mapping[str, Any], path: Path) -> Permission:
    name = project.profile or configured.get("profile")
    chosen = profiles.get(name) if isinstance(name, str) else None
    if not isinstance(chosen, dict):
        there = ", ".join(sorted(map(str, profiles))) or "none"
        remedy = "set DBT_PROFILE to one of them, or add it to the file"
        return Permission(
            name="the profile is there", ok=False, detail=f"{name} is not in {path}: {there}", remedy=remedy
        )
    outputs = chosen.get("outputs")
    there = ", ".join(sorted(map(str, outputs))) if isinstance(outputs, dict) else ""
    if project.target and isinstance(outputs, dict) and project.target not in outputs:
        detail = f"{name} has no target {project.target}: {there}"
        return Permission(name="the profile is there", ok=False, detail=detail, remedy="set DBT_TARGET to one of them")
    return Permission(name="the profile is there", ok=True, detail=f"{name}: {there}")


def _read(path: Path) -> tuple[Mapping[str, Any] | None, str]:
    """Return a YAML file's mapping, or None and the reason; never a value of it, since profiles hold secrets."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None, f"no {path.name} in {path.parent}"
    except (OSError, ValueError) as err:
        return None, f"{path} cannot be read: {type(err).__name__}"
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        return None, f"{path} is no YAML" + (f", line {mark.line + 1}" if mark else "")
    return (found, "") if isinstance(found, dict) else (None, f"{path} is no mapping")
