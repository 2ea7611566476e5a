"""Order one body swap and wait for it, in one task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn

from airflow_provider_segmind.api.answers import MAX_URL, id_in, line
from airflow_provider_segmind.api.errors import JobFailedError, SegmindError
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.patience import WAITED_OUT, timed_out
from airflow_provider_segmind.api.results import result_of
from airflow_provider_segmind.compat import AirflowTaskTimeout, TaskDeferralTimeout
from airflow_provider_segmind.failures import paid_error
from airflow_provider_segmind.gallery.recording import show_end
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.memory.swaps import keep, lost, recalled_late
from airflow_provider_segmind.observability.metrics import emit_end
from airflow_provider_segmind.orders.ended import mark_failed
from airflow_provider_segmind.orders.rules import consent_of, estimated_cost
from airflow_provider_segmind.orders.store import OrderStore
from airflow_provider_segmind.tasks.order import SwapOrderRun
from airflow_provider_segmind.triggers.segmind import deferral, note_wait
from airflow_provider_segmind.waiting.ending import trigger_exit_of
from airflow_provider_segmind.waiting.events import read_event


class SwapRun(SwapOrderRun):
    """One attempt of a task that orders a body swap and waits for it."""

    def order_and_wait(self) -> dict[str, Any]:
        """Order, or resume the order of an earlier attempt, and wait."""
        placed = self.place()
        job = placed.job if placed.job.done else None
        if placed.attached and job is None:
            job = self._look(placed.job.poll_url)
        if placed.attached and job is not None and job.done and job.status == "FAILED":
            self._tell(job)
            # An earlier attempt or another task ordered this job, so this attempt may order. It never orders twice.
            mark_failed(self.context, job)
            placed, job = self.place(), None
        if job is None or not job.done:
            if not self.task.deferrable:
                return self._finish(self._wait_here(placed.job))
            self._defer(placed.job)
        self._tell(job)
        return self._finish(replace(job, prepared=placed.job.prepared, reused=placed.job.reused))

    def _defer(self, job: Job) -> NoReturn:
        task = self.task
        defer: Callable[..., NoReturn] = task.defer
        defer(
            **deferral(
                job,
                task.segmind_conn_id,
                timeout=task.timeout,
                poll_interval=task.poll_interval,
                max_outage=task.max_outage,
                clock_offset=self.clock_offset,
                output_key=task.output_key,
                needs_image=True,
                ending=replace(trigger_exit_of(task, self.context, task.end_in_trigger), failure=False),
            )
        )

    def _wait_here(self, job: Job) -> Job:
        """Wait on this worker and record the outcome in the metrics."""
        note_wait(job.request_id, self.task.timeout, "on this worker")
        try:
            ended = replace(
                self._fetch(job.poll_url), submitted_at=job.submitted_at, prepared=job.prepared, reused=job.reused
            )
        except SegmindError as error:
            emit_end(self.task.segmind_conn_id, error, self.task.workflow)
            self.task.note_error(error)
            raise self._paid(error) from None
        except AirflowTaskTimeout as error:
            said = f"{error} Request {job.request_id} goes on and is billed; its result is at {job.poll_url}"
            if OrderStore(self.context).durable:
                raise AirflowTaskTimeout(said) from error
            raise self._paid(SegmindError(said)) from error
        self._tell(ended)
        return ended

    def complete(self, event: Any) -> dict[str, Any]:
        """Resume with the trigger's event."""
        self.task.note_facts(
            workflow=self.task.workflow,
            consent=consent_of(self.task.consent_reference),
            cost=estimated_cost(self.task.workflow),
        )
        try:
            job, complete = read_event(event)
            if not complete:
                job = recalled_late(job) or replace(
                    self._fetch(job.poll_url), submitted_at=job.submitted_at, prepared=job.prepared, reused=job.reused
                )
        except SegmindError as error:
            self.task.note_error(error)
            raise self._paid(error) from None
        return self._finish(job)

    def last_look(self, ended: Exception) -> dict[str, Any]:
        """Ask for the paid job once more, because Airflow itself has ended the wait."""
        ti = self.context["ti"]
        poll_url = ti.xcom_pull(task_ids=self.task.task_id, key="poll_url", map_indexes=ti.map_index)
        job = self._look(poll_url) if poll_url else None  # a retry cannot repair what it raises
        if job is not None and job.done:
            self._tell(job)
            return self._finish(job)
        if isinstance(ended, TaskDeferralTimeout):
            late = timed_out(str(poll_url), "its status is " + (job.status if job else "not known"))
            raise self._paid(late) from ended
        broken = SegmindError(
            f"Airflow ended the wait itself ({ended}). The job goes on and is billed; its result can be asked for at "
            f"{poll_url}",
            request_id=id_in(str(poll_url)),
        )
        raise self._paid(broken) from ended

    def _finish(self, job: Job) -> dict[str, Any]:
        keep(SegmindHook(self.task.segmind_conn_id), job)
        if job.status == "FAILED":
            mark_failed(self.context, job)
        try:
            result = result_of(job, output_key=self.task.output_key, needs_image=True)
        except SegmindError as error:
            self.task.note_facts(status=job.status)
            self.task.note_error(error)
            raise self._paid(error) from None
        show_end(self.context, result)
        self.task.swap_result = result
        self.task.note_result(result, job.submitted_at)
        self.task.log.info("Request %s is %s: %s", job.request_id, job.status, line(result["image_url"] or "", MAX_URL))
        return result

    def _paid(self, error: Exception) -> Exception:
        """Return the exception for a task that has ordered: retryable if a retry can resume it, else permanent."""
        if isinstance(error, SegmindError) and not error.request_id:
            error.request_id = self._ordered_id()
        if isinstance(error, SegmindError):
            show_end(self.context, error)
        lost(error)
        return paid_error(
            error,
            kept=OrderStore(self.context).durable
            or (isinstance(error, JobFailedError) and self.task.on_unknown_outcome == "resubmit"),
            how="Wait for it with a BodySwapSensor; its poll_url is this task's XCom of that name.",
        )

    def _ordered_id(self) -> str | None:
        """Return the id of the order; an error from a triggerer may lack it."""
        ti = self.context["ti"]
        try:
            request_id = ti.xcom_pull(task_ids=self.task.task_id, key="request_id", map_indexes=ti.map_index)
        except Exception:  # must not hide the original error
            self.task.log.warning("The id of the order could not be read.", exc_info=True)
            return None
        return request_id if isinstance(request_id, str) else None

    def _tell(self, job: Job) -> None:
        """Record in the metrics a job whose end this worker saw; the triggerer records those that it sees."""
        try:
            outcome: dict[str, Any] | SegmindError = result_of(job, output_key=self.task.output_key, needs_image=True)
        except SegmindError as error:
            outcome = error
        emit_end(self.task.segmind_conn_id, outcome, self.task.workflow, job.submitted_at)

    def _look(self, poll_url: str) -> Job | None:
        hook = SegmindHook(self.task.segmind_conn_id)
        try:
            job = hook.get_job(poll_url)
        except WAITED_OUT as error:
            self.task.log.info("The job was asked for and did not answer: %s", error)
            return None
        except SegmindError as error:
            error.request_id = error.request_id or self.task.ordered_id or id_in(poll_url)
            raise self._paid(error) from None
        self.clock_offset = hook.client.clock_offset
        return job

    def _fetch(self, poll_url: str) -> Job:
        hook = SegmindHook(self.task.segmind_conn_id)
        return hook.wait_for_end(
            poll_url, poll_interval=self.task.poll_interval, timeout=self.task.timeout, max_outage=self.task.max_outage
        )
