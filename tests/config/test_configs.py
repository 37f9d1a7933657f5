"""The configurations that come with the product are good ones."""

from pathlib import Path

import pytest
from config.fakes import House

from stackhub import registry
from stackhub.config.read import read
from stackhub.config.schema import schema
from stackhub.config.yaml_nodes import load

CONFIGS = Path(__file__).parent.parent.parent / "configs"
OURS = ("demo", "example")


@pytest.mark.parametrize("name", OURS)
def test_a_configuration_that_comes_with_the_product_has_no_problems(name):
    found = read(CONFIGS / name, {}, registry.load, registry.installed())
    assert found.pipelines
    assert all("chmod" in warning.text for warning in found.warnings)  # a checkout's files are read by everyone


@pytest.mark.parametrize("name", OURS)
def test_editors_find_it_good_too(name):
    jsonschema = pytest.importorskip("jsonschema")
    made = schema([registry.load(connector) for connector in registry.installed()])
    for path in (CONFIGS / name / "pipelines").glob("*.yaml"):
        jsonschema.Draft202012Validator(made).validate(load(path.read_bytes(), path.name).data)


WORK = """\
pipeline: work
tasks:
  build: {uses: dbt.build}
  list: {uses: shell.run, with: {command: [ls]}}
  script: {uses: python.run, with: {script: x.py}}
"""


def test_dbt_shell_and_python_need_no_env_file(tmp_path):
    House(tmp_path).write(p_work=WORK)
    found = read(tmp_path, {}, registry.load, registry.installed())
    assert set(found.instances) == {"dbt", "python", "shell"}
