"""The benchmark of waiting runs, and its counts agree; what it measures is not judged here."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow import __version__ as airflow_version

from benchmarks import results
from benchmarks.goals import goals
from benchmarks.polling import growth, measure, section
from benchmarks.scenarios import TINY


@pytest.mark.slow
@pytest.mark.skipif(airflow_version < "3.3", reason="what is measured is the triggerer of Airflow 3.3")
def test_all_variants_see_all_jobs_and_the_server_counts_them() -> None:
    found = measure(TINY)
    waited, emulated, long = found.values()
    for name in ("ours", "own_session", "http_sensor"):
        (seen,) = waited[name]
        assert seen["good"] == seen["fired"] == seen["seen"] == seen["jobs"] == 40, name
        assert seen["polls"] == seen["pending"] + 40, name
    (ours,), (peer,), (null,), (bare,) = (waited[name] for name in ("ours", "http_sensor", "null", "bare"))
    assert ours["most_open"] <= ours["connections"] <= 16
    assert (ours["lookups"], peer["lookups"]) == (1, 40)
    assert peer["connections"] == peer["polls"]
    assert (null["polls"], null["good"]) == (0, 40)
    # Its last polls are under way when it stops counting.
    assert bare["sent"] <= bare["polls"] <= bare["sent"] + 16
    for (seen,) in (emulated["batch"], emulated["bare"], long["batch"]):
        assert seen["good"] == 40
    assert long["batch"][0]["polls"] == 40
    assert {goal.what: goal.measured for goal in goals(found)}["connection lookups for 40 jobs"] == "1"
    assert section(found, "0").count("| all |") == 5
    assert growth(found).count("<circle") == 4 * 3 + 2


def test_a_section_of_the_results_is_renewed_without_the_others(tmp_path: Path) -> None:
    path = tmp_path / "results.md"
    for name, text in (("one", "first"), ("two", "second"), ("one", "third")):
        results.write(name, text, path)
    written = path.read_text(encoding="utf-8")
    assert "first" not in written
    assert written.index("third") < written.index("second")
    assert written.count(":begin") == written.count(":end") == 2
