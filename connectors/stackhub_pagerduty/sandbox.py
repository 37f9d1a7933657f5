"""A fake PagerDuty: one service that takes events as the real one does and pages nobody.

An event is validated in the vendor's own words, spelling included. One with the key of an open alert is added to it; a
resolve closes it; a resolve of nothing is dropped, with 202 all the same; after a resolve the next trigger opens a new
alert. Source: developer.pagerduty.com, Events API v2, and a recorded refusal; read 2026-11.
"""

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from stackhub.contract.sandbox import Fault, Receive, Scope, Send, Shown, World, faulty, heard, reply

ROUTING_KEY: Final = "R0UT1NGKEYOFTHESANDBOX0123456789"
KEY: Final = 32
SUMMARY: Final = 1_024
DEDUP: Final = 255
BODY: Final = 512 * 1024
MINUTE: Final = 60.0
A_MINUTE: Final = 120  # events
SEVERITIES: Final = frozenset({"critical", "error", "warning", "info"})


@dataclass(slots=True, kw_only=True)
class Alert:
    """One alert."""

    dedup_key: str
    event: Mapping[str, Any]  # the one that opened it
    triggers: int = 1
    open: bool = True


@dataclass(slots=True)
class PagerDutyVendor:
    """One service with one integration."""

    world: World
    name: str = "pagerduty"
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)  # of every request that got through, as it came
    dropped: list[Mapping[str, Any]] = field(default_factory=list)  # resolves that met no open alert
    alerts: list[Alert] = field(default_factory=list)
    _taken: deque[float] = field(default_factory=deque)  # when events came, in seconds of the epoch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await faulty(self._answer, self.faults, self.requests, self.world)(scope, receive, send)

    def environment(self, url: str) -> Mapping[str, str]:
        """Return the variables of the service's integration."""
        return {"PAGERDUTY_API_URL": url, "PAGERDUTY_ROUTING_KEY": ROUTING_KEY}

    def shown(self) -> Sequence[Shown]:
        """Return every alert, oldest first: its state and how often it was triggered, then what it says."""
        return [
            Shown(where="PagerDuty service", lines=tuple(_lines(alert)), edits=alert.triggers - 1)
            for alert in self.alerts
        ]

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await heard(receive)
        self.bodies.append(body)
        status, answer = self._asked(scope, body)
        await reply(send, status, {}, json.dumps(answer).encode())

    def _asked(self, scope: Scope, body: bytes) -> tuple[int, Mapping[str, Any]]:
        if scope["method"] != "POST" or not scope["path"].endswith("/v2/enqueue"):
            return 404, {"status": "not found"}
        if len(body) > BODY:
            return 413, {"status": "request entity too large"}
        try:
            event = json.loads(body)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            return 400, _invalid(["JSON cannot be parsed"])
        if wrong := _wrong(event):
            return 400, _invalid(wrong)
        if event["routing_key"] != ROUTING_KEY:
            return 400, _invalid(["Invalid routing key"])
        if self._crowded():
            return 429, {"status": "throttle exceeded", "message": "Request Limit Exceeded", "errors": []}
        key = event.get("dedup_key") or f"{self.world.rng.getrandbits(128):032x}"
        self._take(key, event)
        return 202, {"status": "success", "message": "Event processed", "dedup_key": key}

    def _take(self, key: str, event: Mapping[str, Any]) -> None:
        alert = next((each for each in self.alerts if each.open and each.dedup_key == key), None)
        match event["event_action"]:
            case "trigger" if alert:
                alert.triggers += 1
            case "trigger":
                self.alerts.append(Alert(dedup_key=key, event=event))
            case "resolve" if alert:
                alert.open = False
            case _:
                if alert is None:
                    self.dropped.append(event)

    def _crowded(self) -> bool:
        """Count an event, or say that the minute's are used up."""
        now = self.world.now().timestamp()
        while self._taken and now - self._taken[0] >= MINUTE:
            self._taken.popleft()
        if len(self._taken) >= A_MINUTE:
            return True
        self._taken.append(now)
        return False


def _wrong(event: Mapping[str, Any]) -> list[str]:
    wrong = []
    key = event.get("routing_key")
    if not key:
        wrong.append("'routing_key' is missing or blank")
    elif len(str(key)) != KEY:
        wrong.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    dedup = event.get("dedup_key") or ""
    if len(dedup) > DEDUP:
        wrong.append("'dedup_key' is too long (maiximum is 255 characters)")
    match event.get("event_action"):
        case "trigger":
            return wrong + _wrong_payload(event.get("payload"))
        case "acknowledge" | "resolve":
            return wrong if dedup else [*wrong, "'dedup_key' is missing or blank"]
        case _:
            return [*wrong, "'event_action' must be one of 'trigger', 'acknowledge' or 'resolve'"]


def _wrong_payload(payload: Any) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing or blank"]
    wrong = [f"'{name}' is missing or blank" for name in ("summary", "source", "severity") if not payload.get(name)]
    if len(payload.get("summary") or "") > SUMMARY:
        wrong.append("'summary' is too long (maiximum is 1024 characters)")
    if payload.get("severity") and payload["severity"] not in SEVERITIES:
        wrong.append("'severity' must be one of 'critical', 'warning', 'error' or 'info'")
    return wrong


def _invalid(errors: Sequence[str]) -> Mapping[str, Any]:
    return {"status": "invalid event", "message": "Event object is invalid", "errors": list(errors)}


def _lines(alert: Alert) -> list[str]:
    payload = alert.event["payload"]
    times = "" if alert.triggers == 1 else f" (triggered {alert.triggers} times)"
    details = payload.get("custom_details") or {}
    return [
        f"{'open' if alert.open else 'resolved'}, {payload['severity']}{times}",
        payload["summary"],
        *(f"{name}: {value}" for name, value in details.items()),
        *(link["text"] for link in alert.event.get("links", ())),
    ]
