"""A value has two limits: beyond one it fails, beyond the tighter one a person has to look."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest

from airflow_provider_segmind.quality.report import Check, Report
from airflow_provider_segmind.quality.rules import RULES
from airflow_provider_segmind.quality.thresholds import Thresholds, review_cuts


def verdict(value: float | None, name: str = "min_background_detail", **given: float) -> str:
    return Thresholds(**given).judge("background_detail", name, value, "its detail is {} times as strong").verdict


def test_a_doubtful_value_asks_for_a_look_and_a_plain_one_fails():
    review, fail = review_cuts()["min_background_detail"], Thresholds().min_background_detail
    assert fail < review < 1
    assert verdict(1.0) == "pass"
    assert verdict((review + fail) / 2) == "review"
    assert verdict(fail / 2) == "fail"
    assert verdict(None) == "skipped"


def test_a_threshold_that_is_set_decides_alone():
    assert verdict(0.5, min_background_detail=0.8) == "fail"
    assert verdict(0.05, min_background_detail=0.01) == "pass"


def test_a_look_is_asked_for_before_a_failure_and_never_after_it():
    defaults = Thresholds()
    names = {field.name for field in fields(Thresholds)}
    for name, review in review_cuts().items():
        assert name in names
        fail = getattr(defaults, name)
        assert review >= fail if name.startswith("min_") else review <= fail, name


def test_each_rule_has_a_threshold_and_words_with_a_place_for_the_value():
    assert {rule.threshold for rule in RULES} <= {field.name for field in fields(Thresholds)}
    assert all(rule.words.count("{}") == 1 for rule in RULES)
    assert len({rule.check for rule in RULES}) == len(RULES)


def test_the_reason_says_what_a_person_would_see_and_which_limit_counts():
    why = (
        Thresholds(max_empty_rows=0.1)
        .judge("empty_rows", "max_empty_rows", 0.31, "{} of its rows are empty", ".0%")
        .why
    )
    assert why == "31% of its rows are empty, at most 10% is wanted"


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [
        (("pass", "skipped"), "pass"),
        (("pass", "warn"), "warn"),
        (("warn", "review"), "review"),
        (("review", "fail"), "fail"),
    ],
)
def test_a_report_has_the_worst_verdict_and_names_what_is_doubtful(verdicts: tuple[str, ...], worst: str):
    checks = tuple(Check(f"check {number}", one, 1, 1, "so it is") for number, one in enumerate(verdicts))
    report = Report("swap", checks, ("core",), 0.1)
    assert report.verdict == worst
    assert [check.name for check in report.doubtful] == [check.name for check in checks if check.verdict == "review"]
    assert ("so it is" in report.summary()) == (worst != "pass")
    assert json.loads(json.dumps(report.to_json()))["verdict"] == worst
