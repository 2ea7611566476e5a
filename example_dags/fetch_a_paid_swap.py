"""
The result of an order whose request id is known, without another bill, within an hour of its end.

It needs the connections ``segmind_default`` and ``aws_default``.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from airflow_provider_segmind.transfers.object_storage import SegmindToObjectStorageOperator

with DAG(
    dag_id="fetch_a_paid_swap",
    schedule=None,
    tags=["segmind"],
    doc_md=__doc__,
    params={
        "request_id": Param(type="string", minLength=1),
        "destination": Param("s3://aws_default@catalogue/recovered", type="string"),
    },
):
    wait = BodySwapSensor(
        task_id="wait",
        poll_url="https://api.segmind.com/workflows/request/{{ params.request_id }}",
        timeout=600,
        retries=2,
        retry_delay=timedelta(seconds=10),
    )
    SegmindToObjectStorageOperator(
        task_id="store", results=wait.output, destination="{{ params.destination }}", retries=5
    )
