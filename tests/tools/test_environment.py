"""Commands that fail say so, and none is led into the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.environment import CheckError, clean_environment, run


def test_nothing_of_this_process_leads_a_program_into_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "PYTHONHOME", "AIRFLOW_HOME", "AIRFLOW__CORE__DAGS_FOLDER", "SEGMIND_API_KEY"):
        monkeypatch.setenv(name, "somewhere")
    monkeypatch.setenv("PIP_QUIET", "1")
    made = clean_environment()
    assert "somewhere" not in made.values()
    assert made["PIP_QUIET"] == "1"


def test_a_failing_command_says_what_it_wrote_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CheckError) as caught:
        run("/bin/sh", "-c", "echo here; echo there >&2; exit 3", cwd=tmp_path, remedy="Mend it.")
    assert str(caught.value).startswith("`sh -c")
    assert str(caught.value).endswith("ended with exit code 3:\n    here\n    there\nMend it.")
    with pytest.raises(CheckError, match=r"did not end within 0 s\. Mend it\."):
        run("sleep", "5", cwd=tmp_path, remedy="Mend it.", timeout=0.1)
    with pytest.raises(CheckError, match=r"cannot be run: .*Mend it\."):
        run(tmp_path / "missing", cwd=tmp_path, remedy="Mend it.")
