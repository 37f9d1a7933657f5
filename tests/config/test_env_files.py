"""Env files, the process environment over them, and the instances they make."""

import pytest
from config.fakes import BELL, GOOD, TAP
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from stackhub.config.env_files import read_env_file
from stackhub.config.findings import Findings


def tap(house):
    return house.read().instances["tap"].settings


def test_dotenv_is_read_as_dotenv_is(house):
    file = house.put(
        "x.env",
        "\ufeff# a comment\n\nA=1\nexport B=two # trailing\r\nC='single # kept'\nD=\"line\\nnext\"\nE=a#b\n"
        'F = spaced\nG=\nH="two\nlines"\n\nI=a=b\nJ="\\"q\\""\n',
    )
    found = read_env_file(file, findings := Findings())
    assert findings.problems == []
    assert {key: (entry.value, entry.line) for key, entry in found.entries.items()} == {
        "A": ("1", 3),
        "B": ("two", 4),
        "C": ("single # kept", 5),
        "D": ("line\nnext", 6),
        "E": ("a#b", 7),
        "F": ("spaced", 8),
        "G": ("", 9),
        "H": ("two\nlines", 10),
        "I": ("a=b", 13),
        "J": ('"q"', 14),
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("TAP_API_KEY=abcd\n\nTAP_API_KEY=efgh", "tap.env:3: TAP_API_KEY stands here twice: first in line 1"),
        ("TAP_API_KEY=abcd\nTAP_PAGE", "tap.env:2: TAP_PAGE has no value: write TAP_PAGE=value"),
        ("TAP_API_KEY=abcd\nTAP_HOOK='open\n", "tap.env:2: cannot be read: expected KEY=value (an open quote?)"),
        (
            "TAP_API_KEY=abcd\n1X=2",
            "tap.env:2: the key is not a variable's name: letters, digits and _, not beginning with a digit",
        ),
        ("TAP_API_KEY=abcd\nTAP_API_UR=x", "tap.env:2: unknown key TAP_API_UR: did you mean 'TAP_API_URL'?"),
        ("TAP_API_KEY=abcd\ntap_page=1", "tap.env:2: unknown key tap_page: did you mean 'TAP_PAGE'?"),
        ("TAP_API_KEY=abcd\nTAP_PAGE=many", "tap.env:2: TAP_PAGE: should be a whole number"),
        ("TAP_API_KEY=abcd\nTAP_LABELS=[1]", "tap.env:2: TAP_LABELS: should be a mapping (key: value)"),
        ("TAP_API_KEY=abcd\nTAP_LABELS={", "tap.env:2: TAP_LABELS: should be a mapping (key: value)"),
        (
            "TAP_PAGE=3",
            ("tap.env: TAP_API_KEY is missing: set it in tap.env or in the process environment, "
            "or put the path of a file that holds it in TAP_API_KEY_FILE"),
        ),
        (b"TAP_API_KEY=abcd\nX=\xff", "tap.env:2: is not UTF-8: save the file as UTF-8"),
        ("TAP_API_KEY=ab\0cd", "tap.env:1: holds a NUL character"),
        ("#" * 1_000_001, "tap.env: is larger than 1000 KB: an env file holds a few lines"),
    ],
    ids=lambda text: repr(text)[:40],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_told_with_its_line(house, text, problem):
    house.put("tap.env", text)
    assert problem in house.problems()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("tapp.env", "tapp.env: unknown connector 'tapp': did you mean 'tap'?"),
        ("zzz.env", "zzz.env: unknown connector 'zzz'; there is bell, cellar, horn, mill, mill_fast, tap"),
        ("Tap.env", "Tap.env: is not called <connector>.env or <connector>.<name>.env, in lower-case letters, digits and _"),
        ("tap.a.b.env", "tap.a.b.env: is not called <connector>.env or <connector>.<name>.env, in lower-case letters, digits and _"),
        ("stackhub.eu.env", "stackhub.eu.env: there is one hub: its file is stackhub.env"),
    ],
)  # fmt: skip
def test_a_file_whose_name_says_nothing_is_a_problem(house, name, problem):
    house.put(name, "")
    assert house.problems() == [problem]


def test_hidden_files_and_directories_are_not_ours(house):
    house.put(".env", "X=1")
    (house.root / "venv.env").mkdir()
    assert house.problems() == []


