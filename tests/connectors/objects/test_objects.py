"""Files in buckets, on a real S3 server; and what its refusals are taken for."""

from datetime import timedelta
from pathlib import Path

import pytest
from s3 import KEYS

from stackhub.contract import ConfigError, Context, Files, Rejected, Unavailable
from stackhub_objects import az, gs, s3
from stackhub_objects.listing import above, translated


def settings(endpoint, **more):
    keys = {name.removeprefix("aws_"): value for name, value in KEYS.items()}
    return s3.settings(**{**keys, "region": "us-east-1", "endpoint": endpoint, **more})


async def listed(endpoint, url, most=1000, **more):
    async with s3.open(settings(endpoint, **more), Context(instance="s3")) as opened:
        assert isinstance(opened, Files)
        return await opened.files(url, most)


async def test_what_matches_is_listed_with_a_mark_that_changes_with_it(endpoint, bucket):
    for key in ("daily/a.csv", "daily/b.txt", "daily/deep/c.csv", "dailyish/d.csv", "e.csv"):
        bucket(key)
    found = await listed(endpoint, f"s3://{bucket.name}/daily/*.csv")
    assert [(one.path, one.whole) for one in found] == [(f"s3://{bucket.name}/daily/a.csv", True)]
    assert {one.path.rpartition("/")[2] for one in await listed(endpoint, f"s3://{bucket.name}/**/*.csv")} == {
        "a.csv", "c.csv", "d.csv", "e.csv",
    }  # fmt: skip
    bucket("daily/a.csv", b"other")
    (changed,) = await listed(endpoint, f"s3://{bucket.name}/daily/*.csv")
    assert changed.mark != found[0].mark


@pytest.mark.parametrize("further", ["AWS_ENDPOINT", "AWS_ENDPOINT_URL"])
async def test_what_the_env_file_does_not_say_comes_from_the_environment(endpoint, bucket, monkeypatch, further):
    bucket("daily/a.csv")
    given = {**{name.upper(): value for name, value in KEYS.items()}, "AWS_REGION": "us-east-1", further: endpoint}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    async with s3.open(s3.settings(), Context(instance="s3")) as opened:
        [found] = await opened.files(f"s3://{bucket.name}/daily/*.csv", 10)
    assert found.path == f"s3://{bucket.name}/daily/a.csv"


async def test_a_listing_of_many_pages_is_whole_and_one_beyond_the_most_is_enough(endpoint, bucket):
    for number in range(1100):
        bucket(f"in/{number:04}.csv", b"")
    assert len(await listed(endpoint, f"s3://{bucket.name}/in/*", 5000)) == 1100
    assert len(await listed(endpoint, f"s3://{bucket.name}/in/*", 50)) > 50


async def test_a_bucket_that_is_not_there_is_refused_by_name(endpoint):
    with pytest.raises(Rejected, match="s3://no-such-bucket: 404 NoSuchBucket"):
        await listed(endpoint, "s3://no-such-bucket/*")


async def test_a_store_that_does_not_answer_is_asked_again(bucket):
    with pytest.raises(Unavailable, match="does not answer"):
        await listed("http://127.0.0.1:1", f"s3://{bucket.name}/*")


async def test_every_page_passes_the_gate(endpoint, bucket):
    passed = []

    async def gate(*, wait):
        passed.append(wait)

    bucket("a.csv")
    async with s3.open(settings(endpoint), Context(instance="s3", gate=gate)) as opened:
        await opened.files(f"s3://{bucket.name}/*", 10)
    assert passed
    assert all(passed)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("Server returned non-2xx status code: 403 Forbidden: <Error><Code>AccessDenied</Code>", Rejected),
        ("Server returned non-2xx status code: 403 Forbidden: <Error><Code>InvalidAccessKeyId</Code>", ConfigError),
        ("Error performing PUT http://169.254.169.254/latest/api/token: denied", ConfigError),
        ("Server returned non-2xx status code: 503 Slow Down: <Error><Code>SlowDown</Code>", Unavailable),
        ("operation timed out", Unavailable),
    ],
)
async def test_what_a_store_says_is_sorted_by_what_happens_next(said, kind):
    from obstore.exceptions import GenericError

    from stackhub_objects.listing import Bucket

    def make(bucket, retries, patience):
        raise GenericError(said)

    with pytest.raises(kind):
        await Bucket("s3", make, Context(instance="s3")).files("s3://b/*", 1)


@pytest.mark.parametrize("kind", [gs, az])
async def test_the_others_open_without_asking_anybody(kind):
    async with kind.open(kind.settings(), Context(instance=kind.name)) as opened:
        assert isinstance(opened, Files)
    assert kind.limits(kind.settings()).rate > 0
    assert kind.sandbox(None) is None


@pytest.mark.parametrize(
    ("pattern", "matched", "missed"),
    [
        ("*.csv", ["a.csv", ".csv"], ["d/a.csv", "a.csvx"]),
        ("d/**/*.csv", ["d/a.csv", "d/e/f/a.csv"], ["a.csv", "dd/a.csv"]),
        ("d/**", ["d/a", "d/e/f"], ["d"]),
        ("a?[0-9].csv", ["ax1.csv"], ["a/1.csv", "axx.csv"]),
        ("[!a].csv", ["b.csv"], ["a.csv", "/.csv"]),
        ("a+b(1).csv", ["a+b(1).csv"], ["aab1.csv"]),
        ("[", ["["], ["x"]),
    ],
)
def test_globs(pattern, matched, missed):
    wanted = translated(pattern)
    assert [path for path in matched if not wanted.fullmatch(path)] == []
    assert [path for path in missed if wanted.fullmatch(path)] == []


def test_a_listing_begins_at_the_folder_that_all_of_it_stands_in():
    assert [above(pattern) for pattern in ("*.csv", "a/b/*.csv", "a/b*/c", "a/b/c.csv")] == ["", "a/b", "a", "a/b"]


def test_a_key_file_starts_at_the_configurations_directory(tmp_path):
    found = gs._config(gs.settings(service_account=Path("key.json")), tmp_path)
    assert found["service_account"] == str(tmp_path / "key.json")


def test_nothing_waits_for_long():
    from stackhub_objects.listing import RETRIES

    assert RETRIES["retry_timeout"] <= timedelta(seconds=30)
