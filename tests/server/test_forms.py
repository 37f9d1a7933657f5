"""The whole API under requests of every form that its own description allows, and of many that it does not."""

import asyncio

import anyio
import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance
from server.ground import grounds
from structlog.testing import capture_logs

from stackhub.contract import Outcome

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance]
HERE = "http://127.0.0.1:8787"


@pytest.fixture(scope="module")
async def described(tmp_path_factory):
    """Give a way to ask from any thread, and the API's description."""
    async with grounds(tmp_path_factory.mktemp("forms")) as ground, ground.ask() as client:
        document = (await client.get("/api/openapi.json")).json()
        loop = asyncio.get_running_loop()

        def ask(case) -> httpx.Response:
            asked = case.as_transport_kwargs(base_url=HERE)
            body = {"json": asked["json"]} if "json" in asked else {"content": asked.get("data") or b""}
            headers = {name: str(value) for name, value in asked["headers"].items()}
            request = client.build_request(
                asked["method"], asked["url"], params=asked.get("params"), headers=headers, **body
            )
            return asyncio.run_coroutine_threadsafe(client.send(request), loop).result(30)

        ground.toy.end("orders", Outcome.FAILED, "so that there is an incident")
        run = (await client.post("/api/v1/pipelines/shop/trigger")).json()["run"]
        await ground.until(run)
        yield (
            ask,
            document,
            {"name": "shop", "run_id": run, "task": "orders", "incident": "pipeline:shop", "backfill_id": run},
        )


@pytest.mark.parametrize("mode", list(GenerationMode))
async def test_no_request_of_any_form_is_a_server_error(described, mode):
    ask, document, known = described
    answered = set()

    def every_operation():
        for found in schemathesis.openapi.from_dict(document).get_all_operations():
            operation = found.ok()
            if mode is GenerationMode.NEGATIVE and not (operation.query or operation.body or operation.path_parameters):
                continue  # takes nothing, so nothing can be wrong
            holds(operation, {})
            if mode is GenerationMode.POSITIVE:
                holds(operation, {one.name: known[one.name] for one in operation.path_parameters})

    def holds(operation, path_parameters):
        @settings(
            max_examples=5,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode, path_parameters=path_parameters or None))
        def checked(case):
            answer = ask(case)
            case.validate_response(answer, checks=CHECKS)
            answered.add((operation.label, answer.status_code))

        checked()

    with capture_logs():
        await anyio.to_thread.run_sync(every_operation)
    assert len({label for label, _ in answered}) > 12
    assert {status for _, status in answered} >= ({200, 202, 404, 409} if mode is GenerationMode.POSITIVE else {422})
