"""The documentation's own script and the official SDK get the same result as the sensor."""

from __future__ import annotations

import json
import time
from typing import Any

import requests
from segmind import SegmindClient

from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.operators.body_swap import SubmitBodySwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from tests.api.drive import WORKFLOW
from tests.provider.running import context, run


def ours(emulator: Emulator, inputs: dict[str, str]) -> Any:
    submitted = SubmitBodySwapOperator(task_id="submit", **inputs).execute(context())
    return run(BodySwapSensor(task_id="wait", poll_url=submitted["poll_url"], poke_interval=0.05))


def documented(emulator: Emulator, inputs: dict[str, str]) -> Any:
    """Do as the sample script on the workflow's page does."""
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    url = f"{emulator.url}/workflows/{WORKFLOW}"
    poll_url = requests.post(url, json=inputs, headers=headers, timeout=10).json()["poll_url"]
    while True:
        result = requests.get(poll_url, headers=headers, timeout=10).json()
        if result["status"] in ("COMPLETED", "FAILED"):
            return json.loads(result["output"])
        time.sleep(0.05)  # the script sleeps 7 s


def with_the_sdk(emulator: Emulator, inputs: dict[str, str]) -> Any:
    client = SegmindClient(api_key=emulator.api_key)
    try:
        url = f"{emulator.url}/workflows/{WORKFLOW}"
        return client.pixelflows.run(workflow_url=url, data=inputs, poll_interval=0)["output"]
    finally:
        client._client.close()


def test_all_three_get_the_same_outputs_and_the_same_picture(emulator: Emulator) -> None:
    emulator.set(job_polls=2)
    inputs = {
        "character_image": emulator.sample("scene", 0),
        "reference_character_image": emulator.sample("person", 0),
        "select_character": "woman",
    }
    result = ours(emulator, inputs)
    (mine,) = result["outputs"]
    picture = requests.get(result["image_url"], timeout=30).content
    for other in (documented, with_the_sdk):
        (output,) = other(emulator, inputs)
        assert output["keyname"] == mine["keyname"]
        assert output["value"]["type"] == mine["type"]
        assert requests.get(output["value"]["data"], timeout=30).content == picture
    assert len(emulator.charges) == 3
