"""What `check --live` tries, and what to do about each refusal."""

from collections.abc import Awaitable
from typing import Final

from stackhub.contract import ConfigError, Permission, Rejected
from stackhub_airbyte.auth import Application
from stackhub_airbyte.client import Api

APPLICATION: Final = "make an application at Airbyte (Settings, Applications) and set AIRBYTE_CLIENT_ID and _SECRET"
READER: Final = (
    "check AIRBYTE_API_URL, the credentials and AIRBYTE_WORKSPACE_ID; their user needs the role Workspace Reader, "
    "and Runner to start syncs, Editor for `clear` and `refresh`"
)
CONFIG: Final = "check AIRBYTE_CONFIG_API_URL, or leave it out and do without `refresh` and the reasons of failures"


async def permissions(api: Api, token: Application | None) -> list[Permission]:
    """Try the token, then what is read with it. Whether a sync may be started shows only in starting one."""
    found = []
    if token is not None:
        found.append(await _tried("token", token.token(), APPLICATION))
        if not found[0].ok:
            return found
    found.append(await _tried("list connections", api.first("connections"), READER))
    found.append(await _tried("list jobs", api.newest({"jobType": "sync"}, 1), READER))
    if api.has_config:
        found.append(await _tried("config API", _config(api), CONFIG))
    return found


async def _config(api: Api) -> None:
    connection = await api.first("connections")
    if connection is not None:
        await api.catalog(str(connection.get("workspaceId")))


async def _tried(name: str, asking: Awaitable[object], remedy: str) -> Permission:
    try:
        await asking
    except (ConfigError, Rejected) as err:
        return Permission(name=name, ok=False, detail=str(err), remedy=remedy)
    return Permission(name=name, ok=True)
