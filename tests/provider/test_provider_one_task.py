"""A BodySwapOperator waits: its deadline, its triggerer's end, its resume, and a kill lose no paid job."""

from __future__ import annotations

import pytest

from airflow_provider_segmind.api.errors import (
    JobFailedError,
    JobTimeoutError,
    SegmindError,
    ServiceError,
)
from airflow_provider_segmind.compat import (
    AirflowFailException,
    TaskDeferralError,
    TaskDeferralTimeout,
    TaskDeferred,
)
from airflow_provider_segmind.emulator import Emulator, Fault
from tests.provider.tries import Task


class TestWaiting:
    def test_a_timeout_goes_on_with_the_same_job_in_the_next_attempt(self, emulator: Emulator) -> None:
        emulator.set(job_seconds=0.6)
        task = Task(emulator, timeout=0.2)
        with pytest.raises(JobTimeoutError, match="may still finish and is billed"):
            task.attempt()
        task.options["timeout"] = 5.0
        assert task.attempt()["status"] == "COMPLETED"
        assert len(emulator.charges) == 1

    def test_a_service_that_stays_broken_is_left_to_the_retries(self, emulator: Emulator) -> None:
        task = Task(emulator)
        with pytest.raises(TaskDeferred):
            task.start()
        event = {"version": 1, "status": "error", "error": {"type": "ServiceError", "message": "down"}}
        with pytest.raises(ServiceError):
            task.operator().execute_complete(task.context(), event)
        assert task.attempt()["status"] == "COMPLETED"
        assert len(emulator.charges) == 1

    def test_a_retry_while_the_api_is_down_waits_in_the_triggerer(self, emulator: Emulator) -> None:
        task = Task(emulator)
        with pytest.raises(TaskDeferred):
            task.start()
        emulator.outage(0.3)
        with pytest.raises(TaskDeferred):
            task.start()

    @pytest.mark.parametrize("reason", ["Trigger timeout", "Trigger failure"])
    def test_when_airflow_ends_the_wait_a_result_that_is_there_is_taken(self, emulator: Emulator, reason: str) -> None:
        task = Task(emulator)
        context = task.context()
        with pytest.raises(TaskDeferred):
            task.operator().execute(context)
        result = task.operator().resume_execution("__fail__", {"error": reason}, context)
        assert result["status"] == "COMPLETED"

    def test_when_airflow_ends_the_wait_for_a_job_that_runs_the_retry_goes_on(self, emulator: Emulator) -> None:
        emulator.set(job_seconds=60)
        task = Task(emulator)
        context = task.context()
        with pytest.raises(TaskDeferred):
            task.operator().execute(context)
        with pytest.raises(JobTimeoutError) as error:
            task.operator().resume_execution("__fail__", {"error": "Trigger timeout"}, context)
        assert isinstance(error.value.__cause__, TaskDeferralTimeout)
        named = emulator.charges[0].request_id
        with pytest.raises(SegmindError, match=f"Airflow ended the wait itself.*request {named}") as error:
            task.operator().resume_execution("__fail__", {"error": "Trigger failure"}, context)
        assert isinstance(error.value.__cause__, TaskDeferralError)
        event = {"version": 1, "status": "error", "error": {"type": "ServiceError", "message": "down"}}
        with pytest.raises(ServiceError, match=f"request {named}"):
            task.operator().execute_complete(context, event)
        emulator.outage(0.2)
        with pytest.raises(JobTimeoutError, match="not known"):
            task.operator().resume_execution("__fail__", {"error": "Trigger timeout"}, context)

    @pytest.mark.parametrize("reason", ["Trigger timeout", "Trigger failure"])
    def test_without_a_record_a_wait_that_ended_is_no_reason_to_order_again(
        self, emulator: Emulator, reason: str
    ) -> None:
        """As on Airflow 3.1 and 3.2, where a retry would pay again swap while the first goes on."""
        emulator.set(job_seconds=60)
        task = Task(emulator, durable=False)
        context = task.context()
        with pytest.raises(TaskDeferred):
            task.operator().execute(context)
        with pytest.raises(AirflowFailException, match=r"a retry would pay again.* BodySwapSensor"):
            task.operator().resume_execution("__fail__", {"error": reason}, context)
        event = {"version": 1, "status": "error", "error": {"type": "ServiceError", "message": "down"}}
        with pytest.raises(AirflowFailException, match=r"ServiceError: down.*a retry would pay again"):
            task.operator().execute_complete(context, event)

    def test_without_a_record_a_job_that_failed_is_ordered_again_only_at_its_authors_word(
        self, emulator: Emulator
    ) -> None:
        emulator.script(Fault("will-fail", on="submit", times=2))
        with pytest.raises(AirflowFailException, match="JobFailedError"):
            Task(emulator, durable=False).attempt()
        task = Task(emulator, durable=False, on_unknown_outcome="resubmit")
        with pytest.raises(JobFailedError):
            task.attempt()
        assert task.attempt()["status"] == "COMPLETED"

    def test_outputs_too_large_for_an_event_are_asked_for(self, emulator: Emulator) -> None:
        task = Task(emulator)
        context = task.context()
        with pytest.raises(TaskDeferred):
            task.operator().execute(context)
        job = {"poll_url": task.ti.xcoms["poll_url"], "status": "COMPLETED"}
        event = {"version": 1, "status": "success", "request_id": "x", "job": job}
        assert task.operator().execute_complete(context, event)["image_url"].startswith(emulator.url)

    def test_bad_times_are_refused_when_the_dag_is_read(self, emulator: Emulator) -> None:
        with pytest.raises(ValueError, match="poll_interval is -1"):
            Task(emulator, poll_interval=-1).operator()
        with pytest.raises(ValueError, match="timeout is 0"):
            Task(emulator, timeout=0).operator()


def test_killing_names_the_request_that_is_not_cancelled(
    emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    task = Task(emulator)
    operator = task.operator()
    operator.on_kill()
    assert "an order that was just being sent goes on and is billed" in capsys.readouterr().out
    with pytest.raises(TaskDeferred):
        operator.execute(task.context())
    operator.on_kill()
    assert f"request {emulator.charges[0].request_id} goes on and is billed" in capsys.readouterr().out
