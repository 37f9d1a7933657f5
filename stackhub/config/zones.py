"""Time zones by their IANA names."""

import zoneinfo

from stackhub.config.nearest import hint


def known_zone(name: str) -> str:
    """Return the name of a zone that exists.

    Raises:
        ValueError: there is none; the message names the nearest.
    """
    try:
        zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: a directory, "Europe"
        known = zoneinfo.available_timezones()
        near = hint(name, known)
        text = f"is no time zone{near}" if near else "is no time zone: write an IANA name such as Europe/Berlin"
        raise ValueError(f"{name[:60]!r} {text}") from None
    return name
