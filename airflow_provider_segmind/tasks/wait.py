"""Wait for one job."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NoReturn

from airflow.sdk import Context, PokeReturnValue

from airflow_provider_segmind.api.answers import MAX_URL, id_in, line
from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.patience import WAITED_OUT, Watch, timed_out
from airflow_provider_segmind.api.results import result_of
from airflow_provider_segmind.compat import TaskDeferralTimeout
from airflow_provider_segmind.failures import sensor_error, skipping
from airflow_provider_segmind.gallery.recording import is_shown, show, show_end, waiting
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.memory.swaps import keep, lost, recalled, recalled_late
from airflow_provider_segmind.observability.metrics import emit_end
from airflow_provider_segmind.triggers.segmind import deferral, note_wait
from airflow_provider_segmind.waiting.ending import trigger_exit_of
from airflow_provider_segmind.waiting.events import is_start, read_event
from airflow_provider_segmind.waiting.origin import known_job, nothing_to_wait_for, photographs
from airflow_provider_segmind.waiting.pokes import Pokes


class WaitRun:
    """
    One attempt of a task that waits for a job, or one poke of it in reschedule mode.

    :param task: the sensor, with what its author wrote.
    """

    def __init__(self, task: Any, context: Context) -> None:
        self.task = task
        self.context = context
        self.deadline = 0.0
        """When the wait ends, in seconds since the epoch."""
        self.pause = 0.0
        """Seconds that Segmind asked to wait before the next poke."""
        self._known: Mapping[str, Any] = {}
        self._answered = False
        self._watch: Watch | None = None
        self._pokes: Pokes | None = None
        self._clock_offset: float | None = None

    def in_triggerer(self) -> dict[str, Any]:
        """Look once, and defer unless the result is there."""
        with skipping(self.task):
            self._check_named()
        self._learn()
        with skipping(self.task):
            result = self._first_look()
            if result is None:
                self._defer()
            return result

    def begin_pokes(self) -> None:
        """Prepare what the pokes on this worker need."""
        with skipping(self.task):
            self._check_named()
        self._learn()
        start = self.context["ti"].get_first_reschedule_date(self.context) if self.task.reschedule else None
        self.deadline = (start.timestamp() if start else time.time()) + self.task.timeout
        self._pokes = Pokes(self.task.segmind_conn_id, self.task.log, found=start is not None)

    def _learn(self) -> None:
        """Load what the submit task left about the job besides its URL."""
        self._known = known_job(self.task, self.task.poll_url, self.task.before, self.context)
        self.task.photographs = photographs(self.task, self._url, self.task.before, self.context)

    def _check_named(self) -> None:
        """Raise an error that explains why the upstream task left no job."""
        error = nothing_to_wait_for(self.task, self.task.before, self.context) if self._url in (None, "None") else None
        if error is not None:
            raise error

    def poke(self) -> PokeReturnValue:
        """Ask for the job with one GET, or a few if the answer is a 404. During an outage, later pokes try again."""
        is_first = self._watch is None
        if self._watch is None:
            note_wait(id_in(str(self._url)), self.deadline - time.time(), "on this worker")
            self._watch = Watch(
                self._url, self.deadline, interval=self.task.poke_interval, max_outage=self.task.max_outage
            )
            known = self._recalled()
            if known.done:
                return PokeReturnValue(is_done=True, xcom_value=self._take(known))
        pokes = self._pokes = self._pokes or Pokes(self.task.segmind_conn_id, self.task.log, found=False)
        try:
            seen = pokes.ask(self._watch)
        except SegmindError as error:
            raise self._ended(error) from None
        if isinstance(seen, Job):
            return PokeReturnValue(is_done=True, xcom_value=self._take(seen))
        if is_first:
            self._answered = seen is not None
            self._show_wait()
        self.pause = seen.seconds if seen is not None else self.pause
        return PokeReturnValue(is_done=False)

    def complete(self, event: Any) -> dict[str, Any]:
        """Resume with the trigger's event."""
        if is_start(event):
            result: dict[str, Any] = self.task.execute(self.context)
            return result
        self._learn()
        try:
            job, complete = read_event(event)
            if not complete and (known := recalled_late(job)) is not None:
                job = known
            elif not complete:
                how: dict[str, Any] = {"poll_interval": self.task.poke_interval, "max_outage": self.task.max_outage}
                again = SegmindHook(self.task.segmind_conn_id).wait(self._url, timeout=self.task.timeout, **how)
                job = replace(again, submitted_at=job.submitted_at)
            return self._finish(job, job.submitted_at)
        except SegmindError as error:
            self._show_end(error)
            self.task.note_error(error)
            raise sensor_error(error) from None

    def _first_look(self) -> dict[str, Any] | None:
        """Return the result if it is ready, which saves a trigger and a second start of this task."""
        try:
            job = self._ask()
        except WAITED_OUT as error:
            self.task.log.info("The first look had no answer, which the trigger waits out: %s", error)
            return None
        except SegmindError as error:
            raise self._ended(error) from None
        return self._take(job) if job.done else None

    def _defer(self) -> NoReturn:
        self._show_wait()
        defer: Callable[..., NoReturn] = self.task.defer
        defer(
            **deferral(
                self._job,
                self.task.segmind_conn_id,
                timeout=self.task.timeout,
                poll_interval=self.task.poke_interval,
                max_outage=None if self.task.silent_fail else self.task.max_outage,
                clock_offset=self._clock_offset,
                output_key=self.task.output_key,
                needs_image=self.task.needs_image,
                ending=trigger_exit_of(
                    self.task,
                    self.context,
                    self.task.end_in_trigger,
                    skips=self.task.soft_fail,
                    never_fails=self.task.never_fail,
                ),
            )
        )

    def last_look(self, ended: Exception) -> dict[str, Any]:
        """Ask for the paid job once more, because Airflow itself has ended the wait."""
        self._learn()
        try:
            job = self._ask()
        except SegmindError as error:
            why = str(error)
        else:
            if job.done:
                return self._take(job)
            why = f"its status is {job.status}"
        if isinstance(ended, TaskDeferralTimeout):
            raise self._ended(timed_out(self._url, why)) from ended
        raise ended

    @property
    def _url(self) -> Any:
        return self.task.poll_url.get("poll_url") if isinstance(self.task.poll_url, Mapping) else self.task.poll_url

    @property
    def _job(self) -> Job:
        """The job with all known facts."""
        return Job(
            request_id=str(self._known.get("request_id") or ""),
            poll_url=str(self._url),
            status="QUEUED",
            workflow=self._known.get("workflow"),
            submitted_at=self._known.get("submitted_at"),
            reused=bool(self._known.get("reused")),
        )

    def _recalled(self) -> Job:
        """Return the job as the memory of swaps knows it, if it is done there."""
        job = self._job
        return recalled(replace(job, request_id=job.request_id or id_in(str(self._url))))

    def _ask(self) -> Job:
        known = self._recalled()
        if known.done:
            return known
        hook = SegmindHook(self.task.segmind_conn_id)
        job = hook.get_job(self._url)
        self._answered = True
        self._clock_offset = hook.client.clock_offset
        return replace(job, reused=known.reused)

    def _take(self, job: Job) -> dict[str, Any]:
        """Return the finished job's result and record its metrics."""
        try:
            result = result_of(job, output_key=self.task.output_key, needs_image=self.task.needs_image)
        except SegmindError as error:
            raise self._ended(error) from None
        emit_end(self.task.segmind_conn_id, result, self._job.workflow, self._job.submitted_at)
        return self._finish(job)

    def _ended(self, error: SegmindError) -> Exception:
        """Record an error that ends the wait in metrics and gallery, and return the exception for the task."""
        lost(error)
        emit_end(self.task.segmind_conn_id, error, self._job.workflow)
        self._show_end(error)
        self.task.note_error(error)
        return sensor_error(error)

    def _show_wait(self) -> None:
        """Show the waiting swap in the gallery and link to it, if there is one: any URL may have been given."""
        job = self._job
        known = job.request_id or self._answered
        record = waiting(job.poll_url, job.request_id, job.submitted_at) if known else None
        if record is not None and is_shown(job.workflow, self.task.needs_image):
            show(self.context, record)

    def _show_end(self, outcome: Mapping[str, Any] | SegmindError) -> None:
        if isinstance(outcome, SegmindError):
            outcome.request_id = outcome.request_id or self._job.request_id or id_in(str(self._url))
        if is_shown(self._job.workflow, self.task.needs_image):
            show_end(self.context, outcome)

    def _finish(self, job: Job, submitted_at: float | None = None) -> dict[str, Any]:
        keep(SegmindHook(self.task.segmind_conn_id), job)
        job = replace(job, reused=job.reused or self._job.reused)
        try:
            result = result_of(job, output_key=self.task.output_key, needs_image=self.task.needs_image)
        except SegmindError as error:
            self.task.note_facts(status=job.status, workflow=self._job.workflow)
            self._show_end(error)
            self.task.note_error(error)
            raise sensor_error(error) from None
        self._show_end(result)
        self.task.swap_result = result
        self.task.note_result(result, submitted_at or self._job.submitted_at, workflow=self._job.workflow)
        made = line(result["image_url"] or str(result["outputs"]), MAX_URL)
        self.task.log.info("Request %s is %s: %s", job.request_id, job.status, made)
        return result
