"""What an Airbyte holds: its connections, how they are, which tables they fill, when they last landed."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from stackhub.contract import Connection, Health, Json, Landing
from stackhub_airbyte.answers import landing
from stackhub_airbyte.client import PAGE, Api
from stackhub_airbyte.relations import Place, place, relations

CLOSED: Final[Mapping[str, tuple[Health, str]]] = {
    "inactive": (
        Health.PAUSED,
        "it is switched off, by a person or by Airbyte (many failures, a breaking schema change): enable it there",
    ),
    "locked": (Health.BROKEN, "Airbyte has locked it, as it does over billing: its page there says more"),
    "deprecated": (Health.BROKEN, "it has been deleted at Airbyte"),
}
"""The states of a connection in which nothing can be started, and what a person has to do."""


class Catalogue:
    """Lists connections; remembers the last landings it saw, since the list of them is only as long as one page."""

    def __init__(self, api: Api, web: str) -> None:
        self._api = api
        self._web = web
        self._last: dict[str, Landing] = {}

    async def connections(self) -> list[Connection]:
        """List every connection, in as many requests as there are pages, and three or four."""
        listed = await self._api.connections()
        destinations = await self._api.destinations()
        full = await self._api.catalogs(
            sorted({str(body["workspaceId"]) for body in listed if body.get("workspaceId")})
        )
        for job in await self._api.newest({"jobType": "sync", "status": "succeeded"}, PAGE):
            if (landed := landing(job)) is not None:
                self._last[job.connection] = max(self._last.get(job.connection, landed), landed, key=_age)
        going = {job.connection for job in await self._api.newest({"jobType": "sync", "status": "running"}, PAGE)}
        return [
            self._connection(
                body,
                full.get(body["connectionId"], body),
                place(destinations.get(str(body.get("destinationId")))),
                going,
            )
            for body in listed
        ]

    def _connection(
        self, body: Mapping[str, Any], full: Mapping[str, Any], default: Place, going: AbstractSet[str]
    ) -> Connection:
        status = str(body.get("status"))
        health, note = CLOSED.get(status, (Health.UNKNOWN, f"Airbyte says {status!r}"))
        if status == "active":
            health, note = Health.OK, ""
        return Connection(
            id=body["connectionId"],
            name=str(body.get("name") or body["connectionId"]),
            health=health,
            schedule=schedule(body.get("schedule")),
            note=note,
            url=self.page(body),
            last=self._last.get(body["connectionId"]),
            syncing=body["connectionId"] in going,
            relations=relations(full, default),
        )

    def page(self, connection: Mapping[str, Any]) -> str:
        """Return the page of a connection that a person can open."""
        workspace = connection.get("workspaceId")
        if not self._web or not workspace:
            return ""
        return f"{self._web}/workspaces/{workspace}/connections/{connection['connectionId']}"


def schedule(body: Json) -> str:
    """Put a schedule in Airbyte's own words: ``manual``, ``Every 6 HOURS``, ``0 0 * * * ? UTC``."""
    if not isinstance(body, dict):
        return ""
    words = body.get("cronExpression") or body.get("basicTiming") or body.get("scheduleType")
    return words if isinstance(words, str) else ""


def _age(landed: Landing) -> tuple[Any, ...]:
    return (landed.ended_at, int(landed.mark))
