import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackhub.config.expand import expand, references, substitute
from stackhub.errors import ConfigError

ENVIRON = {"A": "one", "EMPTY": "", "TRICKY": "${A} {{ run.id }} $${A}"}


@pytest.mark.parametrize(
    ("written", "expanded"),
    [
        ("${A}", "one"),
        ("x${A}y${A}", "xoneyone"),
        ("${A:-two}", "one"),
        ("${B:-two}", "two"),
        ("${B:-}", ""),
        ("${EMPTY}", ""),
        ("${EMPTY:-two}", "two"),
        ("$${A}", "${A}"),
        ("$A $ {A} a$", "$A $ {A} a$"),
        ("${TRICKY}", "${A} {{ run.id }} $${A}"),
        ("{{ run.id }} {{{{", "{{ run.id }} {{{{"),
        ({"k": ["${A}", 1, None, {"${A}": "${A}"}]}, {"k": ["one", 1, None, {"${A}": "one"}]}),
    ],
)
def test_variables_are_filled_in_once_and_everywhere_but_in_keys(written, expanded):
    assert expand(written, ENVIRON) == expanded


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        (
            "${B}",
            (
                "the variable B is not set in the environment; set it, give a default with ${B:-...}, "
                "or write $${B} for a literal ${B}"
            ),
        ),
        ("${B-x}", "`${B-x}` is neither ${VAR} nor ${VAR:-default}; write `$${` for a literal `${`"),
        ("${1}", "`${1}` is neither ${VAR} nor ${VAR:-default}; write `$${` for a literal `${`"),
        ("${}", "`${}` is neither ${VAR} nor ${VAR:-default}; write `$${` for a literal `${`"),
        ("a ${A", "`${` is not closed; write `$${` for a literal `${`"),
    ],
)
def test_what_cannot_be_filled_in_is_told_with_the_way_out(written, fault):
    with pytest.raises(ConfigError) as raised:
        expand({"deep": [written]}, ENVIRON, place="x.yaml:1:2")
    assert str(raised.value) == f"x.yaml:1:2: deep[0]: {fault}"


def test_every_missing_variable_is_told_at_once():
    with pytest.raises(ConfigError) as raised:
        expand(["${B}", "${C} ${D}"], {})
    assert [problem.text.split()[3] for problem in raised.value.problems] == ["B", "C", "D"]


def test_names_of_the_run_are_filled_in_and_what_they_hold_is_not_read_again():
    found = substitute(
        "{{run.id}} {{ run.id }} ${A} {{{{ {{ x }} }}", ENVIRON, {"run.id": "R ${A}", "x": "{{ run.id }}"}
    )
    assert found.value == "R ${A} R ${A} one {{ {{ run.id }} }}"
    assert found.faults == []


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("{{ run.idd }}", "unknown name 'run.idd' in {{ }}; write `{{{{` for a literal `{{`: did you mean 'run.id'?"),
        ("{{.Names}}", "unknown name '.Names' in {{ }}; write `{{{{` for a literal `{{`; there is run.id"),
        ("{{ run.id", "`{{` is not closed; write `{{{{` for a literal `{{`"),
    ],
)
def test_an_unknown_name_is_told(written, fault):
    assert substitute(written, {}, {"run.id": "R"}).faults == [((), fault)]


def test_a_values_place_in_a_message_is_taken_by_its_name():
    found = substitute("${A}-${LONG}", {"A": "x1y2", "LONG": "x1y2z3"}, None)
    assert found.hide("no such unit: x1y2z3 x1y2") == "no such unit: ${LONG} ${A}"
    assert substitute("${A}", {"A": "1"}, None).hide("1 of 10") == "1 of 10"


def test_references_are_listed_with_their_defaults():
    assert references("${A} $${B} ${C:-d} {{ x }}") == [("A", None), ("C", "d")]


@given(
    st.text() | st.lists(st.sampled_from(["$", "{", "}", "A", ":-", " ", "{{", "}}", "run.id", "${A}"])).map("".join)
)
def test_any_text_expands_or_is_a_config_error(text):
    with contextlib.suppress(ConfigError):
        assert isinstance(expand(text, ENVIRON), str)


@given(st.text(st.characters(exclude_characters="${")))
def test_text_without_dollar_and_brace_stays_as_it_is(text):
    assert expand(text, {}) == text
    assert substitute(text, {}, {}).value == text


@given(st.lists(st.sampled_from(["${", "{{", "}", "}}", "$", "{"])).map("-".join))
def test_a_literal_can_always_be_written(text):
    escaped = text.replace("${", "$${").replace("{{", "{{{{")
    assert substitute(escaped, {}, {}).value == text
