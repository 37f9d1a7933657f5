"""Blots configured secrets out of texts: the last look at whatever leaves the hub for a person."""

from collections.abc import Iterable
from typing import Any, Final

from stackhub.contract.text import NO_SECRET

BLOT: Final = "***"
DEEPEST: Final = 8  # containers inside containers; what is nested deeper is written as text first


class Redactor:
    """Knows every secret that was ever configured while this process lives: an instance may drain with old ones."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: list[str] = []
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Add secrets; what is too short to be one would make texts unreadable, and is left out."""
        known = {*self._secrets, *(secret for secret in secrets if len(secret) > NO_SECRET)}
        self._secrets = sorted(known, key=len, reverse=True)  # a secret may hold another

    def __call__(self, text: str) -> str:
        """Return the text without secrets."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, BLOT)
        return text

    def value(self, given: Any, depth: int = 0) -> Any:
        """Return a value of a log's event without secrets; what is neither number nor container becomes text."""
        if given is None or isinstance(given, bool | int | float):
            return given
        if depth < DEEPEST and isinstance(given, dict):
            return {self(str(name)): self.value(one, depth + 1) for name, one in given.items()}
        if depth < DEEPEST and isinstance(given, list | tuple | set | frozenset):
            return [self.value(one, depth + 1) for one in given]
        return self(given if isinstance(given, str) else str(given))
