"""The benchmark of waiting runs, and its counts agree; what it measures is not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import results

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_all_variants_see_all_jobs_and_the_server_counts_them() -> None:
    command = (sys.executable, "-m", "benchmarks.polling", "--quick")
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stderr
    (measured,) = json.loads(ended.stdout).values()
    for name in ("ours", "own_session", "http_sensor", "sdk", "documented"):
        (seen,) = measured[name]
        assert seen["good"] == seen["fired"] == seen["seen"] == seen["jobs"] == 40, name
        assert seen["polls"] == seen["pending"] + 40, name
    (ours,), (peer,), (null,) = measured["ours"], measured["http_sensor"], measured["null"]
    assert ours["most_open"] <= ours["connections"] <= 16
    assert ours["lookups"] == 1
    assert peer["lookups"] == 40
    assert peer["connections"] == peer["polls"]
    assert (null["polls"], null["good"]) == (0, 40)
    (bare,) = measured["bare"]
    # Its last polls are under way when it stops counting.
    assert bare["sent"] <= bare["polls"] <= bare["sent"] + 16


def test_a_section_of_the_results_is_renewed_without_the_others(tmp_path: Path) -> None:
    path = tmp_path / "results.md"
    for name, text in (("one", "first"), ("two", "second"), ("one", "third")):
        results.write(name, text, path)
    written = path.read_text(encoding="utf-8")
    assert "first" not in written
    assert written.index("third") < written.index("second")
    assert written.count(":begin") == written.count(":end") == 2
