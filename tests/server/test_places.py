"""Where the hub listens."""

import os
import socket
import stat

import pytest

from stackhub.errors import ConfigError
from stackhub.server.places import LONGEST_PATH, bind_port, bound_socket, socket_path


def test_a_port_that_is_taken_is_one_clear_line():
    with bind_port("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError) as refused:
            bind_port("127.0.0.1", port)
    assert str(refused.value) == (
        f"STACKHUB_PORT: 127.0.0.1:{port} is taken by another process: stop that one, or set STACKHUB_PORT to another"
    )


def test_an_address_of_another_machine_is_one_clear_line():
    with pytest.raises(ConfigError) as refused:
        bind_port("203.0.113.7", 0)
    assert str(refused.value).startswith("STACKHUB_PORT: 203.0.113.7:0 cannot be listened on: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("host", ["[::1]", "::1"])
def test_an_address_of_six_is_written_either_way(host):
    with bind_port(host, 0) as bound:
        assert bound.getsockname()[0] == "::1"


def reached(path) -> bool:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(path))
        return True


def test_only_the_owner_can_open_the_socket(tmp_path):
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    before = os.umask(0)
    try:
        with bound_socket(state):
            assert stat.S_IMODE((state / "hub.sock").stat().st_mode) == 0o600
            assert stat.S_IMODE(state.stat().st_mode) == 0o700
            assert reached(socket_path(state))
    finally:
        os.umask(before)
    assert list(state.iterdir()) == []


def test_what_a_dead_hub_left_is_replaced(tmp_path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "hub.sock"))
    with bound_socket(tmp_path):
        assert reached(socket_path(tmp_path))


def test_what_is_no_socket_is_left_alone(tmp_path):
    (tmp_path / "hub.sock").write_text("somebody's")
    with pytest.raises(ConfigError, match="the socket cannot be made"), bound_socket(tmp_path):
        pass
    assert (tmp_path / "hub.sock").read_text() == "somebody's"


def test_a_path_that_is_too_long_leads_to_a_short_one(tmp_path):
    state = tmp_path / ("d" * LONGEST_PATH)
    state.mkdir()
    with bound_socket(state, elsewhere=tmp_path):
        at = socket_path(state)
        assert len(os.fsencode(at)) <= LONGEST_PATH
        assert reached(at)
        assert stat.S_IMODE(at.stat().st_mode) == 0o600
        assert stat.S_IMODE(at.parent.stat().st_mode) == 0o700
    assert not at.parent.exists()
    assert list(state.iterdir()) == []


def test_what_a_dead_hub_left_behind_a_long_path_is_replaced(tmp_path):
    state, left = tmp_path / ("d" * LONGEST_PATH), tmp_path / "stackhub-left"
    state.mkdir()
    left.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(left / "hub.sock"))
    (state / "hub.sock").symlink_to(left / "hub.sock")
    with bound_socket(state, elsewhere=tmp_path):
        assert reached(socket_path(state))
    assert not left.exists()


def test_a_symlink_to_somebody_elses_socket_is_removed_and_its_end_is_not(tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(theirs / "hub.sock"))
        state = tmp_path / "state"
        state.mkdir()
        (state / "hub.sock").symlink_to(theirs / "hub.sock")
        with bound_socket(state, elsewhere=tmp_path):
            pass
        assert (theirs / "hub.sock").exists()
