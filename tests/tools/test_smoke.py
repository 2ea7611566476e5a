"""What an installed provider has is tried, and a swap is judged; what fails is named."""

from __future__ import annotations

from typing import Any

import requests

import airflow_provider_segmind
from airflow_provider_segmind.emulator import Emulator
from tools import smoke

WORKFLOW = "678b67a76426baad7e539337-v4"


def test_an_option_whose_default_airflow_does_not_know_is_named() -> None:
    options = {name: {"default": "8"} for name in ("known", "unknown")}
    info = {"config": {"segmind": {"description": None, "options": options}}}
    known = {("segmind", "known"): "8"}
    problems = list(smoke.option_problems(info, lambda section, name: known.get((section, name))))
    assert problems == ["[segmind] unknown has the default '8'; Airflow says None"]


def test_it_finds_out_that_a_package_is_not_of_its_environment() -> None:
    """The package of these tests is that of the checkout."""
    assert list(smoke.installed_problems()) == [
        f"airflow_provider_segmind is not of this environment: {airflow_provider_segmind.__file__}"
    ]


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


def charged(emulator: Emulator) -> list[str]:
    return [charge.request_id for charge in emulator.charges]


def test_a_run_that_deferred_and_got_its_picture_for_one_charge_is_good() -> None:
    with Emulator() as emulator:
        request_id, url = swap(emulator)
        printed = f"[DAG TEST] running trigger in line\nRequest {request_id} made {url}\n"
        assert smoke.judged(printed, charged(emulator)) == []


def test_a_run_that_did_not_defer_or_was_charged_twice_or_has_no_picture_is_not() -> None:
    with Emulator() as emulator:
        request_id, url = swap(emulator)
        swap(emulator)
        found: list[Any] = smoke.judged(f"Request {request_id} made {url}x\n", charged(emulator))
    assert [what.partition(":")[0] for what in found] == [
        "the sensor of body_swap did not defer",
        "one run of body_swap was charged 2 times, not once",
        f"the picture is of request {request_id}, which was not what was charged",
        "the picture of body_swap cannot be read",
    ]
    assert "the last task of body_swap named no picture" in smoke.judged("", [])


def test_what_cannot_be_loaded_is_named() -> None:
    def ends() -> None:
        raise SystemExit(3)

    assert list(smoke._raised("a module", ends)) == ["a module: SystemExit: 3"]
    (problem,) = smoke._raised("another", smoke.importlib.import_module, "no_such_module")
    assert problem.startswith("another: ModuleNotFoundError: ")
