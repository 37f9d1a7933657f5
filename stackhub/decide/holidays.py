"""Public holidays by country, from the package ``holidays``: an extra, imported where a calendar names a country."""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from types import ModuleType

from stackhub.errors import ConfigError


def package() -> ModuleType:
    """Return the package.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import holidays
    except ImportError:
        raise ConfigError("public holidays need the package holidays: pip install 'stackhub[holidays]'") from None
    return holidays


def countries() -> Mapping[str, Sequence[str]]:
    """Return the countries there are, each with its subdivisions. Raises as `package` does."""
    found: Mapping[str, Sequence[str]] = package().list_supported_countries(include_aliases=False)
    return found


def aliases(country: str) -> Mapping[str, str]:
    """Return other names of a country's subdivisions, "Berlin" for "BE". Raises as `package` does."""
    found: Mapping[str, str] = getattr(package().country_holidays(country), "subdivisions_aliases", {})
    return found


@lru_cache(maxsize=512)
def in_year(country: str, subdivision: str, year: int) -> Mapping[date, str]:
    """Return a year's public holidays with their names, in English where the package has them so.

    A day off in place of one that falls on a weekend is among them. Raises as `package` does, and:
        ConfigError: there is no such country, or no such subdivision of it.
    """
    made = package().country_holidays
    try:
        found = made(country, subdiv=subdivision or None, years=year, language="en_US")
    except (NotImplementedError, KeyError) as err:
        raise ConfigError(f"public holidays of {country} {subdivision}: {err}") from None
    return {day: name for day, name in found.items() if day.year == year}
