"""How a sensor starts in the triggerer: from settings that are known when the DAG is read, mapped or not."""

from __future__ import annotations

from typing import Any

from airflow.triggers.base import StartTriggerArgs

from airflow_provider_segmind.api.patience import check_interval, check_outage
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.triggers.ending import Read
from airflow_provider_segmind.triggers.starting import start_args

POLL_INTERVAL = 7.0
TIMEOUT = 3600.0


def sensor_start(read: Read, poll_url: object, *, mapped: bool, needs_image: bool) -> StartTriggerArgs:
    """
    Return how Airflow starts a sensor in the triggerer.

    :param read: gives the sensor's settings by name; of a mapped one only those that were given.
    :param poll_url: what the sensor was given; for a mapped one it is not known yet.
    :param mapped: whether it is mapped.
    :param needs_image: whether a job without an image is an error.
    """
    given: dict[str, Any] = {
        "timeout": check_interval("timeout", read("timeout") or TIMEOUT),
        "end_in_trigger": "auto" if read("end_in_trigger") is None else read("end_in_trigger"),
    }
    return start_args(
        lambda name: given.get(name, read(name)),
        poll_url,
        mapped=mapped,
        waiting={
            "segmind_conn_id": read("segmind_conn_id") or SegmindHook.default_conn_name,
            "poll_interval": check_interval("poke_interval", read("poke_interval") or POLL_INTERVAL),
            "max_outage": None if read("silent_fail") else check_outage(read("max_outage")),
            "output_key": read("output_key"),
            "needs_image": needs_image,
        },
    )
