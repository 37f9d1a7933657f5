"""The JSON Schema for editors agrees with what is read."""

import json

import pytest
from config.fakes import CONNECTORS, GOOD

from stackhub.config.schema import schema
from stackhub.config.yaml_nodes import load

jsonschema = pytest.importorskip("jsonschema")


@pytest.fixture(scope="module")
def validator():
    made = schema(CONNECTORS)
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(made)


def valid(validator, text):
    return validator.is_valid(load(text.encode(), "x.yaml").data)


def test_a_good_file_is_good(validator):
    assert valid(validator, GOOD)


def test_it_is_plain_json(validator):
    assert json.loads(json.dumps(validator.schema)) == validator.schema


TASK = "pipeline: x\ntasks: {a: {%s}}\n"


@pytest.mark.parametrize(
    "task",
    [
        "uses: mill.build",
        "uses: mill.build, with: {partial: '${P}', select: [a, b]}",
        "uses: mill.build, with: {models: a b}",
        "uses: mill.build, with: {models: [a, b]}",
        "uses: tap.sync, with: {connection: c, rows: '{{ trigger.n }}'}",
        "uses: tap.sync, with: {connection: c, rows: 5}, needs: [b, {task: c, complete: true}]",
        "uses: cellar.check, with: {url: '${U}', headers: {a: '${B}'}}",
    ],
)
def test_good_tasks_are_good(validator, task):
    assert valid(validator, TASK % task)


@pytest.mark.parametrize(
    "task",
    [
        "uses: mill.bild",
        "with: {}",
        "uses: tap.sync",
        "uses: tap.sync, with: {}",
        "uses: tap.sync, with: {conection: c}",
        "uses: tap.sync, with: {connection: c, rows: many}",
        "uses: tap.sync, with: {connection: c, rows: -1}",
        "uses: mill.build, with: {models: 5}",
        "uses: mill.build, timeout: 5",
        "uses: mill.build, timeout: soon",
        "uses: mill.build, timeout: ",
        "uses: mill.build, need: [b]",
        "uses: mill.build, needs: b",
        "uses: mill.build, retries: {attempts: 0}",
    ],
)
def test_bad_tasks_are_bad(validator, task):
    assert not valid(validator, TASK % task)


@pytest.mark.parametrize(
    ("line", "good"),
    [
        ("schedule: {every: 15m}", True),
        ("schedule: [{every: 15m}, {cron: '0 6 * * *'}]", True),
        ("schedule: {evry: 15m}", False),
        ("sla: {finish_by: '07:30'}", True),
        ("sla: {finish_by: '7:30'}", False),
        ("triggers: [{pipeline: y}]", True),
        ("triggers: [{landed: ['tap:orders'], any: true}]", True),
        ("triggers: [{landed: tap:orders}]", False),
        ("triggers: [{land: ['tap:orders']}]", False),
        ("alerts: []", True),
        ("alerts: [{to: bell, channel: c, on: [failed], severity: error}]", True),
        ("alerts: [{to: bell.eu, loud: '${LOUD}'}]", True),
        ("alerts: [{to: bell, chanel: c}]", False),
        ("alerts: [{to: bell.eu, loud: very}]", False),
        ("alerts: [{to: horn}]", False),
        ("alerts: [{to: horn, melody: m}]", True),
        ("alerts: [{on: [failed]}]", False),
        ("owner: ", False),
        ("catchup: some", False),
    ],
)
def test_the_rest_of_a_file(validator, line, good):
    assert valid(validator, f"{line}\n{TASK % 'uses: mill.build'}") is good


def test_a_file_needs_a_name_and_tasks(validator):
    assert not valid(validator, "pipeline: x")
    assert not valid(validator, "tasks: {a: {uses: mill.build}}")
    assert not valid(validator, "pipeline: x\ntasks: {}")
