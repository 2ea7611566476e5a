"""Trigger that waits for one job, so that no worker has to."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_segmind.api.answers import MAX_URL, id_in, line
from airflow_provider_segmind.api.clocks import UNKNOWN, known_offset, moment
from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.models import Job
from airflow_provider_segmind.api.results import prepared_of, read_prepared, result_of
from airflow_provider_segmind.gallery.recording import ended, is_shown
from airflow_provider_segmind.links import result_picture
from airflow_provider_segmind.waiting.ending import TriggerExit, end, finish, read_trigger_exit
from airflow_provider_segmind.waiting.events import event_of_error, event_of_job
from airflow_provider_segmind.waiting.remembering import keep_end, known_end
from airflow_provider_segmind.waiting.shared import SharedConnection, shared_connection

log = logging.getLogger(__name__)

BACKSTOP = -UNKNOWN
"""
Seconds after the trigger's own deadline at which Airflow ends a wait that the triggerer did not end.

Airflow measures them with its own clock, so this also ends a wait whose deadline came from an unknown clock.
"""


class PixelFlowTrigger(BaseTrigger):
    """
    Waits until a job is done, and always ends with one event.

    It only reads and never orders, because triggers are restarted and can run twice.

    :param poll_url: URL of the job as the submit returned it.
    :param segmind_conn_id: id of the Airflow connection.
    :param deadline: seconds since the epoch, so that a restart of the triggerer does not extend the wait.
    :param poll_interval: seconds between polls.
    :param max_outage: seconds that an outage may last before its last error ends the wait; ``None`` for no limit.
    :param request_id: id of the job, for messages.
    :param workflow: id and version of the workflow, to learn how long its jobs take.
    :param submitted_at: time of the order in seconds since the epoch, if known.
    :param output_key: ``keyname`` of the output to return as ``image_url``. Default: the first image.
    :param needs_image: whether a job without an image is an error.
    :param ending: how the task may end in the triggerer, see :class:`~airflow_provider_segmind.waiting.ending.Ending`;
        without it, the task resumes on a worker.
    :param clock_offset: seconds that the clock behind ``deadline`` is ahead of Segmind's clock, if known.
    :param prepared: what was done to the job's pictures before they were sent, for its result.
    :param reused: whether another task or run ordered the job.
    :param later: arguments from another version of this package; ignored.
    """

    def __init__(
        self,
        poll_url: str,
        segmind_conn_id: str,
        deadline: float,
        poll_interval: float = 7.0,
        max_outage: float | None = None,
        request_id: str | None = None,
        workflow: str | None = None,
        submitted_at: float | None = None,
        output_key: str | None = None,
        needs_image: bool = False,
        ending: Mapping[str, Any] | None = None,
        clock_offset: float | None = None,
        prepared: Mapping[str, Sequence[str]] | None = None,
        reused: bool = False,
        **later: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.poll_url = poll_url
        self.segmind_conn_id = segmind_conn_id
        self.deadline = deadline
        self.poll_interval = poll_interval
        self.max_outage = max_outage
        self.request_id = request_id
        self.workflow = workflow
        self.submitted_at = submitted_at
        self.output_key = output_key
        self.needs_image = needs_image
        self.ending = read_trigger_exit(ending)
        self.clock_offset = clock_offset
        self.prepared = read_prepared(prepared)
        self.reused = reused is True

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the arguments with which another triggerer can wait for the same job."""
        return (
            "airflow_provider_segmind.triggers.segmind.PixelFlowTrigger",
            {
                "poll_url": self.poll_url,
                "segmind_conn_id": self.segmind_conn_id,
                "deadline": self.deadline,
                "poll_interval": self.poll_interval,
                "max_outage": self.max_outage,
                "request_id": self.request_id,
                "workflow": self.workflow,
                "submitted_at": self.submitted_at,
                "output_key": self.output_key,
                "needs_image": self.needs_image,
                "ending": self.ending.to_json(),
                "clock_offset": self.clock_offset,
                **({"prepared": self.prepared} if self.prepared else {}),
                **({"reused": True} if self.reused else {}),
            },
        )

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        """Render nothing: a worker has rendered the author's templates, and the results are data."""
        # Airflow 3.3 renders a trigger whose task has ``start_from_trigger``, even if a worker deferred it.

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield one event: the end of the task if nothing is lost by that, else the event to resume with."""
        outcome = await self._outcome()
        event = await self._end(outcome)
        if event is None:
            event = TriggerEvent(event_of_job(outcome) if isinstance(outcome, Job) else event_of_error(outcome))
        yield event

    async def on_kill(self) -> None:
        """Log that a person ended the wait, but not the job, which cannot be cancelled (called by Airflow 3.3)."""
        self.log.warning(
            "A person ended this wait. Segmind cannot cancel: request %s goes on and is billed. Its result can be "
            "asked for at %s",
            self._known_as,
            self.poll_url,
        )

    @property
    def _known_as(self) -> str:
        return self.request_id or id_in(self.poll_url)

    async def _asked(self, connection: SharedConnection) -> Job | SegmindError:
        try:
            known = Job(self._known_as, self.poll_url, "QUEUED", submitted_at=self.submitted_at, reused=self.reused)
            known = await known_end(known)
            if known.done:
                return replace(known, prepared=self.prepared or known.prepared)
            job = await connection.poller.wait(
                self.poll_url,
                deadline=self.deadline,
                poll_interval=self.poll_interval,
                max_outage=self.max_outage,
                workflow=self.workflow or "",
                submitted_at=self.submitted_at,
                clock_offset=known_offset(self.clock_offset),
            )
            # The answer lacks what is known of the order.
            job = replace(job, submitted_at=self.submitted_at, prepared=self.prepared, reused=self.reused)
            await keep_end(connection, job)
            return job
        except SegmindError as error:
            error.request_id = error.request_id or self._known_as
            await keep_end(connection, error)
            return error

    async def _outcome(self) -> Job | SegmindError:
        try:
            async with shared_connection(self.segmind_conn_id) as connection:
                outcome = await self._asked(connection)
                connection.counters.ended(self._result(outcome), self.workflow, self.submitted_at)
                return outcome
        except Exception as error:
            # An exception would fail the task without its message and without naming the paid job.
            self.log.exception("Waiting for %s broke", self.poll_url)
            broken = f"Waiting for {self.poll_url} broke: {type(error).__name__}."
            return SegmindError(broken, request_id=self._known_as)

    async def _end(self, outcome: Job | SegmindError) -> TriggerEvent | None:
        """Return the event that ends the task here, or ``None`` if it must resume on a worker."""
        result = self._result(outcome)
        if end(self.ending, result) is None:
            return None  # the worker writes the rest, whose settings take longer to read than a poll
        record = ended(result) if is_shown(self.workflow, self.needs_image) else None
        # Only a task that needs an image has a link to it; an error has no link.
        links = result_picture(result) if self.needs_image else None
        event = await finish(self.ending, self.task_instance, result, self.log, record, links)
        if event is not None and isinstance(result, SegmindError):
            self.log.error("%s: %s", type(result).__name__, result)
        elif event is not None and not isinstance(result, SegmindError):
            self.log.info(
                "Request %s is %s: %s", self._known_as, result["status"], line(result["image_url"] or "", MAX_URL)
            )
        return event

    def _result(self, outcome: Job | SegmindError) -> dict[str, Any] | SegmindError:
        if isinstance(outcome, SegmindError):
            return outcome
        try:
            return result_of(outcome, output_key=self.output_key, needs_image=self.needs_image)
        except SegmindError as error:
            return error


def note_wait(request_id: str, timeout: float, where: str) -> None:
    """Log what is waited for, where, and until when at most."""
    log.info("Waiting %s for request %s, until %s at most.", where, request_id, moment(time.time() + timeout))


def deferral(
    job: Job,
    segmind_conn_id: str,
    *,
    timeout: float,
    poll_interval: float,
    max_outage: float | None = None,
    clock_offset: float | None = None,
    output_key: str | None = None,
    needs_image: bool = False,
    ending: TriggerExit | None = None,
) -> dict[str, Any]:
    """
    Return the arguments for a task's ``defer`` to wait for a job and resume in ``execute_complete``.

    :param timeout: seconds to wait at most, from now.
    :param clock_offset: seconds that this machine's clock is ahead of Segmind's, if known.
    :param ending: how the task may end in the triggerer; without it, the task resumes on a worker.
    """
    note_wait(job.request_id or id_in(job.poll_url), timeout, "in the triggerer")
    return {
        "trigger": PixelFlowTrigger(
            poll_url=job.poll_url,
            segmind_conn_id=segmind_conn_id,
            deadline=time.time() + timeout,
            poll_interval=poll_interval,
            max_outage=max_outage,
            request_id=job.request_id or None,
            workflow=job.workflow,
            submitted_at=job.submitted_at,
            output_key=output_key,
            needs_image=needs_image,
            ending=ending.to_json() if ending else None,
            clock_offset=clock_offset,
            prepared=prepared_of(job).get("prepared"),
            reused=job.reused,
        ),
        "method_name": "execute_complete",
        "timeout": timedelta(seconds=timeout + BACKSTOP),
    }
