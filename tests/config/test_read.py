"""A directory as a whole."""

import os
from collections import Counter

import pytest
from config.fakes import BELL, CONNECTORS, GOOD, TAP

from stackhub.config.read import find_directory, fingerprint_directory, read
from stackhub.errors import ConfigError


def test_a_directory_with_nothing_in_it_is_a_configuration(house):
    configuration = house.read()
    assert (configuration.pipelines, configuration.instances, configuration.routes, configuration.warnings) == (
        {},
        {},
        (),
        (),
    )


def test_a_directory_that_is_not_there_is_a_problem(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere: is no directory: name one with --config or STACKHUB_CONFIG"):
        read(tmp_path / "nowhere", {}, CONNECTORS.__getitem__, CONNECTORS)


def test_only_connectors_that_are_used_are_loaded_and_each_once(furnished):
    loaded = Counter()

    def load(name):
        loaded[name] += 1
        return CONNECTORS[name]

    furnished.write(p_revenue=GOOD)
    read(furnished.root, furnished.environ, load, CONNECTORS)
    assert loaded == {"tap": 1, "bell": 1, "mill": 1, "cellar": 1}


def test_a_connector_that_cannot_be_loaded_is_told_where_it_is_used(house):
    def load(name):
        raise ConfigError(f"connector {name!r} needs mill-core: pip install 'stackhub[mill]'")

    house.write(p_x="pipeline: x\ntasks: {m: {uses: mill.build}}\n", tap=TAP)
    with pytest.raises(ConfigError) as raised:
        read(house.root, {}, load, CONNECTORS)
    assert str(raised.value).splitlines() == [
        "pipelines/x.yaml:2:19: tasks.m.uses: connector 'mill' needs mill-core: pip install 'stackhub[mill]'",
        "tap.env: connector 'tap' needs mill-core: pip install 'stackhub[mill]'",
    ]


def test_sources_are_where_pipelines_were_written(furnished):
    furnished.write(p_a=GOOD, p_b="pipeline: second\ntasks: {m: {uses: mill.build}}\n")
    furnished.put("pipelines/c.yml", "pipeline: third\ntasks: {m: {uses: mill.build}}\n")
    furnished.put("pipelines/.#c.yaml", "an editor's: [")
    furnished.put("pipelines/notes.txt", "nothing of ours")
    root = furnished.root / "pipelines"
    assert furnished.read().sources == {"revenue": root / "a.yaml", "second": root / "b.yaml", "third": root / "c.yml"}


def test_a_pipeline_file_that_cannot_be_read_is_a_problem(furnished):
    file = furnished.put("pipelines/a.yaml", b"x" * 1_000_001)
    assert furnished.problems() == ["pipelines/a.yaml: is larger than 1000 KB: a pipeline file is a few of them"]
    file.write_bytes(b"\xff")
    assert furnished.problems() == ["pipelines/a.yaml:1:1: is not UTF-8: save the file as UTF-8"]


def test_the_revision_names_the_whole_of_it(furnished):
    def revision(**more):
        return furnished.read(key=b"k", **more).revision

    furnished.write(p_revenue=GOOD)
    seen = [revision()]
    assert revision() == seen[0]
    furnished.write(p_revenue=GOOD + "# a comment changes nothing\n")
    assert revision() == seen[0]
    changes = (
        {"p_revenue": GOOD.replace("75m", "76m")},
        {"tap": TAP.replace("1", "2")},
        {"stackhub": "STACKHUB_PORT=1\n"},
        {"bell_eu": BELL},
        {"p_more": "pipeline: more\ntasks: {m: {uses: mill.build}}\n"},
    )
    for change in changes:
        furnished.write(**change)
        seen += [revision()]
    assert len(set(seen)) == len(seen)


def test_without_a_kept_key_fingerprints_are_of_this_process(furnished):
    assert furnished.read().instances["tap"].fingerprint == furnished.read().instances["tap"].fingerprint
    assert furnished.read().instances["tap"].fingerprint != furnished.read(key=b"k").instances["tap"].fingerprint


def test_secrets_are_the_hubs_the_instances_and_the_options_longest_first(furnished):
    furnished.write(
        p_revenue=GOOD,
        stackhub="STACKHUB_API_TOKEN=hub-token-1\n",
        mill='KEY="-----BEGIN-----\nMIIEvQIBADANBgkqhkiG9w0\n-----END-----"\n',
    )
    secrets = furnished.read().secrets
    assert {"tap-key-1", "bell-token-1", "hub-token-1", "db://user:cellar-secret@host/db"} <= set(secrets)
    assert "MIIEvQIBADANBgkqhkiG9w0" in secrets  # logs come line by line
    assert list(secrets) == sorted(secrets, key=len, reverse=True)


def test_the_password_in_an_address_is_a_secret_of_its_own_and_a_sqlite_file_is_none(house):
    assert house.read().secrets == ()
    house.environ["STACKHUB_DATABASE_URL"] = "postgresql://hub:p%40ss-w0rd@db/hub"
    assert house.read().secrets == ("postgresql://hub:p%40ss-w0rd@db/hub", "p%40ss-w0rd", "p@ss-w0rd")


def test_the_directory_is_the_option_else_the_variable_else_configs_else_here(tmp_path):
    def found(option=None, **environ):
        return find_directory(option, environ, tmp_path)

    assert found() == tmp_path
    (tmp_path / "configs").mkdir()
    assert found() == tmp_path
    (tmp_path / "configs" / "stackhub.env").touch()
    assert found() == tmp_path / "configs"
    assert found(STACKHUB_CONFIG="elsewhere") == tmp_path / "elsewhere"
    assert found("/etc/stackhub", STACKHUB_CONFIG="elsewhere").as_posix() == "/etc/stackhub"
    assert found(STACKHUB_CONFIG="") == tmp_path / "configs"


def test_a_directorys_state_changes_with_its_files_and_with_nothing_else(furnished):
    def changed(act):
        before = fingerprint_directory(furnished.root)
        act()
        return fingerprint_directory(furnished.root) != before

    assert changed(lambda: furnished.write(p_revenue=GOOD))
    assert changed(lambda: furnished.write(tap=TAP + TAP))
    assert changed((furnished.root / "bell.env").unlink)
    assert changed(lambda: (furnished.root / "tap.env").rename(furnished.root / "tap.eu.env"))
    assert not changed(lambda: furnished.put("notes.txt", "x"))
    assert not changed(lambda: furnished.put("pipelines/.x.yaml.swp", "x"))
    assert not changed((furnished.root / ".stackhub").mkdir)


def test_a_file_swapped_behind_a_link_is_a_change(furnished):
    for name in ("one", "two"):
        os.utime(furnished.put(f"{name}.text", TAP), ns=(0, 0))
    link = furnished.root / "tap.eu.env"
    link.symlink_to("one.text")
    before = fingerprint_directory(furnished.root)
    link.unlink()
    link.symlink_to("two.text")
    assert fingerprint_directory(furnished.root) != before


def test_a_missing_directory_has_no_state(tmp_path):
    assert fingerprint_directory(tmp_path / "nowhere") == ()
