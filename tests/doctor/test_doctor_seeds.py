"""Each way in which a service differs is named, with what follows, and none is invented."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.doctor.report import Report
from airflow_provider_segmind.emulator import Emulator, Fault
from tests.api.clock import Clock
from tests.doctor.conftest import differs, run, seen
from tests.doctor.seeds import ALONE, TOGETHER, Seed

pytestmark = pytest.mark.slow


def like(said: dict[str, Any], tmp_path: Path, clock: Clock) -> tuple[Report, int]:
    """Return the report on an emulator like a cassette, and the number of bills."""
    path = tmp_path / "like.json"
    path.write_text(json.dumps(said))
    with Emulator(clock=clock, like=path) as emulator:
        report = run(emulator, tmp_path / "out", clock, minutes=45)
        return report, len(emulator.charges)


def check(found: dict[str, str], seeds: list[Seed], page: str) -> None:
    wanted = {name: value for _, values, _ in seeds for name, value in values.items()}
    assert found.keys() == wanted.keys()
    assert [name for name, value in wanted.items() if value not in found[name]] == []
    said = " ".join(page.split())
    assert [follows for *_, follows in seeds if follows not in said] == []


def test_of_a_plain_emulator_nothing_differs_and_nearly_all_is_found_out(tmp_path, clock):
    with Emulator(clock=clock, job_seconds=60) as emulator:
        report = run(emulator, tmp_path, clock, minutes=45)
        assert len(emulator.charges) == 1
    assert differs(report) == {}
    assert {one.belief.name for one in report.findings if not one.seen} == {"polls-count", "failure"}


def test_of_an_emulator_like_a_plain_one_nothing_differs(cassette, tmp_path, clock):
    report, charges = like(cassette, tmp_path, clock)
    assert (differs(report), charges) == ({}, 1)


@pytest.mark.parametrize("seed", [*TOGETHER, *ALONE], ids=lambda seed: seed[0].__name__)
def test_one_difference_is_named_alone_and_with_what_follows(seed, cassette, tmp_path, clock):
    seed[0](cassette)
    report, charges = like(cassette, tmp_path, clock)
    check(differs(report), [seed], str(report))
    assert charges <= 1


def test_all_differences_together_are_named_and_no_other(cassette, tmp_path, clock):
    for change, *_ in TOGETHER:
        change(cassette)
    report, charges = like(cassette, tmp_path, clock)
    check(differs(report), TOGETHER, str(report))
    assert charges == 1


def test_a_cassette_of_an_imitation_says_the_same_as_what_it_imitates(cassette, tmp_path, clock):
    for change, *_ in TOGETHER:
        change(cassette)
    first, _ = like(cassette, tmp_path, clock)
    again = json.loads((tmp_path / "out" / "cassette.json").read_text())
    (tmp_path / "again").mkdir()
    second, _ = like(again, tmp_path / "again", Clock())
    assert seen(second).keys() == seen(first).keys()
    assert differs(second).keys() == differs(first).keys()


@pytest.mark.parametrize(
    ("kind", "shape", "status", "value"),
    [
        ("will-fail", "error", 200, None),
        ("will-fail", "error-list", 422, None),
        ("will-fail", "empty", 200, "200 without a reason"),
    ],
)
def test_a_job_that_failed_is_named_with_the_form_of_its_reason(kind, shape, status, value, tmp_path, clock):
    with Emulator(clock=clock, job_seconds=5) as emulator:
        emulator.script(Fault(kind, body=shape, status=status, after=1))  # the first is of an unknown workflow
        found = differs(run(emulator, tmp_path, clock))
    assert found.pop("job-end") == "FAILED"
    assert found == ({"failure": value} if value else {})


def test_a_refused_fragment_is_named_and_the_next_run_orders_without_it(tmp_path, clock):
    with Emulator(clock=clock) as emulator:
        emulator.script(Fault("406-parameter", after=1))
        first = run(emulator, tmp_path, clock)
        assert differs(first) == {"order": "refused"}
        assert emulator.charges == ()
        second = run(emulator, tmp_path, clock)
        (charge,) = emulator.charges
    assert "#" not in charge.inputs["character_image"]
    assert differs(second) == {}


def test_a_clock_that_is_wrong_is_named(tmp_path, clock):
    clock.ahead = 600
    with Emulator() as emulator:
        found = differs(run(emulator, tmp_path, clock, order=False))
    assert found.keys() == {"clock"}
    assert found["clock"].endswith("s ahead")


def test_what_was_seen_before_is_not_changed_by_reading_it(cassette):
    before = copy.deepcopy(cassette)
    TOGETHER[0][0](before)
    assert before != cassette
