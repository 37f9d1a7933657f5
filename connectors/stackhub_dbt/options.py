"""What people write: the instance's env file, and what stands under a task's ``with:``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from stackhub.contract import Json, Options, PartlyBuilt, Settings

PREPARES: Final = ("deps", "parse")


def _verbs(value: Any) -> Any:
    """Read "deps,parse"; they are done in this order, however they are written."""
    given = {word.strip() for word in value.split(",") if word.strip()} if isinstance(value, str) else value
    if isinstance(given, set):
        unknown = sorted(given - set(PREPARES))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is none of: {', '.join(PREPARES)}")
        return tuple(verb for verb in PREPARES if verb in given)
    return given


Verbs = Annotated[tuple[str, ...], BeforeValidator(_verbs)]


class DbtSettings(Settings):
    """One dbt project with one profile.

    Any further variable of the env file is handed to dbt's environment, for ``env_var()``, and is a secret.
    """

    model_config = SettingsConfigDict(env_prefix="DBT_")
    further_variables: ClassVar[bool] = True

    project_dir: Path = Path()  # where dbt_project.yml is; relative to the configuration's directory
    profiles_dir: Path | None = None  # where profiles.yml is; None: the project, then ~/.dbt, as dbt has it
    profile: Annotated[str | None, Field(pattern=r"^[^-\s]")] = None  # None: what dbt_project.yml says
    target: Annotated[str | None, Field(pattern=r"^[^-\s]")] = None  # None: what profiles.yml says
    executable: str | None = None  # a path or a name; None: `dbt` beside this Python, else on the PATH
    threads: Annotated[int | None, Field(ge=1)] = None  # None: what profiles.yml says
    # Jobs at once. Two dbt processes of one project that build the same relation get into each other's way (on DuckDB
    # the second cannot even open the file), and dbt has no lock of its own. So more than one is the user's word that
    # their selections do not overlap.
    max_active: Annotated[int, Field(ge=1)] = 1
    prepare: Verbs = ()  # "deps", "parse" or both, before the first job after a change of the project's files
    further: Mapping[str, SecretStr] = Field(default_factory=dict)


def _terms(value: Any) -> Any:
    """Read a selection as dbt does: a text or a list of texts, each of them terms with blanks between."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        return value
    terms = tuple(term for text in texts for term in text.split())
    if not terms:
        raise ValueError("selects nothing: name something, or leave it out")
    bad = [term for term in terms if term.startswith("-")]
    if bad:
        raise ValueError(f"not a selection but an option of dbt's command line: {bad[0]}")
    return terms


Selection = Annotated[tuple[str, ...], BeforeValidator(_terms), Field(description="dbt's node selection syntax")]
Word = Annotated[str, Field(pattern=r"^[^-\s]\S*$")]


class SelectOptions(Options):
    """What every dbt command takes."""

    unread: ClassVar[frozenset[str]] = frozenset({"vars", "threads"})
    select: Selection = ()
    exclude: Selection = ()
    selector: Annotated[Word | None, Field(description="a selector of selectors.yml, instead of select")] = None
    vars: Annotated[
        dict[str, Json], Field(description="dbt's --vars; not for secrets, any process list shows them")
    ] = Field(default_factory=dict)
    target: Annotated[Word | None, Field(description="another target of the profile than the instance's")] = None
    threads: Annotated[int | None, Field(ge=1)] = None


class TestOptions(SelectOptions):
    """What a command takes that stops at the first failure when asked."""

    __test__: ClassVar[bool] = False  # to pytest a class of this name is a suite
    fail_fast: bool = False


class BuildOptions(TestOptions):
    """What a command takes that can build from scratch."""

    full_refresh: bool = False


class PartOptions(BuildOptions, PartlyBuilt):
    """What a command takes that may build a part, or the batches of an interval."""

    event_time: Annotated[
        bool, Field(description="hand the run's interval to microbatch models: --event-time-start, --event-time-end")
    ] = False


OPTIONS: Final[Mapping[str, type[SelectOptions]]] = {
    "build": PartOptions,
    "run": PartOptions,
    "test": TestOptions,
    "seed": BuildOptions,
    "snapshot": TestOptions,
    "source_freshness": SelectOptions,
    "docs": SelectOptions,
}
