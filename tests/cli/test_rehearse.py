"""A pipeline on the stage: what it would do and say, with nothing done and nobody told."""

import socket

import pytest

ENV = {
    "fivetran": "FIVETRAN_API_KEY=key-of-ours\nFIVETRAN_API_SECRET=secret-of-ours\n",
    "airbyte": "AIRBYTE_CLIENT_ID=id-of-ours\nAIRBYTE_CLIENT_SECRET=secret-of-ours\nAIRBYTE_WORKSPACE_ID=w1\n",
    "slack": "SLACK_BOT_TOKEN=xoxb-of-ours\nSLACK_CHANNEL=#data\n",
    "fivetran.eu": "FIVETRAN_API_KEY=key-of-eu\nFIVETRAN_API_SECRET=secret-of-eu\n",
}
LOADED = """
pipeline: loaded
owner: finance-data
schedule: {cron: "0 6 * * *", timezone: Europe/Berlin}
sla: {finish_by: "07:30"}
defaults: {retries: {attempts: 2, wait: 1m}}
tasks:
  crm:    {uses: fivetran.sync, with: {connection: "${CRM:-salesforce}"}}
  shared: {uses: fivetran.sync, instance: fivetran.eu, with: {connection: salesforce}}
  theirs: {uses: airbyte.wait, with: {connection: Stripe to warehouse}}
  marts:  {uses: shell.run, with: {command: "touch ran.txt"}, needs: [crm, shared, theirs]}
alerts: [{to: slack, channel: "#data", on: [failed, late, resolved]}]
"""
AFTER = """
pipeline: after
triggers: [{pipeline: loaded}]
tasks: {told: {uses: shell.run, with: {command: "touch ran.txt"}}}
"""


@pytest.fixture
def loaded(directory, monkeypatch):
    """A directory with accounts, from which no request may leave."""
    for path in (directory / "pipelines").iterdir():
        path.unlink()
    for name, text in ENV.items():
        (directory / f"{name}.env").write_text(text)
        (directory / f"{name}.env").chmod(0o600)
    (directory / "pipelines" / "loaded.yaml").write_text(LOADED)
    (directory / "pipelines" / "after.yaml").write_text(AFTER)

    def refuse(*_):
        raise AssertionError("a request would leave this process")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return directory


def said(done):
    return [(one["who"], one["text"]) for one in done.json["timeline"]]


def test_a_run_of_the_next_tick_is_played_and_nothing_is_started_or_kept(stackhub, loaded):
    before = {path: path.read_bytes() for path in loaded.rglob("*") if path.is_file()}
    done = stackhub("rehearse", "loaded", "--json")
    assert (done.code, done.json["state"], done.json["ended"]) == (0, "succeeded", True)
    assert {step["task"]: step["state"] for step in done.json["steps"]} == dict.fromkeys(
        ("crm", "shared", "theirs", "marts"), "succeeded"
    )
    assert [whom for whom, _ in said(done) if whom.startswith("→")] == []
    assert ("after.told", "succeeded") in said(done)
    assert {path: path.read_bytes() for path in loaded.rglob("*") if path.is_file()} == before


def test_what_would_be_said_of_a_failure_is_shown(stackhub, loaded):
    done = stackhub("rehearse", "loaded", "--fail", "crm", "--json")
    assert (done.code, done.json["state"]) == (1, "failed")
    states = {step["task"]: step["state"] for step in done.json["steps"]}
    assert (states["crm"], states["shared"], states["marts"]) == ("failed", "succeeded", "upstream_failed")
    told, *_ = [one for one in done.json["timeline"] if one["message"] and "thread" not in one["text"]]
    assert (told["who"], told["text"]) == ("→ slack", "opened: loaded failed: crm")
    assert "not delivered" not in done.out
    assert any("made to fail for the rehearsal" in text for _, text in said(done))
    assert "after.told" not in dict(said(done))


def test_a_job_without_a_fake_vendor_fails_where_it_is_told_to(stackhub, loaded):
    done = stackhub("rehearse", "loaded", "--fail", "marts", "--json")
    assert {step["task"]: step["state"] for step in done.json["steps"]}["marts"] == "failed"
    assert not (loaded / "ran.txt").exists()


def test_what_is_late_is_told_at_its_deadline_and_over_when_it_has_ended(stackhub, loaded):
    done = stackhub("rehearse", "loaded", "--late", "crm=95m", "--json")
    assert (done.code, done.json["state"]) == (0, "succeeded")
    messages = [one for one in done.json["timeline"] if one["message"] and "thread" not in one["text"]]
    assert messages[0]["text"].startswith("opened: loaded is late")
    assert messages[-1]["text"].startswith("resolved")
    assert messages[0]["at"].endswith((":30:00Z", ":30:00+00:00"))


def test_the_table_for_people_has_times_states_and_messages(stackhub, loaded):
    done = stackhub("rehearse", "loaded", "--fail", "crm")
    assert done.code == 1
    assert "nothing was started, nobody was told" in done.lines[0]
    assert "→ slack" in done.out
    assert "loaded failed after" in done.lines[-1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing"], "no pipeline 'nothing'; there are: after, loaded"),
        (["loaded", "--fail", "mart"], "loaded has no task 'mart'; there are: crm, shared, theirs, marts"),
        (["loaded", "--late", "crm=soon"], "--late crm=soon: should be a duration"),
    ],
)
def test_what_cannot_be_rehearsed_is_told(stackhub, loaded, words, told):
    done = stackhub("rehearse", *words)
    assert done.code != 0
    assert told in done.err


def test_one_rehearsal_is_like_the_other(stackhub, loaded):
    first, second = (stackhub("rehearse", "loaded", "--fail", "crm", "--json") for _ in range(2))
    assert said(first) == said(second)
