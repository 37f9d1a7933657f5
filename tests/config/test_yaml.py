import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackhub.config.yaml_nodes import MOST_BYTES, load
from stackhub.errors import ConfigError


def refused(text):
    raw = text if isinstance(text, bytes) else text.encode()
    try:
        return [str(problem) for problem in load(raw, "p.yaml").problems]
    except ConfigError as error:
        return [str(problem) for problem in error.problems]


def value(text):
    document = load(f"a: {text}\n".encode(), "p.yaml")
    assert not document.problems
    return document.data["a"]


@pytest.mark.parametrize(
    "text",
    ["no", "yes", "on", "off", "y", "N", "12:30", "07:30", "190:20:30", "2026-01-01", "1_000", "1,000", "0b11", "="],
)
def test_what_yaml_1_1_reads_as_something_else_is_text(text):
    assert value(text) == text


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("5", 5), ("-5", -5), ("+5", 5), ("0", 0), ("0o17", 15), ("0xff", 255), ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0),
        ("true", True), ("False", False), ("null", None), ("~", None), ('"5"', "5"), ("'no'", "no"), ('"0777"', "0777"),
    ],
)  # fmt: skip
def test_plain_words_are_read_as_yaml_1_2(text, read):
    found = value(text)
    assert found == read
    assert type(found) is type(read)


def test_keys_are_text_even_where_yaml_1_1_has_a_boolean():
    assert load(b"on: [failed]\nno: 1\n2026: x\n", "p.yaml").data == {"on": ["failed"], "no": 1, "2026": "x"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "a: 0777",
            ('p.yaml:1:4: a: 0777 begins with 0, which YAML 1.1 and 1.2 read differently: write "0777" for text, '
            "777 for a number, 0o777 for octal"),
        ),
        (
            "a: 089",
            'p.yaml:1:4: a: 089 begins with 0, which YAML 1.1 and 1.2 read differently: write "089" for text, 89 for a number',
        ),
        ("a: .inf", "p.yaml:1:4: a: .inf is not a number that can be used; put it in quotes if it is meant as text"),
        ("a: 1e999", "p.yaml:1:4: a: a number too large to hold; put it in quotes if it is meant as text"),
        ("a: " + "9" * 5000, "p.yaml:1:4: a: a number too large to hold; put it in quotes if it is meant as text"),
        ("a: 0x" + "f" * 18, "p.yaml:1:4: a: a number too large to hold; put it in quotes if it is meant as text"),
        ("a: 1\nb: 2\na: 3", "p.yaml:3:1: 'a' stands here twice: first in line 1, column 1"),
        ("x: {q: 1, q: 2}", "p.yaml:1:11: 'q' stands here twice: first in line 1, column 5"),
        ("a: !!str 5", "p.yaml:1:4: tags such as !!str are not read"),
        ("a: !thing {b: 1}", "p.yaml:1:4: tags such as !thing are not read"),
        ("a: *x", "p.yaml:1:4: *x stands for nothing: no &x before it"),
        ("a: &x [1, *x]", "p.yaml:1:11: *x stands inside its own &x"),
        ("b: &x {c: 1}\na:\n  <<: *x", "p.yaml:3:3: `<<` is YAML 1.1: write the keys out, or use `defaults:` for what all tasks share"),
        ("? [a]\n: b", "p.yaml:1:3: a key must be a word"),
        ("a: 1\n---\nb: 2", "p.yaml:2:1: a second document begins here: one pipeline per file"),
        ("%YAML 1.1\n---\na: 1", "p.yaml:1:1: files are read as YAML 1.2: take the %YAML line out"),
        ("", "p.yaml:1:1: is empty: a pipeline file begins with `pipeline:`"),
        ("# only this\n", "p.yaml:1:1: is empty: a pipeline file begins with `pipeline:`"),
        ("a:\n\t- b", "p.yaml:2:1: a tab: YAML is indented with spaces"),
        ("a:\n  b: 1\n  \tc: 2", "p.yaml:3:3: a tab: YAML is indented with spaces"),
        ("a: \x07", "p.yaml:1:4: the character '\\x07' cannot be in YAML"),
        (b"a: 1\nb: caf\xe9", "p.yaml:2:7: is not UTF-8: save the file as UTF-8"),
        ("a: 1".encode("utf-16"), "p.yaml:1:1: is not UTF-8: save the file as UTF-8"),
        ('a: "\\0"', "p.yaml:1:4: holds a character that cannot be used in text (NUL, or half of a pair)"),
        ("a: " + "[" * 41, "p.yaml:1:43: nested more than 40 deep"),
        ("- " * 41, "p.yaml:1:81: nested more than 40 deep"),
    ],
    ids=lambda text: repr(text)[:40],
)  # fmt: skip
def test_what_cannot_be_read_is_told_with_its_place(text, problem):
    assert refused(text) == [problem]


