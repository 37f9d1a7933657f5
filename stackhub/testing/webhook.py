"""What the hub relies on in everything that hears from its vendor."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from stackhub.contract import Hint, Rejected, Webhook

REFUSED = frozenset({401, 403})


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One webhook as it arrives."""

    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    path: str = ""


class WebhookContract:
    """Rules for any webhook.

    Fixtures that a subclass gives:

    - ``webhook``: an open instance with a secret
    - ``closed``: an open instance without one
    - ``genuine``: a `Delivery` for ``webhook`` that speaks of the connection ``about``
    - ``about``: that connection's id
    - ``signed_in``: the name of the header that holds the signature; "" where the path is what proves it
    """

    async def test_it_has_the_verb(self, webhook: Webhook) -> None:
        assert isinstance(webhook, Webhook)

    async def test_a_genuine_one_hints_at_its_connection(self, webhook: Webhook, genuine: Delivery, about: str) -> None:
        hints = await webhook.receive(genuine.headers, genuine.body, genuine.path)

        assert [hint.connection for hint in hints] == [about]
        assert all(isinstance(hint, Hint) for hint in hints)

    async def test_the_case_of_header_names_does_not_matter(self, webhook: Webhook, genuine: Delivery) -> None:
        for headers in (
            {name.lower(): value for name, value in genuine.headers.items()},
            {name.upper(): value for name, value in genuine.headers.items()},
        ):
            assert await webhook.receive(headers, genuine.body, genuine.path)

    async def test_an_altered_body_is_refused(self, webhook: Webhook, genuine: Delivery, signed_in: str) -> None:
        if not signed_in:
            pytest.skip("this vendor signs nothing")
        for body in (genuine.body + b" ", genuine.body[:-1], b"", genuine.body.replace(b"{", b"{ ", 1)):
            await _is_refused(webhook, Delivery(headers=genuine.headers, body=body, path=genuine.path))

    @pytest.mark.parametrize("signature", ["", "0" * 64, "é", "sha256=", " "])
    async def test_a_wrong_signature_is_refused(
        self, webhook: Webhook, genuine: Delivery, signed_in: str, signature: str
    ) -> None:
        if not signed_in:
            pytest.skip("this vendor signs nothing")
        headers = {**genuine.headers, signed_in: signature}
        await _is_refused(webhook, Delivery(headers=headers, body=genuine.body, path=genuine.path))

    async def test_without_what_proves_it_it_is_refused(
        self, webhook: Webhook, genuine: Delivery, signed_in: str
    ) -> None:
        if signed_in:
            headers = {name: value for name, value in genuine.headers.items() if name.lower() != signed_in.lower()}
            await _is_refused(webhook, Delivery(headers=headers, body=genuine.body, path=genuine.path))
        else:
            for path in ("", genuine.path[:-1], genuine.path + "x", "é"):
                await _is_refused(webhook, Delivery(headers=genuine.headers, body=genuine.body, path=path))

    async def test_without_a_secret_the_hook_is_closed(self, closed: Webhook, genuine: Delivery) -> None:
        with pytest.raises(Rejected) as caught:
            await closed.receive(genuine.headers, genuine.body, genuine.path)

        assert caught.value.status == 404  # noqa: PLR2004 - as if it were not there


async def _is_refused(webhook: Webhook, delivery: Delivery) -> None:
    with pytest.raises(Rejected) as caught:
        await webhook.receive(delivery.headers, delivery.body, delivery.path)
    assert caught.value.status in REFUSED | ({404} if not delivery.headers else set())