def test_the_process_environment_wins_over_the_file_and_the_file_over_the_default(house):
    house.write(tap=TAP + "TAP_PAGE=7\nTAP_API_URL=https://file.example.com\n")
    house.environ |= {"TAP_API_URL": "https://env.example.com"}
    settings = tap(house)
    assert (settings.api_url, settings.page, settings.hook) == ("https://env.example.com", 7, None)


def test_what_is_empty_counts_as_not_given(house):
    house.write(tap=TAP + "TAP_PAGE=\nTAP_API_URL=https://file.example.com\n")
    house.environ |= {"TAP_API_URL": "", "TAP_API_KEY": ""}
    settings = tap(house)
    assert (settings.api_url, settings.page) == ("https://file.example.com", 100)


def test_a_named_instance_reads_its_own_prefix_from_the_environment_and_the_plain_one_from_its_file(house):
    house.write(tap=TAP, tap_eu="TAP_API_KEY=file-key\nTAP_PAGE=5\n")
    house.environ |= {"TAP_API_KEY": "env-key", "TAP_EU_PAGE": "9"}
    instances = house.read().instances
    assert instances["tap"].settings.api_key.get_secret_value() == "env-key"
    assert instances["tap.eu"].settings.api_key.get_secret_value() == "file-key"
    assert (instances["tap"].settings.page, instances["tap.eu"].settings.page) == (100, 9)


def test_a_key_under_the_instances_own_prefix_in_its_file_is_told_its_name_there(house):
    house.write(tap_eu="TAP_EU_API_KEY=file-key\n")
    assert "tap.eu.env:1: unknown key TAP_EU_API_KEY: in this file it is called TAP_API_KEY" in house.problems()


def test_an_unknown_variable_of_the_process_is_nobodys_business(house):
    house.write(tap=TAP)
    house.environ["TAP_API_KEYS"] = "x"
    assert house.problems() == []


def test_nothing_is_read_from_the_real_environment(house, monkeypatch):
    monkeypatch.setenv("TAP_PAGE", "nonsense")
    monkeypatch.setenv("STACKHUB_PORT", "nonsense")
    house.write(tap=TAP)
    assert tap(house).page == 100


@pytest.mark.parametrize("written", ["eu, us", '["eu", "us"]', "eu,us,"])
def test_a_list_is_written_with_commas_or_as_json(house, written):
    house.write(tap=f"{TAP}TAP_REGIONS='{written}'\nTAP_LABELS='{{\"a\": \"b\"}}'\n")
    assert tap(house).regions == ("eu", "us")
    assert tap(house).labels == {"a": "b"}


def test_name_file_reads_the_value_less_one_newline(house):
    (house.root / "secret").write_text("from-file\n\n")
    house.write(tap="TAP_API_KEY_FILE=secret\n")
    assert tap(house).api_key.get_secret_value() == "from-file\n"
    (house.root / "other").write_bytes(b"from-environment\r\n")
    house.environ["TAP_API_KEY_FILE"] = str(house.root / "other")
    assert tap(house).api_key.get_secret_value() == "from-environment"


def test_a_higher_layers_name_file_wins_over_a_lower_layers_value(house):
    (house.root / "secret").write_text("from-file")
    house.write(tap=TAP)
    house.environ["TAP_API_KEY_FILE"] = "secret"
    assert tap(house).api_key.get_secret_value() == "from-file"


def test_a_name_file_that_cannot_be_read_names_key_and_path(house):
    house.write(tap="\nTAP_API_KEY_FILE=/nowhere/x\n")
    assert house.problems() == ["tap.env:2: TAP_API_KEY_FILE: /nowhere/x cannot be read: No such file or directory"]
    house.environ["TAP_API_KEY_FILE"] = "."
    assert house.problems() == [f"TAP_API_KEY_FILE: {house.root} cannot be read: Is a directory"]
    (house.root / "empty").write_text("\n")
    house.environ["TAP_API_KEY_FILE"] = "empty"
    assert house.problems() == [f"TAP_API_KEY_FILE: {house.root}/empty is empty or larger than 1000 KB"]
    (house.root / "nul").write_bytes(b"ab\0cd")
    house.environ["TAP_API_KEY_FILE"] = "nul"
    assert house.problems() == [f"TAP_API_KEY_FILE: {house.root}/nul holds a NUL character"]
    (house.root / "latin").write_bytes(b"\xff\xfe")
    house.environ["TAP_API_KEY_FILE"] = "latin"
    assert house.problems() == [f"TAP_API_KEY_FILE: {house.root}/latin cannot be read: it is not UTF-8"]


