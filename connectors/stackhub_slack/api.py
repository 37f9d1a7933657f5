"""Slack's Web API: one call, one classified answer.

Slack answers nearly everything with 200 and says in the body whether it went well:

    {"ok": false, "error": "not_in_channel"}    → by the table below; a word nobody has heard of is a refusal
    429 with Retry-After                        → Unavailable, by `wire`

Source: docs.slack.dev/reference/methods, errors of chat.postMessage, chat.update and the conversations methods, read
2026-11. Reads are form-encoded, since some of them ignore JSON.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from stackhub.contract import ConfigError, Problem, Rejected, Unavailable, Unsure
from stackhub.wire import Reply, Wire, quote

JSON: Final = {"Content-Type": "application/json; charset=utf-8"}  # without the charset Slack warns in every answer

_TOKEN: Final = frozenset(
    {
        "account_inactive",
        "ekm_access_denied",
        "invalid_auth",
        "no_permission",
        "not_allowed_token_type",
        "not_authed",
        "org_login_required",
        "team_access_not_granted",
        "token_expired",
        "token_revoked",
    }
)
_LATER: Final = frozenset({"rate_limited", "ratelimited", "service_unavailable", "team_added_to_org"})
_TORN: Final = frozenset({"fatal_error", "internal_error", "request_timeout"})  # "may have succeeded in part"
_WAYS_OUT: Final = {
    "channel_not_found": "there is no {about} that the app can see: check the name; in a private channel, /invite it",
    "is_archived": "{about} is archived: unarchive it, or name another channel",
    "not_in_channel": "the app is not in {about}: type /invite and its name there, or grant it chat:write.public",
    "restricted_action": "an administrator restricts who may post in {about}: ask for the app to be let in",
}


class Api:
    """The methods of one workspace, by one token."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def send(
        self, method: str, body: Mapping[str, Any], *, accept: Collection[str] = (), about: str = "the channel"
    ) -> Mapping[str, Any]:
        """Ask for something to happen, once; returns Slack's answer, which is ``ok`` or has an error in ``accept``.

        ``about`` is what the call was for, in the words of an error.
        """
        reply = await self._wire.send("POST", method, body=body, headers=JSON)
        return _judged(reply, accept, about)

    async def read(
        self, method: str, form: Mapping[str, Any], *, accept: Collection[str] = (), about: str = "the channel"
    ) -> Mapping[str, Any]:
        """Ask a harmless question; returns and raises as `send` does, but is never `Unsure`."""
        return _judged(await self._wire.ask(method, form=form), accept, about)

    async def whoami(self) -> tuple[Mapping[str, Any], frozenset[str] | None]:
        """Ask whose token this is, and which scopes it has; None when Slack did not say."""
        reply = await self._wire.ask("auth.test", form={})
        told = reply.headers.get("x-oauth-scopes")
        scopes = None if told is None else frozenset(scope.strip() for scope in told.split(",")) - {""}
        return _judged(reply, (), "the workspace"), scopes


def _judged(reply: Reply, accept: Collection[str], about: str) -> Mapping[str, Any]:
    answer = reply.object()
    error = answer.get("error")
    if answer.get("ok") is True or (answer.get("ok") is False and error in accept):
        return answer
    if answer.get("ok") is False and isinstance(error, str):
        raise refusal(reply, error, answer, about)
    return reply.unreadable("no answer of Slack's")


def refusal(reply: Reply, error: str, answer: Mapping[str, Any], about: str) -> Exception:
    """Say what an error of Slack's means for the hub."""
    what = f"{reply.what}: {quote(reply.hide(error))}"
    if error in _TOKEN:
        return ConfigError(Problem("SLACK_BOT_TOKEN", f"{what}; make a new token under OAuth & Permissions of the app"))
    if error == "missing_scope":
        needed = quote(reply.hide(str(answer.get("needed", ""))))
        return ConfigError(
            Problem("SLACK_BOT_TOKEN", f"{what}; add the scope {needed} to the app and install it again")
        )
    if error in _LATER:
        return Unavailable(what, retry_after=reply.rest)
    if error in _TORN:
        return (Unavailable if reply.read else Unsure)(what)
    if way_out := _WAYS_OUT.get(error):
        return Rejected(f"{what}; {way_out.format(about=about)}", status=reply.status, body=error)
    details = answer.get("response_metadata") or {}
    words = "; ".join(str(each) for each in details.get("messages") or ()) if isinstance(details, Mapping) else ""
    shown = quote(reply.hide(words))
    return Rejected(f"{what}{f' ({shown})' if shown else ''}", status=reply.status, body=error)
