"""The command line finds its daemon, and knows when there is none."""

import json

import pytest

from stackhub.cli import socket
from stackhub.config.read import read_hub
from stackhub.server.listen import served
from stackhub.server.places import bound_socket

LONG = "a-directory-with-a-name-that-" + "goes-on-" * 12  # a Unix socket's path has 107 bytes at most


@pytest.fixture(params=["state", LONG])
def hub(request, tmp_path):
    return read_hub(tmp_path, {"STACKHUB_STATE_DIR": request.param})


@pytest.fixture
def daemon(hub):
    hub.state_dir.mkdir()
    with bound_socket(hub.state_dir) as listener:
        yield listener


async def echo(scope, receive, send):
    """Answer with what was asked."""
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    body = json.dumps({"path": scope["path"], "by": headers[socket.BY], "body": json.loads((await receive())["body"])})
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body.encode()})


async def test_it_is_asked_wherever_its_state_directory_is(hub, daemon):
    async with served([(echo, daemon)], patience=1):
        answer = await socket.post(hub, "pipelines/shop/trigger", {"only": []}, "ada")
    assert answer == {"path": "/api/v1/pipelines/shop/trigger", "by": "ada", "body": {"only": []}}


async def test_where_none_listens_there_is_none(hub):
    with pytest.raises(socket.NoDaemon):
        await socket.post(hub, "pipelines/shop/trigger", {}, "ada")
