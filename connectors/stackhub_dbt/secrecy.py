"""Keeps the env file's further variables out of what is shown: dbt repeats a connection's settings in its errors."""

from collections.abc import Callable, Iterable

from stackhub.contract import looks_secret


def hiding(secrets: Iterable[str]) -> Callable[[str], str]:
    """Return what blots these values out of a text; to be done before it is shortened, which could cut one in two."""
    values = sorted({secret for secret in secrets if looks_secret(secret)}, key=len, reverse=True)

    def hide(text: str) -> str:
        for value in values:
            text = text.replace(value, "***")
        return text

    return hide
