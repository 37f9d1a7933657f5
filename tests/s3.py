"""A real S3 server on loopback: moto's, in a process of its own."""

import socket
import subprocess
import sys
import time

import boto3
import httpx
import pytest

KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "wJalrXUtnFEMI"}
PATIENCE = 60.0


@pytest.fixture(scope="session")
def endpoint():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            until = time.monotonic() + PATIENCE
            while not _answers(url):
                assert server.poll() is None, "the server has ended"
                assert time.monotonic() < until, "the server does not answer"
            yield url
        finally:
            server.kill()


def _answers(url):
    try:
        return httpx.get(f"{url}/moto-api/", timeout=5, trust_env=False).status_code < 500
    except httpx.HTTPError:
        return False


@pytest.fixture
def bucket(endpoint, request):
    """A bucket of its own for each test, and a client to fill it."""
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **KEYS)
    name = f"exports-{abs(hash(request.node.name)):x}"
    client.create_bucket(Bucket=name)

    def put(key, body=b"1,2\n"):
        client.put_object(Bucket=name, Key=key, Body=body)

    put.name = name
    return put
