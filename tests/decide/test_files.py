"""Which files are ready: each once, when it does not grow any more."""

from hypothesis import given
from hypothesis import strategies as st

from stackhub.contract import File
from stackhub.decide.files import LONG, MANY, look


def test_more_files_than_a_run_may_take_are_left_for_the_next():
    many = [File(path=f"/in/{number:05}", mark="1", whole=True) for number in range(MANY + 3)]
    assert len(look(many, {}, {}, 0.0, 5.0).ready) == MANY
    long = [File(path=f"/in/{number}{'x' * 4000}", mark="1", whole=True) for number in range(30)]
    assert sum(len(file.path) + 1 for file in look(long, {}, {}, 0.0, 5.0).ready) <= LONG


names = st.sampled_from("abc")
changes = st.lists(st.tuples(names, st.sampled_from(["write", "remove", "look"]), st.integers(1, 4)), max_size=40)


@given(changes, st.booleans())
def test_every_version_that_stays_is_taken_exactly_once_and_none_that_grows(told, whole):
    """What is there at the end is taken; nothing is taken that changed less than the time to settle ago."""
    there, written, taken, ripening, took, now = {}, {}, {}, {}, [], 0.0
    for number, (name, what, wait) in enumerate([*told, *[("a", "look", 4)] * 3], start=1):
        if what == "write":
            there[name], written[name] = str(number), now
        elif what == "remove":
            there.pop(name, None)
        else:
            files = [File(path=path, mark=mark, whole=whole) for path, mark in there.items()]
            found = look(files, taken, ripening, now, 3.0)
            ripening = found.ripening
            for file in found.ready:
                assert whole or now - written[file.path] >= 3.0
                assert taken.get(file.path) != file.mark
                taken[file.path] = file.mark
                took.append((file.path, file.mark))
            for path in found.gone:
                del taken[path]
        now += wait
    assert taken.items() >= there.items()
    assert whole or len(set(took)) == len(took)
