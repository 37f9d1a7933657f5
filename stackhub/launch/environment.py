"""What a child gets of the hub's environment, and what it is told about itself."""

from collections.abc import Mapping

from stackhub.contract import Job


def environment(job: Job, *layers: Mapping[str, str], hub: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the whole environment of a job's process; later layers win.

    Of ``hub`` (default: this process's own) pass PATH, HOME, LANG, LC_*, TZ, TMPDIR, USER, LOGNAME, SSL_CERT_* and the
    proxy variables, nothing else; then come the layers (the instance's further variables, the task's ``env``), then
    STACKHUB_RUN, STACKHUB_TASK, STACKHUB_PIPELINE, STACKHUB_ATTEMPT, STACKHUB_INTERVAL_START and _END (RFC 3339).
    """
    raise NotImplementedError
