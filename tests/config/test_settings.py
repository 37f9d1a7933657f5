"""The hub's own settings."""

from datetime import timedelta

import pytest
from config.fakes import BELL, TAP

from stackhub.model.pipeline import Route


def hub(house):
    return house.read().hub


def test_the_defaults_are_a_hub_of_ones_own_machine(house):
    settings = hub(house)
    assert settings.database_url.get_secret_value() == f"sqlite:///{house.root}/.stackhub/stackhub.db"
    assert settings.state_dir == house.root / ".stackhub"
    assert (settings.host, settings.port, settings.api_token, settings.timezone) == ("127.0.0.1", 8787, None, "UTC")
    assert (settings.grace, settings.retention, settings.log_max) == (
        timedelta(seconds=10),
        timedelta(days=90),
        50_000_000,
    )


def test_every_setting_is_read(house):
    house.write(
        stackhub="STACKHUB_DATABASE_URL=postgresql://u:pass@db/hub\nSTACKHUB_STATE_DIR=state\nSTACKHUB_HOST=0.0.0.0\n"
        "STACKHUB_PORT=0\nSTACKHUB_API_TOKEN=long-token\nSTACKHUB_TIMEZONE=Europe/Berlin\nSTACKHUB_LOG_FORMAT=JSON\n"
        "STACKHUB_LOG_LEVEL=Debug\nSTACKHUB_GRACE=1m\nSTACKHUB_RETENTION=30d\nSTACKHUB_LOG_MAX=1MB\n"
        "STACKHUB_HEARTBEAT_URL=https://beat.example.com/secret-path\nSTACKHUB_PUBLIC_URL=https://hub.example.com/\n",
    )
    configuration = house.read()
    settings = configuration.hub
    assert settings.state_dir == house.root / "state"
    assert (settings.port, settings.timezone, settings.log_format, settings.log_level) == (
        0,
        "Europe/Berlin",
        "json",
        "debug",
    )
    assert (settings.grace, settings.retention, settings.log_max) == (
        timedelta(minutes=1),
        timedelta(days=30),
        1_000_000,
    )
    assert settings.public_url == "https://hub.example.com"
    assert set(configuration.secrets) == {
        "postgresql://u:pass@db/hub",
        "pass",
        "long-token",
        "https://beat.example.com/secret-path",
    }


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("sqlite:///hub.db", "sqlite:///{root}/hub.db"),
        ("sqlite:////var/hub.db", "sqlite:////var/hub.db"),
        ("postgresql+psycopg://db/hub", "postgresql+psycopg://db/hub"),
    ],
)
def test_a_relative_sqlite_file_starts_at_the_configuration(house, written, meant):
    house.write(stackhub=f"STACKHUB_DATABASE_URL={written}\n")
    assert hub(house).database_url.get_secret_value() == meant.format(root=house.root)


def test_the_store_is_kept_where_the_state_is(house):
    house.environ["STACKHUB_STATE_DIR"] = "/var/lib/stackhub"
    assert hub(house).database_url.get_secret_value() == "sqlite:////var/lib/stackhub/stackhub.db"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("STACKHUB_DATABASE_URL=mysql://x", "STACKHUB_DATABASE_URL: should begin with sqlite:/// or postgresql://"),
        ("STACKHUB_PORT=70000", "STACKHUB_PORT: should be less than or equal to 65535"),
        ("STACKHUB_TIMEZONE=Europe/Berln", "STACKHUB_TIMEZONE: 'Europe/Berln' is no time zone: did you mean 'Europe/Berlin'?"),
        ("STACKHUB_TIMEZONE=Europe", "STACKHUB_TIMEZONE: 'Europe' is no time zone: did you mean 'Europe/Rome'?"),
        ("STACKHUB_LOG_FORMAT=xml", "STACKHUB_LOG_FORMAT: should be 'text' or 'json'"),
        ("STACKHUB_GRACE=10", "STACKHUB_GRACE: should be a duration, and 10 has no unit: write 10s, 10m or 10h"),
        ("STACKHUB_RETENTION=0d", "STACKHUB_RETENTION: should be longer than nothing"),
        ("STACKHUB_LOG_MAX=50", "STACKHUB_LOG_MAX: should be a size such as 50MB, 512KB or 1GiB"),
        ("STACKHUB_LOG_MAX=1B", "STACKHUB_LOG_MAX: should be 10KB at least"),
        ("STACKHUB_PUBLIC_URL=hub", "STACKHUB_PUBLIC_URL: should be an address such as https://stackhub.example.com"),
        ("STACKHUB_HEARTBEAT_URL=http://[", "STACKHUB_HEARTBEAT_URL: should be an address such as https://stackhub.example.com"),
        ("STACKHUB_PROT=1", "unknown key STACKHUB_PROT: did you mean 'STACKHUB_PORT'?"),
        ("STACKHUB_ALERTS=bel", "STACKHUB_ALERTS: unknown instance 'bel': did you mean 'bell'?"),
        ("STACKHUB_ALERTS=tap", "STACKHUB_ALERTS: tap is no notifier: it tells nobody anything"),
        ("STACKHUB_FALLBACK=tap", "STACKHUB_FALLBACK: tap is no notifier: it tells nobody anything"),
        (
            "STACKHUB_ALERTS=horn",
            ("horn cannot be told without options (melody: is required): list it under alerts: in the pipelines, "
            "and others in STACKHUB_ALERTS"),
        ),
    ],
)  # fmt: skip
def test_a_bad_setting_is_told_with_its_line(house, line, problem):
    house.write(tap=TAP, bell=BELL, stackhub=f"# the hub\n{line}\n")
    assert house.problems() == [f"stackhub.env:2: {problem}"]


def test_a_bad_setting_of_the_environment_is_told_by_its_name(house):
    house.environ["STACKHUB_PORT"] = "x"
    assert house.problems() == ["STACKHUB_PORT: should be a whole number"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "hub.example.com", "127.0.0.1.example.com"])
def test_a_host_that_others_reach_needs_a_token(house, host):
    house.environ["STACKHUB_HOST"] = host
    assert house.problems() == [
        (
            f"stackhub.env: STACKHUB_HOST={host} can be reached from other machines, so STACKHUB_API_TOKEN is needed: "
            "set one, or listen on 127.0.0.1"
        ),
    ]
    house.environ["STACKHUB_API_TOKEN"] = "a-long-token"
    assert house.problems() == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_loopback_needs_none(house, host):
    house.environ["STACKHUB_HOST"] = host
    assert hub(house).api_token is None


def test_without_alerts_every_notifier_with_a_file_hears_of_everything_that_opens(house):
    house.write(bell=BELL, bell_eu=BELL, tap=TAP)
    house.environ["BELL_US_TOKEN"] = "named by nobody"
    configuration = house.read()
    assert configuration.routes == (Route(to="bell"), Route(to="bell.eu"))
    assert configuration.fallback == ("bell", "bell.eu")


def test_alerts_name_whom_to_tell_and_may_name_who_has_no_file(house):
    house.write(bell=BELL, stackhub="STACKHUB_ALERTS=bell.us, bell, bell.us\nSTACKHUB_FALLBACK=bell\n")
    house.environ["BELL_US_TOKEN"] = "from-environment"
    configuration = house.read()
    assert [route.to for route in configuration.routes] == ["bell.us", "bell"]
    assert configuration.fallback == ("bell",)
