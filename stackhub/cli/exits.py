"""What a command ends with: a code for scripts, and for people one line for each thing that is wrong.

0    done
1    something failed: a run, a delivery, a permission, a daemon that does not answer
2    usage or configuration: nothing was changed
130  interrupted
141  whoever read our output has gone
"""

import os
import sys
from collections.abc import Callable
from typing import Final

from stackhub.errors import ConfigError, Refused, StackhubError, StoreUnusable

OK: Final = 0
FAILED: Final = 1
WRONG: Final = 2
INTERRUPTED: Final = 130
NOBODY_READS: Final = 141
DEBUG: Final = "STACKHUB_DEBUG"


def guarded(work: Callable[[], int]) -> int:
    """Do it; an error that was foreseen is a line on standard error, any other one is told how to learn more."""
    try:
        code = work()
        sys.stdout.flush()
    except BrokenPipeError:
        _close_quietly()
        return NOBODY_READS
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as err:
        alone = unwrapped(err)
        if isinstance(alone, KeyboardInterrupt):
            return INTERRUPTED
        if os.environ.get(DEBUG):
            raise
        return told(alone)
    return code


def told(err: BaseException) -> int:
    """Tell an error, a line for each thing that is wrong; return the code."""
    match err:
        case ConfigError(problems=problems):
            for problem in problems:
                say(str(problem))
            return WRONG
        case Refused() | StoreUnusable():
            say(str(err))
            return WRONG
        case StackhubError():
            say(str(err))
            return FAILED
        case PermissionError(filename=str(path)):
            say(f"{path}: permission denied: ask as the user that runs stackhub, or give it to this one")
            return WRONG
        case _:
            say(f"stackhub: unexpected {type(err).__name__}: {err} ({DEBUG}=1 shows where)")
            return FAILED


def say(text: str) -> None:
    """Print to standard error, where words stand that no script reads."""
    print(text, file=sys.stderr, flush=True)


def unwrapped(err: BaseException) -> BaseException:
    """Take an error out of the task groups that it has passed through."""
    while isinstance(err, BaseExceptionGroup) and len(err.exceptions) == 1:
        err = err.exceptions[0]
    return err


def _close_quietly() -> None:
    """Let nothing be flushed into a pipe that nobody reads."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