def test_value_and_file_in_one_layer_are_a_problem_and_in_two_are_not(house):
    (house.root / "secret").write_text("from-file")
    house.write(tap=TAP + "TAP_API_KEY_FILE=secret\n")
    assert house.problems() == ["tap.env:2: TAP_API_KEY and TAP_API_KEY_FILE are both given: keep one"]
    house.write(tap=TAP)
    house.environ |= {"TAP_API_KEY": "abcd", "TAP_API_KEY_FILE": "secret"}
    assert house.problems() == ["TAP_API_KEY_FILE: TAP_API_KEY and TAP_API_KEY_FILE are both given: keep one"]


def test_further_variables_go_through_as_secrets_and_as_they_are_written(house):
    house.write(
        mill="MILL_TARGET=prod\nWAREHOUSE_PASSWORD=pass-word-1\nKEY_FILE=/key\nTHREADS=4\nDATA=../data/shop\nHERE=./data/shop\n"
    )
    instance = house.read().instances["mill"]
    assert instance.settings.target == "prod"
    assert {key: value.get_secret_value() for key, value in instance.settings.further.items()} == {
        "WAREHOUSE_PASSWORD": "pass-word-1",
        "KEY_FILE": "/key",
        "THREADS": "4",
        "DATA": "../data/shop",
        "HERE": "./data/shop",
    }
    assert all(isinstance(value, SecretStr) for value in instance.settings.further.values())
    assert instance.secrets == ("pass-word-1",)  # hiding every "4", or where things are, would make logs unreadable


def test_the_process_environment_wins_for_further_variables_of_the_default_instance_only(house):
    house.write(mill="PASSWORD=from-file\n", mill_eu="PASSWORD=from-eu-file\n")
    house.environ["PASSWORD"] = "from-environment"
    instances = house.read().instances
    assert instances["mill"].settings.further["PASSWORD"].get_secret_value() == "from-environment"
    assert instances["mill.eu"].settings.further["PASSWORD"].get_secret_value() == "from-eu-file"


def test_a_further_variable_that_is_nearly_a_setting_is_warned_of(house):
    house.write(mill="MILL_PROJECT_DIRR=x\nMILLET=1\n")
    assert house.warnings() == [
        "mill.env:1: MILL_PROJECT_DIRR is no setting and is handed on as it is: did you mean 'MILL_PROJECT_DIR'?",
    ]


def test_variables_in_env_files_are_not_filled_in_and_that_is_said(house):
    house.write(tap="TAP_API_KEY=${OTHER}x\n")
    house.environ["OTHER"] = "value"
    assert tap(house).api_key.get_secret_value() == "${OTHER}x"
    assert house.warnings() == [
        "tap.env:1: TAP_API_KEY holds `${`: variables are not filled in here, it is kept as written",
    ]


def test_relative_directories_stay_as_they_are_written(house):
    house.write(mill="MILL_PROJECT_DIR=../dbt\n")
    assert str(house.read().instances["mill"].settings.project_dir) == "../dbt"


@pytest.mark.parametrize(
    ("mode", "whom"), [(0o644, "everyone on this machine"), (0o640, "its whole group"), (0o604, "everyone on this machine")],
)  # fmt: skip
def test_a_file_with_a_secret_that_others_can_read_is_warned_of_with_the_command(house, mode, whom):
    file = house.put("tap.env", TAP)
    file.chmod(mode)
    assert house.warnings() == [f"tap.env: holds TAP_API_KEY and can be read by {whom}: chmod 600 {file}"]


def test_a_path_with_blanks_is_quoted_in_the_command(tmp_path, house):
    house.root = tmp_path / "my conf"
    house.root.mkdir()
    file = house.put("mill.env", "SECRET=opens-all\n")
    file.chmod(0o644)
    assert house.warnings() == [
        f"mill.env: holds SECRET and can be read by everyone on this machine: chmod 600 '{file}'"
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tap.env", "TAP_PAGE=1\n"),
        ("tap.env", "TAP_API_KEY=\n"),
        ("mill.env", "#\n"),
        ("mill.env", "DATA=../data/shop\n"),
        ("mill.env", "# Of the sandbox.\r\n# stackhub: public\r\nPASSWORD=opens-nothing\r\n"),
        ("mill.env", "PASSWORD=opens-nothing\n#stackhub:public"),
    ],
)
def test_a_file_without_a_secret_may_be_read_by_all(house, name, text):
    house.environ["TAP_API_KEY"] = "from-environment"
    house.put(name, text).chmod(0o644)
    assert house.warnings() == []


