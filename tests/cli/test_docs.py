"""What docs/cli.md tells people to type."""

import re
import shlex
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent.parent / "docs" / "cli.md"
READY = {"serve": ("stackhub serves", "stderr"), "sandbox": ("Ctrl-C ends it", "stderr")}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def commands(text: str) -> list[tuple[list[str], bool, int]]:
    """Return each command: its words, whether it stays in the background, and the exit code it is said to have."""
    found = []
    for line in re.findall(r"^\$ stackhub (.*)$", text, re.MULTILINE):
        command, _, comment = line.partition("#")
        code = re.match(r" exits (\d+)", comment)
        words = shlex.split(command)
        found.append(([word for word in words if word != "&"], "&" in words, int(code[1]) if code else 0))
    return found


@pytest.fixture
def page(directory) -> str:
    """The page, with a port of ours, in the configuration that it shows."""
    port = str(free_port())
    text = DOCS.read_text().replace("8788", port)
    for path in (directory / "pipelines").iterdir():
        path.unlink()
    [shown] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (directory / "pipelines" / "shop.yaml").write_text(shown)
    [script] = re.findall(r"```python\n(# revenue.py\n.*?)```", text, re.DOTALL)
    (directory / "revenue.py").write_text(script)
    return text


def test_every_command_of_the_page_ends_as_the_page_says(page, stackhub, start, directory, monkeypatch):
    port = re.search(r"sandbox --port (\d+)", page)[1]
    monkeypatch.setenv("STACKHUB_PORT", "0")
    monkeypatch.chdir(directory)
    wanted = commands(page)
    assert len(wanted) > 30
    with ExitStack() as background:
        for argv, stays, code in wanted:
            if argv[:2] == ["alerts", "test"]:  # what the page says about slack.env
                env = f'SLACK_API_URL=http://127.0.0.1:{port}/slack/api\nSLACK_BOT_TOKEN=xoxb-sandbox-7f3a1c\nSLACK_CHANNEL="#data-alerts"\n'
                (directory / "slack.env").write_text(env)
                (directory / "slack.env").chmod(0o600)
                background.pop_all().close()  # the daemon ends, and the sandbox is started anew
                background.enter_context(start("sandbox", "--port", port, until=READY["sandbox"][0]))
                background.enter_context(start("serve", until=READY["serve"][0]))
            if stays:
                until, stream = READY[argv[0]]
                background.enter_context(start(*argv, until=until, stream=stream))
                continue
            shown = stackhub(*argv)
            assert shown.code == code, (argv, shown.out, shown.err)


def test_every_command_there_is_stands_on_the_page(stackhub):
    listed = stackhub("--help").out.partition("Run:\n")[2].partition("\n\n  Begin")[0]
    names = re.findall(r"^  (\w+) ", listed, re.MULTILINE)
    text = DOCS.read_text()
    assert [name for name in names if f"stackhub {name}" not in text] == []
