"""Secrets in what leaves the hub."""

from hypothesis import given
from hypothesis import strategies as st

from stackhub.server.redact import Redactor

SECRETS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=4, max_size=12), max_size=4)


@given(SECRETS, st.lists(st.text(max_size=8), max_size=5), st.randoms(use_true_random=False))
def test_no_secret_is_left_in_any_text(secrets, words, rng):
    parts = [*secrets, *words]
    rng.shuffle(parts)
    told = Redactor(secrets)("".join(parts))
    assert not any(secret in told for secret in secrets)


def test_a_secret_inside_a_secret_leaves_no_rest():
    assert Redactor(["pass", "password1"])("my password1 and pass") == "my *** and ***"


def test_what_is_too_short_to_be_one_is_left():
    assert Redactor(["1", "abc"])("1 abc") == "1 abc"


def test_old_secrets_stay_secret():
    redactor = Redactor(["first-secret"])
    redactor.learn(["second-secret"])
    assert redactor("first-secret second-secret") == "*** ***"


def test_values_are_searched_to_any_depth():
    redactor = Redactor(["hidden"])
    nested = {"a": ["hidden", {"hidden": ("x hidden", 3, None, True, 1.5)}], "b": ValueError("hidden")}
    assert redactor.value(nested) == {"a": ["***", {"***": ["x ***", 3, None, True, 1.5]}], "b": "***"}
    deep: object = "hidden"
    for _ in range(30):
        deep = [deep]
    assert "hidden" not in str(redactor.value(deep))
