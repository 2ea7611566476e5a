"""A sensor's page leads to the swap that it waits for and to its picture, while it waits and afterwards, mapped too."""

from __future__ import annotations

import asyncio
import importlib
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.execution_time.xcom import XCom

from airflow_provider_segmind.api.gallery import read_record
from airflow_provider_segmind.compat import AIRFLOW_V_3_3_PLUS, TaskDeferred
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.links import BeforeAfterLink, ResultPictureLink, result_url
from airflow_provider_segmind.operators.body_swap import SubmitBodySwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from airflow_provider_segmind.triggers.segmind import PixelFlowTrigger
from airflow_provider_segmind.triggers.starting import StartedPixelFlowTrigger
from airflow_provider_segmind.waiting.ending import TriggerExit
from tests.provider.running import TaskInstance, context, first_event, run
from tests.provider.test_provider_sensor import MODES, submit

BEFORE_AFTER, RESULT = BeforeAfterLink().xcom_key, ResultPictureLink().xcom_key
in_the_triggerer = pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="from Airflow 3.3 on")


class Placed(TaskInstance):
    """A task instance with a place in a run."""

    dag_id, run_id, task_id = "d", "r", "wait"

    def __init__(self, task: Any = None, map_index: int = -1) -> None:
        super().__init__()
        self.task, self.map_index = task, map_index


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The XComs that a trigger writes and that Airflow reads for links."""
    xcoms: dict[str, Any] = {}
    monkeypatch.setattr(XCom, "set", lambda *, key, value, **_: xcoms.__setitem__(key, value))
    monkeypatch.setattr(XCom, "get_value", lambda *, ti_key, key: xcoms.get(key))
    return xcoms


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """An administrator lets the gallery show pictures."""
    monkeypatch.setenv("AIRFLOW__SEGMIND__GALLERY_ROOTS", "s3://pictures")


def tab(map_index: int = -1) -> str:
    """Return where the gallery's tab of the task is."""
    return f"dags/d/runs/r/tasks/wait{f'/mapped/{map_index}' if map_index >= 0 else ''}/plugin/body-swaps-task"


def test_a_sensor_has_the_links_of_a_task_that_orders_also_mapped_and_serialized() -> None:
    serialization = importlib.import_module("airflow.serialization.serialized_objects")
    serializer = getattr(serialization, "DagSerialization", None) or serialization.SerializedDAG  # Airflow 3.1
    with DAG("d", schedule=None) as dag:
        order = SubmitBodySwapOperator.partial(
            task_id="order", character_image="a", reference_character_image="b"
        ).expand(select_character=["man", "woman"])
        BodySwapSensor.partial(task_id="mapped").expand(poll_url=order.output)
        BodySwapSensor.partial(task_id="started", start_from_trigger=True).expand(poll_url=order.output)
        BodySwapSensor(task_id="single", poll_url="https://a.example/1")
    scheduled = serializer.from_dict(serializer.to_dict(dag))
    for task_id in ("order", "mapped", "started", "single"):
        links = {link.name: link.xcom_key for link in scheduled.get_task(task_id).operator_extra_links}
        assert links == {"Before / after": BEFORE_AFTER, "Result picture": RESULT}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("map_index", [-1, 3])
def test_a_sensor_that_waits_leads_to_its_swap(mode: str, map_index: int, shown: None, emulator: Emulator) -> None:
    poll_url = submit(emulator, job_seconds=60)
    how = {"deferrable": mode == "deferrable", "mode": "poke" if mode == "deferrable" else mode}
    sensor = BodySwapSensor(task_id="wait", poll_url=poll_url, timeout=60, **how)
    ti = Placed(sensor, map_index)
    if mode == "deferrable":
        with pytest.raises(TaskDeferred):
            sensor.execute(context(ti))
    else:
        run = sensor.run_of(context(ti))
        run._learn()
        run.deadline = datetime.now(UTC).timestamp() + 60
        assert not run.poke()
    record = read_record(ti.xcoms["body_swap"])
    assert record is not None
    assert (record.state, record.request_id) == ("waiting", emulator.charges[0].request_id)
    assert ti.xcoms[BEFORE_AFTER] == tab(map_index)
    assert RESULT not in ti.xcoms


def test_the_result_picture_of_a_sensor_that_ended_on_a_worker_is_its_own(
    kept: dict[str, Any], emulator: Emulator
) -> None:
    sensor = BodySwapSensor(task_id="wait", poll_url=submit(emulator))
    kept["return_value"] = result = run(sensor, context(Placed(sensor)))
    for task, url in ((sensor, result["image_url"]), (SimpleNamespace(), "")):
        assert ResultPictureLink().get_link(task, ti_key=Placed()) == url


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//x.example/1.png", None, 7])
def test_what_is_no_web_address_is_no_link(url: object) -> None:
    assert result_url({"image_url": url}) == result_url(url) == ""


def ending_here(emulator: Emulator) -> PixelFlowTrigger:
    """Return the trigger of a sensor that ends in the triggerer."""
    trigger = PixelFlowTrigger(
        poll_url=submit(emulator),
        segmind_conn_id="segmind_default",
        deadline=datetime.now(UTC).timestamp() + 60,
        needs_image=True,
        ending=TriggerExit(success=True).to_json(),
    )
    trigger._task_instance = Placed()  # type: ignore[assignment]
    return trigger


@in_the_triggerer
def test_a_sensor_that_ended_in_the_triggerer_has_its_result_picture(kept: dict[str, Any], emulator: Emulator) -> None:
    trigger = ending_here(emulator)
    asyncio.run(first_event(trigger))
    assert kept[RESULT] == kept["return_value"]["image_url"]


@in_the_triggerer
@pytest.mark.parametrize("map_index", [-1, 2])
def test_a_sensor_that_starts_in_the_triggerer_leads_to_its_swap(
    map_index: int, kept: dict[str, Any], shown: None, emulator: Emulator
) -> None:
    trigger = StartedPixelFlowTrigger(
        poll_url=submit(emulator), segmind_conn_id="segmind_default", deadline=0.0, needs_image=True
    )
    trigger._task_instance = Placed(map_index=map_index)  # type: ignore[assignment]
    asyncio.run(trigger._show_wait())
    assert kept[BEFORE_AFTER] == tab(map_index)
    assert kept["body_swap"]["state"] == "waiting"


@in_the_triggerer
def test_a_link_that_cannot_be_kept_costs_no_result(
    kept: dict[str, Any], emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_the_result(*, key: str, value: Any, **_: Any) -> None:
        if key != "return_value":
            raise ConnectionError("the API server is gone")
        kept[key] = value

    monkeypatch.setattr(XCom, "set", only_the_result)
    trigger = ending_here(emulator)
    assert asyncio.run(_ended(trigger)) == "TaskSuccessEvent"
    assert set(kept) == {"return_value"}


async def _ended(trigger: PixelFlowTrigger) -> str:
    (event,) = [event async for event in trigger.run()]
    return type(event).__name__
