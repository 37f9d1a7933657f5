"""Jobs that are processes: detached from the hub, supervised by a shim, found again after any death.

    with Launcher(context) as launcher:
        handle = await launcher.spawn(key, Command(argv=("dbt", "build"), cwd=project, env=environment(job)))
        launcher.look(handle)           # Running | Ended | Lost | NeverBegan | Elsewhere

A connector builds on `ProcessJobs`, which turns these into the contract's answers.
"""

from stackhub.launch.commands import CommandJobs
from stackhub.launch.environment import environment
from stackhub.launch.jobs import ProcessJobs
from stackhub.launch.launcher import Launcher, host_id
from stackhub.launch.process import Command, Elsewhere, Ended, Lost, NeverBegan, Process, Running

__all__ = [
    "Command",
    "CommandJobs",
    "Elsewhere",
    "Ended",
    "Launcher",
    "Lost",
    "NeverBegan",
    "Process",
    "ProcessJobs",
    "Running",
    "environment",
    "host_id",
]
