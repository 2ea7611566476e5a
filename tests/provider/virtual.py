"""The provider's ways to wait, in virtual time: on a worker, in a triggerer, and as the scheduler reschedules."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import BaseSensorOperator

from airflow_provider_segmind.api.poller import Poller
from airflow_provider_segmind.compat import TaskDeferred
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.observability.metrics import Counters
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from tests.api.drive import KEY, POLL_URL
from tests.api.virtual import Service, run_virtually
from tests.provider.running import AirflowRescheduleException, TaskInstance, context, first_event, revive

MODES = ["hook", "poke", "reschedule", "deferrable"]


class World:
    """
    Workers and a triggerer that talk to one service.

    :param monkeypatch: puts their clocks into the modules that need one.
    :param service: the service, with the true time.
    :param ahead: seconds that the triggerer's clock is ahead.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, service: Service, ahead: float = 0.0) -> None:
        self.service = service
        self.clock = service.clock
        connection = {"conn_type": "segmind", "password": KEY}
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", json.dumps(connection))
        time = SimpleNamespace(time=self.clock, monotonic=self.clock, sleep=self.clock.sleep)
        for module in ("sensors.pixelflow", "tasks.wait", "triggers.segmind", "tasks.batch"):
            monkeypatch.setattr(f"airflow_provider_segmind.{module}.time", time)
        monkeypatch.setattr(sys.modules[BaseSensorOperator.__module__], "time", time)
        monkeypatch.setattr("airflow_provider_segmind.hooks.segmind.Client", lambda *_: service.client())
        client = service.aclient(ahead)

        async def clients(*, refused: Any = None) -> Any:
            return client

        @asynccontextmanager
        async def shared_connection(conn_id: str) -> AsyncIterator[Any]:
            yield SimpleNamespace(poller=Poller(clients, clock=client.clock), counters=Counters(conn_id))

        for module in ("segmind", "batch"):
            monkeypatch.setattr(f"airflow_provider_segmind.triggers.{module}.shared_connection", shared_connection)

    def event(self, trigger: Any) -> Any:
        """Return the event in which a trigger ends, after it went through Airflow's database."""
        return run_virtually(self.clock, first_event(revive(trigger)))

    def wait(self, mode: str, **options: Any) -> Any:
        """Wait for a job in one of the modes, with a sensor's options, and return its status."""
        if mode == "hook":
            if "poke_interval" in options:
                options["poll_interval"] = options.pop("poke_interval")
            return SegmindHook().wait(POLL_URL, **options).status

        def sensor(**how: Any) -> BodySwapSensor:
            return BodySwapSensor(task_id="wait", poll_url=POLL_URL, **options, **how)

        if mode == "deferrable":
            return self._deferred(sensor())["status"]
        if mode == "poke":
            return sensor(deferrable=False, mode="poke").execute(context())["status"]
        ti = TaskInstance()
        while True:
            started = self.clock()
            try:
                return sensor(deferrable=False, mode="reschedule").execute(context(ti))["status"]
            except AirflowRescheduleException as again:
                ti = TaskInstance(first_reschedule=ti.first_reschedule or started)
                # Airflow adds to the true time of day, of which some has passed meanwhile.
                self.clock.sleep(max(0.1, (again.reschedule_date - datetime.now(UTC)).total_seconds()))

    def _deferred(self, task: Any) -> Any:
        try:
            return task.execute(context())
        except TaskDeferred as deferred:
            event = self.event(deferred.trigger)
            return task.resume_execution(deferred.method_name, {"event": event}, context())
