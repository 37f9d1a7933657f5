"""SQL is cut where a database would cut it, and a parameter is one only where a database would read one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackhub_sql.statements import checked, split

OPAQUE = [
    "'it''s; :no'",
    '"a;b:no"',
    "`a;:no`",
    "-- ;:no '\n",
    "/* ; :no /* ' */ ; */",
    "$$ ; :no ' $$",
    "$tag$ $$ ;:no $tag$",
    "E'\\'; :no'",
]
PLAIN = ["select", "x", "1", "=", "(", ")", ",", "::int", "a[1:n]", "p:f", "\\:k", " := ", "%"]


@pytest.mark.parametrize("held", OPAQUE)
def test_what_is_quoted_or_a_comment_holds_no_end_and_no_parameter(held):
    [first, second] = split(f"select {held} , :yes; select 2")

    assert first.names == ("yes",)
    assert held.strip() in "".join(first.parts)
    assert second.parts == ("select 2",)


@settings(max_examples=50)
@given(st.lists(st.lists(st.sampled_from([*OPAQUE, *PLAIN, ":name"]), min_size=1), min_size=1))
def test_what_was_put_together_is_taken_apart_again(pieces):
    texts = [" select 1 " + " ".join(some) for some in pieces]

    found = split(";".join(texts))

    assert [one.names.count("name") for one in found] == [some.count(":name") for some in pieces]
    for one, text in zip(found, texts, strict=True):
        joined = "".join(part if at % 2 == 0 else f":{part}" for at, part in enumerate(one.parts))
        assert joined == text.replace("\\:k", ":k").strip()


@settings(max_examples=50)
@given(st.text(alphabet=";:'\"`$-/*\\ \nabeginend()[]1%E{}", max_size=60))
def test_any_text_is_cut_or_refused_and_nothing_of_it_gets_lost(text):
    try:
        found = split(text)
    except ValueError as err:
        told = str(err)
    else:
        told = ""
    if told:
        assert told.endswith("is not closed")
        return
    kept = "".join("".join(one.parts) for one in found)
    assert all(one.parts for one in found)
    if not any(mark in text for mark in ("--", "/*")):
        bare = text.translate(dict.fromkeys(map(ord, "; \n\\:")))
        assert bare == kept.translate(dict.fromkeys(map(ord, "; \n\\:")))


@pytest.mark.parametrize(
    "text",
    [
        "create trigger t after insert on x begin update y set a = case when 1 then 2 end; delete from z; end",
        "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END",
        "create procedure p() begin if a then select 1; end if; while b do select 2; end while; end",
        "create function f() returns int language sql as $$ select 1; select 2; $$",
    ],
)
def test_a_body_is_part_of_its_statement(text):
    assert ["".join(one.parts) for one in split(f"{text}; select 1")] == [text, "select 1"]


def test_a_table_named_like_a_block_is_none():
    assert len(split("create table a (b int); insert into begin values (1); select 1")) == 3


@pytest.mark.parametrize("text", ["", " ;; ", "-- nothing\n/* at all */;"])
def test_blanks_and_comments_are_no_statement(text):
    assert split(text) == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("select 1;\nselect 'a", "' in line 2 is not closed"),
        ("/* /* */ select 1", "/* in line 1 is not closed"),
        ("\n\nselect $q$ x", "$q$ in line 3 is not closed"),
    ],
)
def test_what_is_not_closed_is_told_by_its_line(text, told):
    with pytest.raises(ValueError) as err:
        split(text)
    assert str(err.value) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "select * from t where day = '{{ interval.start_date }}'",
            "nothing is put into the text of SQL: for {{ interval.start_date }} write :interval_start_date",
        ),
        (
            "delete from t where name = '{{trigger.name}}'",
            "nothing is put into the text of SQL: for {{ trigger.name }} write params: {x: '{{ trigger.name }}'}, and :x",
        ),
        (
            "select :interval_strat, :since",
            (
                "nobody gives :interval_strat: did you mean :interval_start? give it under params, "
                "or write \\:interval_strat for a plain colon"
            ),
        ),
        ("select 1", "params: :since is never used"),
        ("-- nothing", "there is no statement in it"),
    ],
)
def test_what_does_not_go_together_is_told_with_the_way_out(text, told):
    with pytest.raises(ValueError) as err:
        checked([text], {"since": 1}, ["interval_start"])
    assert str(err.value) == told
