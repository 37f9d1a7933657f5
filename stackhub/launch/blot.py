"""Keeps secrets out of what is read from a job's files, since a program may say anything about its environment."""

from collections.abc import Iterable

from stackhub.contract import looks_secret


class Blot:
    """Puts stars over some texts. As many as there were bytes, so that offsets into a file stay what they are."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        values = {secret.encode() for secret in secrets if looks_secret(secret)}
        self._values = sorted(values, key=len, reverse=True)

    @property
    def reach(self) -> int:
        """Return how many bytes around a piece have to be seen, so that no secret at its edge is overlooked."""
        return len(self._values[0]) - 1 if self._values else 0

    def __call__(self, data: bytes) -> bytes:
        """Cover the secrets in a piece of a file."""
        for value in self._values:
            data = data.replace(value, b"*" * len(value))
        return data
