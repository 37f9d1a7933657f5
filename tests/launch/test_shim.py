"""The shim's own arithmetic: what it keeps of an output, and what it understands."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackhub.launch import Command, shim
from stackhub.launch.request import encode

words = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)
names = st.text(st.characters(exclude_characters="\0=", codec="utf-8"), min_size=1, max_size=10)
MARK = re.compile(rb"\n\[stackhub: (\d+) bytes were dropped here\]\n")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("kept") / "output"


def keep(path, chunks, most, ring=shim.RING):
    path.unlink(missing_ok=True)
    kept = shim.Kept(str(path), most, ring)
    for chunk in chunks:
        kept.add(chunk)
        assert len(kept.ring) <= 2 * kept.last + len(chunk)
    kept.end()
    os.close(kept.fd)
    return path.read_bytes()


@given(chunks=st.lists(st.binary(max_size=20), max_size=20), most=st.integers(0, 100))
def test_head_and_tail_are_kept_and_what_is_dropped_is_counted(file, chunks, most):
    whole = b"".join(chunks)

    found = keep(file, chunks, most)

    if len(whole) <= most:
        assert found == whole
    else:
        tail = most // 2
        head, count, rest = (
            found[: most - tail],
            *MARK.fullmatch(found[most - tail : len(found) - tail]).groups(),
            found[len(found) - tail :],
        )
        assert head == whole[: most - tail]
        assert rest == whole[len(whole) - tail :]
        assert int(count) == len(whole) - most


def test_a_long_output_takes_little_memory(file):
    found = keep(file, [b"%07d\n" % n for n in range(1000)], 4000, ring=64)

    assert found.startswith(b"0000000\n")
    assert found.endswith(b"0000999\n")
    assert len(found) < 4100


def test_a_full_disk_keeps_nothing_and_stops_nobody():
    kept = shim.Kept("/dev/full", 100)

    kept.add(b"x" * 1000)
    kept.end()

    os.close(kept.fd)
    assert kept.dropped == 950


def test_what_does_not_fit_on_the_disk_now_is_held_for_later(file):
    file.write_bytes(b"")
    kept = shim.Kept("/dev/full", 100)
    kept.add(b"first ")
    os.close(kept.fd)
    kept.fd = os.open(file, os.O_WRONLY | os.O_APPEND)
    kept.add(b"second")
    kept.end()
    os.close(kept.fd)

    assert file.read_bytes() == b"first second"


@given(
    argv=st.lists(words, min_size=1, max_size=5),
    env=st.dictionaries(names, words, max_size=5),
    stdin=st.binary(max_size=50),
    merge=st.booleans(),
)
def test_what_the_hub_asks_is_what_the_shim_understands(argv, env, stdin, merge):
    command = Command(argv=tuple(argv), cwd=Path("/some where"), env=env, stdin=stdin, merge_output=merge)

    heard = shim.Request(encode(command, 1234))

    assert [os.fsdecode(arg) for arg in heard.argv] == argv
    assert {os.fsdecode(name): os.fsdecode(value) for name, value in heard.env.items()} == env
    assert (heard.stdin, heard.merge, heard.most, heard.cwd) == (stdin, merge, 1234, b"/some where")


@given(cut=st.integers(0, 200))
def test_a_request_that_is_cut_short_is_not_obeyed(cut):
    said = encode(Command(argv=("echo", "hello"), cwd=Path("/"), env={"A": "b"}, stdin=b"stdin"), 10)

    with pytest.raises(SystemExit, match="cut short"):
        shim.Request(said[: min(cut, len(said) - 1)])


def test_a_request_of_another_format_is_not_obeyed():
    said = encode(Command(argv=("echo",), cwd=Path("/"), env={}), 10)
    count, _, rest = said.partition(b"\0")

    with pytest.raises(SystemExit, match="format 9"):
        shim.Request(count + b"\x009" + rest[1:])


def test_a_process_is_known_by_its_birth():
    assert shim.birth(os.getpid()) > 0
    assert shim.birth(2**22 + 1) == 0
    assert re.fullmatch(r"[0-9a-f-]{36}/pid:\[\d+\]", shim.space())
