"""`partial:` as people write it, for the real dbt's options."""

from datetime import timedelta

import pytest

from stackhub import registry
from stackhub.config.read import read
from stackhub.errors import ConfigError
from stackhub.model.feeding import Partial, Rule

SHOP = "pipeline: shop\ntasks:\n  marts:\n    uses: dbt.%s\n    with:\n      partial: %s\n"


def declared(tmp_path, written, operation="build"):
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "shop.yaml").write_text(SHOP % (operation, written))
    found = read(tmp_path, {}, registry.load, registry.installed())
    return found.pipelines["shop"].task("marts").partial


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("true", Partial()),
        ("false", None),
        ("{wait: 30m}", Partial(wait=timedelta(minutes=30))),
        (
            '{rules: {"ads.*": optional, crm.notes: required}}',
            Partial(rules={"ads.*": Rule.OPTIONAL, "crm.notes": Rule.REQUIRED}),
        ),
    ],
)
def test_what_is_written_is_what_the_task_keeps(tmp_path, written, meant):
    assert declared(tmp_path, written) == meant


@pytest.mark.parametrize(
    ("written", "operation", "problem"),
    [
        (
            '{wait: "30"}',
            "build",
            r"shop.yaml:6:23: tasks.marts.with.partial.wait: should be a duration, and 30 has no unit",
        ),
        (
            "{rules: {crm.a: optionl}}",
            "run",
            r"shop.yaml:6:\d+: tasks.marts.with.partial.rules.crm.a: should be 'required' or 'optional'",
        ),
        ("{wiat: 3m}", "build", r"shop.yaml:6:\d+: tasks.marts.with.partial: unknown key 'wiat'"),
        ("true", "test", r"shop.yaml:6:7: tasks.marts.with: unknown key 'partial'"),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(tmp_path, written, operation, problem):
    with pytest.raises(ConfigError, match=problem):
        declared(tmp_path, written, operation)
