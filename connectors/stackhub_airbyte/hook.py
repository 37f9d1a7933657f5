"""Airbyte's notifications: unsigned, sent once, for the whole workspace; so a secret path, and a hint is all they are.

Source: manage-notifications in docs.airbyte.com and SlackNotificationClient of airbyte-platform (read 2026-11).
Refreshes send none, and the test button sends a text without ``data``.
"""

import hmac
import json
from typing import Any

from stackhub.contract import Hint, Rejected
from stackhub_airbyte.answers import number


def hints(token: str | None, body: bytes, path: str) -> list[Hint]:
    """Say which connection may have changed.

    Raises:
        Rejected: no token is configured (404), or the path is not it (403).
    """
    if not token:
        raise Rejected("no such hook: AIRBYTE_WEBHOOK_TOKEN is not set", status=404)
    if not hmac.compare_digest(path.encode("utf-8", "surrogatepass"), token.encode()):
        raise Rejected("the path of this hook does not end with AIRBYTE_WEBHOOK_TOKEN", status=403)
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    data = _object(said, "data")
    about, job = _object(data, "connection").get("id"), number(data.get("jobId"))
    return [Hint(connection=about if isinstance(about, str) else "", note="" if job is None else f"job {job} ended")]


def _object(body: Any, key: str) -> dict[str, Any]:
    found = body.get(key) if isinstance(body, dict) else None
    return found if isinstance(found, dict) else {}
