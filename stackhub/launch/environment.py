"""What a child gets of the hub's environment, and what it is told about itself."""

import os
import re
from collections.abc import Mapping
from typing import Final

from stackhub.contract import Job

PASSED: Final = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|SSL_CERT_\w+|(?i:(https?|ftp|all|no)_proxy)"
)
"""What any program may need to find its way; the hub's own variables, its secrets among them, are none of these."""


def environment(job: Job, *layers: Mapping[str, str], hub: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the whole environment of a job's process; later layers win.

    Of ``hub`` (default: this process's own) pass PATH, HOME, LANG, LC_*, TZ, TMPDIR, USER, LOGNAME, SSL_CERT_* and the
    proxy variables, nothing else; then come the layers (the instance's further variables, the task's ``env``), then
    STACKHUB_RUN, STACKHUB_TASK, STACKHUB_PIPELINE, STACKHUB_ATTEMPT, STACKHUB_INTERVAL_START and _END (RFC 3339).
    """
    source = os.environ if hub is None else hub
    found = {name: value for name, value in source.items() if PASSED.fullmatch(name)}
    for layer in layers:
        found.update(layer)
    found |= {
        "STACKHUB_PIPELINE": job.pipeline,
        "STACKHUB_RUN": job.run,
        "STACKHUB_TASK": job.task,
        "STACKHUB_ATTEMPT": str(job.attempt),
    }
    if job.interval is not None:
        start, end = job.interval
        found |= {"STACKHUB_INTERVAL_START": start.isoformat(), "STACKHUB_INTERVAL_END": end.isoformat()}
    return found
