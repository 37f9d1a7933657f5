"""The daemon, asked over the Unix socket in its state directory: whoever may open that may command it."""

from collections.abc import Mapping
from typing import Any, Final

import httpx

from stackhub.config.settings import HubSettings
from stackhub.errors import Refused, Unavailable, Unsure
from stackhub.server.places import socket_path

BY: Final = "x-stackhub-by"  # a header that is believed through the socket only
PATIENCE: Final = 30.0  # seconds for one answer
SERVER: Final = 500  # statuses from here on are the daemon's fault, not the question's


class NoDaemon(Exception):
    """Nobody listens."""


async def post(hub: HubSettings, path: str, body: Mapping[str, Any], by: str) -> dict[str, Any]:
    """Ask the daemon for something in somebody's name; ``path`` begins behind /api/v1/.

    Raises:
        NoDaemon: there is none. Refused: it says no, and why. Unavailable: it cannot now. Unsure: it did not answer.
    """
    # without certificates, which take 20 ms to read: nothing is encrypted on a Unix socket
    transport = httpx.AsyncHTTPTransport(uds=str(socket_path(hub.state_dir)), verify=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost/api/v1/", timeout=PATIENCE) as web:
        try:
            reply = await web.post(path, json=dict(body), headers={BY: by})
        except httpx.ConnectError as err:
            raise NoDaemon from err
        except httpx.HTTPError as err:
            why = str(err) or type(err).__name__
            raise Unsure(f"the daemon did not answer ({why}): whether it obeyed, `stackhub runs` shows") from err
    return _read(reply)


def _read(reply: httpx.Response) -> dict[str, Any]:
    try:
        found = reply.json()
    except ValueError:
        found = None
    if reply.is_success and isinstance(found, dict):
        return found
    said = found.get("error") if isinstance(found, dict) else None
    words = str(said or f"the daemon answers with status {reply.status_code}")
    raise Unavailable(words) if reply.status_code >= SERVER else Refused(words)
