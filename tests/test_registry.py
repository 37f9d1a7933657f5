"""Connectors are found by name, ours and strangers' alike."""

import pytest

from stackhub import registry
from stackhub.contract import ConfigError


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """Make an installed distribution: its entry points, its extras, its modules."""

    def make(name, doors, *, extras=(), modules=None):
        home = tmp_path / name
        info = home / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        provides = "".join(f"Provides-Extra: {extra}\n" for extra in extras)
        (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{provides}")
        lines = "".join(f"{door} = {value}\n" for door, value in doors.items())
        (info / "entry_points.txt").write_text(f"[stackhub.connectors]\n{lines}")
        for module, text in (modules or {}).items():
            (home / f"{module}.py").write_text(text)
        monkeypatch.syspath_prepend(home)
        return home

    return make


def test_the_houses_own_connectors_are_found_without_importing_them():
    assert {"airbyte", "dbt", "fivetran", "pagerduty", "python", "shell", "slack"} <= set(registry.installed())


def test_a_strangers_connector_comes_through_the_same_door(distribution):
    module = "class Tool:\n    name = 'tool'\n\nconnector = Tool()\n"
    distribution("stackhub-tool", {"tool": "stackhub_tool_a:connector"}, modules={"stackhub_tool_a": module})
    assert "tool" in registry.installed()
    assert registry.load("tool").name == "tool"


def test_an_unknown_name_is_told_the_nearest_and_all_the_known():
    with pytest.raises(ConfigError) as told:
        registry.load("fivetrann")
    assert "no connector 'fivetrann': did you mean 'fivetran'? installed are airbyte, az, dbt, fivetran, gs" in str(
        told.value
    )


def test_a_name_like_no_other_is_told_the_known():
    with pytest.raises(ConfigError, match="no connector 'zzz': installed are airbyte"):
        registry.load("zzz")


def test_a_missing_library_is_told_by_the_extra_that_brings_it(distribution):
    distribution(
        "stackhub-tool",
        {"tool_cloud": "stackhub_tool_b:connector"},
        extras=("tool-cloud",),
        modules={"stackhub_tool_b": "import surely_not_installed.client\n"},
    )
    with pytest.raises(ConfigError) as told:
        registry.load("tool_cloud")
    assert str(told.value) == (
        "connector 'tool_cloud' needs surely_not_installed: pip install 'stackhub-tool[tool-cloud]'"
    )


def test_a_missing_library_without_an_extra_is_told_by_its_own_name(distribution):
    distribution(
        "stackhub-tool",
        {"tool": "stackhub_tool_c:connector"},
        modules={"stackhub_tool_c": "import surely_not_installed\n"},
    )
    with pytest.raises(ConfigError, match=r"needs surely_not_installed: pip install surely_not_installed$"):
        registry.load("tool")


def test_an_entry_point_that_names_nothing_is_told(distribution):
    distribution("stackhub-tool", {"tool": "stackhub_tool_d:connector"}, modules={"stackhub_tool_d": ""})
    with pytest.raises(ConfigError, match="'stackhub_tool_d:connector' names nothing"):
        registry.load("tool")


def test_an_object_that_is_called_otherwise_is_no_connector_of_this_name(distribution):
    distribution(
        "stackhub-tool",
        {"tool": "stackhub_tool_e:connector"},
        modules={"stackhub_tool_e": "connector = object()\n"},
    )
    with pytest.raises(ConfigError, match="names no connector called so"):
        registry.load("tool")


def test_a_name_that_two_distributions_claim_is_neithers(distribution):
    distribution("stackhub-one", {"tool": "stackhub_one:connector"})
    distribution("stackhub-two", {"tool": "stackhub_two:connector"})
    with pytest.raises(ConfigError, match="'tool' is claimed by stackhub-one and stackhub-two: uninstall one of them"):
        registry.load("tool")
