"""Which revision of the project a job has read, by git itself."""

import subprocess

import pytest
from dbt_stage import RECORDED, answer_to, asking, begun, ended

from stackhub_dbt.revision import changed, revision


@pytest.fixture
def git(stage):
    root = stage.grounds.root

    def git(*words):
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(root), *who, *words], check=True, capture_output=True)

    git("init", "-q")
    git("add", "dbt_project.yml")
    git("commit", "-qm", "first")
    return git


def test_a_project_in_no_repository_has_none(tmp_path):
    assert revision(tmp_path / "nowhere") == ""


def test_a_revision_says_whether_files_differ_from_it(stage, git):
    first = revision(stage.grounds.root)
    assert len(first) == 12
    project = stage.grounds.root / "dbt_project.yml"
    project.write_text(project.read_text() + "version: 1\n")
    assert revision(stage.grounds.root) == f"{first}+changes"
    git("commit", "-qam", "second")
    assert revision(stage.grounds.root) not in {first, f"{first}+changes", ""}


def test_where_git_hangs_or_is_missing_nothing_is_known(stage, git, monkeypatch):
    monkeypatch.setenv("PATH", str(stage.grounds.root))
    assert revision(stage.grounds.root) == ""


async def test_a_job_says_which_revision_it_has_read(stage, dbt, git):
    stage.plays(says=str(RECORDED / "v1_nothing.jsonl"), code=0)
    answer = await answer_to(stage, dbt, asking())
    assert answer.result["revision"] == revision(stage.grounds.root)
    assert "underneath" not in answer.warning


async def test_files_that_change_underneath_a_job_are_told(stage, dbt, git):
    before = revision(stage.grounds.root)
    handle = await begun(stage, dbt, asking())
    git("commit", "-q", "--allow-empty", "-m", "second")
    stage.grounds.gate.say()
    answer = await ended(stage, dbt, handle)
    assert answer.result["revision"] == before
    assert f"the project changed underneath: {before}, then {revision(stage.grounds.root)}" in answer.warning


def test_nothing_is_said_of_a_change_where_nothing_was_known_before():
    assert changed("", "3f2a1c9d04b7") == ""
    assert changed("3f2a1c9d04b7", "") == "the project changed underneath: 3f2a1c9d04b7, then no git"
