"""The nearest known name to one that nobody knows."""

import difflib
from collections.abc import Iterable


def nearest(wrong: str, known: Iterable[str]) -> str | None:
    """Return the name that was probably meant."""
    folded = {name.casefold(): name for name in sorted(known, reverse=True)}
    near = difflib.get_close_matches(wrong.casefold(), list(folded), n=1, cutoff=0.6)
    return folded[near[0]] if near else None


def hint(wrong: str, known: Iterable[str]) -> str:
    """Return ``: did you mean 'x'?``, else ``; there is a, b`` for a short list, else nothing.

    Meant to be put behind "unknown thing 'y'".
    """
    names = sorted({name for name in known if name})
    near = nearest(wrong, names)
    if near is not None:
        return f": did you mean {near!r}?"
    most = 16
    return f"; there is {', '.join(names)}" if 0 < len(names) <= most else ""
