"""What the outbox relies on in everything that tells people."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from stackhub.contract import (
    ConfigError,
    ConnectorError,
    Event,
    Fact,
    Link,
    Message,
    Notifier,
    Part,
    Promise,
    Receipt,
    Rejected,
    Severity,
    Speaks,
    Unavailable,
    Unsure,
)
from stackhub.contract.sandbox import Breaks, Fault, InboxVendor
from stackhub.testing.vendor import NOON

KEY = "01MESSAGECONTRACT-1"
OTHER_KEY = "01MESSAGECONTRACT-2"
ALWAYS = 1000  # exchanges that go wrong: more than any verb makes
MANY = 100_000  # characters
REST = 7  # seconds

CALLS = ("@channel", "@here", "@everyone")  # what people see where all of them are called
AWKWARD = {
    "long": "x" * MANY,
    "emoji": "🧨" * MANY,
    "wide": "漢" * MANY,
    "entities": "<&>" * (MANY // 3),
    "fences": "`" * MANY,
    "calls": "<!channel> <!here> <!subteam^S0123456789> <@U0123456789> " * 2_000,
    "quotes": '"\\\n' * (MANY // 3),
    "terminal": "\x1b[31mred\x1b[0m \x00\x07" * 5_000,
    "torn": "half a pair \ud83d, " * 5_000,
    "blank": " \n\t ",
    "empty": "",
}
"""Texts as tools write them and as nobody would, of 100,000 characters where length is the point."""


def stored(receipt: Receipt) -> Receipt:
    """Return what comes back from the store."""
    found: Receipt = json.loads(json.dumps(dict(receipt)))
    return found


def said(err: BaseException) -> str:
    """Return all that an error says, with what it carries and where it came from."""
    causes = f"{err.__cause__} {err.__context__}"
    return f"{err} {err!r} {getattr(err, 'body', '')} {getattr(err, 'problems', '')} {causes}"


class NotifierContract:
    """Rules for any notifier.

    Fixtures that a subclass gives:

    - ``notifier``: an open instance on ``vendor``, whose promise can be kept as things are
    - ``vendor``: the `InboxVendor` behind it, empty
    - ``route``: an instance of the connector's route options (default: None, the hub's "no options")
    - ``secrets``: strings that must never be shown

    ``sends`` is a regular expression for the path of a request that tells somebody something.
    """

    sends: ClassVar[str] = ""

    @pytest.fixture
    def route(self) -> Any:
        return None

    @pytest.fixture
    def message(self, notifier: Notifier, route: Any) -> Message:
        """Return what opens an incident, in the part that this notifier is given."""
        return Message(
            incident="01INCIDENT",
            dedup="5f2d9c0e7a1b4c3d",
            part=Part.ENTRY if notifier.speaks is Speaks.PLAIN else Part.ROOT,
            event=Event.OPENED,
            severity=Severity.ERROR,
            title="revenue failed: fct_orders",
            summary="Tried 3 times; nothing more will be tried.",
            facts=(Fact(label="Attempts", text="3 of 3"), Fact(label="Blocked", text="Revenue dashboard")),
            error='Database Error in model fct_orders\n  column "amount" does not exist',
            links=(Link(text="Run", url="https://hub.example/runs/1?a=1&b=2"),),
            at=NOON,
            since=NOON - timedelta(minutes=8),
            pipeline="revenue",
            route=route,
        )

    @pytest.fixture
    def over(self, message: Message) -> Message:
        """Return what resolves the incident of ``message``."""
        return replace(
            message,
            event=Event.RESOLVED,
            title="revenue is well again",
            summary="The retry succeeded.",
            error="",
            at=message.at + timedelta(minutes=20),
        )

    @pytest.fixture
    def told(self, vendor: InboxVendor) -> Callable[[], int]:
        """Count the messages that people see, threads included; an alert counts once, however often triggered."""
        return lambda: sum(1 + len(shown.replies) for shown in vendor.shown())

    async def test_it_has_the_verb_and_says_how_it_speaks(self, notifier: Notifier) -> None:
        assert isinstance(notifier, Notifier)
        assert notifier.speaks in Speaks
        assert notifier.promise in Promise

    async def test_a_message_reaches_people(self, notifier: Notifier, vendor: InboxVendor, message: Message) -> None:
        await notifier.deliver(message, None, KEY, doubt=False)

        [shown] = vendor.shown()
        seen = "\n".join(shown.lines)
        for words in (message.title, message.summary, 'column "amount" does not exist', "3 of 3", "Run"):
            assert words in seen

    async def test_one_delivery_is_one_call(self, notifier: Notifier, vendor: InboxVendor, message: Message) -> None:
        await notifier.deliver(message, None, KEY, doubt=False)

        assert len(self._sent(vendor)) == 1

    async def test_a_receipt_survives_the_store_and_holds_no_secret(
        self, notifier: Notifier, message: Message, secrets: Sequence[str]
    ) -> None:
        receipt = await notifier.deliver(message, None, KEY, doubt=False)

        assert stored(receipt) == dict(receipt)
        assert not [secret for secret in secrets if secret in json.dumps(dict(receipt))]

    async def test_a_resolution_ends_what_the_opening_began(
        self, notifier: Notifier, vendor: InboxVendor, message: Message, over: Message
    ) -> None:
        receipt = stored(await notifier.deliver(message, None, KEY, doubt=False))
        [before] = vendor.shown()

        await notifier.deliver(over, receipt, OTHER_KEY, doubt=False)

        after = vendor.shown()
        if notifier.speaks is Speaks.PLAIN:
            assert len(after) == 2  # noqa: PLR2004 - one for each state
            assert any(over.title in line for line in after[-1].lines)
        else:
            assert len(after) == 1
            assert after[0].lines != before.lines

    async def test_a_resolution_without_a_receipt_is_told_or_does_no_harm(
        self, notifier: Notifier, vendor: InboxVendor, over: Message
    ) -> None:
        await notifier.deliver(over, None, KEY, doubt=False)

        if notifier.speaks is Speaks.ALARM:
            assert not vendor.shown()
        else:
            assert any(over.title in line for shown in vendor.shown() for line in shown.lines)

    async def test_a_line_of_history_joins_its_incident_and_keeps_its_receipt(
        self, notifier: Notifier, vendor: InboxVendor, message: Message
    ) -> None:
        if notifier.speaks is not Speaks.LIVE:
            pytest.skip("only a live message has a history of its own")
        receipt = stored(await notifier.deliver(message, None, KEY, doubt=False))
        entry = replace(message, part=Part.ENTRY, event=Event.UPDATED, title="Second attempt failed")

        kept = await notifier.deliver(entry, receipt, OTHER_KEY, doubt=False)

        [shown] = vendor.shown()
        assert stored(kept) == receipt
        assert [entry.title in " ".join(reply) for reply in shown.replies] == [True]

    async def test_an_answer_lost_is_unsure_and_the_repetition_keeps_the_promise(
        self, notifier: Notifier, vendor: InboxVendor, message: Message, told: Callable[[], int]
    ) -> None:
        vendor.faults.append(Fault(breaks=Breaks.AFTER, path=self.sends))
        with pytest.raises(Unsure):
            await notifier.deliver(message, None, KEY, doubt=False)
        assert told() == 1

        receipt = await notifier.deliver(message, None, KEY, doubt=True)

        assert told() == (2 if notifier.promise is Promise.AT_LEAST_ONCE else 1)
        assert stored(receipt) == dict(receipt)

    async def test_a_line_of_history_whose_answer_was_lost_keeps_the_promise(
        self, notifier: Notifier, vendor: InboxVendor, message: Message, told: Callable[[], int]
    ) -> None:
        if notifier.speaks is not Speaks.LIVE:
            pytest.skip("only a live message has a history of its own")
        receipt = await notifier.deliver(message, None, KEY, doubt=False)
        entry = replace(message, part=Part.ENTRY, event=Event.UPDATED)
        vendor.faults.append(Fault(breaks=Breaks.AFTER, path=self.sends))
        with pytest.raises(Unsure):
            await notifier.deliver(entry, receipt, OTHER_KEY, doubt=False)

        await notifier.deliver(entry, receipt, OTHER_KEY, doubt=True)

        assert told() == (3 if notifier.promise is Promise.AT_LEAST_ONCE else 2)

    async def test_a_request_that_never_arrived_is_made_good_by_its_repetition(
        self, notifier: Notifier, vendor: InboxVendor, message: Message, told: Callable[[], int]
    ) -> None:
        vendor.faults.append(Fault(breaks=Breaks.BEFORE, path=self.sends))
        with pytest.raises((Unavailable, Unsure)):
            await notifier.deliver(message, None, KEY, doubt=False)
        assert told() == 0

        await notifier.deliver(message, None, KEY, doubt=True)

        assert told() == 1

    async def test_another_message_is_not_taken_for_the_one_in_doubt(
        self, notifier: Notifier, message: Message, told: Callable[[], int]
    ) -> None:
        await notifier.deliver(message, None, KEY, doubt=False)
        other = replace(message, incident="02INCIDENT", dedup="another", title="billing failed")

        await notifier.deliver(other, None, OTHER_KEY, doubt=True)

        assert told() == 2  # noqa: PLR2004 - one for each incident

    async def test_too_many_requests_waits_as_long_as_it_is_told_to(
        self, notifier: Notifier, vendor: InboxVendor, message: Message, told: Callable[[], int]
    ) -> None:
        headers = {"Retry-After": str(REST)}
        vendor.faults.append(Fault(breaks=Breaks.STATUS, path=self.sends, status=429, headers=headers, times=ALWAYS))

        with pytest.raises(Unavailable) as caught:
            await notifier.deliver(message, None, KEY, doubt=False)

        assert caught.value.retry_after == timedelta(seconds=REST)
        assert len(self._sent(vendor)) == 1
        assert told() == 0

    @pytest.mark.parametrize(("status", "kind"), [(500, Unsure), (502, Unsure), (504, Unsure), (503, Unavailable)])
    async def test_a_vendor_in_trouble_is_asked_once_and_later_again(
        self, notifier: Notifier, vendor: InboxVendor, message: Message, status: int, kind: type[ConnectorError]
    ) -> None:
        vendor.faults.append(Fault(breaks=Breaks.STATUS, path=self.sends, status=status, times=ALWAYS))

        with pytest.raises(kind):
            await notifier.deliver(message, None, KEY, doubt=False)

        assert len(self._sent(vendor)) == 1

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422])
    async def test_a_refusal_is_never_silent(
        self, notifier: Notifier, vendor: InboxVendor, message: Message, status: int
    ) -> None:
        vendor.faults.append(Fault(breaks=Breaks.STATUS, status=status, body="no", times=ALWAYS))

        with pytest.raises((Rejected, ConfigError)):
            await notifier.deliver(message, None, KEY, doubt=False)

    @pytest.mark.parametrize("body", ["<html>busy</html>", "", "{}", "[]", '{"ok"'])
    async def test_an_answer_that_cannot_be_read_is_no_success(
        self, notifier: Notifier, vendor: InboxVendor, message: Message, body: str
    ) -> None:
        vendor.faults.append(Fault(breaks=Breaks.GARBAGE, path=self.sends, body=body))

        with pytest.raises(Unsure):
            await notifier.deliver(message, None, KEY, doubt=False)

    @pytest.mark.parametrize("where", ["title", "summary", "error", "fact", "label", "link", "everywhere"])
    @pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD)
    async def test_a_text_of_any_length_and_kind_is_delivered_and_calls_nobody(
        self, notifier: Notifier, vendor: InboxVendor, message: Message, text: str, where: str
    ) -> None:
        awkward = _with(message, where, text)

        receipt = await notifier.deliver(awkward, None, KEY, doubt=False)
        if notifier.speaks is Speaks.LIVE:  # an edit and a line of history have limits of their own
            await notifier.deliver(replace(awkward, event=Event.UPDATED), receipt, OTHER_KEY, doubt=False)
            await notifier.deliver(replace(awkward, part=Part.ENTRY), receipt, OTHER_KEY, doubt=False)

        [shown] = vendor.shown()
        everything = [*shown.lines, *(line for reply in shown.replies for line in reply)]
        assert all(line.strip() for line in everything)
        assert not [line for line in everything for call in CALLS if call in line]
        assert len(self._sent(vendor)) == (3 if notifier.speaks is Speaks.LIVE else 1)

    @pytest.mark.parametrize("breaks", list(Breaks))
    @pytest.mark.parametrize("status", [400, 401, 404, 500, 503])
    async def test_no_error_tells_a_secret(
        self,
        notifier: Notifier,
        vendor: InboxVendor,
        message: Message,
        secrets: Sequence[str],
        breaks: Breaks,
        status: int,
    ) -> None:
        echo = " ".join(f"{'.' * 150} {secret}" for secret in secrets)
        vendor.faults.append(Fault(breaks=breaks, status=status, body=echo, times=ALWAYS))

        try:
            await notifier.deliver(message, None, KEY, doubt=True)
        except (ConnectorError, ConfigError) as err:
            leaked = [secret for secret in secrets if secret in said(err)]
        else:
            leaked = []

        assert not leaked

    def _sent(self, vendor: InboxVendor) -> list[tuple[str, str]]:
        return [(method, path) for method, path in vendor.requests if re.search(self.sends, path)]


def _with(message: Message, where: str, text: str) -> Message:
    """Put a text in one place of a message, or in all of them."""
    changes: dict[str, Any] = {
        "title": {"title": text},
        "summary": {"summary": text},
        "error": {"error": text},
        "fact": {"facts": (Fact(label="Reason", text=text),) * 30},
        "label": {"facts": (Fact(label=text, text="3 of 3"),) * 30},
        "link": {"links": (Link(text=text, url=text), Link(text=text, url=f"https://hub.example/{text}"))},
    }
    if where == "everywhere":
        together = {name: value for each in changes.values() for name, value in each.items()}
        together |= {"facts": (Fact(label=text, text=text),) * 30, "pipeline": text, "source": text}
        return replace(message, **together)
    return replace(message, **changes[where])
