"""Which revision of a project's files dbt is about to read, or has read: git's word, where the project is in git."""

import os
import subprocess
from pathlib import Path
from typing import Final

PATIENCE: Final = 5.0  # seconds; a repository on a slow disk is no reason to keep a job waiting
ASKED: Final = ("describe", "--always", "--exclude=*", "--dirty=+changes", "--abbrev=12")
KEPT: Final = ("PATH", "HOME", "XDG_CONFIG_HOME")


def revision(project: Path) -> str:
    """Return "3f2a1c9d04b7", "3f2a1c9d04b7+changes" where tracked files differ from it, or "": there is no git here."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    env = {**kept, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        said = subprocess.run(
            ["git", "-C", str(project), *ASKED],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout.strip() if said.returncode == 0 else ""


def changed(before: str, after: str) -> str:
    """Say that the files changed under a job that was reading them; "" where they did not, or nobody knows."""
    if not before or before == after:
        return ""
    return f"the project changed underneath: {before}, then {after or 'no git'}"
