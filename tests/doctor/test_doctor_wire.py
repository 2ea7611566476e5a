"""`make test CASSETTE=…`: the tests of the wire that should pass do, and those that change are named with why."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api.client import Client
from airflow_provider_segmind.api.flow import submit, wait
from airflow_provider_segmind.api.transport import Session, prepare_session
from airflow_provider_segmind.api.workflows import BODY_SWAP_WORKFLOW
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.emulator.__main__ import main
from tests.doctor.conftest import run, settings_of
from tests.doctor.seeds import (
    ALONE,
    TOGETHER,
    auth,
    duration,
    keyname,
    limits,
    poll_code,
    price,
    record_life,
    unknown_workflow,
)

ROOT = Path(__file__).parents[2]


def wire(said: dict[str, Any], tmp_path: Path) -> tuple[set[str], str]:
    """Return the tests of the wire that change, and what pytest says."""
    path = tmp_path / "cassette.json"
    path.write_text(json.dumps(said))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:xdist", "-q", "tests/emulator/test_emulator_wire.py"],
        cwd=ROOT,
        env={**os.environ, "CASSETTE": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return set(re.findall(r"XFAIL \S+::(\w+)", done.stdout)), done.stdout


@pytest.mark.slow
def test_on_a_cassette_of_a_plain_emulator_all_pass(cassette, tmp_path):
    changed, said = wire(cassette, tmp_path)
    assert changed == set()
    assert "xpassed" not in said


@pytest.mark.slow
def test_those_that_change_are_named(cassette, tmp_path):
    for change in (keyname, limits, unknown_workflow):
        change(cassette)
    changed, said = wire(cassette, tmp_path)
    assert changed == {
        "test_a_job_goes_from_queued_over_processing_to_completed_in_the_polls_it_was_given",
        "test_answers_do_not_tell_the_rate_limit",
        "test_other_workflows_are_404_and_cost_nothing",
    }
    assert "the service differs: keyname: swapped" in said
    assert "xpassed" not in said


@pytest.mark.slow
@pytest.mark.parametrize("change", [auth, duration, poll_code, price, record_life], ids=lambda change: change.__name__)
def test_one_difference_is_named_by_the_test_that_changes(change, cassette, tmp_path):
    change(cassette)
    changed, said = wire(cassette, tmp_path)
    assert len(changed) == 1
    assert f"the service differs: {change.__name__.replace('_', '-')}: " in said


@pytest.mark.slow
def test_on_a_cassette_of_an_outage_all_pass(tmp_path, clock):
    with Emulator(clock=clock) as emulator:
        everywhere = ("submit", "poll", "credits", "upload", "history", "file")
        emulator.script(*(Fault("html", on=on, status=503, times=None) for on in everywhere))
        run(emulator, tmp_path / "out", clock)
    assert wire(json.loads((tmp_path / "out" / "cassette.json").read_text()), tmp_path)[0] == set()


@pytest.mark.slow
def test_those_that_change_by_all_differences_are_no_failures(cassette, tmp_path):
    for change, *_ in TOGETHER:
        change(cassette)
    changed, said = wire(cassette, tmp_path)
    assert len(changed) > 5
    assert re.search(r"\d{2} passed", said)


@pytest.mark.parametrize(
    "seed", [seed for seed in (*TOGETHER, *ALONE) if seed[0].__name__ not in ("poll_host", "upload_name")]
)
def test_this_package_gets_its_swap_from_a_service_that_differs(seed, cassette, tmp_path, clock):
    seed[0](cassette)
    path = tmp_path / "cassette.json"
    path.write_text(json.dumps(cassette))
    with Emulator(clock=clock, like=path) as emulator, Session() as session:
        settings = settings_of(emulator)
        client = Client(settings, prepare_session(session), clock=clock, sleep=clock.sleep)
        pictures = {"character_image": emulator.sample("scene"), "reference_character_image": emulator.sample("person")}
        job = client.run(submit(settings, client.auth, BODY_SWAP_WORKFLOW, pictures))
        job = client.run(wait(settings, client.auth, job.poll_url, deadline=clock() + 3600, clock=clock))
        assert len(emulator.charges) == 1
    assert job.status == "COMPLETED"
    assert job.outputs[0].url.startswith("http://")


@pytest.mark.slow
def test_a_cassette_that_cannot_be_read_is_an_instruction_and_runs_no_test(tmp_path):
    command = [sys.executable, "-m", "pytest", "-p", "no:xdist", "tests/emulator/test_emulator_wire.py"]
    environment = {**os.environ, "CASSETTE": str(tmp_path / "missing.json")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "missing.json" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("text", ["", "[]", '{"cassette": 2, "entries": []}', '{"cassette": 1}'])
def test_what_is_no_cassette_is_refused(text, tmp_path, capsys):
    path = tmp_path / "cassette.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="record it anew"):
        Emulator(like=path)
    assert main(["--like", str(path)]) == 1
    assert "record it anew" in capsys.readouterr().err


def test_a_setting_that_is_given_comes_before_the_cassette(cassette, tmp_path):
    path = tmp_path / "cassette.json"
    path.write_text(json.dumps(cassette))
    assert Emulator(like=path).settings.job_seconds > 50
    assert Emulator(like=path, job_seconds=1.0).settings.job_seconds == 1.0
