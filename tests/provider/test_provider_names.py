"""One thing has one name in all classes, and what older versions stored is still read."""

from __future__ import annotations

import pytest
from airflow.sdk import BaseSensorOperator

from airflow_provider_segmind.decorators.body_swap import _BodySwapDecoratedOperator
from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator
from airflow_provider_segmind.operators.quality import CheckSwapOperator
from airflow_provider_segmind.operators.review import ReviewSwapsOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from airflow_provider_segmind.transfers.object_storage import SegmindToObjectStorageOperator
from airflow_provider_segmind.triggers.batch import BodySwapBatchTrigger
from airflow_provider_segmind.waiting.events import read_batch_event
from tests.provider.test_provider_times import CLASSES, own_parameters

EVERYWHERE = [*CLASSES, _BodySwapDecoratedOperator]


@pytest.mark.parametrize("cls", EVERYWHERE, ids=lambda cls: cls.__name__)
def test_the_seconds_between_questions_are_poke_interval_of_sensors_and_poll_interval_of_others(cls: type) -> None:
    names = {"poke_interval", "poll_interval"} & own_parameters(cls).keys()
    assert names <= {"poke_interval" if issubclass(cls, BaseSensorOperator) else "poll_interval"}


def test_what_came_back_is_results_and_where_its_manifest_is_written_is_results_uri() -> None:
    with_name = {
        name: {cls for cls in EVERYWHERE if name in own_parameters(cls)} for name in ("results", "results_uri")
    }
    assert with_name["results"] == {CheckSwapOperator, ReviewSwapsOperator, SegmindToObjectStorageOperator}
    assert with_name["results_uri"] == {BodySwapBatchOperator, _BodySwapDecoratedOperator}
    odd = {"result", "output", "outputs", "outputs_uri", "manifest"}
    assert [cls for cls in EVERYWHERE if odd & own_parameters(cls).keys()] == []


def test_a_sensor_refuses_the_operators_word_when_the_dag_is_read() -> None:
    with pytest.raises(TypeError, match="poll_interval"):
        BodySwapSensor(task_id="wait", poll_url="https://a.example/1", poll_interval=3)


def test_what_an_older_version_stored_of_a_batch_is_read() -> None:
    counts = {"total": 2, "completed": 2, "failed": 0, "by_status": {"COMPLETED": 2}, "cost": 0.5}
    event = {"version": 1, "status": "batch", "summary": {"results": "s3://b/r.jsonl", **counts}}
    assert read_batch_event(event) == {"results_uri": "s3://b/r.jsonl", **counts}
    stored = {"results": "s3://b/r.jsonl", "batch": "57f492fb58f7", "segmind_conn_id": "x", "deadline": 1795346370.5}
    assert BodySwapBatchTrigger(**stored).serialize()[1]["results"] == "s3://b/r.jsonl"
