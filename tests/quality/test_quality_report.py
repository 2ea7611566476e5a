"""Reports, thresholds, and what importing them costs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.quality.inspect import check_swap
from airflow_provider_segmind.quality.report import Check, Report
from airflow_provider_segmind.quality.thresholds import Thresholds
from tests.quality.drawing import trio


def report(*verdicts):
    return Report("swap", tuple(Check(f"c{n}", v, n, 1.0, f"why {n}") for n, v in enumerate(verdicts)), ("core",), 0.25)


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [
        (("pass", "skipped"), "pass"),
        (("pass", "warn"), "warn"),
        (("warn", "fail", "pass"), "fail"),
        ((), "pass"),
    ],
)
def test_the_worst_check_decides_and_skipped_ones_do_not_count(verdicts, worst):
    assert report(*verdicts).verdict == worst


def test_a_summary_is_one_line_with_every_reason():
    assert report("pass", "pass").summary() == "swap pass (2 checks)"
    assert report("warn", "pass", "fail").summary() == "swap fail (c0: why 0; c2: why 2)"


def test_a_report_survives_json():
    source, result, reference = trio()
    plain = check_swap(source, result, reference).to_json()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["verdict"] == "pass"
    assert set(plain["checks"][0]) == {"name", "verdict", "value", "threshold", "why"}


def test_thresholds_are_replaced_by_name():
    assert Thresholds.of({"min_side": 256, "min_contrast": 3}) == Thresholds(min_side=256, min_contrast=3)
    assert Thresholds.of({}) == Thresholds()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"min_sides": 1}, ["min_sides", "min_side,"]),
        ({"min_side": "512"}, ["min_side", "'512'", "whole number"]),
        ({"min_side": 512.5}, ["min_side", "512.5"]),
        ({"min_side": True}, ["min_side", "True"]),
        ({"min_contrast": float("nan")}, ["min_contrast", "nan"]),
        ({"max_aspect_ratio": float("inf")}, ["max_aspect_ratio", "inf"]),
        ({"max_aspect_ratio": 0.5}, ["max_aspect_ratio", "0.5", "from 1"]),
        ({"min_changed_area": 2}, ["min_changed_area", "2", "to 1"]),
        ({"no_person": "maybe"}, ["no_person", "'fail' or 'warn'", "'maybe'"]),
        ({"min_background_ssim": 1.1}, ["min_background_ssim", "1.1", "to 1"]),
        ({"min_changed_area": 0.9, "max_changed_area": 0.8}, ["0.9", "0.8"]),
    ],
)
def test_a_wrong_threshold_is_named(values, words):
    with pytest.raises(InvalidRequestError) as caught:
        Thresholds.of(values)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("missing", ["ai_edge_litert", "numpy"])
def test_without_the_extra_requiring_it_is_refused_and_leaving_it_out_is_not(missing):
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from airflow_provider_segmind.quality.inspect import check_input, check_swap, qa_available\n"
        "from tests.quality.drawing import trio\n"
        "source, result, reference = trio()\n"
        "assert not qa_available()\n"
        "assert all(check_swap(source, result, reference, qa=qa).layers == ('core',) for qa in (None, False))\n"
        "for call in (check_input, check_swap):\n"
        "    try: call(source, result, qa=True)\n"
        "    except ValueError as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("InvalidRequestError qa=True requires")
        assert "Ask your Airflow administrator to run pip install 'airflow-provider-segmind[qa]'" in line


@pytest.mark.parametrize("module", ["report", "thresholds", "inspect"])
def test_importing_the_checks_imports_nothing_heavy(module):
    code = (
        f"import sys, airflow_provider_segmind.quality.{module}\n"
        "print([name for name in ('PIL', 'numpy', 'ai_edge_litert', 'airflow', 'requests') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
