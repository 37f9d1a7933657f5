"""Whether a request was signed by who knows the secret, lately. Pure.

As Standard Webhooks has it (https://www.standardwebhooks.com/verify, read 2026-11): HMAC-SHA256 over
``id.timestamp.body``, the raw bytes, in ``webhook-signature: v1,<base64>``; several of them, with spaces between, while
a secret is changed. The id is what makes a repeated delivery one: it is kept for longer than the timestamp is believed.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from stackhub.errors import Rejected

PREFIX: Final = "whsec_"  # of a secret that is written in base64
LONGEST: Final = 200  # characters of an id
SHORTEST: Final = 16  # characters of a secret


def key(secret: str) -> bytes:
    """Return the key that a secret stands for: the bytes of its text, or of the base64 behind ``whsec_``.

    Raises:
        ValueError: it is no base64.
    """
    if not secret.startswith(PREFIX):
        return secret.encode()
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)


def sign(secret: str, id_: str, at: datetime, body: bytes) -> str:
    """Return the signature of a request, as a sender makes it."""
    signed = b".".join([id_.encode(), str(int(at.timestamp())).encode(), body])
    return "v1," + base64.b64encode(hmac.digest(key(secret), signed, sha256)).decode()


def verified(secret: str, headers: Mapping[str, str], body: bytes, now: datetime, tolerance: timedelta) -> str:
    """Return the id of a genuine request; header names are in lower case.

    Raises:
        Rejected: it is not signed, wrongly signed, or its time is too far from ours. Which of these is not said.
    """
    id_, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    shown = [part.removeprefix("v1,") for part in headers.get("webhook-signature", "").split() if part[:3] == "v1,"]
    wrong = Rejected("the signature is missing or wrong", status=401)
    if not (0 < len(id_) <= LONGEST and id_.isascii() and id_.isprintable() and stamp.isascii() and stamp.isdecimal()):
        raise wrong
    signed = b".".join([id_.encode(), stamp.encode(), body])
    try:
        due = hmac.digest(key(secret), signed, sha256)
        genuine = any([hmac.compare_digest(base64.b64decode(part, validate=True), due) for part in shown])  # noqa: C419 - all are compared, so that the time tells nothing
        sent = datetime.fromtimestamp(int(stamp), UTC)
    except (binascii.Error, OverflowError, OSError, ValueError):
        raise wrong from None
    if not genuine or abs(now - sent) > tolerance:
        raise wrong
    return id_