@pytest.mark.parametrize("text", ["PASSWORD='# stackhub: public'\n", "# not stackhub: public\nPASSWORD=opens-all\n"])
def test_only_a_line_of_its_own_makes_a_file_public(house, text):
    house.put("mill.env", text).chmod(0o644)
    assert "holds PASSWORD and can be read by everyone" in house.warnings()[0]


def test_instances_whose_variables_would_be_mixed_up_are_a_problem(house):
    house.write(mill_fast="")
    assert house.problems() == []
    house.put("mill_fast.env", "")
    assert house.problems() == [
        "mill_fast.env: mill.fast and mill_fast would both read MILL_FAST_* from the environment: rename one",
    ]


def test_a_dash_and_an_underscore_in_names_are_one_prefix(house):
    house.put("tap.eu-west.env", TAP)
    house.put("tap.eu_west.env", TAP)
    assert house.problems() == [
        "tap.eu_west.env: tap.eu-west and tap.eu_west would both read TAP_EU_WEST_* from the environment: rename one",
    ]


def test_an_instance_without_a_file_comes_from_the_environment_when_something_names_it(house):
    house.write(p_revenue=GOOD, bell=BELL)
    house.environ["TAP_API_KEY"] = "from-environment"
    instances = house.read().instances
    assert instances["tap"].source is None
    assert instances["bell"].source == house.root / "bell.env"
    assert set(instances) == {"tap", "mill", "cellar", "bell"}


def test_what_such_an_instance_lacks_is_told_once_where_it_is_first_named(house):
    house.write(p_revenue=GOOD, bell=BELL)
    assert house.problems() == [
        (
            "pipelines/revenue.yaml:15:16: TAP_API_KEY is missing: set it in tap.env or in the process environment, "
            "or put the path of a file that holds it in TAP_API_KEY_FILE"
        ),
    ]


SECRETS = {"TAP_API_KEY": "key-93f1", "TAP_HOOK": "bad-hook-77aa", "BELL_TOKEN": "token-5520", "MILL_PW": "further-88b"}


def test_no_secret_is_in_any_problem(house):
    house.write(tap="".join(f"{k}={v}\n" for k, v in SECRETS.items()) + "TAP_PAGE=x\n")
    told = "\n".join(house.problems())
    assert "tap.env:2: TAP_HOOK: will not do: ***" in told
    assert not [secret for secret in SECRETS.values() if secret in told]


def test_no_secret_is_in_the_representation_of_a_configuration(house):
    house.write(tap=TAP, bell=BELL, mill="PW=further-secret\n", p_revenue=GOOD)
    configuration = house.read()
    shown = repr(configuration.instances) + str(configuration.hub) + repr(configuration.pipelines)
    assert not [
        secret for secret in ("tap-key-1", "bell-token-1", "further-secret", "cellar-secret") if secret in shown
    ]


def test_a_fingerprint_changes_with_a_secret_and_is_worth_nothing_without_the_key(house):
    def prints(key):
        return {name: one.fingerprint for name, one in house.read(key=key).instances.items()}

    house.write(tap=TAP, tap_eu=TAP)
    first = prints(b"k")
    assert prints(b"k") == first
    assert prints(b"other")["tap"] != first["tap"]
    house.write(tap_eu=TAP.replace("1", "2"))
    assert prints(b"k")["tap"] == first["tap"]
    assert prints(b"k")["tap.eu"] != first["tap.eu"]


@given(
    st.text(max_size=80)
    | st.lists(st.sampled_from(["A", "=", "'", '"', "\n", "#", " ", "\\", "$", "export "])).map("".join)
)
def test_any_text_is_an_env_file_or_problems_with_places(tmp_path_factory, text):
    file = tmp_path_factory.getbasetemp() / "x.env"
    file.write_text(text, encoding="utf-8", errors="replace")
    found = read_env_file(file, findings := Findings())
    lines = file.read_bytes().decode().count("\n") + file.read_bytes().decode().count("\r") + 1
    assert all(1 <= entry.line <= lines for entry in found.entries.values())
    assert all(problem.place.startswith("x.env:") for problem in findings.problems)
