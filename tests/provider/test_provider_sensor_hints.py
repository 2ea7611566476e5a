"""``submit.output["poll_url"]`` and ``submit.output`` give the same: metrics, tags, lineage; without hints it waits."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_segmind.compat import AIRFLOW_V_3_3_PLUS, TaskDeferred
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.operators.body_swap import SubmitBodySwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from airflow_provider_segmind.triggers.starting import StartedPixelFlowTrigger
from tests.provider.running import TaskInstance, context, run

FORMS = pytest.mark.parametrize("key", ["poll_url", None], ids=["the URL", "all of it"])


class Told(TaskInstance):
    """A task instance that reads what another task left; some of it cannot be read."""

    dag_id, run_id, task = "d", "r", None

    def __init__(self, left: dict[str, Any], broken: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.left, self.broken = left, broken

    def xcom_pull(self, *, task_ids: str, key: str, map_indexes: Any, default: Any = None) -> Any:
        """Return what the other task left."""
        assert task_ids == "submit"
        if key in self.broken:
            raise RuntimeError("the API server is away")
        return self.left.get(key, default)


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn OpenLineage on."""
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", '{"type": "console"}')


def order(emulator: Emulator, **jobs: Any) -> dict[str, Any]:
    """Order a swap with a signed scene, and return the XComs of the task."""
    emulator.set(**jobs)
    ti = TaskInstance()
    task = SubmitBodySwapOperator(
        task_id="submit",
        character_image=f"{emulator.sample('scene')}?signature=5ecret",
        reference_character_image=emulator.sample("person"),
    )
    handle = task.execute(context(ti))
    return {**ti.xcoms, "return_value": handle}


def connected(key: str | None, **options: Any) -> BodySwapSensor:
    """Return a sensor that is connected to a submit in one of the two forms."""
    with DAG("d", schedule=None):
        submit = SubmitBodySwapOperator(task_id="submit", character_image="a", reference_character_image="b")
        given = submit.output if key is None else submit.output[key]
        return BodySwapSensor(task_id="wait", poll_url=given, **{"poke_interval": 0.05, **options})


@FORMS
def test_the_trigger_gets_the_workflow_and_the_time_of_the_order(key: str | None, emulator: Emulator) -> None:
    left = order(emulator, job_seconds=60)
    sensor, ctx = connected(key), context(Told(left))
    sensor.render_template_fields(ctx)
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(ctx)
    kwargs = deferred.value.trigger.serialize()[1]
    assert {name: kwargs[name] for name in left["return_value"]} == left["return_value"]


@FORMS
@pytest.mark.parametrize("how", [{}, {"deferrable": False}], ids=["deferred", "poked"])
def test_lineage_has_the_photographs_the_workflow_and_the_seconds(
    key: str | None, how: dict[str, Any], traced: None, emulator: Emulator
) -> None:
    left = order(emulator, job_polls=2)
    sensor, ctx = connected(key, **how), context(Told(left))
    sensor.render_template_fields(ctx)
    run(sensor, ctx)
    told = sensor.get_openlineage_facets_on_complete(None)
    assert [one.name for one in told.inputs] == ["/samples/scene/0.png", "/samples/person/0.png"]
    facet = told.run_facets["segmind_job"]
    assert facet.workflow == left["return_value"]["workflow"]
    assert facet.seconds is not None


def test_a_mapped_sensor_has_the_photographs_of_its_own_swap(traced: None, emulator: Emulator) -> None:
    left = order(emulator)
    with DAG("d", schedule=None):
        submit = SubmitBodySwapOperator.partial(
            task_id="submit", character_image="a", reference_character_image="b"
        ).expand(select_character=["man", "woman"])
        mapped = BodySwapSensor.partial(task_id="wait").expand(poll_url=submit.output)
    sensor = mapped.unmap({"poll_url": left["return_value"]})
    ti = Told(left)
    ti.map_index = 1
    run(sensor, context(ti))
    assert len(sensor.lineage_inputs()) == 2
    ti.left = {**left, "segmind_inputs": {"poll_url": "another", "inputs": ["s3://x/y.png"]}}
    run(sensor, context(ti))
    assert sensor.lineage_inputs() == []


def test_no_signature_is_kept_for_lineage_and_nothing_without_openlineage(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "segmind_inputs" not in order(emulator)
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", '{"type": "console"}')
    left = order(emulator)["segmind_inputs"]
    assert len(left["inputs"]) == 2
    assert "5ecret" not in str(left)


@FORMS
def test_a_sensor_waits_although_nothing_more_is_known(key: str | None, traced: None, emulator: Emulator) -> None:
    left = order(emulator)
    hints = ("segmind_inputs",) if key is None else ("segmind_inputs", "return_value")
    for ti in (Told(left, broken=hints), Told({name: left[name] for name in left if name not in hints})):
        sensor, ctx = connected(key), context(ti)
        sensor.render_template_fields(ctx)
        assert run(sensor, ctx)["request_id"] == left["request_id"]
        assert sensor.lineage_inputs() == []


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="tasks start in the triggerer from Airflow 3.3 on")
@FORMS
def test_a_sensor_that_starts_in_the_triggerer_knows_the_same(key: str | None, emulator: Emulator) -> None:
    left = order(emulator)
    args = connected(key, start_from_trigger=True).start_trigger_args
    assert args is not None
    for broken in ((), ("return_value",)) if key else ((),):
        trigger = StartedPixelFlowTrigger(**(args.trigger_kwargs or {}))
        trigger._task_instance = Told(left, broken)  # type: ignore[assignment]
        trigger.timeout_after = datetime.now(UTC)  # type: ignore[attr-defined]
        trigger._take(asyncio.run(trigger._named_job()))
        known = {name: getattr(trigger, name) for name in left["return_value"]}
        assert known == (left["return_value"] if not broken else {**dict.fromkeys(known), "poll_url": left["poll_url"]})
