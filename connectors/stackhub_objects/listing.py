"""What stands in a bucket, and how its refusals are told from its silence."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, Protocol

from stackhub.contract import ConfigError, Context, File, Rejected, Unavailable

RETRIES: Final = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=20),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=2), "base": 2},
}
PATIENCE: Final = "20s"  # for one page
QUOTED: Final = 200  # characters of what a store says
_MAGIC: Final = re.compile(r"[*?\[]")
_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
_CREDENTIALS: Final = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "AuthenticationFailed",
)


class Makes(Protocol):
    """Makes the store of a bucket."""

    def __call__(self, bucket: str, retries: Any, patience: str) -> Any:
        """Make it; nothing is asked."""
        ...


class Bucket:
    """Lists. `Files` of the contract."""

    def __init__(self, scheme: str, make: Makes, context: Context) -> None:
        self._scheme, self._make, self._context = scheme, make, context

    async def files(self, url: str, most: int) -> Sequence[File]:
        """List the objects whose URL matches, at most ``most`` and one more."""
        from obstore.exceptions import BaseError

        bucket, _, pattern = url.removeprefix(f"{self._scheme}://").partition("/")
        wanted, found = translated(pattern), list[File]()
        try:
            stream = self._make(bucket, RETRIES, PATIENCE).list(prefix=above(pattern) or None)
            await self._context.gate(wait=True)
            async for page in stream:
                for one in page:
                    if wanted.fullmatch(one["path"]):
                        mark = f"{one['size']}:{one['e_tag'] or one['last_modified'].isoformat()}"
                        found.append(File(path=f"{self._scheme}://{bucket}/{one['path']}", mark=mark, whole=True))
                if len(found) > most:
                    break
                await self._context.gate(wait=True)
        except BaseError as err:
            raise _told(f"{self._scheme}://{bucket}", str(err)) from None
        return found


def above(pattern: str) -> str:
    """Return the folder that everything a pattern matches stands in."""
    magic = _MAGIC.search(pattern)
    return pattern[: magic.start()].rpartition("/")[0] if magic else pattern.rpartition("/")[0]


def translated(pattern: str) -> re.Pattern[str]:
    """Read a glob: ``*`` and ``?`` stay within a folder, ``**`` does not, ``[ab]`` is one of those signs."""
    text, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            text, at = text + "(?:[^/]+/)*", at + 3
        elif pattern.startswith("**", at):
            text, at = text + ".*", at + 2
        elif pattern[at] == "*":
            text, at = text + "[^/]*", at + 1
        elif pattern[at] == "?":
            text, at = text + "[^/]", at + 1
        elif pattern[at] == "[" and "]" in pattern[at + 2 :]:
            end = pattern.index("]", at + 2)
            inner = pattern[at + 1 : end].replace("\\", r"\\")
            text, at = text + f"(?!/)[{'^' + inner[1:] if inner[0] == '!' else inner}]", end + 1
        else:
            text, at = text + re.escape(pattern[at]), at + 1
    return re.compile(text, re.DOTALL)


def _told(bucket: str, said: str) -> Exception:
    """Sort what a store said by what happens next. obstore tells its errors apart by their words only."""
    status, code = _STATUS.search(said), _CODE.search(said)
    words = (code[1] if code else said.partition("\n")[0])[:QUOTED]
    if "169.254.169.254" in said or "metadata" in said.lower():
        return ConfigError(f"{bucket}: there are no credentials: put them into its env file, or into the environment")
    if code and code[1] in _CREDENTIALS:
        return ConfigError(f"{bucket}: its credentials are refused: {words}")
    if status and status[1] in {"400", "401", "403", "404", "301"}:
        return Rejected(f"{bucket}: {status[1]} {words}", status=int(status[1]))
    return Unavailable(f"{bucket} does not answer: {words}")
