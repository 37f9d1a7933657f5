"""What a pipeline file may hold: its keys and their types, and nothing about what they mean together.

`shape` turns what these models refuse into problems with their places, and the JSON Schema for editors is made of
them; what the values mean is `when`'s, `graph`'s and `checks`' to say.
"""

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from stackhub.config.duration import Duration
from stackhub.config.shape import number
from stackhub.model.pipeline import Catchup, Freshness, Mode, OnTimeout, Otherwise, Overlap, Told
from stackhub.model.words import Severity

NAME: Final = "^[a-z0-9_][a-z0-9_-]{0,63}$"


def _name(written: str) -> str:
    if not re.fullmatch(NAME[1:-1], written):
        raise ValueError(
            "a name is made of lower-case letters, digits, _ and -, does not begin with -, "
            "and has 64 characters at most",
        )
    return written


Name = Annotated[str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": NAME})]


class _Strict(BaseModel):
    """What a person writes: nothing is taken for something else, unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


def _one_or_more(written: Any) -> Any:
    if isinstance(written, dict):
        return {0: written}
    return number(written)


def _names(written: Any) -> Any:
    return {0: written} if isinstance(written, str) else number(written)


Names = Annotated[dict[int, str], BeforeValidator(_names, json_schema_input_type=str | list[str])]


def _calendar(written: Any) -> Any:
    return {"dates": written} if isinstance(written, list) else written


def _need(written: Any) -> Any:
    return {"task": written} if isinstance(written, str) else written


Watches = Annotated[dict[int, str], BeforeValidator(number, json_schema_input_type=list[str])]


class ScheduleFile(_Strict):
    """One schedule: ``cron`` or ``every``."""

    cron: str | None = Field(default=None, examples=["0 6 * * 1-5"], description="five fields; minute first")
    every: Duration | None = Field(default=None, description="a fixed distance, from the moment it is put in force")
    timezone: str | None = Field(default=None, description="an IANA name; by default the hub's")
    only: Names | None = Field(default=None, description="calendars: nothing runs on a day that is on none of them")
    without: Names | None = Field(
        default=None, alias="except", description="calendars: nothing runs on a day that is on one of them"
    )
    require: Watches | None = Field(
        default=None,
        description="a tick waits until these connections have landed since the last run; <instance>:<name or id>",
        examples=[["fivetran:salesforce"]],
    )
    not_later_than: str | None = Field(
        default=None,
        description="of require: a time of day, HH:MM, until which a tick waits",
        json_schema_extra={"pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"},
    )
    otherwise: Otherwise | None = Field(
        default=None, strict=False, description="of not_later_than: what a tick does then; by default run"
    )


class CalendarFile(_Strict):
    """Days: listed, in a file of their own, the public holidays of a country, or all of these together."""

    dates: (
        Annotated[
            dict[int, Annotated[str, Field(examples=["2026-12-24 Christmas Eve", "2026-12-24..2026-12-31"])]],
            BeforeValidator(number, json_schema_input_type=list[str]),
        ]
        | None
    ) = None
    file: str | None = Field(default=None, description="a day on each line; relative to the configuration's directory")
    country: str | None = Field(
        default=None, examples=["DE"], description="its public holidays; needs stackhub[holidays]"
    )
    subdivision: str | None = Field(default=None, examples=["BE"], description="of the country: a state, a region")


class SlaFile(_Strict):
    """By when a run must be done."""

    finish_by: str | None = Field(
        default=None,
        description="a time of day, HH:MM",
        json_schema_extra={"pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"},
    )
    max_duration: Duration | None = Field(default=None, description="from the tick")
    timezone: str | None = Field(default=None, description="of finish_by; by default the schedule's")
    at_risk: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.5, description="the probability to miss it, from which on people are told"
    )
    at_risk_ends: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="below it they are told that it is over; by default half of at_risk"
    )


class RetriesFile(_Strict):
    """How often and how patiently a task is tried."""

    attempts: int | None = Field(default=None, ge=1, le=100, description="tries in all: 1 is no retry")
    wait: Duration | None = Field(default=None, description="before the second try")
    backoff: Annotated[float, Field(ge=1, le=100)] | None = Field(
        default=None,
        description="what each further wait is multiplied by",
    )
    max_wait: Duration | None = Field(default=None, description="no wait is longer")


class DefaultsFile(_Strict):
    """What a task may say about how it is carried out; under ``defaults:`` for all tasks."""

    timeout: Duration | None = Field(default=None, description="for each attempt")
    retries: RetriesFile | None = None
    on_timeout: OnTimeout | None = Field(default=None, strict=False)
    freshness: Freshness | None = Field(default=None, strict=False)


class NeedFile(_Strict):
    """One upstream task."""

    task: str
    complete: bool = Field(default=False, description="true: a partial end will not do")


Need = Annotated[NeedFile, BeforeValidator(_need, json_schema_input_type=str | NeedFile)]


class TaskFile(DefaultsFile):
    """One task."""

    uses: str = Field(description="<connector>.<operation>")
    options: dict[str, Any] = Field(default={}, alias="with", description="the operation's options")
    needs: Annotated[dict[int, Need], BeforeValidator(number, json_schema_input_type=list[Need])] | None = Field(
        default=None,
        description="upstream tasks; a dbt task without it waits for every extract, [] waits for none",
    )
    instance: str | None = Field(default=None, description="when it is not the connector's default one")


class HookFile(_Strict):
    """Who may begin a run by a request."""

    secret: str = Field(description="${VAR}, which the sender signs with", examples=["${ORDERS_HOOK_SECRET}"])
    tolerance: Duration | None = Field(
        default=None, description="by which the sender's clock may differ; by default 5m"
    )


class TriggerFile(_Strict):
    """What else starts a run: one kind, and what belongs to it."""

    pipeline: str | None = Field(default=None, description="a run after each success of this pipeline")
    landed: Watches | None = Field(
        default=None,
        description="a run once all of these connections have landed since the last one; <instance>:<name or id>",
        examples=[["fivetran:salesforce", "airbyte:Stripe to warehouse"]],
    )
    any: bool = Field(default=False, description="of landed: one of them is enough")
    file: str | None = Field(
        default=None,
        description="a run for files that are new: a glob in the configuration's directory, an absolute one, or a URL",
        examples=["exports/*.csv", "s3://exports/daily/*.parquet"],
    )
    every: Duration | None = Field(default=None, description="of file: how often it is looked; by default 1m")
    settle: Duration | None = Field(
        default=None, description="of file: for so long a file must not have changed; by default 30s"
    )
    instance: str | None = Field(default=None, description="of file: whose credentials, where not the plain one's")
    webhook: HookFile | None = Field(
        default=None, description="a run for each signed request to /hooks/pipelines/<name>"
    )


class RouteFile(BaseModel):
    """Whom to tell of what; any further key is an option of the notifier."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, hide_input_in_errors=True)

    to: str = Field(description="an instance of a notifier")
    on: (
        Annotated[
            dict[int, Annotated[Told, Field(strict=False)]],
            BeforeValidator(number, json_schema_input_type=list[Told]),
        ]
        | None
    ) = Field(default=None, description="what opens an incident here; what a route opened, it resolves")
    severity: Severity | None = Field(default=None, strict=False, description="in place of the incident's own")
    owner: (
        Annotated[
            dict[int, Annotated[str, Field(min_length=1)]],
            BeforeValidator(_names, json_schema_input_type=str | list[str]),
        ]
        | None
    ) = Field(default=None, description="one or more: only what concerns them; by default everything")
    renotify: Duration | None = Field(default=None, description="a reminder after so long without news, 5m or more")


class PipelineFile(_Strict):
    """A stackhub pipeline."""

    pipeline: Name = Field(description="its name")
    description: str = ""
    owner: str = ""
    mode: Mode = Field(
        default=Mode.LIVE,
        strict=False,
        description="shadow: it decides, records and shows what it would do, starts nothing and tells nobody",
    )
    schedule: Annotated[
        dict[int, ScheduleFile],
        BeforeValidator(_one_or_more, json_schema_input_type=ScheduleFile | list[ScheduleFile]),
    ] = {}
    calendars: dict[
        Name, Annotated[CalendarFile, BeforeValidator(_calendar, json_schema_input_type=CalendarFile | list[str])]
    ] = {}
    triggers: Annotated[dict[int, TriggerFile], BeforeValidator(number, json_schema_input_type=list[TriggerFile])] = {}
    sla: SlaFile | None = None
    catchup: Catchup = Field(default=Catchup.LAST, strict=False, description="after downtime or a pause")
    overlap: Overlap = Field(default=Overlap.SKIP, strict=False, description="when the last run is still going")
    max_active: int | None = Field(default=None, ge=1, le=10_000, description="steps at work at once")
    defaults: DefaultsFile = DefaultsFile()
    tasks: dict[Name, TaskFile] = {}
    alerts: Annotated[dict[int, RouteFile], BeforeValidator(number, json_schema_input_type=list[RouteFile])] | None = (
        Field(default=None, description="without it the hub's default routes; [] tells nobody")
    )
