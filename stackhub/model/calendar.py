"""A calendar: days that a schedule keeps to, or leaves out. Public holidays stay a rule until a day is asked for."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Days from ``first`` to ``last``, both of them included."""

    first: date
    last: date
    name: str = ""  # "Christmas Eve"; may be nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Days that were listed, and the public holidays of a country."""

    name: str
    spans: tuple[Span, ...] = ()  # as they were listed
    country: str = ""  # ISO 3166: "DE"; "" for none
    subdivision: str = ""  # as the country has it: "BE"