def test_a_syntax_error_names_line_and_column_and_where_it_began():
    (flow,) = refused("a: [1, 2\nb: 3\n")
    assert flow.startswith("p.yaml:2:2: cannot be read as YAML: while parsing a flow sequence")
    assert flow.endswith("(begun in line 1)")
    (nested,) = refused("a: b: c")
    assert nested.startswith("p.yaml:1:5: cannot be read as YAML: mapping values are not allowed")


def test_every_duplicate_and_every_doubtful_number_is_told_at_once():
    assert len(refused("a: 01\na: 1\nb: {c: 02, c: 1}\na: 2\n")) == 5


def test_a_file_may_be_a_megabyte_and_no_more():
    assert refused(b"a: " + b"x" * MOST_BYTES) == ["p.yaml: is larger than 1000 KB: a pipeline file is a few of them"]


def test_an_alias_stands_for_what_its_anchor_does():
    document = load(b"a: &x {k: [1]}\nb: *x\nc: [*x, *x]\n", "p.yaml")
    assert document.data == {"a": {"k": [1]}, "b": {"k": [1]}, "c": [{"k": [1]}, {"k": [1]}]}
    assert document.place(("b", "k", 0)) == "p.yaml:1:12"
    document.data["b"]["k"].append(2)
    assert document.data["a"] == {"k": [1]}


def test_a_billion_laughs_are_not_laughed():
    laughs = ["a0: &a0 [lol]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert refused("\n".join(laughs)) == ["p.yaml:1:1: its aliases make it too large"]


def test_a_long_text_behind_many_aliases_is_too_large():
    many = ", ".join(["*x"] * 1000)
    assert refused(f"a: &x {'y' * 10_000}\nb: [{many}]") == ["p.yaml:1:1: its aliases make it too large"]


def test_a_byte_order_mark_and_windows_line_ends_are_read():
    document = load(b"\xef\xbb\xbfa: 1\r\nb: x\r\n", "p.yaml")
    assert document.data == {"a": 1, "b": "x"}
    assert document.place(("b",)) == "p.yaml:2:4"


def test_the_place_of_what_is_missing_is_that_of_what_it_is_missing_from():
    document = load(b"tasks:\n  marts:\n    uses: x\nlist: [{a: 1}]\n", "p.yaml")
    assert document.place(("tasks", "marts", "with", "select")) == "p.yaml:2:3"
    assert document.place(("tasks", "marts", "uses")) == "p.yaml:3:11"
    assert document.place(("tasks", "marts", "uses"), key=True) == "p.yaml:3:5"
    assert document.place(("list", 0, "b")) == "p.yaml:4:8"
    assert document.place(("nothing",)) == "p.yaml:1:1"


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_document_or_problems(raw):
    assert all(problem.startswith("p.yaml") for problem in refused(raw))


PIECES = [
    "a",
    ": ",
    "- ",
    "\n",
    "  ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&x ",
    "*x",
    '"',
    "'",
    "|",
    ">",
    "!t ",
    "? ",
    "#",
    "\t",
    "07",
    "%",
    "---\n",
    "<<",
]


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_any_heap_of_yaml_is_a_document_or_problems(text):
    assert all(problem.startswith("p.yaml:") for problem in refused(text))
