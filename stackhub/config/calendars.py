"""The calendars of a pipeline file: days that were listed there, or in a file of their own, and public holidays."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from stackhub.config.findings import Loc
from stackhub.config.nearest import hint
from stackhub.config.page import Page
from stackhub.config.pipeline_file import CalendarFile, PipelineFile
from stackhub.decide import holidays
from stackhub.errors import ConfigError
from stackhub.model.calendar import Calendar, Span

FOLDER: Final = "calendars"  # an edit of a file in here is noticed
MOST_BYTES: Final = 200_000  # of a file of days
LONGEST: Final = timedelta(days=366)  # of one line
MOST: Final = 5_000  # lines of one calendar: it is kept with every revision of its pipeline

_LINE: Final = re.compile(r"(\S+?)(?:\s*\.\.\s*(\S+))?(?:\s+(\S.*))?")


def calendars(file: PipelineFile, page: Page, directory: Path) -> dict[str, Calendar]:
    """Read the calendars. What is wrong is told, and left out."""
    return {name: _calendar(name, one, page, directory) for name, one in file.calendars.items()}


def calendar_files(directory: Path) -> list[Path]:
    """List the files of days; editors' hidden ones are not ours."""
    return sorted(path for path in (directory / FOLDER).glob("*") if not path.name.startswith(".") and path.is_file())


def span(written: str) -> Span:
    """Read ``2026-12-24``, ``2026-12-24..2026-12-31``, each with a name behind it if you like.

    Raises:
        ValueError: it is nothing of the kind; the message says what is wrong.
    """
    found = _LINE.fullmatch(written.strip())
    if found is None:
        raise ValueError("should be a day, such as 2026-12-24")
    first = _day(found[1])
    last = _day(found[2]) if found[2] else first
    if last < first:
        raise ValueError(f"ends before it begins: {first} to {last}")
    if last - first > LONGEST:
        raise ValueError(f"is longer than {LONGEST.days} days: {first} to {last}")
    return Span(first=first, last=last, name=(found[3] or "").strip())


def _day(written: str) -> date:
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", written):
            return date.fromisoformat(written)
    except ValueError:
        raise ValueError(f"{written} is no day of the calendar") from None
    raise ValueError(f"{written[:40]!r} is no day: write YEAR-MONTH-DAY, such as 2026-12-24")


def _calendar(name: str, one: CalendarFile, page: Page, directory: Path) -> Calendar:
    loc: Loc = ("calendars", name)
    if not page.document.data["calendars"][name]:
        page.wrong(loc, "names no day: give dates, a file or a country")
    listed = (*loc, "dates") if page.document.holds((*loc, "dates")) else loc
    spans = []
    for at, written in (one.dates or {}).items():
        try:
            spans.append(span(written))
        except ValueError as error:
            page.wrong((*listed, at), str(error))
    if one.file is not None:
        spans += _read(directory / one.file, (*loc, "file"), one.file, page)
    if len(spans) > MOST:
        page.wrong(loc, f"has {len(spans)} lines, and {MOST} are enough: write spans, 2026-12-24..2026-12-31")
        spans = []
    country, subdivision = _country(one, loc, page)
    return Calendar(name=name, spans=tuple(spans), country=country, subdivision=subdivision)


def _read(path: Path, loc: Loc, named: str, page: Page) -> Iterator[Span]:
    """Read a file of days: one on each line, ``#`` begins a comment."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
        text = raw.decode()
    except OSError as error:
        return page.wrong(loc, f"{named} cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        return page.wrong(loc, f"{named} is no text in UTF-8")
    if len(raw) > MOST_BYTES:
        return page.wrong(loc, f"{named} is larger than {MOST_BYTES // 1000} KB")
    for number, line in enumerate(text.splitlines(), start=1):
        written = line.partition("#")[0]
        if not written.strip():
            continue
        try:
            yield span(written)
        except ValueError as error:
            column = len(written) - len(written.lstrip()) + 1
            page.findings.wrong(f"{named}:{number}:{column}", str(error))


def _country(one: CalendarFile, loc: Loc, page: Page) -> tuple[str, str]:
    """Find the country and its subdivision as their package names them."""
    if one.country is None:
        if one.subdivision is not None:
            page.wrong((*loc, "subdivision"), "of which country? Add country")
        return "", ""
    try:
        known = holidays.countries()
        country = one.country.strip().upper()
        if country not in known:
            near = hint(one.country.strip(), known) or ": write its two letters of ISO 3166, such as DE"
            page.wrong((*loc, "country"), f"unknown country {one.country!r}{near}")
            return "", ""
        if one.subdivision is None:
            return country, ""
        names = {name.casefold(): name for name in known[country]}
        names |= {alias.casefold(): name for alias, name in holidays.aliases(country).items()}
    except ConfigError as error:
        page.wrong((*loc, "country"), str(error))
        return "", ""
    subdivision = names.get(one.subdivision.strip().casefold())
    if subdivision is None:
        there = [*known[country], *holidays.aliases(country)]
        near = hint(one.subdivision.strip(), there) or f"; there is {', '.join(known[country]) or 'none'}"
        page.wrong((*loc, "subdivision"), f"{country} has no subdivision {one.subdivision!r}{near}")
        return "", ""
    return country, subdivision
