"""What is set in ``sql.env``, and what stands under ``with:``."""

from abc import abstractmethod
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, model_validator
from pydantic_settings import SettingsConfigDict

from stackhub.contract import Options, Settings
from stackhub_sql.statements import BOUNDS, Statement, checked

OWN: Final = (
    "interval_start",
    "interval_end",
    "interval_start_date",
    "interval_end_date",
    "run_id",
    "run_pipeline",
    "task_name",
)
"""The parameters that every run has."""

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*$")]
Value = str | int | float | bool | None


class SqlSettings(Settings):
    """``sql.env``: one database."""

    model_config = SettingsConfigDict(env_prefix="SQL_")

    url: SecretStr | None = None  # as SQLAlchemy reads it: postgresql://user:password@host/database
    max_active: int | None = Field(default=None, ge=1)  # jobs at work at once


class Asked(Options):
    """What both operations take."""

    code: ClassVar[frozenset[str]] = frozenset({"statements", "query", "file"})

    url: SecretStr | None = None  # another database than that of the instance
    file: Path | None = None  # of SQL, from the configuration's directory, in place of a text
    params: Mapping[Name, Value] = Field(default_factory=dict)  # bound where the SQL says ":name"

    @property
    @abstractmethod
    def texts(self) -> tuple[str, ...]:
        """Return the SQL that stands in the pipeline's file."""

    def read(self, texts: tuple[str, ...]) -> tuple[Statement, ...]:
        """Cut SQL into statements that can be carried out as the task says; raises ValueError."""
        return checked(texts, self.params, OWN)

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        """Refuse at once what is wrong with the SQL, where it stands here."""
        if bool(self.texts) == (self.file is not None):
            text = "statements" if "statements" in type(self).model_fields else "query"
            message = f"give either {text} or file"
            raise ValueError(message)
        if self.file is not None and "{{" in str(self.file):
            message = (
                "file: which SQL is carried out hangs on no run: write the file's name, and bind values under params"
            )
            raise ValueError(message)
        for name in self.params:
            if name in OWN:
                message = f"params: :{name} is the run's own"
                raise ValueError(message)
        if self.texts:
            self.read(self.texts)
        return self


class SqlRun(Asked):
    """Options of ``sql.run``: ``statements`` or a ``file`` of them."""

    statements: Text | tuple[Text, ...] = ()  # one after another; a text may hold several
    transaction: bool = True  # all of them in one; false: each by itself, as VACUUM wants it
    repeatable: bool = False  # whether they may be run again when they may have run

    @property
    def texts(self) -> tuple[str, ...]:
        """Return the SQL that stands in the pipeline's file."""
        return (self.statements,) if isinstance(self.statements, str) else self.statements

    def read(self, texts: tuple[str, ...]) -> tuple[Statement, ...]:
        """See that none of them ends the transaction that holds them all."""
        found = super().read(texts)
        for statement in found if self.transaction else ():
            if statement.verb in BOUNDS:
                verb = statement.verb.upper()
                message = f"the statements are one transaction: leave out {verb}, or say transaction: false"
                raise ValueError(message)
        return found


class SqlCheck(Asked):
    """Options of ``sql.check``: a ``query``, and what has to hold of what it returns."""

    repeatable: ClassVar[bool] = True  # it reads

    query: Text | None = None
    expect: Literal["no_rows", "rows", "true", True] | None = None  # by default no_rows
    min: Decimal | None = None  # of the one value that the query returns
    max: Decimal | None = None
    show: int = Field(default=5, ge=0, le=20)  # how many of the rows that should not be are told

    @property
    def texts(self) -> tuple[str, ...]:
        """Return the SQL that stands in the pipeline's file."""
        return () if self.query is None else (self.query,)

    def read(self, texts: tuple[str, ...]) -> tuple[Statement, ...]:
        """See that it is one statement."""
        found = super().read(texts)
        if len(found) > 1:
            message = f"a check is one query, and here are {len(found)} statements"
            raise ValueError(message)
        return found

    @property
    def wanted(self) -> dict[str, str | None]:
        """Return what has to hold."""
        bounds = {name: str(bound) if bound is not None else None for name, bound in self._bounds.items()}
        expect = "value" if any(bounds.values()) else self.expect or "no_rows"
        return {"expect": "true" if expect is True else expect, **bounds}

    @property
    def _bounds(self) -> dict[str, Decimal | None]:
        return {"min": self.min, "max": self.max}

    @model_validator(mode="after")
    def _wants_one_thing(self) -> Self:
        """Refuse two wishes at once, and one that nothing fulfils."""
        if (self.min is not None or self.max is not None) and self.expect is not None:
            message = "give either expect or min and max"
            raise ValueError(message)
        if self.min is not None and self.max is not None and self.min > self.max:
            message = f"min {self.min} is above max {self.max}"
            raise ValueError(message)
        return self
