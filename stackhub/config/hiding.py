"""Which texts a log must not show, given the secrets there are."""

from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import unquote, urlsplit

_A_LINE: Final = 16  # characters; shorter lines of a key say nothing, and hiding them would hide "-----END-----"


def to_hide(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return the secrets, longest first, with what gives one away in part.

    That is each long line of a secret that has several (logs come line by line), and the password in an address. An
    address of a SQLite file is none.
    """
    found = {part for secret in secrets for part in _parts(secret) if part}
    return tuple(sorted(found, key=lambda text: (-len(text), text)))


def _parts(secret: str) -> Iterator[str]:
    if not secret.startswith("sqlite"):
        yield secret
    if "\n" in secret:
        yield from (line for line in map(str.strip, secret.splitlines()) if len(line) >= _A_LINE)
    if "://" in secret:
        try:
            password = urlsplit(secret).password or ""
        except ValueError:
            return
        yield from (password, unquote(password))
