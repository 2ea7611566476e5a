"""Sources, commands, the smoke DAG's judge and the report: what stands around the checks."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_segmind.emulator import Emulator
from tools.release import commands, smoke, sources
from tools.release.findings import Finding, ReleaseError, Report

WORKFLOW = "678b67a76426baad7e539337-v4"


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.com")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with two committed files, of which one is changed, one new file and one that git ignores."""
    root = tmp_path / "checkout"
    (root / "package").mkdir(parents=True)
    (root / "package" / "module.py").write_text("committed\n")
    (root / ".gitignore").write_text("ignored\n")
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "First")
    (root / "package" / "module.py").write_text("changed\n")
    (root / "new").write_text("")
    (root / "ignored").write_text("")
    return root


def test_only_what_is_committed_is_exported(checkout: Path, tmp_path: Path) -> None:
    exported = sources.export(checkout, tmp_path / "exported")
    assert exported.files == {".gitignore", "package/module.py"}
    assert exported.read("package/module.py") == "committed\n"


def test_what_is_not_committed_is_said_and_stops_nothing(checkout: Path) -> None:
    (finding,) = sources.uncommitted(checkout)
    assert not finding.blocks
    assert finding.what == "not committed, so not checked: package/module.py, new"
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "--message", "Second")
    assert sources.uncommitted(checkout) == []


def test_files_are_listed_in_a_checkout_and_in_an_unpacked_sdist(checkout: Path, tmp_path: Path) -> None:
    there = [".gitignore", "new", "package/module.py"]
    assert sources.listed(checkout) == there
    assert sources.copied(checkout, tmp_path / "sdist").files == set(there)
    (tmp_path / "sdist" / "ignored").write_text("")
    assert sources.listed(tmp_path / "sdist") == there


def test_a_folder_without_git_is_no_release(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError) as caught:
        sources.commit_of(tmp_path)
    assert "git rev-parse" in caught.value.finding.what
    assert "Run it in a git checkout" in caught.value.finding.remedy


def test_nothing_of_this_process_leads_a_program_into_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "PYTHONHOME", "AIRFLOW_HOME", "AIRFLOW__CORE__DAGS_FOLDER", "SEGMIND_API_KEY"):
        monkeypatch.setenv(name, "somewhere")
    monkeypatch.setenv("PIP_QUIET", "1")
    made = commands.clean_environment()
    assert "somewhere" not in made.values()
    assert made["PIP_QUIET"] == "1"


def test_a_failing_command_says_what_it_wrote_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError) as caught:
        commands.run("/bin/sh", "-c", "echo here; echo there >&2; exit 3", cwd=tmp_path, remedy="Mend it.")
    assert caught.value.finding.remedy == "Mend it."
    assert "`sh -c" in caught.value.finding.what
    assert "ended with exit code 3:\n    here\n    there" in caught.value.finding.what
    with pytest.raises(ReleaseError, match="did not end within 0 s"):
        commands.run("sleep", "5", cwd=tmp_path, remedy="Mend it.", timeout=0.1)
    with pytest.raises(ReleaseError, match="cannot be run"):
        commands.run(tmp_path / "missing", cwd=tmp_path, remedy="Mend it.")


def swap(emulator: Emulator) -> tuple[str, str]:
    """Order a swap of the emulator and return its id and its picture's URL."""
    key = {"x-api-key": emulator.api_key}
    inputs = {
        "character_image": emulator.sample("scene"),
        "reference_character_image": emulator.sample("person"),
        "select_character": "woman",
    }
    ordered = requests.post(f"{emulator.url}/workflows/{WORKFLOW}", json=inputs, headers=key, timeout=10).json()
    job = emulator.jobs[ordered["request_id"]]
    return job.request_id, f"{emulator.url}/outputs/{job.picture}"


def ledger(emulator: Emulator) -> list[dict[str, Any]]:
    return smoke.RunningEmulator(emulator.url, emulator.api_key).charges()


def test_a_run_that_deferred_and_got_its_picture_for_one_charge_is_good() -> None:
    with Emulator() as emulator:
        request_id, url = swap(emulator)
        printed = f"[DAG TEST] running trigger in line\nRequest {request_id} made {url}\n"
        assert smoke.judge(printed, ledger(emulator)) == []


def test_a_run_that_did_not_defer_or_was_charged_twice_or_has_no_picture_is_not() -> None:
    with Emulator() as emulator:
        request_id, url = swap(emulator)
        swap(emulator)
        printed = f"Request {request_id} made {url}x\n"
        found = [finding.what for finding in smoke.judge(printed, ledger(emulator))]
    assert [what.partition(":")[0] for what in found] == [
        "the sensor of body_swap did not defer",
        "one run of body_swap was charged 2 times, not once",
        f"the picture is of request {request_id}, which was not what was charged",
        "the picture of body_swap cannot be read",
    ]
    assert "the last task of body_swap named no picture" in [finding.what for finding in smoke.judge("", [])]


def test_all_steps_are_carried_out_and_all_findings_told_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> list[Finding]:
        raise ReleaseError("it broke\nhere", "Mend it.")

    report = Report()
    report.check("first", fails)
    assert report.make("second", lambda: 7) == 7
    report.check("third", lambda: [Finding("no date", "Write one.", blocks=False)])
    assert report.make("fourth", fails) is None
    report.skip("fifth", "there is no fourth")
    printed = [line.partition(" (")[0].strip() for line in capsys.readouterr().out.splitlines()]
    assert printed == [
        *("FAILED  first", "it broke", "ok  second", "warning  third", "no date", "FAILED  fourth", "it broke"),
        "not run  fifth: there is no fourth",
    ]
    report.conclude()
    told = capsys.readouterr().out
    assert report.blocked
    assert told.count("it broke\nhere\n  -> Mend it.") == 2
    assert told.index("no date\n  -> Write one.") < told.index("it broke")


def test_warnings_alone_do_not_stop_a_release() -> None:
    report = Report()
    report.check("first", lambda: [Finding("no date", "Write one.", blocks=False)])
    assert not report.blocked
