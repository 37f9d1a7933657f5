"""The real connectors in front of their fake vendors, on virtual time: a day of a few pipelines, and a hub that dies."""

import pytest
import structlog
from simulation.week import furnish, live, sandboxed

PIPELINES = 6


@pytest.fixture(autouse=True)
def logged():
    with structlog.testing.capture_logs() as found:
        yield found


def test_a_day_of_real_connectors_has_one_sync_for_each_step_and_one_message_for_each_incident():
    with sandboxed(3) as on:
        furnish(on, PIPELINES)
        live(on, days=1.2)
        ask = on.ground.ask
        for nth in range(PIPELINES):
            ((runs, open_runs),) = ask(
                "SELECT count(*), count(*) - count(ended_at) FROM run WHERE pipeline = ?", f"p{nth:02}"
            )
            assert runs > 0
            assert open_runs == 0
            assert on.vendors["fivetran"].started(f"crm_{nth:02}") == runs
            assert on.vendors["airbyte"].started(f"pay_{nth:02}") == runs
        incidents = ask("SELECT id, resolved_at FROM incident")
        assert len(incidents) > 0, "something went wrong that day"
        assert len(on.vendors["slack"].shown()) == len(incidents)
        assert ask("SELECT * FROM outbox WHERE state = 'pending'") == []
        assert on.ground.universe.born > 1, "a hub died that day"
