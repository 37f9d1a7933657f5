"""Files of this machine, as a trigger's glob finds them. Hidden ones are not matched by ``*``."""

import glob
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stackhub.contract import File, Rejected

_MAGIC: Final = re.compile(r"[*?\[]")


def local_files(directory: Path, pattern: str, most: int) -> Sequence[File]:
    """List the regular files that match, at most one more than ``most``. Blocks.

    Raises:
        Rejected: the folder that they are to stand in is not there, or may not be read.
    """
    whole = str(directory / pattern)
    folder = _folder(whole)
    if not os.path.isdir(folder):  # noqa: PTH112 - a pattern is no path
        raise Rejected(f"there is no folder {folder}", status=404)
    if not os.access(folder, os.R_OK | os.X_OK):
        raise Rejected(f"the folder {folder} may not be read", status=403)
    found: list[File] = []
    for path in glob.iglob(whole, recursive=True):  # noqa: PTH207 - as above
        try:
            seen = os.stat(path)  # noqa: PTH116 - as above
        except OSError:  # gone since it was listed, or a link to nothing
            continue
        if stat.S_ISREG(seen.st_mode):
            found.append(File(path=path, mark=f"{seen.st_size}:{seen.st_mtime_ns}"))
        if len(found) > most:
            break
    return found


def _folder(pattern: str) -> str:
    magic = _MAGIC.search(pattern)
    return os.path.dirname(pattern[: magic.start()] if magic else pattern) or "/"  # noqa: PTH120 - as above
