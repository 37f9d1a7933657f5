"""Jobs of the played Airbyte, begun and asked after as the hub does."""

import json

import stackhub_airbyte
from stackhub.contract import Job

connector = stackhub_airbyte.connector
SHOP = "64d901a1-2520-4d91-93c8-9df438668ff0"  # the id of the connection `shop`


def a_job(operation="sync", connection="shop", consumed=(), **options):
    made = connector.operations[operation].options(connection=connection, **options)
    return Job(operation=operation, options=made, consumed=dict(consumed))


async def begin(airbyte, job):
    """Start a job by way of the store."""
    baseline = json.loads(json.dumps(await airbyte.prepare(job)))
    return json.loads(json.dumps(await airbyte.start(job, baseline, "k")))


async def ask(airbyte, *handles):
    answers = await airbyte.poll(handles)
    return answers[0] if len(answers) == 1 else answers
