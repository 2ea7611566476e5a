"""What checks found, in words for people who look at pictures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.findings import LOOK, findings_in, found_in, in_words
from airflow_provider_segmind.api.parameters import UNKNOWN, check_one_of
from airflow_provider_segmind.api.workflows import is_written


@pytest.mark.parametrize(
    ("name", "why", "words"),
    [
        ("person_count", "persons found: 0 on the source, 1 on the reference", "nobody in the photograph"),
        ("person_count", "persons found: 1 on the source, 0 on the reference", "nobody in the reference"),
        ("person_count", "persons found: 3 on the result", "3 people in the result"),
        ("person_count", "no numbers", "not one person in the picture"),
        ("changed_area_fraction", "0.0% changed: the source came back unchanged", "nothing was swapped"),
        ("changed_area_fraction", "96%: the result has nothing in common with it", "the result is another picture"),
        ("changed_area_fraction", "1%", "too little or too much of the picture changed"),
        ("sharpness", "0.1", "the result is blurred"),
        ("of_a_newer_version", "it is odd", ""),
        ("sharpness", f"{LOOK}0.1", f"{LOOK}the result is blurred"),
    ],
)
def test_a_check_is_said_in_words(name: str, why: str, words: str) -> None:
    assert in_words(name, why) == words


def test_a_report_says_each_finding_once() -> None:
    def check(name: str, verdict: str) -> dict[str, Any]:
        return {"name": name, "verdict": verdict, "why": f"why of {name}"}

    report = {
        "checks": [
            check("background_psnr", "fail"),
            check("background_ssim", "fail"),
            check("subject_area", "warn"),
            check("noise", "pass"),
            check("pose", "skipped"),
            check("new", "fail"),
        ]
    }
    assert findings_in(report) == ["the background changed", "the person is very small", "why of new"]
    assert [name for name, _ in found_in(report)] == ["background_psnr", "background_ssim", "new"]


def test_each_check_of_the_documentation_has_words() -> None:
    root = Path(__file__).parents[2]
    before = (root / "docs" / "quality.md").read_text().partition("| `readable`")[2]
    afterwards = (root / "benchmarks" / "results.md").read_text().partition("<!-- checks:begin -->")[2]
    names = re.findall(r"^\| `(\w+)` \|", before + afterwards.partition("<!-- checks:end -->")[0], re.MULTILINE)
    assert len(names) > 40
    assert [name for name in names if name != "results" and not in_words(name)] == []


def test_of_nobody_it_is_not_said_that_the_person_is_small() -> None:
    why = {"person_count": "persons found: 0 on the source", "subject_area": "the subject covers 0.5% of the source"}
    report = {"checks": [{"name": name, "verdict": "fail", "why": words} for name, words in why.items()]}
    assert findings_in(report) == ["nobody in the photograph"]


def test_a_text_with_a_template_is_not_yet_written() -> None:
    assert is_written("s3://b/a.png")
    assert not any(map(is_written, ("{{ ds }}", "{% if x %}", 7, None)))
    assert check_one_of("on_unknown_outcome", "fail", UNKNOWN) == "fail"
    with pytest.raises(InvalidRequestError, match="'fail' or 'resubmit'"):
        check_one_of("on_unknown_outcome", "hope", UNKNOWN)
