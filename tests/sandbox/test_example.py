"""The example's files name settings and options that are there, and nothing in them is a real credential."""

import re

import pytest
import yaml
from dotenv import dotenv_values

from stackhub import registry
from stackhub.sandbox import configurations

EXAMPLE = configurations() / "example"
CONNECTORS = sorted(path.stem for path in EXAMPLE.glob("*.env") if path.stem != "stackhub")
OFFERED = re.compile(r"^#(?=[A-Z_]+=)", re.MULTILINE)


def further(settings):
    return getattr(settings, "further_variables", False)


def keys_of(settings):
    return {f"{settings.model_config['env_prefix']}{field}".upper() for field in settings.model_fields}


@pytest.mark.parametrize("name", CONNECTORS)
def test_an_env_file_to_copy_is_accepted_as_it_is(name):
    settings = registry.load(name).settings
    settings(_env_file=EXAMPLE / f"{name}.env")


@pytest.mark.parametrize("name", CONNECTORS)
def test_every_option_that_is_offered_exists(name, tmp_path):
    settings = registry.load(name).settings
    everything = tmp_path / "all.env"
    everything.write_text(OFFERED.sub("", (EXAMPLE / f"{name}.env").read_text()))
    offered = {key for key in dotenv_values(everything) if key.startswith(settings.model_config["env_prefix"])}
    assert offered <= keys_of(settings)
    assert further(settings) or offered == set(dotenv_values(everything))


def test_the_pipeline_asks_for_operations_and_options_that_exist():
    declared = yaml.load((EXAMPLE / "pipelines" / "revenue.yaml").read_text(), yaml.BaseLoader)  # `on` is a word
    for task in declared["tasks"].values():
        name, operation = task["uses"].split(".")
        registry.load(name).operations[operation].options(**task["with"])
    for route in declared["alerts"]:
        told = {key: value for key, value in route.items() if key not in {"to", "on", "severity"}}
        registry.load(route["to"]).route(**told)


@pytest.mark.parametrize("path", sorted(EXAMPLE.glob("*.env")), ids=lambda path: path.name)
def test_what_is_secret_is_marked_to_be_changed(path, tmp_path):
    everything = tmp_path / "all.env"
    everything.write_text(OFFERED.sub("", path.read_text()))
    secrets = {
        key: value
        for key, value in dotenv_values(everything).items()
        if re.search(r"(KEY|SECRET|TOKEN|PASSWORD)$", key)
    }
    assert {key for key, value in secrets.items() if "changeme" not in value.replace("-", "")} == set()
