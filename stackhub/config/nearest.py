"""The nearest known name to one that nobody knows."""

import difflib
from collections.abc import Iterable


def hint(wrong: str, known: Iterable[str]) -> str:
    """Return ``: did you mean 'x'?``, else ``; known: a, b`` for a short list, else nothing.

    Meant to be put behind "unknown thing 'y'".
    """
    names = sorted({name for name in known if name})
    folded = {name.casefold(): name for name in reversed(names)}
    near = difflib.get_close_matches(wrong.casefold(), list(folded), n=1, cutoff=0.6)
    if near:
        return f": did you mean {folded[near[0]]!r}?"
    most = 12
    return f"; there is {', '.join(names)}" if 0 < len(names) <= most else ""
