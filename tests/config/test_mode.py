"""Who is in shadow: a pipeline that says so, and every pipeline of a hub that does."""

import pytest

from stackhub.errors import ConfigError

ONE = "pipeline: x\n%stasks: {b: {uses: mill.build}}\n"


def mode(house, said="", hub=""):
    configuration = house.write(p_x=ONE % said, stackhub=hub).read()
    return configuration.pipelines["x"].mode


def test_a_pipeline_is_live_unless_it_says_otherwise(furnished):
    assert mode(furnished) == mode(furnished, "mode: live\n") == "live"
    assert mode(furnished, "mode: shadow\n") == "shadow"


def test_a_hub_in_shadow_has_no_live_pipeline_whatever_is_written(furnished):
    assert mode(furnished, "mode: live\n", "STACKHUB_MODE=Shadow\n") == "shadow"
    assert mode(furnished, "", "STACKHUB_MODE=live\n") == "live"


def test_going_live_is_a_change_of_the_pipeline(furnished):
    before = furnished.write(p_x=ONE % "mode: shadow\n").read().texts
    assert before != furnished.write(p_x=ONE % "").read().texts


def test_a_mode_that_there_is_not_is_refused(furnished):
    with pytest.raises(ConfigError, match="STACKHUB_MODE: should be 'live' or 'shadow'"):
        mode(furnished, "", "STACKHUB_MODE=dry\n")
