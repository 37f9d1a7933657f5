"""Calendars in a pipeline file: what they come to, and what is told of bad ones."""

from datetime import date, datetime

import pytest

from stackhub.config.read import fingerprint_directory
from stackhub.decide.schedule import following
from stackhub.model.calendar import Calendar, Span

B = "tasks: {b: {uses: mill.build}}\n"
DAILY = "schedule: {cron: '0 6 * * *', except: [x]}\n"


def pipeline(house, text):
    (found,) = house.write(p_x=f"pipeline: x\n{text}{B}").read().pipelines.values()
    return found


def test_a_calendar_is_a_list_of_days(furnished):
    found = pipeline(
        furnished, DAILY + "calendars:\n  x: [2026-12-24, '2026-12-27 .. 2026-12-31  Closed for stock-taking']\n"
    )
    assert found.calendars == {
        "x": Calendar(
            name="x",
            spans=(
                Span(first=date(2026, 12, 24), last=date(2026, 12, 24)),
                Span(first=date(2026, 12, 27), last=date(2026, 12, 31), name="Closed for stock-taking"),
            ),
        )
    }
    assert found.schedules[0].without == ("x",)


def test_a_calendar_is_a_file_of_days_that_is_watched(furnished):
    before = fingerprint_directory(furnished.root)
    furnished.put("calendars/closed.txt", "# ours\n2026-12-24  Christmas Eve\n\n2026-12-31 # half a day\n")
    assert fingerprint_directory(furnished.root) != before
    found = pipeline(furnished, DAILY + "calendars: {x: {file: calendars/closed.txt, dates: [2026-05-01]}}\n")
    assert [(one.first.isoformat(), one.name) for one in found.calendars["x"].spans] == [
        ("2026-05-01", ""),
        ("2026-12-24", "Christmas Eve"),
        ("2026-12-31", ""),
    ]


@pytest.mark.parametrize(("country", "subdivision"), [("DE", "BE"), ("de", "Berlin")])
def test_a_calendar_is_a_country(furnished, country, subdivision):
    found = pipeline(furnished, DAILY + f"calendars: {{x: {{country: {country}, subdivision: {subdivision}}}}}\n")
    assert found.calendars == {"x": Calendar(name="x", country="DE", subdivision="BE")}
    assert following(found.schedules[0], *[at_noon(24)] * 2, found.calendars) == at_noon(27).replace(hour=6)


def at_noon(day):
    return datetime.fromisoformat(f"2026-12-{day}T12:00:00+00:00")


def test_only_those_calendars_are_kept_that_a_schedule_names(furnished):
    text = DAILY + "calendars: {x: [2026-12-24], y: [2026-12-25]}\n"
    assert set(pipeline(furnished, text).calendars) == {"x"}
    assert [str(one) for one in furnished.read().warnings if "calendar" in str(one)] == [
        "pipelines/x.yaml:3:33: calendars.y: no schedule names it: add it under only or except"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (DAILY, "2:40: schedule.except[0]: unknown calendar 'x': declare it under calendars"),
        ("schedule: {cron: '0 6 * * *', except: [hollidays]}\ncalendars: {holidays: [2026-12-24]}\n", "2:40: schedule.except[0]: unknown calendar 'hollidays': did you mean 'holidays'?"),
        ("schedule: {cron: '0 6 * * *', only: []}\n", "2:37: schedule.only: names no calendar: name one, or leave it out"),
        (DAILY + "calendars: {x: [2026-02-30]}\n", "3:17: calendars.x[0]: 2026-02-30 is no day of the calendar"),
        (DAILY + "calendars: {x: {dates: [2026-02-01, 24.12.2026]}}\n", "3:37: calendars.x.dates[1]: '24.12.2026' is no day: write YEAR-MONTH-DAY, such as 2026-12-24"),
        (DAILY + "calendars: {x: [2026-12-24..2026-12-01]}\n", "3:17: calendars.x[0]: ends before it begins: 2026-12-24 to 2026-12-01"),
        (DAILY + "calendars: {x: [2026-12-24..2036-12-01]}\n", "3:17: calendars.x[0]: is longer than 366 days: 2026-12-24 to 2036-12-01"),
        (DAILY + "calendars: {x: [20261224]}\n", "3:17: calendars.x[0]: should be text: put it in quotes"),
        (DAILY + "calendars: {x: {}}\n", "3:16: calendars.x: names no day: give dates, a file or a country"),
        (DAILY + "calendars: {x: {country: XQ}}\n", "3:26: calendars.x.country: unknown country 'XQ': write its two letters of ISO 3166, such as DE"),
        (DAILY + "calendars: {x: {country: DEU1}}\n", "3:26: calendars.x.country: unknown country 'DEU1': did you mean 'DE'?"),
        (DAILY + "calendars: {x: {country: DE, subdivision: Berln}}\n", "3:43: calendars.x.subdivision: DE has no subdivision 'Berln': did you mean 'Berlin'?"),
        (DAILY + "calendars: {x: {subdivision: BE, dates: [2026-12-24]}}\n", "3:30: calendars.x.subdivision: of which country? Add country"),
        (DAILY + "calendars: {x: {contry: DE}}\n", "3:17: calendars.x: unknown key 'contry': did you mean 'country'?"),
        (DAILY + "calendars: {x: {file: calendars/none.txt}}\n", "3:23: calendars.x.file: calendars/none.txt cannot be read: No such file or directory"),
        ("schedule: {cron: '0 6 25 12 *', except: [x]}\ncalendars: {x: {country: DE}}\n", "2:41: schedule.except: never comes round: x leaves no tick of it"),
        ("schedule: {cron: '0 6 * * 1', only: [x]}\ncalendars: {x: [2026-12-24]}\n", "2:37: schedule.only: never comes round: x leaves no tick of it"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(furnished, text, problem):
    furnished.write(p_x=f"pipeline: x\n{text}{B}")
    assert furnished.problems() == [f"pipelines/x.yaml:{problem}"]


def test_a_bad_line_of_a_file_is_told_with_its_own_place(furnished):
    furnished.put("calendars/closed.txt", "2026-12-24\n  tomorrow # or later\n")
    furnished.write(p_x=f"pipeline: x\n{DAILY}calendars: {{x: {{file: calendars/closed.txt}}}}\n{B}")
    assert furnished.problems() == [
        "calendars/closed.txt:2:3: 'tomorrow' is no day: write YEAR-MONTH-DAY, such as 2026-12-24"
    ]


def test_days_that_are_over_are_merely_odd(furnished):
    found = pipeline(furnished, "schedule: {cron: '0 6 * * *', only: [x]}\ncalendars: {x: [2020-12-24]}\n")
    assert found.schedules[0].only == ("x",)
    assert [str(one) for one in furnished.read().warnings if "round" in str(one)] == [
        "pipelines/x.yaml:2:37: schedule.only: does not come round any more: x leaves no tick from today on"
    ]
