"""What an alert route to Slack may say."""

import re
from typing import Final

from pydantic import Field, field_validator

from stackhub.contract import Options

_EVERYONE: Final = {"@here": "<!here>", "@channel": "<!channel>", "@everyone": "<!everyone>"}
_PERSON: Final = re.compile(r"@?([UW][A-Z0-9]{8,})")
_GROUP: Final = re.compile(r"@?(S[A-Z0-9]{8,})")
_CHANNEL: Final = re.compile(r"#?[^\s#<>&|,]{1,80}")


class SlackRoute(Options):
    """Where in Slack, and who is called."""

    channel: str = Field("", description='"#name" or an id; default: SLACK_CHANNEL. A webhook has a channel of its own')
    mention: str = Field(
        "",
        max_length=200,
        description="who is called when an incident opens: @here, @channel, @everyone, ids of people (U...) or of user "
        "groups (S...); several with spaces between",
    )

    @field_validator("channel")
    @classmethod
    def _a_channel(cls, channel: str) -> str:
        return channel_of(channel)

    @field_validator("mention")
    @classmethod
    def _people(cls, mention: str) -> str:
        for word in mention.split():
            _call(word)
        return mention


def channel_of(channel: str) -> str:
    """Return a channel as it was written, without blanks around it.

    Raises:
        ValueError: it can be no channel.
    """
    written = channel.strip()
    if written and not _CHANNEL.fullmatch(written):
        raise ValueError('a channel is written "#name", or as an id such as C0123456789')
    return written


def calling(route: SlackRoute) -> str:
    """Return Slack's markup for those whom the route calls."""
    return " ".join(_call(word) for word in route.mention.split())


def _call(word: str) -> str:
    if word in _EVERYONE:
        return _EVERYONE[word]
    if person := _PERSON.fullmatch(word):
        return f"<@{person[1]}>"
    if group := _GROUP.fullmatch(word):
        return f"<!subteam^{group[1]}>"
    raise ValueError(
        f"{word} is nobody whom Slack can call: write @here, @channel, @everyone, the id of a person (U0123456789, "
        "from their profile's menu) or of a user group (S0123456789)"
    )
