"""Fivetran's webhooks: verified, and believed in nothing but that something may have changed.

Source: https://fivetran.com/docs/rest-api/api-reference/webhooks (read 2026-11). The signature is the HMAC-SHA256 of
the raw body in hexadecimal, in either case, without a prefix or a timestamp; what Fivetran sends to try a hook has no
``sync_id`` and is as good as any.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from stackhub.contract import Hint, Rejected

SIGNED_IN: Final = "x-fivetran-signature-256"


def sign(secret: str, body: bytes) -> str:
    """Return the signature of a body."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def verify(secret: str, headers: Mapping[str, str], body: bytes) -> None:
    """Accept what was signed with our secret.

    Raises:
        Rejected: it was not.
    """
    signature = next((value for name, value in headers.items() if name.lower() == SIGNED_IN), "")
    if not signature:
        raise Rejected(f"no {SIGNED_IN}: set the secret in Fivetran's webhook", status=HTTPStatus.UNAUTHORIZED)
    if not hmac.compare_digest(signature.strip().lower().encode(errors="replace"), sign(secret, body).encode()):
        raise Rejected(f"{SIGNED_IN} does not fit the body and FIVETRAN_WEBHOOK_SECRET", status=HTTPStatus.UNAUTHORIZED)


def hint(body: bytes) -> Hint:
    """Read which connection a webhook speaks of; a body nobody can read may still mean something."""
    try:
        data = json.loads(body)
    except ValueError:
        return Hint()
    if not isinstance(data, Mapping):
        return Hint()
    return Hint(connection=str(data.get("connector_id") or ""), note=str(data.get("event") or ""))
